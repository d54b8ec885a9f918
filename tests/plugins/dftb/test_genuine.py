"""Files that DFTB+ itself has written."""

from pathlib import Path

import numpy as np
import pytest
from ase import units

from ald_core.testing import frame_of
from ald_core.types import Failure, Labels
from ald_dftb.acceptance import accept
from ald_dftb.outputs import read_details, read_tags, read_understood

DATA = Path(__file__).parents[2] / "data" / "qm" / "dftbplus"
DETAILS = (DATA / "detailed.out").read_text()
UNDERSTOOD = (DATA / "dftb_pin.hsd").read_text()
STDOUT = "** Geometry step: 0\nTotal Mermin free energy:   -3.2963983884 H   -89.6996 eV\n"
RESULTS = """mermin_energy       :real:0:
 -0.329639838840000E+001
total_energy        :real:0:
 -0.329639838840000E+001
forces              :real:2:3,4
  0.165670562030000E-001  0.281795142200000E-002  0.563457427000000E-002
 -0.188038185300000E-001 -0.288064900000000E-005 -0.601544200000000E-005
  0.111856287900000E-002 -0.529107025900000E-002 -0.870711110000000E-003
  0.111819945400000E-002  0.247599948600000E-002 -0.475784771800000E-002
"""


def labels(changed=()):
    texts = {
        "stdout": STDOUT,
        "results.tag": RESULTS,
        "detailed.out": DETAILS,
        "dftb_pin.hsd": UNDERSTOOD,
    }
    texts |= dict(changed)
    return accept(frame_of(read_understood(UNDERSTOOD), "gas"), texts, None)


def test_numbers_of_detailed_out():
    details = read_details(DETAILS)
    assert details.energy == -3.2963983884
    assert details.forces[1].tolist() == [-0.018803818530, -0.000002880649, -0.000006015442]
    assert details.converged
    assert details.pressure is None


def test_forces_of_older_releases_have_no_index():
    older = "\n".join(
        line[5:] if line.startswith("    ") and line.count(".") == 3 else line
        for line in DETAILS.splitlines()
    )
    assert older != DETAILS
    assert np.array_equal(read_details(older).forces, read_details(DETAILS).forces)


def test_the_geometry_is_repeated_in_the_input_that_dftb_has_understood():
    atoms = read_understood(UNDERSTOOD)
    assert atoms.get_chemical_symbols() == ["N", "H", "H", "H"]
    assert atoms.positions[2].tolist() == [0.702550, -0.851820, -0.060860]
    assert not atoms.pbc.any()


def test_labels_are_in_electronvolt():
    found = labels()
    assert isinstance(found, Labels)
    assert found.energy == pytest.approx(-89.6996, abs=1e-3)
    assert found.forces[0, 0] == pytest.approx(0.016567056203 * units.Hartree / units.Bohr)
    assert found.stress is None


def test_tags_are_read_by_their_names():
    tags = read_tags(RESULTS, {"forces"})
    assert list(tags) == ["forces"]
    assert tags["forces"].shape == (4, 3)
    assert tags["forces"][3, 2] == -0.00475784771800


@pytest.mark.parametrize(
    ("changed", "reason", "kind"),
    [
        ({"detailed.out": DETAILS.replace("SCC converged", "SCC is NOT converged")}, "does not say that", "invalid"),
        ({"stdout": STDOUT + "ERROR!\n-> SCC is NOT converged\n"}, "SCC is NOT converged", "numerical"),
        ({"stdout": "ERROR!\n-> Invalid Hamiltonian\n-> Path: dftb_in\n"}, "Hamiltonian Path: dftb_in", "input"),
        ({"stdout": STDOUT + "ERROR!\n-> Failure in diagonalisation\n"}, "DFTB+ stopped: Failure in diag", "invalid"),
        ({"stdout": ""}, "did not begin to calculate", "invalid"),
        ({"stdout": STDOUT.replace("-3.29", "-3.28")}, "their energies differ", "invalid"),
        ({"detailed.out": DETAILS.replace("-3.2963983884 H", "-3.2863983884 H")}, "their energies differ", "invalid"),
        ({"detailed.out": DETAILS.replace("0.016567056203", "0.026567056203")}, "their forces differ", "invalid"),
        ({"detailed.out": DETAILS.replace("0.016567056203", "**************")}, "detailed.out is cut off", "invalid"),
        ({"results.tag": RESULTS.replace("0.165670562030000E-001", "*" * 22)}, "'**", "invalid"),
        ({"results.tag": RESULTS.replace("0.165670562030000E-001", "NaN")}, "'NaN', which is no number", "invalid"),
        ({"results.tag": RESULTS[:-1]}, "ends in the middle of a line", "invalid"),
        ({"results.tag": RESULTS.replace("-0.475784771800000E-002", "")}, "forces has 11 numbers, not 12", "invalid"),
        ({"results.tag": RESULTS + RESULTS}, "is there twice", "invalid"),
        ({"results.tag": RESULTS.replace("forces ", "torques")}, "has no forces", "invalid"),
        ({"results.tag": RESULTS + "forcerelated_energy :real:0:\n -0.3E+001\n"}, "not those of the Mermin", "input"),
        ({"dftb_pin.hsd": UNDERSTOOD.replace("0.112320", "0.112420")}, "atom 1 (N) is 0.0001 Å from where", "invalid"),
        ({"dftb_pin.hsd": UNDERSTOOD.replace("N H", "H N", 1)}, "it has H as atom 1, not N", "invalid"),
        ({"dftb_pin.hsd": UNDERSTOOD[:60]}, "dftb_pin.hsd is cut off or damaged", "invalid"),
    ],
)  # fmt: skip
def test_what_is_not_right_gives_no_labels(changed, reason, kind):
    found = labels(changed)
    assert isinstance(found, Failure)
    assert reason in found.reason
    assert found.kind == kind


def test_where_results_tag_has_no_free_energy_the_details_have_it():
    found = labels({"results.tag": RESULTS.replace("mermin", "gibbs")})
    assert found.energy == labels().energy


def test_the_free_energy_is_taken_where_it_differs_from_the_energy():
    total = "total_energy        :real:0:\n -0.3"
    assert total in RESULTS
    warm = labels({"results.tag": RESULTS.replace(total, total[:-1] + "2")})
    assert warm.energy == labels().energy
