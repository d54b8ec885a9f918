"""What a run tells whoever watches it. The core emits, `cli.py` shows."""

from collections.abc import Callable
from typing import Literal

import attrs


@attrs.frozen
class StepStarted:
    """A step of a cycle began: `label`, `fit`, `md`, `select`, `judge`."""

    cycle: int
    step: str
    tasks: int


@attrs.frozen
class TasksChanged:
    """How far the tasks of the step are; `seconds_left` is an estimate, when one can be made."""

    cycle: int
    step: str
    waiting: int
    running: int
    done: int
    failed: int
    seconds_left: float | None


@attrs.frozen
class StepFinished:
    """The step is done; `remark` says what came out."""

    cycle: int
    step: str
    remark: str


@attrs.frozen
class Note:
    """Something that a person should read."""

    text: str
    level: Literal["info", "warning"] = "info"


Event = StepStarted | TasksChanged | StepFinished | Note
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener for nobody."""
    del event
