"""Watches submitted jobs: one query and the files that jobs leave decide what has become of them.

An answer that is missing is no answer: a job that cannot be found is dead only when its claim could be taken (it never
began: VOID) or had been taken by it (it began and vanished: LOST). Its result files outrank the queue.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from ald_core import durable, jobfolder, script
from ald_core.errors import FuseBlown, SchedulerUnavailable
from ald_core.events import Listener, Note
from ald_core.journal import Journal, Record
from ald_core.ledger import Attempt, JobState, Ledger, about_attempt, about_job, about_task
from ald_core.progress import Progress
from ald_core.roles import Scheduler
from ald_core.types import Failure, JobStatus, Resources, Task

LOOKS = 3
"""Successful queries in a row that must miss a job before anything is concluded."""
VOIDS = 20
SETUP_FAILURES = 5
INPUT_FAILURES = 3
"""Labels in a row that fail for a reason which the user has to put right, before nothing more is tried."""


@attrs.define
class Stage:
    """One call of `JobRunner.run`."""

    cycle: int
    pending: dict[str, Task[Any]]
    """By identity"""
    results: dict[str, Any]
    progress: Progress
    complaint: str = ""
    """What the user has to put right"""
    input_failures: int = 0
    """Labels that failed for such a reason since the last one was accepted"""

    def finish(self, task: Task[Any], outcome: object) -> None:
        """The task has its result or its last failure."""
        self.results[task.identity] = outcome
        del self.pending[task.identity]


@attrs.define
class Run:
    """One `ald run` as far as its jobs are concerned: where it is, what is on record, what it has submitted."""

    study: Path
    prefix: str
    """Of the names of all jobs of the study"""
    journal: Journal
    ledger: Ledger
    scheduler: Scheduler
    listener: Listener
    sent: set[str] = attrs.field(factory=set)
    """Names of the jobs that this process submitted"""
    blocked: tuple[JobState, Resources] | None = None
    """A job for which the scheduler has no room yet"""

    def record(self, record: Record) -> None:
        """Put something on record, durably."""
        if "reason" in record:
            record = {**record, "reason": jobfolder.one_line(record["reason"])}
        self.ledger.apply(self.journal.append(record))

    def warn(self, text: str) -> None:
        """Tell whoever watches."""
        self.listener(Note(text, "warning"))

    def holder(self, job: JobState) -> str | None:
        """Who took the claim of a job for work."""
        holder = script.read_claim(self.study / job.folder)
        return None if holder is None or holder.startswith("void ") else holder

    def void(self, job: JobState, reason: str) -> bool:
        """Take the claim of a job, so that it can never work. False if the job has it."""
        self.journal.verify()
        claim = self.study / job.folder / script.CLAIM
        durable.sweep(claim.parent)
        content = f"void {platform.node()} {os.getpid()}\n"
        if not durable.claim(claim, content.encode()) and self.holder(job) is not None:
            return False
        self.record(about_job("VOID", job.name, reason=reason))
        return True

    def give_up(self, task: Task[Any], failure: Failure) -> None:
        """For good if it is a label, which a study can do without; else until the next `ald run`.

        So too if the user has to put something right, which is no fault of the frame.
        """
        for_good = task.role == "label" and failure.kind != "input"
        kind = "QUARANTINED" if for_good else "GIVEN_UP"
        details = {"reason": failure.reason, "kind": failure.kind}
        self.record(about_task(kind, task.identity, task.name, **details))


@attrs.define
class _Absence:
    """What this process has seen of a job that cannot be found."""

    looks: int = 0
    since: float = 0.0
    started: bool = False
    """Whether its claim was seen in the hands of the job"""


class Watcher:
    """Brings the open jobs of a run forward."""

    def __init__(self, run: Run):
        self._run = run
        self._absent: dict[str, _Absence] = {}
        self._voids: dict[str, int] = {}
        self._setup_failures = 0
        self.unanswered = 0
        """Queries in a row that the scheduler did not answer"""
        self.query_seconds = 0.0
        """How long the last query took"""

    def look(self, stage: Stage) -> None:
        """One query, then every open job of the stage: collect what has ended, conclude where that is possible."""
        jobs = [
            job
            for job in self._run.ledger.open_jobs()
            if any(a.identity in stage.pending for a in job.expected)
        ]
        if not jobs:
            return
        found: Mapping[str, list[JobStatus]] | None = None
        begun = time.monotonic()
        try:
            found = self._run.scheduler.find(self._run.prefix)
            self.unanswered = 0
        except SchedulerUnavailable as error:
            self.unanswered += 1
            if self.unanswered == 1:
                self._run.warn(
                    f"the scheduler does not answer ({error}); jobs are left as they are"
                )
        self.query_seconds = time.monotonic() - begun
        for job in jobs:
            self._settle(stage, job, None if found is None else found.get(job.name, []))
            if not job.expected:
                self._absent.pop(job.name, None)
                stage.progress.end(job)

    def _settle(self, stage: Stage, job: JobState, seen: list[JobStatus] | None) -> None:
        """Bring one job forward; `seen` was asked before its files are read, None if there was no answer."""
        ended = self._gather(stage, job)
        if not job.expected or (self._run.blocked is not None and self._run.blocked[0] is job):
            return
        if ended == script.SETUP_FAILED:
            self._setup_failed(stage, job)
            return
        alive = [status for status in seen or [] if status.state != "gone"]
        if ended is None and (seen is None or alive):
            if alive:
                self._is_alive(stage, job, alive)
            return
        absence = self._absent.setdefault(job.name, _Absence())
        if absence.looks == 0:
            absence.since = time.monotonic()
            absence.started = self._run.holder(job) is not None
        absence.looks += 1
        if (
            absence.looks >= LOOKS
            and time.monotonic() - absence.since >= self._run.scheduler.patience
        ):
            self._conclude(stage, job, absence, ended)

    def _is_alive(self, stage: Stage, job: JobState, alive: Sequence[JobStatus]) -> None:
        self._absent.pop(job.name, None)
        if any(status.state == "running" for status in alive):
            stage.progress.begin(job)
        if not job.submitted:
            self._run.record(about_job("SUBMITTED", job.name, id=alive[0].id))

    def _conclude(self, stage: Stage, job: JobState, absence: _Absence, ended: int | None) -> None:
        """A job that has been missing, or its files, for long enough: no more will come."""
        if ended is not None:
            self._lose(stage, job, "the job ended without a valid report of this task")
        elif not (self._run.study / job.folder).exists():
            self._lose(stage, job, "the job folder is gone")
        elif self._run.void(job, "it was not found and had not begun"):
            for attempt in job.attempts:
                count = self._voids[attempt.identity] = self._voids.get(attempt.identity, 0) + 1
                if count > VOIDS:
                    raise FuseBlown(
                        f"the scheduler has lost {count} jobs with {attempt.name} before they began; "
                        f"the last one is {job.folder}"
                    )
        elif not absence.started:
            self._absent[job.name] = _Absence(0, 0.0)  # it began while we looked: wait once more
        else:
            self._lose(stage, job, "the job began and vanished" + _quoted(self._last_output(job)))

    def _last_output(self, job: JobState) -> str:
        return jobfolder.last_output(self._run.study / job.folder)

    def _setup_failed(self, stage: Stage, job: JobState) -> None:
        reason = f"a set-up line failed{_quoted(self._last_output(job))}"
        self._run.record(about_job("VOID", job.name, reason=reason))
        if job.name in self._run.sent:
            self._setup_failures += 1
        if self._setup_failures >= SETUP_FAILURES:
            stage.complaint = f"{reason}; correct resources.{stage.progress.step}.setup"

    # ------------------------------------------------------------ collect

    def _gather(self, stage: Stage, job: JobState) -> int | None:
        """Collect the tasks of a job that have ended; its exit status if all of it has."""
        folder = self._run.study / job.folder
        if not folder.exists():
            return None
        list(folder.iterdir())  # makes NFS look again
        holder = self._run.holder(job)
        if holder is None:
            return None
        ended = script.read_job_exit(folder, job.name, holder)
        outputs: dict[str, tuple[str, ...]] = {}
        for attempt in job.expected:
            report = script.read_task_exit(folder / attempt.folder, holder)
            if report is None or attempt.identity not in stage.pending:
                continue
            outputs = outputs or jobfolder.planned_outputs(folder)
            names = outputs[attempt.folder]
            if script.outputs_agree(folder / attempt.folder, names, report):
                self._judge(stage, job, attempt, names, report)
        return ended

    def _judge(
        self,
        stage: Stage,
        job: JobState,
        attempt: Attempt,
        names: Sequence[str],
        report: script.TaskExit,
    ) -> None:
        """Accept or reject an attempt; the record is the commit."""
        task = stage.pending[attempt.identity]
        folder = f"{job.folder}/{attempt.folder}"
        try:
            outcome = jobfolder.collect(task, self._run.study / folder, names, report)
        except jobfolder.NoProgram as error:
            self._run.record(about_attempt("REFUSED", job.name, attempt, reason=str(error)))
            if job.name in self._run.sent:  # else the user may have put it right since
                stage.complaint = stage.complaint or str(error)
            return
        if isinstance(outcome, Failure):
            details = {"reason": outcome.reason, "kind": outcome.kind}
            self._run.record(about_attempt("REJECTED", job.name, attempt, **details))
            self._after_failure(stage, task, job, folder)
            return
        digests = {name: seen and seen[0] for name, seen in zip(names, report.outputs, strict=True)}
        self._run.record(
            about_attempt("ACCEPTED", job.name, attempt, folder=folder, outputs=digests)
        )
        self._setup_failures = stage.input_failures = 0
        stage.finish(task, outcome)

    def _lose(self, stage: Stage, job: JobState, reason: str) -> None:
        """Give up what is missing of a job. Tasks behind the one that it died of are innocent."""
        expected = [a for a in job.expected if a.identity in stage.pending]
        folder = self._run.study / job.folder
        begun = [a for a in expected if (folder / a.folder / script.STDOUT).exists()]
        lost = [a.identity for a in begun or expected[:1]]
        unstarted = [a.identity for a in expected if a.identity not in lost]
        details = {"tasks": lost, "unstarted": unstarted, "reason": reason}
        self._run.record(about_job("LOST", job.name, **details))
        for identity in lost:
            self._after_failure(stage, stage.pending[identity], job, job.folder)

    def _after_failure(self, stage: Stage, task: Task[Any], job: JobState, folder: str) -> None:
        state = self._run.ledger.task(task.identity)
        if not state.exhausted:
            return
        failure = state.failures[-1]
        self._run.give_up(task, failure)
        if failure.kind == "input" and job.name not in self._run.sent:
            return  # the user may have put it right since: try again
        stage.finish(task, failure)
        if failure.kind == "input" and task.role == "label":
            stage.input_failures += 1
            all_tasks = len(stage.pending) + len(stage.results)
            if stage.input_failures >= min(INPUT_FAILURES, all_tasks):
                what = f"label '{task.name}' failed: {failure.reason}"
                stage.complaint = stage.complaint or f"{what}; see {folder}"


def _quoted(text: str) -> str:
    return f": {text}" if text else ""
