"""Going on with a study: what must be as it was when work was done, and what the user may allow to differ.

Results depend on sections of the run file. Once a record of the journal says that finished work depended on a section
(its `identity`), the section is frozen. At the boundary of a cycle the user may accept a change, unless results of two
kinds would lie in one training set.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from ald_core.errors import InputError
from ald_core.events import Listener, Note
from ald_core.journal import Journal, read_journal
from ald_core.runfile import RunFile

Entries = Iterable[Mapping[str, Any]]
FOR_GOOD = ("study", "training", "labelers")
"""Sections that the training set depends on, of which there is one for the whole study."""
_COPY = "is a copy"
SHOWN = 8
"""Changed options named in one sentence."""


@attrs.frozen
class Consent:
    """What the user has said to what an `ald run` would else refuse."""

    accept_changes: bool = False
    """The next cycles may be run with other options than those before"""
    moved: bool = False
    """The study folder was moved here"""
    copied: bool = False
    """The study folder is a copy, which gets a run id of its own"""
    take_over: bool = False
    """The `ald run` elsewhere that has the study and gives no sign of life is dead"""


@attrs.frozen
class Change:
    """Options of one frozen section that are different now."""

    section: str
    options: tuple[str, ...]
    """`name: was → is`"""

    def __str__(self) -> str:
        more = len(self.options) - SHOWN
        shown = [*self.options[:SHOWN], *([f"{more} more"] if more > 0 else [])]
        return "; ".join(shown) or f"{self.section}: its files or the plugin's defaults"


def identify(journal: Journal, folder: Path, consent: Consent = Consent()) -> str:
    """The run id, drawn the first time, and again for a copy: no two folders share the names of their jobs."""
    run, here = run_id(journal.records), str(folder.resolve())
    problem = place_problem(journal.records, folder)
    if run is None and any(folder.glob("ALC-*/jobs/ald-*")):
        raise InputError(
            "has jobs of an earlier run, of which .ald/journal says nothing: restore .ald from a backup, or move the "
            "folders ALC-* away to begin anew",
            path=here,
        )
    if run is None or (problem and consent.copied):
        run = secrets.token_hex(4)
        journal.append({"type": "STUDY", "run": run, "folder": here})
    elif problem and consent.moved and not problem.startswith(_COPY):
        journal.append({"type": "MOVED", "folder": here})
    elif problem:
        raise InputError(problem, path=here)
    return run


def place_problem(entries: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Why the user has to say whether a study was moved or copied; empty: it is where it was, or new."""
    run, was = run_id(entries), _place(entries)
    if run is None or was is None or _is_same(Path(was), folder):
        return ""
    if run == _run_id_at(Path(was)):
        return (
            f"{_COPY} of the study in {was}, which is still there; `ald run --copied` gives the copy a run id of its "
            "own, so that the two never touch each other's jobs"
        )
    return (
        f"began in {was}; if it was moved here, go on with `ald run --moved`; if it is a copy, with "
        "`ald run --copied`, which gives it a run id of its own"
    )


def check_options(
    journal: Journal,
    runfile: RunFile,
    versions: Mapping[str, str],
    consent: Consent,
    listener: Listener,
) -> None:
    """Refuse, accept, or tell of changes in the run file and in the plugins since the last run; put them on record."""
    frozen = changes(journal.records, runfile)
    if frozen:
        _refuse(journal.records, runfile, frozen, consent)
    now = {"values": runfile.values(), "versions": dict(versions)}
    then = _last_options(journal.records)
    if now != {key: then.get(key) for key in now}:
        journal.append({"type": "OPTIONS", **now})
    if frozen:
        digests = runfile.identity()
        accepted = {c.section: digests.get(c.section) for c in frozen}
        said = "; ".join(map(str, frozen))
        journal.append({"type": "CHANGED", "identity": accepted, "changes": said})
        listener(Note(f"accepted from here on: {said}"))
    told = _told(then, now, {c.section for c in frozen})
    if then and told:
        text = str(Change("", tuple(told)))
        listener(Note(f"changed since the last run: {text}; what depends on it is done anew"))


def _told(then: Mapping[str, Any], now: Mapping[str, Any], but: set[str]) -> list[str]:
    """Differences of options outside of some sections, and of versions where there were some."""
    options = _differences(then.get("values", {}), now["values"])
    known = then.get("versions", {})
    versions = {where: text for where, text in now["versions"].items() if where in known}
    return [
        *(d for d in options if section_of(d.partition(":")[0]) not in but),
        *_differences({where: known[where] for where in versions}, versions),
    ]


def changes(entries: Entries, runfile: RunFile) -> list[Change]:
    """Sections of the run file that finished work depended on and that are different now."""
    frozen: dict[str, str | None] = {}
    used: dict[str, Mapping[str, str]] = {}
    values: Mapping[str, str] = {}
    for entry in entries:
        if entry["type"] == "OPTIONS":
            values = entry["values"]
        for section, digest in entry.get("identity", {}).items():
            frozen[section] = digest
            used[section] = values
    now, digests = runfile.values(), runfile.identity()
    found = []
    for section in sorted(s for s, digest in frozen.items() if digests.get(s) != digest):
        differences = _differences(used[section], now)
        mine = tuple(d for d in differences if section_of(d.partition(":")[0]) == section)
        found.append(Change(section, mine))
    return found


def is_at_boundary(entries: Entries) -> bool:
    """Whether no work of the next cycle has begun."""
    begun = False
    for entry in entries:
        if entry["type"] in ("CYCLE_DONE", "FINAL") or (
            entry["type"] == "TRAINING" and entry["cycle"] == 0
        ):
            begun = False
        elif entry["type"] == "INTENT":
            begun = True
    return not begun


def run_id(entries: Entries) -> str | None:
    """The run id of a study, by which its jobs are called; None before the first run."""
    found = [str(e["run"]) for e in entries if e["type"] == "STUDY"]
    return found[-1] if found else None


def section_of(name: str) -> str:
    """The section of an option: `labelers.bulk` of `labelers.bulk.command`, `case` of `case[1].name`."""
    words = name.split(".")
    return ".".join(words[:2]) if words[0] == "labelers" else words[0].partition("[")[0]


def _refuse(entries: Entries, runfile: RunFile, frozen: list[Change], consent: Consent) -> None:
    what = "; ".join(map(str, frozen))
    lasting = sorted({c.section for c in frozen if c.section.split(".")[0] in FOR_GOOD})
    undo = "undo the change, or start a new study in another folder (study.folder)"
    if lasting:
        why = "the training set was made with it"
    elif not is_at_boundary(entries):
        why = "a cycle is under way with it"
        undo = "undo the change; `ald stop --after-cycle` stops between two cycles, where `--accept-changes` allows it"
    elif not consent.accept_changes:
        why = "earlier cycles were run with it"
        undo = "undo the change, or go on with `ald run --accept-changes`"
    else:
        return
    sections = ", ".join(c.section for c in frozen)
    raise InputError(
        f"{sections} changed since work was done with it ({what}), and {why}; {undo}",
        path=runfile.path,
    )


def _differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = [*now, *(name for name in then if name not in now)]
    return [
        f"{name}: {then.get(name, 'absent')} → {now.get(name, 'absent')}"
        for name in names
        if then.get(name) != now.get(name)
    ]


def _last_options(entries: Entries) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {}
    for entry in entries:
        if entry["type"] == "OPTIONS":
            found = entry
    return found


def _place(entries: Entries) -> str | None:
    """Where the study was the last time."""
    found = [e.get("folder") for e in entries if e["type"] in ("STUDY", "MOVED")]
    return found[-1] if found else None


def _is_same(was: Path, here: Path) -> bool:
    """Whether two names lead to one folder, as those of two mounts may."""
    try:
        return was.samefile(here)
    except OSError:
        return False


def _run_id_at(folder: Path) -> str | None:
    try:
        return run_id(read_journal(folder, ("STUDY",)))
    except (OSError, InputError):
        return None
