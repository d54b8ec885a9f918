"""Which terms belong to which column of the design matrix, as arrays for compiled code."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.kernels.packing import WIDTH, PackedModel, edge_powers

Ints = NDArray[np.int64]
SmallInts = NDArray[np.int32]


class PackedColumns(NamedTuple):
    """Columns of 2-, 3- and 4-body terms, in the order of the design matrix."""

    n_columns: int
    max_parameters: int
    """The largest number of parameters of any triplet or quadruplet type."""
    pair_column: Ints
    """(n_pairs,) column of T_1; -1 for excluded pairs"""
    triplet_column: Ints
    triplet_parameters: Ints
    """(n_triplet_types,) first column and number of columns"""
    quad_column: Ints
    quad_parameters: Ints
    """(n_quad_types,) likewise"""
    term_start: SmallInts
    """(n_types,) × 3 + (max + 1,): for atoms of these types as i, j, k the first row in `terms` of each parameter"""
    terms: SmallInts
    """(n,): (power of ij × stride + power of ik) × stride + power of jk"""
    quad_term_start: SmallInts
    """(n_types,) × 4 + (max + 1,): likewise for i, j, k, l"""
    quad_terms: SmallInts
    """(n,): place of the powers in the order ij, ik, jk, (il, jl, kl), the last three padded together"""


def pack_columns(basis: Basis, packed: PackedModel) -> PackedColumns:
    """Number the columns and list their terms."""
    fitted = [p for p in range(len(basis.pairs)) if p not in basis.excluded_pairs]
    pair_column = np.full(len(basis.pairs), -1, np.int64)
    pair_column[fitted] = np.arange(len(fitted)) * basis.orders[0]
    sizes = [0 if c.excluded else c.n_parameters for c in (*basis.triplets, *basis.quads)]
    starts = len(fitted) * basis.orders[0] + np.cumsum([0, *sizes])
    n_triplets = len(basis.triplets)
    most = max(sizes, default=0)
    term_start, terms = _list_terms(basis, packed, 3, most)
    quad_term_start, quad_terms = _list_terms(basis, packed, 4, most)
    return PackedColumns(
        n_columns=int(starts[-1]),
        max_parameters=most,
        pair_column=pair_column,
        triplet_column=starts[:n_triplets].astype(np.int64),
        triplet_parameters=np.array(sizes[:n_triplets], np.int64),
        quad_column=starts[n_triplets:-1].astype(np.int64),
        quad_parameters=np.array(sizes[n_triplets:], np.int64),
        term_start=term_start,
        terms=terms,
        quad_term_start=quad_term_start,
        quad_terms=quad_terms,
    )


def _list_terms(
    basis: Basis, packed: PackedModel, size: int, most: int
) -> tuple[SmallInts, SmallInts]:
    """The fields term_start and terms, or those of quadruplets."""
    kinds = basis.triplets if size == 3 else basis.quads
    numbers = packed.triplet_of if size == 3 else packed.quad_of
    start = np.zeros((*numbers.shape, most + 1), np.int32)
    lists: list[Ints] = []
    length = 0
    for atoms in np.argwhere(numbers >= 0):
        cluster = kinds[numbers[tuple(atoms)]]
        order = np.argsort(cluster.parameters, kind="stable")
        powers = edge_powers(basis, cluster, tuple(atoms))[order]
        counts = np.bincount(cluster.parameters, minlength=most)
        start[tuple(atoms)] = length + np.concatenate([[0], np.cumsum(counts)])
        lists.append(_places(powers, packed))
        length += len(powers)
    terms = np.concatenate(lists) if lists else np.zeros(0, np.int64)
    return start, terms.astype(np.int32)


def _places(powers: Ints, packed: PackedModel) -> Ints:
    """Where a term stands in the product tensors of `rows` and `quad_rows`."""
    if powers.shape[1] == 3:
        factors = [packed.stride**2, packed.stride, 1]
    else:
        n = packed.order4
        padded = -(-(n**3) // WIDTH) * WIDTH
        # Edges in the order ij, ik, il, jk, jl, kl.
        factors = [n * n * padded, n * padded, n * n, padded, n, 1]
    places: Ints = powers @ np.array(factors)
    return places
