"""Studies by `ald run`: labels by LAMMPS whose right fit is known, and a cycle in which LAMMPS runs the MD too."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

EXAMPLE = Path(__file__).parents[3] / "examples" / "molten_carbon" / "inputs"

KNOWN = """\
[study]
elements = ["Ar"]
cycles = 1
seed = 3

[training]
frames = [{ file = "inputs/liquid.extxyz", temperature = 300 }]

[fitter]
use = "reference"

[md]
use = "reference"
steps = 20
stride = 5

[[case]]
name = "cold"
temperature = 300
structure = "inputs/crystal.extxyz"

[selector]
use = "even"
per_class = 2

[labelers.bulk]
use = "lammps"
inputs = "lammps"

[scheduler]
use = "local"
cores = 2
"""
LENNARD_JONES = """\
units metal
read_data data.in
pair_style lj/cut 3.0
pair_coeff * * 1.0 1.0
"""
CARBON = """\
[study]
elements = ["C"]
cycles = 1
seed = 1

[training]
held_out = 0.0
frames = [{ file = "inputs/liquid_6000K_2.0gcc.xyzf", temperature = 6000, relabel = true }]

[fitter]
use = "chimes"
setup = "inputs/fm_setup.in"
algorithm = "lasso"
alpha = 1e-3

[md]
use = "lammps"

[[case]]
name = "6000K"
temperature = 6000
input = "inputs/md.in"
structure = "inputs/case-0.indep-0.input.xyz"

[selector]
use = "even"
per_class = 2

[labelers.bulk]
use = "lammps"
inputs = "lammps"

[quality]
max_force = 1000.0

[scheduler]
use = "local"
"""
TERSOFF = """\
units metal
read_data data.in
pair_style tersoff
pair_coeff * * SiC.tersoff C
"""
MD = """\
units real
variable seed equal 1
variable temperature equal 300
read_data data.in
velocity all create ${temperature} ${seed}
pair_style chimesFF for_fitting
pair_coeff * * params.txt.reduced
timestep 0.25
fix 1 all nvt temp ${temperature} ${temperature} 20
thermo 20
dump 1 all custom 20 traj.lammpstrj id type xu yu zu
run 60
"""


def ald_run(study):
    command = [sys.executable, "-m", "ald_core", "run"]
    done = subprocess.run(command, cwd=study, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of a study from the texts of its files."""

    def folder(**files):
        for name in ("inputs", "lammps"):
            (tmp_path / name).mkdir()
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        return tmp_path

    return folder


def test_labels_of_lammps_give_the_known_fit(folder):
    study = folder(**{"ald.toml": KNOWN, "lammps/in.lammps": LENNARD_JONES})
    crystal = bulk("Ar", "fcc", a=1.6, cubic=True)
    ase.io.write(study / "inputs" / "crystal.extxyz", crystal)
    liquid = []
    for seed in range(3):
        liquid.append(crystal.copy())
        liquid[-1].rattle(0.03, seed=seed)
    ase.io.write(study / "inputs" / "liquid.extxyz", liquid)
    ald_run(study)
    fitted = json.loads((study / "ALC-2" / "GEN_FF" / "params.json").read_text())
    assert (fitted["c12"], fitted["c6"]) == pytest.approx((4.0, -4.0), rel=1e-7)
    labelled = ase.io.read(study / "training_set.extxyz", ":")
    assert len(labelled) == 5
    assert {frame.info["labeler"] for frame in labelled} == {"lammps"}


def test_a_study_of_carbon_with_lammps_for_labels_and_md(folder):
    study = folder(**{"ald.toml": CARBON, "lammps/in.lammps": TERSOFF, "inputs/md.in": MD})
    frames = 4 * 66
    text = (EXAMPLE / "liquid_6000K_2.0gcc.xyzf").read_text().splitlines(keepends=True)
    (study / "inputs" / "liquid_6000K_2.0gcc.xyzf").write_text("".join(text[:frames]))
    shutil.copy(EXAMPLE / "case-0.indep-0.input.xyz", study / "inputs")
    setup = (EXAMPLE / "fm_setup.in").read_text()
    assert "CHEBYSHEV 12 5 0 -1 1" in setup
    (study / "inputs" / "fm_setup.in").write_text(setup.replace("12 5 0 -1 1", "8 0 0 -1 1"))
    ald_run(study)
    labelled = ase.io.read(study / "training_set.extxyz", ":")
    assert [frame.info["cycle"] for frame in labelled].count(0) == 4
    assert {frame.info["cycle"] for frame in labelled} == {0, 1}
    md = study / "ALC-1" / "CASE-0_INDEP_0"
    assert np.loadtxt(md / "md_statistics.out")[0, 5] == pytest.approx(6000.0)
    assert (md / "in.lammps").is_file()
    assert (study / "ALC-1" / "LAMMPS-20" / "CASE-0" / "labels.extxyz").is_file()
    assert (study / "ALC-2" / "GEN_FF" / "params.txt").is_file()
