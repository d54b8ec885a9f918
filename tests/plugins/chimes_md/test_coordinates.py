"""Reading coordinate files."""

import numpy as np
import pytest

from ald_chimes_md.coordinates import read_coordinates, replicate, wrap
from ald_core.errors import InputError

BOX = "2\n4.0 5.0 6.0\nC 0.5 -1.0 6.5 0.1 0.2 0.3\nO 1.0 2.0 3.0 0.4 0.5 0.6\n"
SKEW = "1\nNON_ORTHO 1 3 0 0 2 2 -2 0 3 1 2 3 4 5 6 -100.0\nC 5.0 5.0 5.0\n"


@pytest.fixture
def read(tmp_path):
    def read_text(text, name="input.xyz"):
        (tmp_path / name).write_text(text)
        return read_coordinates(tmp_path / name)

    return read_text


def test_a_box_with_further_columns(read):
    system = read(BOX)
    assert system.elements == ("C", "O")
    assert system.orthorhombic
    np.testing.assert_allclose(system.cell, np.diag([4.0, 5.0, 6.0]))
    np.testing.assert_allclose(system.positions, [[0.5, 4.0, 0.5], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(system.columns, [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])


def test_a_cell_in_any_orientation(read):
    system = read(SKEW)
    assert not system.orthorhombic
    assert system.columns is None
    fractions = system.positions @ np.linalg.inv(system.cell)
    assert ((fractions >= 0.0) & (fractions < 1.0)).all()
    moved = (np.array([[5.0, 5.0, 5.0]]) - system.positions) @ np.linalg.inv(system.cell)
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-12)


@pytest.mark.parametrize("extra", ["", " 1 2 3", " 1 2 3 4 5 6", " -5.0", " 1 2 3 4 5 6 7"])
def test_stress_and_energy_in_the_header_are_passed_over(read, extra):
    np.testing.assert_allclose(read(BOX.replace("6.0\n", "6.0" + extra + "\n", 1)).cell[2, 2], 6.0)


def test_later_frames_are_ignored(read):
    assert len(read(BOX + BOX + "nonsense").elements) == 2


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("2\n4", "two\n4", 1, "number of atoms"),
        ("2\n4", "0\n4", 1, "number of atoms"),
        ("2\n4", "-2\n4", 1, "number of atoms"),
        ("2\n4", "2 3\n4", 1, "number of atoms"),
        ("2\n4", "3\n4", 4, "3 atoms are announced"),
        ("2\n4", "1\n4", 4, "more lines follow"),
        ("4.0 5.0 6.0", "4.0 5.0", 2, "write 'Lx Ly Lz' or 'NON_ORTHO' with nine"),
        ("4.0 5.0 6.0", "4.0 0.0 6.0", 2, "above 0"),
        ("4.0 5.0 6.0", "4.0 inf 6.0", 2, "'inf'"),
        ("4.0 5.0 6.0", "NON_ORTHO 4.0 5.0 6.0", 2, "write 'Lx Ly Lz' or 'NON_ORTHO' with nine"),
        ("4.0 5.0 6.0", "NON_ORTHO 1 0 0 0 1 0 1 1 0", 2, "no volume"),
        ("4.0 5.0 6.0", 'Lattice="4 0 0"', 2, "finite number"),
        ("C 0.5", "C x", 3, "'x'"),
        ("C 0.5", "C nan", 3, "'nan'"),
        ("C 0.5", "C 1e300", 3, "too large"),
        ("C 0.5", "C 1_0", 3, "'1_0'"),
        ("0.4 0.5 0.6", "0.4 0.5", 4, "6 words"),
        ("0.4 0.5 0.6", "", 4, "this line has 4 words, but line 3 has 7"),
    ],
)
def test_malformed_files_are_refused_with_their_line(read, old, new, line, said):
    assert old in BOX
    with pytest.raises(InputError, match=said) as raised:
        read(BOX.replace(old, new, 1))
    assert raised.value.line == line
    assert raised.value.cure


def test_no_truncation_is_silent(read):
    for size in range(len(BOX) - 4):
        with pytest.raises(InputError):
            read(BOX[:size])


def test_wrapping_keeps_atoms_modulo_the_lattice():
    rng = np.random.default_rng(4)
    cell = rng.normal(size=(3, 3)) * 3.0
    positions = rng.normal(size=(50, 3)) * 30.0
    wrapped = wrap(positions, cell)
    turns = (positions - wrapped) @ np.linalg.inv(cell)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-10)
    fractions = wrapped @ np.linalg.inv(cell)
    assert fractions.min() > -1e-9
    assert fractions.max() < 1 + 1e-9


def test_a_supercell_repeats_the_cell(read):
    system = read(BOX)
    large = replicate(system, 1)
    assert len(large.elements) == 16
    np.testing.assert_allclose(large.cell, 2 * system.cell)
    np.testing.assert_allclose(large.positions[:2], system.positions)
    np.testing.assert_allclose(large.positions[2:4], system.positions + np.array([0.0, 0.0, 6.0]))
    np.testing.assert_allclose(large.columns[14:], system.columns)
    assert replicate(system, 0) is system


def test_mutated_files_are_read_or_refused_in_one_sentence(read, damage):
    refused = 0
    for seed in range(1500):
        text = damage.damaged(BOX, seed)
        try:
            system = read(text)
        except InputError as error:
            refused += "input.xyz" in str(error)
        else:
            assert len(system.elements) == len(system.positions)
            assert np.isfinite(system.positions).all()
            assert abs(np.linalg.det(system.cell)) > 0.0
    assert refused > 500
