"""The calculator as users of ASE expect it: energies of atoms, caching, copies, storage, relaxation, dynamics."""

import copy
import multiprocessing
import pickle
from pathlib import Path

import ase.io
import attrs
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_stress
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from ald_chimes_lsq import ChimesCalculator, ChimesModel, calculator
from ald_chimes_lsq.basis import AtomType, PairType
from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.topology import build_basis
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data"
CARBON = DATA / "chimes_calculator" / "published_params.liqC.2+3b.cubic.txt"
WORDS = ("O", "C", "H")
PAIRS = [("O", "O"), ("C", "C"), ("H", "H"), ("O", "C"), ("O", "H"), ("C", "H")]
BASIS = build_basis(
    [AtomType(w, 1.0) for w in WORDS], [PairType(a, b, 0.9, 3.3, 1.2) for a, b in PAIRS], (5, 4, 2)
)


def random_model(seed=0):
    x = np.random.default_rng(seed).normal(size=BASIS.n_short_range + 3)
    return ChimesModel(BASIS, expand(BASIS, x), penalty_distance=0.3, penalty_scaling=100.0)


MODEL = random_model()


def random_atoms(n=7, seed=0, pbc=True):
    rng = np.random.default_rng(seed)
    cell = np.array([[4.1, 0.3, -0.2], [1.1, 3.9, 0.4], [-0.7, 0.8, 4.3]])
    return Atoms([WORDS[i % 3] for i in range(n)], rng.random((n, 3)) @ cell, cell=cell, pbc=pbc)


# ---------------------------------------------------------------- energies of atoms


@pytest.mark.parametrize("pbc", [True, False, (True, False, True)])
def test_energies_of_atoms_add_up_to_the_energy(pbc):
    atoms = random_atoms(9, pbc=pbc)
    atoms.calc = ChimesCalculator(MODEL)
    energies = atoms.get_potential_energies()
    assert energies.shape == (9,)
    assert energies.sum() == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    said = MODEL.evaluate(atoms, per_atom=True)
    np.testing.assert_array_equal(energies, said.atom_energies * KCAL_PER_MOL)
    assert MODEL.evaluate(atoms).atom_energies is None


def test_energies_of_atoms_are_computed_when_they_are_asked_for():
    atoms = random_atoms()
    atoms.calc = ChimesCalculator(MODEL)
    atoms.get_forces()
    assert "energies" not in atoms.calc.results
    atoms.get_potential_energies()
    assert {"energy", "forces", "stress", "energies"} <= set(atoms.calc.results)


def test_energies_of_atoms_follow_the_order_of_the_atoms_and_copies_of_the_cell():
    atoms = random_atoms(8)
    energies = MODEL.evaluate(atoms, per_atom=True).atom_energies
    order = np.random.default_rng(1).permutation(8)
    other = atoms[order].repeat((2, 1, 1))
    other.wrap()
    got = MODEL.evaluate(other, per_atom=True).atom_energies
    np.testing.assert_allclose(got, np.tile(energies[order], 2), rtol=0, atol=1e-9)


def test_like_atoms_in_like_places_have_like_energies():
    """Each atom of a small crystal sees images of itself and of the other."""
    carbon = ChimesModel.read(CARBON)
    diamond = bulk("C", "diamond", a=3.4)
    energies = carbon.evaluate(diamond, per_atom=True).atom_energies
    assert energies[0] == pytest.approx(energies[1], rel=1e-10)
    whole = carbon.evaluate(diamond.repeat(3), per_atom=True)
    np.testing.assert_allclose(whole.atom_energies, energies[0], rtol=1e-10)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_each_term_is_shared_equally(n):
    """Of a triangle or tetrahedron of different atoms, without the smaller clusters, each atom gets the same."""
    words = ["O", "C", "H", "N"]
    pairs = [PairType(a, b, 0.8, 3.0, 1.0) for i, a in enumerate(words) for b in words[i:]]
    basis = build_basis([AtomType(w, 1.0) for w in words], pairs, (3, 3, 2))
    model = ChimesModel(basis, expand(basis, np.ones(basis.n_short_range)))
    places = 1.1 * np.array([(0, 0, 0), (1, 0, 0), (0.5, 0.9, 0), (0.4, 0.3, 1.2)])[:n]
    energies = model.evaluate(Atoms(words[:n], places), per_atom=True).atom_energies
    rest = np.zeros(n)
    for left_out in range(2**n - 1):
        members = [i for i in range(n) if left_out >> i & 1]
        if len(members) > 1:
            rest[members] += own_part(model, words, places, members)
    own = energies - rest
    assert abs(own[0]) > 1e-6
    np.testing.assert_allclose(own, own[0], rtol=1e-9)


def own_part(model, words, places, members):
    """What a cluster adds to the energies of its atoms: all that its own clusters do not."""
    atoms = Atoms([words[i] for i in members], places[members])
    energies = model.evaluate(atoms, per_atom=True).atom_energies
    for left_out in range(1, 2 ** len(members) - 1):
        inner = [k for k in range(len(members)) if left_out >> k & 1]
        if len(inner) > 1:
            energies[inner] -= own_part(model, words, places, [members[k] for k in inner])
    return energies


def test_charges_have_the_energy_of_half_the_potential_around_them():
    types = [AtomType("Na", 23.0, 1.0), AtomType("Cl", 35.5, -1.0)]
    pairs = [PairType(a, b, 1.0, 1.1, 1.0) for a, b in (("Na",) * 2, ("Cl",) * 2, ("Na", "Cl"))]
    basis = build_basis(types, pairs, (2, 0, 0))
    x = np.zeros(8)
    x[6:] = 3.0, -4.0
    model = ChimesModel(basis, expand(basis, x))
    salt = bulk("NaCl", "rocksalt", a=5.64)
    said = model.evaluate(salt, per_atom=True)
    half = -1.7475645946 * 332.0637157615209 / 2.82 / 2
    np.testing.assert_allclose(said.atom_energies, [half + 3.0, half - 4.0], rtol=1e-4)
    assert said.atom_energies.sum() == pytest.approx(said.energy, rel=1e-12)


# ---------------------------------------------------------------- cells


@pytest.mark.parametrize("pbc", [False, (True, True, False)])
def test_stress_refers_to_the_cell_that_the_atoms_have(pbc):
    atoms = random_atoms(6, seed=2, pbc=pbc)
    atoms.calc = ChimesCalculator(MODEL)
    want = calculate_numerical_stress(atoms, eps=1e-6)
    np.testing.assert_allclose(atoms.get_stress(), want, atol=1e-7 * abs(want).max())


def test_molecules_without_a_cell_have_no_stress():
    atoms = Atoms(
        "OCH", [(0, 0, 0), (1.3, 0, 0), (1.9, 1.0, 0)], calculator=ChimesCalculator(MODEL)
    )
    assert atoms.get_forces().all(axis=0).tolist() == [True, True, False]
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_molecules_see_no_images_through_a_wide_penalty():
    wide = attrs.evolve(MODEL, penalty_distance=12.0)
    molecule = Atoms("OC", [(0, 0, 0), (1.3, 0, 0)])
    boxed = Atoms("OC", molecule.positions, cell=[40.0] * 3, pbc=True)
    assert wide.evaluate(molecule).energy == pytest.approx(wide.evaluate(boxed).energy, rel=1e-12)


def test_unknown_elements_are_named():
    atoms = Atoms("OFe", [(0, 0, 0), (1.3, 0, 0)], calculator=ChimesCalculator(MODEL))
    with pytest.raises(InputError, match="element Fe is not among the atom types O, C, H"):
        atoms.get_potential_energy()


# ---------------------------------------------------------------- state


def test_nothing_is_computed_twice(monkeypatch):
    calls = []

    def counted(*arguments, **options):
        calls.append(arguments)
        return evaluate(*arguments, **options)

    evaluate = calculator.evaluate_packed
    monkeypatch.setattr(calculator, "evaluate_packed", counted)
    atoms = random_atoms()
    atoms.calc = ChimesCalculator(MODEL)
    first = atoms.get_potential_energy()
    atoms.get_forces()
    atoms.get_stress()
    assert len(calls) == 1
    atoms.positions[0] += 0.01
    assert atoms.get_potential_energy() != first
    atoms.set_cell(1.01 * atoms.cell[:])
    atoms.get_forces()
    atoms.symbols[0] = "H"
    atoms.get_forces()
    atoms.pbc = False
    atoms.get_forces()
    assert len(calls) == 5
    forces = atoms.get_forces()
    forces[:] = 0.0
    assert atoms.get_forces().any()


def test_the_penalty_can_be_switched():
    atoms = Atoms("OO", [(0, 0, 0), (1.0, 0, 0)], calculator=ChimesCalculator(MODEL))
    with_penalty = atoms.get_potential_energy()
    assert atoms.calc.contact_class == 1
    assert atoms.calc.set(penalty=False) == {"penalty": False}
    without = atoms.get_potential_energy()
    assert with_penalty - without == pytest.approx(100.0 * 0.2**3 * KCAL_PER_MOL)
    atoms.calc = ChimesCalculator(MODEL, penalty=False)
    assert atoms.get_potential_energy() == without
    with pytest.raises(InputError, match="no parameter 'cutoff'"):
        atoms.calc.set(cutoff=3.0)


def test_copies_and_pickles_give_the_same():
    atoms = random_atoms()
    atoms.calc = ChimesCalculator(MODEL)
    energy = atoms.get_potential_energy()
    for other in (copy.deepcopy(atoms.calc), pickle.loads(pickle.dumps(atoms.calc))):
        assert other.results["energy"] == energy
        moved = atoms.copy()
        moved.rattle(0.1, seed=1)
        moved.calc = other
        assert moved.get_potential_energy() != energy
    assert atoms.calc.results["energy"] == energy


def energy_of(atoms):
    return atoms.get_potential_energy()


def test_processes_give_the_same():
    frames = []
    for seed in range(3):
        frames.append(random_atoms(seed=seed))
        frames[-1].calc = ChimesCalculator(MODEL)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        energies = pool.map(energy_of, frames)
    assert energies == [energy_of(atoms) for atoms in frames]


def test_results_can_be_stored(tmp_path):
    MODEL.write(tmp_path / "params.txt")
    atoms = random_atoms()
    atoms.calc = ChimesCalculator(tmp_path / "params.txt")
    energies, stress = atoms.get_potential_energies(), atoms.get_stress()
    with connect(tmp_path / "frames.db") as database:
        row = database.get(id=database.write(atoms))
    assert row.calculator == "chimes"
    assert row.calculator_parameters == {"model": str(tmp_path / "params.txt")}
    assert row.energy == atoms.get_potential_energy()
    for name in ("frames.traj", "frames.extxyz"):
        ase.io.write(tmp_path / name, atoms)
        again = ase.io.read(tmp_path / name)
        np.testing.assert_allclose(again.get_potential_energies(), energies, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(again.get_stress(), stress, rtol=1e-7, atol=1e-8)
    single = SinglePointCalculator(atoms, **atoms.calc.results)
    assert single.results["energy"] == row.energy


# ---------------------------------------------------------------- relaxation and dynamics


def test_cells_relax_to_no_stress():
    atoms = bulk("C", "diamond", a=3.7)
    atoms.calc = ChimesCalculator(CARBON)
    before, stress = atoms.get_potential_energy(), atoms.get_stress()
    assert abs(stress).max() > 0.01
    assert BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=200)
    assert atoms.get_potential_energy() < before
    assert abs(atoms.get_stress()).max() < 1e-4


def test_dynamics_keep_the_energy():
    atoms = bulk("C", "diamond", a=3.6).repeat(2)
    atoms.calc = ChimesCalculator(CARBON)
    atoms.set_momenta(np.random.default_rng(3).normal(scale=0.8, size=(16, 3)))
    steps = []
    run = VelocityVerlet(atoms, timestep=0.25 * units.fs)
    run.attach(lambda: steps.append((atoms.get_total_energy(), atoms.get_kinetic_energy())))
    run.run(200)
    total, kinetic = np.array(steps).T
    assert np.ptp(kinetic) > 0.1
    assert np.ptp(total) < 2e-3 * np.ptp(kinetic)
