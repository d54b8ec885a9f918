"""Compiled four-body terms.

For a triangle xyz and the type of the fourth atoms l, N[a, b, c] = Σ_l fT_a(xl) fT_b(yl) fT_c(zl) is all that the
triangle needs to know of them. Contracted with the coefficients it gives W[p, q, r] for the powers of xy, xz, yz, and
that the energy and the slopes of the three sides. Each quadruplet occurs under its four triangles, each of its edges
in two of them.
"""

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.pairs import share
from ald_chimes_lsq.kernels.simd import LANES, at, fma, load, spread, store


@njit(**OPTIONS)
def quad_energy(packed: PackedModel, lists: Lists, shares: Floats) -> float:
    """Four-body energy; adds to `slopes`, and to `shares` unless that is empty.

    Of the four triangles of a quadruplet three have each of its atoms as a corner, and a corner is an end of two sides:
    either end of each side gets a 24th of what is summed under the triangle.
    """
    n_types = packed.pair_of.shape[0]
    n, stride = packed.order4, packed.stride
    values, derivatives = lists.values.reshape(-1), lists.derivatives.reshape(-1)
    apex = np.empty(n * n * stride)
    base = np.empty(packed.quad_coefficients.shape[2])
    energy = 0.0
    # Triangles are grouped by type, so that with the apex' type in the outer loop a tensor of coefficients stays in
    # the cache.
    for t in range(n_types):
        for triangle in range(lists.triangle_bonds.shape[0]):
            row = triangle * n_types + t
            begin, end = lists.apex_start[row], lists.apex_start[row + 1]
            if begin == end:
                continue
            x = lists.triangle_types[triangle, 0]
            y = lists.triangle_types[triangle, 1]
            z = lists.triangle_types[triangle, 2]
            xy = lists.triangle_bonds[triangle, 0]
            xz = lists.triangle_bonds[triangle, 1]
            yz = lists.triangle_bonds[triangle, 2]
            pair_xy, pair_xz = packed.pair_of[x, y], packed.pair_of[x, z]
            pair_yz = packed.pair_of[y, z]
            # Numbers of the sides among the bonds of their pair type.
            own_xy = xy - lists.bond_start[pair_xy]
            own_xz = xz - lists.bond_start[pair_xz]
            own_yz = yz - lists.bond_start[pair_yz]
            edge_xy = lists.pair_start[pair_xy] + own_xy
            edge_xz = lists.pair_start[pair_xz] + own_xz
            edge_yz = lists.pair_start[pair_yz] + own_yz
            set_xy = packed.quad_set[x, y, z, t]
            set_xz = packed.quad_set[x, z, y, t]
            set_yz = packed.quad_set[y, z, x, t]
            if (
                lists.distances[edge_xy] >= packed.set_rmax[set_xy]
                or lists.distances[edge_xz] >= packed.set_rmax[set_xz]
                or lists.distances[edge_yz] >= packed.set_rmax[set_yz]
            ):
                continue
            apex_tensor(values, lists.apexes, begin, end, n, stride, apex)
            contract_apex(
                packed.quad_coefficients, packed.quad_tensor[x, y, z, t], apex, n, stride, base
            )
            value, g_xy, g_xz, g_yz = contract_base(
                base,
                values,
                derivatives,
                (lists.slot_start[set_xy] + own_xy) * stride,
                (lists.slot_start[set_xz] + own_xz) * stride,
                (lists.slot_start[set_yz] + own_yz) * stride,
                n,
            )
            energy += value
            lists.slopes[edge_xy] += 0.5 * g_xy
            lists.slopes[edge_xz] += 0.5 * g_xz
            lists.slopes[edge_yz] += 0.5 * g_yz
            if shares.size > 0:
                share(lists, edge_xy, value / 24.0, shares)
                share(lists, edge_xz, value / 24.0, shares)
                share(lists, edge_yz, value / 24.0, shares)
    return 0.25 * energy


@njit(**OPTIONS, forceinline=True)
def apex_tensor(
    values: Floats, apexes: Integers, begin: int, end: int, n: int, stride: int, apex: Floats
) -> None:
    """Write N[a, b, c] at flat position (a n + b) stride + c of `apex`."""
    for block in range(0, stride, LANES):
        for k in range(n * n):
            store(apex, k * stride + block, spread(0.0))
        for entry in range(begin, end):
            xl = at(apexes, 3 * entry) * stride
            yl = at(apexes, 3 * entry + 1) * stride
            zl = load(values, at(apexes, 3 * entry + 2) * stride + block)
            place = block
            for a in range(n):
                first = at(values, xl + a)
                for b in range(n):
                    factor = spread(first * at(values, yl + b))
                    store(apex, place, fma(factor, zl, load(apex, place)))
                    place += stride


@njit(**OPTIONS, forceinline=True)
def contract_apex(
    tensors: Floats, number: int, apex: Floats, n: int, stride: int, base: Floats
) -> None:
    """Write W, flat and padded, to `base`."""
    padded = base.size
    for block in range(0, padded, LANES * LANES):
        w0 = w1 = w2 = w3 = w4 = w5 = w6 = w7 = spread(0.0)
        place = number * n * n * n * padded + block
        for k in range(n * n):
            for c in range(n):
                factor = spread(at(apex, k * stride + c))
                w0 = fma(factor, load(tensors, place), w0)
                w1 = fma(factor, load(tensors, place + 8), w1)
                w2 = fma(factor, load(tensors, place + 16), w2)
                w3 = fma(factor, load(tensors, place + 24), w3)
                w4 = fma(factor, load(tensors, place + 32), w4)
                w5 = fma(factor, load(tensors, place + 40), w5)
                w6 = fma(factor, load(tensors, place + 48), w6)
                w7 = fma(factor, load(tensors, place + 56), w7)
                place += padded
        store(base, block, w0)
        store(base, block + 8, w1)
        store(base, block + 16, w2)
        store(base, block + 24, w3)
        store(base, block + 32, w4)
        store(base, block + 40, w5)
        store(base, block + 48, w6)
        store(base, block + 56, w7)


@njit(**OPTIONS, forceinline=True)
def contract_base(
    base: Floats, values: Floats, derivatives: Floats, xy: int, xz: int, yz: int, n: int
) -> tuple[float, float, float, float]:
    """Σ W[p, q, r] of the three sides' values, and with the derivative of each side in turn."""
    energy, g_xy, g_xz, g_yz = 0.0, 0.0, 0.0, 0.0
    place = 0
    for p in range(n):
        whole, g_second, g_third = 0.0, 0.0, 0.0
        for q in range(n):
            plain, sloped = 0.0, 0.0
            for r in range(n):
                w = at(base, place)
                plain += w * at(values, yz + r)
                sloped += w * at(derivatives, yz + r)
                place += 1
            whole += plain * at(values, xz + q)
            g_second += plain * at(derivatives, xz + q)
            g_third += sloped * at(values, xz + q)
        energy += whole * at(values, xy + p)
        g_xy += whole * at(derivatives, xy + p)
        g_xz += g_second * at(values, xy + p)
        g_yz += g_third * at(values, xy + p)
    return energy, g_xy, g_xz, g_yz
