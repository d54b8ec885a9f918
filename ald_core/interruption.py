"""Stopping on request: Ctrl-C, SIGTERM and `ald stop` wait for the durable step under way."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import attrs

from ald_core import durable
from ald_core.errors import Stopped

_SLICE = 0.2
_BETWEEN_LOOKS = 1.0
"""Seconds between two looks for an order."""


@attrs.frozen
class StopOrder:
    """What `ald stop` asks for."""

    generation: int
    """Of the `ald run` that is meant; any other one ignores it"""
    jobs: bool = False
    """Cancel the jobs too"""
    after_cycle: bool = False
    """Go on to the end of the cycle under way"""


class StopFile:
    """`.ald/stop`, by which `ald stop` speaks to the `ald run` of a study, on whatever machine that works."""

    def __init__(self, study: Path, generation: int):
        self._path = study / ".ald" / "stop"
        self._generation = generation
        self._looked = -_BETWEEN_LOOKS
        self._order: StopOrder | None = None

    def ask(self, *, jobs: bool = False, after_cycle: bool = False) -> None:
        """Leave an order."""
        order = StopOrder(self._generation, jobs, after_cycle)
        durable.publish_file(self._path, json.dumps(attrs.asdict(order)).encode() + b"\n")

    def order(self) -> StopOrder | None:
        """The order for this `ald run`, if there is one; looks about once a second."""
        if time.monotonic() - self._looked >= _BETWEEN_LOOKS:
            self._looked = time.monotonic()
            order = _read(self._path)
            mine = order is not None and order.generation == self._generation
            self._order = order if mine else None
        return self._order

    def withdraw(self) -> None:
        """Forget orders that were followed, or meant for an `ald run` that is gone."""
        self._order = None
        order = _read(self._path)
        if order is not None and order.generation <= self._generation:
            with contextlib.suppress(Stopped):
                durable.discard(self._path)

    def check_after_cycle(self, cycle: int) -> None:
        """Raise `Stopped` if this is what was waited for; called when a cycle is finished."""
        order = self.order()
        if order is not None and order.after_cycle:
            raise Stopped(f"stopped after cycle {cycle} as `ald stop` asked; `ald run` goes on")


def _read(path: Path) -> StopOrder | None:
    try:
        return StopOrder(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


class StopRequest:
    """While it is entered, the first SIGINT or SIGTERM is only noted; a second one raises KeyboardInterrupt.

    SIGHUP is noted by nobody: a terminal that goes away is no reason to stop. Outside the main thread, where Python
    delivers no signals, only the stop file counts. Leaving with a request that nobody answered raises `Stopped`.
    """

    def __init__(self, file: StopFile | None = None) -> None:
        self.requested = False
        self._file = file
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
            self._previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if kind is None:
            self.check()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    @property
    def order(self) -> StopOrder | None:
        """What `ald stop` asks for, if that is to be done now."""
        order = self._file.order() if self._file is not None else None
        return None if order is None or order.after_cycle else order

    def check(self) -> None:
        """Raise `Stopped` if a stop was asked for; called where stopping is clean."""
        if self.requested or self.order is not None:
            raise Stopped("stopped on request; jobs that run go on, and `ald run` continues here")

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than until a stop is asked for."""
        end = time.monotonic() + seconds
        while not self.requested and self.order is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(_SLICE, left))
        self.check()
