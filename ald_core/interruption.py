"""Stopping on request: Ctrl-C and SIGTERM wait for the durable step under way."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from ald_core.errors import Stopped

_SLICE = 0.2


class StopRequest:
    """While it is entered, the first SIGINT or SIGTERM is only noted; a second one raises KeyboardInterrupt.

    SIGHUP is noted by nobody: a terminal that goes away is no reason to stop. Outside the main thread, where Python
    delivers no signals, it does nothing. Leaving with a request that nobody answered raises `Stopped`.
    """

    def __init__(self) -> None:
        self.requested = False
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

    def check(self) -> None:
        """Raise `Stopped` if a stop was asked for; called where stopping is clean."""
        if self.requested:
            raise Stopped("stopped on request; jobs that run go on, and `ald run` continues here")

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than until a stop is asked for."""
        end = time.monotonic() + seconds
        while not self.requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(_SLICE, left))
        self.check()
