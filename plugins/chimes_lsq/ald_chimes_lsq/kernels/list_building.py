"""Compiled assembly of the lists of edges, triangles and quadruplets."""

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.growth import aligned_zeros
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.neighbours import find_edges
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.quad_lists import find_apexes
from ald_chimes_lsq.kernels.triplet_lists import bond_ends, find_triangles, sort_partners


@njit(**OPTIONS)
def build_lists(
    packed: PackedModel, types: Integers, positions: Floats, cell: Floats, r_list_extra: float
) -> Lists:
    """All edges, triangles and quadruplets within their cutoffs plus `r_list_extra`; see `engine`."""
    n_pairs = packed.pair_rmin.size
    first, second, shift, offset, distance, pair = find_edges(
        packed, types, positions, cell, r_list_extra
    )
    # Edges by pair type, bonds first; those that are no bonds have odd keys.
    n_edges = first.size
    start = np.zeros(2 * n_pairs + 1, np.int32)
    key = np.empty(n_edges, np.int32)
    for e in range(n_edges):
        p = pair[e]
        key[e] = 2 * p + (0 if distance[e] < packed.bond_range[p] + r_list_extra else 1)
        if packed.bond_range[p] == 0.0:
            key[e] = 2 * p + 1
        start[key[e] + 1] += 1
    for k in range(2 * n_pairs):
        start[k + 1] += start[k]
    pair_start = np.empty(n_pairs + 1, np.int32)
    for p in range(n_pairs + 1):
        pair_start[p] = start[2 * p]
    bond_start = np.zeros(n_pairs + 1, np.int32)
    for p in range(n_pairs):
        bond_start[p + 1] = bond_start[p] + start[2 * p + 1] - start[2 * p]
    sorted_first = np.empty(n_edges, np.int32)
    sorted_second = np.empty(n_edges, np.int32)
    sorted_shift = np.empty((n_edges, 3), np.int32)
    bond = np.empty(n_edges, np.int32)
    for e in range(n_edges):
        place = start[key[e]]
        start[key[e]] += 1
        i, j, p = first[e], second[e], pair[e]
        sorted_first[place] = i
        sorted_second[place] = j
        for a in range(3):
            sorted_shift[place, a] = shift[e, a] - offset[j, a] + offset[i, a]
        bond[e] = -1 if key[e] & 1 else bond_start[p] + place - pair_start[p]

    n_sets = packed.set_rmin.size
    slot_start = np.zeros(n_sets, np.int32)
    n_slots = 0
    for p in range(n_pairs):
        for s in range(packed.set_start[p], packed.set_start[p + 1]):
            slot_start[s] = n_slots
            n_slots += bond_start[p + 1] - bond_start[p]
    n_types = packed.pair_of.shape[0]
    n_bonds = bond_start[n_pairs]
    row_start = np.zeros(n_bonds * n_types + 1, np.int32)
    partners = np.empty((0, 2), np.int32)
    triangle_bonds = np.empty((0, 3), np.int32)
    triangle_types = np.empty((0, 3), np.int32)
    apex_start = np.zeros(1, np.int32)
    apexes = np.empty((0, 3), np.int32)
    if n_bonds > 0:
        triangles = find_triangles(types.size, first, second, shift, bond)
        ends, lengths = bond_ends(n_bonds, first, second, distance, bond)
        slot_shift = np.empty(n_sets, np.int32)  # slot of bond m in set s: slot_shift[s] + m
        for p in range(n_pairs):
            for s in range(packed.set_start[p], packed.set_start[p + 1]):
                slot_shift[s] = slot_start[s] - bond_start[p]
        if packed.order3 > 0:
            partners = sort_partners(
                packed, types, triangles, ends, lengths, slot_shift, r_list_extra, row_start
            )
        if packed.order4 > 0:
            triangle_bonds, triangle_types, apex_start, apexes = find_apexes(
                packed, types, triangles, ends, lengths, slot_shift, r_list_extra
            )
    return Lists(
        sorted_first,
        sorted_second,
        sorted_shift,
        pair_start,
        bond_start,
        slot_start,
        row_start,
        partners,
        triangle_bonds,
        triangle_types,
        apex_start,
        apexes,
        np.empty((3, n_edges)),
        np.empty(n_edges),
        np.empty(n_edges),
        np.empty((2, n_edges)),
        np.empty(n_edges),
        aligned_zeros(n_slots, packed.stride),
        aligned_zeros(n_slots, packed.stride),
    )
