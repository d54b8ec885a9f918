"""Many labels with all that can happen to their jobs: each is accepted or quarantined, and costs no more in the end."""

import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_world import Chance, World
from many_jobs import Killed, Sim, frame

from ald_core import jobs
from ald_core.journal import Journal, read_journal
from ald_core.types import Failure, Resources

FRAMES = 500


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(jobs, "PAUSE_PER_QUERY", 0.0)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield World(Path(name) / "study", Chance())


def life(world: World, frames: int, seed: int, deadline: int) -> tuple[Sim, list[Any]]:
    sim = Sim(world=world, dice=random.Random(seed), deadline=deadline)
    results: list[Any] = []
    with Journal.open(world.study) as journal:
        runner = jobs.JobRunner(world.study, "0a1b", journal, sim, {"label": Resources()}, poll=0.0)
        try:
            results = runner.run(1, [frame(i) for i in range(frames)])
        except Killed:
            results = []
    return sim, results


def test_each_is_accepted_or_quarantined_and_none_works_twice(world: World) -> None:
    for seed in (1, 2):
        assert life(world, FRAMES, seed, FRAMES // 3)[1] == []
    _, results = life(world, FRAMES, 3, 10**9)
    bad = [i for i, result in enumerate(results) if isinstance(result, Failure)]
    assert bad == list(range(0, FRAMES, 97))
    sim, again = life(world, FRAMES, 4, 10**9)
    assert sim.looks == 0
    assert again == results
    kinds = Counter(r["type"] for r in read_journal(world.study))
    assert kinds["ACCEPTED"] + kinds["QUARANTINED"] == FRAMES
    assert kinds["VOID"] > 50  # lost answers, and jobs of which a killed run told nobody
    assert len(world.executed) == len(set(world.executed))


def test_what_is_not_submitted_yet_is_not_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the work would grow with the square of the number of frames."""
    seen = Counter[str]()
    original = jobs.JobRunner._resources_of

    def counted(runner: jobs.JobRunner, task: Any) -> Resources:
        seen[task.identity] += 1
        return original(runner, task)

    monkeypatch.setattr(jobs.JobRunner, "_resources_of", counted)
    life(world, FRAMES, 1, FRAMES // 3)
    assert sum(seen.values()) < 3 * FRAMES
