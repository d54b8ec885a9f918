"""Merges ChIMES models: one model that evaluates to the sum of its parts.

A hierarchy has a model (tile) for the terms among the atoms of each set of elements; simulations need all in one file.
Terms are found by the names of their atoms, never by numbers, so that the order of types does not matter.
"""

from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np

from ald_chimes_lsq.basis import AtomType, Basis, ClusterType, Cutoff, PairType
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import (
    PENALTY_DISTANCE,
    PENALTY_SCALING,
    Coefficients,
    Floats,
    with_terms,
)
from ald_chimes_lsq.tile_parts import BODIES, Part
from ald_chimes_lsq.topology import Exclusion, build_basis, cluster_members, pair_order
from ald_core.errors import InputError

MASS_TOLERANCE = 1e-3
"""Relative; masses of one element in published files differ by rounding."""
_REFIT = "fit one of them again with that of the other; as they are, their sum is no single model"


def merge_models(
    models: Sequence[ChimesModel],
    *,
    names: Sequence[str] | None = None,
    penalty: tuple[float, float] | None = None,
) -> ChimesModel:
    """The sum of models.

    Types come in the order in which the models name them first; terms of the same atoms add up. The penalty for close
    pairs is no part of the sum: there is one, which acts once on each pair.

    Args:
        models: with any types and orders.
        names: of the models, for messages.
        penalty: distance (Å) and scaling (kcal/mol/Å³); by default that of the models, of which those with the
            default of the format do not count.

    Raises:
        InputError: no model can evaluate to the sum: transform, smoothing function, cutoffs or λ of terms in common
            differ, masses contradict each other, or there are charges that not all types have.
    """
    called = names or [f"model {i}" for i in range(1, len(models) + 1)]
    return merge_parts([Part(n, m) for n, m in zip(called, models, strict=True)], penalty)


def merge_files(
    paths: Sequence[Path], *, penalty: tuple[float, float] | None = None
) -> ChimesModel:
    """The sum of parameter files, as `merge_models`; messages name lines, too."""
    return merge_parts([Part.read(path) for path in paths], penalty)


def merge_parts(parts: Sequence[Part], penalty: tuple[float, float] | None = None) -> ChimesModel:
    """The sum of models that know where they come from."""
    if not parts:
        raise InputError("there is nothing to merge", cure="name parameter files")
    check_rules(parts)
    charged = check_charges(parts)
    types = _types(parts, charged)
    whole = _skeleton(parts, types, charged)
    clusters, values = _clusters(parts, whole)
    n_triplets = len(whole.triplets)
    distance, scaling = penalty or _penalty(parts)
    return ChimesModel(
        attrs.evolve(whole, triplets=clusters[:n_triplets], quads=clusters[n_triplets:]),
        Coefficients(
            pairs=_pair_coefficients(parts, whole),
            triplets=values[:n_triplets],
            quads=values[n_triplets:],
            charges=_charge_products(charged, whole),
            offsets=_offsets(parts, whole),
        ),
        distance,
        scaling,
    )


def shared_terms(parts: Sequence[Part]) -> list[tuple[tuple[str, ...], list[Part]]]:
    """Pairs, clusters and offsets for which more than one part has coefficients, and these parts."""
    elements = sorted({name for part in parts for name in part.elements})
    found = []
    for body in (1, 2, 3, 4):
        for members in cluster_members(len(elements), body):
            names = tuple(elements[i] for i in members)
            owners = [part for part in parts if part.describes(names)]
            if len(owners) > 1:
                found.append((names, owners))
    return found


def check_rules(parts: Sequence[Part]) -> None:
    """Refuse parts with different functions of the distance."""
    first, basis = parts[0], parts[0].model.basis
    for part in parts[1:]:
        own = part.model.basis
        for what, phrase, one, other in (
            ("the transform (CHBDIST)", "ATOM PAIRS:", basis.transform, own.transform),
            ("FCUT TYPE", "FCUT TYPE:", cutoff_words(basis.cutoff), cutoff_words(own.cutoff)),
            ("the rule inside S_MINIM (CHEBYFIX)", "", str(basis.inner), str(own.inner)),
        ):
            if one != other:
                line, before = (p.phrase_line(phrase) if phrase else None for p in (part, first))
                raise part.error(
                    f"{what} is {other}, but {one} in {first.place(before)}", line, _REFIT
                )


def cutoff_words(cutoff: Cutoff) -> str:
    """A smoothing function as files write it."""
    return cutoff.kind if cutoff.kind == "CUBIC" else f"TERSOFF {cutoff.fraction!r}"


def check_charges(parts: Sequence[Part]) -> Part | None:
    """The part with charges, which must be the only one, and must know all types."""
    charged = [part for part in parts if part.charged]
    if not charged:
        return None
    if len(charged) > 1:
        raise charged[1].error(
            f"there are charges here and in {charged[0].name}, and Coulomb terms do not add up",
            charged[1].phrase_line("USECOUL:"),
            "keep the charges in one of the files only",
        )
    for part in parts:
        for name in part.elements:
            if name not in charged[0].elements:
                raise charged[0].error(
                    f"there are charges, but none of {name}, which is in "
                    f"{part.place(part.type_line(name))}: what charges add up to is spread over all atoms, "
                    "so that other atoms would change the Coulomb terms",
                    charged[0].phrase_line("USECOUL:"),
                    f"fit it again with all types, or merge without {part.name}",
                )
    return charged[0]


def masses_agree(one: float, other: float) -> bool:
    """Whether two masses can be of the same kind of atom."""
    return abs(one - other) <= MASS_TOLERANCE * max(one, other)


def _types(parts: Sequence[Part], charged: Part | None) -> tuple[AtomType, ...]:
    """All types, in the order in which they come first."""
    found: dict[str, tuple[AtomType, Part]] = {}
    for part in parts:
        for own in part.model.basis.types:
            kind, before = found.setdefault(own.name, (own, part))
            if not masses_agree(kind.mass, own.mass):
                raise part.error(
                    f"the mass of {own.name} is {own.mass!r}, but {kind.mass!r} in "
                    f"{before.place(before.type_line(own.name))}",
                    part.type_line(own.name),
                    "correct one of them",
                )
    charges = {} if charged is None else {t.name: t.charge for t in charged.model.basis.types}
    return tuple(attrs.evolve(t, charge=charges.get(t.name, 0.0)) for t, _ in found.values())


def _skeleton(parts: Sequence[Part], types: tuple[AtomType, ...], charged: Part | None) -> Basis:
    """The basis with complete lists of terms, and without special cutoffs."""
    bases = [part.model.basis for part in parts]
    o2, o3, o4 = (max(basis.orders[i] for basis in bases) for i in range(3))
    names = [t.name for t in types]
    terms: list[tuple[str, ...]] = [(names[i], names[j]) for i, j in pair_order(len(names))]
    for body in BODIES:
        terms += [tuple(names[i] for i in m) for m in cluster_members(len(names), body)]
    if any(part.model.coefficients.offsets is not None for part in parts):
        terms += [(name,) for name in names]
    left_out = [term for term in terms if not any(_has(part, term) for part in parts)]
    pairs = [_pair(parts, term) for term in terms if len(term) == 2]
    try:
        return build_basis(
            types,
            pairs,
            (o2, o3, o4),
            bases[0].transform,
            bases[0].cutoff,
            bases[0].inner,
            exclusions=[Exclusion(term) for term in left_out],
            fit_charges=charged is not None and charged.model.basis.fit_charges,
        )
    except InputError as error:
        raise error.at(", ".join(part.name for part in parts)) from None


def _has(part: Part, names: tuple[str, ...]) -> bool:
    """Whether a part has a term, with or without coefficients other than zero."""
    if len(names) > 2:
        return part.cluster(names) is not None
    return part.describes(names) is not False


def _pair(parts: Sequence[Part], names: tuple[str, ...]) -> PairType:
    """Cutoffs and λ of a pair; clusters have cutoffs of their own."""
    known = [(p, p.model.basis.pairs[i]) for p in parts if (i := p.pair(names)) is not None]
    bonds = [(p, pair) for p, pair in known if p.describes(names)]
    edges = [(p, pair) for p, pair in known if p.pair(names) in p.edges]
    for number, key in (("S_MINIM", "rmin"), ("S_MAXIM", "rmax")):
        _check_same(bonds, number, key)
    if parts[0].model.basis.transform == "MORSE":
        _check_same([*bonds, *edges], "MORSE_LAMBDA", "morse_lambda")
    listed = [(p, pair) for p, pair in known if p.describes(names) is not False]
    for candidates in (bonds, listed, edges, known):
        if candidates:
            of_lambda = (bonds or edges or candidates)[0][1]
            return attrs.evolve(candidates[0][1], morse_lambda=of_lambda.morse_lambda)
    # No part knows both types: the pair has no term, and an inner cutoff at which no penalty begins.
    return PairType(names[0], names[1], 0.001, 1.0, 1.0)


def _check_same(known: Sequence[tuple[Part, PairType]], number: str, key: str) -> None:
    for part, pair in known[1:]:
        before, old = known[0]
        if getattr(pair, key) != getattr(old, key):
            raise part.error(
                f"{number} of the pair {pair.first} {pair.second} is {getattr(pair, key)!r}, but "
                f"{getattr(old, key)!r} in {before.place(before.pair_line(old))}",
                part.pair_line(pair),
                _REFIT,
            )


def _clusters(
    parts: Sequence[Part], whole: Basis
) -> tuple[tuple[ClusterType, ...], tuple[Floats, ...]]:
    """Triplets and quadruplets with their cutoffs and terms, and the sums of their coefficients."""
    merged = [_cluster(parts, whole, c) for c in (*whole.triplets, *whole.quads)]
    clusters = [cluster for cluster, _ in merged]
    if any(c.special_rmin for c in clusters if len(c.elements) == 4):
        # The calculator of ChIMES forgets the inner cutoffs of quadruplets that such a list leaves out.
        clusters = [
            attrs.evolve(c, special_rmin=True) if len(c.elements) == 4 else c for c in clusters
        ]
    return tuple(clusters), tuple(values for _, values in merged)


def _cluster(
    parts: Sequence[Part], whole: Basis, cluster: ClusterType
) -> tuple[ClusterType, Floats]:
    if cluster.excluded:
        return cluster, np.zeros(0)
    found = [(part, *its) for part in parts if (its := part.cluster(cluster.elements)) is not None]
    used = [(part, own) for part, own, values in found if values.any()] or [found[0][:2]]
    before, first = used[0]
    for part, own in used[1:]:
        for bound, key in (("S_MINIM", "rmin"), ("S_MAXIM", "rmax")):
            one, other = getattr(first, key), getattr(own, key)
            if one != other:
                raise part.error(
                    f"{bound} of the edges of {' '.join(own.elements)} are {_listed(other)}, but {_listed(one)} in "
                    f"{before.place(before.cluster_line(first, bound))}",
                    part.cluster_line(own, bound),
                    _REFIT,
                )
    position = {tuple(p): i for i, p in enumerate(cluster.powers.tolist())}
    values, present = np.zeros(len(position)), np.zeros(len(position), dtype=bool)
    for _, own, numbers in found:
        rows = [position[tuple(p)] for p in own.powers.tolist()]
        values[rows] += numbers
        present[rows] = True
    kept = np.flatnonzero(present)
    special_rmin = first.rmin != tuple(whole.pairs[p].rmin for p in cluster.pairs)
    special_rmax = first.rmax != tuple(whole.pairs[p].rmax for p in cluster.pairs)
    merged = attrs.evolve(
        with_terms(cluster, kept),
        rmin=first.rmin,
        rmax=first.rmax,
        special_rmin=special_rmin or any(own.special_rmin for _, own in used),
        special_rmax=special_rmax or any(own.special_rmax for _, own in used),
    )
    return merged, values[kept]


def _listed(values: Sequence[float]) -> str:
    return " ".join(repr(float(v)) for v in values)


def _pair_coefficients(parts: Sequence[Part], whole: Basis) -> Floats:
    sums = np.zeros((len(whole.pairs), whole.orders[0]))
    for part in parts:
        for number, pair in enumerate(whole.pairs):
            if (own := part.pair((pair.first, pair.second))) is not None:
                sums[number, : part.model.basis.orders[0]] += part.model.coefficients.pairs[own]
    return sums


def _charge_products(charged: Part | None, whole: Basis) -> Floats | None:
    if charged is None or (products := charged.model.coefficients.charges) is None:
        return None
    numbers = [charged.pair((pair.first, pair.second)) for pair in whole.pairs]
    return np.array([products[i] for i in numbers if i is not None])


def _offsets(parts: Sequence[Part], whole: Basis) -> Floats | None:
    sums = np.zeros(len(whole.types))
    fitted = False
    for part in parts:
        if (offsets := part.model.coefficients.offsets) is not None:
            fitted = True
            for name, offset in zip(part.elements, offsets, strict=True):
                sums[whole.type_index(name)] += offset
    return sums if fitted else None


def _penalty(parts: Sequence[Part]) -> tuple[float, float]:
    default = (PENALTY_DISTANCE, PENALTY_SCALING)
    found = default
    owner: Part | None = None
    for part in parts:
        own = (part.model.penalty_distance, part.model.penalty_scaling)
        if own in (default, found):
            continue
        if owner is not None:
            phrase = "PAIR CHEBYSHEV PENALTY"
            raise part.error(
                f"the penalty has distance {own[0]!r} and scaling {own[1]!r}, but {found[0]!r} and {found[1]!r} in "
                f"{owner.place(owner.phrase_line(phrase))}",
                part.phrase_line(phrase),
                "write the same lines into both, or say which penalty the merged model is to have",
            )
        owner, found = part, own
    return found
