"""Runs tasks as jobs of a scheduler, and is the only code that calls one.

Whatever happens to this process, the scheduler or the machine, a later `run` goes on from what the journal and the job
folders say. Every submission has its folder and its intent on disk before the scheduler hears of it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from ald_core import durable, jobfolder
from ald_core.digests import digest
from ald_core.errors import (
    InputError,
    SchedulerUnavailable,
    Stopped,
    SubmitRefused,
    SubmitUncertain,
)
from ald_core.events import Listener, ignore
from ald_core.flow import Batch, Flow, outcomes
from ald_core.interruption import StopFile, StopRequest
from ald_core.journal import Journal, Record
from ald_core.ledger import JobState, Ledger, about_attempt, about_job, about_task, intent
from ald_core.progress import Progress
from ald_core.roles import Scheduler
from ald_core.stage import Stage
from ald_core.types import Failure, Resources, Role, T, Task
from ald_core.watch import Run, Watcher

PAUSE_PER_QUERY = 8.0
"""A pause is at least so many times as long as the query before it."""
LONGEST_PAUSE = 15
"""In units of the poll interval, while the scheduler does not answer."""
POLL = 60.0
"""Seconds between two looks at most, for a scheduler that does not say; it begins with one second"""
NOTHING_ASKED = Resources()
GROWTH = 1.5
"""Factor from one of these pauses to the next, while nothing happens"""


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
        stop_file: StopFile | None = None,
        secrets: Iterable[str] = (),
    ):
        self._run = Run(
            study.absolute(),
            f"ald-{run_id}-",
            journal,
            Ledger(journal.records),
            scheduler,
            listener,
            resources,
        )
        self._watcher = Watcher(self._run)
        self._rejected = _rejected(journal.records)
        self._resources = resources
        self._stop_file = stop_file
        self._secrets = frozenset(secrets)
        self._poll = scheduler.poll if poll is None else poll
        self._quiet = 0
        """Pauses since something was put on record"""
        self._seen = 0
        """Records before the last pause"""

    def run(self, cycle: int, tasks: Sequence[Task[T]]) -> list[T | Failure]:
        """Results, or the last `Failure` of a task that was given up, in the order of `tasks`. Raises as `follow`."""
        return self.follow(cycle, outcomes(tasks[0].role if tasks else "", tasks))

    def follow(self, cycle: int, flow: Flow[T]) -> T:
        """What a flow gives, whose batches are run as it asks for them.

        Raises `Stopped` on Ctrl-C or SIGTERM (jobs go on), `InputError` if the scheduler refuses or a program or set-up
        line does not work or labels fail for want of something, `FuseBlown` if jobs vanish again and again.
        """
        stage = Stage(cycle, Progress(cycle, self._run.listener))
        with closing(flow), StopRequest(self._stop_file) as stop:
            try:
                while True:
                    try:
                        batches = next(flow)
                    except StopIteration as end:
                        return cast("T", end.value)
                    self._work(stage, batches, stop)
            except Stopped as stopped:
                if stop.order is None or not stop.order.jobs:
                    raise
                number = self.cancel("cancelled by `ald stop --jobs`")
                raise Stopped(
                    f"stopped on request; {number} jobs were cancelled, and `ald run` begins them again"
                ) from stopped

    def cancel(self, reason: str) -> int:
        """Cancel all open jobs and tell how many; what they have not finished is done again, and counts as no failure.

        Raises `Stopped` if the scheduler does not answer.
        """
        jobs = self._run.ledger.open_jobs()
        self._run.journal.verify()
        try:
            found = self._run.scheduler.find(self._run.prefix)
            statuses = [status for job in jobs for status in found.get(job.name, [])]
            self._run.scheduler.cancel([s.id for s in statuses if s.state != "gone"])
        except SchedulerUnavailable as error:
            raise Stopped(
                f"stopped on request, but no job was cancelled: the scheduler does not answer ({error})"
            ) from error
        for job in jobs:
            gone = not (self._run.study / job.folder).exists()
            if not gone and self._run.void(job, reason):
                continue
            # It has begun: what is finished in it is collected by the next run.
            unfinished = [
                attempt.identity
                for attempt in job.expected
                if not jobfolder.is_finished(self._run.study, job, attempt)
            ]
            if unfinished:
                details = {"tasks": [], "unstarted": unfinished, "reason": reason}
                self._run.record(about_job("LOST", job.name, **details))
        self._run.blocked.clear()
        return len(jobs)

    def release(self, tasks: Sequence[Task[Any]]) -> None:
        """Let quarantined tasks begin anew; the others are left alone."""
        for task in tasks:
            state = self._run.ledger.tasks.get(task.identity)
            if state is not None and state.quarantined is not None and state.accepted is None:
                self._run.record(about_task("RELEASED", task.identity, task.name))

    def _recall(self, task: Task[Any], results: dict[str, Any]) -> bool:
        """Whether the journal knows the outcome of a task already, which is then added to `results`."""
        state = self._run.ledger.task(task.identity)
        failure = self._judge_again(task) if state.accepted is None else None
        if state.accepted is not None:
            if not jobfolder.is_deleted(self._run.study, state.accepted):
                results[task.identity] = jobfolder.collect_accepted(
                    task, self._run.study, state.accepted
                )
                return True
            self._run.warn(f"{state.accepted.folder} was deleted; {task.name} is done again")
            self._run.record(about_task("WITHDRAWN", task.identity, task.name))
        elif state.quarantined is not None:
            same = failure is not None and state.quarantined.kind == failure.kind
            results[task.identity] = failure if same else state.quarantined
            return True
        elif state.exhausted:  # the process died before it could say so
            self._run.give_up(task, state.failures[-1])
            return self._recall(task, results)
        return False

    def _judge_again(self, task: Task[Any]) -> Failure | None:
        """Accept an attempt that an earlier process rejected, if the gate of today lets it pass; or say why not."""
        failure = None
        for name in self._rejected.get(task.identity, ()) if task.gate else ():
            job = self._run.ledger.jobs[name]
            found = jobfolder.collect_again(task, self._run.study, job)
            if isinstance(found, Failure):
                failure = found
            elif found is not None:
                attempt, outputs = found
                folder = f"{job.folder}/{attempt.folder}"
                self._run.record(
                    about_attempt("ACCEPTED", name, attempt, folder=folder, outputs=outputs)
                )
                return None
        return failure

    def _work(self, stage: Stage, batches: Sequence[Batch], stop: StopRequest) -> None:
        """Bring all jobs forward until one of the batches, which may be new, has its outcomes."""
        new = [batch for batch in batches if not any(batch is known for known in stage.batches)]
        if new and self._take_up(stage, new):
            self._look(stage)
        while all(batch.outcomes is None for batch in batches):
            stop.check()
            more = self._submit_ready(stage, stop)
            stage.progress.tell()
            stop.wait(0.0 if more else self._pause())
            self._look(stage)

    def _take_up(self, stage: Stage, batches: Sequence[Batch]) -> bool:
        """Add batches to the stage. True if a look is due before anything is submitted."""
        first = not stage.results and not stage.pending
        if first:
            durable.sweep(self._run.study / f"ALC-{stage.cycle}" / "jobs")
        stage.batches += batches
        busy = self._run.ledger.busy()
        in_a_job = False
        for batch in batches:
            for task in batch.tasks:
                if task.identity in stage.pending or task.identity in stage.results:
                    continue
                known: dict[str, Any] = {}
                if self._recall(task, known):
                    stage.know(batch, task, known[task.identity])
                else:
                    stage.expect(batch, task)
                    in_a_job = in_a_job or task.identity in busy
        stage.close_batches()
        return first or in_a_job

    def _look(self, stage: Stage) -> None:
        self._watcher.look(stage)
        if stage.complaint:
            raise InputError(stage.complaint)
        stage.close_batches()
        stage.progress.tell()

    def _pause(self) -> float:
        records = len(self._run.journal.records)
        self._quiet = self._quiet + 1 if records == self._seen else 0
        self._seen = records
        poll = min(GROWTH ** min(self._quiet, 99), POLL) if self._poll is None else self._poll
        pause = max(poll, PAUSE_PER_QUERY * self._watcher.query_seconds)
        if self._watcher.unanswered:
            pause *= 2.0 ** min(self._watcher.unanswered, 10)
            longest = LONGEST_PAUSE * (POLL if self._poll is None else self._poll)
            pause = min(pause, longest) * random.uniform(0.8, 1.0)
        return pause

    # ------------------------------------------------------------ submit

    def _submit_ready(self, stage: Stage, stop: StopRequest) -> bool:
        """Submit all tasks that are in no job. True if it took so long that a look at the jobs is due first."""
        if self._watcher.unanswered:  # a submission now would get no answer either
            return False
        for role, (job, resources) in list(self._run.blocked.items()):
            if not self._submit(role, job, resources):
                return False
        begun = time.monotonic()
        for role, resources, pack in self._packs(stage):
            if role in self._run.blocked:
                continue
            stop.check()
            if time.monotonic() - begun > max(self._poll or 0.0, 1.0):
                return True
            durable.check_room(self._run.study)
            if not self._submit(role, self._publish(stage.cycle, role, pack, resources), resources):
                return False
        return False

    def _packs(self, stage: Stage) -> Iterator[tuple[Role, Resources, list[Task[Any]]]]:
        """Tasks of one batch and one role that need the same fill jobs; looked for no further than they are taken."""
        busy = self._run.ledger.busy()
        alike: dict[tuple[Batch, Role, Resources], list[Task[Any]]] = {}
        for identity, task in list(stage.pending.items()):
            if identity in busy:
                continue
            key = (stage.batch_of[identity], task.role, self._resources_of(task))
            pack = alike.setdefault(key, [])
            pack.append(task)
            if len(pack) == key[2].tasks_per_job:
                yield key[1], key[2], alike.pop(key)
        for (_, role, resources), pack in alike.items():
            yield role, resources, pack

    def _resources_of(self, task: Task[Any]) -> Resources:
        """Those of its case or step, and more after it died for want of them."""
        resources = task.resources or self._resources.get(task.role, NOTHING_ASKED)
        state = self._run.ledger.tasks.get(task.identity)
        if state is None or not state.failures:
            return resources
        died = Counter(failure.kind for failure in state.failures)
        unclear = died["resources"]
        return resources.raised(times=died["time"] + unclear, memories=died["memory"] + unclear)

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

    def _submit(self, role: Role, job: JobState, resources: Resources) -> bool:
        """Submit a job whose intent is on record; False if nobody answers, so that no more should follow now."""
        self._run.journal.verify()
        self._run.sent.add(job.name)
        self._run.blocked.pop(role, None)
        try:
            job_id = self._run.scheduler.submit(
                jobfolder.as_job(self._run.study, job, resources, self._run.avoided, self._secrets)
            )
        except SubmitRefused as refusal:
            if refusal.retry_later:
                self._run.warn_once(f"the scheduler has no room ({refusal}); waiting for it")
                self._run.blocked[role] = (job, resources)
                return True
            self._run.void(job, str(refusal))
            raise InputError(f"the scheduler refuses {job.name}: {refusal}") from refusal
        except SubmitUncertain as error:
            self._run.warn(f"the answer to the submission of {job.name} was lost ({error})")
            return False
        else:
            self._run.record(about_job("SUBMITTED", job.name, id=job_id))
        return True


def _rejected(records: Iterable[Record]) -> dict[str, list[str]]:
    """Jobs in which a task gave something that was not believed, oldest first, by its identity."""
    found: dict[str, list[str]] = {}
    for record in records:
        if record["type"] == "REJECTED" and record["kind"] == "invalid":
            found.setdefault(record["task"], []).append(record["job"])
    return found
