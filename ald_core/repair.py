"""Repairing a damaged journal: what can be read is written to a new generation, and nothing that is there is touched.

The new generation seals all older files at length 0, so that they are kept and no longer read. Most records may be
missing without harm: what they say is found again from the job folders, or done again under a new name. A gap that
would be silently wrong is refused: a finished cycle that is no longer on record below later work, a starting set, a
run id, everything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from ald_core.errors import InputError
from ald_core.jobfolder import PLAN
from ald_core.journal import Journal, Record, Salvage, salvage
from ald_core.ledger import Attempt, JobState, intent
from ald_core.resuming import run_id

_AFTER_START = ("fit", "md", "predict")
"""Roles of jobs that need a training set."""


@attrs.frozen
class Repair:
    """What was found, and what came of it, in sentences."""

    damage: tuple[str, ...]
    """Empty: the journal is whole"""
    remarks: tuple[str, ...] = ()
    recovered: int = 0
    """Records"""


def inspect(study: Path) -> Repair:
    """What `repair` would do; raises InputError where it would refuse."""
    found = salvage(study)
    if not found.damage:
        return Repair(())
    records, remarks = _mend(study, found)
    return Repair(found.damage, tuple(remarks), len(records))


def repair(study: Path) -> Repair:
    """Begin a generation with every record that can be read.

    Raises `InputError` if an `ald run` is at work or something is missing that cannot be found again.
    """
    if not salvage(study).damage:
        return Repair(())
    records: list[Record] = []
    remarks: list[str] = []
    damage: tuple[str, ...] = ()

    def mended(found: Salvage) -> list[Record]:
        nonlocal remarks, damage
        mended, remarks = _mend(study, found)
        damage = found.damage
        records.extend(mended)
        return [{"type": "REPAIRED", "damage": list(damage), "remarks": remarks}, *mended]

    Journal.replace(study, mended)
    return Repair(damage, tuple(remarks), len(records))


def _mend(study: Path, found: Salvage) -> tuple[list[Record], list[str]]:
    """The records that a new journal begins with; raises InputError if that would be silently wrong."""
    if not found.records and any(study.glob("ALC-*/jobs/*")):
        raise _refusal("nothing of it can be read, though work was done", study)
    records, remarks = _with_intents(study, list(found.records))
    if run_id(records) is None and records:
        run = _run_of_jobs(records)
        if run is None:
            raise _refusal("the run id is lost, by which its jobs are called", study)
        records.insert(0, {"type": "STUDY", "run": run})
        remarks.append(f"the run id {run} was found in the names of the jobs")
    _check_cycles(study, records)
    if not any(r["type"] == "PLAN" for r in records):
        remarks.append("the number of planned cycles is lost; that of the run file counts")
    return records, remarks


def _check_cycles(study: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Every cycle below the last work must be on record, with the training set that it left."""
    done = {r["cycle"] for r in records if r["type"] == "CYCLE_DONE"}
    trained = {r["cycle"] for r in records if r["type"] == "TRAINING"}
    begun = {r["cycle"] for r in records if r["type"] in ("INTENT", "FINAL")} | done | trained
    last = max(begun, default=0)
    started = done or any(r.get("role") in _AFTER_START for r in records)
    for cycle in range(1, last):
        if cycle not in done:
            raise _refusal(
                f"the record of cycle {cycle} is lost, after which there was more work", study
            )
    for cycle in range(last):
        if cycle not in trained and (cycle or started):
            what = f"after cycle {cycle}" if cycle else "the study started from"
            raise _refusal(f"the record of the training set {what} is lost", study)


def _with_intents(study: Path, records: list[Record]) -> tuple[list[Record], list[str]]:
    """The records with those before submissions found again in the job folders."""
    known = {r["job"] for r in records if r["type"] == "INTENT"}
    folders = {p.name: p for p in study.glob("ALC-*/jobs/*")}
    whole: list[Record] = []
    remarks = []
    for record in records:
        name = record.get("job")
        if name is not None and name not in known:
            found = _intent(study, folders.get(str(name)))
            if found is None:
                raise _refusal(
                    f"the record of the job {name} is lost, and its folder is gone", study
                )
            known.add(name)
            whole.append(found)
            remarks.append(f"the record of the submission of {name} was made again from its folder")
        whole.append(record)
    return whole, remarks


def _intent(study: Path, folder: Path | None) -> Record | None:
    if folder is None:
        return None
    try:
        plan = json.loads((folder / PLAN).read_text())
        attempts = tuple(
            Attempt(a["identity"], a["name"], a["folder"], a["rung"]) for a in plan["attempts"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    relative = folder.relative_to(study)
    job = JobState(folder.name, str(relative), attempts)
    return intent(int(relative.parts[0].removeprefix("ALC-")), folder.name.split("-")[2], job)


def _run_of_jobs(records: Sequence[Mapping[str, Any]]) -> str | None:
    runs = {r["job"].split("-")[1] for r in records if r["type"] == "INTENT"}
    return runs.pop() if len(runs) == 1 else None


def _refusal(what: str, study: Path) -> InputError:
    return InputError(
        f"{what}; going on could give wrong results without a word: restore .ald from a backup, or start a new study",
        path=study,
    )
