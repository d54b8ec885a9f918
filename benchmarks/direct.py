"""ChIMES term by term: the yardstick.

Nothing is factored: for every pair, triplet and quadruplet of atoms, and for every power tuple of its type, the term
and its derivatives are added where they belong, as the reference programs do it. Compiled like the package, on one
thread, and without anything from it but the data classes of the basis.

Reference: Lindsey, Fried, Goldman, J. Chem. Theory Comput. 13, 6222 (2017). Restricted to what the benchmarks need:
the MORSE transform, the rule SMOOTH inside the inner cutoff, and cells wider than the cutoffs of triplets and
quadruplets.
"""

import math
from typing import NamedTuple

import numpy as np
from cases import Structure
from clusters import (
    OPTIONS,
    Floats,
    Found,
    Ints,
    find_clusters,
    find_neighbours,
    pairs_of,
)
from numba import njit

from ald_chimes_lsq.basis import EDGES, Basis, ClusterType, PairType
from ald_chimes_lsq.constants import TERSOFF_PI
from ald_chimes_lsq.params import Coefficients

Ends = tuple[tuple[int, int], ...]


class Terms(NamedTuple):
    """All terms of clusters with the same number of atoms."""

    order: int
    """One more than the highest power."""
    kinds: Ints
    """(n_types,) × size, flat: kind of a cluster by the alphabetical ranks of its atoms; -1 if there is none"""
    rmin: Floats
    rmax: Floats
    morse_lambda: Floats
    """(n_kinds, n_edges)"""
    start: Ints
    """(n_kinds + 1,)"""
    powers: Ints
    """(n_terms, n_edges)"""
    columns: Ints
    coefficients: Floats
    """(n_terms,)"""


class Cutoff(NamedTuple):
    """The smoothing function, and what happens inside the inner cutoff."""

    fraction: float
    """Of TERSOFF; negative for CUBIC."""
    pi: float
    distance: float


def direct_rows(
    basis: Basis, structure: Structure, *, stress: bool
) -> tuple[Floats, Floats, Floats]:
    """Force rows (3 n, p), virial rows (xx xy xz yy yz zz, or none) and energy row, short-range columns only."""
    n = basis.n_short_range
    rows, virials = np.zeros((3 * len(structure.elements), n)), np.zeros((6 if stress else 0, n))
    energies = np.zeros(n)
    ranks, cutoff = _ranks(basis, structure), _cutoff(basis)
    for terms, found, ends in _work(basis, None, structure):
        skip = len(ends) == 1
        add_rows(terms, cutoff, ends, skip, found, ranks, rows, virials, energies)
    return rows, virials, energies


def direct_energy(
    basis: Basis, coefficients: Coefficients, penalty: tuple[float, float], structure: Structure
) -> tuple[float, Floats, Floats]:
    """Energy without offsets, forces and virial; the penalty is its width in Å and its factor."""
    forces, virial = np.zeros((len(structure.elements), 3)), np.zeros(6)
    ranks, cutoff = _ranks(basis, structure), _cutoff(basis)
    energy = 0.0
    for terms, found, ends in _work(basis, coefficients, structure):
        energy += add_forces(terms, cutoff, ends, penalty, found, ranks, forces, virial)
    return energy, forces, virial


def _work(
    basis: Basis, coefficients: Coefficients | None, structure: Structure
) -> list[tuple[Terms, Found, Ends]]:
    """Terms with the clusters that have them, for pairs, triplets and quadruplets."""
    own = coefficients or Coefficients(np.zeros((0, 0)))
    pairs = [_pair_kind(p, basis.orders[0]) for p in basis.pairs]
    result = []
    column = 0
    position, cell = np.asarray(structure.positions), np.asarray(structure.cell)
    fractions = position @ np.linalg.inv(cell)
    wrapped = (fractions - np.floor(fractions)) @ cell
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    parts: list[tuple[list[ClusterType], tuple[Floats, ...], int]] = [
        (pairs, tuple(own.pairs), basis.orders[0] + 1),
        (list(basis.triplets), own.triplets, basis.orders[1]),
        (list(basis.quads), own.quads, basis.orders[2]),
    ]
    for size, (clusters, values, order) in enumerate(parts, start=2):
        if not clusters:
            continue
        terms = _terms(basis, clusters, values, order, column)
        column += sum(c.n_parameters for c in clusters)
        reach = float(terms.rmax.max())
        images = np.ceil(reach / heights).astype(np.int64)
        neighbours = find_neighbours(wrapped, cell, reach, images, size > 2)
        if size == 2:
            found = pairs_of(wrapped, *neighbours)
        elif reach < heights.min():
            empty = Found(np.empty((0, size), np.int64), np.empty((0, size, 3)))
            count = find_clusters(wrapped, *neighbours, reach, empty)
            found = Found(np.empty((count, size), np.int64), np.empty((count, size, 3)))
            find_clusters(wrapped, *neighbours, reach, found)
        else:
            raise ValueError("the cell is too small for this code")
        result.append((terms, found, EDGES[size]))
    return result


def _pair_kind(pair: PairType, order: int) -> ClusterType:
    """A pair as a cluster of two, with the powers 1 … order."""
    numbers = np.arange(order)
    return ClusterType(
        0, tuple(sorted((pair.first, pair.second))), (), False, (pair.rmin,), (pair.rmax,),
        False, False, numbers[:, None] + 1, numbers, numbers, order,
    )  # fmt: skip


def _terms(
    basis: Basis, clusters: list[ClusterType], values: tuple[Floats, ...], order: int, column: int
) -> Terms:
    names = sorted(t.name for t in basis.types)
    size = len(clusters[0].elements)
    kinds = np.full((len(names),) * size, -1)
    for number, cluster in enumerate(clusters):
        kinds[tuple(names.index(e) for e in cluster.elements)] = number
    lambdas = {frozenset((p.first, p.second)): p.morse_lambda for p in basis.pairs}
    firsts = column + np.cumsum([0] + [c.n_parameters for c in clusters])
    return Terms(
        order,
        kinds.ravel(),
        np.array([c.rmin for c in clusters]),
        np.array([c.rmax for c in clusters]),
        np.array(
            [
                [lambdas[frozenset((c.elements[a], c.elements[b]))] for a, b in EDGES[size]]
                for c in clusters
            ]
        ),
        np.cumsum([0] + [len(c.powers) for c in clusters]),
        np.concatenate([c.powers for c in clusters]),
        np.concatenate([first + c.parameters for first, c in zip(firsts, clusters, strict=False)]),
        np.concatenate(values) if values else np.zeros(0),
    )


def _ranks(basis: Basis, structure: Structure) -> Ints:
    """Alphabetical rank of the element of each atom, and in the last place the number of elements."""
    names = sorted(t.name for t in basis.types)
    return np.array([names.index(e) for e in structure.elements] + [len(names)])


def _cutoff(basis: Basis) -> Cutoff:
    if basis.transform != "MORSE" or basis.inner.kind != "SMOOTH":
        raise ValueError("only MORSE and SMOOTH")
    fraction = basis.cutoff.fraction if basis.cutoff.kind == "TERSOFF" else -1.0
    return Cutoff(float(fraction), TERSOFF_PI, float(basis.inner.distance))


@njit(**OPTIONS)  # type: ignore[untyped-decorator]
def polynomials(
    cutoff: Cutoff,
    r: float,
    rmin: float,
    rmax: float,
    morse_lambda: float,
    values: Floats,
    slopes: Floats,
) -> None:
    """Write f(r) T_k(s(r)) and its derivative by r for all powers k."""
    if cutoff.fraction < 0.0:
        q = 1.0 - r / rmax
        f, df = q * q * q, -3.0 / rmax * q * q
    else:
        width = cutoff.fraction * rmax
        f, df = 1.0, 0.0
        if r > rmax - width:
            angle = cutoff.pi * (r - rmax + width) / width + 0.5 * cutoff.pi
            f, df = 0.5 + 0.5 * math.sin(angle), 0.5 * cutoff.pi / width * math.cos(angle)
    low, high = math.exp(-rmax / morse_lambda), math.exp(-rmin / morse_lambda)
    x = math.exp(-max(r, rmin) / morse_lambda)
    s = (2.0 * x - low - high) / (high - low)
    ds = -2.0 * x / morse_lambda / (high - low)
    growth = math.exp(min(r - rmin, 0.0) / cutoff.distance)
    shift = cutoff.distance * (growth - 1.0)
    t_0, t_1, d_0, d_1 = 1.0, s, 0.0, ds
    values[0], slopes[0] = f, df
    for k in range(1, values.size):
        value = t_1 + shift * d_1
        values[k] = f * value
        slopes[k] = df * value + f * growth * d_1
        t_0, t_1, d_0, d_1 = t_1, 2.0 * s * t_1 - t_0, d_1, 2.0 * (ds * t_1 + s * d_1) - d_0


@njit(**OPTIONS)  # type: ignore[untyped-decorator]
def prepare(
    terms: Terms,
    cutoff: Cutoff,
    ends: Ends,
    found: Found,
    number: int,
    ranks: Ints,
    order: Ints,
    vectors: Floats,
    values: Floats,
    slopes: Floats,
) -> int:
    """Sort the atoms of a cluster by element and write vectors (x, y, z, length) and polynomials of its edges.

    Returns its kind, or -1 if it is none or not within its cutoffs.
    """
    size = order.size
    for a in range(size):
        order[a] = a
    for a in range(1, size):
        for b in range(a, 0, -1):
            first, second = found.atoms[number, order[b - 1]], found.atoms[number, order[b]]
            if ranks[first] > ranks[second]:
                order[b - 1], order[b] = order[b], order[b - 1]
    flat = 0
    for a in range(size):
        flat = flat * ranks[-1] + ranks[found.atoms[number, order[a]]]
    kind = int(terms.kinds[flat])
    if kind < 0:
        return -1
    for e in range(len(ends)):
        r2 = 0.0
        for a in range(3):
            d = found.places[number, order[ends[e][1]], a]
            d -= found.places[number, order[ends[e][0]], a]
            vectors[e, a] = d
            r2 += d * d
        vectors[e, 3] = math.sqrt(r2)
        if vectors[e, 3] >= terms.rmax[kind, e]:
            return -1
    for e in range(len(ends)):
        polynomials(
            cutoff,
            vectors[e, 3],
            terms.rmin[kind, e],
            terms.rmax[kind, e],
            terms.morse_lambda[kind, e],
            values[e],
            slopes[e],
        )
    return kind


@njit(**OPTIONS)  # type: ignore[untyped-decorator]
def add_rows(
    terms: Terms,
    cutoff: Cutoff,
    ends: Ends,
    skip: bool,
    found: Found,
    ranks: Ints,
    rows: Floats,
    virials: Floats,
    energies: Floats,
) -> None:
    """Add all terms of all clusters to their columns; with `skip` not those of edges up to the inner cutoff."""
    n_edges = len(ends)
    order, vectors = np.empty(found.atoms.shape[1], np.int64), np.empty((n_edges, 4))
    values, slopes = np.empty((n_edges, terms.order)), np.empty((n_edges, terms.order))
    for number in range(found.atoms.shape[0]):
        kind = prepare(
            terms, cutoff, ends, found, number, ranks, order, vectors, values, slopes
        )  # fmt: skip
        if kind < 0 or (skip and vectors[0, 3] <= terms.rmin[kind, 0]):
            continue
        for t in range(terms.start[kind], terms.start[kind + 1]):
            column = terms.columns[t]
            product = 1.0
            for e in range(n_edges):
                product *= values[e, terms.powers[t, e]]
                slope = slopes[e, terms.powers[t, e]]
                for other in range(n_edges):
                    if other != e:
                        slope *= values[other, terms.powers[t, other]]
                slope /= vectors[e, 3]
                x, y, z = vectors[e, 0], vectors[e, 1], vectors[e, 2]
                i = 3 * found.atoms[number, order[ends[e][0]]]
                j = 3 * found.atoms[number, order[ends[e][1]]]
                rows[i, column] += slope * x
                rows[i + 1, column] += slope * y
                rows[i + 2, column] += slope * z
                rows[j, column] -= slope * x
                rows[j + 1, column] -= slope * y
                rows[j + 2, column] -= slope * z
                if virials.shape[0] > 0:
                    virials[0, column] -= slope * x * x
                    virials[1, column] -= slope * x * y
                    virials[2, column] -= slope * x * z
                    virials[3, column] -= slope * y * y
                    virials[4, column] -= slope * y * z
                    virials[5, column] -= slope * z * z
            energies[column] += product


@njit(**OPTIONS)  # type: ignore[untyped-decorator]
def add_forces(
    terms: Terms,
    cutoff: Cutoff,
    ends: Ends,
    penalty: tuple[float, float],
    found: Found,
    ranks: Ints,
    forces: Floats,
    virial: Floats,
) -> float:
    """Energy of all terms of all clusters, and for pairs the penalty; adds to forces and virial."""
    n_edges = len(ends)
    order, vectors = np.empty(found.atoms.shape[1], np.int64), np.empty((n_edges, 4))
    values, slopes = np.empty((n_edges, terms.order)), np.empty((n_edges, terms.order))
    gradient = np.empty(n_edges)
    energy = 0.0
    for number in range(found.atoms.shape[0]):
        kind = prepare(
            terms, cutoff, ends, found, number, ranks, order, vectors, values, slopes
        )  # fmt: skip
        if kind < 0:
            continue
        gradient[:] = 0.0
        for t in range(terms.start[kind], terms.start[kind + 1]):
            product = terms.coefficients[t]
            for e in range(n_edges):
                slope = terms.coefficients[t] * slopes[e, terms.powers[t, e]]
                for other in range(n_edges):
                    if other != e:
                        slope *= values[other, terms.powers[t, other]]
                gradient[e] += slope
                product *= values[e, terms.powers[t, e]]
            energy += product
        if n_edges == 1:
            depth = terms.rmin[kind, 0] + penalty[0] - vectors[0, 3]
            if depth > 0.0:
                energy += penalty[1] * depth**3
                gradient[0] -= 3.0 * penalty[1] * depth**2
        for e in range(n_edges):
            slope = gradient[e] / vectors[e, 3]
            for a in range(3):
                pull = slope * vectors[e, a]
                forces[found.atoms[number, order[ends[e][0]]], a] += pull
                forces[found.atoms[number, order[ends[e][1]]], a] -= pull
            x, y, z = vectors[e, 0], vectors[e, 1], vectors[e, 2]
            virial[0] -= slope * x * x
            virial[1] -= slope * x * y
            virial[2] -= slope * x * z
            virial[3] -= slope * y * y
            virial[4] -= slope * y * z
            virial[5] -= slope * z * z
    return energy
