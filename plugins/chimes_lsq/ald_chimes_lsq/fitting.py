"""A fit without a study: configurations with labels in, a model out."""

from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.design import fitted_frame
from ald_chimes_lsq.design_rows import constraint_rows, write_rows
from ald_chimes_lsq.fit_files import fit_report, write_fit
from ald_chimes_lsq.formats.setup import FitSetup, read_setup
from ald_chimes_lsq.formats.xyzf import XyzfFrame
from ald_chimes_lsq.frame_rows import Targets, count_columns, join_targets
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.new_files import scratch_folder
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.solvers.rows import Matrix, RowFile, Rows, checked_weights
from ald_chimes_lsq.solvers.solution import Algorithm, Solution, check_alpha
from ald_chimes_lsq.solvers.solve import solve_rows
from ald_chimes_lsq.threads import one_blas_thread, results_in_order
from ald_core.errors import InputError

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


@one_blas_thread
def fit(
    setup: FitSetup | Path | str,
    frames: Sequence[XyzfFrame | Atoms],
    weights: ArrayLike | None = None,
    algorithm: Algorithm = "lasso",
    alpha: float = 1e-5,
    *,
    scratch: Path | None = None,
) -> Fit:
    """Fit a model to configurations; the design matrix is kept on disk, not in memory.

    Args:
        setup: `fm_setup.in`, read or not; its trajectories are not looked at.
        frames: with forces, and energies and stresses as the set-up wants them; see `design_matrix`.
        weights: one number for each row of the matrix: of each frame x, y, z of each force, the 3 or 9 stress
            components, and the energy three times; then one for each constraint on charges, or none of these.
        algorithm: lasso, ridge or svd.
        alpha: kcal/mol; for svd the relative cutoff.
        scratch: folder with room for the matrix, 8 bytes per number, which is removed at the end; by default the
            current folder, because folders for temporary files are often in memory.

    Raises:
        InputError: a label or an element is missing, the weights or `alpha` are impossible, or there is no room in
            `scratch`.
    """
    check_alpha(algorithm, alpha)
    known = setup if isinstance(setup, FitSetup) else read_setup(setup)
    fitted = [fitted_frame(known, frame, i) for i, frame in enumerate(frames)]
    if not fitted:
        raise InputError("there are no frames to fit", cure="give at least one")
    offsets = known.has_offsets
    tied, values = constraint_rows(known.basis, known.charge_constraints, offsets=offsets)
    own = [Targets(frame.right, None, frame.kinds) for frame in fitted]
    targets = join_targets(own, values.tolist())
    if weights is not None:
        given = _checked_weights(weights, len(targets.right), len(tied))
        targets = attrs.evolve(targets, weights=given)
    n_rows = len(targets.right) - len(tied)
    with scratch_folder(Path() if scratch is None else Path(scratch)) as folder:
        path = folder / "rows.npy"
        rows = results_in_order(lambda f: f.rows(known.basis, offsets=offsets), fitted)
        named = ((f"frames[{f.index}]", own) for f, own in zip(fitted, rows, strict=True))
        try:
            write_rows(path, named, n_rows, count_columns(known.basis, offsets=offsets))
        except OSError as error:
            raise InputError(
                f"the matrix cannot be written here ({error.strerror})",
                path=folder.parent,
                cure="make room, or give another `scratch`",
            ) from None
        parts: list[Matrix] = [RowFile.open(path)]
        if len(tied):
            parts.append(tied)
        everything = Rows(parts, targets.right, targets.weights)
        solution = solve_rows(everything, algorithm, alpha)
        said = everything.product(solution.x)
    model = ChimesModel(known.basis, expand(known.basis, solution.x))
    rmse = float(np.sqrt(np.mean((said - targets.right) ** 2)))
    return Fit(model, known, attrs.evolve(solution, rmse=rmse), targets, said)


def _checked_weights(weights: ArrayLike, n_rows: int, n_tied: int) -> Floats:
    """Weights of all rows; those of the last `n_tied` are 1 if they are not given."""
    given = np.asarray(weights, dtype=np.float64)
    if given.shape == (n_rows - n_tied,):
        given = np.append(given, np.ones(n_tied))
    return checked_weights(given, n_rows)
