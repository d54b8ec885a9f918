"""Notices to people: a cycle is finished, the run is finished, was stopped, or failed.

Each notifier works in a thread of its own. It never delays a run, but for some seconds at the end; what cannot be sent
is told as a warning.
"""

from __future__ import annotations

import contextlib
import platform
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from ald_core.events import CycleFinished, Event, Listener, Note, RunEnded, RunStarted, StepStarted
from ald_core.jobfolder import one_line
from ald_core.roles import Notifier
from ald_core.store import CycleRecord
from ald_core.summary import summarise
from ald_core.types import Notice, NoticeEvent

PATIENCE = 10.0
"""Seconds for which the end of a run waits for notices that are not sent yet."""
LENGTH = 20_000
"""Characters of a notice."""


class _Sender:
    """One notifier with its thread, and what went wrong there."""

    def __init__(self, notifier: Notifier):
        self.notifier = notifier
        self.waiting: queue.Queue[Notice | None] = queue.Queue()
        self.failures: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self) -> None:
        while (notice := self.waiting.get()) is not None:
            try:
                self.notifier.notify(notice)
            except Exception as error:  # noqa: BLE001  a notifier may fail in any way
                why = one_line(str(error)) or type(error).__name__
                self.failures.put(f"the notice '{notice.title}' could not be sent: {why}")


class Notices:
    """A listener that passes on to the notifiers what they want to hear, while it is entered."""

    def __init__(self, notifiers: Sequence[Notifier], study: Path, listener: Listener):
        self._senders = [_Sender(notifier) for notifier in notifiers]
        self._study = study.absolute()
        self._listener = listener
        self._cycles = 0
        self._worked = False

    def __call__(self, event: Event) -> None:
        """Queue what is to be sent, and tell of what could not be."""
        self._tell_failures()
        match event:
            case RunStarted(cycles, _):
                self._cycles = cycles
            case StepStarted():
                self._worked = True
            case CycleFinished(record, False):
                self._queue(self._of_cycle(record))
            case RunEnded("finished") if self._worked:  # else it was finished before
                text = "All planned cycles and the final fit are done."
                self._queue(self._notice("finished", "finished", text))
            case RunEnded("stopped" | "failed" as outcome, reason):
                self._queue(self._notice(outcome, one_line(reason, 150), reason))

    def __enter__(self) -> Notices:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sender in self._senders:
            sender.waiting.put(None)
        end = time.monotonic() + PATIENCE
        for sender in self._senders:
            sender.thread.join(max(end - time.monotonic(), 0.0))
            if sender.thread.is_alive():
                name = sender.notifier.name
                text = (
                    f"a notice by '{name}' was not sent within {PATIENCE:g} seconds; not waited for"
                )
                self._listener(Note(text, "warning"))
        self._tell_failures()

    def _queue(self, notice: Notice) -> None:
        for sender in self._senders:
            if notice.event in sender.notifier.events:
                sender.waiting.put(notice)

    def _tell_failures(self) -> None:
        for sender in self._senders:
            with contextlib.suppress(queue.Empty):
                while True:
                    self._listener(Note(sender.failures.get_nowait(), "warning"))

    def _of_cycle(self, record: CycleRecord) -> Notice:
        summary = summarise([record], final=False)
        lines = [
            f"{record.added} frames were added, {record.added_held_out} of them held out; "
            f"{len(record.quarantined)} are quarantined.",
            *summary.remarks,
        ]
        what = f"cycle {record.cycle} of {self._cycles} finished"
        return self._notice("cycle", what, "\n".join(lines))

    def _notice(self, event: NoticeEvent, what: str, text: str) -> Notice:
        where = f"study {self._study} on {platform.node()}"
        title = one_line(f"ald: {self._study.name}: {what}", 200)
        return Notice(event, self._study, title, f"{text}\n\n{where}\n"[:LENGTH])
