"""Molecules out of periodic cells, and the spin states that they can have."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from ald_core.types import Failure
from ald_gaussian.molecules import molecule as gathered
from ald_gaussian.molecules import possible_multiplicities

CELL = np.array([[8.0, 0.0, 0.0], [3.5, 7.5, 0.0], [-2.5, 1.0, 9.0]])


def scattered(atoms, shift):
    """The same in a sheared cell, each atom in an image of its own choice."""
    found = Atoms(atoms.get_chemical_symbols(), atoms.positions + shift, cell=CELL, pbc=True)
    found.wrap()
    images = np.random.default_rng(3).integers(-2, 3, (len(found), 3))
    found.positions += images @ CELL
    return found


@pytest.mark.parametrize("name", ["H2O", "C6H6", "CH3CONH2", "C60"])
@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (4.0, 3.7, 4.4), (-7.9, 2.0, 8.9)])
def test_molecules_are_gathered(name, shift):
    atoms = molecule(name)
    frame = scattered(atoms, shift)
    if name == "C60":  # wider than half of the cell
        frame = Atoms(
            frame.get_chemical_symbols(), frame.positions @ np.diag([1, 1, 1]), cell=CELL, pbc=True
        )
        frame = Atoms("C60", atoms.positions, cell=[9.5, 9.5, 9.5], pbc=True)
        frame.wrap()
    found = gathered(frame)
    assert isinstance(found, Atoms), found
    assert not found.pbc.any()
    assert np.allclose(found.get_all_distances(), atoms.get_all_distances(), atol=1e-9)
    assert np.array_equal(found.positions[0], frame.positions[0])
    assert found.get_chemical_symbols() == atoms.get_chemical_symbols()


def test_fragments_come_to_where_they_are_nearest():
    """Two molecules of a loose cluster, and an atom."""
    pair = molecule("H2O")
    other = molecule("H2O")
    other.translate((0.0, 2.9, 0.4))
    cluster = pair + other + Atoms("Ar", [[3.0, 0.0, 0.0]])
    found = gathered(scattered(cluster, (3.9, 3.7, 4.4)))
    assert np.allclose(found.get_all_distances(), cluster.get_all_distances(), atol=1e-9)


def test_molecules_without_a_cell_stay():
    atoms = molecule("CH3OH")
    found = gathered(atoms)
    assert np.array_equal(found.positions, atoms.positions)
    assert found.cell.rank == 0


def test_what_is_bonded_to_its_own_images_is_no_molecule():
    chain = Atoms("C4", [[1.3 * i, 0, 0] for i in range(4)], cell=[5.2, 12, 12], pbc=True)
    for atoms in (bulk("C", "diamond", cubic=True), chain, Atoms("C", cell=[1.5, 9, 9], pbc=True)):
        found = gathered(atoms)
        assert isinstance(found, Failure)
        assert "no molecule" in found.reason
    assert isinstance(gathered(Atoms("C2", [[0, 0, 0], [0, 0, 1.2]], pbc=True)), Failure)


def test_a_slab_that_is_periodic_in_two_directions():
    atoms = Atoms("CO", [[0.2, 5.0, 0.0], [7.6, 5.0, 0.9]], cell=[8, 9, 0], pbc=(True, True, False))
    assert gathered(atoms).get_distance(0, 1) == pytest.approx(np.hypot(0.6, 0.9))


@pytest.mark.parametrize(
    ("symbols", "charge", "possible"),
    [
        ("H", 0, (2,)), ("H", -1, (1, 3)), ("H", 1, ()), ("H2", 0, (1, 3)), ("He", 0, (1, 3)), ("H2O", 0, (1, 3)),
        ("OH", 0, (2,)), ("OH", -1, (1, 3)), ("Cl", 0, (2,)), ("ClC", 1, (1, 3)), ("H2", 1, (2,)), ("H", 2, ()),
    ],
)  # fmt: skip
def test_possible_multiplicities(symbols, charge, possible):
    assert possible_multiplicities(Atoms(symbols).numbers, charge, (3, 1, 2, 2)) == possible
    assert possible_multiplicities(Atoms("NO").numbers, 0, (1, 2, 4, 6)) == (2, 4, 6)
