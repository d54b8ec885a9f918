"""Shows events while a run goes on: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ald_core.events import Event, Note, StepFinished, StepStarted, TasksChanged
from ald_core.status_file import Status, Step
from ald_core.summary import COLUMNS, Summary, duration
from ald_core.types import Cell


class Display:
    """A listener that writes to a console."""

    def __init__(self, console: Console):
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._status = Status("running", "", "", 0)
        self._failed: dict[tuple[int, str], int] = {}

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
        self._status = self._status.after(event)
        match event:
            case StepStarted(cycle, step, tasks, part):
                if not self._console.is_terminal:
                    self._print(f"cycle {cycle}: {_name(step, part)}: {_count(tasks)}")
            case TasksChanged() if not self._console.is_terminal:
                self._failures(event)
            case StepFinished(cycle, step, remark, part):
                self._live.update(Text(""), refresh=True)
                done = f"{_name(step, part)} done{': ' if remark else ''}{remark}"
                self._print(f"cycle {cycle}: {done}")
            case Note(text, level):
                self._print(f"{'warning: ' if level == 'warning' else ''}{text}")
        if self._console.is_terminal and self._status.steps:
            self._show(f"cycle {self._status.cycle}", *_steps(self._status.steps))

    def _failures(self, event: TasksChanged) -> None:
        step = (event.cycle, event.step)
        if event.failed > self._failed.get(step, 0):
            self._failed[step] = event.failed
            total = event.waiting + event.running + event.done + event.failed
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
    return _as_wide_as_needed(table)


def result_tables(summary: Summary) -> list[Text | Table]:
    """What MD runs gave beyond the summary, each table with a line above; print them like the summary."""
    shown: list[Text | Table] = []
    for result in summary.tables:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for i, column in enumerate(result.columns):
            of_text = any(isinstance(row[i], str) for row in result.rows)
            table.add_column(column, justify="left" if of_text else "right", no_wrap=True)
        for row in result.rows:
            table.add_row(*map(_cell, row))
        where = f"ALC-{summary.tables_of}/{result.name}.csv"
        shown += [Text(f"{result.name} in cycle {summary.tables_of} ({where})")]
        shown += [_as_wide_as_needed(table)]
    return shown


def _cell(value: Cell) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _as_wide_as_needed(table: Table) -> Table:
    table.width = Console(width=10_000).measure(table).maximum
    return table


def _steps(steps: Sequence[Step]) -> list[str]:
    """What goes on, in parts of the live line: in detail if it is one step, in short if there are several."""
    if len(steps) != 1:
        return [_in_short(step) for step in steps]
    [step] = steps
    n, left = step.tasks, step.seconds_left
    return [
        step.name,
        f"{n.done}/{n.total} done",
        f"{n.failed} failed" if n.failed else "",
        f"{n.running} running",
        "" if left is None else f"about {duration(left)} left",
    ]


def _in_short(step: Step) -> str:
    n = step.tasks
    failed = f", {n.failed} failed" if n.failed else ""
    running = f", {n.running} running" if n.running else ""
    return f"{step.name} {n.done}/{n.total}{failed}{running}"


def _name(step: str, part: str) -> str:
    return f"{step} of {part}" if part else step


def _count(tasks: int) -> str:
    return "1 task" if tasks == 1 else f"{tasks} tasks"
