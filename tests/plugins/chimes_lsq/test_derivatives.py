"""Forces and stresses are derivatives of the energy, and nothing depends on names and order of types or on the frame.

For models with everything at once: 4-body terms, charges, penalty, offsets, special cutoffs, pairs inside their inner
cutoffs, triclinic cells.
"""

import attrs
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from ald_chimes_lsq import ChimesCalculator, ChimesModel
from ald_chimes_lsq.basis import AtomType, Cutoff, InnerRule, PairType
from ald_chimes_lsq.constants import COULOMB
from ald_chimes_lsq.design_rows import configuration_rows
from ald_chimes_lsq.frame_rows import count_columns
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.topology import SpecialCutoffs, build_basis, pair_order

CELL = np.array([[4.3, 0.3, -0.2], [1.1, 4.1, 0.4], [-0.7, 0.8, 4.5]])
CHARGES = {"O": -0.8, "C": 0.2, "H": 0.3}
SPECIALS = tuple(
    SpecialCutoffs(body, bound, value)
    for body, bound, value in (
        (3, "S_MAXIM", 3.1),
        (3, "S_MINIM", 1.2),
        (4, "S_MAXIM", 2.7),
        (4, "S_MINIM", 1.0),
    )
)


def build(words="OCH", *, transform="MORSE", cutoff=None, inner=None, charges="none"):
    """A basis of three types; charges that are not fitted stand in the table of types."""
    types = [
        AtomType(w, 10.0, 0.0 if charges == "none" else CHARGES["OCH"[i % 3]])
        for i, w in enumerate(words)
    ]
    # Cutoffs depend on the pair, whatever its types are called.
    pairs = [
        PairType(words[i], words[j], 1.0 + 0.1 * (i + j), 2.9 + 0.1 * (i * j), 1.2)
        for i, j in pair_order(3)
    ]
    return build_basis(
        types, pairs, (6, 4, 3), transform, cutoff, inner,
        specials=SPECIALS, fit_charges=charges == "fitted",
    )  # fmt: skip


def random_model(basis, seed=0):
    x = np.random.default_rng(seed).normal(size=count_columns(basis, offsets=True))
    if basis.fit_charges:
        n = basis.n_short_range
        q = [t.charge for t in basis.types]
        x[n : n + len(basis.pairs)] = [COULOMB * q[a] * q[b] for a, b in pair_order(3)]
    return ChimesModel(basis, expand(basis, x), penalty_distance=0.2, penalty_scaling=400.0)


def random_atoms(n=9, seed=1, words="OCH"):
    """The first two atoms are closer than their inner cutoff."""
    rng = np.random.default_rng(seed)
    places = [np.array([0.1, 0.2, 0.3])]
    places.append(places[0] + 0.95 * np.array([0.6, 0.0, 0.8]) @ np.linalg.inv(CELL))
    while len(places) < n:
        new = rng.random(3)
        steps = new - np.array(places)
        if np.linalg.norm((steps - np.round(steps)) @ CELL, axis=1).min() > 1.25:
            places.append(new)
    return Atoms([words[i % 3] for i in range(n)], np.array(places) @ CELL, cell=CELL, pbc=True)


MODELS = {
    "MORSE, CUBIC, SMOOTH": {},
    "INVRSE_R, TERSOFF, SMOOTH": {"transform": "INVRSE_R", "cutoff": Cutoff("TERSOFF", 0.5)},
    "NONE, TERSOFF, SMOOTH 0.05": {
        "transform": "NONE", "cutoff": Cutoff("TERSOFF", 0.8), "inner": InnerRule("SMOOTH", 0.05)
    },
    "ZERO_DERIV": {"inner": InnerRule("ZERO_DERIV")},
    "CONSTANT_DERIV": {"inner": InnerRule("CONSTANT_DERIV"), "transform": "INVRSE_R"},
    "charges": {"charges": "table"},
    "fitted charges": {"charges": "fitted", "cutoff": Cutoff("TERSOFF", 0.5)},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_forces_and_stress_are_derivatives_of_the_energy(name):
    atoms = random_atoms()
    atoms.calc = ChimesCalculator(random_model(build(**MODELS[name])))
    forces = calculate_numerical_forces(atoms, eps=1e-5)
    got = atoms.get_forces()
    assert atoms.calc.contact_class == 2
    # Ewald sums are as accurate as those of the ChIMES programs, and split anew for another volume.
    charged = "charges" in name
    scale = np.abs(forces).max()
    np.testing.assert_allclose(got, forces, rtol=0, atol=(1e-4 if charged else 2e-7) * scale)
    stress = calculate_numerical_stress(atoms, eps=1e-6)
    scale = np.abs(stress).max()
    accuracy = 1e-3 if charged else 2e-7
    np.testing.assert_allclose(atoms.get_stress(), stress, rtol=0, atol=accuracy * scale)
    assert atoms.get_potential_energies().sum() == pytest.approx(
        atoms.get_potential_energy(), rel=1e-11
    )


def rows_of(basis, atoms):
    """All rows but those of energy offsets."""
    return configuration_rows(
        basis, atoms.get_chemical_symbols(), atoms.positions, atoms.cell[:],
        stress="full", energy=True,
    )  # fmt: skip


def test_rows_follow_translation_rotation_permutation_images_and_copies():
    basis = build()
    atoms = random_atoms()
    n = len(atoms)
    want = rows_of(basis, atoms)
    rng = np.random.default_rng(2)
    order = rng.permutation(n)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    other = atoms[order].repeat((1, 2, 1))
    other.positions += rng.normal(size=3) + rng.integers(-2, 3, (2 * n, 3)) @ other.cell[:]
    # Another choice of lattice vectors, too.
    vectors = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ other.cell[:]
    other = Atoms(other.symbols, other.positions @ rotation.T, cell=vectors @ rotation.T, pbc=True)
    got = rows_of(basis, other)

    forces = want[: 3 * n].reshape(n, 3, -1)[order]
    forces = np.einsum("ab,nbc->nac", rotation, np.concatenate((forces, forces)))
    stress = want[3 * n : -3].reshape(3, 3, -1)
    stress = np.einsum("ab,bdc,ed->aec", rotation, stress, rotation)
    scale = np.abs(want[: 3 * n]).max(axis=0)
    # Of some quadruplets there are none.
    assert np.mean(scale > 0.0) > 0.5
    scale[scale == 0.0] = 1.0
    near = {"rtol": 0, "atol": 1e-10}
    np.testing.assert_allclose(got[: 6 * n] / scale, forces.reshape(6 * n, -1) / scale, **near)
    np.testing.assert_allclose(got[6 * n : -3] / scale, stress.reshape(9, -1) / scale, **near)
    np.testing.assert_allclose(got[-3:] / scale, 2.0 * want[-3:] / scale, **near)


def test_the_order_of_types_changes_nothing():
    model, turned = random_model(build("OCH")), build("OCH")
    turned = build_basis(
        turned.types[::-1], turned.pairs, turned.orders, "MORSE", specials=SPECIALS
    )
    own = model.coefficients
    ends = [(turned.type_index(p.first), turned.type_index(p.second)) for p in model.basis.pairs]
    places = [turned.pair_index(a, b) for a, b in ends]

    def sorted_as(mine, theirs, values):
        by_elements = {c.elements: v for c, v in zip(mine, values, strict=True)}
        return tuple(by_elements[c.elements] for c in theirs)

    coefficients = attrs.evolve(
        own,
        pairs=own.pairs[np.argsort(places)],
        triplets=sorted_as(model.basis.triplets, turned.triplets, own.triplets),
        quads=sorted_as(model.basis.quads, turned.quads, own.quads),
        offsets=own.offsets[::-1],
    )
    other = attrs.evolve(model, basis=turned, coefficients=coefficients)
    atoms = random_atoms()
    one, two = model.evaluate(atoms, per_atom=True), other.evaluate(atoms, per_atom=True)
    assert two.energy == pytest.approx(one.energy, rel=1e-12)
    for name in ("forces", "stress", "atom_energies"):
        want = getattr(one, name)
        np.testing.assert_allclose(
            getattr(two, name), want, rtol=0, atol=1e-11 * np.abs(want).max()
        )


@pytest.mark.parametrize("words", ["HOC", ("Zr", "B", "N"), ("C", "H", "O")])
def test_names_of_types_only_change_the_order_of_columns(words):
    """Clusters are stored by the alphabet: other names number the columns of a cluster in another order."""
    want = rows_of(build(), random_atoms())
    got = rows_of(build(words), random_atoms(words=words))
    assert got.shape == want.shape
    np.testing.assert_array_equal(got[:, :36], want[:, :36])

    def canonical(columns):
        # By a number for each column that hardly any two share.
        weights = np.random.default_rng(3).normal(size=len(columns))
        return columns[:, np.argsort(weights @ columns)]

    scale = np.abs(want).max()
    np.testing.assert_allclose(canonical(got), canonical(want), rtol=0, atol=1e-12 * scale)
