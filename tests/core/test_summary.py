"""The summary says what a study has come to, in numbers that can be checked."""

import math

import pytest

from ald_core.store import CycleRecord, ForceError, MDRecord
from ald_core.summary import COLUMNS, summarise
from ald_core.types import ResultTable

KCAL = 4184 / 96485.33289


def record(cycle, **more):
    base = {
        "model": f"ALC-{cycle}/GEN_FF/params.json",
        "model_format": "reference",
        "fitted": ForceError(0.1, 10),
        "held_out": ForceError(0.2, 3),
        "md": (MDRecord("cold", 50, 50, True, "", 0.01, (40, 9, 1)),),
    }
    return CycleRecord(cycle=cycle, **base | more)


def text(summary):
    return "\n".join([*(" | ".join(row) for row in summary.rows), *summary.remarks])


def test_one_row_per_cycle_with_errors_in_both_units():
    found = summarise([record(1, added=7, added_held_out=2), record(2)], final=True)
    assert len(found.rows) == 2
    assert all(len(row) == len(COLUMNS) for row in found.rows)
    first = " ".join(found.rows[0])
    assert f"{0.1 / KCAL:.2f}" in first
    assert "0.1000" in first
    assert f"{0.2 / KCAL:.2f}" in first
    assert "7" in found.rows[0][1]
    assert "2" in found.rows[0][1]
    assert "40/9/1" in first
    assert "final" in found.rows[1][0]
    assert "final" not in found.rows[0][0]


def test_drift_is_in_kcal_per_mol_per_atom():
    assert f"{0.01 / KCAL:.2g}" in " ".join(summarise([record(1)], final=False).rows[0])


def test_after_the_final_fit_all_models_are_judged_on_the_same_frames():
    records = [record(1, added=5), record(2, held_out=ForceError(0.05, 4), curve=((1, 0.3),))]
    found = summarise(records, final=True)
    assert "0.3000" in " ".join(found.rows[0])
    assert "0.2000" not in " ".join(found.rows[0])
    assert "0.0500" in " ".join(found.rows[1])
    assert any("same" in r and "4" in r for r in found.remarks)


def test_missing_numbers_leave_no_invented_ones():
    found = summarise([record(1, fitted=None, held_out=None, md=(), added=3)], final=False)
    assert "None" not in text(found)
    assert "nan" not in text(found)
    drift = MDRecord("cold", 1, 9, True, "", None, (1, 0, 0))
    assert "None" not in text(summarise([record(1, md=(drift,))], final=False))


def test_every_case_has_its_line():
    runs = tuple(
        MDRecord(n, 9, 9, True, "", 0.1, c) for n, c in (("a", (9, 0, 0)), ("b", (7, 2, 0)))
    )
    row = summarise([record(1, md=runs)], final=False).rows[0]
    assert any(cell.splitlines() == ["9/0/0", "7/2/0"] for cell in row)


def test_instabilities_and_quarantine_are_told_with_reasons():
    run = MDRecord("hot", 17, 50, False, "it exploded", 0.5, (17, 0, 0))
    unlucky = record(3, md=(run,), quarantined=(("003-hot-000000010", "no SCF"),))
    found = text(summarise([unlucky], final=False))
    assert "cycle 3, case hot: unstable at step 17: it exploded" in found
    assert "cycle 3: 003-hot-000000010 is quarantined: no SCF" in found


def test_nothing_to_say():
    assert summarise([], final=False).rows == ()


def test_a_cycle_that_added_nothing_is_not_the_final_fit():
    found = summarise([record(1), record(2, added=0)], final=False)
    assert "final" not in text(found)
    assert found.rows[1][1] == "0 (0)"


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_errors_that_are_not_finite_are_called_so(bad):
    """None is what comes back from the journal."""
    run = MDRecord("hot", 9, 9, True, "", bad, (9, 0, 0))
    records = [
        record(1, fitted=ForceError(bad, 3), held_out=ForceError(bad, 3), md=(run,)),
        record(2, held_out=ForceError(0.1, 3), curve=((1, bad),)),
    ]
    for found in (summarise(records[:1], final=False), summarise(records, final=True)):
        assert found.rows[0][2:5] == ("not finite", "not finite", "")


def test_tables_of_runs_are_those_of_the_last_cycle_that_has_some():
    def with_table(fraction):
        table = ResultTable("molecules", ("molecule", "fraction"), (("H2O", fraction),))
        return (MDRecord("cold", 9, 9, True, "", 0.1, (9, 0, 0), (table,)),)

    records = [record(1, md=with_table(0.5)), record(2, md=with_table(0.25)), record(3)]
    found = summarise(records, final=True)
    [table] = found.tables
    assert (table.columns, table.rows) == (
        ("case", "molecule", "fraction"),
        (("cold", "H2O", 0.25),),
    )
    assert found.tables_of == 2
    assert summarise(records[2:], final=True).tables == ()
