"""Compiled search for quadruplets, listed as triangles with the atoms (apexes) that are bonded to all three corners."""

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.growth import grow_rows
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.simd import at

# For each of the four triangles of a quadruplet abcd, the bonds from its corners to the apex, as positions in the list
# ab, ac, ad, bc, bd, cd. The apex of triangle 0 is d, of 1 c, of 2 b, of 3 a.
_LEGS = np.array([[2, 4, 5], [1, 3, 5], [0, 3, 4], [0, 1, 2]])


@njit(**OPTIONS)
def find_apexes(
    packed: PackedModel,
    types: Integers,
    triangles: Integers,
    ends: Integers,
    lengths: Floats,
    slot_shift: Integers,
    extra: float,
) -> tuple[Integers, Integers, Integers, Integers]:
    """The fields triangle_bonds, triangle_types, apex_start, apexes of `Lists`."""
    n_types = packed.pair_of.shape[0]
    triangles = close_triangles(packed, types, triangles, ends, lengths, extra)
    triangles, order, triangle_types = sort_triangles(n_types, types, triangles, ends)
    quads = find_quads(types.size, triangles, ends)
    sets = edge_sets(packed)
    n_triangles = triangles.shape[0]
    corners = np.empty((quads.shape[0], 4), np.int8)
    apex_start = np.zeros(n_triangles * n_types + 1, np.int32)
    kept = 0
    for q in range(quads.shape[0]):
        if quad_slots(
            sets,
            packed.set_rmax,
            n_types,
            types,
            quads,
            q,
            ends,
            lengths,
            slot_shift,
            extra,
            corners,
            kept,
        ):
            for f in range(4):
                # Kept ones move up, with the numbers of their triangles.
                quads[kept, 6 + f] = quads[q, 6 + f]
                apex_start[quads[q, 6 + f] * n_types + corners[kept, 3 - f] + 1] += 1
            kept += 1
    for row in range(apex_start.size - 1):
        apex_start[row + 1] += apex_start[row]
    cursor = np.empty(apex_start.size, np.int32)
    for row in range(apex_start.size):
        cursor[row] = apex_start[row]
    apexes = np.empty((apex_start[-1], 3), np.int32)
    for q in range(kept):
        for f in range(4):
            triangle = quads[q, 6 + f]
            row = triangle * n_types + corners[q, 3 - f]
            place = cursor[row]
            cursor[row] = place + 1
            for c in range(3):
                apexes[place, c] = at(
                    quads, 10 * q + at(_LEGS, 3 * f + at(order, 3 * triangle + c))
                )
    triangle_bonds = np.empty((n_triangles, 3), np.int32)
    for t in range(n_triangles):
        # The side between corners x and y of (0, 1, 2) is number x + y - 1.
        triangle_bonds[t, 0] = triangles[t, order[t, 0] + order[t, 1] - 1]
        triangle_bonds[t, 1] = triangles[t, order[t, 0] + order[t, 2] - 1]
        triangle_bonds[t, 2] = triangles[t, order[t, 1] + order[t, 2] - 1]
    return triangle_bonds, triangle_types, apex_start, apexes


@njit(**OPTIONS)
def close_triangles(
    packed: PackedModel,
    types: Integers,
    triangles: Integers,
    ends: Integers,
    lengths: Floats,
    extra: float,
) -> Integers:
    """Those triangles whose sides are within some 4-body cutoff."""
    n_types = packed.pair_of.shape[0]
    reach = np.zeros((n_types, n_types))
    for a in range(n_types):
        for b in range(n_types):
            for c in range(n_types):
                for d in range(n_types):
                    s = packed.quad_set[a, b, c, d]
                    if s >= 0:
                        reach[a, b] = max(reach[a, b], packed.set_rmax[s] + extra)
    result = np.empty((triangles.shape[0], 3), np.int32)
    count = 0
    for t in range(triangles.shape[0]):
        inside = True
        for x in range(3):
            m = triangles[t, x]
            if lengths[m] >= reach[types[ends[m, 0]], types[ends[m, 1]]]:
                inside = False
        if inside:
            for x in range(3):
                result[count, x] = triangles[t, x]
            count += 1
    return result[:count]


@njit(**OPTIONS)
def sort_triangles(
    n_types: int, types: Integers, triangles: Integers, ends: Integers
) -> tuple[Integers, Integers, Integers]:
    """Group triangles by the types of their corners.

    Returns them with, for each, the order in which the types of its corners ascend, and these types.
    """
    n = triangles.shape[0]
    order = np.empty((n, 3), np.int32)
    kind = np.empty(n, np.int64)
    start = np.zeros(n_types**3 + 1, np.int64)
    corner = np.empty(3, np.int64)
    for t in range(n):
        ij, ik = triangles[t, 0], triangles[t, 1]
        corner[0], corner[1], corner[2] = types[ends[ij, 0]], types[ends[ij, 1]], types[ends[ik, 1]]
        x, y, z = 0, 1, 2
        if corner[x] > corner[y]:
            x, y = y, x
        if corner[y] > corner[z]:
            y, z = z, y
        if corner[x] > corner[y]:
            x, y = y, x
        order[t, 0], order[t, 1], order[t, 2] = x, y, z
        kind[t] = (corner[x] * n_types + corner[y]) * n_types + corner[z]
        start[kind[t] + 1] += 1
    for k in range(n_types**3):
        start[k + 1] += start[k]
    sorted_triangles = np.empty((n, 3), np.int32)
    sorted_order = np.empty((n, 3), np.int32)
    triangle_types = np.empty((n, 3), np.int32)
    for t in range(n):
        place = start[kind[t]]
        start[kind[t]] = place + 1
        for c in range(3):
            sorted_triangles[place, c] = triangles[t, c]
            sorted_order[place, c] = order[t, c]
        triangle_types[place, 0] = kind[t] // (n_types * n_types)
        triangle_types[place, 1] = kind[t] // n_types % n_types
        triangle_types[place, 2] = kind[t] % n_types
    return sorted_triangles, sorted_order, triangle_types


@njit(**OPTIONS)
def find_quads(n: int, triangles: Integers, ends: Integers) -> Integers:
    """Each four mutually bonded atoms a < b < c < d once: (n_quads, 10).

    Bonds ab, ac, ad, bc, bd, cd; triangles abc, abd, acd, bcd.
    """
    n_bonds = ends.shape[0]
    local = np.empty(n_bonds, np.int64)
    for m in range(n_bonds):
        local[m] = -1
    size = np.zeros(n, np.int64)
    for t in range(triangles.shape[0]):
        for x in range(3):
            m = triangles[t, x]
            if local[m] < 0:
                local[m] = size[ends[m, 0]]
                size[ends[m, 0]] += 1
    start = np.zeros(n + 1, np.int64)
    for i in range(n):
        start[i + 1] = start[i] + size[i] * size[i]
    # For each atom a matrix over its bonds: the triangle with the first and the second bond, plus 1.
    table = np.zeros(start[n], np.int32)
    for t in range(triangles.shape[0]):
        ij, ik = triangles[t, 0], triangles[t, 1]
        i = ends[ij, 0]
        table[start[i] + local[ij] * size[i] + local[ik]] = t + 1
    capacity = 2 * triangles.shape[0] + 64
    quads = np.empty((capacity, 10), np.int32)
    count = 0
    for abc in range(triangles.shape[0]):
        ab, ac, bc = triangles[abc, 0], triangles[abc, 1], triangles[abc, 2]
        a, b = ends[ab, 0], ends[ab, 1]
        row_b = start[a] + local[ab] * size[a]
        row_c = start[a] + local[ac] * size[a]
        row = start[b] + local[bc] * size[b]
        for d in range(size[a]):
            abd, acd = table[row_b + d] - 1, table[row_c + d] - 1
            if abd < 0 or acd < 0:
                continue
            bd = triangles[abd, 2]
            bcd = table[row + local[bd]] - 1
            if bcd < 0:
                continue
            if count == capacity:
                capacity = 2 * capacity
                quads = grow_rows(quads, capacity)
            quads[count, 0] = ab
            quads[count, 1] = ac
            quads[count, 2] = triangles[abd, 1]
            quads[count, 3] = bc
            quads[count, 4] = bd
            quads[count, 5] = triangles[acd, 2]
            quads[count, 6] = abc
            quads[count, 7] = abd
            quads[count, 8] = acd
            quads[count, 9] = bcd
            count += 1
    return quads[:count]


@njit(**OPTIONS)
def edge_sets(packed: PackedModel) -> Integers:
    """The sets of the edges ab, ac, ad, bc, bd, cd, for all types of a, b, c, d: (n_types⁴, 6); -1 if excluded."""
    n = packed.pair_of.shape[0]
    sets = np.empty((n**4, 6), np.int32)
    row = 0
    for a in range(n):
        for b in range(n):
            for c in range(n):
                for d in range(n):
                    sets[row, 0] = packed.quad_set[a, b, c, d]
                    sets[row, 1] = packed.quad_set[a, c, b, d]
                    sets[row, 2] = packed.quad_set[a, d, b, c]
                    sets[row, 3] = packed.quad_set[b, c, a, d]
                    sets[row, 4] = packed.quad_set[b, d, a, c]
                    sets[row, 5] = packed.quad_set[c, d, a, b]
                    row += 1
    return sets


@njit(**OPTIONS, forceinline=True)
def quad_slots(
    sets: Integers,
    set_rmax: Floats,
    n_types: int,
    types: Integers,
    quads: Integers,
    q: int,
    ends: Integers,
    lengths: Floats,
    slot_shift: Integers,
    extra: float,
    corners: Integers,
    row: int,
) -> bool:
    """Whether a quadruplet can contribute; writes its types and, in place of bonds, its slots to row `row` <= q."""
    first = at(quads, 10 * q)
    a, b = at(types, at(ends, 2 * first)), at(types, at(ends, 2 * first + 1))
    c = at(types, at(ends, 2 * at(quads, 10 * q + 1) + 1))
    d = at(types, at(ends, 2 * at(quads, 10 * q + 2) + 1))
    corners[row, 0], corners[row, 1], corners[row, 2], corners[row, 3] = a, b, c, d
    kind = 6 * (((a * n_types + b) * n_types + c) * n_types + d)
    inside = at(sets, kind) >= 0
    if inside:
        for edge in range(6):
            s, bond = at(sets, kind + edge), at(quads, 10 * q + edge)
            inside &= at(lengths, bond) < at(set_rmax, s) + extra
            quads[row, edge] = at(slot_shift, s) + bond
    return bool(inside)
