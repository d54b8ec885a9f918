"""What a user does to a study from outside: stop it, and let quarantined labels begin anew."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from ald_core.errors import InputError
from ald_core.interruption import StopFile
from ald_core.jobs import JobRunner
from ald_core.journal import Journal, Record, newest_generation, read_journal
from ald_core.ledger import Ledger, about_task
from ald_core.lock import Holder, read_holder, who_works
from ald_core.options import did_you_mean
from ald_core.registry import Registry
from ald_core.resuming import identify, run_id
from ald_core.runfile import read_run_file, study_folder

_SLICE = 0.2


def stop(
    path: Path,
    registry: Registry,
    *,
    jobs: bool,
    after_cycle: bool,
    wait: float = 60.0,
    trust_config: bool = False,
) -> str:
    """Ask the `ald run` of a study to stop, wherever it works, and wait for that; says what came of it.

    With `jobs` its jobs are cancelled too, by itself or, if there is none, here.
    """
    folder = study_folder(path)
    lock = folder / ".ald" / "lock"
    holder = who_works(lock)
    if holder is None:
        nobody = "no `ald run` is at work in this study"
        if not jobs:
            return nobody
        return f"{nobody}; {_cancel(path, registry, trust_config=trust_config)}"
    StopFile(folder, newest_generation(folder)).ask(jobs=jobs, after_cycle=after_cycle)
    if after_cycle:
        return f"asked {holder} to stop at the end of the cycle"
    if _has_gone(lock, holder, wait):
        return f"{holder} has stopped{', and its jobs are cancelled' * jobs}"
    if holder.is_suspended():
        return f"asked {holder} to stop, which it does when it is continued: it is suspended (`fg` in its shell)"
    unseen = ", unless it died there" * (holder.is_alive() is None)
    return f"asked {holder} to stop, which it has not done within {wait:g} seconds; it will{unseen}"


def _has_gone(lock: Path, holder: Holder, wait: float) -> bool:
    end = time.monotonic() + wait
    while holder.is_same(read_holder(lock)) and holder.is_alive() is not False:
        if time.monotonic() >= end:
            return False
        time.sleep(_SLICE)
    return True


def _cancel(path: Path, registry: Registry, *, trust_config: bool) -> str:
    runfile = read_run_file(path, registry, cycles=0, trust_config=trust_config)
    if run_id(read_journal(runfile.folder, ("STUDY",))) is None:
        return "it has never been run"
    with Journal.open(runfile.folder) as journal:
        run = identify(journal, runfile.folder)  # a copy does not touch the jobs of the original
        scheduler = runfile.crew.scheduler
        runner = JobRunner(
            runfile.folder, run, journal, scheduler, runfile.resources
        )  # submits nothing
        number = runner.cancel("cancelled by `ald stop --jobs`")
    return f"{number} jobs were cancelled, and `ald run` begins them again"


# ---------------------------------------------------------------- quarantine


@attrs.frozen
class Quarantined:
    """A label that was given up."""

    name: str
    """Of the frame"""
    reason: str
    identity: str
    for_good: bool
    """Its cycle was finished without it"""


def quarantined(entries: Iterable[Record]) -> list[Quarantined]:
    """All labels that are given up now, in the order in which that happened."""
    entries = list(entries)
    ledger = Ledger(entries)
    last_training = max((i for i, e in enumerate(entries) if e["type"] == "TRAINING"), default=-1)
    found = {}
    for i, e in enumerate(entries):
        state = ledger.tasks.get(e.get("task", ""))
        if e["type"] != "QUARANTINED" or state is None:
            continue
        if state.quarantined is not None and state.accepted is None:
            found[e["task"]] = Quarantined(e["name"], e["reason"], e["task"], i < last_training)
    return list(found.values())


def read_quarantined(path: Path) -> list[Quarantined]:
    """All labels of a study that are given up now."""
    return quarantined(read_journal(study_folder(path)))


def release(path: Path, names: Sequence[str], *, every: bool = False) -> list[str]:
    """Let labels begin anew in the next `ald run`, by the names of their frames; returns those names.

    Raises `InputError`, and releases nothing, if one is not quarantined, or its cycle was finished without it.
    """
    folder = study_folder(path)
    if not _chosen(read_journal(folder), names, every=every):
        return []  # nothing is written for nothing
    with Journal.open(folder) as journal:
        chosen = _chosen(journal.records, names, every=every)
        for q in chosen:
            journal.append(about_task("RELEASED", q.identity, q.name))
    return [q.name for q in chosen]


def _chosen(entries: Iterable[Record], names: Sequence[str], *, every: bool) -> list[Quarantined]:
    """Labels that can be released, those of these names or all; InputError for a name that is none of them."""
    given_up = quarantined(entries)
    open_ones = [q for q in given_up if not q.for_good]
    chosen = [q for q in open_ones if every or q.name in names]
    for name in names:
        if name in {q.name for q in chosen}:
            continue
        if name in {q.name for q in given_up}:
            raise InputError(f"{name}: its cycle was finished without it, and is not done again")
        hint = did_you_mean(name, [q.name for q in open_ones])
        raise InputError(f"{name}: no label of this name is quarantined{hint}")
    return chosen
