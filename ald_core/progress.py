"""How far the tasks of each step are, for whoever watches. Times are for display and decide nothing."""

from __future__ import annotations

import time

import attrs

from ald_core.events import Listener, TasksChanged
from ald_core.ledger import JobState
from ald_core.types import Failure


@attrs.define
class _Step:
    """Counts of one step."""

    pending: int = 0
    done: int = 0
    failed: int = 0
    running: dict[str, tuple[JobState, float]] = attrs.field(factory=dict)
    """Jobs that were seen running, by name, and when that was first"""
    seconds: list[float] = attrs.field(factory=list)
    """Time per task in each finished job"""
    last: TasksChanged | None = None


@attrs.define
class Progress:
    """Counts tasks and times jobs of the steps of a cycle; tells the listener when something has changed."""

    cycle: int
    listener: Listener
    _steps: dict[str, _Step] = attrs.field(factory=dict)

    def expect(self, step: str) -> None:
        """One more task of a step is to be done."""
        self._steps.setdefault(step, _Step()).pending += 1

    def know(self, step: str, outcome: object) -> None:
        """A task has an outcome that was known before it was asked for."""
        failed = isinstance(outcome, Failure)
        counts = self._steps.setdefault(step, _Step())
        counts.failed += failed
        counts.done += not failed

    def finish(self, step: str, outcome: object) -> None:
        """An expected task has its outcome."""
        self._steps[step].pending -= 1
        self.know(step, outcome)

    def begin(self, step: str, job: JobState) -> None:
        """A job was seen running."""
        self._steps[step].running.setdefault(job.name, (job, time.monotonic()))

    def end(self, job: JobState) -> None:
        """Nothing more is expected of a job."""
        for counts in self._steps.values():
            begun = counts.running.pop(job.name, None)
            if begun is not None:
                counts.seconds.append((time.monotonic() - begun[1]) / len(job.attempts))

    def tell(self) -> None:
        """Emit `TasksChanged` for each step whose counts differ from the last ones."""
        for name, counts in self._steps.items():
            running = sum(len(job.expected) for job, _ in counts.running.values())
            running = min(running, counts.pending)
            event = TasksChanged(
                self.cycle,
                name,
                waiting=counts.pending - running,
                running=running,
                done=counts.done,
                failed=counts.failed,
                seconds_left=_left(counts),
            )
            known_before = counts.last is None and not counts.pending
            if not known_before and attrs.evolve(event, seconds_left=None) != counts.last:
                counts.last = attrs.evolve(event, seconds_left=None)
                self.listener(event)


def _left(counts: _Step) -> float | None:
    if not counts.seconds:
        return None
    mean = sum(counts.seconds) / len(counts.seconds)
    return mean * counts.pending / max(len(counts.running), 1)
