"""Compiled passes over all edges: geometry, polynomials, two-body energy, forces.

Polynomials are computed for eight edges at a time.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats
from ald_chimes_lsq.kernels.distances import (
    cutoff_function,
    inner_rule,
    transform,
    transform_slope,
)
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.packing import PackedModel, Rules
from ald_chimes_lsq.kernels.simd import (
    LANES,
    add,
    at,
    fma,
    load,
    multiply,
    spread,
    store,
    subtract,
    total,
)


@njit(**OPTIONS)
def measure(lists: Lists, positions: Floats, cell: Floats) -> None:
    """Write vectors and distances of all edges."""
    vectors = lists.vectors
    for e in range(lists.first.size):
        i, j = lists.first[e], lists.second[e]
        u, v, w = float(lists.shift[e, 0]), float(lists.shift[e, 1]), float(lists.shift[e, 2])
        x = positions[j, 0] - positions[i, 0] + u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
        y = positions[j, 1] - positions[i, 1] + u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
        z = positions[j, 2] - positions[i, 2] + u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
        vectors[0, e] = x
        vectors[1, e] = y
        vectors[2, e] = z
        lists.distances[e] = math.sqrt(x * x + y * y + z * z)


@njit(**OPTIONS)
def prepare_edges(packed: PackedModel, lists: Lists) -> None:
    """Write x(r), and the cutoff function of the pair with its derivative, of all edges."""
    for p in range(packed.pair_rmin.size):
        morse_lambda, rmax = packed.pair_lambda[p], packed.pair_rmax[p]
        for e in range(lists.pair_start[p], lists.pair_start[p + 1]):
            r = lists.distances[e]
            lists.transformed[e] = transform(packed.rules, r, morse_lambda)
            f, df = cutoff_function(packed.rules, r, rmax)
            lists.cutoffs[0, e] = f
            lists.cutoffs[1, e] = df


@njit(**OPTIONS, forceinline=True)
def stage_block(
    rules: Rules,
    lists: Lists,
    begin: int,
    count: int,
    morse_lambda: float,
    rmin: float,
    rmax: float,
    pair_rmax: float,
    middle: float,
    scale: float,
    block: Floats,
) -> None:
    """Write, for up to eight edges from `begin` on: f, f', s, ds/dr, and the factors u, v of the inner rule.

    Eight numbers each; lanes without an edge and edges beyond the cutoff get f = f' = 0.
    """
    for lane in range(LANES):
        f, df, s, ds, u, v = 0.0, 0.0, 0.0, 0.0, 0.0, 1.0
        if lane < count:
            e = begin + lane
            r, x = lists.distances[e], lists.transformed[e]
            if rmax == pair_rmax:
                f, df = lists.cutoffs[0, e], lists.cutoffs[1, e]
            else:
                f, df = cutoff_function(rules, r, rmax)
            if r < rmin:
                u, v = inner_rule(rules, r, rmin)
                x = transform(rules, rmin, morse_lambda)
            s = (x - middle) * scale
            ds = transform_slope(rules, x, morse_lambda) * scale
        block[lane] = f
        block[LANES + lane] = df
        block[2 * LANES + lane] = s
        block[3 * LANES + lane] = ds
        block[4 * LANES + lane] = u
        block[5 * LANES + lane] = v


@njit(**OPTIONS, forceinline=True)
def stage_pairs(
    packed: PackedModel, lists: Lists, p: int, begin: int, count: int, block: Floats
) -> None:
    """`stage_block` with the cutoffs of pair type p, for two-body terms."""
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


@njit(**OPTIONS)
def fill_slots(packed: PackedModel, lists: Lists) -> None:
    """Write `values` and `derivatives` of all slots: f T_0 … f T_{n-1} and their derivatives by r."""
    n, stride = max(packed.order3, packed.order4), packed.stride
    values, derivatives = lists.values.reshape(-1), lists.derivatives.reshape(-1)
    block, columns, d_columns = np.empty(6 * LANES), np.empty(n * LANES), np.empty(n * LANES)
    for p in range(packed.pair_rmin.size):
        n_bonds = lists.bond_start[p + 1] - lists.bond_start[p]
        for number in range(packed.set_start[p], packed.set_start[p + 1]):
            for m in range(0, n_bonds, LANES):
                count = min(LANES, n_bonds - m)
                stage_block(
                    packed.rules,
                    lists,
                    lists.pair_start[p] + m,
                    count,
                    packed.pair_lambda[p],
                    packed.set_rmin[number],
                    packed.set_rmax[number],
                    packed.pair_rmax[p],
                    packed.set_middle[number],
                    packed.set_scale[number],
                    block,
                )
                polynomials(block, n, columns, d_columns)
                place = (lists.slot_start[number] + m) * stride
                for lane in range(count):
                    for k in range(n):
                        values[place + k] = columns[k * LANES + lane]
                        derivatives[place + k] = d_columns[k * LANES + lane]
                    place += stride


@njit(**OPTIONS, forceinline=True)
def polynomials(block: Floats, n: int, values: Floats, derivatives: Floats) -> None:
    """Write f T_k and derivatives of eight edges at k × 8."""
    f, df, s, ds = load(block, 0), load(block, 8), load(block, 16), load(block, 24)
    u, v = load(block, 32), load(block, 40)
    twice = add(s, s)
    twice_ds = add(ds, ds)
    fv = multiply(f, v)
    previous, current = spread(1.0), s
    d_previous, d_current = spread(0.0), ds
    store(values, 0, f)
    store(derivatives, 0, df)
    for k in range(1, n):
        value = fma(u, d_current, current)
        store(values, k * LANES, multiply(f, value))
        store(derivatives, k * LANES, fma(df, value, multiply(fv, d_current)))
        following = subtract(multiply(twice, current), previous)
        d_following = fma(twice_ds, current, subtract(multiply(twice, d_current), d_previous))
        previous, current = current, following
        d_previous, d_current = d_current, d_following


@njit(**OPTIONS)
def pair_energy(packed: PackedModel, lists: Lists, shares: Floats) -> tuple[float, int]:
    """Two-body energy with the penalty, and the contact class; sets `slopes`, adds to `shares` unless that is empty."""
    n = packed.order2
    block, slopes, own = np.empty(6 * LANES), np.empty(LANES), np.empty(LANES)
    energies = spread(0.0)
    energy = 0.0
    contact = 0
    for p in range(packed.pair_rmin.size):
        rmin = packed.pair_rmin[p]
        first, last = lists.pair_start[p], lists.pair_start[p + 1]
        for begin in range(first, last, LANES):
            count = min(LANES, last - begin)
            if n > 0:
                stage_pairs(packed, lists, p, begin, count, block)
                energies = add_pairs(block, packed.pair_coefficients, p * n, n, energies, slopes)
                for lane in range(count):
                    lists.slopes[begin + lane] = slopes[lane]
                if shares.size > 0:
                    zero = spread(0.0)
                    store(
                        own, 0, add_pairs(block, packed.pair_coefficients, p * n, n, zero, slopes)
                    )
                    for lane in range(count):
                        share(lists, begin + lane, 0.5 * own[lane], shares)
            else:
                for lane in range(count):
                    lists.slopes[begin + lane] = 0.0
        outer = rmin + packed.penalty_distance
        for e in range(first, last):
            r = lists.distances[e]
            if r < outer:
                depth = outer - r
                contact = max(contact, 2 if r < rmin else 1)
                penalty = packed.penalty_scaling * depth * depth * depth
                energy += penalty
                if shares.size > 0:
                    share(lists, e, 0.5 * penalty, shares)
                lists.slopes[e] -= 3.0 * packed.penalty_scaling * depth * depth
    return energy + total(energies), contact


@njit(**OPTIONS, forceinline=True)
def add_pairs(
    block: Floats, coefficients: Floats, place: int, n: int, energies: Any, slopes: Floats
) -> Any:
    """Add the two-body energies of eight edges to a vector, and write their derivatives."""
    f, df, s, ds = load(block, 0), load(block, 8), load(block, 16), load(block, 24)
    u, v = load(block, 32), load(block, 40)
    twice = add(s, s)
    # Clenshaw's recurrences for the sum over T_1 … T_n and for its derivative by s.
    b1 = b2 = d1 = d2 = spread(0.0)
    for k in range(n - 1, -1, -1):
        d1, d2 = fma(twice, d1, subtract(add(b1, b1), d2)), d1
        b1, b2 = add(subtract(multiply(twice, b1), b2), spread(at(coefficients, place + k))), b1
    gradient = multiply(subtract(fma(s, d1, b1), d2), ds)
    value = fma(u, gradient, subtract(multiply(s, b1), b2))
    store(slopes, 0, fma(df, value, multiply(multiply(f, v), gradient)))
    return fma(f, value, energies)


@njit(**OPTIONS, forceinline=True)
def share(lists: Lists, e: int, part: float, shares: Floats) -> None:
    """Add a part of an energy to either end of an edge."""
    shares[lists.first[e]] += part
    shares[lists.second[e]] += part


@njit(**OPTIONS)
def gather_forces(lists: Lists, forces: Floats, virial: Floats) -> None:
    """Turn the slopes of the edges into forces and -Σ dE/dr r_a r_b / r."""
    forces[:] = 0.0
    xx, xy, xz, yy, yz, zz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for e in range(lists.first.size):
        slope = lists.slopes[e]
        if slope == 0.0:
            continue
        i, j = lists.first[e], lists.second[e]
        x, y, z = lists.vectors[0, e], lists.vectors[1, e], lists.vectors[2, e]
        scaled = slope / lists.distances[e]
        fx, fy, fz = scaled * x, scaled * y, scaled * z
        forces[i, 0] += fx
        forces[i, 1] += fy
        forces[i, 2] += fz
        forces[j, 0] -= fx
        forces[j, 1] -= fy
        forces[j, 2] -= fz
        xx -= fx * x
        xy -= fx * y
        xz -= fx * z
        yy -= fy * y
        yz -= fy * z
        zz -= fz * z
    virial[0, 0], virial[1, 1], virial[2, 2] = xx, yy, zz
    virial[0, 1] = virial[1, 0] = xy
    virial[0, 2] = virial[2, 0] = xz
    virial[1, 2] = virial[2, 1] = yz
