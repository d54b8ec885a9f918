"""A study through the command: labels of DFTB+, MD with DFTB+ and the fitted ChIMES model."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import pytest
from ase.build import bulk
from fakes.reference import reference

SETUP = Path(__file__).parents[3] / "examples" / "molten_carbon" / "inputs" / "fm_setup.in"
RUN_FILE = """
[study]
elements = ["C"]
cycles = 1
seed = 2

[training]
frames = [{{ file = "start.extxyz", temperature = 2000 }}]
held_out = 0.0

[fitter]
use = "chimes"
setup = "fm_setup.in"
algorithm = "ridge"
alpha = 1e-3

[md]
use = "dftb"
inputs = "dftb"
program = "{program}"
socket = true
steps = 4
timestep = 0.1
frame_interval = 2

[[case]]
name = "hot"
temperature = 2000
structure = "start.gen"

[selector]
use = "even"
per_class = 2

[labelers.bulk]
use = "dftb"
inputs = "dftb"
program = "{program}"

[quality]
max_force = 500.0

[scheduler]
use = "local"
cores = 1
"""


def ald(*arguments, cwd, **more):
    command = [sys.executable, "-m", "ald_core", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | more
    return subprocess.run(
        command, cwd=cwd, text=True, capture_output=True, check=False, env=environment
    )


@pytest.fixture
def study(tmp_path, shared_folder, program):
    frames = []
    for seed in range(3):
        atoms = bulk("C", "diamond", a=3.5, cubic=True)
        atoms.rattle(0.1, seed=seed)
        frames.append(atoms)
    ase.io.write(tmp_path / "start.extxyz", frames)
    ase.io.write(tmp_path / "start.gen", frames[0])
    shutil.copytree(shared_folder, tmp_path / "dftb")
    shutil.copy(SETUP, tmp_path / "fm_setup.in")
    (tmp_path / "ald.toml").write_text(RUN_FILE.format(program=program))
    return tmp_path


def test_labels_and_dynamics_of_dftb_make_a_study(study):
    done = ald("run", cwd=study)
    assert done.returncode == 0, done.stdout + done.stderr
    labelled = ase.io.read(study / "training_set.extxyz", ":")
    assert len(labelled) == 5
    for atoms in labelled:
        energy, forces, _ = reference(atoms.copy(), 2000.0)
        assert atoms.info["ref_energy"] == pytest.approx(energy, abs=1e-5)
        assert atoms.arrays["ref_forces"] == pytest.approx(forces, abs=1e-4)
    (case,) = study.glob("ALC-1/CASE-*")
    assert json.loads((case / "md.json").read_text())["stable"]
    assert (case / "traj.gen").read_text().count("#Step") == 2
    assert not (case / "dftb").exists()
    assert sorted(p.name for p in study.glob("ALC-1/DFTB-20/*")) == ["CASE-0", "given-start"]


def test_what_is_wrong_is_told_before_anything_is_done(study):
    path = study / "dftb" / "dftb_in.hsd"
    path.write_text(path.read_text().replace("CalculateForces = Yes", ""))
    done = ald("check", cwd=study)
    assert done.returncode == 2
    assert "dftb_in.hsd: forces are not asked for; add" in " ".join(
        (done.stdout + done.stderr).split()
    )
    assert not (study / ".ald").exists()
