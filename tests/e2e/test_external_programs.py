"""Studies whose fits and MD are done by programs of the user: those of the embedded engine under the old names."""

import json
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
from chimes_stand_ins import install, script

EXAMPLE = Path(__file__).parents[2] / "examples" / "molten_carbon"
N_FRAMES = 5
SHORT = {
    "cycles = 3": "cycles = 1",
    "relabel = true                # one method throughout: ignore the DFT labels in the file\n": "",
    "per_class = 20": "per_class = 2",
    "frame_interval = 50": "frame_interval = 5\nsteps = 60",
}
EXTERNAL = {
    'use = "chimes"\nsetup': 'use = "chimes-external"\nprogram = "bin/chimes_lsq"\nsolver = "bin/chimes_lsq.py"\nsetup',
    '"lasso"': '"lassolars"',
    '[md]\nuse = "chimes"': '[md]\nuse = "chimes_md"\nprogram = "bin/chimes_md"',
}
ENVIRONMENT = os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}


def ald(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ald_core", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, text=True, capture_output=True, check=False
    )


def make(study: Path, changes: dict[str, str]) -> Path:
    """The example, cut down to seconds, with programs in `bin`."""
    shutil.copytree(EXAMPLE / "inputs", study / "inputs")
    listing = study / "inputs" / "traj_list.dat"
    listing.write_text(f"1\n{N_FRAMES} liquid_6000K_2.0gcc.xyzf 6000\n")
    text = (EXAMPLE / "ald.toml").read_text()
    for old, new in (SHORT | changes).items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (study / "ald.toml").write_text(text)
    install(study / "bin")
    return study


@pytest.fixture
def study(tmp_path):
    return make(tmp_path / "study", EXTERNAL)


def results(study: Path) -> dict[str, bytes]:
    """Everything that has to be the same in two runs of a study."""
    files = [*study.glob("ALC-*/GEN_FF/*"), *study.glob("ALC-*/CASE-*/*"), *study.glob("*.extxyz")]
    return {str(f.relative_to(study)): f.read_bytes() for f in sorted(files)}


def jobs(study: Path, step: str) -> list[Path]:
    return list(study.glob(f"ALC-*/jobs/*-{step}-*"))


def test_a_study_with_programs_gives_what_the_embedded_engine_gives(study, tmp_path):
    killed = shutil.copytree(study, tmp_path / "killed")
    embedded = make(tmp_path / "embedded", {})
    for folder in (study, embedded):
        done = ald("run", cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    for cycle in (1, 2):
        ours, theirs = (f / f"ALC-{cycle}" / "GEN_FF" for f in (study, embedded))
        for name, digits in (("x.txt", 1e-5), ("force.txt", 1e-5), ("compare.txt", 1e-5)):
            np.testing.assert_allclose(
                np.loadtxt(ours / name), np.loadtxt(theirs / name), rtol=digits, atol=1e-3
            )
    report = json.loads((study / "ALC-2/GEN_FF/fit.json").read_text())
    assert (report["program"], report["solver"]) == ("chimes_lsq", "chimes_lsq.py")
    one, other = (
        np.loadtxt(f / "ALC-1/CASE-0_INDEP_0/md_statistics.out") for f in (study, embedded)
    )
    np.testing.assert_allclose(one, other, rtol=1e-4)
    frames, wanted = (ase.io.read(f / "training_set.extxyz", ":") for f in (study, embedded))
    origins = [
        [(a.info["cycle"], a.info["source"], a.info["step"]) for a in own]
        for own in (frames, wanted)
    ]
    assert origins[0] == origins[1]
    for a, b in zip(frames, wanted, strict=True):
        np.testing.assert_allclose(a.positions, b.positions, atol=2e-4)

    undisturbed = results(study)
    assert ald("run", cwd=study).returncode == 0
    assert results(study) == undisturbed
    for seconds in (1.5, 4.0):
        process = subprocess.Popen(
            [sys.executable, "-m", "ald_core", "run", "--fit-only"], cwd=killed, env=ENVIRONMENT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = ald("run", "--fit-only", cwd=killed)
    assert resumed.returncode == 0, resumed.stderr
    fit = {name: data for name, data in results(killed).items() if "GEN_FF" in name}
    assert fit
    assert fit.items() <= undisturbed.items()


def test_programs_are_looked_for_before_any_job(study):
    (study / "bin" / "chimes_lsq").unlink()
    (study / "bin" / "chimes_lsq.py").chmod(0o644)
    (study / "bin" / "chimes_md").chmod(0o644)
    for command in ("check", "run"):
        done = ald(command, cwd=study)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "fitter.program: there is no file bin/chimes_lsq" in done.stderr
    install(study / "bin")
    (study / "bin" / "chimes_lsq.py").chmod(0o644)
    (study / "bin" / "chimes_md").chmod(0o644)
    done = ald("check", cwd=study)
    assert done.returncode == 2
    assert "fitter.solver: bin/chimes_lsq.py is not executable" in done.stderr
    assert "md.program: bin/chimes_md is not executable" in done.stderr
    assert jobs(study, "fit") == []


def test_a_study_goes_on_when_a_program_was_put_right(study):
    """Status 0 without a word, a program that is killed, parameters that are cut short; then it works."""
    bin_ = study / "bin"
    good = {name: (bin_ / name).read_text() for name in ("chimes_lsq", "chimes_lsq.py")}
    script(bin_ / "chimes_lsq", "exit 0")
    done = ald("run", "--fit-only", cwd=study)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "chimes_lsq wrote no A.txt" in done.stderr
    assert len(jobs(study, "fit")) == 2

    (bin_ / "chimes_lsq").write_text(good["chimes_lsq"])
    killed = f"[ -e {study}/once ] || {{ touch {study}/once; kill -9 $$; }}"
    solve = f'{sys.executable} -m ald_core chimes solve "$@" | head -n 60'
    script(bin_ / "chimes_lsq.py", f"{killed}\n{solve}")
    done = ald("run", "--fit-only", cwd=study)
    assert done.returncode == 2, done.stdout + done.stderr
    journal = "".join(path.read_text() for path in (study / ".ald/journal").iterdir())
    assert journal.count("killed (signal 9)") == 1
    assert "the solver printed a wrong parameter file" in done.stderr
    assert len(list(study.glob("ALC-1/jobs/*/*/A.txt"))) == 1

    (bin_ / "chimes_lsq.py").write_text(good["chimes_lsq.py"])
    done = ald("run", "--fit-only", cwd=study)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(study.glob("ALC-1/jobs/*/*/A.txt"))) == 1
    assert (study / "ALC-1/GEN_FF/params.txt.reduced").stat().st_size > 0
