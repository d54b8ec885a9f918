"""How far the tasks of a step are, for whoever watches. Times are for display and decide nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from ald_core.events import Listener, TasksChanged
from ald_core.ledger import JobState
from ald_core.types import Failure


@attrs.define
class Progress:
    """Counts tasks and times jobs of one step; tells the listener when something has changed."""

    cycle: int
    step: str
    listener: Listener
    _running: dict[str, float] = attrs.field(factory=dict)
    """When a job was first seen running, by name"""
    _seconds: list[float] = attrs.field(factory=list)
    """Time per task in each finished job"""
    _last: TasksChanged | None = None

    def begin(self, job: JobState) -> None:
        """A job was seen running."""
        self._running.setdefault(job.name, time.monotonic())

    def end(self, job: JobState) -> None:
        """Nothing more is expected of a job."""
        begun = self._running.pop(job.name, None)
        if begun is not None:
            self._seconds.append((time.monotonic() - begun) / len(job.attempts))

    def tell(
        self, open_jobs: Iterable[JobState], pending: Mapping[str, Any], results: Mapping[str, Any]
    ) -> None:
        """Count, and emit `TasksChanged` if the counts differ from the last ones."""
        jobs = [job for job in open_jobs if job.name in self._running]
        running = sum(a.identity in pending for job in jobs for a in job.expected)
        failed = sum(isinstance(result, Failure) for result in results.values())
        event = TasksChanged(
            self.cycle,
            self.step,
            waiting=len(pending) - running,
            running=running,
            done=len(results) - failed,
            failed=failed,
            seconds_left=self._left(len(pending), len(jobs)),
        )
        if self._last is None or attrs.evolve(event, seconds_left=None) != self._last:
            self._last = attrs.evolve(event, seconds_left=None)
            self.listener(event)

    def _left(self, tasks: int, jobs: int) -> float | None:
        if not self._seconds:
            return None
        return sum(self._seconds) / len(self._seconds) * tasks / max(jobs, 1)
