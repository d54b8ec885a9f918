"""Fits: LASSO from a matrix in memory, and from a trajectory to a parameter file: `python benchmarks/fits.py`."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from calibrate import seconds
from cases import (
    EXAMPLE,
    OXIDE_REACH,
    Structure,
    carbon_oxide,
    configuration,
    parameters,
    special_frames,
    water,
    water_frames,
    water_setup,
)
from numpy.typing import NDArray
from table import Line, print_lines

from ald_chimes_lsq import fit, read_setup
from ald_chimes_lsq.design import design_matrix
from ald_chimes_lsq.design_rows import configuration_rows
from ald_chimes_lsq.formats.xyzf import read_xyzf
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.solvers.solve import solve

Floats = NDArray[np.float64]
Problem = tuple[Floats, Floats]
ATOM = -760.0
"""kcal/mol; energy of an atom, so that frames have some 10⁵ kcal/mol"""


def fit_lines() -> Iterator[Line]:
    """LASSO with the normal matrix, then a whole fit."""
    yield _lasso("LASSO, 9506 × 419, alpha 1e-4", water_problem(), 1e-4, 0.3, "12.4 / 7.6")
    yield _lasso("LASSO, 3690 × 738, alpha 1e-3", oxide_problem(), 1e-3, 5.0, "107")
    yield _lasso("LASSO, 120384 × 558, alpha 1e-4", long_problem(), 1e-4, 10.0, "> 446", repeats=1)
    with tempfile.TemporaryDirectory() as scratch:
        time = seconds(partial(first_fit, Path(scratch) / "params.txt"), repeats=10)
    yield Line("molten carbon, .xyzf to params.txt, 25 frames", time, 0.1, "2")


def _lasso(
    name: str, problem: Problem, alpha: float, target: float, reference: str, repeats: int = 3
) -> Line:
    a, b = problem
    solution = solve(a, b, None, "lasso", alpha)
    note = (
        f"{solution.n_fitted} non-zero; optimal to {solution.optimality:.0e} alpha "
        f"(doubles allow {solution.rounding:.0e}); {solution.method}"
    )
    if solution.optimality > 1e-8 + solution.rounding:
        raise AssertionError(f"{name}: {note}")
    time = seconds(lambda: solve(a, b, None, "lasso", alpha), repeats=repeats, warm=False)
    return Line(name, time, target, reference, note=note)


def water_problem() -> Problem:
    """The matrix of the fit `h2o-4bcheby`, as it stands."""
    matrix = design_matrix(water_setup(), water_frames())
    return matrix.matrix, matrix.right


def oxide_problem() -> Problem:
    """Forces and energies of 9 frames of 64 atoms and 5 of 128, C/O 1:1.

    The published model of liquid CO labels them, with noise of 5 kcal/mol(/Å). As the composition is the same
    throughout, the two offset columns are equal, and others nearly depend on them.
    """
    rng = np.random.default_rng(1)
    small, large = (
        special_frames(),
        [configuration(f"CO.2.5gcc_6500K.OUTCAR_#00{i}") for i in (0, 1)],
    )
    structures = [*small, *(small[i % 2].displaced(rng) for i in range(7))]
    structures += [*large, *(large[i % 2].displaced(rng) for i in range(3))]
    model = ChimesModel.read(parameters("liqCO.2+3b.cubic"))
    basis = carbon_oxide((12, 4, 3), OXIDE_REACH)
    rows, right = [], []
    for s in structures:
        rows.append(
            configuration_rows(basis, s.elements, s.positions, s.cell, energy=True, offsets=True)
        )
        said = model.evaluate(s.atoms)
        energy = said.energy + ATOM * len(s.elements) + 5.0 * rng.normal()
        forces = said.forces + 5.0 * rng.normal(size=said.forces.shape)
        right.append(np.append(forces.ravel(), [energy] * 3))
    return np.vstack(rows), np.concatenate(right)


def long_problem() -> Problem:
    """Forces and energies of 414 frames of water, 12/7/0, displaced at random; a sparse model and noise label them."""
    rng = np.random.default_rng(2)
    basis = water((12, 7, 0))
    frames = [Structure.of(f) for f in water_frames()]
    a = np.empty((120_384, basis.n_short_range + 2))
    filled = 0
    for i in range(414):
        s = frames[i % len(frames)].displaced(rng)
        rows = configuration_rows(
            basis, s.elements, s.positions, s.cell, energy=True, offsets=True
        )[: len(a) - filled]  # fmt: skip
        a[filled : filled + len(rows)] = rows
        filled += len(rows)
    x = rng.normal(0.0, 10.0, a.shape[1]) * (rng.random(a.shape[1]) < 0.5)
    return a, a @ x + 5.0 * rng.normal(size=len(a))


def first_fit(target: Path) -> None:
    """What the first cycle of the example fits: from the files to a parameter file."""
    setup = read_setup(EXAMPLE / "fm_setup.in")
    frames = read_xyzf(EXAMPLE / "liquid_6000K_2.0gcc.xyzf")
    fit(setup, frames, algorithm="lasso", alpha=1e-5).model.write(target)


if __name__ == "__main__":
    print_lines(fit_lines())
