"""Shows events while a run goes on: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ald_core.events import Event, Note, StepFinished, StepStarted, TasksChanged
from ald_core.summary import COLUMNS, Summary, duration


class Display:
    """A listener that writes to a console."""

    def __init__(self, console: Console):
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._failed = 0

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case StepStarted(cycle, step, tasks):
                self._failed = 0
                if self._console.is_terminal:
                    self._show(f"cycle {cycle}", step, _count(tasks))
                else:
                    self._print(f"cycle {cycle}: {step}: {_count(tasks)}")
            case TasksChanged():
                self._progress(event)
            case StepFinished(cycle, step, remark):
                self._live.update(Text(""), refresh=True)
                self._print(f"cycle {cycle}: {step} done{': ' if remark else ''}{remark}")
            case Note(text, level):
                self._print(f"{'warning: ' if level == 'warning' else ''}{text}")

    def _progress(self, event: TasksChanged) -> None:
        total = event.waiting + event.running + event.done + event.failed
        if self._console.is_terminal:
            left = event.seconds_left
            self._show(
                f"cycle {event.cycle}",
                event.step,
                f"{event.done}/{total} done",
                f"{event.failed} failed" if event.failed else "",
                f"{event.running} running",
                "" if left is None else f"about {duration(left)} left",
            )
        elif event.failed > self._failed:
            self._failed = event.failed
            self._print(f"cycle {event.cycle}: {event.step}: {event.failed} of {total} failed")

    def _show(self, *parts: str) -> None:
        """The live line, with as many parts as fit: a second line would not be wiped out in every terminal."""
        line = ""
        for part in filter(None, parts):
            longer = f"{line}  {part}" if line else part
            if line and len(longer) >= self._console.width:
                break
            line = longer
        self._live.update(Text(line, no_wrap=True, overflow="crop"))

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def summary_table(summary: Summary) -> Table:
    """The summary, drawn as wide as its numbers are; print it with `soft_wrap`, which cuts nothing."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for row in summary.rows:
        table.add_row(*row)
    table.width = Console(width=10_000).measure(table).maximum
    return table


def _count(tasks: int) -> str:
    return "1 task" if tasks == 1 else f"{tasks} tasks"
