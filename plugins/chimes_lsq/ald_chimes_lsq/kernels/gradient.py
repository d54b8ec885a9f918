"""Aᵀ(b − Ax) with twice the digits of doubles; compiled.

At the minimum of a fit the terms of each sum cancel, so that ordinary sums leave few digits or none. Products and sums
keep their rounding errors (Dekker, Numer. Math. 18, 224, 1971; Knuth, The Art of Computer Programming 2, 4.2.2).
"""

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_HALVES = 134217729.0
"""2²⁷ + 1: a double times it falls apart into two halves of 26 bits, whose products are exact."""
_ROWS = 64


# Not with the options of the other kernels: contraction to fused operations changes what the errors are.
@numba.njit(cache=True)
def add_gradient(
    rows: Floats,
    right: Floats,
    weights: Floats,
    x: Floats,
    little: Floats,
    high: Floats,
    low: Floats,
) -> None:
    """Add the gradient of some weighted rows at x + little to high + low."""
    n, p = rows.shape
    column, rest, error = np.empty(_ROWS), np.empty(_ROWS), np.empty(_ROWS)
    for start in range(0, n, _ROWS):
        m = min(_ROWS, n - start)
        rest[:m] = right[start : start + m]
        error[:m] = 0.0
        for j in range(p):
            if x[j] != 0.0:
                for i in range(m):
                    column[i] = rows[start + i, j]
                _add_product(-x[j], -little[j], column[:m], rest[:m], error[:m])
        for i in range(m):
            weight = weights[start + i]
            high_rest, low_rest = _scaled(weight, rest[i], error[i])
            high_rest, low_rest = _scaled(weight, high_rest, low_rest)
            _add_product(high_rest, low_rest, rows[start + i], high, low)


@numba.njit(cache=True)
def _add_product(factor: float, little: float, values: Floats, high: Floats, low: Floats) -> None:
    """Add (factor + little) · values to high + low."""
    for j in range(len(values)):
        product, lost = _product(factor, values[j])
        total = high[j] + product
        part = total - high[j]
        lost += (high[j] - (total - part)) + (product - part)
        high[j] = total
        low[j] += lost + little * values[j]


@numba.njit(cache=True)
def _scaled(factor: float, high: float, low: float) -> tuple[float, float]:
    """Factor · (high + low), again as a double and a small rest."""
    product, lost = _product(factor, high)
    lost += factor * low
    total = product + lost
    return total, lost - (total - product)


@numba.njit(cache=True)
def _product(a: float, b: float) -> tuple[float, float]:
    """The product and its rounding error."""
    product = a * b
    spread = _HALVES * a
    a_high = spread - (spread - a)
    a_low = a - a_high
    spread = _HALVES * b
    b_high = spread - (spread - b)
    b_low = b - b_high
    lost = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, lost
