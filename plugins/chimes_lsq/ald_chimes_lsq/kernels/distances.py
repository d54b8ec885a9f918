"""Compiled functions of one distance: transforms, cutoff functions, what happens inside the inner cutoff."""

import math

from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS
from ald_chimes_lsq.kernels.packing import Rules


@njit(**OPTIONS, forceinline=True)
def transform(rules: Rules, r: float, morse_lambda: float) -> float:
    """x(r), the variable in which the polynomials are expanded."""
    if rules.transform == 0:
        return math.exp(-r / morse_lambda)
    if rules.transform == 1:
        return 1.0 / r
    return r


@njit(**OPTIONS, forceinline=True)
def transform_slope(rules: Rules, x: float, morse_lambda: float) -> float:
    """dx/dr, given x."""
    if rules.transform == 0:
        return -x / morse_lambda
    if rules.transform == 1:
        return -x * x
    return 1.0


@njit(**OPTIONS, forceinline=True)
def cutoff_function(rules: Rules, r: float, rmax: float) -> tuple[float, float]:
    """f(r) and f'(r); zero from rmax on."""
    if r >= rmax:
        return 0.0, 0.0
    if rules.cutoff == 0:
        q = 1.0 - r / rmax
        return q * q * q, -3.0 / rmax * q * q
    width = rmax * rules.fraction
    begin = rmax - width
    if r < begin:
        return 1.0, 0.0
    angle = rules.pi * (r - begin) / width + 0.5 * rules.pi
    return 0.5 + 0.5 * math.sin(angle), 0.5 * rules.pi / width * math.cos(angle)


@njit(**OPTIONS, forceinline=True)
def inner_rule(rules: Rules, r: float, rmin: float) -> tuple[float, float]:
    """Factors u, v such that inside the inner cutoff T(r) = T(rmin) + u T'(rmin) and T'(r) = v T'(rmin)."""
    if rules.inner == 0:
        growth = math.exp((r - rmin) / rules.inner_distance)
        return rules.inner_distance * (growth - 1.0), growth
    if rules.inner == 1:
        return 0.0, 0.0
    return r - rmin, 1.0
