"""Numbers as text, fast enough for a frame at every step."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

DECIMALS = 5
SCALE = 10.0**DECIMALS
WIDTH = 11
"""Least width of a number with the blank before it: `%10.5f`."""
MAX_MAGNITUDE = 1e10
"""Larger numbers are not exact to five decimals in double precision."""


@njit(cache=True)
def _rounded(value: float) -> int:
    """The magnitude in units of 10⁻⁵, rounded as C's printf does.

    printf rounds the exact binary value, but value × 10⁵ has a rounding error. The error follows
    from T. J. Dekker's product (Numer. Math. 18, 224, 1971); it only matters in the middle.
    """
    product = value * SCALE
    lower = np.floor(product)
    rest = product - lower
    units = int(lower)
    if rest < 0.5:
        return units
    if rest > 0.5:
        return units + 1
    split = 134217729.0 * value
    high = split - (split - value)
    low = value - high
    # 10⁵ has 17 bits, so that both partial products are exact.
    error = (high * SCALE - product) + low * SCALE
    if error > 0.0 or (error == 0.0 and units % 2 == 1):
        return units + 1
    return units


@njit(cache=True)
def _write_number(text: NDArray[np.uint8], end: int, value: float) -> int:
    """Write a number with a blank before it, right-justified if it is short; returns the new end."""
    negative = np.signbit(value)
    units = _rounded(abs(value))
    digits = DECIMALS + 1
    bound = 10 ** (DECIMALS + 1)
    while units >= bound:
        digits += 1
        bound *= 10
    length = digits + 1 + (1 if negative else 0)
    width = max(length + 1, WIDTH)
    for place in range(end, end + width - length):
        text[place] = 32
    place = end + width - 1
    for count in range(digits):
        if count == DECIMALS:
            text[place] = 46
            place -= 1
        text[place] = 48 + units % 10
        units //= 10
        place -= 1
    if negative:
        text[place] = 45
    return end + width


@njit(cache=True)
def write_table(
    prefixes: NDArray[np.uint8], numbers: NDArray[np.float64], text: NDArray[np.uint8]
) -> int:
    """Write lines of a prefix (n, length) and numbers (n, columns) as `%10.5f`; returns the size.

    The text must have room for prefix + 20 × columns + 1 bytes per line; magnitudes must be below
    `MAX_MAGNITUDE`.
    """
    end = 0
    for i in range(len(numbers)):
        for byte in prefixes[i]:
            text[end] = byte
            end += 1
        for value in numbers[i]:
            end = _write_number(text, end, value)
        text[end] = 10
        end += 1
    return end
