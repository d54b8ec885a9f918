"""Explores what can happen to `ald run`, its jobs and its scheduler: the code is real, time and chance are not.

A history is one sequence of choices. Whenever something can go wrong, the explorer picks a number: 0 is the normal
course, any other a fault. So a history is a set of faults, `{number of the choice: what happens}`, and all histories
with at most so many faults can be gone through one after the other, or some of many faults at random.

Faults at each step of each durable operation: the process dies, before it or in the middle of a write; the power fails
before a folder is synced, and what was done to it is undone; writing fails; jobs go on, by a step or to their ends;
another `ald run` begins in the same study (locks do not hold), and then the two take turns. At a submission: the answer
is lost and the job is there, or not, or twice; the job is forgotten; the process dies. At a query: no answer; nothing
is found; the answer is old. Between queries: jobs die, begin once more after their end, are forgotten while they work.
"""

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
from fake_world import TASKS, Chance, NoLock, Violation, World

from ald_core import durable, jobs, journal
from ald_core.errors import InputError
from ald_core.journal import Journal, read_journal

LIVES = 60

# ---------------------------------------------------------------- one history


def happen(
    folder: Path, chance: Chance, scheme: str = "", *, concurrent_runs: bool = True
) -> World:
    """One history from the first `ald run` to the last. Raises `Violation` if a promise was broken."""
    study = folder / "study"
    shutil.rmtree(study, ignore_errors=True)
    world = World(study, chance, TASKS, concurrent_runs, scheme != "no claim in the job")
    with observed(world), SCHEMES[scheme]():
        come_to_the_end(world)
    return world


def come_to_the_end(world: World) -> None:
    """`ald run` again and again, until it is through. Raises `Violation` if a promise was broken."""
    results = None
    for _ in range(LIVES):
        known = _accepted(world.study)
        results = world.live()
        if not known <= _accepted(world.study):
            raise Violation("an accepted result is no longer accepted")
        if results is not None:
            break
    else:
        raise Violation("it does not come to its end")
    world.advance()  # jobs that come to light late
    # Once more, with nothing going wrong.
    world.chance, submitted = Chance(), len(world.jobs)
    again = world.live()
    if results != [f"{task.name} done" for task in TASKS] or again != results:
        raise Violation(f"wrong results: {results}, {again}")
    _check(world, submitted)


def _check(world: World, submitted: int) -> None:
    if len(set(world.executed)) != len(world.executed):
        raise Violation("an attempt was executed twice")
    if world.blameless and len(world.executed) != len(TASKS):
        raise Violation(f"{len(world.executed)} executions, and no job had died")
    if len(world.jobs) != submitted:
        raise Violation("a run that had nothing to do submitted something")
    records = read_journal(world.study)
    accepted = [r["task"] for r in records if r["type"] == "ACCEPTED"]
    if len(set(accepted)) != len(accepted):
        raise Violation("a task was accepted twice")
    void = {r["job"] for r in records if r["type"] == "VOID"}
    if void & {job for job, _ in world.executed}:
        raise Violation("a job worked that can never work")
    lost = [record for record in world.acknowledged if record not in records]
    if lost:
        raise Violation(f"a record was lost: {lost[0]}")
    left = [p for p in world.study.rglob("*") if p.name.endswith((".ald-new", ".ald-old"))]
    if left and world.concurrent_runs is False:
        raise Violation(f"left over: {left}")


def _accepted(study: Path) -> set[str]:
    return {r["task"] for r in read_journal(study, ["ACCEPTED"])}


@contextmanager
def observed(world: World) -> Iterator[None]:
    """Durable operations, and the steps in them, are points at which things happen."""

    def before(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            world.point(name)
            return function(*arguments)

        return call

    def write(descriptor: int, data: bytes) -> None:
        fault = world.point("write", "torn", "EIO")
        if fault == "EIO":
            raise OSError(errno.EIO, "Input/output error")
        if fault == "torn":
            os.write(descriptor, data[: len(data) // 2])
            world.die()
        original_write(descriptor, data)

    def link(source: Path, target: Path) -> None:
        world.point("link")
        os.link(source, target)
        undo[target.parent] = target.unlink

    def publish_folder(staged: Path, target: Path) -> None:
        world.point("publish_folder")
        undo[target.parent] = lambda: target.rename(staged)
        original_publish(staged, target)

    def sync_folder(folder: Path) -> None:
        if folder not in undo or len(world.runs) > 1:  # what others have seen is not undone
            world.point("sync")
        elif world.point("sync", "power fails"):
            with suppress(FileNotFoundError):
                undo.pop(folder)()
            world.die()
        undo.pop(folder, None)

    def append(opened: Journal, record: Mapping[str, Any]) -> Any:
        stored = original_append(opened, {**record, "unique": next(numbers)})
        world.acknowledged.append(stored)
        return stored

    numbers = iter(range(10**6))
    undo: dict[Path, Callable[[], Any]] = {}
    original_write, original_append = durable._write_whole, Journal.append
    original_publish = durable.publish_folder
    with ExitStack() as stack:
        put = stack.enter_context
        for name in ("_sync_tree", "_remove", "stage", "discard", "claim"):
            put(mock.patch.object(durable, name, before(getattr(durable, name), name)))
        put(mock.patch.object(durable, "_write_whole", write))
        put(mock.patch.object(durable, "sync_folder", sync_folder))
        put(mock.patch.object(durable, "publish_folder", publish_folder))
        put(mock.patch.object(durable, "os", _System(link)))
        put(mock.patch.object(Journal, "append", append))
        put(mock.patch.object(journal, "Lock", NoLock))
        put(mock.patch.object(jobs, "PAUSE_PER_QUERY", 0.0))
        yield


class _System:
    """The module `os`, with another `link`, and without waiting for disks."""

    def __init__(self, link: Callable[..., Any]):
        self.link = link

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, descriptor: int) -> None:
        """Memory is durable enough here."""


# ---------------------------------------------------------------- broken schemes


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _void_without_the_claim() -> Iterator[None]:
    """A job that cannot be found is taken for one that never began."""

    def void(run: Any, job: Any, reason: str) -> bool:
        run.record({"type": "VOID", "job": job.name, "reason": reason})
        return True

    with mock.patch("ald_core.watch.Run.void", void):
        yield


@contextmanager
def _intent_after_the_submission() -> Iterator[None]:
    """Intents come to the journal together with what follows them."""
    waiting: list[Any] = []
    original = Journal.append

    def append(opened: Journal, record: Mapping[str, Any]) -> Any:
        late = [intent for holder, intent in waiting if holder is opened]
        waiting.clear()
        for intent in late:
            original(opened, intent)
        if record["type"] == "INTENT":
            waiting.append((opened, record))
            return dict(record)
        return original(opened, record)

    with mock.patch.object(Journal, "append", append):
        yield


@contextmanager
def _reading_before_the_generation() -> Iterator[None]:
    """Older records are read before the new generation stops those who write them."""
    original_claim, original_read = durable.claim, journal._read

    def claim(path: Path, content: bytes) -> bool:
        if path.suffix == ".jsonl":
            before[path.parent] = original_read(path.parent)
        return original_claim(path, content)

    def read(folder: Path, kinds: Any = None) -> Any:
        known = before.pop(folder, None) if kinds is None else None
        return original_read(folder, kinds) if known is None else known

    before: dict[Path, Any] = {}
    with mock.patch.object(durable, "claim", claim), mock.patch.object(journal, "_read", read):
        yield


@contextmanager
def _overtaken_and_not_aware_of_it() -> Iterator[None]:
    """Nobody looks whether a newer generation has begun."""
    with mock.patch.object(Journal, "verify", return_value=None):
        yield


SCHEMES: Mapping[str, Callable[[], Any]] = {
    "": _as_it_is,
    "no claim in the job": _as_it_is,
    "void without the claim": _void_without_the_claim,
    "intent after the submission": _intent_after_the_submission,
    "reading before the generation": _reading_before_the_generation,
    "overtaken and not aware of it": _overtaken_and_not_aware_of_it,
}


# ---------------------------------------------------------------- all histories


@attrs.define
class Explored:
    """How far an exploration has come."""

    histories: int = 0
    choices: int = 0
    faults: int = 0

    def add(self, chance: Chance) -> None:
        """One more history."""
        self.histories += 1
        self.choices += len(chance.widths)
        self.faults += len(chance.happened)


def explore(
    folder: Path,
    depth: int,
    explored: Explored,
    scheme: str = "",
    part: tuple[int, int] = (0, 1),
    **more: Any,
) -> None:
    """All histories with at most `depth` faults; of the first faults only every n-th, from i on (`part` = i, n)."""

    def go(faults: dict[int, int], first: int) -> None:
        chance = Chance(faults)
        _attempt(folder, chance, str(faults), scheme, **more)
        explored.add(chance)
        if len(faults) == depth:
            return
        number = 0
        for position in range(first, len(chance.widths)):
            for fault in range(1, chance.widths[position] + 1):
                number += 1
                if faults or number % part[1] == part[0]:
                    go({**faults, position: fault}, position + 1)

    go({}, 0)


def wander(
    folder: Path, seeds: Sequence[int], explored: Explored, scheme: str = "", **more: Any
) -> None:
    """Histories with many faults at random."""
    for seed in seeds:
        chance = Chance(dice=random.Random(seed))
        _attempt(folder, chance, f"seed {seed}", scheme, **more)
        explored.add(chance)


def _attempt(folder: Path, chance: Chance, what: str, scheme: str, **more: Any) -> None:
    try:
        happen(folder, chance, scheme, **more)
    except Exception as error:
        error.add_note(f"{what}: {'; '.join(chance.happened)}")
        raise


# ---------------------------------------------------------------- a journal that was damaged


def survive_damage(folder: Path, damage: Callable[[bytes], bytes]) -> str:
    """Damage the newest file of a journal with all its records, and go on: `refused`, or what is in the world then."""
    world = World(folder / "study", Chance(), TASKS, concurrent_runs=False)
    shutil.rmtree(world.study, ignore_errors=True)
    with observed(world):
        world.live()
        (path,) = (world.study / ".ald" / "journal").glob("*.jsonl")
        whole = path.read_bytes()
        path.write_bytes(damage(whole))
        world.acknowledged.clear()  # what is cut off is not known any more
        world.blameless = False
        try:
            come_to_the_end(world)
        except InputError as error:
            if "damaged" not in str(error):
                raise
            return "refused"
    return "as before" if len(world.executed) == len(TASKS) else "done again"


def flipped(data: bytes, dice: random.Random) -> bytes:
    """With one bit changed."""
    changed = bytearray(data)
    changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(changed)
