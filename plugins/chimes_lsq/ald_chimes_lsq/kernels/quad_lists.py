"""Compiled search for quadruplets, listed as triangles with the atoms (apexes) that are bonded to all three corners."""

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.simd import at


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
    n_triangles = triangles.shape[0]
    sets, limits = edge_sets(packed, extra)
    apex_start = np.zeros(n_triangles * n_types + 1, np.int32)
    kept = 0
    for q in range(quads.shape[0]):
        abc, abd = at(quads, 4 * q), at(quads, 4 * q + 1)
        acd, bcd = at(quads, 4 * q + 2), at(quads, 4 * q + 3)
        ab, ac, ad, bc, bd, cd = quad_bonds(triangles, abc, abd, acd)
        a, b = at(types, at(ends, 2 * ab)), at(types, at(ends, 2 * ab + 1))
        c, d = at(types, at(ends, 2 * ac + 1)), at(types, at(ends, 2 * ad + 1))
        kind = 6 * (((a * n_types + b) * n_types + c) * n_types + d)
        inside = int(
            (at(lengths, ab) < at(limits, kind))
            & (at(lengths, ac) < at(limits, kind + 1))
            & (at(lengths, ad) < at(limits, kind + 2))
            & (at(lengths, bc) < at(limits, kind + 3))
            & (at(lengths, bd) < at(limits, kind + 4))
            & (at(lengths, cd) < at(limits, kind + 5))
        )
        # Those that can contribute move up.
        quads[kept, 0], quads[kept, 1], quads[kept, 2], quads[kept, 3] = abc, abd, acd, bcd
        apex_start[abc * n_types + d + 1] += inside
        apex_start[abd * n_types + c + 1] += inside
        apex_start[acd * n_types + b + 1] += inside
        apex_start[bcd * n_types + a + 1] += inside
        kept += inside
    for row in range(apex_start.size - 1):
        apex_start[row + 1] += apex_start[row]
    apexes = fill_apexes(
        n_types, types, triangles, order, ends, quads[:kept], sets, slot_shift, apex_start
    )
    triangle_bonds = np.empty((n_triangles, 3), np.int32)
    for t in range(n_triangles):
        # The side between corners x and y of (0, 1, 2) is number x + y - 1.
        triangle_bonds[t, 0] = triangles[t, order[t, 0] + order[t, 1] - 1]
        triangle_bonds[t, 1] = triangles[t, order[t, 0] + order[t, 2] - 1]
        triangle_bonds[t, 2] = triangles[t, order[t, 1] + order[t, 2] - 1]
    return triangle_bonds, triangle_types, apex_start, apexes


@njit(**OPTIONS)
def fill_apexes(
    n_types: int,
    types: Integers,
    triangles: Integers,
    order: Integers,
    ends: Integers,
    quads: Integers,
    sets: Integers,
    slot_shift: Integers,
    apex_start: Integers,
) -> Integers:
    """The field apexes of `Lists`."""
    cursor = np.empty(apex_start.size, np.int32)
    for row in range(apex_start.size):
        cursor[row] = apex_start[row]
    apexes = np.empty((apex_start[-1], 3), np.int32)
    # Slots of the bonds from the corners of abc to d, of abd to c, of acd to b, of bcd to a.
    legs = np.empty(12, np.int32)
    apex = np.empty(4, np.int64)
    for q in range(quads.shape[0]):
        abc, abd, acd = at(quads, 4 * q), at(quads, 4 * q + 1), at(quads, 4 * q + 2)
        ab, ac, ad, bc, bd, cd = quad_bonds(triangles, abc, abd, acd)
        a, b = at(types, at(ends, 2 * ab)), at(types, at(ends, 2 * ab + 1))
        c, d = at(types, at(ends, 2 * ac + 1)), at(types, at(ends, 2 * ad + 1))
        kind = 6 * (((a * n_types + b) * n_types + c) * n_types + d)
        apex[0], apex[1], apex[2], apex[3] = d, c, b, a
        slot_ab = at(slot_shift, at(sets, kind)) + ab
        slot_ac = at(slot_shift, at(sets, kind + 1)) + ac
        slot_ad = at(slot_shift, at(sets, kind + 2)) + ad
        slot_bc = at(slot_shift, at(sets, kind + 3)) + bc
        slot_bd = at(slot_shift, at(sets, kind + 4)) + bd
        slot_cd = at(slot_shift, at(sets, kind + 5)) + cd
        legs[0], legs[1], legs[2] = slot_ad, slot_bd, slot_cd
        legs[3], legs[4], legs[5] = slot_ac, slot_bc, slot_cd
        legs[6], legs[7], legs[8] = slot_ab, slot_bc, slot_bd
        legs[9], legs[10], legs[11] = slot_ab, slot_ac, slot_ad
        for f in range(4):
            triangle = at(quads, 4 * q + f)
            row = triangle * n_types + apex[f]
            place = cursor[row]
            cursor[row] = place + 1
            apexes[place, 0] = at(legs, 3 * f + at(order, 3 * triangle))
            apexes[place, 1] = at(legs, 3 * f + at(order, 3 * triangle + 1))
            apexes[place, 2] = at(legs, 3 * f + at(order, 3 * triangle + 2))
    return apexes


@njit(**OPTIONS, forceinline=True)
def quad_bonds(
    triangles: Integers, abc: int, abd: int, acd: int
) -> tuple[int, int, int, int, int, int]:
    """The bonds ab, ac, ad, bc, bd, cd of a quadruplet with these triangles."""
    return (
        at(triangles, 3 * abc),
        at(triangles, 3 * abc + 1),
        at(triangles, 3 * abd + 1),
        at(triangles, 3 * abc + 2),
        at(triangles, 3 * abd + 2),
        at(triangles, 3 * acd + 2),
    )


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
    """Each four mutually bonded atoms a < b < c < d once: (n_quads, 4) triangles abc, abd, acd, bcd."""
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
    largest = 0
    for i in range(n):
        start[i + 1] = start[i] + size[i] * size[i]
        largest = max(largest, size[i])
    # For each atom a matrix over its bonds: the triangle with the first and the second bond, plus 1.
    table = np.zeros(start[n], np.int32)
    for t in range(triangles.shape[0]):
        ij, ik = triangles[t, 0], triangles[t, 1]
        i = ends[ij, 0]
        table[start[i] + local[ij] * size[i] + local[ik]] = t + 1
    count = 0
    for abc in range(triangles.shape[0]):
        ab, ac = at(triangles, 3 * abc), at(triangles, 3 * abc + 1)
        a = at(ends, 2 * ab)
        row_b, row_c = start[a] + local[ab] * size[a], start[a] + local[ac] * size[a]
        for d in range(size[a]):
            count += int((at(table, row_b + d) > 0) & (at(table, row_c + d) > 0))
    quads = np.empty((count, 4), np.int32)
    hits = np.empty(largest + 1, np.int64)
    count = 0
    for abc in range(triangles.shape[0]):
        ab, ac, bc = at(triangles, 3 * abc), at(triangles, 3 * abc + 1), at(triangles, 3 * abc + 2)
        a, b = at(ends, 2 * ab), at(ends, 2 * ab + 1)
        row_b, row_c = start[a] + local[ab] * size[a], start[a] + local[ac] * size[a]
        row = start[b] + local[bc] * size[b]
        n_hits = 0
        for d in range(size[a]):
            # Without a branch, which could not be predicted.
            hits[n_hits] = d
            n_hits += int((at(table, row_b + d) > 0) & (at(table, row_c + d) > 0))
        for h in range(n_hits):
            d = hits[h]
            abd = at(table, row_b + d) - 1
            # Three of its triangles are close, so the fourth is, too: its bonds are among theirs.
            bcd = at(table, row + at(local, at(triangles, 3 * abd + 2))) - 1
            quads[count, 0] = abc
            quads[count, 1] = abd
            quads[count, 2] = at(table, row_c + d) - 1
            quads[count, 3] = bcd
            count += 1
    return quads


@njit(**OPTIONS)
def edge_sets(packed: PackedModel, extra: float) -> tuple[Integers, Floats]:
    """The sets of the edges ab, ac, ad, bc, bd, cd, for all types of a, b, c, d, and their outer cutoffs.

    Both (n_types⁴, 6); -1 if excluded.
    """
    n = packed.pair_of.shape[0]
    sets = np.empty((n**4, 6), np.int32)
    limits = np.empty((n**4, 6))
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
                    for edge in range(6):
                        s = sets[row, edge]
                        limits[row, edge] = packed.set_rmax[s] + extra if s >= 0 else -1.0
                    row += 1
    return sets, limits
