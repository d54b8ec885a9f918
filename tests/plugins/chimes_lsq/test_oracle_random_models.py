"""The compiled ChIMES code against brute force (see `conftest`), for random models and configurations."""

import itertools

import attrs
import numpy as np
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from ald_chimes_lsq.basis import EDGES, AtomType, Basis, Cutoff, InnerRule, PairType
from ald_chimes_lsq.design_rows import configuration_rows
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.topology import (
    EdgeCutoffs,
    Exclusion,
    SpecialCutoffs,
    build_basis,
    cluster_key,
    cluster_members,
    pair_order,
)

ELEMENTS = {"O": 16.0, "C": 12.0, "H": 1.0, "N": 14.0, "Si": 28.1}
TOLERANCE = 1e-11
FLOOR = 1e-12
DENSITY = {2: 0.5, 3: 0.25, 4: 0.1}
"""Atoms per Å³ at most, by the highest body order, so that the brute force ends."""


@attrs.frozen(eq=False)
class Case:
    model: ChimesModel
    x: np.ndarray
    """Parameters of the model, with or without offsets"""
    atoms: Atoms
    penalty: bool
    full_stress: bool


@st.composite
def bases(draw, rng):
    words = draw(st.permutations(sorted(ELEMENTS)))[: draw(st.integers(1, 4))]
    few = len(words) < 3
    order3 = draw(st.sampled_from([0, 2, 3, 4, 9] if few else [0, 2, 3]))
    order4 = draw(st.sampled_from([0, 0, 2, 3] if few else [0, 0, 2]))
    types = [AtomType(w, ELEMENTS[w]) for w in words]
    pairs = []
    for a, b in pair_order(len(words)):
        rmin, rmax, scale = rng.uniform((0.6, 2.2, 0.6), (1.3, 3.4, 2.0))
        pairs.append(PairType(*draw(st.permutations([words[a], words[b]])), rmin, rmax, scale))
    cutoff = Cutoff("TERSOFF", rng.uniform(0.05, 1.0)) if draw(st.booleans()) else Cutoff()
    inner = InnerRule(
        draw(st.sampled_from(["SMOOTH", "ZERO_DERIV", "CONSTANT_DERIV"])), rng.uniform(0.005, 0.1)
    )
    specials = [
        special(draw, rng, words, body, bound)
        for body, bound in itertools.product((3, 4), ("S_MINIM", "S_MAXIM"))
        if draw(st.integers(0, 2)) == 0
    ]
    names = st.lists(st.sampled_from(words), min_size=1, max_size=4).map(lambda w: tuple(sorted(w)))
    excluded = draw(st.lists(names, max_size=3, unique=True))
    return build_basis(
        types,
        pairs,
        (draw(st.sampled_from([1, 2, 5, 8, 12])), order3, order4),
        draw(st.sampled_from(["MORSE", "INVRSE_R", "NONE"])),
        cutoff,
        inner,
        specials=specials,
        exclusions=[Exclusion(w) for w in excluded],
    )


def special(draw, rng, words, body, bound):
    """One value for all clusters of a size, or values for some of them."""
    low, high = (0.5, 1.6) if bound == "S_MINIM" else (1.8, 3.8)
    if draw(st.booleans()):
        return SpecialCutoffs(body, bound, rng.uniform(low, high))
    types = [AtomType(w, 1.0) for w in words]
    chosen = draw(
        st.lists(
            st.sampled_from(cluster_members(len(words), body)), min_size=1, max_size=3, unique=True
        )
    )
    entries = []
    for members in chosen:
        atoms = sorted(members, key=lambda i: words[i])
        ends = [sorted((atoms[a], atoms[b])) for a, b in EDGES[body]]
        pairs = tuple(words[a] + words[b] for a, b in ends)
        values = tuple(rng.uniform(low, high, len(pairs)))
        entries.append(EdgeCutoffs(cluster_key(types, members), pairs, values))
    return SpecialCutoffs(body, bound, None, tuple(entries))


@st.composite
def configurations(draw, rng, basis: Basis):
    """1 to 8 atoms, some close to each other or in special places, in a cell of any shape; not all inside it."""
    size = draw(st.sampled_from(["tiny", "small", "large"]))
    low, high = {"tiny": (1.5, 2.4), "small": (2.5, 4.5), "large": (7.0, 9.0)}[size]
    cell = np.diag(rng.uniform(low, high, 3))
    if draw(st.booleans()):
        cell += rng.uniform(-0.3, 0.3, (3, 3)) * np.diag(cell)
        cell = cell @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if draw(st.integers(0, 3)) == 0:
        # The same lattice in other vectors, or its mirror image.
        one, other, _ = order = draw(st.permutations(range(3)))
        cell[one] += rng.integers(-2, 3) * cell[other]
        cell = cell[order]
    highest = 4 if basis.orders[2] else 3 if basis.orders[1] else 2
    room = abs(np.linalg.det(cell)) * DENSITY[highest]
    n = max(1, min(draw(st.integers(1, 8)), int(room)))
    pbc = np.array(draw(st.sampled_from([(1, 1, 1)] * 3 + [(1, 1, 0), (0, 0, 0)])), bool)
    if draw(st.integers(0, 3)) == 0:
        # Distances are equal, and places on the border of the cell or a hair beside it.
        numbers = rng.choice(64, n, replace=False)
        positions = np.column_stack((numbers // 16, numbers // 4 % 4, numbers % 4)) / 4 @ cell
        positions += draw(st.sampled_from([0.0, 1e-17, -1e-17, 1e-15, -1e-15]))
    else:
        width = 3.5 / np.linalg.norm(cell, axis=1) if size == "large" else np.ones(3)
        positions = (rng.random((n, 3)) * width) @ cell
        for i in range(1, n):
            if draw(st.integers(0, 3)) == 0:
                step = rng.normal(size=3)
                step *= rng.uniform(0.4, 1.3) / np.linalg.norm(step)
                positions[i] = positions[i - 1] + step
    positions += (rng.integers(-2, 3, (n, 3)) * pbc) @ cell
    words = st.sampled_from([t.name for t in basis.types])
    names = draw(st.lists(words, min_size=n, max_size=n))
    return Atoms(names, positions, cell=cell, pbc=pbc)


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    basis = draw(bases(rng))
    kept = len(basis.types) - len(basis.excluded_types)
    x = rng.normal(size=basis.n_short_range + (kept if draw(st.booleans()) else 0))
    model = ChimesModel(
        basis,
        expand(basis, x),
        penalty_distance=draw(st.sampled_from([0.0, 0.01, 0.4])),
        penalty_scaling=draw(st.sampled_from([1e4, 30.0])),
    )
    atoms = draw(configurations(rng, basis))
    return Case(model, x, atoms, draw(st.booleans()), draw(st.booleans()))


def stretched(atoms, reach):
    """The cell with directions that are not periodic so long that no atom sees an image."""
    cell = atoms.cell[:].copy()
    inverse = np.linalg.inv(cell)
    for axis in np.flatnonzero(~atoms.pbc):
        extent = np.ptp(atoms.positions @ inverse[:, axis])
        cell[axis] *= extent + 1.0 + 1.5 * reach * np.linalg.norm(inverse[:, axis])
    return cell


def assert_near(got, want, scale):
    error = np.abs(got - want)
    assert (error <= TOLERANCE * scale + FLOOR).all(), f"{error.max()=} {np.max(scale)=}"


def check_model(oracle, case: Case):
    model, atoms, basis = case.model, case.atoms, case.model.basis
    names, cell = atoms.get_chemical_symbols(), stretched(atoms, basis.max_rmax)
    sums = oracle.columns(basis, names, atoms.positions, cell, design=False)
    distance, scaling = model.penalty_distance, model.penalty_scaling if case.penalty else 0.0
    wall, contact = oracle.penalty(basis, names, atoms.positions, cell, distance, scaling)
    x = case.x[: basis.n_short_range]
    own = np.zeros(len(atoms))
    if model.coefficients.offsets is not None:
        own = np.array([model.coefficients.offsets[basis.type_index(name)] for name in names])
    energy_scale = np.abs(x) @ sums.energy_scale + wall.energy[0] + np.abs(own).sum()
    force_scale = np.abs(x) @ sums.force_scale + wall.force_scale[0]

    said = model.evaluate(atoms, penalty=case.penalty, per_atom=True)

    assert said.contact_class == contact
    assert_near(said.energy, x @ sums.energy + wall.energy[0] + own.sum(), energy_scale)
    assert_near(said.atom_energies, x @ sums.atoms + wall.atoms[0] + own, energy_scale)
    assert_near(said.atom_energies.sum(), said.energy, 0.1 * energy_scale)
    assert_near(said.forces, np.tensordot(x, sums.forces, 1) + wall.forces[0], force_scale)
    virial = np.tensordot(x, sums.virial, 1) + wall.virial[0]
    assert_near(said.stress * atoms.get_volume(), virial, 4.0 * force_scale)


def check_rows(oracle, case: Case):
    atoms, basis = case.atoms, case.model.basis
    names, cell = atoms.get_chemical_symbols(), atoms.cell[:]
    sums = oracle.columns(basis, names, atoms.positions, cell, design=True)
    n = basis.n_short_range
    stress = sums.virial.reshape(n, 9).T / atoms.get_volume()
    if not case.full_stress:
        stress = stress[[0, 4, 8]]
    rows = configuration_rows(
        basis,
        names,
        atoms.positions,
        cell,
        stress="full" if case.full_stress else "diagonal",
        energy=True,
        offsets=True,
    )
    n_forces = 3 * len(names)
    kept = [t.name for i, t in enumerate(basis.types) if i not in basis.excluded_types]
    assert_near(rows[:n_forces, :n], sums.forces.reshape(n, n_forces).T, sums.force_scale)
    assert_near(rows[n_forces:-3, :n], stress, 4.0 * sums.force_scale / atoms.get_volume())
    assert_near(rows[-3:, :n], np.tile(sums.energy, (3, 1)), sums.energy_scale)
    assert not rows[:-3, n:].any()
    assert rows[-3:, n:].tolist() == 3 * [[names.count(name) for name in kept]]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(case=cases())
def test_random_models_equal_brute_force(oracle, case):
    check_model(oracle, case)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(case=cases())
def test_random_design_matrices_equal_brute_force(oracle, case):
    check_rows(oracle, case)
