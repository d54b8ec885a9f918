"""A study whose frames are labelled with VASP, from `ald check` to the training set."""

import os
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.units import kB
from fakes.reference import reference

from ald_core.testing import compressed_cell

RUN_FILE = """\
[study]
elements = ["C", "O"]
cycles = 1
seed = 1

[training]
held_out = 0.0
frames = [
  {{ file = "inputs/solid.extxyz", temperature = 3000 }},
  {{ file = "inputs/molecule.extxyz", temperature = 3000, kind = "gas" }},
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
structure = "inputs/solid.extxyz"

[selector]
use = "even"
per_class = 1

[labelers.bulk]
use = "vasp"
inputs = "inputs/VASP"
program = "{program}"

[labelers.gas]
use = "vasp"
inputs = "inputs/VASP"
program = "{program}"
vacuum = 20

[quality]
positive_energy = true

[scheduler]
use = "local"
cores = 2
"""


@pytest.fixture
def study(tmp_path, fill, program):
    inputs = tmp_path / "inputs"
    fill(inputs / "VASP", ["C", "O"])
    atoms = compressed_cell()
    atoms.symbols[[1, 4, 6]] = "O"
    ase.io.write(inputs / "solid.extxyz", atoms)
    ase.io.write(inputs / "molecule.extxyz", Atoms("OC", [[0, 0, 0], [0.1, 0.2, 1.2]]))
    (tmp_path / "ald.toml").write_text(RUN_FILE.format(program=program))
    return tmp_path


def ald(study, *arguments, **environment):
    keep = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "ald_core", *arguments],
        cwd=study,
        env={**keep, "OMP_NUM_THREADS": "1", **environment},
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_labels_of_a_study(study):
    """Each frame converges at its third try only, with ALGO = All."""
    done = ald(study, "run", FAKE_VASP="unconverged")
    assert done.returncode == 0, done.stderr + done.stdout
    frames = ase.io.read(study / "training_set.extxyz", index=":")
    assert sorted(a.info["source"] for a in frames)[:2] == ["molecule", "solid"]
    assert len(frames) >= 3
    for atoms in frames:
        bare = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        energy, forces, stress = reference(bare, 0.2585199101 / kB)
        near = 5e-6 if atoms.pbc.all() else 0.02  # of a molecule and its images
        assert atoms.info["ref_energy"] == pytest.approx(energy, abs=near)
        assert atoms.arrays["ref_forces"] == pytest.approx(forces, abs=near)
        if stress is None:
            assert "ref_stress" not in atoms.info
        else:
            assert np.ravel(atoms.info["ref_stress"]) == pytest.approx(stress, abs=1e-7)
    tries = [p.read_text() for p in study.glob("ALC-1/jobs/*label*/*/INCAR")]
    assert len(tries) == 3 * len(frames)
    assert sum("ALGO = All\n" in text for text in tries) == len(frames)


def test_what_is_wrong_is_said_before_any_job(study):
    path = study / "inputs" / "VASP" / "3000.INCAR"
    path.write_text(path.read_text().replace("SIGMA  = 0.2585199101", "SIGMA = 0.05"))
    (study / "inputs" / "VASP" / "O.POTCAR").unlink()
    for command in ("check", "run"):
        refused = ald(study, command)
        assert refused.returncode == 2
        for kind in ("bulk", "gas"):
            where = f"labelers.{kind}: inputs/VASP"
            assert f"{where}/3000.INCAR: SIGMA = 0.05 is 580.226 K" in refused.stderr
            assert f"{where}/O.POTCAR: there is no such file; copy" in refused.stderr
    assert not (study / "ALC-1").exists()
