"""The `rand` of the GNU C library, and the thermal velocities that ChIMES MD draws from it.

The generator is the additive feedback generator of degree 31 (TYPE_3): x_i = x_(i-3) + x_(i-31)
modulo 2³², of which the upper 31 bits are returned. Its table is seeded by Lehmer's
x_i = 16807 x_(i-1) modulo 2³¹ − 1, and the first 310 outputs are thrown away. Source: P. Selinger,
"The GLIBC random number generator" (2007).
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.constants import BOLTZMANN

RAND_MAX = 2147483647
_DEGREE = 31
_SEPARATION = 3
_DISCARDED = 310
_WORD = 2**32


def rand(seed: int) -> Iterator[int]:
    """The numbers that `rand()` returns after `srand(seed)`, 0 … RAND_MAX, without end.

    The seed is taken modulo 2³², as C converts it to an unsigned integer.
    """
    table = _seeded_table(seed)
    position = _SEPARATION
    drawn = 0
    while True:
        value = (table[position] + table[position - _SEPARATION]) % _WORD
        table[position] = value
        position = (position + 1) % _DEGREE
        drawn += 1
        if drawn > _DISCARDED:
            yield value >> 1


def _seeded_table(seed: int) -> list[int]:
    """The 31 words of the generator, oldest first; a seed of 0 means 1."""
    word = seed % _WORD or 1
    table = [word]
    word = word - _WORD if word >= _WORD // 2 else word
    for _ in range(_DEGREE - 1):
        # Schrage's division, truncating towards zero as C does: seeds above 2³¹ are negative there.
        high = int(math.copysign(abs(word) // 127773, word))
        low = word - 127773 * high
        word = 16807 * low - 2836 * high
        if word < 0:
            word += RAND_MAX
        table.append(word)
    return table


def thermal_velocities(
    masses: NDArray[np.float64], temperature: float, seed: int
) -> NDArray[np.float64]:
    """Velocities (n, 3) of a Maxwell–Boltzmann distribution, as `VELINIT GEN` draws them.

    Box–Muller with two numbers per component, of which one value is kept: the sine for components
    0, 2, 4 … and the cosine for 1, 3, 5 …, components counted over all atoms. The centre of mass is
    left moving. Masses in g/mol, temperature in K, velocities in Å per internal time unit.
    """
    numbers = rand(seed)
    velocities = np.empty(3 * len(masses))
    for component in range(3 * len(masses)):
        # rand() gives 0 once in 2³¹ draws, of which the logarithm would be infinite.
        first = max(next(numbers), 1) / RAND_MAX
        angle = 2.0 * math.pi * (next(numbers) / RAND_MAX)
        width = math.sqrt(BOLTZMANN * temperature / masses[component // 3])
        radius = math.sqrt(-2.0 * math.log(first)) * width
        trigonometric = math.sin if component % 2 == 0 else math.cos
        velocities[component] = radius * trigonometric(angle)
    return velocities.reshape(-1, 3)


def without_drift(
    velocities: NDArray[np.float64], masses: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The velocities with that of the centre of mass subtracted."""
    drift: NDArray[np.float64] = masses @ velocities / masses.sum()
    return velocities - drift
