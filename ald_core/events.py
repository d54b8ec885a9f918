"""What a run tells whoever watches it. The core emits, `cli.py` shows."""

from collections.abc import Callable
from typing import Literal

import attrs

from ald_core.store import CycleRecord


@attrs.frozen
class RunStarted:
    """A run begins, or goes on."""

    cycles: int
    """Planned"""
    records: tuple[CycleRecord, ...]
    """Of the cycles that are finished"""


@attrs.frozen
class StepStarted:
    """A step of a cycle began, or a part of it: `label`, `fit`, `md`, `select`, `judge`. Several may go on at once."""

    cycle: int
    step: str
    tasks: int
    part: str = ""
    """The case, if it is done for each by itself"""


@attrs.frozen
class TasksChanged:
    """How far the tasks of a step are, all its parts together; `seconds_left` is an estimate, when one can be made."""

    cycle: int
    step: str
    waiting: int
    running: int
    done: int
    failed: int
    seconds_left: float | None


@attrs.frozen
class StepFinished:
    """The step, or the part of it, is done; `remark` says what came out."""

    cycle: int
    step: str
    remark: str
    part: str = ""


@attrs.frozen
class CycleFinished:
    """A cycle, or the final fit, is complete and on disk."""

    record: CycleRecord
    final: bool


@attrs.frozen
class Note:
    """Something that a person should read."""

    text: str
    level: Literal["info", "warning"] = "info"


Outcome = Literal["finished", "stopped", "failed"]
"""Of a run. `stopped`: by the user, or because somebody has to look first; the next `ald run` goes on."""


@attrs.frozen
class RunEnded:
    """The run is over; `reason` is the one sentence why it is not finished."""

    outcome: Outcome
    reason: str = ""


Event = RunStarted | StepStarted | TasksChanged | StepFinished | CycleFinished | Note | RunEnded
Listener = Callable[[Event], None]


def told_to(*listeners: Listener) -> Listener:
    """A listener that passes everything on to several."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell


def ignore(event: Event) -> None:
    """A listener for nobody."""
    del event
