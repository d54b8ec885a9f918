"""The MD engine `chimes` as a study uses it: prepare a run, run it in a process, read the candidates."""

import os
import shutil
import subprocess
from pathlib import Path

import attrs
import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from ald_chimes_lsq.model import ChimesModel
from ald_chimes_md.control import read_control
from ald_chimes_md.coordinates import read_coordinates
from ald_chimes_md.files import CONTACT_FILES, CONTACT_INDEX, RESULT, STATISTICS
from ald_chimes_md.keywords import with_values
from ald_chimes_md.md_engine import CONTROL, PARAMETERS, STRUCTURE, ChimesMD
from ald_core.types import Case, Failure, Model

DATA = Path(__file__).parents[2] / "data" / "chimes_md" / "special3b"
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
MODEL = Model("chimes", DATA / "params.txt")
INNER = {"CC": 0.988, "OO": 0.911, "CO": 0.876, "OC": 0.876}
PENALTY = 0.1
"""Å, so wide that the run begins inside its zone and leaves it"""
PENALTY_SCALING = 1.0
"""kcal/mol/Å³, so weak that this does no harm"""


ENGINE = ChimesMD(
    steps=20, frame_interval=4, penalty_distance=PENALTY, penalty_scaling=PENALTY_SCALING
)
CASE = Case("hot", 0, 2500.0, DATA / "input.xyzf", DATA / "run_md.in")


def run(workdir):
    """The engine's job, done."""
    workdir.mkdir()
    spec = ENGINE.prepare(MODEL, CASE, 7, workdir)
    assert spec.serial
    subprocess.run(spec.command, cwd=workdir, env=ONE_THREAD, check=True)
    assert all((workdir / name).is_file() for name in spec.outputs)
    return workdir


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run; only read it."""
    return run(tmp_path_factory.mktemp("md") / "job")


def contact_class(atoms):
    """From the distances alone."""
    i, j, distances = neighbor_list("ijd", atoms, 2.0)
    symbols = np.array(atoms.get_chemical_symbols())
    gaps = distances - [INNER[a + b] for a, b in zip(symbols[i], symbols[j], strict=True)]
    return int(np.select([gaps.min() < 0, gaps.min() < PENALTY], [2, 1], 0))


def test_candidates_are_the_frames_of_the_run(done):
    trajectory = ENGINE.collect(CASE, 3, done)
    assert (trajectory.steps, trajectory.planned, trajectory.stable) == (20, 20, True)
    assert trajectory.drift < 0.01

    start = read_coordinates(DATA / "input.xyzf")
    assert start.cell[0, 0] != round(start.cell[0, 0], 5)  # more decimals than a contact file has
    steps, classes = [], []
    for candidate in trajectory.candidates:
        origin = candidate.origin
        assert (origin.cycle, origin.source, candidate.temperature) == (3, "hot", 2500.0)
        atoms = candidate.load()
        assert np.array_equal(atoms.cell[:], start.cell)
        assert atoms.pbc.all()
        assert tuple(atoms.get_chemical_symbols()) == start.elements
        assert candidate.contact_class == contact_class(atoms)
        steps.append(origin.step)
        classes.append(candidate.contact_class)
    near = list(range(1, 11))
    assert steps == [
        *near,
        12,
        16,
        20,
    ]  # close contacts at every step, clear frames at every fourth
    assert classes == [1] * len(near) + [0] * 3
    assert trajectory.counts == (10, 10, 0)


def test_the_inputs_of_a_run(done):
    control = read_control(done / CONTROL)
    assert (control.seed, control.temperature, control.steps) == (7, 2500.0, 20)
    assert (control.parameter_file, control.coordinate_file) == (PARAMETERS, STRUCTURE)
    assert control.contact_files
    assert control.trajectory_interval == 4
    model = ChimesModel.read(done / PARAMETERS)
    assert (model.penalty_distance, model.penalty_scaling) == (PENALTY, PENALTY_SCALING)


def test_equal_inputs_give_equal_bytes(done, tmp_path):
    again = run(tmp_path / "again")
    for name in (CONTROL, PARAMETERS, STATISTICS, RESULT, *CONTACT_FILES):
        assert (again / name).read_bytes() == (done / name).read_bytes()


def test_views_are_the_files_that_users_know(done, tmp_path):
    shutil.copytree(done, tmp_path / "job")
    (tmp_path / "job" / "job.log").touch()
    seen = {path.name for pattern in ENGINE.views() for path in (tmp_path / "job").glob(pattern)}
    assert seen >= {CONTROL, STRUCTURE, PARAMETERS, STATISTICS, RESULT, "traj.gen"}
    assert seen >= set(CONTACT_FILES)
    assert "job.log" not in seen


@pytest.mark.parametrize("name", [RESULT, CONTACT_INDEX, STRUCTURE, CONTROL])
def test_a_run_without_its_result_is_a_failure(done, tmp_path, name):
    shutil.copytree(done, tmp_path / "job")
    (tmp_path / "job" / name).unlink()
    found = ENGINE.collect(CASE, 1, tmp_path / "job")
    assert isinstance(found, Failure)
    assert "no complete result" in found.reason


def test_a_case_that_can_run_has_no_problems():
    assert ChimesMD().check_case(CASE, ["C", "O"]) == []


def test_problems_of_a_case(tmp_path):
    engine = ChimesMD()
    [problem] = engine.check_case(CASE, ["C", "N"])
    assert problem == f"{DATA / 'input.xyzf'}: holds O, not among the study's elements"

    [problem] = engine.check_case(attrs.evolve(CASE, input=None), ["C", "O"])
    assert (
        problem
        == "case hot: the md engine 'chimes' needs an input, a run_md.in; name it with 'input' in the table of the case"
    )

    text = with_values((DATA / "run_md.in").read_text(), {"CONSRNT": "NPT-MKT HOOVER 10 10"})
    (bad := tmp_path / "run_md.in").write_text(text)
    (structure := tmp_path / "start.xyz").write_text("two\n")
    wrong = attrs.evolve(CASE, input=bad, structure=structure)
    first, second = engine.check_case(wrong, ["C", "O"])
    assert first.startswith(f"{bad}, line ")
    assert "NPT-MKT" in first
    assert second.startswith(f"{structure}, line 1: the first line must be the number of atoms")

    for values, said in (
        ({"VELINIT": "READ"}, "VELINIT READ would take the forces of input.xyzf for velocities"),
        ({"VELINIT": "RESTART"}, "VELINIT RESTART goes on from a restart file"),
        ({"CONSRNT": "NVE FREEZE 0 64"}, "CONSRNT FREEZE 0 64: this names an atom beyond"),
        ({"CMPRFRC": "true f.txt"}, "CMPRFRC compares forces instead of running"),
    ):
        bad.write_text(with_values((DATA / "run_md.in").read_text(), values))
        [problem] = engine.check_case(attrs.evolve(CASE, input=bad), ["C", "O"])
        assert problem.startswith(f"{bad}, line ")
        assert said in problem

    missing = attrs.evolve(CASE, input=tmp_path / "no.in", structure=tmp_path / "no.xyz")
    assert len(engine.check_case(missing, ["C", "O"])) == 2
