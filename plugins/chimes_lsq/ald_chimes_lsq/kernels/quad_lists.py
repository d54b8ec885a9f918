"""Compiled search for quadruplets, listed as triangles with the atoms (apexes) that are bonded to all three corners."""

from typing import NamedTuple

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.simd import at


class Stars(NamedTuple):
    """The bonds of each atom in both directions (*spokes*), and which of them span triangles."""

    local: Integers
    """(n_bonds, 2): number of the bond among the spokes of its first and of its second atom"""
    spoke_start: Integers
    """(n_atoms × n_types + 1,) row atom × n_types + type at the other end: its first spoke"""
    bond: Integers
    """(n_spokes,)"""
    table_start: Integers
    """(n_atoms + 1,) first entry of each atom in `third`"""
    third: Integers
    """For each atom a matrix over its spokes: the bond between the tips of two of them, plus 1; 0 if there is none"""


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
    stars = find_stars(n_types, types, triangles, ends)
    sides, roots = sort_sides(n_types, triangles, order, ends, stars)
    sets, limits = edge_sets(packed, extra)
    n_triangles = triangles.shape[0]
    apex_start = np.zeros(n_triangles * n_types + 1, np.int32)
    # One more than there are: where the next one would go can be written to.
    apexes = np.empty((count_apexes(n_types, stars, roots) + 1, 3), np.int32)
    spokes = np.empty(stars.bond.size + 1, np.int32)
    count = 0
    for t in range(n_triangles):
        xy, xz, yz = at(sides, 3 * t), at(sides, 3 * t + 1), at(sides, 3 * t + 2)
        atom, row_y, row_z = at(roots, 3 * t), at(roots, 3 * t + 1), at(roots, 3 * t + 2)
        first = stars.spoke_start[atom * n_types]
        corners = (triangle_types[t, 0] * n_types + triangle_types[t, 1]) * n_types
        corners += triangle_types[t, 2]
        for d in range(n_types):
            # Edges xy, xz, xd, yz, yd, zd.
            kind = 6 * (corners * n_types + d)
            inside = (
                (at(lengths, xy) < at(limits, kind))
                & (at(lengths, xz) < at(limits, kind + 1))
                & (at(lengths, yz) < at(limits, kind + 3))
            )
            if inside:
                n_spokes = 0
                begin = stars.spoke_start[atom * n_types + d]
                end = stars.spoke_start[atom * n_types + d + 1]
                for w in range(begin - first, end - first):
                    # Without a branch, which could not be predicted.
                    spokes[n_spokes] = w
                    n_spokes += int(
                        (at(stars.third, row_y + w) > 0) & (at(stars.third, row_z + w) > 0)
                    )
                limit_x, limit_y = at(limits, kind + 2), at(limits, kind + 4)
                limit_z = at(limits, kind + 5)
                shift_x = at(slot_shift, at(sets, kind + 2))
                shift_y = at(slot_shift, at(sets, kind + 4))
                shift_z = at(slot_shift, at(sets, kind + 5))
                for k in range(n_spokes):
                    w = at(spokes, k)
                    xd = at(stars.bond, first + w)
                    yd, zd = at(stars.third, row_y + w) - 1, at(stars.third, row_z + w) - 1
                    apexes[count, 0] = shift_x + xd
                    apexes[count, 1] = shift_y + yd
                    apexes[count, 2] = shift_z + zd
                    count += int(
                        (at(lengths, xd) < limit_x)
                        & (at(lengths, yd) < limit_y)
                        & (at(lengths, zd) < limit_z)
                    )
            apex_start[t * n_types + d + 1] = count
    return sides, triangle_types, apex_start, apexes[:count]


@njit(**OPTIONS)
def find_stars(n_types: int, types: Integers, triangles: Integers, ends: Integers) -> Stars:
    """Spokes of all atoms, of bonds in triangles only."""
    n, n_bonds = types.size, ends.shape[0]
    local = np.empty((n_bonds, 2), np.int32)
    for m in range(n_bonds):
        local[m, 0] = -1
    for k in range(triangles.size):
        local[at(triangles, k), 0] = 0
    # First place and, while they are dealt out, next place of each row.
    spoke_start, cursor = np.zeros(n * n_types + 1, np.int64), np.zeros(n * n_types + 1, np.int64)
    for m in range(n_bonds):
        for end in range(2 if local[m, 0] == 0 else 0):
            spoke_start[ends[m, end] * n_types + types[ends[m, 1 - end]] + 1] += 1
    for row in range(n * n_types):
        spoke_start[row + 1] += spoke_start[row]
        cursor[row + 1] = spoke_start[row + 1]
    bond = np.empty(spoke_start[n * n_types], np.int32)
    for m in range(n_bonds):
        for end in range(2 if local[m, 0] >= 0 else 0):
            atom = ends[m, end]
            row = atom * n_types + types[ends[m, 1 - end]]
            bond[cursor[row]] = m
            local[m, end] = cursor[row] - spoke_start[atom * n_types]
            cursor[row] += 1
    table_start = np.zeros(n + 1, np.int64)
    for i in range(n):
        size = spoke_start[(i + 1) * n_types] - spoke_start[i * n_types]
        table_start[i + 1] = table_start[i] + size * size
    third = np.zeros(table_start[n], np.int32)
    for t in range(triangles.shape[0]):
        ij, ik, jk = at(triangles, 3 * t), at(triangles, 3 * t + 1), at(triangles, 3 * t + 2)
        i, j, k = at(ends, 2 * ij), at(ends, 2 * ij + 1), at(ends, 2 * ik + 1)
        size = spoke_start[(i + 1) * n_types] - spoke_start[i * n_types]
        span(third, table_start[i], size, at(local, 2 * ij), at(local, 2 * ik), jk)
        size = spoke_start[(j + 1) * n_types] - spoke_start[j * n_types]
        span(third, table_start[j], size, at(local, 2 * ij + 1), at(local, 2 * jk), ik)
        size = spoke_start[(k + 1) * n_types] - spoke_start[k * n_types]
        span(third, table_start[k], size, at(local, 2 * ik + 1), at(local, 2 * jk + 1), ij)
    return Stars(local, spoke_start, bond, table_start, third)


@njit(**OPTIONS, forceinline=True)
def span(third: Integers, place: int, size: int, first: int, second: int, bond: int) -> None:
    """Note that a bond joins the tips of two spokes of the atom whose matrix begins at `place`."""
    third[place + first * size + second] = bond + 1
    third[place + second * size + first] = bond + 1


@njit(**OPTIONS)
def sort_sides(
    n_types: int, triangles: Integers, order: Integers, ends: Integers, stars: Stars
) -> tuple[Integers, Integers]:
    """Sides xy, xz, yz of each triangle, and its first corner with the rows of its spokes xy and xz in `third`."""
    n = triangles.shape[0]
    sides, roots = np.empty((n, 3), np.int32), np.empty((n, 3), np.int64)
    for t in range(n):
        x, y, z = order[t, 0], order[t, 1], order[t, 2]
        # The side between corners x and y of (0, 1, 2) is number x + y - 1, and begins at the lower one.
        xy, xz, yz = triangles[t, x + y - 1], triangles[t, x + z - 1], triangles[t, y + z - 1]
        sides[t, 0], sides[t, 1], sides[t, 2] = xy, xz, yz
        end_xy, end_xz = 0 if x < y else 1, 0 if x < z else 1
        atom = ends[xy, end_xy]
        size = stars.spoke_start[(atom + 1) * n_types] - stars.spoke_start[atom * n_types]
        roots[t, 0] = atom
        roots[t, 1] = stars.table_start[atom] + stars.local[xy, end_xy] * size
        roots[t, 2] = stars.table_start[atom] + stars.local[xz, end_xz] * size
    return sides, roots


@njit(**OPTIONS)
def count_apexes(n_types: int, stars: Stars, roots: Integers) -> int:
    """How many apexes all triangles have, whatever their cutoffs."""
    count = 0
    for t in range(roots.shape[0]):
        atom, row_y, row_z = roots[t, 0], roots[t, 1], roots[t, 2]
        size = stars.spoke_start[(atom + 1) * n_types] - stars.spoke_start[atom * n_types]
        for w in range(size):
            count += int((at(stars.third, row_y + w) > 0) & (at(stars.third, row_z + w) > 0))
    return count


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
