"""What a user does to a study from outside: stop it, and cancel its jobs."""

from __future__ import annotations

import time
from pathlib import Path

from ald_core.interruption import StopFile
from ald_core.jobs import JobRunner
from ald_core.journal import Journal, newest_generation, read_journal
from ald_core.lock import Holder, read_holder, who_works
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
    runfile = read_run_file(path, registry, cycles=0, trust_config=trust_config, ready=False)
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
