"""Compiled search for triangles, listed under each of their bonds."""

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.growth import grow, grow_rows
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.simd import at


@njit(**OPTIONS)
def find_triangles(
    n: int, first: Integers, second: Integers, shift: Integers, bond: Integers
) -> Integers:
    """Each three mutually bonded atoms i, j, k, in the order of edges, once: (n_triangles, 3) bonds ij, ik, jk."""
    start = np.zeros(n, np.int64)
    stop = np.zeros(n, np.int64)
    extent = np.zeros(3, np.int64)
    n_bonds = 0
    for e in range(first.size):
        if bond[e] >= 0:
            if stop[first[e]] == 0:
                start[first[e]] = n_bonds
            n_bonds += 1
            stop[first[e]] = n_bonds
            for a in range(3):
                extent[a] = max(extent[a], abs(shift[e, a]))
    # `mark` has a place for every atom in every cell that a walk of two edges can reach.
    ny, nz = 4 * extent[1] + 1, 4 * extent[2] + 1
    centre = (2 * extent[0] * ny + 2 * extent[1]) * nz + 2 * extent[2]
    mark = np.zeros((4 * extent[0] + 1) * ny * nz * n, np.int32)
    atom = np.empty(n_bonds, np.int32)
    step = np.empty(n_bonds, np.int64)
    name = np.empty(n_bonds, np.int32)
    k = 0
    for e in range(first.size):
        if bond[e] >= 0:
            atom[k] = second[e]
            step[k] = ((shift[e, 0] * ny + shift[e, 1]) * nz + shift[e, 2]) * n + second[e]
            name[k] = bond[e]
            k += 1
    capacity = 8 * n_bonds + 64
    triangles = np.empty((capacity, 3), np.int32)
    count = 0
    for i in range(n):
        for q in range(start[i], stop[i]):
            mark[centre * n + step[q]] = name[q] + 1
        for q in range(start[i], stop[i]):
            j = atom[q]
            corner = centre * n + step[q] - j
            if count + stop[j] - start[j] >= capacity:
                capacity = 2 * capacity + stop[j] - start[j]
                triangles = grow_rows(triangles, capacity)
            for s in range(start[j], stop[j]):
                # Without a branch, which could not be predicted.
                other = mark[corner + step[s]]
                triangles[count, 0] = name[q]
                triangles[count, 1] = other - 1
                triangles[count, 2] = name[s]
                count += int(other > 0)
        for q in range(start[i], stop[i]):
            mark[centre * n + step[q]] = 0
    return triangles[:count]


@njit(**OPTIONS)
def bond_ends(
    n_bonds: int, first: Integers, second: Integers, distance: Floats, bond: Integers
) -> tuple[Integers, Floats]:
    """Atoms (n_bonds, 2) and length (n_bonds,) of each bond."""
    ends = np.empty((n_bonds, 2), np.int32)
    lengths = np.empty(n_bonds)
    for e in range(first.size):
        m = bond[e]
        if m >= 0:
            ends[m, 0] = first[e]
            ends[m, 1] = second[e]
            lengths[m] = distance[e]
    return ends, lengths


@njit(**OPTIONS)
def sort_partners(
    packed: PackedModel,
    types: Integers,
    triangles: Integers,
    ends: Integers,
    lengths: Floats,
    slot_shift: Integers,
    extra: float,
    row_start: Integers,
) -> Integers:
    """Fill `Lists.row_start` and return `Lists.partners`."""
    n_types = packed.pair_of.shape[0]
    n_triangles = triangles.shape[0]
    sets = side_sets(packed)
    reach = np.empty(packed.set_rmax.size)
    for k in range(reach.size):
        reach[k] = packed.set_rmax[k] + extra
    slots = np.empty((n_triangles, 3), np.int32)
    rows = np.empty((n_triangles, 3), np.int32)
    kept = 0
    for t in range(n_triangles):
        ij, ik, jk = at(triangles, 3 * t), at(triangles, 3 * t + 1), at(triangles, 3 * t + 2)
        a, b = at(types, at(ends, 2 * ij)), at(types, at(ends, 2 * ij + 1))
        c = at(types, at(ends, 2 * ik + 1))
        kind = 3 * ((a * n_types + b) * n_types + c)
        set_ij, set_ik, set_jk = at(sets, kind), at(sets, kind + 1), at(sets, kind + 2)
        if set_ij < 0:
            continue
        slots[kept, 0] = at(slot_shift, set_ij) + ij
        slots[kept, 1] = at(slot_shift, set_ik) + ik
        slots[kept, 2] = at(slot_shift, set_jk) + jk
        rows[kept, 0] = ij * n_types + c
        rows[kept, 1] = ik * n_types + b
        rows[kept, 2] = jk * n_types + a
        inside = int(
            (at(lengths, ij) < at(reach, set_ij))
            & (at(lengths, ik) < at(reach, set_ik))
            & (at(lengths, jk) < at(reach, set_jk))
        )
        row_start[rows[kept, 0] + 1] += inside
        row_start[rows[kept, 1] + 1] += inside
        row_start[rows[kept, 2] + 1] += inside
        kept += inside
    for row in range(row_start.size - 1):
        row_start[row + 1] += row_start[row]
    cursor = grow(row_start, row_start.size)
    partners = np.empty((row_start[-1], 2), np.int32)
    for t in range(kept):
        ij, ik, jk = slots[t, 0], slots[t, 1], slots[t, 2]
        place = cursor[rows[t, 0]]
        cursor[rows[t, 0]] = place + 1
        partners[place, 0] = ik
        partners[place, 1] = jk
        place = cursor[rows[t, 1]]
        cursor[rows[t, 1]] = place + 1
        partners[place, 0] = ij
        partners[place, 1] = jk
        place = cursor[rows[t, 2]]
        cursor[rows[t, 2]] = place + 1
        partners[place, 0] = ij
        partners[place, 1] = ik
    return partners


@njit(**OPTIONS)
def side_sets(packed: PackedModel) -> Integers:
    """The sets of the sides ab, ac, bc, for all types of a, b, c: (n_types³, 3); -1 if excluded."""
    n = packed.pair_of.shape[0]
    sets = np.empty((n**3, 3), np.int32)
    row = 0
    for a in range(n):
        for b in range(n):
            for c in range(n):
                sets[row, 0] = packed.triplet_set[a, b, c]
                sets[row, 1] = packed.triplet_set[a, c, b]
                sets[row, 2] = packed.triplet_set[b, c, a]
                row += 1
    return sets
