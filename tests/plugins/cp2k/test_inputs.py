"""Inputs for CP2K: the user's files are understood, and what is asked for is the frame and the user's method."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ald_core.errors import InputError
from ald_core.options import describe
from ald_core.testing import compressed_cell, contents, frame_of
from ald_cp2k.inputs import read_file
from ald_cp2k.labeler import Cp2kLabeler
from ald_cp2k.sections import parse, preprocess

DATA = Path(__file__).parents[2] / "data"
INPUTS = DATA / "qm" / "cp2k" / "inputs"
SILICA = DATA / "legacy" / "studies" / "silica_cp2k" / "ALL_BASE_FILES" / "QM_BASEFILES"
USERS = "/nfs/turbo/coe-rklinds/software/cp2k/data/"


def read(**files):
    """The tree of `main`, which may include other files."""

    def include(name):
        if name not in files:
            raise InputError(f"{name} is missing")
        return files[name], name

    return parse(preprocess("main", include))


@pytest.fixture
def folder(tmp_path):
    """The inputs of PBE, to be changed."""
    shutil.copytree(INPUTS / "pbe", tmp_path / "inputs", copy_function=shutil.copyfile)
    return tmp_path / "inputs"


@pytest.fixture
def silica(tmp_path):
    """The inputs of an old study, with the place of CP2K's data on this machine."""
    shutil.copytree(SILICA, tmp_path / "silica", copy_function=shutil.copyfile)
    path = tmp_path / "silica" / "300.cp2k.inp"
    path.write_text(path.read_text().replace(USERS, "/usr/share/cp2k"))
    return tmp_path / "silica"


def change(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


def prepared(labeler, frame, workdir, rung=0):
    """What CP2K is given, as a tree."""
    workdir.mkdir(exist_ok=True)
    labeler.prepare(frame, workdir, rung)
    return read_file(workdir / "cp2k.inp", ()).root


# ---------------------------------------------------------------- the language


def test_preprocessing():
    root = read(
        main="""
        @SET what 12   ! a comment
        @set OTHER
        &A on          # another
          ONE ${What} $what ${nothing-else}   ! ${unknown}
          TWO "a ! b # c" \\
              and more
          @IF ${other}
          THREE
          @ENDIF
          @IF ${what} == 12
          FOUR
          @ENDIF
          @IF ${what} /= 12
          @INCLUDE missing
          @ENDIF
          #@INCLUDE missing
          @INCLUDE 'more'
        &END A
        """,
        more="&B\n\t&C deep\n&END\n&END b",
    )
    (a,) = root.sections
    assert a.lines == ["ONE 12 12 else", 'TWO "a ! b # c"  and more', "FOUR"]
    assert (a.name, a.active, a.find("B", "C").parameter) == ("A", True, "deep")
    assert parse(preprocess("again", lambda name: (root.text(), name))) == root


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("&A\n&B\n&END A", 3, "ends section B"),
        ("&A\n ONE", 2, "section A has no end"),
        ("&A\n&END\n&END", 3, "ends no section"),
        ("ONE\nTWO ${three}", 2, "variable \\${three} has no value"),
        ("@INCLUDE missing", 1, "missing is missing"),
        ("@INCLUDE", 1, "names no file"),
        ("@INCLUDE main", 1, "without end"),
        ("@SET", 1, "names no variable"),
        ("ONE\n@IF 0\nTWO", 2, "no '@ENDIF'"),
        ("@FFTYPE x", 1, "is not understood"),
    ],
)
def test_mistakes_are_said_with_their_place(text, line, words):
    with pytest.raises(InputError, match=words) as error:
        read(main=text)
    assert (error.value.path, error.value.line) == ("main", line)


# ---------------------------------------------------------------- one frame


def test_an_input_of_any_run_becomes_that_of_the_frame(tmp_path):
    frame = frame_of(compressed_cell())
    root = prepared(Cp2kLabeler(inputs=INPUTS / "xtb"), frame, tmp_path)
    assert [s.name for s in root.sections] == ["GLOBAL", "FORCE_EVAL"]
    assert root.find("GLOBAL").value("RUN_TYPE") == "ENERGY_FORCE"
    subsystem = root.find("FORCE_EVAL", "SUBSYS")
    assert [s.name for s in subsystem.sections] == ["CELL", "COORD"]
    words = [line.split() for line in subsystem.find("COORD").lines]
    assert [w[0] for w in words] == ["C"] * 8
    positions = np.array([w[1:] for w in words], dtype=float)
    assert np.abs(positions - frame.atoms.positions).max() < 1e-12
    cell = np.array([line.split()[1:] for line in subsystem.find("CELL").lines], dtype=float)
    assert np.abs(cell - frame.atoms.cell[:]).max() < 1e-12
    assert root.find("FORCE_EVAL", "DFT", "SCF").value("EPS_SCF") == "1.0E-8"
    assert root.find("FORCE_EVAL").value("STRESS_TENSOR") == "ANALYTICAL"


def test_inputs_of_the_existing_driver(silica, tmp_path):
    labeler = Cp2kLabeler(inputs=silica)
    assert labeler.check(["Si", "O"]) == []
    assert labeler.check_temperature(300.0, ["Si", "O"]) == []
    atoms = Atoms("SiO2", np.eye(3), cell=[5, 5, 5], pbc=True)
    root = prepared(labeler, frame_of(atoms, temperature=300.0), tmp_path / "job")
    kinds = [s for s in root.walk() if s.name == "KIND"]
    assert sorted(kind.parameter for kind in kinds) == ["O", "Si"]
    dft = root.find("FORCE_EVAL", "DFT")
    assert dft.value("BASIS_SET_FILE_NAME") == "/usr/share/cp2k/GTH_BASIS_SETS"
    assert dft.find("SCF", "OT").value("N_DIIS") == "7"
    assert dft.find("XC", "VDW_POTENTIAL", "PAIR_POTENTIAL").value("R_CUTOFF") == "[angstrom] 10.0"
    assert root.find("FORCE_EVAL", "SUBSYS", "CELL").value("PERIODIC") == "XYZ"
    assert sorted(contents(tmp_path / "job")) == ["cp2k.inp"]


def test_inputs_of_the_existing_driver_with_mistakes(silica):
    labeler = Cp2kLabeler(inputs=silica)
    (problem,) = labeler.check_temperature(400.0, ["Si", "O"])
    assert problem.endswith("there is no 400.cp2k.inp or cp2k.inp; add it, or correct the folder")
    (silica / "Si.cp2k.qm_basis-block.inp").unlink()
    assert labeler.check(["Si", "O"]) == []
    (problem,) = labeler.check_temperature(300.0, ["Si", "O"])
    assert "300.cp2k.inp, line 60: " in problem
    assert "Si.cp2k.qm_basis-block.inp cannot be read (No such file" in problem
    labeler = Cp2kLabeler(inputs=SILICA)
    found = labeler.check_temperature(300.0, ["Si", "O"])
    assert len(found) == 3
    assert all(f"there is no file {USERS}" in problem for problem in found)


def test_the_input_of_a_temperature_comes_first(folder, tmp_path):
    shutil.copyfile(folder / "cp2k.inp", folder / "900.cp2k.inp")
    change(folder / "900.cp2k.inp", "CUTOFF 300", "CUTOFF 310")
    labeler = Cp2kLabeler(inputs=folder)
    for temperature, cutoff in ((900.0, "310"), (900.4, "310"), (800.0, "300"), (None, "300")):
        if temperature is None:
            change(folder / "cp2k.inp", "FERMI_DIRAC", "ENERGY_WINDOW")
        frame = frame_of(molecule("H2", vacuum=3.0, pbc=True), temperature=temperature)
        root = prepared(labeler, frame, tmp_path / "job")
        assert root.find("FORCE_EVAL", "DFT", "MGRID").value("CUTOFF") == cutoff


def test_files_that_are_named_are_copied(folder, tmp_path):
    change(folder / "cp2k.inp", "GTH_BASIS_SETS", "./own/BASIS")
    (folder / "own").mkdir()
    (folder / "own" / "BASIS").write_text("mine")
    (folder / "notes.txt").write_text("not for CP2K")
    prepared(Cp2kLabeler(inputs=folder), frame_of(compressed_cell("H")), tmp_path / "job")
    assert contents(tmp_path / "job").keys() == {"cp2k.inp", "own/BASIS"}


def test_molecules_get_a_box_and_no_stress(tmp_path):
    atoms = molecule("H2O")
    frame = frame_of(atoms, kind="gas")
    root = prepared(Cp2kLabeler(inputs=INPUTS / "pbe", vacuum=7.0), frame, tmp_path)
    cell = [line.split() for line in root.find("FORCE_EVAL", "SUBSYS", "CELL").lines]
    sizes = [float(row[1 + i]) for i, row in enumerate(cell)]
    assert sizes == pytest.approx(np.ptp(atoms.positions, axis=0) + 7.0)
    assert root.find("FORCE_EVAL").value("STRESS_TENSOR") == "NONE"
    assert root.find("FORCE_EVAL", "PRINT", "STRESS_TENSOR") is None


@pytest.mark.parametrize(
    ("asked", "given"),
    [("NUMERICAL", "NUMERICAL"), ("DIAGONAL_ANALYTICAL", "ANALYTICAL"), ("NONE", "ANALYTICAL")],
)
def test_the_stress_is_whole(folder, tmp_path, asked, given):
    change(folder / "cp2k.inp", "METHOD Quickstep", f"METHOD QS\n STRESS_TENSOR {asked}")
    frame = frame_of(compressed_cell("H"))
    root = prepared(Cp2kLabeler(inputs=folder), frame, tmp_path / "job")
    assert root.find("FORCE_EVAL").value("STRESS_TENSOR") == given


# ---------------------------------------------------------------- electronic temperature


@pytest.mark.parametrize(
    ("given", "fixed", "frame", "said"),
    [
        (None, None, 3000.0, "[K] 3000"),
        (None, 450.0, 3000.0, "[K] 450"),
        ("3000", None, 3000.0, "3000"),
        ("[K] 3.0E3", None, None, "[K] 3.0E3"),
        ("[eV] 0.2585199", None, 3000.0, "[eV] 0.2585199"),
    ],
)
def test_electronic_temperature(folder, tmp_path, given, fixed, frame, said):
    smearing = "METHOD FERMI_DIRAC"
    if given:
        change(folder / "cp2k.inp", smearing, f"{smearing}\n ELEC_TEMP {given}")
    labeler = Cp2kLabeler(inputs=folder, temperature=fixed)
    atoms = compressed_cell("H")
    root = prepared(labeler, frame_of(atoms, temperature=frame), tmp_path / "job")
    smear = root.find("FORCE_EVAL", "DFT", "SCF", "SMEAR")
    assert smear.value("ELECTRONIC_TEMPERATURE", "ELEC_TEMP") == said
    assert len(smear.lines) == 2
    if frame:
        assert labeler.check_temperature(frame, ["H"]) == []


def test_electronic_temperatures_that_disagree(folder, tmp_path):
    change(folder / "cp2k.inp", "METHOD FERMI_DIRAC", "METHOD FERMI_DIRAC\n TELEC 300")
    frame = frame_of(compressed_cell("H"))
    (problem,) = Cp2kLabeler(inputs=folder).check_temperature(3000.0, ["H"])
    assert "the electronic temperature is 300 K, but labels are made at 3000 K" in problem
    with pytest.raises(InputError, match="is 300 K, but"):
        prepared(Cp2kLabeler(inputs=folder), frame, tmp_path)
    assert Cp2kLabeler(inputs=folder, temperature=300).check_temperature(3000.0, ["H"]) == []
    change(folder / "cp2k.inp", "TELEC 300", "TELEC warm")
    (problem,) = Cp2kLabeler(inputs=folder).check_temperature(3000.0, ["H"])
    assert "'warm' cannot be read; give a number in K" in problem


def test_frames_without_a_temperature_are_told_of(tmp_path):
    frame = frame_of(compressed_cell("H"), temperature=None)
    with pytest.raises(InputError, match="a frame has no temperature; give"):
        prepared(Cp2kLabeler(inputs=INPUTS / "pbe"), frame, tmp_path)


# ---------------------------------------------------------------- mistakes, rungs, old options


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("METHOD Quickstep", "METHOD FIST", "METHOD is FIST, but labels come from QUICKSTEP"),
        ("EPS_SCF 1.0E-8", "IGNORE_CONVERGENCE_FAILURE", "would let numbers pass that are none"),
        ("GTH_BASIS_SETS", "/no/BASIS", "there is no file /no/BASIS (BASIS_SET_FILE_NAME)"),
        ("@INCLUDE kinds.inc", "@INCLUDE none.inc", "line 34: "),
        ("@INCLUDE kinds.inc", "", "there is no &KIND O; add it"),
        ("&END FORCE_EVAL", "&END FORCE_EVAL\n&FORCE_EVAL\n&END", "one section FORCE_EVAL"),
        ("&END SCF", "", "cp2k.inp, line "),
    ],
)
def test_mistakes_are_found_before_anything_runs(folder, old, new, words):
    labeler = Cp2kLabeler(inputs=folder)
    assert labeler.check(["H", "O"]) == []
    change(folder / "cp2k.inp", old, new)
    found = labeler.check(["H", "O"])
    assert any(words in problem for problem in found), found
    assert all(problem.startswith(str(folder / "cp2k.inp")) for problem in found)


def test_semiempirical_methods_have_no_electronic_temperature(tmp_path):
    text = (INPUTS / "xtb" / "cp2k.inp").read_text()
    for smear, wrong in (("&SMEAR", 1), ("&SMEAR ON", 1), ("&SMEAR OFF", 0)):
        new = text.replace("MAX_SCF 100", f"{smear}\n METHOD FERMI_DIRAC\n &END SMEAR")
        (tmp_path / "cp2k.inp").write_text(new)
        found = Cp2kLabeler(inputs=tmp_path).check(["C"])
        assert len(found) == wrong
        assert all("XTB with &SMEAR lack the entropy" in problem for problem in found)


def test_folders_that_are_none(tmp_path, folder):
    (problem,) = Cp2kLabeler(inputs=folder / "cp2k.inp").check(["H"])
    assert problem.endswith("it is no folder; give the folder with cp2k.inp")
    (problem,) = Cp2kLabeler(inputs=tmp_path).check(["H"])
    assert problem.endswith("there is no cp2k.inp or <T>.cp2k.inp; add it")
    found = Cp2kLabeler(inputs=folder, data="/no/data").check(["H"])
    names = ("GTH_BASIS_SETS (BASIS_SET_FILE_NAME)", "GTH_POTENTIALS (POTENTIAL_FILE_NAME)")
    for problem, name in zip(found, names, strict=True):
        assert problem.endswith(f"there is no file /no/data/{name}; correct its place")


def test_rungs_change_the_path_and_not_the_question(folder, silica, tmp_path):
    diagonal = Cp2kLabeler(inputs=folder)
    orbital = Cp2kLabeler(inputs=silica)
    frames = frame_of(compressed_cell("H")), frame_of(compressed_cell("H"), temperature=300.0)
    seen = []
    for rung in range(3):
        first = prepared(diagonal, frames[0], tmp_path / "a", rung).find("FORCE_EVAL", "DFT", "SCF")
        other = prepared(orbital, frames[1], tmp_path / "b", rung).find("FORCE_EVAL", "DFT", "SCF")
        mixing, minimizer = first.find("MIXING"), other.find("OT")
        seen.append((first.value("MAX_SCF"), mixing.value("ALPHA"), minimizer.value("MINIMIZER"),
                     minimizer.value("PRECONDITIONER")))  # fmt: skip
        assert first.value("EPS_SCF") == "1.0E-8"
        assert mixing.value("METHOD") == "BROYDEN_MIXING"
        assert other.value("EPS_SCF") == other.find("OUTER_SCF").value("EPS_SCF") == "1.0E-7"
    assert seen == [
        ("50", "0.4", "DIIS", "FULL_SINGLE_INVERSE"),
        ("150", "0.16", "CG", "FULL_SINGLE_INVERSE"),
        ("300", "0.06", "CG", "FULL_ALL"),
    ]


def test_options_of_old_studies():
    old = {i.name: i.legacy.name for i in describe(Cp2kLabeler) if i.legacy}
    assert old == {
        "inputs": "QM_FILES", "program": "CP2K_EXE", "data": "CP2K_DATADIR", "temperature": "THIS_SMEAR",
    }  # fmt: skip
    labeler = Cp2kLabeler(inputs=INPUTS / "pbe", data="/usr/share/cp2k", program="/opt/cp2k.popt")
    assert labeler.programs() == {"program": "/opt/cp2k.popt"}


def test_the_folder_of_data_reaches_cp2k(tmp_path):
    labeler = Cp2kLabeler(inputs=INPUTS / "pbe", data="/usr/share/cp2k")
    job = labeler.prepare(frame_of(compressed_cell("H")), tmp_path, 0)
    assert job.environment == {"CP2K_DATA_DIR": "/usr/share/cp2k"}
    assert job.command == ("cp2k", "-i", "cp2k.inp", "-o", "cp2k.out")
