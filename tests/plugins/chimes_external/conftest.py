"""Programs that stand in for those of a user, and jobs without a scheduler."""

import pytest
from chimes_stand_ins import install
from local_jobs import Jobs


@pytest.fixture
def jobs(tmp_path):
    return Jobs(tmp_path / "jobs")


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Folder with chimes_lsq, chimes_lsq.py and chimes_md."""
    return install(tmp_path_factory.mktemp("programs"))
