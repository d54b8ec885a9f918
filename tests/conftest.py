"""What tests of several folders share."""

import pytest
from slurm_cluster import SlurmCluster


@pytest.fixture(scope="session")
def slurm_daemons():
    """A private Slurm with four nodes, for all tests of a process."""
    with SlurmCluster() as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_daemons, monkeypatch):
    """The same, found by all programs that the test starts; whatever was done to it is undone."""
    for name, value in slurm_daemons.environment.items():
        monkeypatch.setenv(name, value)
    yield slurm_daemons
    slurm_daemons.recover()
