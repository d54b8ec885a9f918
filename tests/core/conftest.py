"""What several files of this folder share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_jobs import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A fresh study whose scheduler is a fake one."""
    monkeypatch.setattr("ald_core.jobs.PAUSE_PER_QUERY", 0.0)  # the fake runs jobs in its queries
    # In memory where that is possible: hundreds of jobs, each with a dozen fsyncs.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        world = World(folder / "a 'study' $(x)", folder / "executions")
        yield world
        left = (".ald-new", ".ald-old", ".new")
        assert [p for p in world.study.rglob("*") if p.name.endswith(left)] == []
