"""What is waited for: tasks that are in jobs or will be, and what has become of the others."""

from __future__ import annotations

from typing import Any

import attrs

from ald_core.flow import Batch
from ald_core.ledger import JobState
from ald_core.progress import Progress
from ald_core.types import Task


@attrs.define
class Stage:
    """One call of `JobRunner.follow`: all batches that were asked for so far."""

    cycle: int
    progress: Progress
    batches: list[Batch] = attrs.field(factory=list)
    """Without outcomes"""
    pending: dict[str, Task[Any]] = attrs.field(factory=dict)
    """By identity"""
    batch_of: dict[str, Batch] = attrs.field(factory=dict)
    """The batch that asked first for a task that is pending"""
    results: dict[str, Any] = attrs.field(factory=dict)
    """Or last failures"""
    labels: int = 0
    """Asked for so far"""
    complaint: str = ""
    """What the user has to put right"""
    input_failures: int = 0
    """Labels that failed for such a reason since the last one was accepted"""

    def expect(self, batch: Batch, task: Task[Any]) -> None:
        """A task is to be done."""
        self.pending[task.identity] = task
        self.batch_of[task.identity] = batch
        self.labels += task.role == "label"
        self.progress.expect(batch.step)

    def know(self, batch: Batch, task: Task[Any], outcome: object) -> None:
        """The result or last failure of a task was known before it was asked for."""
        self.results[task.identity] = outcome
        self.labels += task.role == "label"
        self.progress.know(batch.step, outcome)

    def finish(self, task: Task[Any], outcome: object) -> None:
        """The task has its result or its last failure."""
        self.results[task.identity] = outcome
        del self.pending[task.identity]
        self.progress.finish(self.batch_of.pop(task.identity).step, outcome)

    def close_batches(self) -> None:
        """Give their outcomes to the batches of which nothing is pending."""
        for batch in self.batches:
            if not any(task.identity in self.pending for task in batch.tasks):
                batch.outcomes = [self.results[task.identity] for task in batch.tasks]
        self.batches = [batch for batch in self.batches if batch.outcomes is None]

    def task_of(self, job: JobState) -> Task[Any] | None:
        """The first task of a job that is pending, if there is one: others may not have been asked for yet."""
        identities = (a.identity for a in job.expected if a.identity in self.pending)
        return next((self.pending[identity] for identity in identities), None)

    def begin(self, job: JobState) -> None:
        """A job was seen running."""
        task = self.task_of(job)
        if task is not None:
            self.progress.begin(self.batch_of[task.identity].step, job)
