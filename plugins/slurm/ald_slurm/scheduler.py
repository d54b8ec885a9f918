"""The scheduler `slurm`: jobs go through sbatch, squeue and scancel, and are known by their names."""

from __future__ import annotations

import errno
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import attrs
from attrs.validators import deep_iterable, ge, gt, optional

from ald_core.errors import SchedulerUnavailable, SubmitRefused, SubmitUncertain
from ald_core.options import option
from ald_core.roles import Scheduler
from ald_core.types import Job, JobStatus, Resources
from ald_slurm import words
from ald_slurm.client import Answer, ask, environment

OUTPUT = "slurm.out"
PREFIX = "ald-"
"""Of the names of all jobs of all studies"""
TAIL = 20_000
"""Bytes at the end of the output of a job in which Slurm's last words are looked for"""
ACCOUNTING_PAUSE = 300.0
"""Seconds between two calls of sacct"""
ACCOUNTING_DAYS = 7
CANCELLED_AT_ONCE = 200
_LINE = re.compile(r"(\d+)\|([A-Z_]+)\|(.*)\|([^|]*)\|(ald-[\w.-]+)")
_FORBIDDEN = re.compile(
    r"#SBATCH\b.*?\s(--array|--wait|--test-only|--wrap|-a|-W)(?=[=\s\d]|$)|#SBATCH\b.*?\s(--clusters?(?=[=\s]|$)|-M)"
)
_OF_SLURM = re.compile(r"(SLURM|SBATCH|SQUEUE|SACCT|SCANCEL|SCONTROL)_(?!CONF$).*")


def _harmless(_: object, field: attrs.Attribute[Any], value: str) -> None:
    del field
    if _OF_SLURM.fullmatch(value):
        raise ValueError(
            f"{value} would change what Slurm is asked for; say in [resources] what jobs need"
        )


@attrs.define(kw_only=True, slots=False)
class SlurmScheduler(Scheduler):
    """Submit jobs to Slurm."""

    name: ClassVar[str] = "slurm"
    cites: ClassVar[tuple[str, ...]] = (
        "Yoo, Jette, Grondona, Lect. Notes Comput. Sci. 2862, 44 (2003), doi:10.1007/10968987_3 (Slurm)",
    )

    poll: float = option(  # type: ignore[misc]  # an option here, a constant of other schedulers
        60.0, help="seconds between two looks at the queue", validator=gt(0.0), identity=False
    )
    patience: float = option(  # type: ignore[misc]
        300.0,
        help="seconds for which a job may be missing, or its files, before it counts as lost",
        validator=gt(0.0),
        identity=False,
    )
    submit_rate: float = option(
        1.0, help="submissions per second at most", validator=gt(0.0), identity=False
    )
    max_queued: int | None = option(
        None,
        help="jobs of the study in the queue at most",
        validator=optional(ge(1)),
        identity=False,
    )
    submit_timeout: float = option(
        300.0,
        help="seconds to wait for sbatch, which itself tries for 120 s",
        validator=gt(0.0),
        identity=False,
    )
    query_timeout: float = option(
        60.0, help="seconds to wait for the other commands", validator=gt(0.0), identity=False
    )
    environment: tuple[str, ...] = option(
        (),
        help="more variables of this shell that jobs get, by name",
        validator=deep_iterable(_harmless),
        identity=False,
    )

    def __attrs_post_init__(self) -> None:
        # No fields: what was seen and done last is no setting.
        self._queued: set[str] = set()
        self._submitted_at = -1e9
        self._accounts: dict[str, JobStatus] = {}
        self._accounted_at: float | None = -1e9  # None: there is no accounting

    # ------------------------------------------------------------ the contract

    def submit(self, job: Job) -> str:
        """Submit with sbatch, not faster than the rate; the id is Slurm's."""
        if self.max_queued is not None and len(self._queued) >= self.max_queued:
            raise SubmitRefused(
                f"max_queued: {self.max_queued} jobs are in the queue", retry_later=True
            )
        forbidden = _forbidden(job.resources)
        if forbidden:
            raise SubmitRefused(forbidden)
        self._keep_the_rate()
        try:
            variables = environment(self.environment, job.withhold)
            answer = ask(["sbatch", *arguments(job)], variables, self.submit_timeout)
        except OSError as error:
            busy = error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
            raise SubmitRefused(f"sbatch cannot be started: {error}", retry_later=busy) from error
        found = re.search(r"^(\d+)(;\S*)?\s*\Z", answer.out, re.MULTILINE)
        if answer.status == 0 and found:
            self._queued.add(job.name)
            return found[1]
        no = words.refusal(answer.err, others_queued=bool(self._queued))
        if no is not None and answer.status not in (None, 0) and not found:
            raise SubmitRefused(no[0], retry_later=no[1])
        self._queued.add(job.name)
        raise SubmitUncertain(f"sbatch: {answer.complaint}")

    def find(self, prefix: str) -> dict[str, list[JobStatus]]:
        """One squeue for all jobs of this user, also in hidden partitions and those that ended a short time ago."""
        answer = self._query(
            "squeue", "--me", "--all", "--federation", "--states=all", "--noheader",
            "--format=%A|%T|%r|%B|%j",
        )  # fmt: skip
        jobs: dict[str, list[JobStatus]] = {}
        for line in answer.out.splitlines():
            match = _LINE.fullmatch(line)
            if match and match[5].startswith(prefix):
                job_id, state, reason, node, name = match.groups()
                jobs.setdefault(name, []).append(words.status(job_id, state, reason, node))
        self._queued = {n for n, known in jobs.items() if any(s.state != "gone" for s in known)}
        return jobs

    def cancel(self, ids: Sequence[str]) -> None:
        """Cancel with scancel, which passes over ids that have ended. Raises `SchedulerUnavailable`."""
        wanted = [job_id for job_id in ids if job_id.isdecimal()]
        for i in range(0, len(wanted), CANCELLED_AT_ONCE):
            self._query("scancel", "--quiet", *wanted[i : i + CANCELLED_AT_ONCE])

    def explain(self, name: str, job_id: str, folder: Path) -> JobStatus | None:
        """From Slurm's last words in the output of the job, from accounting if there is any, or from scontrol."""
        end = words.ending(_tail(folder / OUTPUT))
        if end != "unknown":
            return JobStatus(job_id, "gone", end.replace("_", " "), end)
        try:
            return self._accounted(name) or self._shown(name, job_id)
        except SchedulerUnavailable:
            return None

    # ------------------------------------------------------------ checks

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether the commands are there."""
        del elements
        path = self._variables().get("PATH")
        missing = [c for c in ("sbatch", "squeue", "scancel") if not shutil.which(c, path=path)]
        cure = "install the clients of Slurm, or run on a login node"
        return [f"{', '.join(missing)} cannot be found in PATH; {cure}"] if missing else []

    def check_resources(self, resources: Mapping[str, Resources]) -> list[str]:
        """Whether the controller answers, and what `sbatch --test-only` says to each different request."""
        try:
            self._query("squeue", "--me", "--noheader", "--format=%A")
        except SchedulerUnavailable as error:
            return [f"scheduler: Slurm does not answer ({error}); `ald run` would wait for it"]
        asked: dict[Resources, str] = {}
        for where, wanted in resources.items():
            asked.setdefault(wanted, where)
        problems = {where: self._try(wanted) for wanted, where in asked.items()}
        return [f"{where}: {problem}" for where, problem in problems.items() if problem]

    def _try(self, resources: Resources) -> str:
        """What is wrong with a request; empty if nothing."""
        forbidden = _forbidden(resources)
        if forbidden:
            return forbidden
        with TemporaryDirectory(prefix="ald-check-") as name:
            folder = Path(name)
            script = folder / "job.sh"
            lines = ["#!/bin/sh", *resources.extra, "true", ""]
            script.write_text("\n".join(lines))
            job = Job("ald-check", folder, script, resources)
            try:
                answer = self._ask(["sbatch", "--test-only", *arguments(job)], self.query_timeout)
            except OSError as error:
                return f"sbatch cannot be started: {error}"
        if answer.status == 0:
            return ""
        no = words.refusal(answer.err, others_queued=True)
        return "" if no and no[1] else f"Slurm would refuse: {no[0] if no else answer.complaint}"

    # ------------------------------------------------------------ asking

    def _variables(self) -> Mapping[str, str]:
        return environment(self.environment)

    def _ask(self, command: Sequence[str], timeout: float) -> Answer:
        return ask(command, self._variables(), timeout)

    def _query(self, *command: str) -> Answer:
        """The answer of a command that must succeed; anything else is `SchedulerUnavailable`."""
        try:
            answer = self._ask(command, self.query_timeout)
        except OSError as error:
            raise SchedulerUnavailable(f"{command[0]} cannot be started: {error}") from error
        if answer.status != 0 or "error:" in answer.err:
            raise SchedulerUnavailable(f"{command[0]}: {answer.complaint}")
        return answer

    def _keep_the_rate(self) -> None:
        time.sleep(max(self._submitted_at + 1.0 / self.submit_rate - time.monotonic(), 0.0))
        self._submitted_at = time.monotonic()

    def _accounted(self, name: str) -> JobStatus | None:
        """What sacct says of a job; it is asked for all jobs at once, and rarely."""
        now = time.monotonic()
        if self._accounted_at is None:
            return None
        if self._ending(name) is None and now - self._accounted_at > ACCOUNTING_PAUSE:
            self._accounted_at = now
            try:
                answer = self._query(
                    "sacct", "--allocations", "--noheader", "--parsable2",
                    f"--starttime=now-{ACCOUNTING_DAYS}days", "--format=JobIDRaw,State,Reason,NodeList,JobName",
                )  # fmt: skip
            except SchedulerUnavailable as error:
                if "disabled" in str(error) or "cannot be started" in str(error):
                    self._accounted_at = None
                return None
            for line in answer.out.splitlines():
                job_id, state, reason, nodes, job = (line.split("|", 4) + [""] * 5)[:5]
                if job.startswith(PREFIX):
                    self._accounts[job] = words.status(job_id, state, reason, _single(nodes))
        return self._ending(name)

    def _ending(self, name: str) -> JobStatus | None:
        """What sacct has said of the end of a job."""
        found = self._accounts.get(name)
        return found if found is not None and found.ending != "unknown" else None

    def _shown(self, name: str, job_id: str) -> JobStatus | None:
        """What scontrol says, while the controller remembers the job, of this id if it is still that of this name."""
        if not job_id:
            return None
        shown = self._query("scontrol", "--oneliner", "show", "job", job_id).out
        fields = dict(re.findall(r"(JobName|JobState|Reason|BatchHost)=(\S*)", shown))
        if fields.get("JobName") != name:
            return None
        reason, node = fields.get("Reason", ""), fields.get("BatchHost", "")
        return words.status(job_id, fields.get("JobState", ""), reason, node)


def arguments(job: Job) -> list[str]:
    """Arguments of sbatch; no shell reads them."""
    asked = job.resources
    pairs = {
        "job-name": job.name,
        "open-mode": "append",
        "chdir": str(job.folder),
        "output": _literal(str(job.folder / OUTPUT)),
        "nodes": asked.nodes,
        "ntasks-per-node": asked.ppn * asked.concurrent,
        "cpus-per-task": asked.cores,
        "gres": f"gpu:{asked.gpus}" if asked.gpus else None,
        "mem": asked.memory,
        "time": asked.time,
        "partition": asked.queue,
        "account": asked.account,
        "qos": asked.qos,
        "constraint": asked.constraint,
        "mail-user": asked.mail,
        "mail-type": ",".join(asked.mail_on).upper() if asked.mail else None,
        "exclude": ",".join(job.avoid) or None,
    }
    options = [f"--{key}={value}" for key, value in pairs.items() if value is not None]
    return ["--parsable", "--no-requeue", *options, str(job.script)]


def _literal(path: str) -> str:
    """A path as a file name pattern that means just this path: a backslash switches % off."""
    return path.replace("\\", "\\\\") if "\\" in path else path.replace("%", "%%")


def _forbidden(resources: Resources) -> str:
    """What is wrong with the free lines; empty if nothing."""
    for line in resources.extra:
        match = _FORBIDDEN.search(line)
        if match:
            where = (
                "jobs that are looked for in this cluster"
                if match[2]
                else "jobs submitted one by one"
            )
            return (
                f"extra: {match[1] or match[2]} does not go with {where}; take it out of {line!r}"
            )
    return ""


def _single(nodes: str) -> str:
    """The node, if it is one."""
    return "" if re.search(r"[\[,]", nodes) else nodes


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(path.stat().st_size - TAIL, 0))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
