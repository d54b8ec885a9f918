"""Compiled energies of single atoms: each term is shared equally among its 2, 3 or 4 atoms.

A triangle occurs under its three bonds, two of which end at each of its corners: either end of a bond gets a sixth of
what the triangles under it add up to. A quadruplet occurs under its four triangles, three of which each of its atoms is
a corner of, and a corner is an end of two sides: either end of each side of a triangle gets a 24th of what the
quadruplets under it add up to.
"""

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.pairs import (
    add_pairs,
    fill_slots,
    measure,
    prepare_edges,
    stage_block,
)
from ald_chimes_lsq.kernels.quads import apex_tensor, contract_apex, contract_base
from ald_chimes_lsq.kernels.simd import LANES, spread, store
from ald_chimes_lsq.kernels.triplets import contract_block


@njit(**OPTIONS)
def atom_energies(
    packed: PackedModel,
    lists: Lists,
    types: Integers,
    positions: Floats,
    cell: Floats,
    energies: Floats,
) -> None:
    """Write (n,) energies in kcal/mol without offsets, which add up to that of `evaluate`; see `engine`."""
    energies[:] = 0.0
    measure(lists, positions, cell)
    prepare_edges(packed, lists)
    share_pairs(packed, lists, energies)
    if lists.values.shape[0] > 0:
        fill_slots(packed, lists)
        if packed.order3 > 0:
            share_triplets(packed, lists, types, energies)
        if packed.order4 > 0:
            share_quads(packed, lists, energies)


@njit(**OPTIONS)
def share_pairs(packed: PackedModel, lists: Lists, energies: Floats) -> None:
    """Add two-body energies and penalties."""
    n = packed.order2
    block, slopes, values = np.empty(6 * LANES), np.empty(LANES), np.zeros(LANES)
    for p in range(packed.pair_rmin.size):
        outer = packed.pair_rmin[p] + packed.penalty_distance
        last = lists.pair_start[p + 1]
        for begin in range(lists.pair_start[p], last, LANES):
            count = min(LANES, last - begin)
            if n > 0:
                stage_block(
                    packed.rules,
                    lists,
                    begin,
                    count,
                    packed.pair_lambda[p],
                    packed.pair_rmin[p],
                    packed.pair_rmax[p],
                    packed.pair_rmax[p],
                    packed.pair_middle[p],
                    packed.pair_scale[p],
                    block,
                )
                own = add_pairs(block, packed.pair_coefficients, p * n, n, spread(0.0), slopes)
                store(values, 0, own)
            for lane in range(count):
                e = begin + lane
                depth = max(0.0, outer - lists.distances[e])
                half = 0.5 * (values[lane] + packed.penalty_scaling * depth * depth * depth)
                energies[lists.first[e]] += half
                energies[lists.second[e]] += half


@njit(**OPTIONS)
def share_triplets(packed: PackedModel, lists: Lists, types: Integers, energies: Floats) -> None:
    """Add three-body energies; the loops of `triplets.triplet_energy`."""
    n_types = packed.pair_of.shape[0]
    order, stride = packed.order3, packed.stride
    blocks = stride // LANES
    values, derivatives = lists.values.reshape(-1), lists.derivatives.reshape(-1)
    for p in range(packed.pair_rmin.size):
        for m in range(lists.bond_start[p], lists.bond_start[p + 1]):
            e = lists.pair_start[p] + m - lists.bond_start[p]
            i, j = lists.first[e], lists.second[e]
            energy = 0.0
            for c in range(n_types):
                begin, end = lists.row_start[m * n_types + c], lists.row_start[m * n_types + c + 1]
                if begin == end:
                    continue
                s = packed.triplet_set[types[i], types[j], c]
                if lists.distances[e] >= packed.set_rmax[s]:
                    continue
                own = (lists.slot_start[s] + m - lists.bond_start[p]) * stride
                first = ((types[i] * n_types + types[j]) * n_types + c) * blocks * blocks
                for block in range(blocks * blocks):
                    value, _ = contract_block(
                        values,
                        derivatives,
                        own,
                        lists.partners,
                        begin,
                        end,
                        stride,
                        block // blocks * LANES,
                        block % blocks * LANES,
                        packed.triplet_coefficients,
                        (first + block) * order * LANES * LANES,
                        order,
                    )
                    energy += value
            energies[i] += energy / 6.0
            energies[j] += energy / 6.0


@njit(**OPTIONS)
def share_quads(packed: PackedModel, lists: Lists, energies: Floats) -> None:
    """Add four-body energies; the loops of `quads.quad_energy`."""
    n_types = packed.pair_of.shape[0]
    n, stride = packed.order4, packed.stride
    values, derivatives = lists.values.reshape(-1), lists.derivatives.reshape(-1)
    apex = np.empty(n * n * stride)
    base = np.empty(packed.quad_coefficients.shape[2])
    sides, slots = np.empty(3, np.int64), np.empty(3, np.int64)
    for triangle in range(lists.triangle_bonds.shape[0]):
        corners = lists.triangle_types[triangle]
        for t in range(n_types):
            row = triangle * n_types + t
            begin, end = lists.apex_start[row], lists.apex_start[row + 1]
            if begin == end:
                continue
            within = True
            for side in range(3):
                a, b = corners[1 if side == 2 else 0], corners[1 if side == 0 else 2]
                pair = packed.pair_of[a, b]
                s = packed.quad_set[a, b, corners[2 - side], t]
                number = lists.triangle_bonds[triangle, side] - lists.bond_start[pair]
                sides[side] = lists.pair_start[pair] + number
                slots[side] = (lists.slot_start[s] + number) * stride
                within = within and lists.distances[sides[side]] < packed.set_rmax[s]
            if not within:
                continue
            apex_tensor(values, lists.apexes, begin, end, n, stride, apex)
            tensor = packed.quad_tensor[corners[0], corners[1], corners[2], t]
            contract_apex(packed.quad_coefficients, tensor, apex, n, stride, base)
            energy, _, _, _ = contract_base(
                base, values, derivatives, slots[0], slots[1], slots[2], n
            )
            for side in range(3):
                energies[lists.first[sides[side]]] += energy / 24.0
                energies[lists.second[sides[side]]] += energy / 24.0
