"""`status.json` in the study folder: where a study stands, for other programs. `ald status --json` prints the same.

`ald run` replaces it whole when something has changed, about once a second at most. It informs and decides nothing: the
journal is the truth, and a file that cannot be written is no reason to stop.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import attrs
import cattrs

from ald_core.durable import show_file
from ald_core.events import (
    CycleFinished,
    Event,
    Note,
    RunEnded,
    RunStarted,
    StepFinished,
    StepStarted,
    TasksChanged,
)
from ald_core.store import CycleRecord, ForceError, finite

NAME = "status.json"
INTERVAL = 1.0
"""Seconds between two versions of the file."""
WARNINGS = 5
"""The last ones are kept."""


State = Literal["running", "finished", "stopped", "failed", "interrupted"]
"""`interrupted`: no `ald run` is at work, and the last one could not say why."""


@attrs.frozen
class Tasks:
    """Tasks of a step."""

    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.waiting + self.running + self.done + self.failed


@attrs.frozen
class Step:
    """A step of the cycle that is under way. MD of one case and labels of another may be so at the same time."""

    name: str
    tasks: Tasks = Tasks()
    """Of all cases that have come to this step"""
    seconds_left: float | None = None
    parts: int = 1
    """How many cases are in it; 1 if it is done for all cases together"""


@attrs.frozen
class Status:
    """Where a study stands. Forces are in eV/Å, energies in eV/atom."""

    state: State
    study: str
    run: str
    generation: int
    """Number of the start of `ald run` that this speaks of"""
    host: str = ""
    pid: int = 0
    reason: str = ""
    """Why it stopped or failed, in one sentence"""
    at: str = ""
    """Time of day (UTC)"""
    cycles: int = 0
    """Planned"""
    cycle: int = 0
    """Under way; cycles + 1 is the final fit"""
    steps: tuple[Step, ...] = ()
    """Under way, in the order in which they began"""
    warnings: tuple[str, ...] = ()
    results: tuple[dict[str, Any], ...] = ()
    """One for each finished cycle"""
    format: int = 1

    def to_json(self) -> str:
        """One object, with keys as the fields."""
        text = json.dumps(finite(attrs.asdict(self)), indent=1, ensure_ascii=False) + "\n"
        return text.encode("utf-8", "replace").decode()  # names of files need not be UTF-8

    def after(self, event: Event) -> Status:  # noqa: PLR0911  one answer per event
        """The status when `event` has happened."""
        match event:
            case RunStarted(cycles, records):
                rows = tuple(result(record, final=False) for record in records)
                return attrs.evolve(self, cycles=cycles, results=rows)
            case StepStarted(cycle, step, tasks):
                return attrs.evolve(self, cycle=cycle, steps=_begun(self.steps, step, tasks))
            case TasksChanged():
                return attrs.evolve(self, steps=_counted(self.steps, event))
            case StepFinished(_, step, _):
                return attrs.evolve(self, steps=_ended(self.steps, step))
            case CycleFinished(record, final):
                row = result(record, final=final)
                return attrs.evolve(self, steps=(), results=(*self.results, row))
            case Note(text, "warning"):
                return attrs.evolve(self, warnings=(*self.warnings, text)[-WARNINGS:])
            case RunEnded(outcome, reason):
                return attrs.evolve(self, state=outcome, reason=reason)
        return self


def _begun(steps: Sequence[Step], name: str, tasks: int) -> tuple[Step, ...]:
    """One more part of a step, with so many tasks."""
    if all(step.name != name for step in steps):
        return (*steps, Step(name, Tasks(waiting=tasks)))
    return tuple(
        attrs.evolve(
            step,
            parts=step.parts + 1,
            tasks=attrs.evolve(step.tasks, waiting=step.tasks.waiting + tasks),
        )
        if step.name == name
        else step
        for step in steps
    )


def _counted(steps: Sequence[Step], event: TasksChanged) -> tuple[Step, ...]:
    counts = Tasks(event.waiting, event.running, event.done, event.failed)
    left = event.seconds_left
    return tuple(
        attrs.evolve(step, tasks=counts, seconds_left=left) if step.name == event.step else step
        for step in steps
    )


def _ended(steps: Sequence[Step], name: str) -> tuple[Step, ...]:
    """A part less; a step without parts is not under way."""
    fewer = (
        attrs.evolve(step, parts=step.parts - 1) if step.name == name else step for step in steps
    )
    return tuple(step for step in fewer if step.parts)


def result(record: CycleRecord, *, final: bool) -> dict[str, Any]:
    """What a finished cycle came to."""
    return {
        "cycle": record.cycle,
        "final": final,
        "model": record.model,
        "added": record.added,
        "added_held_out": record.added_held_out,
        "quarantined": len(record.quarantined),
        "force_error_fitted": _rmse(record.fitted),
        "force_error_held_out": _rmse(record.held_out),
        "md": [
            {"case": m.case, "steps": m.steps, "planned": m.planned, "stable": m.stable,
             "reason": m.reason, "drift": m.drift,
             **({"tables": [attrs.asdict(table) for table in m.tables]} if m.tables else {})}
            for m in record.md
        ],
    }  # fmt: skip


def _rmse(error: ForceError | None) -> float | None:
    return None if error is None else error.rmse


def read_status_file(folder: Path) -> Status | None:
    """What the last `ald run` said; None if there is nothing that makes sense."""
    try:
        return cattrs.structure(json.loads((folder / NAME).read_bytes()), Status)
    except (OSError, ValueError, TypeError, cattrs.BaseValidationError):
        return None


class StatusFile:
    """A listener that keeps `status.json` true while it is entered."""

    def __init__(self, folder: Path, run: str, generation: int):
        self._path = folder / NAME
        place = (str(folder.absolute()), run, generation, platform.node(), os.getpid())
        self._status = Status("running", *place)
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._writing = threading.Thread(target=self._write_now_and_then, daemon=True)

    def __call__(self, event: Event) -> None:
        """Take account of an event."""
        status = self._status.after(event)
        if status != self._status:
            self._status = status
            self._changed.set()

    def __enter__(self) -> StatusFile:
        self._write()
        self._writing.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._changed.set()
        self._writing.join()
        if self._status.state == "running":  # nothing was run
            self._status = attrs.evolve(self._status, state="interrupted")
        self._write()

    def _write_now_and_then(self) -> None:
        while not self._ended.wait(INTERVAL):
            self._changed.wait()
            self._changed.clear()
            self._write()

    def _write(self) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        show_file(self._path, attrs.evolve(self._status, at=at).to_json().encode())
