"""Inputs for pw.x: the user's file is understood, and what is asked for is the frame and the user's method."""

import shutil
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io.espresso import read_fortran_namelist
from ase.units import Rydberg, kB

from ald_core.errors import InputError
from ald_core.testing import compressed_cell, contents, frame_of, mixed_cell
from ald_espresso.inputs import read_file
from ald_espresso.labeler import EspressoLabeler

INPUTS = Path(__file__).parents[2] / "data" / "qm" / "espresso" / "inputs"


@pytest.fixture
def folder(tmp_path):
    """The inputs of PBE, to be changed."""
    shutil.copytree(INPUTS / "pbe", tmp_path / "inputs", copy_function=shutil.copyfile)
    return tmp_path / "inputs"


def change(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def prepared(labeler, frame, workdir, rung=0):
    """Namelists and cards that pw.x is given."""
    workdir.mkdir(exist_ok=True)
    labeler.prepare(frame, workdir, rung)
    with (workdir / "pw.in").open() as stream:
        return read_fortran_namelist(stream)


def test_an_input_of_any_run_becomes_that_of_the_frame(tmp_path):
    frame = frame_of(compressed_cell())
    namelists, cards = prepared(EspressoLabeler(inputs=INPUTS / "pbe"), frame, tmp_path)
    assert set(namelists) == {"control", "system", "electrons"}
    control, system = namelists["control"], namelists["system"]
    assert control["calculation"] == "scf"
    assert control["tprnfor"] is control["tstress"] is True
    assert control["pseudo_dir"] == "/usr/share/espresso/pseudo"
    assert (system["ibrav"], system["nat"], system["ntyp"]) == (0, 8, 1)
    assert "a" not in system
    assert (system["ecutwfc"], system["nbnd"]) == (20, 20)
    assert namelists["electrons"]["conv_thr"] == 1e-10
    assert "K_POINTS gamma" in cards
    again = ase.io.read(tmp_path / "pw.in", format="espresso-in")
    assert np.abs(again.positions - frame.atoms.positions).max() < 1e-11
    assert np.abs(again.cell[:] - frame.atoms.cell[:]).max() < 1e-11


def test_species_keep_the_order_to_which_indices_refer(folder, tmp_path):
    change(folder / "pw.in", "  C 12.011 C.pbe-rrkjus.UPF",
           "Si 28.085 Si.UPF\nO 15.999 O.UPF\nAl 26.982 Al.UPF")  # fmt: skip
    change(folder / "pw.in", "nbnd = 20", "nspin = 2, starting_magnetization(2) = 0.3")
    change(folder / "pw.in", "pseudo_dir", "! pseudo_dir")
    for element in ("Si", "O", "Al"):
        (folder / f"{element}.UPF").write_text(element)
    namelists, cards = prepared(
        EspressoLabeler(inputs=folder), frame_of(mixed_cell()), tmp_path / "job"
    )
    assert namelists["system"]["starting_magnetization(2)"] == 0.3
    assert "starting_magnetization(1)" not in namelists["system"]
    species = cards.index("ATOMIC_SPECIES")
    assert [line.split()[0] for line in cards[species + 1 : species + 4]] == ["Si", "O", "Al"]
    positions = cards.index("ATOMIC_POSITIONS angstrom")
    order = [line.split()[0] for line in cards[positions + 1 : positions + 5]]
    assert order == ["O", "Al", "O", "Al"]


def test_the_input_of_a_temperature_comes_first(folder, tmp_path):
    shutil.copyfile(folder / "pw.in", folder / "900.pw.in")
    change(folder / "900.pw.in", "ecutwfc = 20", "ecutwfc = 21")
    labeler = EspressoLabeler(inputs=folder)
    for temperature, cutoff in ((900.0, 21), (900.4, 21), (800.0, 20)):
        frame = frame_of(compressed_cell(), temperature=temperature)
        namelists, _ = prepared(labeler, frame, tmp_path / "job")
        assert namelists["system"]["ecutwfc"] == cutoff


@pytest.mark.parametrize("place", ["", "pseudo"])
def test_pseudopotentials_beside_the_input_are_copied(folder, tmp_path, place):
    (folder / place).mkdir(exist_ok=True)
    (folder / place / "C.pbe-rrkjus.UPF").write_text("carbon")
    old = 'pseudo_dir = "/usr/share/espresso/pseudo"'
    change(folder / "pw.in", old, f"pseudo_dir = '{place}'" if place else "")
    labeler = EspressoLabeler(inputs=folder)
    assert labeler.check(["C"]) == []
    namelists, _ = prepared(labeler, frame_of(compressed_cell()), tmp_path / "job")
    assert namelists["control"]["pseudo_dir"] == "./"
    assert contents(tmp_path / "job").keys() == {"pw.in", "C.pbe-rrkjus.UPF"}


def test_molecules_get_a_box_and_no_stress(tmp_path):
    atoms = molecule("O2")
    labeler = EspressoLabeler(inputs=INPUTS / "lda", vacuum=7.0)
    namelists, cards = prepared(labeler, frame_of(atoms, kind="gas"), tmp_path)
    assert namelists["control"]["tstress"] is False
    cell = cards.index("CELL_PARAMETERS angstrom")
    sizes = [float(line.split()[i]) for i, line in enumerate(cards[cell + 1 : cell + 4])]
    assert sizes == pytest.approx(np.ptp(atoms.positions, axis=0) + 7.0)


@pytest.mark.parametrize(
    ("given", "fixed", "kelvin"),
    [(None, None, 3000.0), (None, 450.0, 450.0), (0.019, None, 3000.0)],
)
def test_electronic_temperature(folder, tmp_path, given, fixed, kelvin):
    if given:
        change(folder / "pw.in", "nbnd = 20", f"degauss = {given}")
    labeler = EspressoLabeler(inputs=folder, temperature=fixed)
    namelists, _ = prepared(labeler, frame_of(compressed_cell()), tmp_path / "job")
    wanted = given or kelvin * kB / Rydberg
    assert namelists["system"]["degauss"] == pytest.approx(wanted, rel=1e-12)
    assert labeler.check_temperature(3000.0, ["C"]) == []


def test_electronic_temperatures_that_disagree(folder, tmp_path):
    change(folder / "pw.in", "nbnd = 20", "degauss = 0.002")
    (problem,) = EspressoLabeler(inputs=folder).check_temperature(3000.0, ["C"])
    assert "degauss is the electronic temperature 315.775 K, but labels are made at 3000" in problem
    with pytest.raises(InputError, match="but labels are made at 3000 K"):
        prepared(EspressoLabeler(inputs=folder), frame_of(compressed_cell()), tmp_path)
    fixed = EspressoLabeler(inputs=folder, temperature=315.775)
    assert fixed.check_temperature(3000.0, ["C"]) == []
    change(folder / "pw.in", "smearing = 'fermi-dirac'", "smearing = 'mv'")  # no temperature
    assert EspressoLabeler(inputs=folder).check_temperature(3000.0, ["C"]) == []


def test_frames_without_a_temperature_are_told_of(tmp_path):
    frame = frame_of(compressed_cell(), temperature=None)
    with pytest.raises(InputError, match="a frame has no temperature; give"):
        prepared(EspressoLabeler(inputs=INPUTS / "pbe"), frame, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("C.pbe-rrkjus.UPF", "C.none.UPF", "there is no file /usr/share/espresso/pseudo/C.none.UPF"),
        ("  C 12.011", "  N 14.007", "there is no C in ATOMIC_SPECIES"),
        ("  C 12.011", "  C1 12.011", "'C1 12.011 C.pbe-rrkjus.UPF' of ATOMIC_SPECIES is no element"),
        ("ATOMIC_SPECIES", "ATOMIC_SPECIES\nC 12 C.UPF", "an element is twice"),
        ("ATOMIC_SPECIES", "SPECIES", "'SPECIES' belongs to no card"),
        ("K_POINTS gamma", "", "there is no card K_POINTS"),
        ("K_POINTS gamma", "K_POINTS\n1\n0 0 0 1", "K_POINTS tpiba depend on the cell"),
        ("conv_thr = 1.0d-10", "scf_must_converge = .false.", "would let numbers pass that are none"),
        ('"/usr/share/espresso/pseudo"', "'../pseudo'", "leads elsewhere from a job; give a full path"),
        ("'smearing', smearing", "'from_input', smearing", "are those of other atoms"),
        ("ecutwfc = 20, ecutrho", "ecutwfc = 20 ecutrho", "'ecutwfc = 20 ecutrho = 120' in &system cannot"),
        ('"/usr/share', '"it\'s/usr/share', "has both kinds of quotes"),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_anything_runs(folder, old, new, words):
    labeler = EspressoLabeler(inputs=folder)
    assert labeler.check(["C"]) == []
    change(folder / "pw.in", old, new)
    found = labeler.check(["C"])
    assert any(words in problem for problem in found), found
    assert all(problem.startswith(str(folder / "pw.in")) for problem in found)
    assert not any("\n" in problem for problem in found)


def test_folders_that_are_none(tmp_path, folder):
    (problem,) = EspressoLabeler(inputs=folder / "pw.in").check(["C"])
    assert problem.endswith("it is no folder; give the folder with pw.in")
    (problem,) = EspressoLabeler(inputs=tmp_path).check(["C"])
    assert problem.endswith("there is no pw.in or <T>.pw.in; add it")
    (folder / "pw.in").rename(folder / "900.pw.in")
    (problem,) = EspressoLabeler(inputs=folder).check_temperature(800.0, ["C"])
    assert problem.endswith("there is no 800.pw.in or pw.in; add it, or correct the folder")


def test_strings_keep_what_namelists_are_made_of(folder):
    change(folder / "pw.in", "nbnd = 20", 'input_dft = "a/b, c !d"  ! vdw')
    assert read_file(folder / "pw.in").namelists["system"]["input_dft"] == "a/b, c !d"


def test_rungs_change_the_path_and_not_the_question(folder, tmp_path):
    labeler = EspressoLabeler(inputs=folder)
    seen = []
    for rung in range(3):
        namelists, _ = prepared(labeler, frame_of(compressed_cell()), tmp_path / "job", rung)
        electrons = namelists["electrons"]
        assert electrons["conv_thr"] == 1e-10
        seen.append(
            [electrons.get(k) for k in ("electron_maxstep", "mixing_beta", "diagonalization")]
        )
    assert seen == [[None, None, None], [200, 0.28, None], [400, 0.105, "cg"]]


def test_the_command(tmp_path):
    labeler = EspressoLabeler(inputs=INPUTS / "pbe", program="/opt/pw.x", arguments=("-nk", "4"))
    atoms = Atoms("C", cell=[3, 3, 3], pbc=True)
    job = labeler.prepare(frame_of(atoms), tmp_path, 0)
    assert job.command == ("/opt/pw.x", "-nk", "4", "-in", "pw.in")
    assert job.outputs == ("stdout",)
    assert labeler.programs() == {"program": "/opt/pw.x"}
