"""Compiled functions of one distance: transforms, cutoff functions, Chebyshev polynomials."""

import math

from numba import njit

from ald_chimes_lsq.compilation import OPTIONS, Floats
from ald_chimes_lsq.packing import Rules


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


@njit(**OPTIONS)
def fill_row(
    rules: Rules,
    r: float,
    x: float,
    morse_lambda: float,
    rmin: float,
    rmax: float,
    middle: float,
    scale: float,
    n: int,
    values: Floats,
    derivatives: Floats,
) -> None:
    """Cutoff function times T_0 … T_{n-1}, and derivatives, at one distance."""
    f, df = cutoff_function(rules, r, rmax)
    if r >= rmax:
        for k in range(n):
            values[k] = 0.0
            derivatives[k] = 0.0
        return
    u, v = 0.0, 1.0
    if r < rmin:
        u, v = inner_rule(rules, r, rmin)
        x = transform(rules, rmin, morse_lambda)
    s = (x - middle) * scale
    ds = transform_slope(rules, x, morse_lambda) * scale
    previous, current = 1.0, s
    d_previous, d_current = 0.0, ds
    values[0] = f
    derivatives[0] = df
    for k in range(1, n):
        value = current + u * d_current
        values[k] = f * value
        derivatives[k] = f * v * d_current + df * value
        following = 2.0 * s * current - previous
        d_following = 2.0 * (ds * current + s * d_current) - d_previous
        previous, current = current, following
        d_previous, d_current = d_current, d_following
