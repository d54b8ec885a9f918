"""Watches submitted jobs: one query and the files that jobs leave decide what has become of them.

An answer that is missing is no answer: a job that cannot be found is dead only when its claim could be taken (it never
began: VOID) or had been taken by it (it began and vanished: LOST). Its result files outrank the queue. What the
scheduler says of its end only decides how it is tried again.
"""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from ald_core import durable, jobfolder, script
from ald_core.errors import FuseBlown, SchedulerUnavailable
from ald_core.events import Listener, Note
from ald_core.journal import Journal, Record
from ald_core.ledger import Attempt, JobState, Ledger, about_attempt, about_job, about_task
from ald_core.roles import Scheduler
from ald_core.stage import Stage
from ald_core.types import Ending, Failure, FailureKind, JobStatus, Resources, Role, Task

LOOKS = 3
"""Successful queries in a row that must miss a job before anything is concluded."""
VOIDS = 20
"""Jobs that may vanish before they begin: with one and the same task, or besides one for each task of the cycle"""
SETUP_FAILURES = 5
INPUT_FAILURES = 3
"""Labels in a row that fail for a reason which the user has to put right, before nothing more is tried."""
DEATHS = 2
"""Jobs that died on a node through no fault of theirs, before it is avoided"""
AVOIDED = 8
"""Nodes that are avoided at most"""
FAULTS: Mapping[Ending, FailureKind] = {"timeout": "time", "out_of_memory": "memory"}
"""Whose fault the end of a job was; that of the machine if it is not here."""


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
    resources: Mapping[Role, Resources] = attrs.field(factory=dict)
    """What jobs ask for at first, by step"""
    sent: set[str] = attrs.field(factory=set)
    """Names of the jobs that this process submitted"""
    blocked: dict[Role, tuple[JobState, Resources]] = attrs.field(factory=dict)
    """Jobs for which the scheduler has no room yet; those of another role may go to another queue"""
    deaths: Counter[str] = attrs.field(factory=Counter)
    """Jobs that died by node; each `ald run` counts anew, for nodes are repaired"""
    _warned: set[str] = attrs.field(factory=set)

    def record(self, record: Record) -> None:
        """Put something on record, durably."""
        if "reason" in record:
            record = {**record, "reason": jobfolder.one_line(record["reason"])}
        self.ledger.apply(self.journal.append(record))

    def warn(self, text: str) -> None:
        """Tell whoever watches."""
        self.listener(Note(text, "warning"))

    def warn_once(self, text: str, subject: str = "") -> None:
        """The same, unless something of the same subject (by default this text) has been told already."""
        if (subject or text) not in self._warned:
            self._warned.add(subject or text)
            self.warn(text)

    @property
    def avoided(self) -> tuple[str, ...]:
        """Nodes on which no more jobs should run."""
        return tuple(
            sorted(n for n, deaths in self.deaths.most_common(AVOIDED) if deaths >= DEATHS)
        )

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
    last: JobStatus | None = None
    """What the scheduler said of its end"""


class Watcher:
    """Brings the open jobs of a run forward."""

    def __init__(self, run: Run):
        self._run = run
        self._absent: dict[str, _Absence] = {}
        self._voids: Counter[str] = Counter()
        self._vanished = 0
        self._setup_failures: Counter[Role] = Counter()
        self._stuck: Counter[str] = Counter()
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
            self.unanswered = 0  # nothing was asked
            return
        found: Mapping[str, list[JobStatus]] | None = None
        begun = time.monotonic()
        try:
            found = self._run.scheduler.find(self._run.prefix)
            self.unanswered = 0
            self._report_strangers(found)
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

    def _report_strangers(self, found: Mapping[str, Sequence[JobStatus]]) -> None:
        """Jobs that bear the name of this study and are not on record are left alone, but not in silence."""
        for name in found.keys() - self._run.ledger.jobs.keys():
            alive = [status.id for status in found[name] if status.state != "gone"]
            if alive:
                self._run.warn_once(
                    f"the scheduler has a job {name} ({alive[0]}) that is not on record"
                )

    def _settle(self, stage: Stage, job: JobState, seen: list[JobStatus] | None) -> None:
        """Bring one job forward; `seen` was asked before its files are read, None if there was no answer."""
        alive = [status for status in seen or [] if status.state != "gone"]
        gone = None if seen is None or alive else _last(seen)
        ended = self._gather(stage, job, gone)
        if not job.expected or any(job is blocked for blocked, _ in self._run.blocked.values()):
            return
        if ended == script.SETUP_FAILED:
            self._setup_failed(stage, job)
            return
        if ended is None and gone is None:
            if alive:
                self._is_alive(stage, job, alive)
            return
        if ended is None and self._ask(stage, job, gone):
            return
        absence = self._absent.setdefault(job.name, _Absence())
        if absence.looks == 0:
            absence.since = time.monotonic()
            absence.started = self._run.holder(job) is not None
        if gone is not None and gone.ending != "unknown":
            absence.last = gone
        absence.looks += 1
        if (
            absence.looks >= LOOKS
            and time.monotonic() - absence.since >= self._run.scheduler.patience
        ):
            self._conclude(stage, job, absence, ended)

    def _is_alive(self, stage: Stage, job: JobState, alive: Sequence[JobStatus]) -> None:
        self._absent.pop(job.name, None)
        waiting = [status for status in alive if status.state == "waiting"]
        if any(status.state == "running" for status in alive):
            stage.begin(job)
        if not job.submitted:
            self._run.record(about_job("SUBMITTED", job.name, id=alive[0].id))
        if len(alive) > 1 and waiting:  # the claim lets one work; the others need not wait for it
            if not job.cancelled:
                self._run.record(about_job("CANCELLED", job.name, reason="submitted twice"))
            spare = waiting if len(waiting) < len(alive) else waiting[1:]
            with suppress(SchedulerUnavailable):
                self._run.scheduler.cancel([status.id for status in spare])
        for status in waiting:
            self._stuck[job.name] = self._stuck[job.name] + 1 if status.stuck else 0
            if self._stuck[job.name] == LOOKS:
                text = f"{job.name} ({status.id}) waits and may do so for ever: {status.detail}"
                self._run.warn_once(text, status.detail)

    def _ask(self, stage: Stage, job: JobState, gone: JobStatus | None) -> bool:
        """Stop the stage for a job that the user seems to have cancelled, who is asked once. False: nothing to ask."""
        if gone is None or gone.ending != "cancelled" or job.cancelled:
            return False
        self._run.record(about_job("CANCELLED", job.name, reason=gone.detail))
        stage.complaint = stage.complaint or (
            f"{job.name} ({gone.id}) was cancelled, and not by this run; `ald run` does its work in another job"
        )
        return True

    def _conclude(self, stage: Stage, job: JobState, absence: _Absence, ended: int | None) -> None:
        """A job that has been missing, or its files, for long enough: no more will come."""
        last = absence.last or self._explained(job)
        if ended is not None:
            self._lose(stage, job, "the job ended without a valid report of this task", last)
        elif not (self._run.study / job.folder).exists():
            self._lose(stage, job, "the job folder is gone", last)
        elif self._ask(stage, job, last):
            return
        elif self._run.void(job, "it was not found and had not begun"):
            if job.cancelled:
                return
            self._vanished += 1
            self._voids.update(attempt.identity for attempt in job.attempts)
            worst = max(job.attempts, key=lambda attempt: self._voids[attempt.identity])
            tasks = len(stage.pending) + len(stage.results)
            if self._voids[worst.identity] > VOIDS or self._vanished > tasks + VOIDS:
                raise FuseBlown(
                    f"the scheduler has lost {self._vanished} jobs before they began, the last one with {worst.name}"
                    f"{_quoted(last.detail)}; see {job.folder}"
                )
        elif not absence.started:
            self._absent[job.name] = _Absence(0, 0.0)  # it began while we looked: wait once more
        else:
            reason = "the job began and vanished" + _quoted(last.detail or self._last_output(job))
            self._lose(stage, job, reason, last)

    def _explained(self, job: JobState) -> JobStatus:
        """What the scheduler can still say of a job that it no longer lists."""
        folder = self._run.study / job.folder
        told = self._run.scheduler.explain(job.name, job.id, folder)
        return told or JobStatus(job.id, "gone")

    def _last_output(self, job: JobState) -> str:
        return jobfolder.last_output(self._run.study / job.folder)

    def _setup_failed(self, stage: Stage, job: JobState) -> None:
        reason = f"a set-up line failed{_quoted(self._last_output(job))}"
        task = stage.task_of(job)
        self._run.record(about_job("VOID", job.name, reason=reason))
        if task is None or job.name not in self._run.sent:
            return
        role = task.role
        self._setup_failures[role] += 1
        if self._setup_failures[role] >= SETUP_FAILURES:
            stage.complaint = f"{reason}; correct resources.{role}.setup or modules"

    # ------------------------------------------------------------ collect

    def _gather(self, stage: Stage, job: JobState, gone: JobStatus | None) -> int | None:
        """Collect the tasks of a job that have ended; its exit status if all of it has.

        Why a program was killed is known when its job is `gone`; until then it is left alone.
        """
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
            killed = report.status in jobfolder.KILLED
            if killed and (gone is None or job.cancelled or gone.ending == "cancelled"):
                continue
            outputs = outputs or jobfolder.planned_outputs(folder)
            names = outputs[attempt.folder]
            if script.outputs_agree(folder / attempt.folder, names, report):
                last = gone if killed else None
                self._judge(stage, job, attempt, names, report, last)
        return ended

    def _judge(
        self,
        stage: Stage,
        job: JobState,
        attempt: Attempt,
        names: Sequence[str],
        report: script.TaskExit,
        killed: JobStatus | None,
    ) -> None:
        """Accept or reject an attempt; the record is the commit. `killed` is the end of the job if that killed it."""
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
            if killed is not None:
                last = killed if killed.ending != "unknown" else self._explained(job)
                kind = FAULTS.get(last.ending, outcome.kind)
                outcome = Failure(outcome.reason + _quoted(last.detail), kind)
            durable.check_room(self._run.study)
            reason = outcome.reason + self._advice(task, outcome.kind)
            details = {"reason": reason, "kind": outcome.kind}
            self._run.record(about_attempt("REJECTED", job.name, attempt, **details))
            self._after_failure(stage, task, job, folder)
            return
        digests = {name: seen and seen[0] for name, seen in zip(names, report.outputs, strict=True)}
        self._run.record(
            about_attempt("ACCEPTED", job.name, attempt, folder=folder, outputs=digests)
        )
        self._setup_failures[task.role] = 0
        if task.role == "label":
            stage.input_failures = 0
        stage.finish(task, outcome)

    def _lose(self, stage: Stage, job: JobState, reason: str, last: JobStatus) -> None:
        """Give up what is missing of a job. Tasks behind the one that it died of are innocent."""
        expected = [a for a in job.expected if a.identity in stage.pending]
        folder = self._run.study / job.folder
        begun = [a for a in expected if (folder / a.folder / script.STDOUT).exists()]
        lost = [a.identity for a in begun or expected[:1] if not job.cancelled]
        unstarted = [a.identity for a in expected if a.identity not in lost]
        kind = FAULTS.get(last.ending, "infrastructure")
        durable.check_room(self._run.study)
        if lost:
            reason += self._advice(stage.pending[lost[0]], kind)
        details = {"tasks": lost, "unstarted": unstarted, "reason": reason, "kind": kind}
        self._run.record(about_job("LOST", job.name, node=last.node, **details))
        if last.node and kind == "infrastructure" and not job.cancelled:
            self._run.deaths[last.node] += 1
        for identity in lost:
            self._after_failure(stage, stage.pending[identity], job, job.folder)

    def _advice(self, task: Task[Any], kind: FailureKind) -> str:
        """What the user can do about a failure that no retry can help."""
        asked = task.resources or self._run.resources.get(task.role, Resources())
        if kind != "memory" or asked.memory is not None:
            return ""
        text = f"; it had what the queue gives by default, set `[resources.{task.role}] memory`"
        self._run.warn_once(
            f"{task.role} '{task.name}' had too little memory{text}", f"memory {task.role}"
        )
        return text

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
            more = any(other.role != "label" for other in stage.pending.values())
            if stage.input_failures >= (
                INPUT_FAILURES if more else min(INPUT_FAILURES, stage.labels)
            ):
                what = f"label '{task.name}' failed: {failure.reason}"
                stage.complaint = stage.complaint or f"{what}; see {folder}"


def _last(seen: Iterable[JobStatus]) -> JobStatus:
    """How a job ended that is in no queue: of several of one name, the one that was not cancelled as superfluous."""
    ranks = {"unknown": 1, "cancelled": 2}
    return min(seen, key=lambda s: ranks.get(s.ending, 0), default=JobStatus("", "gone"))


def _quoted(text: str) -> str:
    return f": {text}" if text else ""
