"""Runs tasks as jobs of a scheduler, and is the only code that calls one.

Whatever happens to this process, the scheduler or the machine, a later `run` goes on from what the journal and the job
folders say. An answer that is missing is no answer: a job that cannot be found is dead only when its claim could be
taken (it never began: VOID) or had been taken by it (it began and vanished: LOST).
"""

from __future__ import annotations

import os
import platform
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import attrs

from ald_core import durable, jobfolder, script
from ald_core.digests import digest
from ald_core.errors import (
    FuseBlown,
    InputError,
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUncertain,
)
from ald_core.events import Listener, Note, ignore
from ald_core.interruption import StopRequest
from ald_core.journal import Journal, Record
from ald_core.ledger import (
    Attempt,
    JobState,
    Ledger,
    about_attempt,
    about_job,
    about_task,
    intent,
)
from ald_core.progress import Progress
from ald_core.roles import Scheduler
from ald_core.types import Failure, JobStatus, Resources, Role, T, Task

LOOKS = 3
"""Successful queries in a row that must miss a job before anything is concluded."""
VOIDS = 20
SETUP_FAILURES = 5
PAUSE_PER_QUERY = 8.0
"""A pause is at least so many times as long as the query before it."""
LONGEST_PAUSE = 15
"""In units of the poll interval, while the scheduler does not answer."""


@attrs.define
class _Watch:
    """What this process has seen of a job that cannot be found."""

    looks: int = 0
    since: float = 0.0
    started: bool = False
    """Whether its claim was seen in the hands of the job"""


@attrs.define
class _Stage:
    """One call of `run`."""

    cycle: int
    pending: dict[str, Task[Any]]
    results: dict[str, Any]
    progress: Progress
    complaint: str = ""
    """What the user has to put right"""


class JobRunner:
    """Runs the tasks of one study. Finished work, of this process or an earlier one, is not redone."""

    def __init__(
        self,
        study: Path,
        run_id: str,
        journal: Journal,
        scheduler: Scheduler,
        resources: Mapping[Role, Resources],
        listener: Listener = ignore,
        poll: float | None = None,
    ):
        self._study = study.absolute()
        self._prefix = f"ald-{run_id}-"
        self._journal = journal
        self._ledger = Ledger(journal.records)
        self._scheduler = scheduler
        self._resources = resources
        self._listener = listener
        self._poll = (60.0 if scheduler.patience else 0.1) if poll is None else poll
        self._watches: dict[str, _Watch] = {}
        self._sent: set[str] = set()
        self._blocked: tuple[JobState, Resources] | None = None
        self._voids: dict[str, int] = {}
        self._setup_failures = 0
        self._unanswered = 0
        self._query_seconds = 0.0

    def run(self, cycle: int, tasks: Sequence[Task[T]]) -> list[T | Failure]:
        """Results, or the last `Failure` of a task that was given up, in the order of `tasks`.

        Raises `Stopped` on Ctrl-C or SIGTERM (jobs go on), `InputError` if the scheduler refuses or a program or set-up
        line does not work, `FuseBlown` if jobs vanish again and again.
        """
        results: dict[str, Any] = {}
        pending: dict[str, Task[Any]] = {}
        for task in tasks:
            if task.identity not in results and not self._recall(task, results):
                pending[task.identity] = task
        if pending:
            progress = Progress(cycle, next(iter(pending.values())).role, self._listener)
            with StopRequest() as stop:
                self._work(_Stage(cycle, pending, results, progress), stop)
        return [cast("T | Failure", results[task.identity]) for task in tasks]

    def _recall(self, task: Task[Any], results: dict[str, Any]) -> bool:
        """Whether the journal knows the outcome of a task already, which is then added to `results`."""
        state = self._ledger.tasks.get(task.identity)
        if state is None:
            return False
        if state.accepted is not None:
            if not jobfolder.is_deleted(self._study, state.accepted):
                results[task.identity] = jobfolder.collect_accepted(
                    task, self._study, state.accepted
                )
                return True
            self._warn(f"{state.accepted.folder} was deleted; {task.name} is done again")
            self._record(about_task("WITHDRAWN", task.identity, task.name))
        elif state.quarantined is not None:
            results[task.identity] = state.quarantined
            return True
        elif state.exhausted:  # the process died before it could say so
            self._give_up(task, state.failures[-1])
            return self._recall(task, results)
        return False

    def _work(self, stage: _Stage, stop: StopRequest) -> None:
        durable.sweep(self._study / f"ALC-{stage.cycle}" / "jobs")
        while True:
            self._look(stage)
            if stage.complaint:
                raise InputError(stage.complaint)
            if not stage.pending:
                stage.progress.tell([], stage.pending, stage.results)
                return
            stop.check()
            more = self._submit_ready(stage, stop)
            stage.progress.tell(self._ledger.open_jobs(), stage.pending, stage.results)
            stop.wait(0.0 if more else self._pause())

    def _pause(self) -> float:
        pause = max(self._poll, PAUSE_PER_QUERY * self._query_seconds)
        if self._unanswered:
            pause *= min(2.0**self._unanswered, LONGEST_PAUSE) * random.uniform(0.8, 1.0)
        return pause

    # ------------------------------------------------------------ submit

    def _submit_ready(self, stage: _Stage, stop: StopRequest) -> bool:
        """Submit all tasks that are in no job. True if it took so long that a look at the jobs is due first."""
        if self._blocked is not None and not self._submit(*self._blocked):
            return False
        begun = time.monotonic()
        for role, batch in self._batches(stage):
            stop.check()
            if time.monotonic() - begun > max(self._poll, 1.0):
                return True
            resources = self._resources.get(role, Resources())
            if not self._submit(self._publish(stage.cycle, role, batch, resources), resources):
                return False
        return False

    def _batches(self, stage: _Stage) -> Iterator[tuple[Role, list[Task[Any]]]]:
        busy = self._ledger.busy()
        ready = [task for identity, task in stage.pending.items() if identity not in busy]
        for role in dict.fromkeys(task.role for task in ready):
            alike = [task for task in ready if task.role == role]
            size = self._resources.get(role, Resources()).tasks_per_job
            for i in range(0, len(alike), size):
                yield role, alike[i : i + size]

    def _publish(
        self, cycle: int, role: Role, batch: Sequence[Task[Any]], resources: Resources
    ) -> JobState:
        """A job folder on disk and the intent to submit it on record."""
        attempts = jobfolder.attempts_of(
            [(task, self._ledger.task(task.identity).rung) for task in batch]
        )
        key = digest(role, *(task.identity for task in batch))[:12]
        number = 0
        while True:
            number += 1
            name = f"{self._prefix}{role}-{key}-{number}"
            job = JobState(name, f"ALC-{cycle}/jobs/{name}", attempts)
            if name not in self._ledger.jobs and jobfolder.publish_job(
                self._study, job, batch, resources
            ):
                break
        self._record(intent(cycle, role, job))
        return self._ledger.jobs[name]

    def _submit(self, job: JobState, resources: Resources) -> bool:
        """Submit a job whose intent is on record; False if there is no room for it now."""
        self._journal.verify()
        self._sent.add(job.name)
        was_blocked, self._blocked = self._blocked, None
        try:
            job_id = self._scheduler.submit(jobfolder.as_job(self._study, job, resources))
        except SubmitRefused as refusal:
            if refusal.retry_later:
                if was_blocked is None:
                    self._warn(f"the scheduler has no room ({refusal}); waiting for it")
                self._blocked = (job, resources)
                return False
            self._void(job, str(refusal))
            raise InputError(f"the scheduler refuses {job.name}: {refusal}") from refusal
        except SubmitUncertain as error:
            self._warn(f"the answer to the submission of {job.name} was lost ({error})")
        else:
            self._record(about_job("SUBMITTED", job.name, id=job_id))
        return True

    # ------------------------------------------------------------ watch

    def _look(self, stage: _Stage) -> None:
        """One query, then every open job of the stage: collect what has ended, conclude where that is possible."""
        jobs = [
            job
            for job in self._ledger.open_jobs()
            if any(a.identity in stage.pending for a in job.expected)
        ]
        if not jobs:
            return
        found: Mapping[str, list[JobStatus]] | None = None
        begun = time.monotonic()
        try:
            found = self._scheduler.find(self._prefix)
            self._unanswered = 0
        except SchedulerUnavailable as error:
            self._unanswered += 1
            if self._unanswered == 1:
                self._warn(f"the scheduler does not answer ({error}); jobs are left as they are")
        self._query_seconds = time.monotonic() - begun
        for job in jobs:
            self._settle(stage, job, None if found is None else found.get(job.name, []))
            if not job.expected:
                self._watches.pop(job.name, None)
                stage.progress.end(job)

    def _settle(self, stage: _Stage, job: JobState, seen: list[JobStatus] | None) -> None:
        """Bring one job forward; `seen` was asked before its files are read, None if there was no answer."""
        ended = self._gather(stage, job)
        if not job.expected or (self._blocked is not None and self._blocked[0] is job):
            return
        if ended == script.SETUP_FAILED:
            self._setup_failed(stage, job)
            return
        alive = [status for status in seen or [] if status.state != "gone"]
        if ended is None and (seen is None or alive):
            if alive:
                self._is_alive(stage, job, alive)
            return
        watch = self._watches.setdefault(job.name, _Watch())
        if watch.looks == 0:
            watch.since = time.monotonic()
            watch.started = self._holder(job) is not None
        watch.looks += 1
        if watch.looks >= LOOKS and time.monotonic() - watch.since >= self._scheduler.patience:
            self._conclude(stage, job, watch, ended)

    def _is_alive(self, stage: _Stage, job: JobState, alive: Sequence[JobStatus]) -> None:
        self._watches.pop(job.name, None)
        if any(status.state == "running" for status in alive):
            stage.progress.begin(job)
        if not job.submitted:
            self._record(about_job("SUBMITTED", job.name, id=alive[0].id))

    def _conclude(self, stage: _Stage, job: JobState, watch: _Watch, ended: int | None) -> None:
        """A job that has been missing, or its files, for long enough: no more will come."""
        if ended is not None:
            self._lose(stage, job, "the job ended without a valid report of this task")
        elif not (self._study / job.folder).exists():
            self._lose(stage, job, "the job folder is gone")
        elif self._void(job, "it was not found and had not begun"):
            for attempt in job.attempts:
                count = self._voids[attempt.identity] = self._voids.get(attempt.identity, 0) + 1
                if count > VOIDS:
                    raise FuseBlown(
                        f"the scheduler has lost {count} jobs with {attempt.name} before they began; "
                        f"the last one is {job.folder}"
                    )
        elif not watch.started:
            self._watches[job.name] = _Watch(0, 0.0)  # it began while we looked: wait once more
        else:
            self._lose(stage, job, "the job began and vanished" + _quoted(self._last_output(job)))

    def _void(self, job: JobState, reason: str) -> bool:
        """Take the claim of a job, so that it can never work. False if the job has it."""
        self._journal.verify()
        claim = self._study / job.folder / script.CLAIM
        content = f"void {platform.node()} {os.getpid()}\n"
        if not durable.claim(claim, content.encode()) and self._holder(job) is not None:
            return False
        self._record(about_job("VOID", job.name, reason=reason))
        return True

    def _holder(self, job: JobState) -> str | None:
        """Who took the claim for work."""
        holder = script.read_claim(self._study / job.folder)
        return None if holder is None or holder.startswith("void ") else holder

    def _last_output(self, job: JobState) -> str:
        return jobfolder.last_output(self._study / job.folder)

    def _setup_failed(self, stage: _Stage, job: JobState) -> None:
        reason = f"a set-up line failed{_quoted(self._last_output(job))}"
        self._record(about_job("VOID", job.name, reason=reason))
        if job.name in self._sent:
            self._setup_failures += 1
        if self._setup_failures >= SETUP_FAILURES:
            stage.complaint = f"{reason}; correct resources.{stage.progress.step}.setup"

    # ------------------------------------------------------------ collect

    def _gather(self, stage: _Stage, job: JobState) -> int | None:
        """Collect the tasks of a job that have ended; its exit status if all of it has."""
        folder = self._study / job.folder
        if not folder.exists():
            return None
        list(folder.iterdir())  # makes NFS look again
        holder = self._holder(job)
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
        stage: _Stage,
        job: JobState,
        attempt: Attempt,
        names: Sequence[str],
        report: script.TaskExit,
    ) -> None:
        """Accept or reject an attempt; the record is the commit."""
        task = stage.pending[attempt.identity]
        folder = f"{job.folder}/{attempt.folder}"
        try:
            outcome = jobfolder.collect(task, self._study / folder, names, report)
        except jobfolder.NoProgram as error:
            self._record(about_attempt("REFUSED", job.name, attempt, reason=str(error)))
            if job.name in self._sent:  # else the user may have put it right since
                stage.complaint = stage.complaint or str(error)
            return
        if isinstance(outcome, Failure):
            details = {"reason": outcome.reason, "kind": outcome.kind}
            self._record(about_attempt("REJECTED", job.name, attempt, **details))
            self._after_failure(stage, task)
            return
        digests = {name: seen and seen[0] for name, seen in zip(names, report.outputs, strict=True)}
        self._record(about_attempt("ACCEPTED", job.name, attempt, folder=folder, outputs=digests))
        self._setup_failures = 0
        self._finish(stage, task, outcome)

    def _lose(self, stage: _Stage, job: JobState, reason: str) -> None:
        """Give up what is missing of a job. Tasks behind the one that it died of are innocent."""
        expected = [a for a in job.expected if a.identity in stage.pending]
        folder = self._study / job.folder
        begun = [a for a in expected if (folder / a.folder / script.STDOUT).exists()]
        lost = [a.identity for a in begun or expected[:1]]
        unstarted = [a.identity for a in expected if a.identity not in lost]
        details = {"tasks": lost, "unstarted": unstarted, "reason": reason}
        self._record(about_job("LOST", job.name, **details))
        for identity in lost:
            self._after_failure(stage, stage.pending[identity])

    def _after_failure(self, stage: _Stage, task: Task[Any]) -> None:
        state = self._ledger.task(task.identity)
        if state.exhausted:
            failure = state.failures[-1]
            self._give_up(task, failure)
            self._finish(stage, task, failure)

    def _give_up(self, task: Task[Any], failure: Failure) -> None:
        """For good if it is a label, which a study can do without; else until the next `ald run`."""
        kind = "QUARANTINED" if task.role == "label" else "GIVEN_UP"
        details = {"reason": failure.reason, "kind": failure.kind}
        self._record(about_task(kind, task.identity, task.name, **details))

    def _finish(self, stage: _Stage, task: Task[Any], outcome: object) -> None:
        stage.results[task.identity] = outcome
        del stage.pending[task.identity]

    def _record(self, record: Record) -> None:
        self._ledger.apply(self._journal.append(record))

    def _warn(self, text: str) -> None:
        self._listener(Note(text, "warning"))


def _quoted(text: str) -> str:
    return f": {text}" if text else ""
