"""What is wrong with what users give, and what is right."""

import random
import re
from contextlib import suppress
from pathlib import Path

import attrs
import numpy as np
import pytest
from ase import Atoms
from ase.units import kB

from ald_core.errors import InputError
from ald_core.options import build, identity
from ald_core.testing import compressed_cell, frame_of, mixed_cell
from ald_vasp.incar import read_incar
from ald_vasp.labeler import VaspLabeler

STUDIES = Path(__file__).parents[2] / "data" / "legacy" / "studies"
ELEMENTS = ("Al", "C", "O")


def change(folder, before, after, name="3000.INCAR"):
    path = folder / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def problems(labeler, temperature=3000.0, elements=ELEMENTS):
    found = labeler.check(elements) + labeler.check_temperature(temperature, elements)
    for problem in found:
        assert problem.startswith(str(labeler.inputs)) or "electronic temperature" in problem
        assert "\n" not in problem
    return [problem.removeprefix(f"{labeler.inputs}").lstrip("/: ") for problem in found]


def prepared(labeler, frame, path, rung=0):
    path.mkdir()
    return labeler.prepare(frame, path, rung)


# ---------------------------------------------------------------- temperature of the electrons


@pytest.mark.parametrize(
    ("sigma", "kelvin"),
    [("0.086", 1000.0), ("0.517", 6000.0), ("0.2585199101", 3000.0), ("0.026", 300.0)],
)
def test_rounded_values_are_right(program, fill, tmp_path, sigma, kelvin):
    fill(tmp_path / "inputs", ELEMENTS, "INCAR", sigma)
    assert problems(VaspLabeler(inputs=tmp_path / "inputs", program=program), kelvin) == []


def test_another_sigma_is_refused(labeler, tmp_path):
    change(labeler.inputs, "0.2585199101", "0.2")
    said = "3000.INCAR: SIGMA = 0.2 is 2320.9 K, but labels are made at 3000 K; set SIGMA = 0.2585199101"
    assert problems(labeler) == [said]
    with pytest.raises(InputError, match=r"frame 001-case-000000010: .*3000.INCAR: SIGMA = 0.2 is"):
        prepared(labeler, frame_of(compressed_cell()), tmp_path / "task")
    assert list((tmp_path / "task").iterdir()) == []


def test_one_file_for_two_temperatures_is_refused(labeler):
    (labeler.inputs / "3000.INCAR").rename(labeler.inputs / "INCAR")
    assert problems(labeler) == []
    (found,) = problems(labeler, 6000.0)
    assert found.startswith("INCAR: SIGMA = 0.2585199101 is 3000 K, but labels are made at 6000 K")
    assert found.endswith("set SIGMA = 0.5170398202 in a file 6000.INCAR")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("ISMEAR = -1", "ISMEAR = 0", "ISMEAR = 0 gives the electrons no temperature; set ISMEAR = -1"),
        ("ISMEAR = -1", "", "ISMEAR is missing; set ISMEAR = -1 and SIGMA = 0.2585199101 for 3000 K"),
        ("SIGMA", "#SIGMA", "SIGMA is missing; set ISMEAR = -1 and SIGMA = 0.2585199101 for 3000 K"),
        ("0.2585199101", "kT", "SIGMA = kT is no number; correct it"),
    ],
)  # fmt: skip
def test_electrons_without_a_temperature_are_refused_unless_they_are_meant(
    labeler, before, after, words
):
    change(labeler.inputs, before, after)
    (found,) = problems(labeler)
    assert found.startswith(f"3000.INCAR: {words}")
    meant = attrs.evolve(labeler, smearing="any")
    assert problems(meant) == ([found] if after == "kT" else [])


def test_sigma_is_set_where_it_is_not_told(labeler, tmp_path):
    labeler = attrs.evolve(labeler, smearing="set")
    change(labeler.inputs, "   SIGMA  = 0.2585199101\n", "")
    (labeler.inputs / "3000.INCAR").rename(labeler.inputs / "INCAR")
    for kelvin in (1000.0, 6000.0):
        assert problems(labeler, kelvin) == []
        frame = frame_of(compressed_cell(), temperature=kelvin)
        prepared(labeler, frame, tmp_path / f"{kelvin:g}")
        incar = read_incar(tmp_path / f"{kelvin:g}" / "INCAR")
        assert [s.word for s in incar.all("ISMEAR")] == ["-1"]
        (sigma,) = incar.all("SIGMA")
        assert sigma.number == pytest.approx(kelvin * kB, abs=1e-10)
    change(labeler.inputs, "ISMEAR = -1", "ISMEAR = 1", "INCAR")
    assert problems(labeler)[0].startswith("INCAR: ISMEAR = 1 gives the electrons no temperature")
    change(labeler.inputs, "ISMEAR = 1", "ISMEAR = -1; SIGMA = 0.1", "INCAR")
    assert problems(labeler)[0].startswith("INCAR: SIGMA = 0.1 is 1160.45 K, but labels are made")


def test_frames_need_a_temperature(labeler, tmp_path):
    (labeler.inputs / "3000.INCAR").rename(labeler.inputs / "INCAR")
    frame = frame_of(compressed_cell(), temperature=None)
    with pytest.raises(InputError, match="electronic temperature is not known; give frames a temp"):
        prepared(labeler, frame, tmp_path / "task")
    assert "temperature is 0 K; give" in problems(labeler, 0.0)[0]
    prepared(attrs.evolve(labeler, smearing="any"), frame, tmp_path / "any")
    prepared(attrs.evolve(labeler, temperature=3000.0), frame, tmp_path / "fixed")


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("NSW    = 0", "NSW    = 100", "NSW = 100 moves the atoms; set NSW = 0"),
        ("ISIF   = 2", "ISIF   = 0", "ISIF = 0 gives no stress; set ISIF = 2, or say stress = false"),
        ("ISIF   = 2", "", "ISIF is missing, and there will be no stress; set ISIF = 2"),
        ("ENCUT  = 400", "", "ENCUT is missing, so that it would be another for frames with other elements; set ENCUT"),
        ("IALGO  = 48", "ALGO = Exact", "ALGO = Exact does not converge the electrons; choose one of Normal, VeryFast, "
         "Fast, All, Conjugate, Damped"),
        ("NELM   = 20", "NELM = many", "NELM = many is no number; correct it"),
        ("NELM   = 20", "NELM = 1e999", "NELM = 1e999 is no number; correct it"),
        ("NELM   = 20", "NELM = 0", "NELM = 0 is too small; correct it"),
        ("NELM   = 20", "ICHARG = 11", "ICHARG = 11 keeps the charge density; set ICHARG = 2"),
        ("NELM   = 20", "NELM = 20; NELM = 30", "NELM is given several times, in lines 9 and 9; remove all but one"),
    ],
)  # fmt: skip
def test_an_incar_that_asks_for_something_else(labeler, before, after, said):
    change(labeler.inputs, before, after)
    assert problems(labeler) == [f"3000.INCAR: {said}"]


def test_without_stress_less_is_needed(labeler):
    change(labeler.inputs, "ISIF   = 2", "ISIF   = 0")
    assert problems(attrs.evolve(labeler, stress=False)) == []


def test_one_element_needs_no_cutoff(labeler):
    change(labeler.inputs, "ENCUT  = 400", "")
    assert problems(labeler, elements=["C"]) == []


def test_values_for_each_element_need_frames_with_all_of_them(labeler, tmp_path):
    change(labeler.inputs, "NELM", "LDAUU = 2*0.0 4.0\nNELM")
    assert problems(labeler) == []
    with pytest.raises(InputError, match="LDAUU has 3 values, but a frame has the elements Al O"):
        prepared(labeler, frame_of(mixed_cell()), tmp_path / "task")
    change(labeler.inputs, "2*0.0 4.0", "0.0 4.0")
    prepared(labeler, frame_of(mixed_cell()), tmp_path / "both")


def test_k_points_from_the_incar(labeler, tmp_path):
    (labeler.inputs / "KPOINTS").unlink()
    said = "there is no 3000.KPOINTS or KPOINTS; add it, or correct the folder"
    assert problems(labeler) == [said]
    change(labeler.inputs, "NELM", "KSPACING = 0.5\nNELM")
    assert problems(labeler) == []
    prepared(labeler, frame_of(compressed_cell()), tmp_path / "task")
    assert not (tmp_path / "task" / "KPOINTS").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "O.POTCAR: there is no such file; copy the POTCAR of O"),
        ("", "O.POTCAR: there is no TITEL in it; copy the POTCAR of O"),
        ("TITEL = PAW_PBE Os_pv 1\nEnd of Dataset", "O.POTCAR: it is of Os; copy the POTCAR of O"),
        ("TITEL = PAW_PBE O_s 1\n", "O.POTCAR: it holds 0 whole potentials, not one; copy that of O"),
        ("TITEL = PAW O 1\nLEXCH = CA\nEnd of Dataset\n",
         "POTCARs are of different functionals (PE of Al, CA of O); exchange some"),
    ],
)  # fmt: skip
def test_potentials_that_are_not_right(labeler, content, said):
    path = labeler.inputs / "O.POTCAR"
    path.unlink() if content is None else path.write_text(content)
    assert problems(labeler) == [said]


def test_a_folder_that_is_none(program, tmp_path):
    (tmp_path / "INCAR").write_text("")
    labeler = VaspLabeler(inputs=tmp_path / "INCAR", program=program)
    assert labeler.check(ELEMENTS) == [
        f"{tmp_path}/INCAR: it is no folder; give the folder with INCAR and POTCARs"
    ]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "vasp.inputs: is required"),
        ({"inputs": "nowhere"}, "there is no file"),
        ({"inputs": ".", "vacuum": 0}, "vasp.vacuum: 'vacuum' must be > 0"),
        ({"inputs": ".", "smearing": "sett"}, "did you mean 'set'?"),
        ({"inputs": ".", "algorithms": ["Exact"]}, "vasp.algorithms: 'algorithms' must be in"),
        ({"inputs": ".", "temperature": -5}, "vasp.temperature: 'temperature' must be > 0"),
    ],
)
def test_options_that_are_wrong(tmp_path, table, said):
    found, wrong = build(VaspLabeler, table, "vasp", tmp_path)
    assert found is None
    assert said in wrong[0]


def test_the_program_is_known_before_any_job(labeler, program):
    assert labeler.programs() == {"program": program}
    assert VaspLabeler(inputs=labeler.inputs).programs() == {"program": "vasp_std"}


def test_what_labels_depend_on(labeler):
    known = identity(labeler)
    assert identity(attrs.evolve(labeler, program="elsewhere/vasp_gam")) == known
    assert identity(attrs.evolve(labeler, smearing="set")) != known
    change(labeler.inputs, "ENCUT  = 400", "ENCUT  = 500")
    assert identity(labeler) != known


WORDS = [
    "xx",
    "nan",
    "-inf",
    "1e999",
    "1D0",
    "1_0",
    "=",
    ";",
    "\\",
    "#",
    "²",
    "9" * 5000,
    "9999999*0",
    "",
    "\0",
    ".TRUE.",
]


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_give_sentences_or_are_right(labeler, tmp_path, seed):
    """Whatever is in the INCAR, there is no other error."""
    rng = random.Random(seed)
    path = labeler.inputs / "3000.INCAR"
    labeler = attrs.evolve(labeler, smearing=rng.choice(["check", "set", "any"]))
    words = re.split(r"(\s+)", path.read_text() + "LDAUU = 1 2\nALGO = Normal\nMAGMOM = 4*1\n")
    for _ in range(rng.randint(1, 3)):
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    path.write_text("".join(words))
    labeler.check_temperature(3000.0, ELEMENTS)
    with suppress(InputError):
        prepared(labeler, frame_of(mixed_cell()), tmp_path / "task", rung=1)


# ---------------------------------------------------------------- studies as users have them


@pytest.mark.parametrize(
    ("study", "temperatures", "elements"),
    [
        ("molten_carbon", [6000.0], ["C"]),
        ("hydrogen_two_cases", [300.0, 2000.0], ["H"]),
        ("cluster_water", [1000.0], ["H", "O"]),
        ("hierarchical_CN", [6000.0], ["C", "N"]),
    ],
)
def test_inputs_of_real_studies_are_right(study, temperatures, elements, fill, program, tmp_path):
    folder = STUDIES / study / "ALL_BASE_FILES" / "QM_BASEFILES"
    inputs = tmp_path / "inputs"
    fill(inputs, elements)
    for path in folder.iterdir():
        (inputs / path.name).write_bytes(path.read_bytes())
    labeler = VaspLabeler(inputs=inputs, program=program)
    for kelvin in temperatures:
        assert problems(labeler, kelvin, elements) == []
        atoms = Atoms(elements, np.eye(3)[: len(elements)], cell=[6.0] * 3, pbc=True)
        prepared(labeler, frame_of(atoms, temperature=kelvin), tmp_path / f"{kelvin:g}", rung=1)
        found = read_incar(tmp_path / f"{kelvin:g}" / "INCAR")
        assert len(found.all("ALGO")) == 1
        assert found.all("IALGO") == []
        before = read_incar(inputs / f"{kelvin:g}.INCAR")
        for tag in ("ENCUT", "GGA", "EDIFF", "ISPIN", "SIGMA", "MAGMOM", "LREAL"):
            assert [s.value for s in found.all(tag)] == [s.value for s in before.all(tag)]
