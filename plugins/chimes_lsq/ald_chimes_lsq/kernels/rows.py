"""Compiled two- and three-body rows of the design matrix.

The matrices M of `triplets` serve here, too: column by column, dE/dr_ij is a sum over the terms of one orbit of
(fT_p)'(ij) M[q, r]. Arrays of rows have at least 8 columns more than there are: up to 7 entries after the last one of
a pair or cluster are rewritten with what they were.
"""

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.columns import PackedColumns
from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.growth import aligned_zeros
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.pairs import polynomials, stage_pairs
from ald_chimes_lsq.kernels.simd import LANES, at, fma, load, multiply, spread, store
from ald_chimes_lsq.kernels.triplets import neighbour_matrix


@njit(**OPTIONS, forceinline=True)
def add_edge(
    lists: Lists,
    e: int,
    gradient: Floats,
    place: int,
    n: int,
    column: int,
    rows: Floats,
    virials: Floats,
) -> None:
    """Add the derivatives of n columns by the length of an edge to the rows of its atoms and to the virials.

    They begin at flat position `place` of `gradient`. `virials` without columns are left alone.
    """
    width = rows.shape[1]
    inverse = 1.0 / lists.distances[e]
    x, y, z = lists.vectors[0, e], lists.vectors[1, e], lists.vectors[2, e]
    ux, uy, uz = x * inverse, y * inverse, z * inverse
    plus_x, plus_y, plus_z = spread(ux), spread(uy), spread(uz)
    minus_x, minus_y, minus_z = spread(-ux), spread(-uy), spread(-uz)
    xx, xy, xz = spread(-ux * x), spread(-ux * y), spread(-ux * z)
    yy, yz, zz = spread(-uy * y), spread(-uy * z), spread(-uz * z)
    i = 3 * lists.first[e] * width + column
    j = 3 * lists.second[e] * width + column
    for c in range(0, n, LANES):
        g = load(gradient, place + c)
        store(rows, i + c, fma(plus_x, g, load(rows, i + c)))
        store(rows, i + width + c, fma(plus_y, g, load(rows, i + width + c)))
        store(rows, i + 2 * width + c, fma(plus_z, g, load(rows, i + 2 * width + c)))
        store(rows, j + c, fma(minus_x, g, load(rows, j + c)))
        store(rows, j + width + c, fma(minus_y, g, load(rows, j + width + c)))
        store(rows, j + 2 * width + c, fma(minus_z, g, load(rows, j + 2 * width + c)))
    # No early return: it would make numba count references to the arrays for every edge.
    for c in range(0, n if virials.shape[1] > 0 else 0, LANES):
        g = load(gradient, place + c)
        v = column + c
        store(virials, v, fma(xx, g, load(virials, v)))
        store(virials, v + width, fma(xy, g, load(virials, v + width)))
        store(virials, v + 2 * width, fma(xz, g, load(virials, v + 2 * width)))
        store(virials, v + 3 * width, fma(yy, g, load(virials, v + 3 * width)))
        store(virials, v + 4 * width, fma(yz, g, load(virials, v + 4 * width)))
        store(virials, v + 5 * width, fma(zz, g, load(virials, v + 5 * width)))


@njit(**OPTIONS)
def pair_rows(
    packed: PackedModel,
    columns: PackedColumns,
    lists: Lists,
    want_energy: bool,
    rows: Floats,
    virials: Floats,
    energies: Floats,
) -> None:
    """Two-body columns; a pair with r <= rmin contributes nothing."""
    n = packed.order2
    block = np.empty(6 * LANES)
    values, derivatives = np.empty((n + 1) * LANES), np.empty((n + 1) * LANES)
    width = (n + LANES - 1) // LANES * LANES
    gradients = aligned_zeros(LANES, width)
    # The few columns of one pair type, close together so that they stay in the cache.
    own = aligned_zeros(rows.shape[0], width)
    own_virials = aligned_zeros(6, width if virials.shape[1] > 0 else 0)
    for p in range(packed.pair_rmin.size):
        own[:] = 0.0
        own_virials[:] = 0.0
        column = columns.pair_column[p]
        if column < 0:
            continue
        rmin, rmax = packed.pair_rmin[p], packed.pair_rmax[p]
        last = lists.pair_start[p + 1]
        for begin in range(lists.pair_start[p], last, LANES):
            count = min(LANES, last - begin)
            stage_pairs(packed, lists, p, begin, count, block)
            polynomials(block, n + 1, values, derivatives)
            for lane in range(count):
                for k in range(n):
                    gradients[lane, k] = derivatives[(k + 1) * LANES + lane]
            for lane in range(count):
                e = begin + lane
                if lists.distances[e] <= rmin or lists.distances[e] >= rmax:
                    continue
                add_edge(lists, e, gradients, lane * width, n, 0, own, own_virials)
                if want_energy:
                    for k in range(n):
                        energies[column + k] += values[(k + 1) * LANES + lane]
        add_columns(own, rows, column, n)
        if virials.shape[1] > 0:
            add_columns(own_virials, virials, column, n)


@njit(**OPTIONS)
def add_columns(own: Floats, rows: Floats, column: int, n: int) -> None:
    """Add the first n columns of `own` to those of `rows` from `column` on."""
    for i in range(own.shape[0]):
        for k in range(n):
            rows[i, column + k] += own[i, k]


@njit(**OPTIONS)
def triplet_rows(
    packed: PackedModel,
    columns: PackedColumns,
    lists: Lists,
    types: Integers,
    want_energy: bool,
    rows: Floats,
    virials: Floats,
    energies: Floats,
) -> None:
    """Three-body columns."""
    n_types = packed.pair_of.shape[0]
    order, stride = packed.order3, packed.stride
    size = stride * stride
    values, derivatives = lists.values.reshape(-1), lists.derivatives.reshape(-1)
    matrix = np.empty(size)
    product = np.empty(order * size)
    gradient = np.zeros(columns.max_parameters + LANES)
    # Energies are summed before they are sorted into columns: tensors by types of the three atoms.
    sums = np.zeros(n_types**3 * order * size if want_energy else 0)
    for p in range(packed.pair_rmin.size):
        for c in range(n_types):
            for m in range(lists.bond_start[p], lists.bond_start[p + 1]):
                e = lists.pair_start[p] + m - lists.bond_start[p]
                a, b = types[lists.first[e]], types[lists.second[e]]
                begin, end = lists.row_start[m * n_types + c], lists.row_start[m * n_types + c + 1]
                if begin == end:
                    continue
                s = packed.triplet_set[a, b, c]
                if lists.distances[e] >= packed.set_rmax[s]:
                    continue
                own = (lists.slot_start[s] + m - lists.bond_start[p]) * stride
                for u in range(0, stride, LANES):
                    for v in range(0, stride, LANES):
                        place = u * stride + v
                        neighbour_matrix(
                            values, lists.partners, begin, end, stride, u, v, matrix, place
                        )
                outer_product(derivatives, own, order, matrix, product)
                kind, row = packed.triplet_of[a, b, c], (a * n_types + b) * n_types + c
                n = columns.triplet_parameters[kind]
                sum_orbits(columns.term_start, columns.terms, row, n, product, 0, gradient)
                add_edge(lists, e, gradient, 0, n, columns.triplet_column[kind], rows, virials)
                if want_energy:
                    add_outer_product(values, own, order, matrix, sums, row * order * size)
    if want_energy:
        for a in range(n_types):
            for b in range(n_types):
                for c in range(n_types):
                    kind, row = packed.triplet_of[a, b, c], (a * n_types + b) * n_types + c
                    if kind < 0:
                        continue
                    column, n = columns.triplet_column[kind], columns.triplet_parameters[kind]
                    place = row * order * size
                    sum_orbits(columns.term_start, columns.terms, row, n, sums, place, gradient)
                    for k in range(n):
                        energies[column + k] += gradient[k] / 3.0


@njit(**OPTIONS, forceinline=True)
def outer_product(factors: Floats, own: int, order: int, tensor: Floats, product: Floats) -> None:
    """Write factors[own + p] × tensor for p < order, one after another."""
    size = tensor.size
    for p in range(order):
        factor = spread(at(factors, own + p))
        for k in range(0, size, LANES):
            store(product, p * size + k, multiply(factor, load(tensor, k)))


@njit(**OPTIONS, forceinline=True)
def add_outer_product(
    factors: Floats, own: int, order: int, tensor: Floats, sums: Floats, place: int
) -> None:
    """Add the same from flat position `place` of `sums` on."""
    size = tensor.size
    for p in range(order):
        factor = spread(at(factors, own + p))
        for k in range(0, size, LANES):
            q = place + p * size + k
            store(sums, q, fma(factor, load(tensor, k), load(sums, q)))


@njit(**OPTIONS, forceinline=True)
def sum_orbits(
    term_start: Integers,
    terms: Integers,
    row: int,
    n: int,
    product: Floats,
    place: int,
    result: Floats,
) -> None:
    """Write, for each of n parameters, the sum over the terms of its orbit, and zeros for the rest of a vector.

    `terms` are positions in a product tensor, which begins at `place`; `row` is the flat number of the row of
    `term_start` that applies.
    """
    first = row * term_start.shape[term_start.ndim - 1]
    begin = at(term_start, first)
    for k in range(n):
        end = at(term_start, first + k + 1)
        value = at(product, place + at(terms, begin))
        for t in range(begin + 1, end):
            value += at(product, place + at(terms, t))
        result[k] = value
        begin = end
    for k in range(n, n + LANES):
        result[k] = 0.0
