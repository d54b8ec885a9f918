"""Disks that get full, really: whatever write it is that fails, the run stops, and nothing is lost."""

import shutil
from pathlib import Path

import pytest
from fake_world import TASKS, Chance, World
from protocol import come_to_the_end, observed
from small_disk import SmallDisk

from ald_core import durable
from ald_core.errors import Stopped


def world_on(disk: SmallDisk) -> World:
    study = disk.path / "study"
    shutil.rmtree(study, ignore_errors=True)
    return World(study, Chance(), TASKS, concurrent_runs=False)


@pytest.mark.parametrize("what", ["leave", "leave_files"])
def test_a_disk_that_is_full_at_any_write(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for none of the writes, for the first, for the first two …, until there is enough."""
    monkeypatch.setattr(durable, "FLOOR", 0)  # look where it ends, and not before
    monkeypatch.setattr(durable, "FLOOR_FILES", 0)
    stops = 0
    with SmallDisk(megabytes=2, files=400) as disk:
        for room in range(100):
            world = world_on(disk)
            world.blameless = False  # jobs have the same disk
            getattr(disk, what)(room)
            with observed(world):
                first = world.live()
                disk.clear()
                come_to_the_end(world)
            stops += first is None
            if first is not None and len(world.executed) == len(TASKS):
                break
        else:
            pytest.fail("there was never enough")
    assert stops >= 10


def test_nothing_is_submitted_and_nobody_blamed_on_a_disk_without_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with SmallDisk(megabytes=2) as disk:
        monkeypatch.setattr(durable, "FLOOR", 3_000_000)
        world = world_on(disk)
        with observed(world):
            assert world.live() is None
            assert world.jobs == []
            monkeypatch.setattr(durable, "FLOOR", 0)
            come_to_the_end(world)


def test_the_floor_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable.check_room(tmp_path)
    monkeypatch.setattr(durable, "FLOOR", 10**18)
    with pytest.raises(Stopped, match=r"the disk is full \(\d+ MB and \d+ files left\); make room"):
        durable.check_room(tmp_path)
