"""What CP2K's outputs are taken for: genuine ones, and made-up ones with the words of other versions and failures."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase import units

from ald_core.types import Failure
from ald_cp2k.outputs import Point, read_output

DATA = Path(__file__).parents[2] / "data" / "qm" / "cp2k"
FORCE = units.Hartree / units.Bohr

CELL = """
 CELL| Volume [angstrom^3]:                                        27.000000
 CELL| Vector a [angstrom]:       3.000     0.000     0.000   |a| =     3.000000
 CELL| Vector b [angstrom]:       0.000     3.000     0.000   |b| =     3.000000
 CELL| Vector c [angstrom]:       0.100     0.000     3.000   |c| =     3.001666

 MODULE QUICKSTEP: ATOMIC COORDINATES IN ANGSTROM

   Atom Kind Element         X             Y             Z       Z(eff)     Mass
      1    1 H     1      0.000000    0.000000      0.000000   1.0000   1.0079
      2    2 Cl   17      0.800000    0.100000      0.200000   7.0000  35.4530

  *** SCF run converged in    11 steps ***

"""
OLD = """\
 ENERGY| Total FORCE_EVAL ( QS ) energy (a.u.):               -1.500000000000000

 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
      1      1      H           0.00100000     0.00200000     0.00300000
      2      2      Cl         -0.00100000    -0.00200000    -0.00300000
 SUM OF ATOMIC FORCES           0.00000000     0.00000000     0.00000000     0.00000000

 STRESS TENSOR [GPa]

            X               Y               Z
  X       1.00000000      0.60000000      0.50000000
  Y       0.60000000      2.00000000      0.40000000
  Z       0.50000000      0.40000000      3.00000000

"""
NEW = """\
 ENERGY| Total FORCE_EVAL ( QS ) energy [hartree]               -1.500000000000000

 FORCES| Atomic forces [hartree/bohr]
 FORCES|   Atom     x               y               z               |f|
 FORCES|      1  1.000000000000E-03  2.000000000000E-03  3.000000000000E-03  3.7E-03
 FORCES|      2 -1.000000000000E-03 -2.000000000000E-03 -3.000000000000E-03  3.7E-03
 FORCES| Sum     0.000000000000E+00  0.000000000000E+00  0.000000000000E+00  0.0E+00

 STRESS| Analytical stress tensor [bar]
 STRESS|                        x                   y                   z
 STRESS|      x        1.00000000000E+04   6.00000000000E+03   5.00000000000E+03
 STRESS|      y        6.00000000000E+03   2.00000000000E+04   4.00000000000E+03
 STRESS|      z        5.00000000000E+03   4.00000000000E+03   3.00000000000E+04
 STRESS| 1/3 Trace                                             2.00000000000E+04
"""
END = "\n  **** **** ******  **  PROGRAM ENDED AT                 2026-11-23 02:22:53.115\n"


def genuine(name):
    with gzip.open(DATA / name, "rt") as stream:
        return stream.read()


def test_a_genuine_output_of_version_6():
    text = genuine("converged_6.1.gz")
    point = read_output(text, stress=True)
    assert point.energy == pytest.approx(-1766.225653832774242 * units.Hartree, rel=1e-14)
    assert point.symbols == ["Fe"] * 12 + ["O"] * 18
    assert point.forces[0] == pytest.approx(np.array([0.00021561, 0.00034116, 0.00317438]) * FORCE)
    assert point.forces.shape == (30, 3)
    wanted = [-7.95728223, -8.05678106, -8.18444753, -0.01863861, 0.00049141, -0.07686533]
    assert point.stress == pytest.approx(-np.array(wanted) * units.GPa)
    assert point.cell[1] == pytest.approx([-2.519, 4.363, 0.0])
    assert point.positions[29] == pytest.approx([-1.541124, 2.908691, 5.738333])


def test_a_genuine_output_that_did_not_converge():
    found = read_output(genuine("not_converged_7.1.gz"), stress=True)
    assert found == Failure("CP2K: SCF run NOT converged", "numerical")


@pytest.mark.parametrize("results", [OLD, NEW])
def test_texts_and_units_of_versions(results):
    point = read_output(CELL + results + END, stress=True)
    assert isinstance(point, Point)
    assert point.energy == pytest.approx(-1.5 * units.Hartree)
    assert point.forces == pytest.approx(np.array([[1, 2, 3], [-1, -2, -3]]) * 1e-3 * FORCE)
    assert point.stress == pytest.approx(-np.array([1, 2, 3, 0.4, 0.5, 0.6]) * units.GPa)
    assert read_output(CELL + results + END, stress=False).stress is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[hartree]", "[Ry]", "unknown unit"),
        ("[hartree/bohr]", "[N]", "unknown unit"),
        ("[bar]", "[furlong]", "unknown unit"),
        ("-1.500000000000000", "******************", "no number"),
        ("  3.000000000000E-03", "  ******************", "no number"),
        ("FORCES|      2", "FORCES|      1", "forces of atom 1"),
        ("FORCES| Sum", "", "no end"),
        (NEW.splitlines()[5], "", "forces of 1 atoms, not 2"),
        ("STRESS|      z", "STRESS|", "no end"),
        ("6.00000000000E+03   5", "6.50000000000E+03   5", "not symmetric"),
        ("ENERGY|", "ENERGIE|", "no energy"),
        (NEW.splitlines()[0], 2 * f"{NEW.splitlines()[0]}\n", "2 energies"),
        ("COORDINATES IN ANGSTROM", "COORDINATES IN BOHR", "unit 'BOHR'"),
        ("*** SCF run converged in", "", "does not say that SCF converged"),
        ("PROGRAM ENDED AT", "PROGRAM", "cut off"),
        ("Vector b", "Vector", "no cell"),
    ],
)
def test_what_is_unclear_is_a_failure(old, new, words):
    text = CELL + NEW + END
    assert text.count(old) == 1, old
    found = read_output(text.replace(old, new), stress=True)
    assert isinstance(found, Failure)
    assert words in found.reason
    assert found.kind == "invalid"


def test_elements_of_forces_are_those_of_the_atoms():
    found = read_output(CELL + OLD.replace("2      Cl", "2      C ") + END, stress=True)
    assert "forces of atom 2 (C)" in found.reason


BOX = """
 *******************************************************************************
 *   ___                                                                       *
 *  /   \\                                                                      *
 * [ABORT]                                                                     *
 *  \\___/    {0:<65} *
 *    |      {1:<65} *
 *  O/|                                                                        *
 * /| |                                                                        *
 * / \\       {2:>65} *
 *******************************************************************************
"""


@pytest.mark.parametrize(
    ("first", "second", "place", "kind"),
    [
        ("found an unknown keyword MAX_SFC in section SCF", "", "input/input_parsing.F:246", "input"),
        ("The requested basis set <SZV-NO> for element <C> was not found in", "the basis set files <BASIS_SET>",
         "aobasis/basis_set_types.F:1509", "input"),
        ("SCF run NOT converged. To continue the calculation regardless,",
         "please set the keyword IGNORE_CONVERGENCE_FAILURE.", "qs_scf.F:611", "numerical"),
        ("Cholesky decomposition failed", "", "fm/cp_fm_cholesky.F:100", "numerical"),
        ("The memory allocation failed", "", "dbcsr.F:1", "memory"),
        ("CPASSERT failed", "", "ewald_pw_types.F:9", "invalid"),
    ],
)  # fmt: skip
def test_what_cp2k_gives_up_for(first, second, place, kind):
    found = read_output(BOX.format(first, second, place), stress=True)
    words = f"{first} {second}".strip()
    known = found.reason == f"CP2K: {words}" or "SCF run NOT converged" in found.reason
    assert known, found
    assert found.kind == kind


def test_time_that_is_over():
    text = " *** SCF run terminated - exceeded requested execution time:\n"
    assert read_output(CELL + text + END, stress=True).kind == "time"
