"""A study with two reference methods through a real Slurm: VASP labels crystals, Gaussian molecules."""

import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.units import kB
from fakes.reference import reference

from ald_core.testing import compressed_cell

FAKES = Path(__file__).parents[1] / "fakes"
TEMPERATURE = 3000
SIGMA = TEMPERATURE * kB
RUN_FILE = """\
[study]
elements = ["C", "O"]
cycles = 1
seed = 1

[training]
held_out = 0.0
frames = [
  {{ file = "solid.extxyz", temperature = 3000 }},
  {{ file = "gas.extxyz", temperature = 3000, kind = "gas" }},
]

[fitter]
use = "reference"

[md]
use = "reference"
steps = 4
stride = 2
timestep = 0.02

[[case]]
name = "warm"
temperature = 3000
structure = "solid.extxyz"

[selector]
use = "even"
per_class = 1

[labelers.bulk]
use = "vasp"
inputs = "vasp"
program = "{vasp}"

[labelers.gas]
use = "gaussian"
program = "{gaussian}"
multiplicities = [1]
resources = {{ cores = 2, tasks_per_job = 2, concurrent = 2, time = "00:05:00" }}

[quality]
positive_energy = true

[scheduler]
use = "slurm"
poll = 0.2
patience = 2
submit_rate = 50

[resources.label]
queue = "short"
memory = "600MB"
"""
INCAR = f"ENCUT = 400\nNSW = 0\nIBRION = -1\nISIF = 2\nISMEAR = -1\nSIGMA = {SIGMA!r}\nNELM = 60\n"
POTCAR = """\
  PAW_PBE {0} 08Apr2002
   4.000000000000000
 parameters from PSCTR are:
   VRHFIN ={0}: made up
   LEXCH  = PE
   TITEL  = PAW_PBE {0} 08Apr2002
 End of Dataset
"""


@pytest.fixture
def study(tmp_path, new_study, slurm):
    made = new_study(tmp_path / "two methods")
    programs = {}
    for name in ("vasp", "gaussian"):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKES / name}.py" "$@"\n')
        path.chmod(0o755)
        programs[name] = str(path)
    folder = made.path / "vasp"
    folder.mkdir(parents=True)
    (folder / "3000.INCAR").write_text(INCAR)
    (folder / "KPOINTS").write_text("Gamma\n0\nM\n1 1 1\n0 0 0\n")
    for element in ("C", "O"):
        (folder / f"{element}.POTCAR").write_text(POTCAR.format(element))
    solid = compressed_cell()
    solid.symbols[[1, 4, 6]] = "O"
    ase.io.write(made.path / "solid.extxyz", solid)
    gas = [molecule(name) for name in ("CO", "CO2", "O3")]
    for number, atoms in enumerate(gas):
        atoms.rattle(0.05, seed=number)
    ase.io.write(made.path / "gas.extxyz", gas)
    (made.path / "ald.toml").write_text(RUN_FILE.format(**programs))
    return made


def test_each_frame_is_labelled_by_the_method_of_its_kind(study):
    checked = study.ald("check")
    assert checked.status == 0, checked.err
    study.run()
    frames = ase.io.read(study.path / "training_set.extxyz", index=":")
    methods = [(a.info["kind"], a.info["labeler"], a.info["cycle"]) for a in frames]
    assert sorted(methods) == [
        ("bulk", "vasp", 0),
        ("bulk", "vasp", 1),
        *[("gas", "gaussian", 0)] * 3,
    ]
    for atoms in frames:
        bare = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        periodic = bool(atoms.pbc.all())
        energy, forces, stress = reference(bare, TEMPERATURE if periodic else 300.0)
        assert atoms.info["ref_energy"] == pytest.approx(energy, abs=1e-4)
        assert np.allclose(atoms.arrays["ref_forces"], forces, atol=1e-4)
        assert ("ref_stress" in atoms.info) == periodic
        if periodic:
            assert np.ravel(atoms.info["ref_stress"]) == pytest.approx(stress, abs=1e-6)
    gas = [job for job in study.jobs("label") if list(job.glob("*/R.1.com"))]
    assert sorted(len(list(job.glob("*/R.1.log"))) for job in gas) == [1, 2]
    assert "OMP_NUM_THREADS=2" in (gas[0] / "job.sh").read_text()
