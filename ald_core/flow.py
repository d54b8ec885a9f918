"""Work that goes on side by side: generators that say which tasks they wait for.

A flow yields batches of tasks, and is resumed when one of those that it yielded last has its outcomes. Who drives it
(`JobRunner.follow`) sees batches only; that several flows go on at once is the affair of `each` and `both`. What a flow
gives must not depend on which batch ends first: flows share nothing, and their results come in the order of the flows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar, cast

import attrs

from ald_core.errors import InputError, PluginError
from ald_core.types import Failure, RunJobs, T, Task

A = TypeVar("A")
B = TypeVar("B")


@attrs.define(eq=False)
class Batch:
    """Tasks that are asked for together. They share jobs with one another only, whatever else there is at the time."""

    step: str
    """What they are for, as people are told: `md`, `label`, `judge`"""
    tasks: Sequence[Task[Any]]
    outcomes: list[Any] | None = None
    """Results or last failures in the order of the tasks, once all have one"""


Flow = Generator[list[Batch], None, T]


def outcomes(step: str, tasks: Sequence[Task[T]]) -> Flow[list[T | Failure]]:
    """Results of tasks in their order, where the last `Failure` may stand for a result."""
    batch = Batch(step, tasks, None if tasks else [])
    while batch.outcomes is None:
        yield [batch]
    return batch.outcomes


def successes(cycle: int, step: str, tasks: Sequence[Task[T]]) -> Flow[list[T]]:
    """Results of tasks of which none may fail: a failure is an InputError with its reason."""
    return must_succeed(cycle, tasks, (yield from outcomes(step, tasks)))


def must_succeed(cycle: int, tasks: Sequence[Task[T]], outcomes: Sequence[T | Failure]) -> list[T]:
    """The outcomes, of which none may be a failure: that is an InputError with its reason."""
    for task, outcome in zip(tasks, outcomes, strict=True):
        if isinstance(outcome, Failure):
            raise InputError(f"cycle {cycle}: {task.role} '{task.name}' failed: {outcome.reason}")
    return cast("list[T]", list(outcomes))


def each(flows: Iterable[Flow[T]]) -> Flow[list[T]]:
    """All of them at once; what they give, in their order.

    If one meets an InputError, the others go on to their end before it is raised (the first in their order), because
    work that does not need the failed one is not lost by it. Anything else ends all of them at once.
    """
    begun = list(flows)
    waits: dict[int, list[Batch]] = {i: [] for i in range(len(begun))}
    ends: dict[int, T] = {}
    errors: dict[int, InputError] = {}
    try:
        while waits:
            for i, batches in list(waits.items()):
                if batches and all(batch.outcomes is None for batch in batches):
                    continue
                try:
                    waits[i] = next(begun[i])
                    continue
                except StopIteration as end:
                    ends[i] = end.value
                except InputError as error:
                    errors[i] = error
                del waits[i]
            if waits:
                yield [batch for batches in waits.values() for batch in batches]
    finally:
        for flow in begun:
            flow.close()
    if errors:
        raise errors[min(errors)]
    return [ends[i] for i in range(len(begun))]


def both(first: Flow[A], second: Flow[B]) -> Flow[tuple[A, B]]:
    """Two different flows at once, as `each`."""
    a, b = yield from each(cast("Iterable[Flow[Any]]", (first, second)))
    return a, b


# ---------------------------------------------------------------- functions of plugins


class _Abandoned(BaseException):
    """Leaves a plugin's function that has to wait; no Exception, so that it is not taken for a failure there."""


@attrs.define
class _Replay:
    """`run_jobs` for one call of a plugin's function."""

    what: str
    cycle: int
    answered: list[tuple[list[str], list[Any]]]
    """Identities and outcomes of the tasks asked for so far, in the order of the questions"""
    position: int = 0
    wanted: list[Task[Any]] | None = None

    def __call__(self, tasks: list[Task[Any]]) -> list[Any]:
        if not tasks:
            return []
        identities = [task.identity for task in tasks]
        if self.position == len(self.answered):
            self.wanted = tasks
            raise _Abandoned
        known, outcomes = self.answered[self.position]
        self.position += 1
        if known != identities:
            raise PluginError(
                f"{self.what} asked for other jobs when it was called again with the same arguments; what it asks for "
                "must depend on them alone"
            )
        return must_succeed(self.cycle, tasks, outcomes)


def replayed(cycle: int, step: str, what: str, call: Callable[[RunJobs], T]) -> Flow[T]:
    """What `call(run_jobs)` gives, where other flows go on while it waits for its jobs. `what`: its name in messages.

    A function cannot be left in its middle and be gone on with. So it is abandoned when it asks for jobs, and called
    again from its start when they have ended; this time it has its answer at once, as after a crash.
    """
    answered: list[tuple[list[str], list[Any]]] = []
    while True:
        replay = _Replay(what, cycle, answered)
        try:
            result = call(replay)
        except _Abandoned:
            pass
        else:
            if replay.wanted is None:
                return result
        tasks = replay.wanted or []
        found = yield from outcomes(step, tasks)
        answered.append(([task.identity for task in tasks], found))
