"""Ridge regression with the strength chosen by cross-validation."""

import itertools
from collections.abc import Sequence
from functools import reduce

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ald_chimes_lsq.solvers.rows import Rows, add_rows
from ald_core.errors import InputError

Floats = NDArray[np.float64]

STRENGTHS = (1e-6, 3.2e-6, 1e-5, 3.2e-5, 1e-4, 3.2e-4, 1e-3, 3.2e-3)
"""α that are tried, those of the ChIMES programs."""


def choose_strength(rows: Rows, folds: int, strengths: Sequence[float] = STRENGTHS) -> float:
    """The α of ridge with the best mean R² over consecutive folds, each predicted from all others.

    Raises:
        InputError: fewer than two folds, or fewer than two rows in a fold.
    """
    n = len(rows.right)
    check_folds(folds, n)
    ends = np.cumsum([0] + [n // folds + (i < n % folds) for i in range(folds)])
    pieces = [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
    triangles = [rows.section(piece).triangle() for piece in pieces]
    scores = np.zeros(len(strengths))
    for i, piece in enumerate(pieces):
        others = [np.array(t, order="F") for j, t in enumerate(triangles) if j != i]
        scores += _scores(reduce(add_rows, others), triangles[i], _spread(rows, piece), strengths)
    return float(strengths[int(np.argmax(scores))])


def check_folds(folds: int, n_rows: int | None = None) -> None:
    """Refuse numbers of folds that are impossible, for any number of rows or a given one.

    Raises:
        InputError: fewer than two folds, or fewer than two rows in a fold.
    """
    if folds < 2:
        raise InputError(f"folds must be 2 or more, found {folds}", cure="give for example 4")
    if n_rows is not None and n_rows < 2 * folds:
        raise InputError(
            f"{folds} folds of {n_rows} rows are impossible",
            cure="give fewer, so that each has 2 rows, or choose ridge",
        )


def _spread(rows: Rows, piece: slice) -> float:
    right = rows.right[piece] if rows.weights is None else rows.right[piece] * rows.weights[piece]
    return float(np.sum((right - right.mean()) ** 2))


def _scores(train: Floats, test: Floats, spread: float, strengths: Sequence[float]) -> Floats:
    """R² of the rows of one triangular factor, predicted from another, for each α."""
    u, values, vt = scipy.linalg.svd(train[:-1, :-1], check_finite=False)
    projected = u.T @ train[:-1, -1]
    found = []
    for alpha in strengths:
        x = vt.T @ (values / (values**2 + alpha) * projected)
        error = float(np.sum((test[:, :-1] @ x - test[:, -1]) ** 2))
        found.append(1.0 - error / spread if spread > 0.0 else 0.0)
    return np.array(found)
