"""Studies whose molecules are labelled by Gaussian, through the command `ald`; and old ones."""

import os
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from fakes.reference import reference
from old_studies import is_about, lines, make_old

from ald_core.legacy import requests
from ald_core.registry import Registry
from ald_core.runfile import read_old

RUN_FILE = """\
[study]
elements = ["Ar"]
cycles = 0

[training]
held_out = 0.0
frames = [{{ file = "bulk.extxyz", temperature = 300 }}, {{ file = "gas.extxyz", temperature = 300, kind = "gas" }}]

[fitter]
use = "reference"

[labelers.bulk]
use = "reference"

[labelers.gas]
use = "gaussian"
program = "{program}"
reference_energies = "atoms.dat"
resources = {{ cores = 2, tasks_per_job = 2 }}
multiplicities = [1]

[scheduler]
use = "local"
cores = 2
"""
CELL = [[9.0, 0.0, 0.0], [2.0, 9.0, 0.0], [-1.0, 1.0, 9.5]]


@pytest.fixture
def study(tmp_path, program):
    """A crystal, and two molecules of argon on both sides of a periodic cell."""
    crystal = bulk("Ar", "fcc", a=1.6, cubic=True)
    ase.io.write(tmp_path / "bulk.extxyz", [crystal.copy() for _ in range(2)])
    pairs = [
        Atoms("Ar2", [[0.2, 0.1, 0.3], [d, 0.0, 0.0]], cell=CELL, pbc=True) for d in (6.4, 6.1)
    ]
    ase.io.write(tmp_path / "gas.extxyz", pairs)
    (tmp_path / "atoms.dat").write_text("Ar -330000.0 -330100.5\n")
    (tmp_path / "ald.toml").write_text(RUN_FILE.format(program=program))
    return tmp_path


def ald(folder, *arguments):
    command = [sys.executable, "-m", "ald_core", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_study(study, wrong):
    """The usual SCF does not converge: the next rung mends it."""
    wrong("unconverged")
    done = ald(study, "run", "--fit-only")
    assert done.returncode == 0, done.stderr + done.stdout
    found = [a for a in ase.io.read(study / "training_set.extxyz", ":") if a.info["kind"] == "gas"]
    assert len(found) == 2
    for atoms in found:
        inside = Atoms("Ar2", [atoms.positions[0], atoms.positions[1] - CELL[0]])
        energy, forces, _ = reference(inside)
        shift = 2 * -100.5 * 0.0433641
        assert atoms.info["ref_energy"] == pytest.approx(energy + shift, abs=1e-4)
        assert np.allclose(atoms.arrays["ref_forces"], forces, atol=1e-6)
    inputs = sorted(study.glob("ALC-*/jobs/*/*/R.1.com"))
    assert sum("SCF=(XQC)" in path.read_text() for path in inputs) == 2 == len(inputs) / 2
    assert "%nprocshared=2" in inputs[0].with_suffix(".log").read_text()
    assert all(path.with_name("ends.json").exists() for path in inputs)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('[labelers.bulk]\nuse = "reference"', '[labelers.bulk]\nuse = "gaussian"', "labels gas frames only"),
        ("/g16", "/g17", "labelers.gas.program: there is no program"),
        ('reference_energies = "atoms.dat"', 'method = "MP2"', "labelers.gas.method: 'MP2' cannot be the method"),
        ('["Ar"]', '["Ar", "H"]', "atoms.dat: has no line of H; add it"),
    ],
)  # fmt: skip
def test_what_check_finds(study, old, new, said):
    text = (study / "ald.toml").read_text()
    assert text.count(old) == 1
    (study / "ald.toml").write_text(text.replace(old, new))
    assert is_about(lines(study / "ald.toml", Registry())[2], said)


# ---------------------------------------------------------------- studies of the existing driver

GAUSSIAN = """\
MEM_BINS = 40
IGAS_QM_METHOD = "Gaussian"
GAUS_EXE = "/opt/g16/g16"
GAUS_SCR = "/p/scratch/me"
GAUS_REF = WORKING_DIR + "ALL_BASE_FILES/atoms.dat"
GAUS_NODES = 4
GAUS_PPN = 36
GAUS_TIME = "02:00:00"
"""


@pytest.fixture
def old(tmp_path):
    folder = make_old(tmp_path, "cluster_water", ("MEM_BINS = 40\n", GAUSSIAN))
    (folder / "ALL_BASE_FILES" / "atoms.dat").write_text("H 1 2\nO 1 2\n")
    return folder / "config.py"


def test_options_of_an_old_study(old):
    gas = read_old(old, Registry()).tables["labelers"]["gas"]
    assert gas == {
        "use": "gaussian",
        "program": "/opt/g16/g16",
        "scratch": "/p/scratch/me",
        "reference_energies": "ALL_BASE_FILES/atoms.dat",
    }
    problems = lines(old, Registry())[2]
    assert is_about(problems, "labelers.gas.program: there is no program '/opt/g16/g16'")


def test_jobs_of_an_old_study(old, monkeypatch):
    """One process with threads, whatever was asked for; other labels have their own jobs."""
    monkeypatch.setattr(requests, "slurm_is_here", lambda: True)
    tables = read_old(old, Registry()).tables
    assert tables["labelers"]["gas"]["resources"] == {
        "nodes": 1, "ppn": 1, "cores": 36, "launcher": "none", "queue": "pbatch", "time": "02:00:00",
        "tasks_per_job": 40, "modules": [],
    }  # fmt: skip
    assert (tables["resources"]["label"]["ppn"], tables["resources"]["label"]["launcher"]) == (
        56,
        "srun",
    )
    assert is_about(
        lines(old, Registry())[1], "GAUS_NODES", "runs on one node, with GAUS_PPN threads"
    )
