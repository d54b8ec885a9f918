"""Records of the journal in, states of tasks and jobs out. Nothing is read, written or remembered elsewhere.

INTENT      a job folder is about to be submitted, with these attempts (one task in one job each)
SUBMITTED   the scheduler has it
VOID        it never started and never will; nothing is counted
LOST        it started, but of these attempts nothing will come; those that had not begun are not counted
CANCELLED   the user ended it, and is asked; or one of two of this name is superfluous. From now on nothing is counted
REFUSED     an attempt failed for a reason that is not the task's; nothing is counted
REJECTED    an attempt failed
ACCEPTED    an attempt gave the result of the task: the commit
WITHDRAWN   the files of an accepted result were deleted by the user
QUARANTINED the task is given up for good
RELEASED    a quarantined task begins anew, because so many failed that the run stopped for a person to look
GIVEN_UP    the task is given up by this `ald run`; the next one begins anew
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import attrs

from ald_core.journal import Record
from ald_core.types import Failure, FailureKind

RETRIES: Mapping[FailureKind, int] = {
    "numerical": 3,
    "invalid": 1,
    "time": 2,
    "memory": 2,
    "resources": 2,
    "infrastructure": 5,
    "input": 0,
}
"""How many attempts may follow a failure of each kind."""


@attrs.frozen
class Attempt:
    """One task in one job."""

    identity: str
    name: str
    folder: str
    """Inside the job folder"""
    rung: int


@attrs.define
class JobState:
    """A job that was submitted, or may have been."""

    name: str
    folder: str
    """Relative to the study"""
    attempts: tuple[Attempt, ...]
    submitted: bool = False
    id: str = ""
    """The scheduler's, once it was told"""
    cancelled: bool = False
    settled: set[str] = attrs.field(factory=set)
    """Identities of which nothing more is expected from this job"""

    @property
    def expected(self) -> tuple[Attempt, ...]:
        """Attempts that have not ended."""
        return tuple(a for a in self.attempts if a.identity not in self.settled)


@attrs.frozen
class Accepted:
    """Where the result of a task is."""

    folder: str
    """Of the task, relative to the study"""
    outputs: Mapping[str, str | None]
    """SHA-256 of each; None: it was not written"""


@attrs.define
class TaskState:
    """What has become of a task."""

    accepted: Accepted | None = None
    quarantined: Failure | None = None
    failures: list[Failure] = attrs.field(factory=list)

    @property
    def rung(self) -> int:
        """How many numerical failures there were."""
        return sum(f.kind == "numerical" for f in self.failures)

    @property
    def exhausted(self) -> bool:
        """Whether no further attempt is allowed."""
        return any(
            sum(f.kind == kind for f in self.failures) > limit for kind, limit in RETRIES.items()
        )


class Ledger:
    """The states that follow from the records applied so far, in their order."""

    def __init__(self, records: Iterable[Record] = ()):
        self.tasks: dict[str, TaskState] = {}
        self.jobs: dict[str, JobState] = {}
        self._open: dict[str, JobState] = {}
        for record in records:
            self.apply(record)

    def apply(self, record: Record) -> None:
        """Take account of one more record; those of others are left alone."""
        kind = record["type"]
        if kind == "INTENT":
            attempts = tuple(Attempt(**a) for a in record["attempts"])
            job = JobState(record["job"], record["folder"], attempts)
            self.jobs[job.name] = self._open[job.name] = job
        elif kind in ("SUBMITTED", "CANCELLED"):
            job = self.jobs[record["job"]]
            job.id = record.get("id", job.id)
            job.submitted = job.submitted or kind == "SUBMITTED"
            job.cancelled = job.cancelled or kind == "CANCELLED"
        elif kind == "VOID":
            self._settle(record["job"], *(a.identity for a in self.jobs[record["job"]].attempts))
        elif kind == "LOST":
            self._settle(record["job"], *record["unstarted"])
            for identity in record["tasks"]:
                self._fail(record["job"], identity, _failure({"kind": "infrastructure"} | record))
        elif kind == "REFUSED":
            self._settle(record["job"], record["task"])
        elif kind == "REJECTED":
            self._fail(record["job"], record["task"], _failure(record))
        elif kind == "ACCEPTED":
            self._settle(record["job"], record["task"])
            self.task(record["task"]).accepted = Accepted(record["folder"], record["outputs"])
        elif kind == "WITHDRAWN":
            self.task(record["task"]).accepted = None
        elif kind == "QUARANTINED":
            self.task(record["task"]).quarantined = _failure(record)
        elif kind == "GIVEN_UP":
            self.task(record["task"]).failures.clear()
        elif kind == "RELEASED":
            self.tasks.pop(record["task"], None)

    def _settle(self, name: str, *identities: str) -> None:
        job = self.jobs[name]
        job.settled.update(identities)
        if not job.expected:
            self._open.pop(name, None)

    def _fail(self, job: str, identity: str, failure: Failure) -> None:
        self._settle(job, identity)
        self.task(identity).failures.append(failure)

    def task(self, identity: str) -> TaskState:
        """State of a task, new if nothing was heard of it."""
        return self.tasks.setdefault(identity, TaskState())

    def open_jobs(self) -> list[JobState]:
        """Jobs of which something is still expected, oldest first."""
        return list(self._open.values())

    def busy(self) -> set[str]:
        """Identities of the tasks that are in an open job."""
        return {attempt.identity for job in self._open.values() for attempt in job.expected}


def _failure(record: Record) -> Failure:
    return Failure(record["reason"], cast("FailureKind", record["kind"]))


# ---------------------------------------------------------------- records


def intent(cycle: int, role: str, job: JobState) -> Record:
    """The record before a submission."""
    return {
        "type": "INTENT",
        "job": job.name,
        "cycle": cycle,
        "role": role,
        "folder": job.folder,
        "attempts": [attrs.asdict(a) for a in job.attempts],
    }


def about_job(kind: str, job: str, /, **details: Any) -> Record:
    """SUBMITTED, VOID, LOST or CANCELLED."""
    return {"type": kind, "job": job, **details}


def about_attempt(kind: str, job: str, attempt: Attempt, /, **details: Any) -> Record:
    """REFUSED, REJECTED or ACCEPTED."""
    return {"type": kind, "task": attempt.identity, "name": attempt.name, "job": job, **details}


def about_task(kind: str, identity: str, name: str, /, **details: Any) -> Record:
    """WITHDRAWN, QUARANTINED, RELEASED or GIVEN_UP."""
    return {"type": kind, "task": identity, "name": name, **details}
