"""Forces for LAMMPS are those of the calculator, whatever neighbour list they come from."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

from ald_chimes_lsq.calculator import ChimesCalculator
from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.formats.configuration import read_configuration
from ald_core.errors import InputError
from ald_lammps.forces import SKIN, ChimesForces

DATA = Path(__file__).parents[2] / "data" / "chimes_md"
PARAMETERS = DATA / "special3b" / "params.txt"


def assert_same(forces, atoms, calculator):
    said = forces.evaluate(atoms.positions, atoms.cell[:])
    other = atoms.copy()
    other.calc = calculator
    assert said.energy * KCAL_PER_MOL == pytest.approx(other.get_potential_energy(), abs=1e-9)
    assert np.allclose(said.forces * KCAL_PER_MOL, other.get_forces(), rtol=0, atol=1e-10)
    stress = -said.virial * KCAL_PER_MOL / atoms.get_volume()
    assert np.allclose(stress, other.get_stress(voigt=False), rtol=0, atol=1e-12)
    assert said.contact_class == calculator.contact_class


def test_lists_are_kept_for_small_moves_and_made_anew_for_others():
    """Moves within half the skin, beyond it, across the borders of the cell, and with another cell."""
    atoms = read_configuration(DATA / "special3b" / "input.xyzf").atoms
    atoms.set_cell(atoms.cell[:] + np.diag([0.3, -0.2], -1), scale_atoms=True)
    forces = ChimesForces(PARAMETERS, atoms.get_chemical_symbols())
    calculator = ChimesCalculator(PARAMETERS)
    rng = np.random.default_rng(1)
    assert_same(forces, atoms, calculator)
    lists = forces._lists
    for length, kept in ((0.2, True), (0.2, True), (0.9, False), (0.3, True)):
        moves = rng.normal(size=(len(atoms), 3))
        moves *= length * SKIN / 2 / np.linalg.norm(moves, axis=1).max()
        atoms.positions += moves * (2 if length > 0.5 else 1)
        atoms.positions += rng.integers(-1, 2, size=(len(atoms), 3)) @ atoms.cell[:]
        assert_same(forces, atoms, calculator)
        assert (forces._lists is lists) == kept, length
        lists = forces._lists
    atoms.set_cell(atoms.cell[:] * 1.001, scale_atoms=True)
    assert_same(forces, atoms, calculator)
    assert forces._lists is not lists


def test_models_with_charges():
    charged = DATA.parent / "chimes_lsq" / "h2o-3bcheby" / "expected" / "params.txt"
    atoms = molecule("H2O", cell=[7.0, 7.5, 8.0], pbc=True)
    atoms.rattle(0.05, seed=1)
    calculator = ChimesCalculator(charged)
    assert_same(ChimesForces(charged, atoms.get_chemical_symbols()), atoms, calculator)


def test_strange_elements_are_refused():
    with pytest.raises(InputError, match="element N is not among the atom types"):
        ChimesForces(PARAMETERS, ["C", "N"])


def test_models_with_energy_offsets():
    folder = DATA.parent / "chimes_calculator"
    model = folder / "published_params.HN3.2+3+4b.Tersoff.special.offsets.txt"
    atoms = read_configuration(folder / "HN3.2gcc_3000K.OUTCAR_#000.xyz").atoms
    assert_same(ChimesForces(model, atoms.get_chemical_symbols()), atoms, ChimesCalculator(model))
