"""What labelers share: atoms grouped by element and back, inputs by temperature, outputs of other configurations."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given
from hypothesis import strategies as st

from ald_core.labeling import (
    NEARBY,
    compare_geometry,
    electronic_temperature,
    find_input,
    group_by_element,
    in_a_box,
    input_names,
    missing_input,
)
from ald_core.types import Failure, Frame, Origin

ELEMENTS = ["Al", "O", "S", "Si", "C", "Cl", "H", "He"]


def atoms_of(symbols, seed=0):
    positions = np.random.default_rng(seed).uniform(0, 9, (len(symbols), 3))
    return Atoms(symbols, positions=positions, cell=[9, 10, 11], pbc=True)


# ---------------------------------------------------------------- grouped by element


@given(st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=30))
def test_groups_are_whole_and_what_is_said_of_them_goes_back(symbols):
    atoms = atoms_of(symbols)
    grouped = group_by_element(atoms)
    found = grouped.atoms.get_chemical_symbols()
    assert list(grouped.elements) == sorted(set(symbols))
    assert sum(grouped.counts) == len(symbols)
    assert found == [e for e, n in zip(grouped.elements, grouped.counts, strict=True) for _ in range(n)]  # fmt: skip
    assert grouped.counts == tuple(symbols.count(element) for element in grouped.elements)
    assert np.array_equal(grouped.in_frame_order(grouped.atoms.positions), atoms.positions)
    assert np.array_equal(grouped.in_frame_order(grouped.atoms.numbers), atoms.numbers)
    assert atoms.get_chemical_symbols() == symbols, "the frame is left alone"


def test_names_that_hold_one_another_are_told_apart():
    grouped = group_by_element(atoms_of(["Si", "S", "Cl", "S", "C", "Cl", "Cl"]))
    assert grouped.elements == ("C", "Cl", "S", "Si")
    assert grouped.counts == (1, 3, 2, 1)
    assert list(grouped.order) == [4, 2, 5, 6, 1, 3, 0]
    assert group_by_element(atoms_of(["O", "Al"])).elements == ("Al", "O")


def test_atoms_of_one_element_keep_their_order():
    atoms = atoms_of(["O", "Al", "O", "Al"])
    grouped = group_by_element(atoms)
    assert np.array_equal(grouped.atoms.positions, atoms.positions[[1, 3, 0, 2]])
    assert grouped.in_frame_order([1, 3, 0, 2]).tolist() == [0, 1, 2, 3]
    assert grouped.in_frame_order([[1, 1], [3, 3], [0, 0], [2, 2]])[:, 0].tolist() == [0, 1, 2, 3]


# ---------------------------------------------------------------- molecules in periodic programs


def test_molecules_get_a_box():
    water = molecule("H2O")
    boxed = in_a_box(water, 9.0)
    assert boxed.pbc.all()
    assert boxed.cell.lengths() == pytest.approx(np.ptp(water.positions, axis=0) + 9.0)
    assert boxed.get_all_distances() == pytest.approx(water.get_all_distances())
    assert not water.cell.any()


def test_only_open_directions_get_a_box():
    slab = bulk("C", "diamond", cubic=True)
    slab.pbc = (True, True, False)
    boxed = in_a_box(slab, 9.0)
    height = np.ptp(slab.positions[:, 2])
    assert boxed.cell.lengths() == pytest.approx([slab.cell[0, 0], slab.cell[1, 1], height + 9.0])


def test_periodic_cells_stay_but_for_their_hand():
    atoms = atoms_of(["C", "O"])
    boxed = in_a_box(atoms, 9.0)
    assert np.array_equal(boxed.cell[:], atoms.cell[:])
    assert np.array_equal(boxed.positions, atoms.positions)
    atoms.set_cell(atoms.cell[[1, 0, 2]])
    boxed = in_a_box(atoms, 9.0)
    assert np.array_equal(boxed.cell[:], -atoms.cell[:])
    assert np.array_equal(boxed.positions, atoms.positions)


# ---------------------------------------------------------------- inputs by temperature


@pytest.mark.parametrize(
    ("temperature", "names"),
    [
        (None, ("INCAR",)),
        (6000.0, ("6000.INCAR", "INCAR")),
        (0.0, ("0.INCAR", "INCAR")),
        (298.15, ("298.15.INCAR", "298.INCAR", "INCAR")),
        (1e6, ("1e+06.INCAR", "1000000.INCAR", "INCAR")),
    ],
)
def test_the_most_special_name_comes_first(temperature, names):
    assert input_names("INCAR", temperature) == names


def test_the_most_special_file_is_taken(tmp_path):
    assert find_input(tmp_path, "INCAR", 298.15) is None
    sentence = missing_input(tmp_path, "INCAR", 298.15)
    assert sentence.startswith(f"{tmp_path}: there is no 298.15.INCAR or 298.INCAR or INCAR; ")
    (tmp_path / "298.15.INCAR").mkdir()
    for name in ("INCAR", "298.INCAR"):
        (tmp_path / name).touch()
        assert find_input(tmp_path, "INCAR", 298.15) == tmp_path / name
    (tmp_path / "2980.INCAR").touch()
    assert find_input(tmp_path, "INCAR", 29.0) == tmp_path / "INCAR"
    assert find_input(tmp_path, "INCAR", None) == tmp_path / "INCAR"


def test_the_user_fixes_the_electronic_temperature():
    frame = Frame(Atoms("H"), Origin(1, "a", 1), 300.0)
    assert electronic_temperature(frame, None) == 300.0
    assert electronic_temperature(frame, 50.0) == 50.0
    assert electronic_temperature(frame, 0.0) == 0.0
    assert electronic_temperature(Frame(Atoms("H"), Origin(1, "a", 1)), None) is None


# ---------------------------------------------------------------- the same configuration


def sheared():
    """Eight atoms in a triclinic cell, two elements in no order."""
    atoms = bulk("Si", "diamond", a=5.4, cubic=True)
    atoms.set_cell([[5.4, 0.0, 0.0], [1.9, 5.0, 0.0], [-2.1, 1.3, 6.0]], scale_atoms=True)
    atoms.rattle(0.3, seed=1)
    atoms.symbols[[1, 4, 6]] = "S"
    return atoms


def compared(asked, symbols=None, positions=None, cell=None, **more):
    return compare_geometry(asked, symbols, positions, cell, **more)


def whole(asked, positions):
    return compared(asked, asked.get_chemical_symbols(), positions, asked.cell[:])


def test_what_was_asked_for_is_recognized():
    asked = sheared()
    assert whole(asked, asked.positions) is None
    assert compared(asked) is None
    rounded = compared(asked, None, np.round(asked.positions, 4), np.round(asked.cell[:], 4))
    assert rounded is None


@given(st.lists(st.integers(-3, 3), min_size=24, max_size=24))
def test_atoms_may_be_in_other_images(shifts):
    asked = sheared()
    moved = asked.positions + np.array(shifts, dtype=float).reshape(8, 3) @ asked.cell[:]
    assert whole(asked, moved) is None
    moved[5] += 0.5 * asked.cell[1]
    found = whole(asked, moved)
    assert isinstance(found, Failure)
    assert "atom 6 (Si) is" in found.reason


def test_only_periodic_directions_have_images():
    slab = sheared()
    slab.pbc = [True, True, False]
    assert compared(slab, positions=slab.positions + slab.cell[0] - 2 * slab.cell[1]) is None
    assert compared(slab, positions=slab.positions + slab.cell[2]) is not None
    water = molecule("H2O")
    assert compared(water, ["O", "H", "H"], water.positions) is None
    assert compared(water, positions=water.positions + 8.0) is not None
    chain = Atoms("H2", [[0, 0, 0], [0.7, 0, 0]], cell=[3, 0, 0], pbc=[True, False, False])
    assert compared(chain, positions=chain.positions - chain.cell[0]) is None
    assert compared(chain, positions=chain.positions + chain.cell[0][::-1]) is not None


def stale(change):
    """Positions, symbols and cell of another configuration."""
    asked = sheared()
    output = asked.copy()
    change(output)
    return compared(asked, output.get_chemical_symbols(), output.positions, output.cell[:])


def swap(atoms, a, b):
    atoms.positions[[a, b]] = atoms.positions[[b, a]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.positions.__setitem__((3, 1), a.positions[3, 1] + 0.05), "atom 4 (Si) is 0.05 Å from where"),
        (lambda a: swap(a, 0, 2), "atom 1 (Si) is"),
        (lambda a: swap(a, 0, 1), "is another configuration"),
        (lambda a: a.symbols.__setitem__(0, "S"), "it has S as atom 1, not Si"),
        (lambda a: a.symbols.__setitem__([0, 1], ["S", "Si"]), "it has S as atom 1, not Si"),
        (lambda a: a.__delitem__(7), "it has 7 atoms, not 8"),
        (lambda a: a.extend(Atoms("H")), "it has 9 atoms, not 8"),
        (lambda a: a.set_cell(a.cell[:] * 1.01, scale_atoms=True), "its cell differs by 0.06 Å"),
        (lambda a: a.set_cell(a.cell[:].T), "its cell differs by 2.1 Å"),
        (lambda a: a.set_cell(np.full((3, 3), np.nan)), "its cell differs by nan Å"),
    ],
)  # fmt: skip
def test_other_configurations_are_failures(change, words):
    found = stale(change)
    assert isinstance(found, Failure)
    assert found.kind == "invalid"
    assert found.reason.startswith("the output is of another configuration: ")
    assert words in found.reason.replace("of another", "is another")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e17, -1e300])
@pytest.mark.parametrize("periodic", [True, False])
def test_numbers_that_are_none_are_failures(value, periodic):
    asked = sheared()
    asked.pbc = periodic
    positions = asked.positions.copy()
    positions[2, 0] = value
    found = compared(asked, positions=positions)
    assert isinstance(found, Failure)
    assert "atom 3 (Si)" in found.reason


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"positions": np.zeros((7, 3))}, "positions of shape (7, 3) for 8 atoms"),
        ({"positions": np.zeros(24)}, "positions of shape (24,) for 8 atoms"),
        ({"positions": np.zeros((8, 2))}, "positions of shape (8, 2) for 8 atoms"),
        ({"positions": []}, "positions of shape (0,) for 8 atoms"),
        ({"cell": [5.4, 5.0, 6.0]}, "a cell of shape (3,)"),
        ({"cell": np.zeros((2, 3))}, "a cell of shape (2, 3)"),
    ],
)
def test_arrays_of_another_shape_are_failures(more, words):
    found = compared(sheared(), **more)
    assert isinstance(found, Failure)
    assert words in found.reason


def test_the_tolerance_is_that_of_printed_digits():
    asked = sheared()
    for off, same in ((0.9 * NEARBY, True), (1.1 * NEARBY, False)):
        positions, cell = asked.positions.copy(), asked.cell[:].copy()
        positions[4, 2] += off
        cell[1, 0] += off
        assert (compared(asked, positions=positions) is None) is same
        assert (compared(asked, cell=cell) is None) is same
    assert compared(asked, positions=asked.positions + 0.01, tolerance=0.02) is None
