"""Energies of atoms, by which energies of molecules are shifted."""

import pytest

from ald_core.options import identity
from ald_core.types import Failure, Labels
from ald_core.units import KCAL_PER_MOL

GOOD = """\
# symbol  Gaussian  plane waves (kcal/mol)
H   -313.5   -25.5

O\t-47080.25  -9910.5   # of the triplet
C   -23725.0   -3390.0
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "atoms.dat"
        path.write_text(text)
        return path

    return write


def test_each_atom_counts_once(make, gas, file, quick, tmp_path):
    plain = quick(make(), gas("H2O"), tmp_path / "plain")
    shifted = quick(make(reference_energies=file(GOOD)), gas("H2O"), tmp_path / "shifted")
    assert isinstance(plain, Labels)
    expected = 2 * (-25.5 + 313.5) + (-9910.5 + 47080.25)
    assert (shifted.energy - plain.energy) / KCAL_PER_MOL == pytest.approx(expected, rel=1e-12)
    assert (shifted.forces == plain.forces).all()


def test_a_missing_element_is_found_before_anything_runs(make, file):
    path = file(GOOD)
    assert make(reference_energies=path).check(["H", "O", "C"]) == []
    assert make(reference_energies=path).check(["N", "O", "Cl"]) == [
        f"{path}: has no line of N, Cl; add it"
    ]


def test_a_missing_element_of_a_frame_gives_no_quick(make, gas, file, quick, tmp_path):
    found = quick(make(reference_energies=file("H -1 -2\n")), gas("H2O"), tmp_path / "x")
    assert isinstance(found, Failure)
    assert found.kind == "input"
    assert "has no line of O" in found.reason


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("H -313.5\n", "line 1: has 2 columns; write element"),
        ("H -313.5 -25.5 7\n", "line 1: has 4 columns"),
        ("\nH -313.5 x\n", "line 2: 'x' is no number; write"),
        ("H nan -25.5\n", "line 1: 'nan' is no number"),
        ("Hx 1 2\n", "line 1: 'Hx' is no chemical symbol"),
        ("H 1 2\nH 1 2\n", "line 2: H has two lines; keep one of them"),
        ("", "has no line of H; add it"),
    ],
)
def test_files_that_are_none(make, file, text, said):
    path = file(text)
    [problem] = make(reference_energies=path).check(["H"])
    assert problem.startswith(str(path))
    assert said in problem


def test_a_file_that_is_no_text(make, tmp_path):
    path = tmp_path / "atoms.dat"
    path.write_bytes(b"\xff\xfe\x00\x00")
    [problem] = make(reference_energies=path).check(["H"])
    assert "cannot be read as text" in problem


def test_the_file_counts_by_its_content(make, file):
    first = identity(make(reference_energies=file(GOOD)))
    assert identity(make(reference_energies=file(GOOD.replace("313.5", "313.6")))) != first
