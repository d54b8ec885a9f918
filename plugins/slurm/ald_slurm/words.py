"""The words of Slurm: states, reasons and messages in, what they mean for a study out.

States and reasons are those of the manual pages of squeue and sacct, messages those of sbatch from Slurm 20 to 24.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from ald_core.types import Ending, JobStatus

State = Literal["waiting", "running", "gone", "unknown"]

WAITING = frozenset({
    "PENDING", "CONFIGURING", "POWER_UP_NODE", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
})  # fmt: skip
RUNNING = frozenset({"RUNNING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"})
GONE: Mapping[str, Ending] = {
    "BOOT_FAIL": "node_fail",
    "CANCELLED": "cancelled",
    "COMPLETED": "unknown",
    "COMPLETING": "unknown",  # its script has ended; that can last for ever, if a node is dead
    "DEADLINE": "timeout",
    "FAILED": "unknown",
    "LAUNCH_FAILED": "node_fail",
    "NODE_FAIL": "node_fail",
    "OUT_OF_MEMORY": "out_of_memory",
    "PREEMPTED": "preempted",
    "RECONFIG_FAIL": "node_fail",
    "REVOKED": "unknown",
    "TIMEOUT": "timeout",
}
HELD = frozenset({"REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
STUCK = re.compile(
    r"""AccountNotAllowed | BadConstraints | DependencyNeverSatisfied | FrontEndDown | Invalid\w+
    | JobHeld\w* | JobHoldMaxRequeue | launch_failed_requeued_held | Partition(Config|Down|Inactive|NodeLimit|TimeLimit)
    | QOSNotAllowed | QOSTimeLimit
    | \w*Max\w*PerJob\w* | ReqNodeNotAvail\S* | Reservation\w*Deleted | job_requeued_in_held_state .*""",
    re.VERBOSE | re.IGNORECASE,
)
"""Reasons for waiting that do not pass by themselves"""
NOBODY = frozenset({"", "n/a", "N/A", "(null)", "None assigned"})

LAST_WORDS: tuple[tuple[str, Ending], ...] = (
    (r"DUE TO TIME LIMIT", "timeout"),
    (r"(?i:oom[-_]kill|out of memory|exceeded (job |step )?memory limit)", "out_of_memory"),
    (r"DUE TO PREEMPTION", "preempted"),
    (r"DUE TO NODE FAILURE", "node_fail"),
)
"""What the daemon of a node writes into the output of a job, and what it says of its end.

A bare CANCELLED says nothing: so it speaks, too, when a controller that has lost its memory clears away a job.
"""

FAILED = re.compile(r"(?:Batch job submission failed|allocation failure): (.+)", re.IGNORECASE)
NO_ROOM = re.compile(r"\w*Submit\w*Limit|jobs per hour limit|Slurm job queue full", re.IGNORECASE)
"""A limit on the number of jobs, which passes"""
POLICY = "job violates accounting/qos policy"
BUSY = frozenset({"resource temporarily unavailable", "unable to create job record, try again"})
CLOSED = ("required partition not available", "system submissions disabled")
"""As before a maintenance; jobs that are queued already wait for its end, too."""
REFUSED = (
    "access denied", "access/permission denied", "active features", "batch script is empty", "burst buffer",
    "cannot request", "container", "core count", "cpu count", "current switchtype", "duplicate generic",
    "insufficient gres", "invalid account", "invalid cluster", "invalid feature", "invalid generic resource",
    "invalid gres", "invalid job array", "invalid knl", "invalid license", "invalid mcs_label", "invalid node name",
    "invalid partition", "invalid preferred feature", "invalid qos", "invalid time", "invalid trackable resource",
    "invalid user id", "invalid wckey", "job --batch", "job dependency", "job size specification",
    "memory required by task", "memory specification", "more processors", "multiple partition", "no eligible clusters",
    "no partition specified", "node count", "only batch jobs", "pathname of", "requested", "required node",
    "required partition", "requires more ports", "task count", "task distribution", "time limit specification",
    "unable to satisfy", "user's group", "you must specify",
)  # fmt: skip
"""How a no begins that will stay one"""
BEFORE_SUBMISSION = re.compile(
    r"""(?:sbatch|salloc):\ (?:error|fatal):\ (?P<words>[Ii]nvalid\ (?:.*specification|directive|numeric|--|number).*
    | .*[Ii]nvalid\ (?:number|argument|partition|entry).* | Unable\ to\ open\ file.* | .*unrecognized\ .*
    | This\ does\ not\ look\ like\ a\ batch\ script.* | Batch\ script\ .* | .*is\ not\ a\ valid\ .*
    | Priority\ must\ be\ .* | .*Unmatched\ .*)
    | (?P<option>sbatch:\ (?:unrecognized|invalid|ambiguous)?\ ?option\ .*)""",
    re.VERBOSE,
)
"""What sbatch says of its arguments and of lines in the script, before it asks anybody"""


def status(job_id: str, state: str, reason: str, node: str) -> JobStatus:
    """A job as squeue, sacct or scontrol show it; `CANCELLED by 1000` is CANCELLED, an unknown word is unknown."""
    word = (state.split() or [""])[0].rstrip("+")
    silent = reason in {"", "None"}
    detail = word if silent else f"{word} ({reason})"
    where = "" if node in NOBODY else node
    if word in GONE:
        return JobStatus(job_id, "gone", detail, GONE[word], where)
    if word in WAITING:
        stuck = word in HELD or STUCK.fullmatch(reason) is not None
        return JobStatus(job_id, "waiting", detail, stuck=stuck)
    return JobStatus(job_id, "running" if word in RUNNING else "unknown", detail, node=where)


def ending(output: str) -> Ending:
    """How a job ended, by what Slurm wrote into its output."""
    return next((end for words, end in LAST_WORDS if re.search(words, output)), "unknown")


def refusal(text: str, *, others_queued: bool) -> tuple[str, bool] | None:
    """Slurm's reason for an explicit no in what sbatch wrote, and whether it may pass; None if it is no such thing."""
    early = BEFORE_SUBMISSION.search(text)
    final = FAILED.search(text)
    if final is None:
        return None if early is None else (early["words"] or early["option"], False)
    said = final[1].strip()
    limit = NO_ROOM.search(text)
    if limit is not None:
        return (limit[0], True)
    if said.lower().startswith(POLICY):
        specific = re.search(r"error: (\w*(?:Assoc|QOS)\w+)", text)
        return (specific[1], False) if specific else (said, others_queued)
    if said.lower() in BUSY or said.lower().startswith(CLOSED):
        return (said, True)
    return (said, False) if said.lower().startswith(REFUSED) else None
