"""A run that dies again and again while models are subtracted gives the bytes of a quiet one."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import ase.io
from ase.calculators.singlepoint import SinglePointCalculator

from ald_core.journal import read_journal

SCRIPT = Path(__file__).with_name("killed_fit.py")
RUN_FILE = """\
[study]
elements = ["C", "N"]
cycles = 0

[training]
held_out = 0.0
frames = [{ file = "start.extxyz", temperature = 1000 }]

[fitter]
use = "hierarchical"
tiles = ["C.params.txt", "N.params.txt"]

[fitter.inner]
use = "chimes"
setup = "CN.setup"
alpha = 1e-3

[scheduler]
use = "local"
cores = 2
"""


def study(tools, folder):
    world = tools.make_world(folder, n_frames=6)
    frames = []
    for one in world.training.frames:
        own = one.labels
        configuration = one.frame.atoms.copy()
        # A constant, because total energies are negative.
        configuration.calc = SinglePointCalculator(
            configuration, energy=own.energy - 100.0, forces=own.forces, stress=own.stress
        )
        frames.append(configuration)
    ase.io.write(folder / "start.extxyz", frames)
    (folder / "ald.toml").write_text(RUN_FILE)
    return folder


def results(folder):
    found = [*(folder / "ALC-1" / "GEN_FF").rglob("*"), *(folder / ".ald" / "training").iterdir()]
    return {p.relative_to(folder): p.read_bytes() for p in found if p.is_file()}


def test_dying_during_the_subtraction(tools, tmp_path):
    mortal, quiet = study(tools, tmp_path / "mortal"), study(tools, tmp_path / "quiet")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    program = [sys.executable, SCRIPT, mortal, tmp_path / "log"]
    subprocess.run(program, check=True, env=environment, timeout=300)
    program = [sys.executable, "-m", "ald_core", "run", "--fit-only", quiet]
    subprocess.run(program, check=True, env=environment, timeout=300, capture_output=True)
    deaths = Counter(
        " ".join(line.split()[:2]) for line in (tmp_path / "log").read_text().splitlines()
    )
    # Of two jobs, one for each model; one that ended meanwhile is not submitted again.
    assert set(deaths) == {
        f"{when} {kind}"
        for when in ("before", "after")
        for kind in ("INTENT", "SUBMITTED", "ACCEPTED")
    }
    assert sum(deaths.values()) >= 9
    assert results(mortal) == results(quiet)
    assert Path("ALC-1/GEN_FF/fitted/params.txt") in results(quiet)
    accepted = Counter(r["task"] for r in read_journal(mortal) if r["type"] == "ACCEPTED")
    assert set(accepted.values()) == {1}
    assert len(accepted) == 5  # two models, the fit, the merged model, and its judgement
