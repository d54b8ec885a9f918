"""A scheduler in this process that does to many jobs all that can happen to them."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import ClassVar

import attrs
from fake_world import FakeJob, World, task

from ald_core.errors import SchedulerUnavailable, SubmitUncertain
from ald_core.roles import Scheduler
from ald_core.types import Failure, JobStatus


class Killed(BaseException):
    """`ald run` is gone."""


@attrs.define(kw_only=True, slots=False)
class Sim(Scheduler):
    """Faulty as can be; keeps the CPU time that was spent here, which is not that of `ald`."""

    name: ClassVar[str] = "sim"
    patience: ClassVar[float] = 0.0

    world: World
    dice: random.Random
    deadline: int
    spent: float = 0.0
    ended: int = 0
    looks: int = 0
    _numbers: Iterator[int] = attrs.field(factory=count)
    _queue: dict[str, FakeJob] = attrs.field(factory=dict)

    @contextmanager
    def apart(self):
        begun = time.process_time()
        yield
        self.spent += time.process_time() - begun

    def submit(self, job):
        with self.apart():
            lost = self.dice.random()
            if lost < 0.15:
                raise SubmitUncertain("lost")
            number = str(next(self._numbers))
            work = self.world.script(number, job.name, job.folder)
            self._queue[number] = FakeJob(number, job.name, job.folder, work)
            if lost < 0.3:
                raise SubmitUncertain("lost")
            return number

    def find(self, prefix):
        self.looks += 1
        with self.apart():
            if self.ended >= self.deadline:
                raise Killed
            if self.dice.random() < 0.05:
                raise SchedulerUnavailable("no answer")
            answer = {}
            for job in self._queue.values():
                answer.setdefault(job.name, []).append(JobStatus(job.id, "running"))
            for number in self.dice.sample(sorted(self._queue), min(50, len(self._queue))):
                job = self._queue.pop(number)
                steps = 3 if self.dice.random() < 0.01 else 99
                for _ in zip(range(steps), job.work, strict=False):
                    pass
                job.work.close()
                self.ended += 1
            return answer

    def cancel(self, ids):
        for number in ids:
            self._queue.pop(number, None)


def frame(number: int):
    """Every 97th gives nothing sensible."""
    made = task(f"frame {number}")
    if number % 97:
        return made
    return attrs.evolve(made, collect=lambda workdir: Failure("nonsense"))
