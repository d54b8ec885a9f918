"""What outputs of pw.x are taken for: genuine ones, damaged ones, and failures in its words."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase.units import create_units

from ald_core.types import Failure
from ald_espresso.outputs import Point, read_output

DATA = Path(__file__).parents[2] / "data" / "qm" / "espresso"
UNITS = create_units("2006")
RY = UNITS["Ry"]
FORCE = RY / UNITS["Bohr"]
STRESS = RY / UNITS["Bohr"] ** 3


def genuine(name):
    with gzip.open(DATA / f"{name}.gz", "rt") as stream:
        return stream.read()


@pytest.mark.parametrize(
    ("name", "symbols", "energy", "force", "stress"),
    [
        ("01", "H4C", -16.15090531, [0.01311095, 0.00057353, 0.00635423],
         [0.00001341, 0.00000957, -0.00000731, 0.00000029, -0.00000421, 0.00000529]),
        ("02", "O64H128", -2205.52174971, [-0.01703929, -0.00450281, 0.00429815],
         [0.00008957, 0.00009475, 0.00009803, 0.00013673, -0.00010108, -0.00009821]),
        ("03", "H4C", -16.14878191, [0.01321833, 0.00035039, 0.00596821], None),
        ("Al", "Al4", -21.76175741, [-0.00000064, 0.00000288, -0.00000097],
         [-0.00025459, -0.00025458, -0.00025458, 0.0, 0.0, 0.0]),
    ],
)  # fmt: skip
def test_genuine_outputs(name, symbols, energy, force, stress):
    point = read_output(genuine(name), stress=stress is not None)
    assert isinstance(point, Point), point
    assert str(point.atoms.symbols) == symbols
    assert point.energy == pytest.approx(energy * RY, rel=1e-14)
    assert point.forces[0] == pytest.approx(np.array(force) * FORCE, rel=1e-12)
    assert point.forces.shape == (len(point.atoms), 3)
    if stress is None:
        assert point.stress is None
    else:
        assert point.stress == pytest.approx(-np.array(stress) * STRESS, rel=1e-12)


def test_a_stress_that_is_asked_for_and_not_there():
    found = read_output(genuine("03"), stress=True)
    assert found.reason == "pw.x's output is incomplete: there is not one stress tensor"


def test_forces_that_were_cut_off():
    found = read_output(genuine("na"), stress=False)
    assert found == Failure("pw.x's output is incomplete: there is not one table of forces")


ERROR = """
 %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%
     Error in routine {} (1):
     {}
 %%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%

     stopping ...
"""


@pytest.mark.parametrize(
    ("routine", "words", "kind"),
    [
        ("readpp", "file ./C.UPF not found", "input"),
        ("read_namelists", "bad line in namelist &system", "input"),
        ("c_bands", "too many bands are not converged", "numerical"),
        ("cdiaghg", "S matrix not positive definite", "numerical"),
        ("electrons", "charge is wrong: smearing is needed", "numerical"),
        ("allocate_fft", "out of memory", "memory"),
        ("scale_sym_ops", "incompatible FFT grid", "invalid"),
    ],
)
def test_errors_of_pw(routine, words, kind):
    found = read_output(genuine("01")[:9000] + ERROR.format(routine, words), stress=True)
    assert found == Failure(f"pw.x: error in {routine}: {words}", kind)


@pytest.mark.parametrize(
    ("old", "new", "words", "kind"),
    [
        ("convergence has been achieved in   8 iterations",
         "convergence NOT achieved after 100 iterations: stopping", "NOT achieved", "numerical"),
        ("entering subroutine stress", "Maximum CPU time exceeded", "max_seconds were over", "time"),
        ("JOB DONE", "", "cut off", "invalid"),
        ("convergence has been achieved", "", "does not say that SCF converged", "invalid"),
        ("     atom    5 type  2   force =    -0.00214558   -0.04593271    0.00378156\n", "", "", "invalid"),
        ("atom    5 type  2", "atom    4 type  2", "no forces of all atoms", "invalid"),
        ("    -0.00214558", " **************", "cannot be read", "invalid"),
        ("    -0.00214558   -0.04593271", "    -0.00214558-123456.04593271", "", "invalid"),
        ("!    total energy", "     total energy", "no total energy", "invalid"),
        ("=     -16.15090531 Ry\n     Harris-Foulkes estimate   =     -16.15090555",
         "= **************** Ry\n     Harris-Foulkes estimate   =     -16.15090555", "cannot be read", "invalid"),
        ("   0.00001341   0.00000529", "************   0.00000529", "cannot be read", "invalid"),
        ("Program PWSCF", "Program PWSCF\n Program PWSCF", "of several runs", "invalid"),
        ("number of atoms/cell      =            5", "number of atoms/cell      =            6", "", "invalid"),
        ("crystal axes:", "", "cannot be read", "invalid"),
    ],
)  # fmt: skip
def test_what_is_unclear_is_a_failure(old, new, words, kind):
    text = genuine("01")
    assert text.count(old) == 1, old
    found = read_output(text.replace(old, new), stress=True)
    assert isinstance(found, Failure)
    assert words in found.reason
    assert found.kind == kind
