"""The program that runs in the fitter's jobs, in the current folder.

- `fit`: rows of all frames, and the fit;
- `rows`: rows of a block of frames, `rows.npy`, without weights and labels;
- `factor`: triangular factor of a block's weighted rows, `factor.npy`;
- `solve`: the fit, from rows of blocks or from their factors;
- `predict`: what a model says about frames.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.design_rows import constraint_rows, frame_matrix, write_matrix
from ald_chimes_lsq.engine import pack
from ald_chimes_lsq.ewald import type_charges
from ald_chimes_lsq.fit_files import PARAMETERS, write_fit
from ald_chimes_lsq.fitter import (
    BLOCKS,
    FACTOR,
    FAILURE,
    FRAMES,
    LABELS,
    REQUEST,
    ROWS,
    SETUP,
)
from ald_chimes_lsq.formats.setup import FitSetup, read_setup
from ald_chimes_lsq.frame_rows import (
    FrameRows,
    Targets,
    count_rows,
    read_frame_rows,
    read_lines,
    read_targets,
)
from ald_chimes_lsq.model import ChimesModel, evaluate_packed
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.solvers.algorithms import Choice, run_algorithm
from ald_chimes_lsq.solvers.rows import Matrix, RowFile, Rows, add_rows
from ald_chimes_lsq.solvers.solve import Solution, solve_rows, solve_triangle
from ald_chimes_lsq.threads import one_blas_thread, results_in_order
from ald_core.errors import AldError, InputError
from ald_core.store import frame_from_json, labels_to_json
from ald_core.types import Labels

Floats = NDArray[np.float64]

_PART = Path("unfinished.npy")
"""A file that gets its name when it is complete."""


@one_blas_thread
def main(program: str) -> None:
    """Run one of the programs; a mistake of the user's is left in `failure.txt`, exit status 0."""
    programs: dict[str, Callable[[], None]] = {
        "fit": fit,
        "rows": rows,
        "factor": factor,
        "solve": solve,
        "predict": predict,
    }
    try:
        programs[program]()
    except AldError as error:
        Path(FAILURE).write_text(f"{error}\n")


def fit() -> None:
    """Everything in one job."""
    rows()
    own = RowFile.open(Path(ROWS))
    _fit_rows([own], _read_request())
    own.path.unlink()


def rows() -> None:
    """Write the rows of the frames."""
    request, lines = _read_request(), Path(FRAMES)
    n_rows = sum(count_rows(values) for values in read_lines(lines))
    frames = (read_frame_rows(values) for values in read_lines(lines))
    write_matrix(_PART, request.setup.basis, frames, n_rows, offsets=request.offsets)
    _PART.replace(ROWS)


def factor() -> None:
    """Write the triangular factor of the weighted rows (A, b) of the frames."""
    rows()
    own = RowFile.open(Path(ROWS))
    targets = read_targets(read_lines(Path(FRAMES)))
    triangle = Rows([own], targets.right, targets.weights).triangle()
    with _PART.open("wb") as stream:
        np.save(stream, triangle)
    _PART.replace(FACTOR)
    own.path.unlink()


def solve() -> None:
    """Fit from what other jobs have made of blocks of frames."""
    request = _read_request()
    paths = [Path(line) for line in Path(BLOCKS).read_text().splitlines()]
    if request.values["cached"]:
        _fit_rows([RowFile.open(path) for path in paths], request)
    else:
        _fit_factors(paths, request)


def predict() -> None:
    """Read the model and the frames, and write what the model says about each."""
    model = ChimesModel.read(Path(PARAMETERS))
    with Path(LABELS).open("w") as stream:
        for values in read_lines(Path(FRAMES)):
            frame = frame_from_json(values["frame"])
            said = model.evaluate(frame.atoms, penalty=False)
            stress = -said.stress.ravel()[[0, 4, 8, 5, 2, 1]] * KCAL_PER_MOL
            labels = Labels(said.energy * KCAL_PER_MOL, said.forces * KCAL_PER_MOL, stress)
            stream.write(json.dumps(labels_to_json(labels)) + "\n")


@attrs.frozen(eq=False)
class _Request:
    """What the fitter wants."""

    values: dict[str, Any]
    setup: FitSetup

    @property
    def offsets(self) -> bool:
        """Whether the matrix has offset columns."""
        return bool(self.values["offsets"])


def _read_request() -> _Request:
    return _Request(json.loads(Path(REQUEST).read_text()), read_setup(Path(SETUP)))


def _fit_rows(parts: Sequence[Matrix], request: _Request) -> None:
    tied, values = _constraints(request)
    targets = read_targets(read_lines(Path(FRAMES)), values.tolist())
    everything = Rows([*parts, tied] if len(tied) else parts, targets.right, targets.weights)
    algorithm, alpha = request.values["algorithm"], request.values["alpha"]
    if request.values["normalize"]:
        choice = Choice(algorithm="dlasso", alpha=alpha, normalize=True)
        solution = run_algorithm(everything, choice).solution
    else:
        solution = solve_rows(everything, algorithm, alpha)
    _write(request, solution, targets, everything.product(solution.x), len(parts))


def _fit_factors(paths: Sequence[Path], request: _Request) -> None:
    tied, values = _constraints(request)
    targets = read_targets(read_lines(Path(FRAMES)), values.tolist())
    width = tied.shape[1] + 1
    triangle = reduce(add_rows, (_read_factor(path, width) for path in paths))
    if len(tied):
        triangle = add_rows(triangle, np.asfortranarray(np.column_stack((tied, values))))
    solution = solve_triangle(
        triangle, len(targets.right), request.values["algorithm"], request.values["alpha"]
    )
    said = [*_predicted(request, solution.x), tied @ solution.x]
    _write(request, solution, targets, np.concatenate(said), len(paths))


def _read_factor(path: Path, width: int) -> Floats:
    """Triangular factor of a block, (width, width)."""
    try:
        factor = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"cannot be read as factor of rows ({error})", path=path, cure="compute it again"
        ) from None
    if factor.shape != (width, width) or factor.dtype != np.float64:
        raise InputError(f"is not a {width} × {width} factor", path=path, cure="compute it again")
    return np.asfortranarray(factor)


def _predicted(request: _Request, x: Floats) -> Iterator[Floats]:
    """Ax of frame after frame, of which no rows are kept.

    The model says the same in a small part of the time, but where two atoms are closer than their inner cutoff, as rows
    have no 2-body terms there, and but for charges, whose sums are split in another way.
    """
    basis, offsets = request.setup.basis, request.offsets
    model = ChimesModel(basis, expand(basis, x))
    packed = pack(model, penalty=False)
    charged = type_charges(basis, model.coefficients).any()

    def predict(frame: FrameRows) -> Floats:
        said = None if charged else evaluate_packed(model, packed, frame.frame.atoms)
        if said is None or said.contact_class > 0:
            return np.asarray(frame_matrix(basis, frame, offsets=offsets) @ x)
        stress = said.stress.ravel()
        _, n_stress, n_energy = frame.counts()
        own = stress[[0, 4, 8]] if n_stress == 3 else stress[:n_stress]
        return np.concatenate([said.forces.ravel(), own, np.full(n_energy, said.energy)])

    return results_in_order(predict, map(read_frame_rows, read_lines(Path(FRAMES))))


def _constraints(request: _Request) -> tuple[Floats, Floats]:
    setup = request.setup
    return constraint_rows(setup.basis, setup.charge_constraints, offsets=request.offsets)


def _write(
    request: _Request, solution: Solution, targets: Targets, said: Floats, n_blocks: int
) -> None:
    write_fit(Path(), request.setup, solution, targets, said, {"blocks": n_blocks})


if __name__ == "__main__":
    main(sys.argv[1])
