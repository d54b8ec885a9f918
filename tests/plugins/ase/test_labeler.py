"""The labeler `ase`: real calculators in real processes."""

import json
import os
import subprocess
import sys
from types import ModuleType

import ase.build
import ase.calculators.calculator as ase_calculator
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from ald_ase.labeler import ANSWER, AseLabeler
from ald_ase.single_point import calculate
from ald_core.types import Failure, Frame, Labels, Origin

ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
XTB = {"method": "GFN1-xTB", "verbosity": 0}


def frame_of(atoms: Atoms, temperature: float | None = None) -> Frame:
    return Frame(atoms, Origin(0, "test", 1), temperature)


def label(labeler: AseLabeler, frame: Frame, workdir, rung: int = 0) -> Labels | Failure:
    workdir.mkdir(exist_ok=True)
    spec = labeler.prepare(frame, workdir, rung)
    assert spec.serial
    subprocess.run(spec.command, cwd=workdir, check=True, env=ONE_THREAD)
    return labeler.collect(frame, workdir)


@pytest.fixture
def diamond() -> Atoms:
    atoms = ase.build.bulk("C", "diamond", cubic=True)
    atoms.rattle(0.1, seed=3)
    return atoms


def test_emt_gives_what_ase_gives(tmp_path):
    atoms = ase.build.bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    found = label(AseLabeler(calculator="emt"), frame_of(atoms), tmp_path)
    atoms.calc = EMT()
    assert found.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-14)
    assert np.allclose(found.forces, atoms.get_forces(), rtol=0, atol=1e-13)
    assert np.allclose(found.stress, atoms.get_stress(), rtol=0, atol=1e-14)


def test_xtb_forces_and_stress_are_derivatives_of_its_energy(tmp_path, diamond):
    labeler = AseLabeler(options=XTB | {"accuracy": 0.01})
    found = label(labeler, frame_of(diamond), tmp_path / "0")
    step = 1e-3
    moved, strained = [], []
    for sign in (1, -1):
        atoms = diamond.copy()
        atoms.positions[2, 1] += sign * step
        moved.append(label(labeler, frame_of(atoms), tmp_path / f"m{sign}").energy)
        atoms = diamond.copy()
        strain = np.eye(3)
        strain[0, 0] += sign * step
        atoms.set_cell(atoms.cell[:] @ strain, scale_atoms=True)
        strained.append(label(labeler, frame_of(atoms), tmp_path / f"s{sign}").energy)
    assert found.forces[2, 1] == pytest.approx(-(moved[0] - moved[1]) / (2 * step), abs=2e-4)
    slope = (strained[0] - strained[1]) / (2 * step) / diamond.get_volume()
    assert found.stress[0] == pytest.approx(slope, abs=2e-5)


def test_same_frame_same_bytes_and_the_frame_is_not_changed(tmp_path, diamond):
    before = diamond.positions.copy()
    answers = []
    for name in ("a", "b"):
        label(AseLabeler(options=XTB), frame_of(diamond), tmp_path / name)
        answers.append((tmp_path / name / ANSWER).read_bytes())
    assert answers[0] == answers[1]
    assert np.array_equal(diamond.positions, before)
    assert diamond.calc is None


def test_the_frame_temperature_reaches_the_calculator(tmp_path, diamond):
    labeler = AseLabeler(options=XTB, temperature_option="electronic_temperature")
    cold = label(labeler, frame_of(diamond, 300.0), tmp_path / "cold")
    hot = label(labeler, frame_of(diamond, 20000.0), tmp_path / "hot")
    assert hot.energy < cold.energy - 0.1  # the entropy of the electrons


def test_labels_keep_the_atom_order(tmp_path):
    atoms = ase.build.molecule("CH3OH", vacuum=4.0, pbc=True)
    order = np.random.default_rng(5).permutation(len(atoms))
    labeler = AseLabeler(options=XTB)
    straight = label(labeler, frame_of(atoms), tmp_path / "straight")
    mixed = label(labeler, frame_of(atoms[order]), tmp_path / "mixed")
    assert np.allclose(mixed.forces, straight.forces[order], atol=1e-6)


def test_no_convergence_is_a_numerical_failure_and_the_next_rung_mends_it(tmp_path, diamond):
    labeler = AseLabeler(options=XTB | {"max_iterations": 2}, rungs=({"max_iterations": 250},))
    first = label(labeler, frame_of(diamond), tmp_path / "0", rung=0)
    assert isinstance(first, Failure)
    assert first.kind == "numerical"
    assert "converged" in first.reason
    assert isinstance(label(labeler, frame_of(diamond), tmp_path / "1", rung=1), Labels)


def test_coincident_atoms_are_a_failure_with_its_reason(tmp_path):
    atoms = Atoms("C2", [[0, 0, 0], [0, 0, 0]], cell=[5, 5, 5], pbc=True)
    found = label(AseLabeler(options=XTB), frame_of(atoms), tmp_path)
    assert isinstance(found, Failure)
    assert "distance" in found.reason


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"energy": -1.0}',
        '{"energy": -1.0, "forces": [[0, 0, 0]]}',
        '{"energy": "***", "forces": [[0,0,0],[0,0,0]]}',
        '{"energy": -1.0, "forces": [[0,0,0],[0,0]]}',
        '{"energy": -1.0, "forces": [[0,0,0],[0,0,0]], "stress": [1, 2, 3]}',
    ],
)
def test_an_answer_that_is_cut_off_is_a_failure(tmp_path, answer):
    frame = frame_of(Atoms("C2", [[0, 0, 0], [0, 0, 1.5]], cell=[5, 5, 5], pbc=True))
    (tmp_path / ANSWER).write_text(answer)
    assert isinstance(AseLabeler().collect(frame, tmp_path), Failure)


def test_every_cut_of_a_real_answer_is_a_failure(tmp_path):
    frame = frame_of(Atoms("C2", [[0, 0, 0], [0, 0, 1.4]], cell=[6, 6, 6], pbc=True))
    assert isinstance(label(AseLabeler(options=XTB), frame, tmp_path), Labels)
    whole = (tmp_path / ANSWER).read_text().rstrip("\n")
    for n in range(len(whole)):
        (tmp_path / ANSWER).write_text(whole[:n])
        assert isinstance(AseLabeler().collect(frame, tmp_path), Failure)


@pytest.mark.parametrize(
    ("calculator", "options", "words"),
    [
        ("emtt", {}, "ASE knows no calculator 'emtt'"),
        ("no.such.package:Class", {}, "No module named 'no'"),
        ("ase.calculators.lj:Missing", {}, "has no attribute 'Missing'"),
        ("tblite", {"metod": "GFN1-xTB"}, "no option 'metod'; did you mean 'method'?"),
        ("emt", {"directory": 5}, "TypeError: "),
    ],
)
def test_check_finds_calculators_that_cannot_be_made(calculator, options, words):
    [problem] = AseLabeler(calculator=calculator, options=options).check(["Cu"])
    assert problem.startswith(f"calculator '{calculator}' cannot be made with its options (")
    assert words in problem
    assert "\n" not in problem


def test_check_accepts_what_works_and_knows_the_option_of_the_temperature():
    assert AseLabeler(calculator="emt").check(["Cu"]) == []
    good = AseLabeler(options=XTB, temperature_option="electronic_temperature")
    assert good.check(["C"]) == []
    [problem] = AseLabeler(options=XTB, temperature_option="temperature").check(["C"])
    assert "no option 'temperature'; did you mean 'electronic_temperature'?" in problem


def test_a_calculator_that_cannot_be_made_is_not_tried_again(tmp_path, diamond):
    found = label(AseLabeler(options=XTB | {"metod": "GFN2-xTB"}), frame_of(diamond), tmp_path)
    assert (found.kind, found.reason[:20]) == ("input", "TypeError: tblite ha")


@pytest.fixture
def failing(monkeypatch):
    """The answer of a calculator that fails with an error, when it is made or when it calculates."""

    def answer(error, when):
        class Failing(Calculator):
            implemented_properties = ("energy",)

            def __init__(self):
                super().__init__()
                if when == "made":
                    raise error

            def calculate(self, *args):
                raise error

        module = ModuleType("failing_calculator")
        module.Failing = Failing
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return calculate(
            {
                "calculator": "failing_calculator:Failing",
                "options": {},
                "properties": ["energy"],
                "numbers": [29],
                "positions": [[0, 0, 0]],
                "cell": None,
                "pbc": False,
            }
        )

    return answer


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ImportError("no module"), "input"),
        (TypeError("unexpected keyword 'convergence'"), "input"),
        (FileNotFoundError(2, "No such file", "pw.x"), "input"),
        (ase_calculator.EnvironmentError("set VASP_PP_PATH"), "input"),
        (ase_calculator.InputError("bad option"), "input"),
        (ase_calculator.BadConfiguration("no section"), "input"),
        (ase_calculator.PropertyNotImplementedError("stress"), "input"),
        (ase_calculator.CalculationFailed("dftb failed with error code 127"), "input"),
        (ase_calculator.CalculationFailed("dftb failed with error code 1"), "invalid"),
        (ase_calculator.SCFError("SCF not converged"), "numerical"),
        (RuntimeError("atoms too close"), "invalid"),
    ],
    ids=repr,
)
def test_mistakes_of_the_user_are_told_from_failures_of_a_calculation(failing, error, kind):
    assert failing(error, "calculates")["kind"] == kind
    assert failing(error, "made")["kind"] == "input"


@pytest.mark.parametrize("when", ["made", "calculates"])
def test_reasons_are_one_short_line(failing, when):
    answer = failing(RuntimeError("first\n  second\tthird\n"), when)
    assert answer["failure"] == "RuntimeError: first second third"
    assert failing(AssertionError(), when)["failure"] == "AssertionError"
    long = failing(RuntimeError("word " * 1000), when)["failure"]
    assert len(long) == 300
    assert long.endswith("…")


def test_the_request_holds_the_exact_positions(tmp_path, diamond):
    AseLabeler(options=XTB).prepare(frame_of(diamond), tmp_path, 0)
    request = json.loads((tmp_path / "request.json").read_text())
    assert np.array_equal(np.array(request["positions"]), diamond.positions)


def test_molecules_without_a_cell_have_no_stress(tmp_path):
    found = label(
        AseLabeler(calculator="emt"), frame_of(Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]])), tmp_path
    )
    assert found.stress is None
    assert np.isfinite(found.energy)
