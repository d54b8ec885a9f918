"""Looking at a study without touching it: the plan of `ald check`, the state of `ald status`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import attrs

from ald_core.errors import InputError
from ald_core.frames import read_frames
from ald_core.holdout import held_out
from ald_core.journal import read_journal
from ald_core.registry import Registry
from ald_core.runfile import RunFile, read_run_file, study_folder
from ald_core.study import changed_options, cycle_records, final_record
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
    """The state of a study from its journal; InputError if it has never been run."""
    folder = study_folder(path)
    entries = read_journal(folder)
    if not entries:
        raise InputError("this study has not been run yet; start it with `ald run`", path=folder)
    records = list(cycle_records(entries).values())
    final = final_record(entries)
    if final is not None:
        records = [r for r in records if r.cycle < final.cycle] + [final]
    counts = Counter(e["type"] for e in entries)
    names = {
        "INTENT": "jobs written",
        "SUBMITTED": "jobs submitted",
        "ACCEPTED": "tasks accepted",
        "REJECTED": "attempts rejected",
        "QUARANTINED": "tasks quarantined",
    }
    lines = [", ".join(f"{counts.get(key, 0)} {text}" for key, text in names.items())]
    last = entries[-1]
    lines.append(f"last record: {last['type']} at {last.get('at', '?')}")
    lines.append("finished" if final is not None else "not finished; `ald run` goes on")
    return StudyStatus(summarise(records), tuple(lines))
