"""Genuine outputs of Gaussian: numbers of the good ones, reasons of the others."""

import re

import numpy as np
import pytest
from ase.units import Bohr, Hartree

from ald_core.types import Failure
from ald_gaussian.outputs import Output, echoes, read_output


@pytest.mark.parametrize(
    ("name", "symbols", "hartree", "place", "force"),
    [
        (
            "methane",
            "CHHHH",
            -40.5240137309,
            (0.710150, -0.105140, 1.057930),
            (72.322, 8.469, -203.220),
        ),
        ("h2pbc", "HH", -1.06463933888, (0.5, 0.5, 0.0), (-66019.420, -66019.420, 0.0)),
        (
            "dvb_ir",
            "CCCCCHHHCCHHHCHCHHCH",
            -382.308266602,
            (1.116283, 0.0, -1.796655),
            (4.505, 0.0, -3.355),
        ),
    ],
)
def test_good_outputs(genuine, name, symbols, hartree, place, force):
    """As printed: energy, last position and force (1e-6 Hartree/Bohr), which are not in the standard orientation."""
    found = read_output(genuine(name))
    assert isinstance(found, Output), found
    assert (found.version, found.charge, found.multiplicity) == ("2016+A.03", 0, 1)
    assert "".join(found.symbols) == symbols
    assert found.energy == pytest.approx(hartree * Hartree, rel=1e-14)
    assert found.positions[-1] == pytest.approx(place, abs=1e-12)
    assert found.forces[-1] == pytest.approx(np.array(force) * 1e-6 * Hartree / Bohr, abs=1e-12)
    assert np.abs(found.forces.sum(axis=0)).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("h3o3_not_converged", "numerical", "the SCF did not converge"),
        ("scf_convergence_cycles", "numerical", "the SCF did not converge"),
        ("opt_steps_cycles", "numerical", "the optimisation did not converge (link 9999)"),
        ("insufficient_memory", "memory", "too little memory (option memory): Out-of-memory error in routine"),
        ("insufficient_memory", "memory", "Use %mem=11MW to provide the minimum"),
        ("syntax", "input", "does not understand the route: QPErr --- A syntax error"),
        ("syntax", "input", "Opt=(MaxCycless=100)"),
        ("walltime", "invalid", "ends without a normal termination: it was stopped, or is cut off"),
    ],
)  # fmt: skip
def test_failed_outputs(genuine, name, kind, words):
    found = read_output(genuine(name))
    assert isinstance(found, Failure)
    assert found.kind == kind
    assert found.reason.startswith(f"{name}: ")
    assert words in found.reason
    assert "\n" not in found.reason


def test_the_route_is_found_where_it_is_broken(genuine):
    path = genuine("insufficient_memory")
    assert echoes(
        path, "#P B3LYP/6-31+G* Opt=(MaxCycles=100) SCF SCRF=(PCM, Solvent=TetraHydroFuran)"
    )
    assert not echoes(path, "#P B3LYP/6-31+G* Opt=(MaxCycles=100) SCF")
    assert echoes(genuine("methane"), "#force b3lyp/6-31g**", "methane")


@pytest.mark.parametrize("name", ["methane", "h2pbc"])
def test_every_cut_is_a_failure(genuine, name):
    path = genuine(name)
    whole = path.read_bytes()
    for n in [*range(0, len(whole) - 80, 97), *range(len(whole) - 80, len(whole))]:
        path.write_bytes(whole[:n])
        assert isinstance(read_output(path), Failure), n


def test_no_output_is_a_failure(tmp_path):
    assert (
        read_output(tmp_path / "R.1.log").reason
        == "R.1.log: there is no output (No such file or directory)"
    )


DONE = " SCF Done:  E(RB3LYP) =  -40.5240137309     A.U. after    8 cycles\n"
NOT_MET = " >>>>>>>>>> Convergence criterion not met.\n"


@pytest.mark.parametrize(
    ("old", "new", "kind", "words"),
    [
        ("-40.5240137309", "**************", "invalid", "cannot be read"),
        ("-40.5240137309", "           NaN", "invalid", "not finite"),
        ("   0.000170842", "**************", "invalid", "cannot be read"),
        ("2        1          -0.000215948", "2        6          -0.000215948", "invalid", "different atoms"),
        (" SCF Done", " SCF Dome", "invalid", "no line 'SCF Done'"),
        (DONE, NOT_MET + DONE, "numerical", "did not converge, and went on"),
        (DONE, DONE + NOT_MET, "numerical", "did not converge, and went on"),
        (DONE, DONE + NOT_MET + DONE, "numerical", "did not converge, and went on"),
        (DONE, DONE + " E2 =    -0.15D+00 EUMP2 =    -0.4056D+02\n", "input", "not those of the SCF energy"),
        (DONE, DONE + " Excited State   1:      Singlet-A      7.1 eV\n", "input", "not those of the SCF energy"),
        (DONE, DONE + " E2(B2PLYP) = -0.17D+00 E(B2PLYP) = -0.40D+02\n", "input", "not those of the SCF energy"),
        (" Normal term", " Normal termination of Gaussian 16 at x.\n Normal term", "invalid", "2 normal terminations"),
        (" Normal term", " Erroneous write. Write -1 instead of 4096.\n Abnormal term", "infrastructure", "disk full"),
        (" Normal term", " galloc:  could not allocate memory.\n", "memory", "too little memory"),
        (" Normal term", " Error termination via Lnk1e in /x/l103.exe at x.\n No term", "invalid", "error in link 103"),
        (" Normal term", " Error termination via Lnk1e in /x/l508.exe at x.\n No term", "numerical", "quadratic SCF"),
        (" Normal term", " Small interatomic distances encountered:     2    1 1.0D-02\n", "invalid", "too close"),
        (" Multiplicity = 1", " Multiplicity = x", "invalid", "cannot be read"),
    ],
)  # fmt: skip
def test_what_can_be_wrong_with_an_output(genuine, old, new, kind, words):
    path = genuine("methane")
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    found = read_output(path)
    assert isinstance(found, Failure), found
    assert (found.kind, words in found.reason) == (kind, True), found


def test_the_last_scf_counts(genuine):
    """With XQC, the usual SCF that did not converge is followed by the quadratic one."""
    path = genuine("methane")
    first = DONE.replace("-40.5240137309", "-40.4999999999")
    path.write_text(path.read_text().replace(DONE, NOT_MET + first + DONE.replace("A.U.", "a.u.")))
    assert read_output(path).energy == pytest.approx(-40.5240137309 * Hartree, rel=1e-14)


def test_text_behind_the_end_is_suspect(genuine):
    path = genuine("methane")
    path.write_text(path.read_text() + " Entering Gaussian System, Link 0=g16\n")
    assert re.search("text behind the only one", read_output(path).reason)
