"""The compiled ChIMES code against brute force over all images, term by term (see `conftest`), for chosen models."""

import math

import attrs
import numpy as np
import pytest

from ald_chimes_lsq.basis import AtomType, Cutoff, InnerRule, PairType
from ald_chimes_lsq.design_rows import configuration_rows
from ald_chimes_lsq.engine import atom_energies, build_lists, evaluate, pack
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.topology import EdgeCutoffs, Exclusion, SpecialCutoffs, build_basis

TYPES = {"O": AtomType("O", 16.0), "C": AtomType("C", 12.0), "H": AtomType("H", 1.0)}
PAIRS = {
    "OO": PairType("O", "O", 1.1, 3.0, 1.2),
    "CC": PairType("C", "C", 0.9, 3.2, 1.3),
    "HH": PairType("H", "H", 0.6, 2.6, 0.9),
    "OC": PairType("O", "C", 0.8, 2.8, 1.1),
    "OH": PairType("O", "H", 0.7, 2.9, 1.0),
    "CH": PairType("C", "H", 0.7, 2.7, 1.0),
}
SKEWED = np.array([[3.6, 0.4, -0.3], [1.4, 3.3, 0.5], [-0.8, 1.1, 3.9]])
LEFT_HANDED = SKEWED[[1, 0, 2]]
TINY = np.array([[1.7, 0.0, 0.2], [0.5, 1.9, 0.0], [0.0, -0.6, 1.8]])
BOX = np.diag([9.0, 8.5, 9.5])
SPECIALS = (
    SpecialCutoffs(
        3, "S_MAXIM", None, (EdgeCutoffs("OCOCCC", ("OC", "OC", "CC"), (3.5, 3.5, 2.5)),)
    ),
    SpecialCutoffs(3, "S_MINIM", None, (EdgeCutoffs("OOOOOO", ("OO",) * 3, (1.4,) * 3),)),
    SpecialCutoffs(4, "S_MAXIM", 2.6),
)
CASES = {
    "one type": ("C", (5, 4, 0), {}, SKEWED, 5),
    "tiny cell": ("C", (4, 3, 0), {}, TINY, 2),
    "one atom": ("O", (3, 3, 2), {}, 1.25 * TINY, 1),
    "left-handed cell": ("OC", (4, 3, 2), {}, LEFT_HANDED, 5),
    "isolated": ("OC", (4, 4, 3), {}, BOX, 6),
    "tersoff": ("OC", (4, 3, 0), {"cutoff": Cutoff("TERSOFF", 0.5)}, SKEWED, 5),
    "wide tersoff": ("CO", (4, 3, 2), {"cutoff": Cutoff("TERSOFF", 0.75)}, SKEWED, 4),
    "inverse distance": ("OC", (4, 3, 2), {"transform": "INVRSE_R"}, SKEWED, 5),
    "no transform": ("OC", (4, 3, 2), {"transform": "NONE"}, SKEWED, 5),
    "zero derivative": ("OC", (4, 3, 2), {"inner": InnerRule("ZERO_DERIV")}, SKEWED, 7),
    "constant derivative": ("OC", (4, 3, 2), {"inner": InnerRule("CONSTANT_DERIV")}, SKEWED, 7),
    "smooth": ("OC", (4, 3, 2), {"inner": InnerRule("SMOOTH", 0.05)}, SKEWED, 7),
    "three types": ("OCH", (3, 3, 2), {}, SKEWED, 6),
    "special cutoffs": ("OC", (3, 3, 2), {"specials": SPECIALS}, SKEWED, 6),
    "exclusions": (
        "HOC",
        (3, 3, 2),
        {"exclusions": tuple(Exclusion(tuple(w)) for w in ("OC", "OCO", "HHH", "OOCC", "HHHO"))},
        SKEWED,
        6,
    ),
    "order above eight": ("C", (3, 10, 0), {}, SKEWED, 4),
    "fourth order four": ("OC", (2, 0, 4), {}, SKEWED, 4),
}


def draw_case(oracle, name):
    """Basis, coefficients as a vector, element names, positions (also outside the cell), cell."""
    words, orders, options, cell, n = CASES[name]
    rng = np.random.default_rng(sum(map(ord, name)))
    pairs = [p for p in PAIRS.values() if {p.first, p.second} <= set(words)]
    basis = build_basis(
        [TYPES[w] for w in words], pairs, orders, **{"transform": "MORSE", **options}
    )
    names = [words[i % len(words)] for i in range(n)]
    shortest, longest = (0.5, 0.65) if "inner" in options else (0.95, 99.0)
    while True:
        if name == "isolated":
            positions = np.array([4.0, 4.0, 4.0]) + rng.uniform(-1.6, 1.6, (n, 3))
        else:
            positions = rng.random((n, 3)) @ cell
        points = oracle.clusters(positions, cell, 2, 1.5)[1]
        lengths = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
        if shortest < min(lengths, default=9.0) < longest:
            break
    positions = positions + rng.integers(-2, 3, (n, 3)) @ cell
    return basis, rng.normal(size=basis.n_short_range), names, positions, cell


@pytest.fixture(scope="module")
def random_case(oracle):
    """The cases by name, each made once."""
    made = {}
    return lambda name: made.setdefault(name, draw_case(oracle, name))


@pytest.mark.parametrize("name", CASES)
def test_design_matrix_equals_brute_force(name, oracle, random_case):
    basis, _, names, positions, cell = random_case(name)
    sums = oracle.columns(basis, names, positions, cell, design=True)
    n = len(sums.energy)
    volume = abs(np.linalg.det(cell))
    forces, stress = sums.forces.reshape(n, -1).T, sums.virial.reshape(n, 9).T / volume
    want = np.vstack([forces, stress, sums.energy, sums.energy, sums.energy])

    got = configuration_rows(basis, names, positions, cell, stress="full", energy=True)

    assert got.shape == want.shape
    assert np.max(np.abs(want)) > 1e-3
    np.testing.assert_array_less(np.abs(got - want).max(0), 2e-12 * np.abs(want).max(0) + 1e-14)


@pytest.mark.parametrize("skin", [0.0, 0.6])
@pytest.mark.parametrize("name", CASES)
def test_model_equals_brute_force(name, skin, oracle, random_case):
    basis, x, names, positions, cell = random_case(name)
    types = np.array([basis.type_index(w) for w in names])
    model = ChimesModel(basis, expand(basis, x), penalty_distance=0.08, penalty_scaling=300.0)
    sums = oracle.columns(basis, names, positions, cell, design=False)
    wall, contact = oracle.penalty(basis, names, positions, cell, 0.08, 300.0)

    packed = pack(model)
    # The lists hold while atoms move by up to half the skin.
    rng = np.random.default_rng(7)
    displaced = positions + rng.uniform(-0.5, 0.5, positions.shape) * skin / math.sqrt(3.0)
    lists = build_lists(packed, types, displaced, cell, skin)
    forces, virial, shares = np.empty_like(positions), np.empty((3, 3)), np.empty(len(types))
    energy, got_contact = evaluate(packed, lists, types, positions, cell, forces, virial)
    atom_energies(packed, lists, types, positions, cell, shares)

    assert got_contact == contact
    assert energy == pytest.approx(sums.energy @ x + wall.energy[0], rel=1e-11, abs=1e-11)
    for got, want in (
        (forces, np.tensordot(x, sums.forces, 1) + wall.forces[0]),
        (virial, np.tensordot(x, sums.virial, 1) + wall.virial[0]),
        (shares, x @ sums.atoms + wall.atoms[0]),
    ):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-11 * max(1.0, np.abs(want).max()))


def test_inner_cases_have_close_pairs(oracle, random_case):
    for name in ("zero derivative", "constant derivative", "smooth"):
        basis, _, names, positions, cell = random_case(name)
        assert oracle.penalty(basis, names, positions, cell, 0.08, 300.0)[1] == 2


def test_penalty_can_be_left_out(oracle, random_case):
    basis, x, names, positions, cell = random_case("smooth")
    types = np.array([basis.type_index(w) for w in names])
    model = ChimesModel(basis, expand(basis, x))
    packed = pack(model, penalty=False)
    forces, virial = np.empty_like(positions), np.empty((3, 3))
    lists = build_lists(packed, types, positions, cell, 0.0)
    energy, contact = evaluate(packed, lists, types, positions, cell, forces, virial)
    assert contact == 2
    sums = oracle.columns(basis, names, positions, cell, design=False)
    assert energy == pytest.approx(sums.energy @ x, rel=1e-11)


def test_terms_left_out_of_a_cluster_are_zero(random_case):
    basis, x, names, positions, cell = random_case("left-handed cell")
    model = ChimesModel(basis, expand(basis, x))
    kept = [np.flatnonzero(np.abs(v) > 0.7) for v in model.coefficients.triplets]
    reduced = attrs.evolve(
        basis,
        triplets=tuple(
            attrs.evolve(
                c, powers=c.powers[k], equivalents=c.equivalents[k], parameters=c.parameters[k]
            )
            for c, k in zip(basis.triplets, kept, strict=True)
        ),
    )
    shorter = attrs.evolve(
        model.coefficients,
        triplets=tuple(v[k] for v, k in zip(model.coefficients.triplets, kept, strict=True)),
    )
    zeroed = attrs.evolve(
        model.coefficients,
        triplets=tuple(np.where(np.abs(v) > 0.7, v, 0.0) for v in model.coefficients.triplets),
    )
    types = np.array([basis.type_index(w) for w in names])
    energies = []
    for either in (ChimesModel(reduced, shorter), ChimesModel(basis, zeroed)):
        packed = pack(either)
        lists = build_lists(packed, types, positions, cell, 0.0)
        forces, virial = np.empty_like(positions), np.empty((3, 3))
        energies.append(evaluate(packed, lists, types, positions, cell, forces, virial)[0])
    assert energies[0] == energies[1]
