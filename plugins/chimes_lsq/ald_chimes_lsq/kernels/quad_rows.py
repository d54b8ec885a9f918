"""Compiled four-body rows of the design matrix.

For a bond ij, the type of the third atoms k and that of the fourth atoms l, Z[q, s, apex] = Σ_k fT_q(ik) fT_s(jk)
N_ijk[apex], where N_ijk[a, b, c] = Σ_l fT_a(il) fT_b(jl) fT_c(kl). Types of l go from that of k on. Where they are
equal, k and l change places, so that every quadruplet is counted twice under each of its edges.
"""

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.columns import PackedColumns
from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.quads import apex_tensor
from ald_chimes_lsq.kernels.rows import (
    add_edge,
    add_outer_product,
    outer_product,
    sum_orbits,
)
from ald_chimes_lsq.kernels.simd import LANES, at, fma, load, spread, store


@njit(**OPTIONS)
def quad_rows(
    packed: PackedModel,
    columns: PackedColumns,
    lists: Lists,
    want_energy: bool,
    rows: Floats,
    virials: Floats,
    energies: Floats,
) -> None:
    """Four-body columns."""
    n_types = packed.pair_of.shape[0]
    n, stride = packed.order4, packed.stride
    padded = (n * n * n + LANES - 1) // LANES * LANES
    values, derivatives = lists.values.reshape(-1), lists.derivatives.reshape(-1)
    numbers, apexes = all_apex_tensors(lists, values, n_types, n, stride, padded)
    side_start, sides = sides_of_bonds(packed, lists)
    size = n * n * padded
    tensor = np.empty(size)
    product = np.empty(n * size)
    turns, turned = axis_turns(n, padded), np.empty(padded)
    gradient = np.zeros(columns.max_parameters + LANES)
    starts, terms = columns.quad_term_start, columns.quad_terms
    # Energies of one pair type are summed before they are sorted into columns: tensors by types of k and l.
    sums = np.empty(n_types * n_types * n * size if want_energy else 0)
    for p in range(packed.pair_rmin.size):
        a, b = ends_of_pair(packed, p)
        sums[:] = 0.0
        for m in range(lists.bond_start[p], lists.bond_start[p + 1]):
            e = lists.pair_start[p] + m - lists.bond_start[p]
            for c in range(n_types):
                begin = side_start[m * n_types + c]
                end = side_start[m * n_types + c + 1]
                if begin == end:
                    continue
                for d in range(c, n_types):
                    kind = packed.quad_of[a, b, c, d]
                    if kind < 0:
                        continue
                    s = packed.quad_set[a, b, c, d]
                    if lists.distances[e] >= packed.set_rmax[s]:
                        continue
                    shift_ik = slot_shift(packed, lists, a, c, b, d)
                    shift_jk = slot_shift(packed, lists, b, c, a, d)
                    found = False
                    for k in range(size):
                        tensor[k] = 0.0
                    for k in range(begin, end):
                        triangle, side = sides[k] // 3, sides[k] % 3
                        number = numbers[triangle * n_types + d]
                        if number < 0:
                            continue
                        found = True
                        ik = lists.triangle_bonds[triangle, 1 if side == 0 else 0]
                        jk = lists.triangle_bonds[triangle, 1 if side == 2 else 2]
                        turn(apexes, number * padded, turns, side * padded, padded, turned)
                        add_product(
                            values,
                            (shift_ik + ik) * stride,
                            (shift_jk + jk) * stride,
                            turned,
                            n,
                            padded,
                            tensor,
                        )
                    if not found:
                        continue
                    own = (lists.slot_start[s] + m - lists.bond_start[p]) * stride
                    column, count = columns.quad_column[kind], columns.quad_parameters[kind]
                    outer_product(derivatives, own, n, tensor, product)
                    first = ((a * n_types + b) * n_types + c) * n_types + d
                    sum_orbits(starts, terms, first, count, product, 0, gradient)
                    if c == d:
                        for k in range(count):
                            gradient[k] *= 0.5
                    add_edge(lists, e, gradient, 0, count, column, rows, virials)
                    if want_energy:
                        place = (c * n_types + d) * n * size
                        add_outer_product(values, own, n, tensor, sums, place)
        if want_energy:
            for c in range(n_types):
                for d in range(c, n_types):
                    kind = packed.quad_of[a, b, c, d]
                    if kind < 0:
                        continue
                    column, count = columns.quad_column[kind], columns.quad_parameters[kind]
                    first = ((a * n_types + b) * n_types + c) * n_types + d
                    place = (c * n_types + d) * n * size
                    sum_orbits(starts, terms, first, count, sums, place, gradient)
                    for k in range(count):
                        energies[column + k] += gradient[k] / (12.0 if c == d else 6.0)


@njit(**OPTIONS)
def ends_of_pair(packed: PackedModel, p: int) -> tuple[int, int]:
    """The types of a pair in ascending order, as the corners of triangles have them.

    Which end of a bond is which does not matter for equal types: exchanging them maps every orbit onto itself.
    """
    for a in range(packed.pair_of.shape[0]):
        for b in range(a, packed.pair_of.shape[0]):
            if packed.pair_of[a, b] == p:
                return a, b
    return 0, 0


@njit(**OPTIONS)
def slot_shift(packed: PackedModel, lists: Lists, a: int, b: int, c: int, d: int) -> int:
    """Slot minus bond for the edge ab in a quadruplet with c and d."""
    own_set, pair = packed.quad_set[a, b, c, d], packed.pair_of[a, b]
    return int(lists.slot_start[own_set] - lists.bond_start[pair])


@njit(**OPTIONS)
def all_apex_tensors(
    lists: Lists, values: Floats, n_types: int, n: int, stride: int, padded: int
) -> tuple[Integers, Floats]:
    """N for every triangle and type of the fourth atom that have one, without gaps.

    Returns the number of each row triangle × n_types + type, -1 for none, and the tensors (n_tensors, padded).
    """
    numbers = np.empty(lists.apex_start.size - 1, np.int32)
    count = 0
    for row in range(numbers.size):
        numbers[row] = -1
        # A type before those of all corners is never that of l.
        smallest = lists.triangle_types[row // n_types, 0]
        if lists.apex_start[row] < lists.apex_start[row + 1] and row % n_types >= smallest:
            numbers[row] = count
            count += 1
    tensors = np.empty((count, padded))
    apex = np.empty(n * n * stride)
    for row in range(numbers.size):
        number = numbers[row]
        if number < 0:
            continue
        begin, end = lists.apex_start[row], lists.apex_start[row + 1]
        apex_tensor(values, lists.apexes, begin, end, n, stride, apex)
        for k in range(n * n):
            for c in range(n):
                tensors[number, k * n + c] = apex[k * stride + c]
        for k in range(n * n * n, padded):
            tensors[number, k] = 0.0
    return numbers, tensors


@njit(**OPTIONS)
def sides_of_bonds(packed: PackedModel, lists: Lists) -> tuple[Integers, Integers]:
    """The triangles of each bond, by type of the third atom.

    Returns start (n_bonds × n_types + 1,) and entries triangle × 3 + side.
    """
    n_types = packed.pair_of.shape[0]
    n_bonds = lists.bond_start[lists.bond_start.size - 1]
    n_triangles = lists.triangle_bonds.shape[0]
    start = np.zeros(n_bonds * n_types + 2, np.int32)
    for t in range(n_triangles):
        for side in range(3):
            # Side 0 joins corners 0 and 1, side 1 corners 0 and 2, side 2 corners 1 and 2.
            third = lists.triangle_types[t, 2 - side]
            start[lists.triangle_bonds[t, side] * n_types + third + 2] += 1
    for row in range(start.size - 1):
        start[row + 1] += start[row]
    sides = np.empty(3 * n_triangles, np.int32)
    for t in range(n_triangles):
        for side in range(3):
            row = lists.triangle_bonds[t, side] * n_types + lists.triangle_types[t, 2 - side]
            sides[start[row + 1]] = 3 * t + side
            start[row + 1] += 1
    return start, sides


@njit(**OPTIONS)
def axis_turns(n: int, padded: int) -> Integers:
    """For each side where to read N so that its axes are: first end of the side, second end, third corner.

    (3, padded) positions in N; the padding stays where it is.
    """
    turns = np.empty((3, padded), np.int32)
    for side in range(3):
        for k in range(padded):
            turns[side, k] = k
    k = 0
    for a in range(n):
        for b in range(n):
            for c in range(n):
                turns[1, k] = a * n * n + b + c * n
                turns[2, k] = a * n + b + c * n * n
                k += 1
    return turns


@njit(**OPTIONS, forceinline=True)
def turn(
    apexes: Floats, place: int, turns: Integers, first: int, padded: int, turned: Floats
) -> None:
    """Write N, which begins at `place`, with its axes turned."""
    for k in range(padded):
        turned[k] = at(apexes, place + at(turns, first + k))


@njit(**OPTIONS, forceinline=True)
def add_product(
    values: Floats, ik: int, jk: int, turned: Floats, n: int, padded: int, tensor: Floats
) -> None:
    """Add fT_q(ik) fT_s(jk) N to Z[q, s]."""
    place = 0
    for q in range(n):
        first = at(values, ik + q)
        for s in range(n):
            factor = spread(first * at(values, jk + s))
            for k in range(0, padded, LANES):
                store(tensor, place + k, fma(factor, load(turned, k), load(tensor, place + k)))
            place += padded
