"""What all tests of old studies need."""

import os
import stat
from functools import partial

import pytest
from old_studies import make_old, path_without_slurm


@pytest.fixture
def old(tmp_path):
    """Makes an example study."""
    return partial(make_old, tmp_path)


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch):
    """Programs are where they are, but Slurm is not."""
    monkeypatch.setenv("PATH", path_without_slurm())


@pytest.fixture
def slurm(monkeypatch, tmp_path):
    """A machine with Slurm."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        program = folder / name
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
