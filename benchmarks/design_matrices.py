"""Design matrices of one frame: `python benchmarks/design_matrices.py`."""

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import attrs
import numpy as np
from calibrate import seconds
from cases import (
    ORGANIC_REACH,
    OXIDE_REACH,
    Structure,
    carbon_oxide,
    configuration,
    organic,
    organic_frames,
    special_frames,
    special_setup,
    stress_setup,
    water,
    water_frames,
    water_setup,
)
from direct import direct_rows
from numpy.typing import NDArray
from table import Line, print_lines

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.design import fitted_frame
from ald_chimes_lsq.design_files import write_design
from ald_chimes_lsq.design_rows import configuration_rows
from ald_chimes_lsq.formats.xyzf import format_xyzf


@attrs.frozen
class Case:
    """A frame with its rows."""

    name: str
    basis: Basis
    structure: Structure
    target: float | None
    reference: str
    stress: bool = False
    energy: bool = False
    repeats: int = 20


def design_lines() -> Iterator[Line]:
    """All cases, then the time that A.txt takes."""
    cases = _cases()
    # All of ours before the direct evaluations, whose large arrays change how memory is handed out afterwards.
    times = [seconds(partial(_rows, case), repeats=case.repeats) for case in cases]
    for case, time_own in zip(cases, times, strict=True):
        yield _line(case, time_own)
    yield from _texts()


def _cases() -> list[Case]:
    frame, special = Structure.of(water_frames()[0]), special_frames()[0]
    hot = configuration("CO.2.5gcc_6500K.OUTCAR_#000")
    plain, charged = water((10, 6, 0)), water_setup().basis
    special_basis = special_setup().basis
    return [
        Case("water, 96 atoms, 10/6/0, 5 Å, 363 columns", plain, frame, 0.010, "0.37"),
        Case("water, 96 atoms, 10/6/2, charges, 419 columns", charged, frame, 0.04, "1.85"),
        Case(
            "C/O, 128 atoms, 12/4/3, special, 738 columns",
            carbon_oxide((12, 4, 3), OXIDE_REACH), hot, 0.10, "5.4", energy=True,
        ),
        Case(
            "C/H/O, 132 atoms, 12/5/3, stress, energy, 3361 columns",
            organic(ORGANIC_REACH), Structure.of(organic_frames()[0]), 0.30, "22.7",
            stress=True, energy=True, repeats=5,
        ),
        Case("special3b, C/O, 64 atoms, 12/5/0, 228 columns", special_basis, special, 0.002, "0.1"),
    ]  # fmt: skip


def _rows(case: Case) -> NDArray[np.float64]:
    return configuration_rows(
        case.basis,
        case.structure.elements,
        case.structure.positions,
        case.structure.cell,
        stress="full" if case.stress else "none",
        energy=case.energy,
        offsets=case.energy,
    )


def _line(case: Case, time_own: float) -> Line:
    basis, structure = case.basis, case.structure
    matrix = _rows(case)
    direct_rows(basis, structure.first(5), stress=case.stress)
    start = time.process_time()
    rows, virials, energies = direct_rows(basis, structure, stress=case.stress)
    time_direct = time.process_time() - start
    if case.stress:
        volume = abs(np.linalg.det(structure.cell))
        rows = np.vstack((rows, virials[[0, 1, 2, 1, 3, 4, 2, 4, 5]] / volume))
    if case.energy:
        rows = np.vstack((rows, energies, energies, energies))
    difference = np.abs(matrix[:, : rows.shape[1]] - rows).max(axis=0)
    largest = np.abs(rows).max(axis=0)
    relative = float((difference[largest > 0.0] / largest[largest > 0.0]).max())
    if relative > 1e-10 or difference[largest == 0.0].any():
        raise AssertionError(f"{case.name}: direct evaluation differs by {relative:.1e}")
    return Line(case.name, time_own, case.target, case.reference, time_direct, relative)


def _texts() -> Iterator[Line]:
    """Text of one frame, without computing it."""
    organic_setup = attrs.evolve(stress_setup(), basis=organic(ORGANIC_REACH))
    for name, setup, frame in (
        ("water, 288 rows × 419", water_setup(), water_frames()[0]),
        ("C/H/O, 408 rows × 3361", organic_setup, organic_frames()[0]),
    ):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            path = folder / "frame.xyzf"
            path.write_text(format_xyzf([frame]))
            one = attrs.evolve(setup, trajectory=path, multi=False, n_frames=1)
            rows = fitted_frame(one, frame, 0)
            whole = seconds(partial(write_design, one, folder), repeats=3)
            rest = seconds(partial(write_design, one, folder, matrix=False), repeats=3)
            computing = seconds(partial(rows.rows, one.basis, offsets=one.has_offsets), repeats=3)
        yield Line(f"writing A.txt: {name}", whole - rest - computing)


if __name__ == "__main__":
    print_lines(design_lines())
