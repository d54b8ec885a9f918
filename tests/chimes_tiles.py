"""Random tiles of hierarchies, and what their sum is, for tests of merged models."""

import itertools

import attrs
import numpy as np
from ase import Atoms

from ald_chimes_lsq.basis import AtomType, Cutoff, PairType
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import Coefficients, with_terms
from ald_chimes_lsq.topology import (
    EdgeCutoffs,
    Exclusion,
    SpecialCutoffs,
    build_basis,
    cluster_key,
    cluster_members,
    pair_order,
)

MASSES = {"O": 15.999, "C": 12.011, "H": 1.008, "N": 14.007, "Si": 28.0855}
TOLERANCE = 1e-12


def world(rng, transform="MORSE", special=()):
    """Cutoffs of pairs, and of some clusters, that all tiles share."""
    pairs = {}
    for a, b in itertools.combinations_with_replacement(sorted(MASSES), 2):
        rmin, rmax, scale = rng.uniform((0.6, 2.2, 0.6), (1.2, 3.2, 2.0))
        pairs[a, b] = (float(rmin), float(rmax), float(scale))
    bounds = {
        (body, bound): {
            pair: rng.uniform(*((0.5, 1.5) if bound == "S_MINIM" else (1.8, 3.4))) for pair in pairs
        }
        for body, bound in special
    }
    return transform, pairs, bounds


def tile(shared, words, orders, rng, *, own=None, excluded=(), offsets=False, pruned=0.0, **more):
    """A model with random coefficients.

    own: sets of elements whose terms it has; all by default.
    """
    transform, limits, bounds = shared
    types = [AtomType(w, MASSES[w]) for w in words]
    pairs = [
        PairType(words[i], words[j], *limits[tuple(sorted((words[i], words[j])))])
        for i, j in pair_order(len(words))
    ]
    exclusions = [Exclusion(names) for names in excluded]
    if own is not None:
        terms = [(w,) for w in words] + [(words[i], words[j]) for i, j in pair_order(len(words))]
        for body in (3, 4):
            terms += [tuple(words[i] for i in m) for m in cluster_members(len(words), body)]
        exclusions = [Exclusion(names) for names in terms if set(names) not in own]
    basis = build_basis(
        types,
        pairs,
        orders,
        transform,
        more.get("cutoff", Cutoff("TERSOFF", 0.5)),
        specials=[special(words, body, bound, bounds[body, bound]) for body, bound in bounds],
        exclusions=exclusions,
    )
    numbers = rng.normal(size=(len(pairs), orders[0]))
    numbers[list(basis.excluded_pairs)] = 0.0
    clusters, values = [], []
    for cluster in (*basis.triplets, *basis.quads):
        unique = rng.normal(size=cluster.n_parameters)
        chosen = rng.random(cluster.n_parameters) >= pruned
        kept = [i for i, p in enumerate(cluster.parameters) if chosen[p]]
        clusters.append(with_terms(cluster, kept))
        values.append(unique[cluster.parameters][kept])
    n = len(basis.triplets)
    energies = rng.normal(scale=50.0, size=len(words))
    energies[list(basis.excluded_types)] = 0.0
    return ChimesModel(
        attrs.evolve(basis, triplets=tuple(clusters[:n]), quads=tuple(clusters[n:])),
        Coefficients(
            numbers, tuple(values[:n]), tuple(values[n:]), offsets=energies if offsets else None
        ),
    )


def special(words, body, bound, values):
    """Cutoffs of each cluster, by pair."""
    types = [AtomType(w, 1.0) for w in words]
    entries = []
    for members in cluster_members(len(words), body):
        ends = [sorted(e) for e in itertools.combinations(members, 2)]
        pairs = tuple(words[a] + words[b] for a, b in ends)
        numbers = tuple(values[tuple(sorted((words[a], words[b])))] for a, b in ends)
        entries.append(EdgeCutoffs(cluster_key(types, members), pairs, numbers))
    return SpecialCutoffs(body, bound, clusters=tuple(entries))


def frame(words, rng, n=9, side=4.5):
    """Atoms that are not too close to each other, in a cell that is not orthogonal."""
    cell = side * np.eye(3) + rng.uniform(-0.4, 0.4, (3, 3))
    grid = np.array(list(itertools.product(range(3), repeat=3)))[rng.choice(27, n, replace=False)]
    places = (grid + rng.uniform(-0.15, 0.15, (n, 3))) / 3 @ cell
    names = [*words, *rng.choice(words, n)][:n]
    return Atoms(names, places, cell=cell, pbc=True)


def numbers(model, atoms):
    said = model.evaluate(atoms, penalty=False)
    return said.energy, said.forces, said.stress


def assert_sum(merged, parts, atoms):
    """Each part sees the atoms that it knows."""
    energy, forces, stress = 0.0, np.zeros((len(atoms), 3)), np.zeros((3, 3))
    size = np.ones(3)
    for part in parts:
        known = [t.name for t in part.basis.types]
        mine = [i for i, name in enumerate(atoms.get_chemical_symbols()) if name in known]
        if mine:
            e, f, s = numbers(part, atoms[mine])
            energy, stress = energy + e, stress + s
            forces[mine] += f
            size += [abs(e), np.abs(f).max(), np.abs(s).max()]
    got = numbers(merged, atoms)
    assert abs(got[0] - energy) < TOLERANCE * size[0]
    assert np.abs(got[1] - forces).max() < TOLERANCE * size[1]
    assert np.abs(got[2] - stress).max() < TOLERANCE * size[2]


def subsets(words):
    return [set(c) for n in range(1, len(words) + 1) for c in itertools.combinations(words, n)]
