"""Builds a `Basis`: pair order, cluster types, power tuples and their orbits, cutoffs, map keys.

Source of every rule: the description of the ChIMES parameter file format in the ChIMES LSQ manual; permutational
symmetry as in Lindsey et al., J. Chem. Theory Comput. 13, 6222 (2017), and J. Chem. Phys. 153, 134117 (2020).
"""

import itertools
from collections.abc import Sequence
from typing import Literal

import attrs

from ald_chimes_lsq.basis import (
    EDGES,
    AtomType,
    Basis,
    ClusterType,
    Cutoff,
    InnerRule,
    PairType,
    Transform,
)
from ald_chimes_lsq.powers import ascending, enumerate_powers
from ald_core.errors import InputError

Body = Literal[3, 4]
MAX_TYPES = 10
MAX_ORDERS = (100, 40, 8)
"""Largest 2-, 3- and 4-body orders; the number of terms grows as O3³ and O4⁶."""


@attrs.frozen
class EdgeCutoffs:
    """One line of a SPECIFIC list: a cluster by its map key, its edges by pair name, and their values in Å."""

    key: str
    pairs: tuple[str, ...]
    values: tuple[float, ...]
    line: int | None = None


@attrs.frozen
class SpecialCutoffs:
    """Cutoffs of clusters that are not those of their pairs: one value for all, or a list."""

    body: Body
    bound: Literal["S_MINIM", "S_MAXIM"]
    value: float | None = None
    """The ALL value, Å."""
    clusters: tuple[EdgeCutoffs, ...] = ()
    line: int | None = None


@attrs.frozen
class Exclusion:
    """A type, pair, triplet or quadruplet, by element names in any order."""

    names: tuple[str, ...]
    line: int | None = None


def build_basis(
    types: Sequence[AtomType],
    pairs: Sequence[PairType],
    orders: tuple[int, int, int],
    transform: Transform = "NONE",
    cutoff: Cutoff | None = None,
    inner: InnerRule | None = None,
    *,
    specials: Sequence[SpecialCutoffs] = (),
    exclusions: Sequence[Exclusion] = (),
    fit_charges: bool = False,
) -> Basis:
    """Put a basis together.

    Args:
        types: atom types in input order.
        pairs: one for every pair of types, in any order and with the names in any order.
        orders: 2-, 3-, 4-body order, as in PAIRTYP.
        transform: distance transform of all edges.
        cutoff: smoothing function; CUBIC by default.
        inner: rule inside the inner cutoff; SMOOTH 0.01 by default.
        specials: applied one after another.
        exclusions: of 1, 2, 3 or 4 names.
        fit_charges: adds one charge column per pair.

    Raises:
        InputError: with the line of the special cutoff or exclusion, where that is known.
    """
    _check_types(types)
    check_orders(orders)
    ordered = order_pairs(types, pairs)
    names = pair_names(types)
    excluded = [_excluded_indices(types, body, exclusions) for body in (1, 2, 3, 4)]
    clusters: list[tuple[ClusterType, ...]] = []
    for body, order, left_out in ((3, orders[1], excluded[2]), (4, orders[2], excluded[3])):
        made = _cluster_types(types, ordered, body, order, left_out) if order else ()
        for special in specials:
            if special.body == body and made:
                made = _apply_special(types, names, made, special)
        _check_cutoffs(types, made, specials)
        clusters.append(made)
    return Basis(
        types=tuple(types),
        pairs=ordered,
        orders=orders,
        transform=transform,
        cutoff=cutoff or Cutoff(),
        inner=inner or InnerRule(),
        triplets=clusters[0],
        quads=clusters[1],
        excluded_types=excluded[0],
        excluded_pairs=excluded[1],
        fit_charges=fit_charges,
    )


def pair_order(n_types: int) -> list[tuple[int, int]]:
    """Pairs of type indices in canonical order: the like pairs, then the unlike ones with i < j."""
    like = [(i, i) for i in range(n_types)]
    return like + list(itertools.combinations(range(n_types), 2))


def pair_names(types: Sequence[AtomType]) -> dict[str, int]:
    """Index of the pair type for every spelling of its name (`OH` and `HO`)."""
    names: dict[str, int] = {}
    for index, (i, j) in enumerate(pair_order(len(types))):
        for name in (types[i].name + types[j].name, types[j].name + types[i].name):
            _put_key(names, name, index)
    return names


def pair_map(basis: Basis) -> dict[str, int]:
    """Map keys of the pairs, in ascending order of the keys."""
    return dict(sorted(pair_names(basis.types).items()))


def cluster_map(basis: Basis, body: Body) -> dict[str, int]:
    """Map keys of triplets or quadruplets, in ascending order, with -1 for excluded clusters."""
    clusters = basis.triplets if body == 3 else basis.quads
    keys = _cluster_keys(basis.types, body)
    return {k: -1 if clusters[i].excluded else i for k, i in sorted(keys.items())}


def cluster_key(types: Sequence[AtomType], members: Sequence[int]) -> str:
    """Concatenated canonical pair names of the edges, for type indices in the given order."""
    edges = EDGES[len(members)]
    ends = [sorted((members[a], members[b])) for a, b in edges]
    return "".join(types[i].name + types[j].name for i, j in ends)


def cluster_members(n_types: int, body: int) -> list[tuple[int, ...]]:
    """Type indices of each cluster type, in the order of the cluster types."""
    return list(itertools.combinations_with_replacement(range(n_types), body))


def is_complete(basis: Basis, cluster: ClusterType) -> bool:
    """Whether a cluster that is not excluded has all terms of its order, as it has not in a reduced file."""
    order = basis.orders[len(cluster.elements) - 2]
    groups = tuple(cluster.elements.index(e) for e in cluster.elements)
    return len(cluster.powers) == len(enumerate_powers(groups, order).powers)


def _check_types(types: Sequence[AtomType]) -> None:
    if not 1 <= len(types) <= MAX_TYPES:
        raise InputError(f"{len(types)} atom types", cure=f"give 1 to {MAX_TYPES}")
    names = [t.name for t in types]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"atom type '{name}' is given twice", cure="rename one of them")


def check_orders(orders: tuple[int, int, int]) -> None:
    """Complain about orders that have no terms or far too many."""
    for order, body, limit in zip(orders, (2, 3, 4), MAX_ORDERS, strict=True):
        if not 0 <= order <= limit:
            raise InputError(
                f"the {body}-body order must be between 0 and {limit}, found {order}",
                cure="write such a number",
            )
    if orders[0] == 0:
        raise InputError(
            "the 2-body order must be at least 1, found 0", cure="write for example 12"
        )
    for order, body in zip(orders[1:], (3, 4), strict=True):
        if order == 1:
            raise InputError(
                f"the {body}-body order 1 has no terms (it is one more than the highest power)",
                cure=f"write 0 to leave {body}-body terms out, or at least 2",
            )


def order_pairs(types: Sequence[AtomType], pairs: Sequence[PairType]) -> tuple[PairType, ...]:
    """Bring pairs into canonical order and their names into canonical spelling."""
    known = {t.name for t in types}
    given: dict[frozenset[str], PairType] = {}
    for pair in pairs:
        for name in (pair.first, pair.second):
            if name not in known:
                raise InputError(
                    f"pair {pair.first} {pair.second}: '{name}' is not an atom type",
                    cure=f"write one of {', '.join(t.name for t in types)}",
                )
        key = frozenset((pair.first, pair.second))
        if key in given:
            raise InputError(
                f"pair {pair.first} {pair.second} is given twice", cure="remove one of them"
            )
        given[key] = pair
    ordered = []
    for i, j in pair_order(len(types)):
        first, second = types[i].name, types[j].name
        if (found := given.get(frozenset((first, second)))) is None:
            raise InputError(
                f"pair {first} {second} is missing", cure="write a line for every pair of types"
            )
        ordered.append(attrs.evolve(found, first=first, second=second))
    return tuple(ordered)


def _put_key(keys: dict[str, int], key: str, index: int) -> None:
    if keys.setdefault(key, index) != index:
        raise InputError(
            f"the names of the atom types are ambiguous: '{key}' is the key of two different clusters",
            cure="choose names none of which is the beginning of another",
        )


def _cluster_keys(types: Sequence[AtomType], body: int) -> dict[str, int]:
    """Index of the cluster type for every ordered tuple of types, excluded or not."""
    indices = {m: i for i, m in enumerate(cluster_members(len(types), body))}
    keys: dict[str, int] = {}
    for members in itertools.product(range(len(types)), repeat=body):
        _put_key(keys, cluster_key(types, members), indices[tuple(sorted(members))])
    return keys


def _excluded_indices(
    types: Sequence[AtomType], body: int, exclusions: Sequence[Exclusion]
) -> tuple[int, ...]:
    """Indices of the excluded types, pairs, triplets or quadruplets, in the order given."""
    position = {t.name: i for i, t in enumerate(types)}
    members: Sequence[tuple[int, ...]] = cluster_members(len(types), body)
    if body == 2:
        members = pair_order(len(types))
    found: list[int] = []
    for exclusion in exclusions:
        for name in exclusion.names:
            if name not in position:
                raise InputError(
                    f"excluded '{' '.join(exclusion.names)}': '{name}' is not an atom type",
                    line=exclusion.line,
                    cure=f"write one of {', '.join(position)}",
                )
        if len(exclusion.names) != body:
            continue
        index = members.index(tuple(sorted(position[name] for name in exclusion.names)))
        if index in found:
            raise InputError(
                f"'{' '.join(exclusion.names)}' is excluded twice",
                line=exclusion.line,
                cure="remove one of the lines, and count them again",
            )
        found.append(index)
    return tuple(found)


def _cluster_types(
    types: Sequence[AtomType],
    pairs: tuple[PairType, ...],
    body: int,
    order: int,
    excluded: tuple[int, ...],
) -> tuple[ClusterType, ...]:
    numbers = {ends: n for n, ends in enumerate(pair_order(len(types)))}
    clusters = []
    for index, members in enumerate(cluster_members(len(types), body)):
        atoms = sorted(members, key=lambda i: types[i].name)
        edges = tuple(numbers[ascending(atoms[a], atoms[b])] for a, b in EDGES[body])
        left_out = index in excluded
        listed = enumerate_powers(tuple(atoms.index(a) for a in atoms), order)
        clusters.append(
            ClusterType(
                index=index,
                elements=tuple(types[a].name for a in atoms),
                pairs=edges,
                excluded=left_out,
                rmin=tuple(pairs[e].rmin for e in edges),
                rmax=tuple(pairs[e].rmax for e in edges),
                special_rmin=False,
                special_rmax=False,
                powers=listed.powers[:0] if left_out else listed.powers,
                equivalents=listed.equivalents[:0] if left_out else listed.equivalents,
                parameters=listed.parameters[:0] if left_out else listed.parameters,
                n_parameters=0 if left_out else listed.n_parameters,
            )
        )
    return tuple(clusters)


def _apply_special(
    types: Sequence[AtomType],
    names: dict[str, int],
    clusters: tuple[ClusterType, ...],
    special: SpecialCutoffs,
) -> tuple[ClusterType, ...]:
    changed = list(clusters)
    if special.value is not None:
        for i, cluster in enumerate(clusters):
            values = dict.fromkeys(cluster.pairs, special.value)
            changed[i] = _with_cutoffs(cluster, special.bound, values)
        return tuple(changed)
    keys = _cluster_keys(types, special.body)
    for entry in special.clusters:
        if entry.key not in keys:
            raise InputError(
                f"special cutoff: '{entry.key}' is not a cluster of these atom types",
                line=entry.line,
                cure="write the names of its pairs in one word, for example "
                f"{cluster_key(types, cluster_members(len(types), special.body)[-1])}",
            )
        cluster = changed[keys[entry.key]]
        values = _edge_values(names, cluster, entry)
        changed[cluster.index] = _with_cutoffs(cluster, special.bound, values)
    return tuple(changed)


def _edge_values(
    names: dict[str, int], cluster: ClusterType, entry: EdgeCutoffs
) -> dict[int, float]:
    """Value for each pair type of the cluster; of equal-named edges the last one wins."""
    n_edges = len(cluster.pairs)
    if len(entry.pairs) != n_edges or len(entry.values) != n_edges:
        raise InputError(
            f"special cutoff of {entry.key}: {n_edges} pair names and {n_edges} values are needed, "
            f"found {len(entry.pairs)} and {len(entry.values)}",
            line=entry.line,
            cure="write them",
        )
    indices = [names.get(name, -1) for name in entry.pairs]
    if sorted(indices) != sorted(cluster.pairs):
        raise InputError(
            f"special cutoff of {entry.key}: the pairs {' '.join(entry.pairs)} are not the edges of "
            f"{' '.join(cluster.elements)}",
            line=entry.line,
            cure=f"write a pair of these atoms for each of the {n_edges} edges",
        )
    return dict(zip(indices, entry.values, strict=True))


def _with_cutoffs(cluster: ClusterType, bound: str, values: dict[int, float]) -> ClusterType:
    edges = tuple(values[p] for p in cluster.pairs)
    if bound == "S_MINIM":
        return attrs.evolve(cluster, rmin=edges, special_rmin=True)
    return attrs.evolve(cluster, rmax=edges, special_rmax=True)


def _check_cutoffs(
    types: Sequence[AtomType],
    clusters: Sequence[ClusterType],
    specials: Sequence[SpecialCutoffs],
) -> None:
    """Complain about clusters whose special cutoffs leave no interval."""
    for cluster in clusters:
        if cluster.excluded or not (cluster.special_rmin or cluster.special_rmax):
            continue
        for low, high in zip(cluster.rmin, cluster.rmax, strict=True):
            if not 0.0 <= low < high:
                raise InputError(
                    f"special cutoffs of {' '.join(cluster.elements)}: the inner cutoff {low:g} must be "
                    f"smaller than the outer cutoff {high:g}",
                    line=_line_of(types, cluster, specials),
                    cure="correct one of them",
                )


def _line_of(
    types: Sequence[AtomType], cluster: ClusterType, specials: Sequence[SpecialCutoffs]
) -> int | None:
    """Where the last special cutoff of a cluster type stands."""
    keys = _cluster_keys(types, len(cluster.elements))
    for special in reversed(specials):
        if special.body == len(cluster.elements):
            if special.value is not None:
                return special.line
            for entry in special.clusters:
                if keys[entry.key] == cluster.index:
                    return entry.line
    return None
