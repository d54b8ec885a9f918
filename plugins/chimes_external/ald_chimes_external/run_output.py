"""How a run of chimes_md went, from `md_statistics.out`, `output.xyz` and what it printed."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_md.control import Control
from ald_chimes_md.files import FINAL, STATISTICS
from ald_core.errors import InputError
from ald_core.script import STDOUT

Floats = NDArray[np.float64]

HOT, MARGIN = 20.0, 20_000.0
"""A temperature (K) beyond HOT × the target + MARGIN makes no sense, as for the embedded engine."""
WARM = 3.0
"""Factor on the target at which a run that ended early was exploding"""
_EXPLOSION = re.compile(rb"penalty|too (hot|cold)|stopped at step|\bnan\b", re.IGNORECASE)
_TAIL = 4000
"""Bytes at the end of what was printed in which signs of an explosion are looked for"""
_TEMPERATURE, _TOTAL, _EXTENDED = 5, 4, 7
"""Columns of the statistics: K; kcal/mol per atom, (K+U)/N; conserved quantity per atom of MTK ensembles"""


@attrs.frozen
class RunOutput:
    """What came out of a run."""

    steps: int
    """Last step whose numbers make sense"""
    stable: bool
    reason: str = ""
    """Why it is not stable"""
    drift: float | None = None
    """Largest deviation of the conserved quantity, kcal/mol per atom; None if the ensemble has none in its file"""


def read_run_output(control: Control, folder: Path) -> RunOutput:
    """How a run went.

    Raises:
        InputError: it neither came to its end nor did it explode, so that something else is wrong.
    """
    path = folder / STATISTICS
    rows = _read_rows(path)
    sensible = _sensible(rows, control)
    if sensible < len(rows):
        step = int(rows[sensible - 1, 0]) if sensible else 0
        reason = f"after step {step}, energy or temperature are beyond sense"
        return RunOutput(step, False, reason, _drift(control, rows[:sensible]))
    steps = int(rows[-1, 0]) if len(rows) else 0
    expected = control.steps // control.energy_interval * control.energy_interval
    final = folder / FINAL
    if steps == expected and final.is_file() and final.stat().st_size:
        return RunOutput(control.steps, True, "", _drift(control, rows))
    if len(rows) and (
        rows[-1, _TEMPERATURE] > WARM * max(control.temperature, 100.0) or _exploded(folder)
    ):
        reason = f"it stopped after step {steps}, with atoms too close to each other or too hot"
        return RunOutput(steps, False, reason, _drift(control, rows))
    missing = "" if final.is_file() else f", and wrote no {FINAL}"
    raise InputError(f"ends at step {steps} of {control.steps}{missing}", path=path)


def _read_rows(path: Path) -> Floats:
    """Rows (n, columns) up to the first that is damaged; numbers may be infinite or none."""
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from None
    rows: list[list[float]] = []
    for number, line in enumerate(lines[:-1], start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) <= _EXTENDED or (rows and len(row) != len(rows[0])):
            raise InputError("this is no row of statistics", path=path, line=number)
        rows.append(row)
    return np.array(rows).reshape(len(rows), len(rows[0]) if rows else 0)


def _sensible(rows: Floats, control: Control) -> int:
    """How many rows from the first one are finite and not too hot."""
    if not len(rows):
        return 0
    limit = HOT * control.temperature + MARGIN if control.temperature_check else np.inf
    with np.errstate(invalid="ignore"):
        fine = np.isfinite(rows).all(axis=1) & (rows[:, _TEMPERATURE] <= limit)
    return len(rows) if fine.all() else int(np.argmin(fine))


def _drift(control: Control, rows: Floats) -> float | None:
    extended = control.ensemble.is_extended
    if not len(rows) or not (extended or control.ensemble.kind == "NVE"):
        return None
    conserved = rows[:, _EXTENDED if extended else _TOTAL]
    return float(np.abs(conserved - conserved[0]).max())


def _exploded(folder: Path) -> bool:
    """Whether the last that was printed is about close pairs or temperature."""
    try:
        with (folder / STDOUT).open("rb") as stream:
            stream.seek(max((folder / STDOUT).stat().st_size - _TAIL, 0))
            return _EXPLOSION.search(stream.read()) is not None
    except OSError:
        return False
