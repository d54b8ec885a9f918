"""Compiled search for quadruplets, listed as triangles with the atoms (apexes) that are bonded to all three corners."""

import numpy as np
from numba import njit

from ald_chimes_lsq.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.growth_kernels import grow_rows
from ald_chimes_lsq.packing import PackedModel

# For each of the four triangles of a quadruplet abcd: its bonds and those to the apex, as positions in the list
# ab, ac, ad, bc, bd, cd; and its corners and the apex.
_SIDES = np.array([[0, 1, 3], [0, 2, 4], [1, 2, 5], [3, 4, 5]])
_LEGS = np.array([[2, 4, 5], [1, 3, 5], [0, 3, 4], [0, 1, 2]])
_CORNERS = np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])
_APEX = np.array([3, 2, 1, 0])


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
    quads = find_quads(types.size, triangles, ends)
    n_triangles = triangles.shape[0]
    slots = np.empty(6, np.int32)
    atoms = np.empty(4, np.int64)
    kept = np.zeros(quads.shape[0], np.bool_)
    apex_start = np.zeros(n_triangles * n_types + 1, np.int32)
    for q in range(quads.shape[0]):
        if quad_slots(packed, types, quads[q], ends, lengths, slot_shift, extra, atoms, slots):
            kept[q] = True
            for f in range(4):
                apex_start[quads[q, 6 + f] * n_types + atoms[_APEX[f]] + 1] += 1
    for row in range(apex_start.size - 1):
        apex_start[row + 1] += apex_start[row]
    cursor = np.empty(apex_start.size, np.int32)
    for row in range(apex_start.size):
        cursor[row] = apex_start[row]
    triangle_bonds = np.zeros((n_triangles, 3), np.int32)
    triangle_types = np.zeros((n_triangles, 3), np.int32)
    apexes = np.empty((apex_start[-1], 3), np.int32)
    order = np.empty(3, np.int64)
    for q in range(quads.shape[0]):
        if not kept[q]:
            continue
        quad_slots(packed, types, quads[q], ends, lengths, slot_shift, extra, atoms, slots)
        for f in range(4):
            triangle = quads[q, 6 + f]
            row = triangle * n_types + atoms[_APEX[f]]
            sort_corners(atoms, _CORNERS[f], order)
            for c in range(3):
                triangle_types[triangle, c] = atoms[_CORNERS[f, order[c]]]
                apexes[cursor[row], c] = slots[_LEGS[f, order[c]]]
            # The side between corners x and y of (0, 1, 2) is number x + y - 1.
            triangle_bonds[triangle, 0] = quads[q, _SIDES[f, order[0] + order[1] - 1]]
            triangle_bonds[triangle, 1] = quads[q, _SIDES[f, order[0] + order[2] - 1]]
            triangle_bonds[triangle, 2] = quads[q, _SIDES[f, order[1] + order[2] - 1]]
            cursor[row] += 1
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
    capacity = 4 * triangles.shape[0] + 64
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
def quad_slots(
    packed: PackedModel,
    types: Integers,
    quad: Integers,
    ends: Integers,
    lengths: Floats,
    slot_shift: Integers,
    extra: float,
    atoms: Integers,
    slots: Integers,
) -> bool:
    """Write the types of the four atoms and the slots of the six bonds; False if the quadruplet cannot contribute."""
    atoms[0] = types[ends[quad[0], 0]]
    atoms[1] = types[ends[quad[0], 1]]
    atoms[2] = types[ends[quad[1], 1]]
    atoms[3] = types[ends[quad[2], 1]]
    if packed.quad_of[atoms[0], atoms[1], atoms[2], atoms[3]] < 0:
        return False
    edge = 0
    for x in range(3):
        for y in range(x + 1, 4):
            # The other two of 0, 1, 2, 3.
            u = 0
            while u in (x, y):
                u += 1
            v = 6 - x - y - u
            s = packed.quad_set[atoms[x], atoms[y], atoms[u], atoms[v]]
            if lengths[quad[edge]] >= packed.set_rmax[s] + extra:
                return False
            slots[edge] = slot_shift[s] + quad[edge]
            edge += 1
    return True


@njit(**OPTIONS)
def sort_corners(atoms: Integers, corners: Integers, order: Integers) -> None:
    """Write the order in which the types of three corners ascend."""
    order[0], order[1], order[2] = 0, 1, 2
    if atoms[corners[order[0]]] > atoms[corners[order[1]]]:
        order[0], order[1] = order[1], order[0]
    if atoms[corners[order[1]]] > atoms[corners[order[2]]]:
        order[1], order[2] = order[2], order[1]
    if atoms[corners[order[0]]] > atoms[corners[order[1]]]:
        order[0], order[1] = order[1], order[0]
