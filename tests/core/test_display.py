"""What people see in terminals and pipes of any width."""

import io

import pytest
from rich.console import Console

from ald_core.display import Display, result_tables, summary_table
from ald_core.events import StepFinished, StepStarted, TasksChanged
from ald_core.store import CycleRecord, ForceError, MDRecord
from ald_core.summary import COLUMNS, summarise
from ald_core.types import ResultTable
from ald_core.units import KCAL_PER_MOL


@pytest.mark.parametrize("width", [40, 80])
def test_no_number_of_the_summary_is_cut(width):
    stream = io.StringIO()
    runs = (MDRecord("hot", 9, 9, True, "", 1300 * KCAL_PER_MOL, (300000, 3249, 47)),)
    error = ForceError(1.1489, 10)
    records = [CycleRecord(n, "m", "f", 12, 3, (), error, error, runs) for n in (99, 100)]
    summary = summarise(records, final=False)
    Console(file=stream, width=width).print(summary_table(summary), soft_wrap=True)
    lines = stream.getvalue().splitlines()
    assert "…" not in stream.getvalue()
    head = max(column.count("\n") for column in COLUMNS) + 1
    rows = [["99", "12", "(3)"], ["100", "12", "(3)"]]
    numbers = ["26.49", "(1.1489)", "26.49", "(1.1489)", "1.3e+03", "300000/3249/47", "0"]
    assert [line.split() for line in lines[head:]] == [row + numbers for row in rows]


def test_tables_of_runs_are_shown_whole():
    stream = io.StringIO()
    rows = (("O1 H2 2(H-O)", 0.123456, None), ("H2 1(H-H)", 1.0, 0.05))
    table = ResultTable("molecules", ("molecule", "mole fraction", "lifetime (ps)"), rows)
    runs = (MDRecord("a very long name of a case", 9, 9, True, "", None, (9, 0, 0), (table,)),)
    summary = summarise([CycleRecord(7, "m", "f", md=runs)], final=False)
    for part in result_tables(summary):
        Console(file=stream, width=30).print(part, soft_wrap=True)
    head, columns, *lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert head == "molecules in cycle 7 (ALC-7/molecules.csv)"
    assert columns.split() == ["case", "molecule", "mole", "fraction", "lifetime", "(ps)"]
    assert [line.split()[7:] for line in lines] == [
        ["O1", "H2", "2(H-O)", "0.1235"],
        ["H2", "1(H-H)", "1", "0.05"],
    ]
    assert result_tables(summarise([], final=False)) == []


@pytest.mark.parametrize("width", [12, 40, 80])
def test_the_live_line_is_one_line_of_whole_words(width):
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    event = TasksChanged(12, "label", 400, 48, 548, 4, 9000.0)
    with Display(console) as display:
        display(StepStarted(12, "label", 1000))
        display(event)
        lines = console.render_lines(display._live.renderable)
    assert len(lines) == 1
    text = "".join(segment.text for segment in lines[0]).strip()
    whole = "cycle 12  label  548/1000 done  4 failed  48 running  about 2 h 30 min left"
    assert whole.startswith(text)
    assert len(text) <= width
    assert text.split("  ") == whole.split("  ")[: text.count("  ") + 1]
    assert (text == whole) == (width == 80)


def test_the_live_line_tells_of_all_steps_that_go_on_at_once():
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)

    def line():
        (segments,) = console.render_lines(display._live.renderable)
        return "".join(segment.text for segment in segments).strip()

    with Display(console) as display:
        display(StepStarted(3, "md", 1, "cold"))
        display(StepStarted(3, "md", 1, "warm"))
        display(TasksChanged(3, "md", 0, 1, 1, 0, 90.0))
        display(StepFinished(3, "md", "30 of 30 steps", "warm"))
        assert line() == "cycle 3  md  1/2 done  1 running  about 1 min 30 s left"
        display(StepStarted(3, "label", 20, "warm"))
        display(TasksChanged(3, "label", 17, 2, 0, 1, None))
        assert line() == "cycle 3  md 1/2, 1 running  label 0/20, 1 failed, 2 running"
        display(StepFinished(3, "md", "30 of 30 steps", "cold"))
        assert line() == "cycle 3  label  0/20 done  1 failed  2 running"
    assert "cycle 3: md of warm done: 30 of 30 steps" in console.file.getvalue()
