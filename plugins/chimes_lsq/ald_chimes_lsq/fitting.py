"""A fit without a study: configurations with labels in, a model out."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.design_rows import constraint_rows, write_matrix
from ald_chimes_lsq.fit_files import fit_report, write_fit
from ald_chimes_lsq.formats.setup import FitSetup, read_setup
from ald_chimes_lsq.frame_rows import FrameRows, Targets, frame_targets, join_targets
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.solvers.rows import Matrix, RowFile, Rows
from ald_chimes_lsq.solvers.solution import Algorithm, Solution
from ald_chimes_lsq.solvers.solve import solve_rows
from ald_core.errors import InputError
from ald_core.types import Frame, Labels, Origin

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class Fit:
    """What came out of a fit."""

    model: ChimesModel
    setup: FitSetup
    solution: Solution
    targets: Targets
    """Right-hand sides, weights and kinds of the rows, in native units"""
    predicted: Floats
    """(n_rows,) the same from the model"""

    @property
    def report(self) -> dict[str, object]:
        """Errors of forces, stresses and energies, and how good the solution is."""
        return fit_report(self.solution, self.targets, self.predicted - self.targets.right)

    def write(self, folder: Path | str) -> None:
        """Write `params.txt`, `params.txt.reduced`, `compare.txt`, `force.txt`, `x.txt` and `report.json`."""
        write_fit(Path(folder), self.setup, self.solution, self.targets, self.predicted, {})


def fit(
    setup: FitSetup | Path | str,
    frames: Sequence[Atoms],
    weights: ArrayLike | None = None,
    algorithm: Algorithm = "lasso",
    alpha: float = 1e-5,
) -> Fit:
    """Fit a model to configurations; the design matrix is kept on disk, not in memory.

    Args:
        setup: `fm_setup.in`, read or not; its trajectories are not looked at.
        frames: with forces, and energies and stresses as the set-up wants them, in ASE's units; `ase.io.read` gives
            such frames.
        weights: one number for each row of the matrix: of each frame x, y, z of each force, the 3 or 9 stress
            components, and the energy three times.
        algorithm: lasso, ridge or svd.
        alpha: kcal/mol; for svd the relative cutoff.

    Raises:
        InputError: a label or an element is missing, or the weights do not fit.
    """
    known = setup if isinstance(setup, FitSetup) else read_setup(setup)
    rows = [_frame_rows(known, i, atoms) for i, atoms in enumerate(frames)]
    if not rows:
        raise InputError("a fit needs at least one frame")
    for frame in rows:
        frame.check()
    tied, values = constraint_rows(known.basis, known.charge_constraints, offsets=known.has_offsets)
    targets = join_targets([frame_targets(frame) for frame in rows], values.tolist())
    if weights is not None:
        targets = attrs.evolve(targets, weights=_checked_weights(weights, len(targets.right)))
    n_rows = sum(sum(frame.counts()) for frame in rows)
    with tempfile.TemporaryDirectory(prefix="ald-chimes-") as scratch:
        path = Path(scratch) / "rows.npy"
        write_matrix(path, known.basis, rows, n_rows, offsets=known.has_offsets)
        parts: list[Matrix] = [RowFile.open(path)]
        if len(tied):
            parts.append(tied)
        everything = Rows(parts, targets.right, targets.weights)
        solution = solve_rows(everything, algorithm, alpha)
        said = everything.product(solution.x)
    model = ChimesModel(known.basis, expand(known.basis, solution.x))
    rmse = float(np.sqrt(np.mean((said - targets.right) ** 2)))
    return Fit(model, known, attrs.evolve(solution, rmse=rmse), targets, said)


def _frame_rows(setup: FitSetup, number: int, atoms: Atoms) -> FrameRows:
    frame = Frame(atoms, Origin(0, "frame", number))
    energy, stress = setup.fit_energy.of(number), setup.fit_stress.of(number)
    return FrameRows(frame, stress, energy, _labels(atoms))


def _labels(atoms: Atoms) -> Labels:
    """What a frame's calculator knows already."""
    found: dict[str, object] = {}
    for name in ("energy", "forces", "stress"):
        try:
            value = atoms.calc.get_property(name, atoms, allow_calculation=False)
        except (AttributeError, PropertyNotImplementedError):
            value = None
        found[name] = value
    return Labels(**found)  # type: ignore[arg-type]


def _checked_weights(weights: ArrayLike, n: int) -> Floats:
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (n,):
        raise InputError(f"{given.size} weights do not fit {n} rows; one per row is needed")
    if not (np.isfinite(given).all() and (given >= 0.0).all()):
        raise InputError("weights must be finite and not negative")
    return given
