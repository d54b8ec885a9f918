"""Compiled energies of single charges in an Ewald sum; see `ewald`."""

import math

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats
from ald_chimes_lsq.kernels.ewald import (
    ROOT_PI,
    TWO_PI,
    PackedEwald,
    multiply_phases,
    phase_tables,
)
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.neighbours import invert


@njit(**OPTIONS)
def charge_energies(
    packed: PackedEwald,
    lists: Lists,
    charges: Floats,
    positions: Floats,
    cell: Floats,
    energies: Floats,
) -> None:
    """Write (n,) charge × potential / 2 in e²/Å, which add up to the energy of `ewald_sums`."""
    alpha = packed.alpha
    for i in range(charges.size):
        energies[i] = -alpha / ROOT_PI * charges[i] * charges[i]
    for e in range(lists.first.size):
        i, j = lists.first[e], lists.second[e]
        r2 = 0.0
        for a in range(3):
            d = positions[j, a] - positions[i, a]
            for b in range(3):
                d += float(lists.shift[e, b]) * cell[b, a]
            r2 += d * d
        if r2 >= packed.cutoff * packed.cutoff:
            continue
        r = math.sqrt(r2)
        half = 0.5 * charges[i] * charges[j] * math.erfc(alpha * r) / r
        energies[i] += half
        energies[j] += half
    add_waves(packed, charges, positions, cell, energies)


@njit(**OPTIONS)
def add_waves(
    packed: PackedEwald, charges: Floats, positions: Floats, cell: Floats, energies: Floats
) -> None:
    """Add the part in reciprocal space."""
    n = charges.size
    inverse, volume = invert(cell)
    cosines, sines = phase_tables(packed.waves, positions, inverse)
    plane_cos, plane_sin, wave_cos, wave_sin = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    decay = 0.25 / (packed.alpha * packed.alpha)
    for w in range(packed.waves.shape[0]):
        h1, h2, h3 = packed.waves[w, 0], packed.waves[w, 1], packed.waves[w, 2]
        multiply_phases(
            cosines[0, h1], sines[0, h1], cosines[1], sines[1], h2, plane_cos, plane_sin
        )
        multiply_phases(plane_cos, plane_sin, cosines[2], sines[2], h3, wave_cos, wave_sin)
        k2 = 0.0
        for a in range(3):
            k = TWO_PI * (h1 * inverse[a, 0] + h2 * inverse[a, 1] + h3 * inverse[a, 2])
            k2 += k * k
        # Twice, for k and -k.
        weight = 2.0 * TWO_PI / volume * math.exp(-k2 * decay) / k2
        total_cos, total_sin = 0.0, 0.0
        for i in range(n):
            total_cos += charges[i] * wave_cos[i]
            total_sin += charges[i] * wave_sin[i]
        for i in range(n):
            own = wave_cos[i] * total_cos + wave_sin[i] * total_sin
            energies[i] += weight * charges[i] * own
