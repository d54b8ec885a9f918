"""Compiled three-body terms.

For a bond ij and the type of the third atoms k, M[q, r] = Σ_k fT_q(ik) fT_r(jk) is all that the bond needs to know
of its neighbours: dE/dr_ij = Σ_pqr C_pqr (fT_p)'(ij) M[q, r]. Each triangle occurs under its three bonds, so that a
third of Σ_pqr C_pqr fT_p(ij) M[q, r], summed over bonds, is the energy.
"""

from typing import Any

from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.pairs import share
from ald_chimes_lsq.kernels.simd import LANES, at, fma, load, multiply, spread, store, total

BLOCK = LANES * LANES


@njit(**OPTIONS)
def triplet_energy(packed: PackedModel, lists: Lists, types: Integers, shares: Floats) -> float:
    """Three-body energy; adds to `slopes`, and to `shares` unless that is empty.

    Of the three bonds of a triangle two end at each of its corners: either end of a bond gets a sixth of what is summed
    under it.
    """
    n_types = packed.pair_of.shape[0]
    order, stride = packed.order3, packed.stride
    blocks = stride // LANES
    tensor = packed.triplet_coefficients
    values, derivatives = lists.values.reshape(-1), lists.derivatives.reshape(-1)
    energy = 0.0
    for p in range(packed.pair_rmin.size):
        for m in range(lists.bond_start[p], lists.bond_start[p + 1]):
            e = lists.pair_start[p] + m - lists.bond_start[p]
            a, b = types[lists.first[e]], types[lists.second[e]]
            slope, own_energy = 0.0, 0.0
            for c in range(n_types):
                begin, end = lists.row_start[m * n_types + c], lists.row_start[m * n_types + c + 1]
                if begin == end:
                    continue
                s = packed.triplet_set[a, b, c]
                if lists.distances[e] >= packed.set_rmax[s]:
                    continue
                own = (lists.slot_start[s] + m - lists.bond_start[p]) * stride
                for u in range(blocks):
                    for v in range(blocks):
                        place = (((a * n_types + b) * n_types + c) * blocks + u) * blocks + v
                        value, gradient = contract_block(
                            values,
                            derivatives,
                            own,
                            lists.partners,
                            begin,
                            end,
                            stride,
                            u * LANES,
                            v * LANES,
                            tensor,
                            place * order * BLOCK,
                            order,
                        )
                        energy += value
                        own_energy += value
                        slope += gradient
            lists.slopes[e] += slope
            if shares.size > 0:
                share(lists, e, own_energy / 6.0, shares)
    return energy / 3.0


@njit(**OPTIONS, forceinline=True)
def neighbour_block(
    values: Floats,
    partners: Integers,
    begin: int,
    end: int,
    stride: int,
    row: int,
    column: int,
) -> Any:
    """An 8 × 8 block of M[q, r] for q from `row` and r from `column` on: its rows as eight vectors."""
    m0 = m1 = m2 = m3 = m4 = m5 = m6 = m7 = spread(0.0)
    for k in range(begin, end):
        v = at(partners, 2 * k) * stride + row
        w = load(values, at(partners, 2 * k + 1) * stride + column)
        m0 = fma(spread(at(values, v)), w, m0)
        m1 = fma(spread(at(values, v + 1)), w, m1)
        m2 = fma(spread(at(values, v + 2)), w, m2)
        m3 = fma(spread(at(values, v + 3)), w, m3)
        m4 = fma(spread(at(values, v + 4)), w, m4)
        m5 = fma(spread(at(values, v + 5)), w, m5)
        m6 = fma(spread(at(values, v + 6)), w, m6)
        m7 = fma(spread(at(values, v + 7)), w, m7)
    return m0, m1, m2, m3, m4, m5, m6, m7


@njit(**OPTIONS, forceinline=True)
def contract_block(
    values: Floats,
    derivatives: Floats,
    own: int,
    partners: Integers,
    begin: int,
    end: int,
    stride: int,
    row: int,
    column: int,
    tensor: Floats,
    place: int,
    order: int,
) -> tuple[float, float]:
    """Sums over p, q, r of C_pqr M[q, r] with values[own + p] and with derivatives[own + p], for 8 × 8 pairs q, r."""
    m0, m1, m2, m3, m4, m5, m6, m7 = neighbour_block(
        values, partners, begin, end, stride, row, column
    )
    energy = slope = spread(0.0)
    for p in range(order):
        q = place + p * BLOCK
        even = multiply(load(tensor, q), m0)
        odd = multiply(load(tensor, q + 8), m1)
        even = fma(load(tensor, q + 16), m2, even)
        odd = fma(load(tensor, q + 24), m3, odd)
        even = fma(load(tensor, q + 32), m4, even)
        odd = fma(load(tensor, q + 40), m5, odd)
        even = fma(load(tensor, q + 48), m6, even)
        odd = fma(load(tensor, q + 56), m7, odd)
        one = spread(at(values, own + p))
        energy = fma(one, even, energy)
        energy = fma(one, odd, energy)
        one = spread(at(derivatives, own + p))
        slope = fma(one, even, slope)
        slope = fma(one, odd, slope)
    return total(energy), total(slope)


@njit(**OPTIONS, forceinline=True)
def neighbour_matrix(
    values: Floats,
    partners: Integers,
    begin: int,
    end: int,
    stride: int,
    row: int,
    column: int,
    matrix: Floats,
    place: int,
) -> None:
    """Write an 8 × 8 block of M[q, r], rows `stride` apart, to flat position `place` of `matrix`."""
    m0, m1, m2, m3, m4, m5, m6, m7 = neighbour_block(
        values, partners, begin, end, stride, row, column
    )
    store(matrix, place, m0)
    store(matrix, place + stride, m1)
    store(matrix, place + 2 * stride, m2)
    store(matrix, place + 3 * stride, m3)
    store(matrix, place + 4 * stride, m4)
    store(matrix, place + 5 * stride, m5)
    store(matrix, place + 6 * stride, m6)
    store(matrix, place + 7 * stride, m7)
