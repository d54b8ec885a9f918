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
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.design_rows import constraint_rows, frame_matrix, write_matrix
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
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.solvers.rows import Matrix, RowFile, Rows, add_rows
from ald_chimes_lsq.solvers.solve import Solution, solve_rows, solve_triangle
from ald_chimes_lsq.threads import one_blas_thread, results_in_order
from ald_core.errors import AldError
from ald_core.store import frame_from_json, labels_to_json
from ald_core.types import Labels

Floats = NDArray[np.float64]


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
    _write_rows(_read_request())


def factor() -> None:
    """Write the triangular factor of the weighted rows (A, b) of the frames."""
    _write_rows(_read_request())
    own = RowFile.open(Path(ROWS))
    targets = read_targets(read_lines(Path(FRAMES)))
    np.save(FACTOR, Rows([own], targets.right, targets.weights).triangle())
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


def _write_rows(request: _Request) -> None:
    lines = Path(FRAMES)
    n_rows = sum(count_rows(values) for values in read_lines(lines))
    frames = (read_frame_rows(values) for values in read_lines(lines))
    write_matrix(Path(ROWS), request.setup.basis, frames, n_rows, offsets=request.offsets)


def _fit_rows(parts: Sequence[Matrix], request: _Request) -> None:
    tied, values = _constraints(request)
    targets = read_targets(read_lines(Path(FRAMES)), values.tolist())
    everything = Rows([*parts, tied] if len(tied) else parts, targets.right, targets.weights)
    solution = solve_rows(everything, request.values["algorithm"], request.values["alpha"])
    _write(request, solution, targets, everything.product(solution.x), len(parts))


def _fit_factors(paths: Sequence[Path], request: _Request) -> None:
    tied, values = _constraints(request)
    targets = read_targets(read_lines(Path(FRAMES)), values.tolist())
    triangle = np.asfortranarray(np.load(paths[0]))
    more = (np.asfortranarray(np.load(path)) for path in paths[1:])
    triangle = reduce(add_rows, more, triangle)
    if len(tied):
        triangle = add_rows(triangle, np.asfortranarray(np.column_stack((tied, values))))
    solution = solve_triangle(
        triangle, len(targets.right), request.values["algorithm"], request.values["alpha"]
    )
    said = np.empty_like(targets.right)
    position = 0

    def matrix_of(frame: FrameRows) -> Floats:
        return frame_matrix(request.setup.basis, frame, offsets=request.offsets)

    for matrix in results_in_order(matrix_of, map(read_frame_rows, read_lines(Path(FRAMES)))):
        said[position : position + len(matrix)] = matrix @ solution.x
        position += len(matrix)
    said[position:] = tied @ solution.x
    _write(request, solution, targets, said, len(paths))


def _constraints(request: _Request) -> tuple[Floats, Floats]:
    setup = request.setup
    return constraint_rows(setup.basis, setup.charge_constraints, offsets=request.offsets)


def _write(
    request: _Request, solution: Solution, targets: Targets, said: Floats, n_blocks: int
) -> None:
    write_fit(Path(), request.setup, solution, targets, said, {"blocks": n_blocks})


if __name__ == "__main__":
    main(sys.argv[1])
