"""The model check: after no history of faults is anything lost or done twice; broken schemes are found broken."""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest
from fake_world import TASKS, Chance, Violation
from protocol import (
    SCHEMES,
    Explored,
    explore,
    flipped,
    happen,
    survive_damage,
    wander,
)

import ald_core


@pytest.fixture
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def test_a_history_without_faults(folder: Path) -> None:
    chance = Chance()
    world = happen(folder, chance)
    assert chance.happened == []
    assert len(chance.widths) > 30
    assert [place for _, place in world.executed] == ["000-a", "001-b", "000-c"]
    assert len(world.executed) == len(TASKS)


def test_every_history_with_one_fault(folder: Path) -> None:
    for two in (False, True):
        explored = Explored()
        explore(folder, 1, explored, concurrent_runs=two)
        assert explored.faults == explored.histories - 1 > 100


def test_some_histories_with_two_faults(folder: Path) -> None:
    explored = Explored()
    explore(folder, 2, explored, part=(7, 60))
    assert explored.histories > 150


def test_histories_with_many_faults(folder: Path) -> None:
    explored = Explored()
    wander(folder, range(250), explored)
    assert explored.faults > 500


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme])
def test_what_lacks_a_safeguard_is_found_broken(folder: Path, scheme: str) -> None:
    explored = Explored()

    def search() -> None:
        wander(folder, range(30, 90), explored, scheme)
        explore(folder, 1, explored, scheme)

    with pytest.raises(Violation):
        search()


def test_a_journal_that_was_cut_or_spoilt(folder: Path) -> None:
    """A cut is an append that never ended; a flipped bit in what others lie behind is refused. Never wrong results."""
    told = Counter(
        survive_damage(folder, lambda whole, n=n: whole[: len(whole) * n // 60]) for n in range(60)
    )
    assert told["refused"] == 0
    assert told["as before"] > 10
    dice = random.Random(2)
    told = Counter(survive_damage(folder, lambda whole: flipped(whole, dice)) for _ in range(60))
    assert told["refused"] > 40


def test_a_clock_that_jumps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an hour, forth and back: no decision is made by the time of day."""
    jumps = cycle((3600.0, -3600.0, 0.0))
    real, calendar = time.time, time.gmtime
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    monkeypatch.setattr(time, "gmtime", lambda *_: calendar(real() + next(jumps)))
    explored = Explored()
    wander(folder, range(40), explored)
    used = [
        p.name for p in Path(ald_core.__file__).parent.glob("*.py") if "time.time(" in p.read_text()
    ]
    assert used == []
