"""Cholesky factor of a growing and shrinking set of columns; compiled.

`factor` is lower triangular in the leading k rows of a larger array, G_AA = L Lᵀ.
"""

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@numba.njit(cache=True)
def append_row(factor: Floats, k: int, column: Floats, diagonal: float) -> float:
    """Write row k of the factor for a new column, without the last entry; return the square of that.

    Args:
        factor: (m, m), k rows in use.
        k: number of columns in the set.
        column: (k,) scalar products of the new column with those of the set.
        diagonal: scalar product of the new column with itself.
    """
    rest = diagonal
    for i in range(k):
        value = column[i]
        for j in range(i):
            value -= factor[i, j] * factor[k, j]
        value /= factor[i, i]
        factor[k, i] = value
        rest -= value * value
    return rest


@numba.njit(cache=True)
def solve_factor(factor: Floats, k: int, right: Floats) -> Floats:
    """Solve L Lᵀ x = right."""
    x = right.copy()
    for i in range(k):
        value = x[i]
        for j in range(i):
            value -= factor[i, j] * x[j]
        x[i] = value / factor[i, i]
    for i in range(k - 1, -1, -1):
        x[i] /= factor[i, i]
        for j in range(i):
            x[j] -= factor[i, j] * x[i]
    return x


@numba.njit(cache=True)
def delete_row(factor: Floats, k: int, dropped: int) -> None:
    """Take a column out of the set: shift the rows below up, repair them by plane rotations."""
    for i in range(dropped + 1, k):
        for j in range(i + 1):
            factor[i - 1, j] = factor[i, j]
    for j in range(dropped, k - 1):
        a = factor[j, j]
        b = factor[j, j + 1]
        length = np.hypot(a, b)
        cosine = a / length
        sine = b / length
        factor[j, j] = length
        for i in range(j + 1, k - 1):
            a = factor[i, j]
            b = factor[i, j + 1]
            factor[i, j] = cosine * a + sine * b
            factor[i, j + 1] = cosine * b - sine * a
