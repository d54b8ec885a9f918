"""What a study has come to, as a table for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from ald_core.store import CycleRecord, ForceError, joined_tables
from ald_core.types import ResultTable
from ald_core.units import KCAL_PER_MOL

COLUMNS = (
    "cycle",
    "frames added\n(held out)",
    "RMSE fitted\nkcal/mol/Å\n(eV/Å)",
    "held out\nkcal/mol/Å\n(eV/Å)",
    "drift\nkcal/mol\n/atom",
    "contacts\nclear/near\n/inside",
    "quaran-\ntined",
)
"""Errors are of force components, the drift is of the conserved quantity of MD."""


@attrs.frozen
class Summary:
    """One row per cycle, as text, and remarks below."""

    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]
    tables: tuple[ResultTable, ...] = ()
    """What MD runs of the last cycle gave beyond it"""
    tables_of: int = 0
    """That cycle"""


def summarise(records: Sequence[CycleRecord], *, final: bool) -> Summary:
    """The table; `final`: the last record is that of the final fit.

    Held-out errors are those of all models on the same frames once the final fit has judged them.
    """
    curve = dict(records[-1].curve) if records else {}
    rows, remarks, seconds = [], [], []
    for i, record in enumerate(records):
        is_final = final and i == len(records) - 1
        known = record.cycle in curve
        judged = ForceError(curve[record.cycle], 0) if known else record.held_out
        rows.append(
            (
                "final" if is_final else str(record.cycle),
                "" if is_final else f"{record.added} ({record.added_held_out})",
                _force(record.fitted),
                _force(judged),
                "\n".join(_drift(run.drift) for run in record.md),
                "\n".join("/".join(map(str, run.counts)) for run in record.md),
                str(len(record.quarantined)),
            )
        )
        times = ", ".join(f"{step} {seconds:.1f}" for step, seconds in record.seconds.items())
        seconds.append(f"seconds in cycle {record.cycle}: {times}")
        remarks += [
            f"cycle {record.cycle}, case {run.case}: unstable at step {run.steps}: {run.reason}"
            for run in record.md
            if not run.stable
        ]
        remarks += [
            f"cycle {record.cycle}: {frame} is quarantined: {why}"
            for frame, why in record.quarantined
        ]
    if curve:
        frames = records[-1].held_out.frames if records[-1].held_out else 0
        remarks.append(f"all models are judged on the same held-out frames, {frames} in number")
    with_tables = [r for r in records if any(run.tables for run in r.md)][-1:]
    tables = tuple(table for record in with_tables for table in joined_tables(record))
    last = with_tables[0].cycle if with_tables else 0
    return Summary(tuple(rows), (*seconds, *remarks), tables, last)


def _force(error: ForceError | None) -> str:
    if error is None:
        return ""
    if error.rmse is None or not math.isfinite(error.rmse):
        return "not finite"
    return f"{error.rmse / KCAL_PER_MOL:.2f} ({error.rmse:.4f})"


def _drift(drift: float | None) -> str:
    return "" if drift is None or not math.isfinite(drift) else f"{drift / KCAL_PER_MOL:.3g}"


def duration(seconds: float) -> str:
    """Hours, minutes, seconds, as far as they matter."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )
