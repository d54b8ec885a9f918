"""A basis, with or without coefficients, as plain arrays for compiled code."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import EDGES, Basis, ClusterType
from ald_chimes_lsq.constants import TERSOFF_PI
from ald_chimes_lsq.params import Coefficients

WIDTH = 8
"""Rows of polynomial values are padded with zeros to multiples of this."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Rules(NamedTuple):
    """What the basis functions look like, the same for all edges."""

    transform: int
    """0 MORSE, 1 INVRSE_R, 2 NONE"""
    cutoff: int
    """0 CUBIC, 1 TERSOFF"""
    fraction: float
    pi: float
    inner: int
    """0 SMOOTH, 1 ZERO_DERIV, 2 CONSTANT_DERIV"""
    inner_distance: float


class PackedModel(NamedTuple):
    """Arrays of a basis and of coefficients (empty where there are none).

    Types, pairs and clusters are numbered as in `Basis`. A *set* is one combination of pair type, inner and outer
    cutoff that some cluster uses; the sets of pair p are set_start[p] … set_start[p + 1] - 1.
    """

    order2: int
    order3: int
    order4: int
    stride: int
    """Length of a padded row of polynomials."""
    rules: Rules
    penalty_distance: float
    penalty_scaling: float
    """kcal/mol/Å³; 0 when the penalty is off"""
    pair_of: Ints
    """(n_types, n_types)"""
    pair_rmin: Floats
    pair_rmax: Floats
    pair_lambda: Floats
    pair_middle: Floats
    pair_scale: Floats
    """(n_pairs,) s = (x - middle) × scale"""
    pair_range: Floats
    """(n_pairs,) distance below which an edge of this type can matter"""
    bond_range: Floats
    """(n_pairs,) the same for clusters; 0 for pairs that are in none"""
    set_start: Ints
    set_rmin: Floats
    set_rmax: Floats
    set_middle: Floats
    set_scale: Floats
    """(n_sets,)"""
    triplet_of: Ints
    """(n_types,) × 3: triplet type, -1 if there is none or it is excluded"""
    triplet_set: Ints
    """(n_types,) × 3: [a, b, c] is the set of edge ab in a triplet with a third atom c; -1 if excluded"""
    quad_of: Ints
    quad_set: Ints
    """(n_types,) × 4: likewise, [a, b, c, d] is the set of edge ab"""
    quad_tensor: Ints
    """(n_types,) × 4: where `quad_coefficients` has this order of atoms; -1 unless the first three ascend"""
    pair_coefficients: Floats
    """(n_pairs, order2)"""
    triplet_coefficients: Floats
    """(n_types,) × 3 + (n_blocks, n_blocks, order3, WIDTH, WIDTH): of T_p(ij) T_q(ik) T_r(jk) with q = block × WIDTH
    + row and r likewise"""
    quad_coefficients: Floats
    """(n_tensors, order4³, padded order4³): powers of il, jl, kl together, and of ij, ik, jk together"""


_TRANSFORMS = {"MORSE": 0, "INVRSE_R": 1, "NONE": 2}
_CUTOFFS = {"CUBIC": 0, "TERSOFF": 1}
_RULES = {"SMOOTH": 0, "ZERO_DERIV": 1, "CONSTANT_DERIV": 2}


def pack_basis(basis: Basis) -> PackedModel:
    """Arrays of a basis without coefficients and penalty, as the design matrix needs them."""
    n = len(basis.types)
    order2, order3, order4 = basis.orders
    pair_of = np.array([[basis.pair_index(a, b) for b in range(n)] for a in range(n)], np.int64)
    triplet_of = _cluster_numbers(basis, basis.triplets if order3 > 0 else (), 3)
    quad_of = _cluster_numbers(basis, basis.quads if order4 > 0 else (), 4)
    used = [basis.triplets[c] for c in np.unique(triplet_of[triplet_of >= 0])]
    used += [basis.quads[c] for c in np.unique(quad_of[quad_of >= 0])]
    sets = _cutoff_sets(len(basis.pairs), used)
    limits = np.array([s for of_pair in sets for s in of_pair], float).reshape(-1, 2)
    owners = [p for p, of_pair in enumerate(sets) for _ in of_pair]
    pairs = np.array([(p.rmin, p.rmax, p.morse_lambda) for p in basis.pairs], float).reshape(-1, 3)
    pair_middle, pair_scale = _mapping(basis.transform, pairs[:, 0], pairs[:, 1], pairs[:, 2])
    set_middle, set_scale = _mapping(
        basis.transform, limits[:, 0], limits[:, 1], pairs[owners, 2] if owners else np.zeros(0)
    )
    bond_range = np.array([max((s[1] for s in of_pair), default=0.0) for of_pair in sets])
    triplet_set = _edge_sets(basis, basis.triplets, triplet_of, sets)
    quad_set = _edge_sets(basis, basis.quads, quad_of, sets)
    blocks = -(-max(order3, order4, 1) // WIDTH)
    return PackedModel(
        order2=order2,
        order3=order3,
        order4=order4,
        stride=blocks * WIDTH,
        rules=Rules(
            transform=_TRANSFORMS[basis.transform],
            cutoff=_CUTOFFS[basis.cutoff.kind],
            fraction=float(basis.cutoff.fraction),
            pi=TERSOFF_PI,
            inner=_RULES[basis.inner.kind],
            inner_distance=float(basis.inner.distance),
        ),
        penalty_distance=0.0,
        penalty_scaling=0.0,
        pair_of=pair_of,
        pair_rmin=pairs[:, 0].copy(),
        pair_rmax=pairs[:, 1].copy(),
        pair_lambda=pairs[:, 2].copy(),
        pair_middle=pair_middle,
        pair_scale=pair_scale,
        pair_range=np.maximum(pairs[:, 1] if order2 > 0 else 0.0, bond_range),
        bond_range=bond_range,
        set_start=np.cumsum([0, *map(len, sets)]).astype(np.int64),
        set_rmin=limits[:, 0].copy(),
        set_rmax=limits[:, 1].copy(),
        set_middle=set_middle,
        set_scale=set_scale,
        triplet_of=triplet_of,
        triplet_set=triplet_set,
        quad_of=quad_of,
        quad_set=quad_set,
        quad_tensor=_quad_tensor_numbers(quad_of),
        pair_coefficients=np.zeros((len(pairs), 0)),
        triplet_coefficients=np.zeros((n, n, n, 0, 0, 0, WIDTH, WIDTH)),
        quad_coefficients=np.zeros((0, 0, 0)),
    )


def edge_powers(basis: Basis, cluster: ClusterType, atoms: tuple[int, ...]) -> Ints:
    """Power tuples of a cluster for its atoms in another order: (n_terms, n_edges), edges as in `EDGES`."""
    places = _places(basis, cluster, atoms)
    return cluster.powers[:, [_edge_number(places, a, b) for a, b in EDGES[len(atoms)]]]


def _places(basis: Basis, cluster: ClusterType, atoms: tuple[int, ...]) -> list[int]:
    """Where the atoms stand in the sorted cluster: each takes the first free place of its element."""
    places: list[int] = []
    for atom in atoms:
        name = basis.types[atom].name
        free = (i for i, e in enumerate(cluster.elements) if e == name and i not in places)
        places.append(next(free))
    return places


def _edge_number(places: list[int], a: int, b: int) -> int:
    first, second = sorted((places[a], places[b]))
    return EDGES[len(places)].index((first, second))


def _cluster_numbers(basis: Basis, clusters: tuple[ClusterType, ...], size: int) -> Ints:
    """(n_types,) × size: index of the cluster of each tuple of types, -1 for none or excluded."""
    n = len(basis.types)
    numbers = np.full((n,) * size, -1, np.int64)
    by_elements = {c.elements: c.index for c in clusters if not c.excluded}
    for atoms in np.ndindex(*numbers.shape):
        names = tuple(sorted(basis.types[a].name for a in atoms))
        numbers[atoms] = by_elements.get(names, -1)
    return numbers


def _cutoff_sets(n_pairs: int, clusters: list[ClusterType]) -> list[list[tuple[float, float]]]:
    """The different (rmin, rmax) of each pair type in any cluster."""
    sets: list[list[tuple[float, float]]] = [[] for _ in range(n_pairs)]
    for cluster in clusters:
        for pair, limits in zip(
            cluster.pairs, zip(cluster.rmin, cluster.rmax, strict=True), strict=True
        ):
            if limits not in sets[pair]:
                sets[pair].append(limits)
    return sets


def _edge_sets(
    basis: Basis,
    clusters: tuple[ClusterType, ...],
    numbers: Ints,
    sets: list[list[tuple[float, float]]],
) -> Ints:
    """(n_types,) × size: the set of the edge between the first two atoms of each tuple of types."""
    offsets = np.cumsum([0, *map(len, sets)])
    result = np.full(numbers.shape, -1, np.int64)
    for atoms in np.argwhere(numbers >= 0):
        cluster = clusters[numbers[tuple(atoms)]]
        edge = _edge_number(_places(basis, cluster, tuple(atoms)), 0, 1)
        pair = basis.pair_index(atoms[0], atoms[1])
        limits = (cluster.rmin[edge], cluster.rmax[edge])
        result[tuple(atoms)] = offsets[pair] + sets[pair].index(limits)
    return result


def _mapping(
    transform: str, rmin: Floats, rmax: Floats, morse_lambda: Floats
) -> tuple[Floats, Floats]:
    """Middle and reciprocal half width of the interval that is mapped to [-1, 1].

    An empty interval (rmin = rmax, a pair that is switched off) gives zero.
    """
    if transform == "MORSE":
        low, high = np.exp(-rmax / morse_lambda), np.exp(-rmin / morse_lambda)
    elif transform == "INVRSE_R":
        low, high = 1.0 / rmax, 1.0 / rmin
    else:
        low, high = rmin, rmax
    half = 0.5 * (high - low)
    scale = np.divide(1.0, half, out=np.zeros_like(half), where=half != 0.0)
    return 0.5 * (high + low), scale


def pack_coefficients(
    basis: Basis,
    coefficients: Coefficients,
    *,
    penalty_distance: float = 0.01,
    penalty_scaling: float = 1.0e4,
) -> PackedModel:
    """Arrays of a basis with coefficients; a penalty scaling of 0 switches the penalty off."""
    bare = pack_basis(basis)
    return bare._replace(
        penalty_distance=penalty_distance,
        penalty_scaling=penalty_scaling,
        pair_range=np.maximum(bare.pair_range, bare.pair_rmin + penalty_distance),
        pair_coefficients=np.ascontiguousarray(coefficients.pairs, float).reshape(
            len(basis.pairs), basis.orders[0]
        ),
        triplet_coefficients=_triplet_tensors(basis, bare, coefficients.triplets),
        quad_coefficients=_quad_tensors(basis, bare, coefficients.quads),
    )


def _triplet_tensors(basis: Basis, bare: PackedModel, values: tuple[Floats, ...]) -> Floats:
    n, order, blocks = len(basis.types), bare.order3, bare.stride // WIDTH
    if not (bare.triplet_of >= 0).any():
        return np.zeros((n, n, n, 0, 0, 0, WIDTH, WIDTH))
    tensors = np.zeros((n, n, n, blocks, blocks, order, WIDTH, WIDTH))
    for atoms in np.argwhere(bare.triplet_of >= 0):
        cluster = basis.triplets[bare.triplet_of[tuple(atoms)]]
        p, q, r = edge_powers(basis, cluster, tuple(atoms)).T
        place = (*atoms, q // WIDTH, r // WIDTH, p, q % WIDTH, r % WIDTH)
        np.add.at(tensors, place, values[cluster.index])
    return tensors


def _quad_tensors(basis: Basis, bare: PackedModel, values: tuple[Floats, ...]) -> Floats:
    order = bare.order4
    padded = -(-(order**3) // WIDTH**2) * WIDTH**2
    tensors = np.zeros((int(bare.quad_tensor.max(initial=-1)) + 1, order**3, padded))
    for atoms in np.argwhere(bare.quad_tensor >= 0):
        cluster = basis.quads[bare.quad_of[tuple(atoms)]]
        ij, ik, il, jk, jl, kl = edge_powers(basis, cluster, tuple(atoms)).T
        apex, base = (il * order + jl) * order + kl, (ij * order + ik) * order + jk
        np.add.at(tensors, (bare.quad_tensor[tuple(atoms)], apex, base), values[cluster.index])
    return tensors


def _quad_tensor_numbers(quad_of: Ints) -> Ints:
    """Consecutive numbers for the tuples of types whose first three are in ascending order, else -1."""
    numbers = np.full(quad_of.shape, -1, np.int64)
    count = 0
    for atoms in np.argwhere(quad_of >= 0):
        if atoms[0] <= atoms[1] <= atoms[2]:
            numbers[tuple(atoms)] = count
            count += 1
    return numbers
