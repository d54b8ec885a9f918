"""What all tests of old studies need."""

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
