"""Triangular factor of a growing and shrinking set of columns; compiled.

The columns in use are the rows of L Q: `factor` holds L, lower triangular, in the leading k rows of a larger array, and
`basis` the orthonormal rows of Q.
"""

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@numba.njit(cache=True)
def solve_lower(factor: Floats, k: int, right: Floats) -> Floats:
    """Solve L x = right."""
    x = right.copy()
    for i in range(k):
        value = x[i]
        for j in range(i):
            value -= factor[i, j] * x[j]
        x[i] = value / factor[i, i]
    return x


@numba.njit(cache=True)
def solve_upper(factor: Floats, k: int, right: Floats) -> Floats:
    """Solve Lᵀ x = right."""
    x = right.copy()
    for i in range(k - 1, -1, -1):
        x[i] /= factor[i, i]
        for j in range(i):
            x[j] -= factor[i, j] * x[i]
    return x


@numba.njit(cache=True)
def delete_row(factor: Floats, basis: Floats, k: int, dropped: int) -> None:
    """Take a column out of the set: shift the rows below up, repair them by plane rotations."""
    for i in range(dropped + 1, k):
        for j in range(i + 1):
            factor[i - 1, j] = factor[i, j]
    for j in range(dropped, k - 1):
        length = np.hypot(factor[j, j], factor[j, j + 1])
        cosine = factor[j, j] / length
        sine = factor[j, j + 1] / length
        factor[j, j] = length
        for i in range(j + 1, k - 1):
            a = factor[i, j]
            b = factor[i, j + 1]
            factor[i, j] = cosine * a + sine * b
            factor[i, j + 1] = cosine * b - sine * a
        for i in range(basis.shape[1]):
            a = basis[j, i]
            b = basis[j + 1, i]
            basis[j, i] = cosine * a + sine * b
            basis[j + 1, i] = cosine * b - sine * a
