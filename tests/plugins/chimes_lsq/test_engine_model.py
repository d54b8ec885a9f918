"""Derivatives, invariances, bad input, and the calculator for ASE."""

import ase.build
import attrs
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from hypothesis import given, settings
from hypothesis import strategies as st

from ald_chimes_lsq.basis import AtomType, Cutoff, PairType
from ald_chimes_lsq.calculator import ChimesCalculator
from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.design_rows import configuration_rows
from ald_chimes_lsq.engine import build_lists, pack
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import collapse, expand
from ald_chimes_lsq.topology import SpecialCutoffs, build_basis
from ald_core.errors import InputError

BASIS = build_basis(
    [AtomType("O", 16.0), AtomType("C", 12.0)],
    [
        PairType("O", "O", 1.3, 3.1, 1.4),
        PairType("C", "C", 1.2, 3.4, 1.3),
        PairType("O", "C", 1.1, 3.2, 1.2),
    ],
    (5, 4, 2),
    "MORSE",
    Cutoff("TERSOFF", 0.6),
    specials=(SpecialCutoffs(3, "S_MAXIM", 3.0), SpecialCutoffs(4, "S_MAXIM", 2.8)),
)
MODEL = ChimesModel(
    BASIS,
    expand(BASIS, np.random.default_rng(4).normal(size=BASIS.n_short_range + 2)),
    penalty_distance=0.2,
    penalty_scaling=500.0,
)


def random_atoms(seed=0, n=7):
    rng = np.random.default_rng(seed)
    cell = [[4.1, 0.3, -0.2], [1.1, 3.9, 0.4], [-0.7, 0.8, 4.3]]
    positions = rng.random((n, 3)) @ cell
    return Atoms([("O", "C")[i % 2] for i in range(n)], positions, cell=cell, pbc=True)


def test_forces_are_derivatives_of_the_energy():
    atoms = random_atoms()
    atoms.calc = ChimesCalculator(MODEL)
    want = calculate_numerical_forces(atoms, eps=1e-5)
    scale = np.abs(want).max()
    np.testing.assert_allclose(atoms.get_forces(), want, rtol=0, atol=1e-7 * scale)


def test_stress_is_the_derivative_of_the_energy():
    atoms = random_atoms(3)
    atoms.calc = ChimesCalculator(MODEL)
    want = calculate_numerical_stress(atoms, eps=1e-6, voigt=True)
    scale = np.abs(want).max()
    np.testing.assert_allclose(atoms.get_stress(), want, rtol=0, atol=1e-7 * scale)


def test_calculator_has_units_of_ase():
    atoms = random_atoms(5)
    said = MODEL.evaluate(atoms)
    atoms.calc = ChimesCalculator(MODEL)
    assert atoms.get_potential_energy() == said.energy * KCAL_PER_MOL
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_array_equal(atoms.get_forces(), said.forces * KCAL_PER_MOL)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), -said.stress * KCAL_PER_MOL)
    assert atoms.calc.contact_class == said.contact_class


def test_calculator_reads_a_parameter_file(tmp_path):
    MODEL.write(tmp_path / "params.txt")
    atoms = random_atoms(6)
    atoms.calc = ChimesCalculator(tmp_path / "params.txt")
    said = MODEL.evaluate(atoms)
    assert atoms.get_potential_energy() == pytest.approx(said.energy * KCAL_PER_MOL, rel=1e-11)
    assert ChimesModel.read(tmp_path / "params.txt").penalty_scaling == 500.0


def test_molecule_without_cell_equals_molecule_in_a_large_box():
    molecule = Atoms("COCO", [(0, 0, 0), (1.4, 0.1, 0), (2.1, 1.5, 0.2), (0.4, 1.2, 1.0)])
    boxed = molecule.copy()
    boxed.set_cell([30.0, 30.0, 30.0])
    boxed.pbc = True
    slab = molecule.copy()
    slab.set_cell([30.0, 30.0, 1.0])
    slab.pbc = (True, True, False)
    want = MODEL.evaluate(boxed)
    for atoms in (molecule, slab):
        got = MODEL.evaluate(atoms)
        assert got.energy == pytest.approx(want.energy, rel=1e-13)
        np.testing.assert_allclose(got.forces, want.forces, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_invariances(seed, data):
    atoms = random_atoms(seed, n=5)
    want = MODEL.evaluate(atoms)
    scale = max(1.0, np.abs(want.forces).max())

    rng = np.random.default_rng(seed)
    order = np.array(data.draw(st.permutations(range(5))))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    repeat = data.draw(st.sampled_from([(1, 1, 1), (2, 1, 1), (1, 2, 2)]))
    other = atoms[order].repeat(repeat)
    other.positions += rng.normal(size=3)
    other.positions += rng.integers(-2, 3, (len(other), 3)) @ other.cell[:]
    other.set_cell(other.cell[:] @ rotation.T)
    other.positions[:] = other.positions @ rotation.T
    got = MODEL.evaluate(other)

    copies = len(other) // 5
    assert got.contact_class == want.contact_class
    assert got.energy == pytest.approx(copies * want.energy, rel=1e-10, abs=1e-9 * scale)
    forces = np.tile(want.forces[order], (copies, 1)) @ rotation.T
    np.testing.assert_allclose(got.forces, forces, rtol=0, atol=1e-10 * scale)
    stress = rotation @ want.stress @ rotation.T
    np.testing.assert_allclose(got.stress, stress, rtol=0, atol=1e-11 * scale)
    np.testing.assert_allclose(want.forces.sum(0), 0.0, atol=1e-11 * scale)


def test_same_input_gives_the_same_bytes():
    atoms = random_atoms(9, n=9)
    first, second = MODEL.evaluate(atoms), MODEL.evaluate(atoms)
    assert first.energy == second.energy
    assert first.forces.tobytes() == second.forces.tobytes()
    assert first.stress.tobytes() == second.stress.tobytes()


def test_design_matrix_times_parameters_is_the_model():
    atoms = random_atoms(n=8)
    atoms.set_scaled_positions([(i // 4 / 2, i // 2 % 2 / 2, i % 2 / 2) for i in range(8)])
    atoms.rattle(0.1, seed=1)
    said = MODEL.evaluate(atoms, penalty=False)
    assert said.contact_class < 2
    rows = configuration_rows(
        BASIS,
        atoms.get_chemical_symbols(),
        atoms.positions,
        atoms.cell[:],
        stress="full",
        energy=True,
        offsets=True,
    )
    b = rows @ collapse(BASIS, MODEL.coefficients)
    np.testing.assert_allclose(b[:24], said.forces.ravel(), atol=1e-11)
    np.testing.assert_allclose(b[24:33], said.stress.ravel(), atol=1e-13)
    np.testing.assert_allclose(b[33:], said.energy, rtol=1e-13)


@pytest.mark.parametrize("repeat", [1, 2, 5])
def test_every_edge_and_triangle_once(repeat):
    """Numbers of neighbours in the face-centred cubic lattice, whatever the cell."""
    carbon = build_basis(
        [AtomType("Cu", 63.5)], [PairType("Cu", "Cu", 2.0, 3.0, 1.0)], (2, 2, 2), "MORSE"
    )
    packed = pack(ChimesModel(carbon, expand(carbon, np.zeros(carbon.n_short_range))))
    atoms = ase.build.bulk("Cu", a=3.6).repeat(repeat)
    n = len(atoms)
    lists = build_lists(packed, np.zeros(n, np.int64), atoms.positions, atoms.cell[:], 0.0)
    assert len(lists.first) == 6 * n
    # 8 triangles and 2 tetrahedra per atom; each under three bonds, and under four triangles.
    assert len(lists.partners) == 3 * 8 * n
    assert len(lists.apexes) == 4 * 2 * n


def test_not_a_number_shows():
    atoms = random_atoms(1)
    model = ChimesModel(BASIS, expand(BASIS, np.full(BASIS.n_short_range, np.nan)))
    with pytest.raises(InputError, match="the result is not a finite number"):
        model.evaluate(atoms)


def test_no_atoms():
    said = MODEL.evaluate(Atoms(cell=[5.0] * 3, pbc=True))
    assert said.energy == 0.0
    assert said.forces.shape == (0, 3)


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("OFe", [(0, 0, 0), (1.5, 0, 0)], cell=[9.0] * 3, pbc=True), "Fe is not among"),
        (Atoms("O2", [(0, 0, 0), (1.5, 0, 0)], cell=[9.0, 9.0, 0.0], pbc=True), "no volume"),
        (Atoms("O2", [(0, 0, 0), (np.nan, 0, 0)], cell=[9.0] * 3, pbc=True), "finite"),
    ],
)
def test_bad_input(atoms, message):
    with pytest.raises(InputError, match=message):
        MODEL.evaluate(atoms)
    with pytest.raises(InputError, match=message):
        configuration_rows(BASIS, atoms.get_chemical_symbols(), atoms.positions, atoms.cell[:])


def test_charges_act_in_periodic_cells_and_are_refused_in_others():
    pair = PairType("Na", "Na", 1.0, 1.1, 1.0)
    types = [AtomType("Na", 23.0, 1.0), AtomType("Cl", 35.5, -1.0)]
    pairs = [pair, PairType("Cl", "Cl", 1.0, 1.1, 1.0), PairType("Na", "Cl", 1.0, 1.1, 1.0)]
    basis = build_basis(types, pairs, (2, 0, 0))
    model = ChimesModel(basis, expand(basis, np.zeros(6)))
    salt = bulk("NaCl", "rocksalt", a=5.64)
    said = model.evaluate(salt)
    assert said.energy == pytest.approx(-1.7475645946 * 332.0637157615209 / 2.82, rel=1e-4)
    # The energy is proportional to 1/length, so that 3 P V = E.
    assert np.trace(said.stress) * salt.get_volume() == pytest.approx(said.energy, rel=5e-3)
    salt.rattle(0.1, seed=1)
    np.testing.assert_allclose(model.evaluate(salt).forces.sum(axis=0), 0.0, atol=1e-6)
    assert abs(model.evaluate(salt).forces).max() > 1.0
    salt.pbc = (True, True, False)
    with pytest.raises(InputError, match="periodic in all directions"):
        model.evaluate(salt)


@pytest.mark.parametrize(
    ("pbc", "lengths"), [((True, False, False), [0, 0, 5]), ((False, True, True), [5, 0, 5])]
)
def test_a_periodic_direction_needs_a_vector(pbc, lengths):
    atoms = Atoms("O2", [(0, 0, 0), (1.5, 0, 0)], cell=lengths, pbc=pbc)
    with pytest.raises(InputError, match="periodic in a direction for which the cell has no"):
        MODEL.evaluate(atoms)


@pytest.mark.parametrize("pbc", [False, (True, False, False)])
def test_bad_cells_and_positions_of_molecules(pbc):
    flat = [(5.0, 0, 0), (10.0, 0, 0), (0, 0, 5.0)]
    with pytest.raises(InputError, match="no volume"):
        MODEL.evaluate(Atoms("O2", [(0, 0, 0), (1.5, 0, 0)], cell=flat, pbc=pbc))
    with pytest.raises(InputError, match="position of atom 2 is not finite"):
        MODEL.evaluate(Atoms("O2", [(0, 0, 0), (np.nan, 0, 0)], cell=[5.0] * 3, pbc=pbc))


def test_an_endless_penalty_is_refused():
    wide = attrs.evolve(MODEL, penalty_distance=60.0)
    with pytest.raises(InputError, match="more than 5000"):
        wide.evaluate(random_atoms())


def test_one_atom_alone_has_its_offset():
    said = MODEL.evaluate(Atoms("C"), per_atom=True)
    offset = MODEL.coefficients.offsets[1]
    assert said.energy == offset
    assert said.atom_energies.tolist() == [offset]
    assert said.forces.tolist() == [[0.0, 0.0, 0.0]]
