"""Looking at a study without touching it: the plan of `ald check`, the state of `ald status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs
import cattrs

from ald_core import script
from ald_core.errors import InputError
from ald_core.frames import read_frames
from ald_core.holdout import held_out
from ald_core.jobfolder import one_line
from ald_core.journal import Record, read_journal
from ald_core.ledger import Ledger
from ald_core.lock import read_holder
from ald_core.registry import Registry
from ald_core.runfile import RunFile, read_run_file, study_folder
from ald_core.study import changed_options, cycle_records, final_record, planned_cycles
from ald_core.summary import Summary, summarise


@attrs.frozen
class Plan:
    """What a run would do, in lines."""

    lines: tuple[str, ...]
    warnings: tuple[str, ...]


@attrs.frozen
class StudyStatus:
    """Where a study stands."""

    summary: Summary
    lines: tuple[str, ...]


def plan(path: Path, registry: Registry, *, fit_only: bool = False) -> Plan:
    """Read the run file and all starting frames; raises InputError for what is wrong with them."""
    runfile = read_run_file(path, registry, cycles=0 if fit_only else None)
    given = read_frames(runfile.frames, runfile.study.elements)
    bare = sum(labels is None for _, labels in given)
    if bare and "bulk" not in runfile.crew.labelers:
        raise InputError(
            f"labelers.bulk: is required, because {bare} starting frames have no labels", path=path
        )
    chosen = held_out([f for f, _ in given], runfile.training.held_out, runfile.study.seed)
    crew = runfile.crew.members()
    lines = [
        f"study {runfile.folder}: {', '.join(runfile.study.elements)}",
        f"starting set: {len(given)} frames, {bare} to be labelled first, {len(chosen)} held out",
        *(f"{where}: {member.role} '{member.name}'" for where, member in crew.items()),
        *(f"case {case.name}: {case.temperature:g} K" for case in runfile.cases),
    ]
    lines.append(_what_happens(runfile, fit_only=fit_only))
    warnings = [f"{b.source} is BROKEN: {b.reason}" for b in registry.broken]
    changed = changed_options(read_journal(runfile.folder), runfile)
    if changed:
        warnings.append(
            f"{', '.join(changed)} changed since this study began; `ald run` will refuse"
        )
    return Plan(tuple(lines), tuple(warnings))


def _what_happens(runfile: RunFile, *, fit_only: bool) -> str:
    if fit_only:
        return "would fit once, then stop"
    return f"would run {runfile.study.cycles} cycles and a final fit"


def read_status(path: Path) -> StudyStatus:
    """The state of a study from its journal and job folders; InputError if it has never been run or is damaged."""
    folder = study_folder(path)
    try:
        entries = read_journal(folder)
        if not entries:
            raise InputError(
                "this study has not been run yet; start it with `ald run`", path=folder
            )
        return _status(folder, entries)
    except (OSError, KeyError, TypeError, ValueError, cattrs.BaseValidationError) as error:
        reason = one_line(f"{type(error).__name__}: {error}")
        raise InputError(
            f"is damaged or of another version of ald ({reason})", path=folder / ".ald"
        ) from error


def _status(folder: Path, entries: Sequence[Record]) -> StudyStatus:
    records = list(cycle_records(entries).values())
    final = final_record(entries)
    if final is not None:
        records = [r for r in records if r.cycle < final.cycle] + [final]
    ledger = Ledger(entries)
    lines = ["finished"] if final is not None else _under_way(entries, ledger)
    lines += _open_jobs(folder, entries, ledger)
    failures = [e for e in entries if e["type"] in ("REJECTED", "REFUSED", "LOST")]
    if failures:
        last = failures[-1]
        lines.append(f"last rejection: {last.get('name', last['job'])}: {last['reason']}")
    holder = read_holder(folder / ".ald" / "lock")
    if holder or final is None:
        lines.append(holder or "no `ald run` is at work; start it again to go on")
    lines.append(f"last record: {entries[-1]['type']} at {entries[-1].get('at', '?')}")
    return StudyStatus(summarise(records, final=final is not None), tuple(lines))


def _under_way(entries: Sequence[Record], ledger: Ledger) -> list[str]:
    """Cycle, step and labels since the last cycle, or the starting set, was finished."""
    begin = 0
    for i, entry in enumerate(entries):
        starting_set = entry["type"] == "TRAINING" and entry["cycle"] == 0
        if starting_set or entry["type"] in ("CYCLE_DONE", "FINAL"):
            begin = i + 1
    jobs = [e for e in entries[begin:] if e["type"] == "INTENT"]
    cycle = max(cycle_records(entries), default=0) + 1
    where = f"cycle {cycle}" if cycle <= planned_cycles(entries) else f"cycle {cycle}, final fit"
    lines = [f"{where}: {jobs[-1]['role']}" if jobs else f"{where}: begins"]
    labels = {a["identity"] for e in jobs if e["role"] == "label" for a in e["attempts"]}
    if labels:
        states = [ledger.task(identity) for identity in labels]
        accepted = sum(state.accepted is not None for state in states)
        quarantined = sum(state.quarantined is not None for state in states)
        lines.append(f"labels in this cycle: {accepted} accepted, {quarantined} quarantined")
    return lines


def _open_jobs(folder: Path, entries: Sequence[Record], ledger: Ledger) -> list[str]:
    """How many jobs of each role wait, run, or have ended and are to be collected."""
    roles = {e["job"]: e["role"] for e in entries if e["type"] == "INTENT"}
    found: dict[str, Counter[str]] = {}
    for job in ledger.open_jobs():
        place = folder / job.folder
        ended = (place / script.JOB_EXIT).exists()
        state = "ended" if ended else "waiting" if script.read_claim(place) is None else "running"
        found.setdefault(roles[job.name], Counter())[state] += 1
    return [
        f"{role} jobs: {n['waiting']} waiting, {n['running']} running, {n['ended']} to be collected"
        for role, n in found.items()
    ] or ["no jobs under way"]
