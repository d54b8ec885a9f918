"""A study whose frames are labelled by CP2K itself: two cycles, cells of eight atoms."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from ald_core.testing import frame_of, label
from ald_cp2k.labeler import Cp2kLabeler

INPUTS = Path(__file__).parents[2] / "data" / "qm" / "cp2k" / "inputs" / "xtb"

RUN_FILE = """\
[study]
elements = ["C"]
cycles = 2
seed = 4

[training]
held_out = 0.0
frames = [{ file = "inputs/diamond.extxyz", temperature = 1000 }]

[fitter]
use = "reference"

[md]
use = "reference"
steps = 4
stride = 2
timestep = 0.02

[[case]]
name = "warm"
temperature = 1000
structure = "inputs/diamond.extxyz"

[selector]
use = "even"
per_class = 2

[labelers.bulk]
use = "cp2k"
inputs = "inputs/cp2k"

[scheduler]
use = "slurm"
poll = 0.1
patience = 1
submit_rate = 50
query_timeout = 5

[resources]
queue = "short"
time = "00:05:00"
memory = "1GB"

[resources.label]
tasks_per_job = 2
"""


def ald(study, *arguments):
    keep = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "ald_core", *arguments],
        cwd=study,
        env=keep,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def study(tmp_path):
    """Three frames of diamond without labels."""
    inputs = tmp_path / "inputs"
    shutil.copytree(INPUTS, inputs / "cp2k", copy_function=shutil.copyfile)
    frames = []
    for seed in (1, 2, 3):
        atoms = bulk("C", "diamond", a=3.6, cubic=True)
        atoms.rattle(0.08, seed=seed)
        frames.append(atoms)
    ase.io.write(inputs / "diamond.extxyz", frames)
    (tmp_path / "ald.toml").write_text(RUN_FILE)
    return tmp_path


def test_two_cycles(slurm, study, tmp_path):
    checked = ald(study, "check")
    assert checked.returncode == 0, checked.stderr
    done = ald(study, "run")
    assert done.returncode == 0, done.stderr + done.stdout
    frames = ase.io.read(study / "training_set.extxyz", index=":")
    assert {a.info["cycle"] for a in frames} == {0, 1, 2}
    assert len(frames) >= 5
    atoms = frames[-1]
    bare = atoms.copy()
    bare.info.clear()
    again = label(
        Cp2kLabeler(inputs=INPUTS), frame_of(bare, temperature=1000.0), tmp_path / "again"
    )
    assert atoms.info["ref_energy"] == pytest.approx(again.energy, rel=1e-9)
    assert atoms.arrays["ref_forces"] == pytest.approx(again.forces, abs=1e-4)
    assert np.ravel(atoms.info["ref_stress"]) == pytest.approx(again.stress, abs=1e-5)
    assert (study / "ALC-3" / "GEN_FF" / "fit.json").is_file()


def test_what_is_wrong_is_said_before_any_job(slurm, study):
    path = study / "inputs" / "cp2k" / "cp2k.inp"
    path.write_text(path.read_text().replace("METHOD xTB", "METHOD GPW"))
    refused = ald(study, "run")
    assert refused.returncode == 2
    assert "labelers.bulk: inputs/cp2k/cp2k.inp: there is no &KIND C; add it" in refused.stderr
    assert not (study / "ALC-1").exists()
