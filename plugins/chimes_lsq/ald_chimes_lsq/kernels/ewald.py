"""Compiled Ewald sums: fields, energies and virials of sets of point charges in a periodic cell.

P. P. Ewald, Ann. Phys. 369, 253 (1921). Fields instead of forces, so that one pass serves many sets of charges at the
same places. A unit charge at distance Å has the energy 1 here; the Coulomb constant comes in where it is known.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.neighbours import invert
from ald_chimes_lsq.kernels.packing import PackedModel

TWO_PI = 2.0 * math.pi
ROOT_PI = math.sqrt(math.pi)


class PackedEwald(NamedTuple):
    """How the sum over a cell is split into its two parts."""

    neighbours: PackedModel
    """A model without terms, of one type and with the cutoff of the real-space sum, for `build_lists`"""
    alpha: float
    """1/Å"""
    cutoff: float
    """Å"""
    waves: Integers
    """(n, 3) multiples of the reciprocal lattice vectors, of k and -k only one, sorted"""


@njit(**OPTIONS)
def ewald_sums(
    packed: PackedEwald,
    lists: Lists,
    sources: Floats,
    positions: Floats,
    cell: Floats,
    fields: Floats,
    virials: Floats,
    energies: Floats,
) -> None:
    """Write fields, energies and virials of sets of charges, each set in its own field.

    sources (n_sets, n) charges; fields (n_sets, n, 3) e/Å²; energies (n_sets,) e²/Å; virials (n_sets, 3, 3)
    e²/Å, -dE/d(strain). The lists are those of `packed.neighbours`. Each set must be neutral for its energy and
    virial to mean anything.
    """
    fields[:] = 0.0
    energies[:] = 0.0
    virials[:] = 0.0
    sum_near(packed, lists, sources, positions, cell, fields, virials, energies)
    sum_waves(packed, sources, positions, cell, fields, virials, energies)
    for s in range(sources.shape[0]):
        squares = 0.0
        for i in range(sources.shape[1]):
            squares += sources[s, i] * sources[s, i]
        energies[s] -= packed.alpha / ROOT_PI * squares


@njit(**OPTIONS)
def sum_near(
    packed: PackedEwald,
    lists: Lists,
    sources: Floats,
    positions: Floats,
    cell: Floats,
    fields: Floats,
    virials: Floats,
    energies: Floats,
) -> None:
    """Add the part in real space: erfc(αr)/r for r below the cutoff."""
    limit = packed.cutoff * packed.cutoff
    alpha = packed.alpha
    d = np.empty(3)
    for e in range(lists.first.size):
        i, j = lists.first[e], lists.second[e]
        r2 = 0.0
        for a in range(3):
            d[a] = positions[j, a] - positions[i, a]
            for b in range(3):
                d[a] += float(lists.shift[e, b]) * cell[b, a]
            r2 += d[a] * d[a]
        if r2 >= limit:
            continue
        r = math.sqrt(r2)
        potential = math.erfc(alpha * r) / r
        slope = (potential + 2.0 * alpha / ROOT_PI * math.exp(-alpha * alpha * r2)) / r2
        for s in range(sources.shape[0]):
            q_i, q_j = sources[s, i], sources[s, j]
            energies[s] += q_i * q_j * potential
            for a in range(3):
                fields[s, i, a] -= q_j * slope * d[a]
                fields[s, j, a] += q_i * slope * d[a]
                for b in range(3):
                    virials[s, a, b] += q_i * q_j * slope * d[a] * d[b]


@njit(**OPTIONS)
def sum_waves(
    packed: PackedEwald,
    sources: Floats,
    positions: Floats,
    cell: Floats,
    fields: Floats,
    virials: Floats,
    energies: Floats,
) -> None:
    """Add the part in reciprocal space."""
    n_sets, n = sources.shape
    inverse, volume = invert(cell)
    cosines, sines = phase_tables(packed.waves, positions, inverse)
    plane_cos, plane_sin, wave_cos, wave_sin = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    k = np.empty(3)
    before_h, before_k = -1, 0
    for w in range(packed.waves.shape[0]):
        h1, h2, h3 = packed.waves[w, 0], packed.waves[w, 1], packed.waves[w, 2]
        if h1 != before_h or h2 != before_k:
            multiply_phases(
                cosines[0, h1], sines[0, h1], cosines[1], sines[1], h2, plane_cos, plane_sin
            )
            before_h, before_k = h1, h2
        multiply_phases(plane_cos, plane_sin, cosines[2], sines[2], h3, wave_cos, wave_sin)
        k2 = 0.0
        for a in range(3):
            k[a] = TWO_PI * (h1 * inverse[a, 0] + h2 * inverse[a, 1] + h3 * inverse[a, 2])
            k2 += k[a] * k[a]
        decay = 0.25 / (packed.alpha * packed.alpha)
        # Twice, for k and -k.
        weight = 2.0 * TWO_PI / volume * math.exp(-k2 * decay) / k2
        for s in range(n_sets):
            total_cos, total_sin = 0.0, 0.0
            for i in range(n):
                total_cos += sources[s, i] * wave_cos[i]
                total_sin += sources[s, i] * wave_sin[i]
            energy = weight * (total_cos * total_cos + total_sin * total_sin)
            energies[s] += energy
            for a in range(3):
                virials[s, a, a] += energy
                for b in range(3):
                    virials[s, a, b] -= 2.0 * energy * (1.0 / k2 + decay) * k[a] * k[b]
            for i in range(n):
                amplitude = 2.0 * weight * (wave_sin[i] * total_cos - wave_cos[i] * total_sin)
                fields[s, i, 0] += amplitude * k[0]
                fields[s, i, 1] += amplitude * k[1]
                fields[s, i, 2] += amplitude * k[2]


@njit(**OPTIONS)
def phase_tables(waves: Integers, positions: Floats, inverse: Floats) -> tuple[Floats, Floats]:
    """Cosines and sines of 2π h times each fractional coordinate: (3, h, n)."""
    n = positions.shape[0]
    most = 0
    for w in range(waves.shape[0]):
        for a in range(3):
            most = max(most, abs(waves[w, a]))
    cosines, sines = np.empty((3, most + 1, n)), np.empty((3, most + 1, n))
    for a in range(3):
        for i in range(n):
            fraction = 0.0
            for b in range(3):
                fraction += positions[i, b] * inverse[b, a]
            angle = TWO_PI * (fraction - math.floor(fraction))
            for h in range(most + 1):
                cosines[a, h, i] = math.cos(h * angle)
                sines[a, h, i] = math.sin(h * angle)
    return cosines, sines


@njit(**OPTIONS)
def multiply_phases(
    first_cos: Floats,
    first_sin: Floats,
    table_cos: Floats,
    table_sin: Floats,
    h: int,
    product_cos: Floats,
    product_sin: Floats,
) -> None:
    """Write the product of phases with those of a table at h, which may be negative."""
    order = abs(h)
    sign = 1.0 if h >= 0 else -1.0
    for i in range(product_cos.size):
        c, s = table_cos[order, i], sign * table_sin[order, i]
        product_cos[i] = first_cos[i] * c - first_sin[i] * s
        product_sin[i] = first_cos[i] * s + first_sin[i] * c
