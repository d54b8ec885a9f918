"""The example study with the real crew: ChIMES fit and MD, GFN1-xTB labels, local scheduler."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from sklearn.linear_model import LassoLars

from ald_chimes_lsq.constants import HARTREE_FORCE
from ald_chimes_lsq.design_rows import configuration_rows
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.formats.xyzf import read_xyzf

EXAMPLE = Path(__file__).parents[2] / "examples" / "molten_carbon"
N_FRAMES = 8

SHORT = {
    "cycles = 3": "cycles = 2",
    "per_class = 20": "per_class = 2",
    "frame_interval = 50": "frame_interval = 5\nsteps = 300\nbonds = { C-C = 1.9, lifetime = 10 }",
}


def ald(*arguments: str | Path, cwd: Path, **more) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ald_core", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False, **more)


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """A copy of the example's inputs and run files, without results."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE / "inputs", folder / "inputs")
    for name in ("ald.toml", "ald-dft.toml"):
        shutil.copy(EXAMPLE / name, folder)
    return folder


@pytest.fixture
def short(example, tmp_path) -> Path:
    """The study cut down to seconds: fewer frames, steps, picks, cycles."""
    study = tmp_path / "study"
    shutil.copytree(example / "inputs", study / "inputs")
    text = (example / "ald.toml").read_text()
    for old, new in SHORT.items():
        assert old in text
        text = text.replace(old, new)
    (study / "ald.toml").write_text(text)
    listing = study / "inputs" / "traj_list.dat"
    listing.write_text(f"1\n{N_FRAMES} liquid_6000K_2.0gcc.xyzf 6000\n")
    return study


def results(study: Path) -> dict[str, bytes]:
    """Everything that has to be the same in two runs of a study."""
    patterns = ("ALC-*/GEN_FF/*", "ALC-*/CASE-*/*", "ALC-*/*.csv", "*.extxyz")
    files = [file for pattern in patterns for file in study.glob(pattern)]
    return {
        str(f.relative_to(study)): f.read_bytes()
        for f in sorted(files)
        if f.name not in ("md_timing.json", "stdout", "stderr", "task.exit")
    }


def test_dft_fit_agrees_with_scikit_learn(example):
    done = ald("run", "ald-dft.toml", "--fit-only", cwd=example)
    assert done.returncode == 0, done.stderr
    folder = example / "dft-fit" / "ALC-1" / "GEN_FF"
    setup = read_setup(example / "inputs" / "fm_setup.in")
    frames = read_xyzf(example / "inputs" / "liquid_6000K_2.0gcc.xyzf")
    assert len(frames) == 25
    a = np.concatenate(
        [configuration_rows(setup.basis, f.elements, f.positions, f.cell) for f in frames]
    )
    b = np.concatenate([f.forces.ravel() for f in frames]) * HARTREE_FORCE
    independent = LassoLars(alpha=1e-5, fit_intercept=False).fit(a, b).coef_
    compare = np.loadtxt(folder / "compare.txt")
    assert compare.shape == (25 * 64 * 3, 2)
    assert np.allclose(compare[:, 0], b, atol=1e-4)
    assert np.allclose(compare[:, 1], a @ independent, atol=2e-4)
    x = np.loadtxt(folder / "x.txt")
    assert np.allclose(a @ x, a @ independent, atol=1e-6 * np.abs(b).max())
    correlation = np.corrcoef(compare.T)[0, 1]
    assert correlation > 0.9


def test_a_short_study_runs_and_resumes_with_the_same_bytes(short, tmp_path):
    copy = tmp_path / "killed"
    shutil.copytree(short, copy)
    done = ald("run", cwd=short)
    assert done.returncode == 0, done.stderr
    assert "final" in done.stdout
    for name in ("params.txt", "params.txt.reduced", "compare.txt", "fit.json", "fm_setup.in"):
        for cycle in (1, 2, 3):
            assert (short / f"ALC-{cycle}" / "GEN_FF" / name).stat().st_size > 0
    statistics = (short / "ALC-1/CASE-0_INDEP_0/md_statistics.out").read_text().splitlines()
    assert statistics[0].split()[:3] == ["#", "Step", "Time"]
    for cycle in (1, 2, 3):
        head, *rows = (short / f"ALC-{cycle}" / "molecules.csv").read_text().splitlines()
        assert head == "case,molecule,mole fraction,lifetime (ps)"
        fractions = [float(row.split(",")[2]) for row in rows]
        assert 0.5 < sum(fractions) <= 1.0
        assert all(row.startswith(("6000K_2.0gcc,C", "6000K_2.0gcc,more than 24")) for row in rows)
    training = ase.io.read(short / "training_set.extxyz", index=":")
    sources = {atoms.info["source"] for atoms in training}
    assert sources == {"liquid_6000K_2.0gcc", "6000K_2.0gcc"}
    assert sum(a.info["source"] == "liquid_6000K_2.0gcc" for a in training) == N_FRAMES
    assert all(np.isfinite(a.info["ref_energy"]) for a in training)
    undisturbed = results(short)

    again = ald("run", cwd=short)
    assert again.returncode == 0
    assert results(short) == undisturbed

    for seconds in (2.0, 5.0, 4.0):
        process = subprocess.Popen(
            [sys.executable, "-m", "ald_core", "run"],
            cwd=copy,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = ald("run", cwd=copy)
    assert resumed.returncode == 0, resumed.stderr
    assert results(copy) == undisturbed


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("traj_list.dat", "1\n8 ", "2\n8 ", ["traj_list.dat", "line 1"]),
        ("traj_list.dat", "8 liquid", "26 liquid", ["traj_list.dat", "line 2", "26", "25"]),
        (
            "traj_list.dat",
            "liquid_6000K",
            "solid_6000K",
            ["traj_list.dat", "line 2", "solid_6000K"],
        ),
        ("liquid_6000K_2.0gcc.xyzf", "6.31313", "nan", ["liquid_6000K_2.0gcc.xyzf", "line 4"]),
        ("liquid_6000K_2.0gcc.xyzf", "64\n", "0\n", ["liquid_6000K_2.0gcc.xyzf", "line 1"]),
        ("liquid_6000K_2.0gcc.xyzf", "C 6.31313", "Xx 6.31313", ["liquid_6000K_2.0gcc.xyzf", "Xx"]),
        ("fm_setup.in", "CHEBYSHEV 12 5 0", "CHEBYSHEV 12 x 0", ["fm_setup.in", "line", "x"]),
        ("fm_setup.in", "TERSOFF 0.75", "TERSOF 0.75", ["fm_setup.in", "TERSOF"]),
        ("case-0.indep-0.run_md.in", "NVT-MTK HOOVER", "NVT-MKT HOOVER", ["run_md.in", "NVT-MKT"]),
        ("case-0.indep-0.input.xyz", "64\n", "65\n", ["input.xyz"]),
    ],
)
def test_bad_input_is_one_sentence_before_any_job(short, name, old, new, words):
    path = short / "inputs" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    done = ald("run", cwd=short)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not list(short.glob("ALC-*/jobs/*"))


def test_a_calculator_that_fails_quarantines_and_says_why(short):
    text = (short / "ald.toml").read_text()
    text = text.replace("max_iterations = 250", "max_iterations = 1")
    text = text.replace("rungs = [{ max_iterations = 1000, mixer_damping = 0.1 }]", "")
    (short / "ald.toml").write_text(text)
    done = ald("run", cwd=short, env=os.environ | {"COLUMNS": "200"})
    assert done.returncode == 4, done.stdout + done.stderr
    assert "max_quarantined" in done.stderr
    assert "not converged" in done.stderr
    attempts = list(short.glob("ALC-1/jobs/*-label-*"))
    assert len(attempts) == 4 * N_FRAMES  # the first try and three rungs, then no more
