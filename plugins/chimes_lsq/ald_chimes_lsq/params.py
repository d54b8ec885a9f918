"""Coefficients of a ChIMES model, and what a parameter file holds."""

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.basis import Basis, ClusterType
from ald_core.errors import InputError

Floats = NDArray[np.float64]

PENALTY_DISTANCE = 0.01
"""Å, where a file does not say."""
PENALTY_SCALING = 1e4
"""kcal/mol/Å³, where a file does not say."""


@attrs.frozen(eq=False)
class Coefficients:
    """Numbers that belong to a `Basis`, kcal/mol.

    Those of clusters are listed per term (as the power tuples are), so that members of an orbit repeat a value.
    """

    pairs: Floats
    """(n_pairs, O2)"""
    triplets: tuple[Floats, ...] = ()
    """(n_terms,) for each triplet type; empty for excluded ones"""
    quads: tuple[Floats, ...] = ()
    charges: Floats | None = None
    """(n_pairs,) products of charges times the Coulomb constant, kcal·Å/mol"""
    offsets: Floats | None = None
    """(n_types,) energy offsets; None if energies were not fitted"""


@attrs.frozen(eq=False)
class ParameterFile:
    """Everything that a parameter file says."""

    basis: Basis
    """Clusters have the terms of the file: all of them, or fewer in a reduced file."""
    coefficients: Coefficients
    penalty_distance: float = PENALTY_DISTANCE
    """Å"""
    penalty_scaling: float = PENALTY_SCALING
    """kcal/mol/Å³"""
    comments: tuple[str, ...] = ()
    """Lines before the header as they stand, with their `!`."""
    reduced: bool = False
    """True if terms are missing from some cluster."""


def expand(basis: Basis, x: ArrayLike) -> Coefficients:
    """Turn a solution vector into coefficients.

    Args:
        basis: with complete lists of terms.
        x: pairs, triplets, quadruplets, charges, offsets; without excluded ones, whose coefficients become zero.
            Offsets may be absent as a whole; if all are excluded, they are zero.

    Raises:
        InputError: the length fits neither.
    """
    values = np.asarray(x, dtype=np.float64)
    n_charges = len(basis.pairs) if basis.fit_charges else 0
    n_plain = basis.n_short_range + n_charges
    kept = [i for i in range(len(basis.types)) if i not in basis.excluded_types]
    if values.shape not in {(n_plain,), (n_plain + len(kept),)}:
        raise InputError(
            f"{values.size} parameters do not fit the basis, which has {n_plain}, or "
            f"{n_plain + len(kept)} with energy offsets",
            cure="use the matrix and the header of one set-up",
        )
    pairs = np.zeros((len(basis.pairs), basis.orders[0]))
    fitted = [i for i in range(len(basis.pairs)) if i not in basis.excluded_pairs]
    n_pairs = len(fitted) * basis.orders[0]
    pairs[fitted] = values[:n_pairs].reshape(len(fitted), basis.orders[0])
    position = n_pairs
    clusters: list[Floats] = []
    for cluster in (*basis.triplets, *basis.quads):
        n = 0 if cluster.excluded else cluster.n_parameters
        clusters.append(values[position : position + n][cluster.parameters])
        position += n
    offsets = None
    # If all are excluded, the length does not tell whether energies were fitted; zeros change none.
    if len(values) > n_plain or not kept:
        offsets = np.zeros(len(basis.types))
        offsets[kept] = values[n_plain:]
    n_triplets = len(basis.triplets)
    return Coefficients(
        pairs=pairs,
        triplets=tuple(clusters[:n_triplets]),
        quads=tuple(clusters[n_triplets:]),
        charges=values[position:n_plain].copy() if basis.fit_charges else None,
        offsets=offsets,
    )


def collapse(basis: Basis, coefficients: Coefficients) -> Floats:
    """Turn coefficients into a solution vector; the inverse of `expand`.

    Parameters whose terms are all missing, as in a reduced file, are zero.
    """
    parts = [np.zeros(0)]
    parts += [row for i, row in enumerate(coefficients.pairs) if i not in basis.excluded_pairs]
    own = (*coefficients.triplets, *coefficients.quads)
    for cluster, terms in zip((*basis.triplets, *basis.quads), own, strict=True):
        if not cluster.excluded:
            values = np.zeros(cluster.n_parameters)
            # Reversed, so that the first term of an orbit decides.
            values[cluster.parameters[::-1]] = terms[::-1]
            parts.append(values)
    if coefficients.charges is not None:
        parts.append(coefficients.charges)
    if coefficients.offsets is not None:
        parts.append(np.delete(coefficients.offsets, basis.excluded_types))
    return np.concatenate(parts)


def with_terms(cluster: ClusterType, kept: Sequence[int] | NDArray[np.intp]) -> ClusterType:
    """The same cluster type with some of its terms only."""
    return attrs.evolve(
        cluster,
        powers=cluster.powers[kept],
        equivalents=cluster.equivalents[kept],
        parameters=cluster.parameters[kept],
    )
