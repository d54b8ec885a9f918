"""Runs tasks as jobs of a scheduler, and is the only code that calls one.

Whatever happens to this process, the scheduler or the machine, a later `run` goes on from what the journal and the job
folders say. Every submission has its folder and its intent on disk before the scheduler hears of it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ald_core import durable, jobfolder
from ald_core.digests import digest
from ald_core.errors import InputError, SubmitRefused, SubmitUncertain
from ald_core.events import Listener, ignore
from ald_core.interruption import StopRequest
from ald_core.journal import Journal
from ald_core.ledger import JobState, Ledger, about_job, about_task, intent
from ald_core.progress import Progress
from ald_core.roles import Scheduler
from ald_core.types import Failure, Resources, Role, T, Task
from ald_core.watch import Run, Stage, Watcher

PAUSE_PER_QUERY = 8.0
"""A pause is at least so many times as long as the query before it."""
LONGEST_PAUSE = 15
"""In units of the poll interval, while the scheduler does not answer."""


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
        self._run = Run(
            study.absolute(),
            f"ald-{run_id}-",
            journal,
            Ledger(journal.records),
            scheduler,
            listener,
        )
        self._watcher = Watcher(self._run)
        self._resources = resources
        self._poll = (60.0 if scheduler.patience else 0.1) if poll is None else poll

    def run(self, cycle: int, tasks: Sequence[Task[T]]) -> list[T | Failure]:
        """Results, or the last `Failure` of a task that was given up, in the order of `tasks`.

        Raises `Stopped` on Ctrl-C or SIGTERM (jobs go on), `InputError` if the scheduler refuses or a program or set-up
        line does not work or labels fail for want of something, `FuseBlown` if jobs vanish again and again.
        """
        results: dict[str, Any] = {}
        pending: dict[str, Task[Any]] = {}
        for task in tasks:
            if task.identity not in results and not self._recall(task, results):
                pending[task.identity] = task
        if pending:
            progress = Progress(cycle, next(iter(pending.values())).role, self._run.listener)
            with StopRequest() as stop:
                self._work(Stage(cycle, pending, results, progress), stop)
        return [cast("T | Failure", results[task.identity]) for task in tasks]

    def release(self, tasks: Sequence[Task[Any]]) -> None:
        """Let quarantined tasks begin anew; the others are left alone."""
        for task in tasks:
            state = self._run.ledger.tasks.get(task.identity)
            if state is not None and state.quarantined is not None:
                self._run.record(about_task("RELEASED", task.identity, task.name))

    def _recall(self, task: Task[Any], results: dict[str, Any]) -> bool:
        """Whether the journal knows the outcome of a task already, which is then added to `results`."""
        state = self._run.ledger.tasks.get(task.identity)
        if state is None:
            return False
        if state.accepted is not None:
            if not jobfolder.is_deleted(self._run.study, state.accepted):
                results[task.identity] = jobfolder.collect_accepted(
                    task, self._run.study, state.accepted
                )
                return True
            self._run.warn(f"{state.accepted.folder} was deleted; {task.name} is done again")
            self._run.record(about_task("WITHDRAWN", task.identity, task.name))
        elif state.quarantined is not None:
            results[task.identity] = state.quarantined
            return True
        elif state.exhausted:  # the process died before it could say so
            self._run.give_up(task, state.failures[-1])
            return self._recall(task, results)
        return False

    def _work(self, stage: Stage, stop: StopRequest) -> None:
        durable.sweep(self._run.study / f"ALC-{stage.cycle}" / "jobs")
        while True:
            self._watcher.look(stage)
            if stage.complaint:
                raise InputError(stage.complaint)
            if not stage.pending:
                stage.progress.tell([], stage.pending, stage.results)
                return
            stop.check()
            more = self._submit_ready(stage, stop)
            stage.progress.tell(self._run.ledger.open_jobs(), stage.pending, stage.results)
            stop.wait(0.0 if more else self._pause())

    def _pause(self) -> float:
        pause = max(self._poll, PAUSE_PER_QUERY * self._watcher.query_seconds)
        if self._watcher.unanswered:
            pause *= min(2.0**self._watcher.unanswered, LONGEST_PAUSE) * random.uniform(0.8, 1.0)
        return pause

    # ------------------------------------------------------------ submit

    def _submit_ready(self, stage: Stage, stop: StopRequest) -> bool:
        """Submit all tasks that are in no job. True if it took so long that a look at the jobs is due first."""
        if self._run.blocked is not None and not self._submit(*self._run.blocked):
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

    def _batches(self, stage: Stage) -> Iterator[tuple[Role, list[Task[Any]]]]:
        busy = self._run.ledger.busy()
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
            [(task, self._run.ledger.task(task.identity).rung) for task in batch]
        )
        key = digest(role, *(task.identity for task in batch))[:12]
        number = 0
        while True:
            number += 1
            name = f"{self._run.prefix}{role}-{key}-{number}"
            job = JobState(name, f"ALC-{cycle}/jobs/{name}", attempts)
            if name not in self._run.ledger.jobs and jobfolder.publish_job(
                self._run.study, job, batch, resources
            ):
                break
        self._run.record(intent(cycle, role, job))
        return self._run.ledger.jobs[name]

    def _submit(self, job: JobState, resources: Resources) -> bool:
        """Submit a job whose intent is on record; False if there is no room for it now."""
        self._run.journal.verify()
        self._run.sent.add(job.name)
        was_blocked, self._run.blocked = self._run.blocked, None
        try:
            job_id = self._run.scheduler.submit(jobfolder.as_job(self._run.study, job, resources))
        except SubmitRefused as refusal:
            if refusal.retry_later:
                if was_blocked is None:
                    self._run.warn(f"the scheduler has no room ({refusal}); waiting for it")
                self._run.blocked = (job, resources)
                return False
            self._run.void(job, str(refusal))
            raise InputError(f"the scheduler refuses {job.name}: {refusal}") from refusal
        except SubmitUncertain as error:
            self._run.warn(f"the answer to the submission of {job.name} was lost ({error})")
        else:
            self._run.record(about_job("SUBMITTED", job.name, id=job_id))
        return True
