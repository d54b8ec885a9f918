"""Ewald sums against columns of the reference program, direct sums, constants and finite differences."""

import math
from pathlib import Path

import numpy as np
import pytest

from ald_chimes_lsq.basis import AtomType, PairType
from ald_chimes_lsq.constants import COULOMB
from ald_chimes_lsq.ewald import atom_charges, coulomb, pack_ewald, type_charges, unit_pair_sums
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.params import Coefficients
from ald_chimes_lsq.topology import build_basis
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data"
WATER = np.load(DATA / "chimes_md" / "h2o-3bcheby-charges.npz")
TYPES = np.where(WATER["elements"] == "O", 0, 1)
POSITIONS = WATER["positions"]
CELL = np.diag(WATER["cell"])
CHARGES = np.where(TYPES == 0, -0.8, 0.4)


def direct(charges, positions, cell, alpha):
    """Energy and forces by a sum that is converged far beyond the one under test."""
    n, volume = len(charges), abs(np.linalg.det(cell))
    forces = np.zeros((n, 3))
    energy = -alpha / math.sqrt(math.pi) * (charges @ charges)
    weights = charges[:, None] * charges
    reach = range(-2, 3)
    for shift in np.array(np.meshgrid(reach, reach, reach)).reshape(3, -1).T @ cell:
        d = positions[:, None] - positions - shift
        r = np.sqrt((d**2).sum(-1))
        r[r == 0.0] = np.inf
        erfc = np.vectorize(math.erfc)(alpha * np.minimum(r, 30.0))
        energy += 0.5 * (weights * erfc / r).sum()
        gauss = 2 * alpha / math.sqrt(math.pi) * np.exp(-((alpha * np.minimum(r, 30.0)) ** 2))
        forces += ((weights * (erfc / r + gauss) / r**2)[..., None] * d).sum(1)
    waves = np.array(np.meshgrid(*[range(-12, 13)] * 3)).reshape(3, -1).T
    k = 2 * np.pi * waves[np.any(waves != 0, axis=1)] @ np.linalg.inv(cell).T
    k2 = (k**2).sum(1)
    factors = 4 * np.pi / volume * np.exp(-k2 / 4 / alpha**2) / k2
    phases = np.exp(1j * positions @ k.T)
    structure = charges @ phases
    energy += 0.5 * (factors * abs(structure) ** 2).sum()
    forces += charges[:, None] * ((phases * structure.conj()).imag * factors) @ k
    return COULOMB * energy, COULOMB * forces


def test_columns_of_the_reference_program():
    columns = unit_pair_sums(TYPES, POSITIONS, CELL, 2).forces
    assert columns.shape == (288, 3)
    assert abs(WATER["columns"]).max() > 1.0
    np.testing.assert_allclose(columns, WATER["columns"], rtol=0, atol=6e-6)


def test_energy_and_forces_are_those_of_a_converged_sum():
    said = coulomb(CHARGES, POSITIONS, CELL)
    energy, forces = direct(CHARGES, POSITIONS, CELL, 0.9)
    assert abs(forces).max() > 40.0
    assert said.energy == pytest.approx(energy, rel=1e-5)
    np.testing.assert_allclose(said.forces, forces, rtol=0, atol=2e-3)
    exact = coulomb(CHARGES, POSITIONS, CELL, pack_ewald(96, CELL, accuracy=1e-13))
    assert exact.energy == pytest.approx(energy, rel=1e-8)
    np.testing.assert_allclose(exact.forces, forces, rtol=0, atol=1e-6)


def test_pair_sums_add_up_to_those_of_the_charges():
    q = np.array([-0.8, 0.4])
    products = COULOMB * np.array([q[0] ** 2, q[1] ** 2, q[0] * q[1]])
    sums = unit_pair_sums(TYPES, POSITIONS, CELL, 2)
    said = coulomb(CHARGES, POSITIONS, CELL, per_atom=True)
    np.testing.assert_allclose(said.forces, (sums.forces @ products).reshape(-1, 3), atol=1e-11)
    assert sums.energies @ products == pytest.approx(said.energy, rel=1e-12)
    np.testing.assert_allclose(np.tensordot(products, sums.virials, 1), said.virial, atol=1e-8)
    plain = unit_pair_sums(TYPES, POSITIONS, CELL, 2, forces_only=True)
    np.testing.assert_array_equal(plain.forces, sums.forces)
    assert not np.append(plain.energies, plain.virials).any()


SKEWED = CELL + np.array([[0, 0, 0], [2.5, 0, 0], [-2, 3, 0]])


def test_pair_sums_are_derivatives_of_their_energies():
    types, positions = np.array([0, 1, 2, 1, 1, 0, 2, 2, 0, 1]), POSITIONS[:10]
    split = pack_ewald(10, SKEWED, accuracy=1e-12)

    def energies(moved, cell):
        return unit_pair_sums(types, moved, cell, 3, split).energies

    sums = unit_pair_sums(types, positions, SKEWED, 3, split)
    assert (abs(sums.energies) > 0.1).all()
    for place in ((0, 0), (3, 1), (7, 2)):
        step = np.zeros_like(positions)
        step[place] = 1e-4
        slopes = energies(positions + step, SKEWED) - energies(positions - step, SKEWED)
        row = sums.forces[3 * place[0] + place[1]]
        np.testing.assert_allclose(-slopes / 2e-4, row, atol=1e-7)
    for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (2, 0), (1, 2)):
        strain = np.zeros((3, 3))
        strain[a, b] = 1e-4
        sides = [
            energies(positions @ (np.eye(3) + s * strain), SKEWED @ (np.eye(3) + s * strain))
            for s in (1, -1)
        ]
        slopes = (sides[1] - sides[0]) / 2e-4
        np.testing.assert_allclose(slopes, sums.virials[:, a, b], atol=1e-6)


def test_pair_sums_do_not_depend_on_the_split():
    """Types are not neutral: without the background their energies would."""
    positions, types = POSITIONS[:10], np.arange(10) % 2
    one = pack_ewald(10, CELL, accuracy=1e-12)
    other = pack_ewald(10, CELL, accuracy=1e-13)._replace(alpha=1.1 * one.alpha)
    a, b = (unit_pair_sums(types, positions, CELL, 2, split) for split in (one, other))
    np.testing.assert_allclose(a.energies, b.energies, rtol=1e-8)
    np.testing.assert_allclose(a.virials, b.virials, atol=1e-7)


def test_energies_of_single_charges():
    charges = np.random.default_rng(1).normal(size=12)
    charges -= charges.mean()
    split = pack_ewald(12, SKEWED)
    said = coulomb(charges, POSITIONS[:12], SKEWED, split, per_atom=True)
    assert said.atom_energies.sum() == pytest.approx(said.energy, rel=1e-12)
    # The energy is quadratic in the charges, so that its slope by a charge is the potential.
    for i in (0, 7):
        energies = []
        for step in (1e-3, -1e-3):
            changed = charges.copy()
            changed[i] += step
            energies.append(coulomb(changed, POSITIONS[:12], SKEWED, split).energy)
        potential = (energies[0] - energies[1]) / 2e-3
        assert said.atom_energies[i] == pytest.approx(charges[i] * potential / 2.0, rel=1e-8)
    assert coulomb(charges, POSITIONS[:12], SKEWED).atom_energies is None


@pytest.mark.parametrize(
    ("cell", "positions", "charges", "madelung"),
    [
        (  # rock salt, distance 1
            2.0 * np.eye(3),
            np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float),
            np.array([(-1.0) ** (i + j + k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]),
            8 * -0.5 * 1.7475645946,
        ),
        (  # rock salt again, two ions in a rhombohedron
            np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]),
            np.array([[0.0, 0, 0], [1, 1, 1]]),
            np.array([1.0, -1.0]),
            -1.7475645946,
        ),
        (  # caesium chloride, unit cell 1
            np.eye(3),
            np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]),
            np.array([1.0, -1.0]),
            -2.0353615094,
        ),
    ],
)
def test_madelung_constants(cell, positions, charges, madelung):
    assert coulomb(charges, positions, cell).energy / COULOMB == pytest.approx(madelung, rel=1e-4)
    split = pack_ewald(len(charges), cell, accuracy=1e-13)
    energy = coulomb(charges, positions, cell, split).energy / COULOMB
    assert energy == pytest.approx(madelung, rel=1e-8)


@pytest.mark.parametrize("cell", [CELL, SKEWED])
def test_forces_and_virial_are_derivatives_of_the_energy(cell):
    positions, charges = POSITIONS[:12], np.tile([0.5, -0.25, -0.25], 4)
    split = pack_ewald(12, cell)
    said = coulomb(charges, positions, cell, split)

    def energy(moved, vectors):
        return coulomb(charges, moved, vectors, split).energy

    for place in ((0, 0), (5, 1), (11, 2)):
        step = np.zeros_like(positions)
        step[place] = 1e-4
        slope = (energy(positions + step, cell) - energy(positions - step, cell)) / 2e-4
        assert -slope == pytest.approx(said.forces[place], abs=1e-4)
    for a in range(3):
        for b in range(3):
            strain = np.zeros((3, 3))
            strain[a, b] = 1e-5
            sides = [
                energy(positions @ (np.eye(3) + s * strain), cell @ (np.eye(3) + s * strain))
                for s in (1, -1)
            ]
            assert (sides[1] - sides[0]) / 2e-5 == pytest.approx(said.virial[a, b], abs=1e-2)


def test_nothing_depends_on_the_choice_of_cell_vectors_and_images():
    box = coulomb(CHARGES, POSITIONS, CELL)
    skewed = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ CELL
    moved = POSITIONS + np.random.default_rng(1).integers(-2, 3, POSITIONS.shape) @ CELL
    other = coulomb(CHARGES, moved, skewed)
    assert other.energy == pytest.approx(box.energy, rel=1e-5)
    np.testing.assert_allclose(other.forces, box.forces, atol=1e-2)
    np.testing.assert_allclose(other.virial, box.virial, atol=0.2)
    np.testing.assert_allclose(box.forces.sum(0), 0.0, atol=1e-3)


def test_charges_of_a_fit_and_of_the_type_table():
    fitted = read_params(DATA / "chimes_lsq" / "h2o-3bcheby" / "expected" / "params.txt")
    charges = type_charges(fitted.basis, fitted.coefficients)
    np.testing.assert_allclose(charges, [-0.51645709, 0.25822855], rtol=1e-7)
    types = (AtomType("O", 16.0, -0.7), AtomType("H", 1.0, 0.3))
    pairs = [PairType(a, b, 1.0, 3.0, 1.0) for a, b in (("O", "O"), ("H", "H"), ("O", "H"))]
    table = build_basis(types, pairs, (2, 0, 0), "NONE")
    assert type_charges(table, Coefficients(np.zeros((3, 2)))).tolist() == [-0.7, 0.3]
    own = atom_charges(np.array([-0.7, 0.3]), np.array([0, 1, 1]))
    np.testing.assert_allclose(own, [-0.7 + 0.1 / 3, 0.3 + 0.1 / 3, 0.3 + 0.1 / 3])
    wrong = Coefficients(np.zeros((3, 2)), charges=np.array([100.0, 25.0, 50.0]))
    with pytest.raises(InputError, match="charge product of OH is 50, but its charges make -50"):
        type_charges(fitted.basis, wrong)


def test_no_atoms_and_endless_sums():
    assert coulomb(np.zeros(0), np.zeros((0, 3)), CELL).energy == 0.0
    with pytest.raises(InputError, match="too flat or too long"):
        pack_ewald(100, np.diag([1.0, 1.0, 1e7]))
