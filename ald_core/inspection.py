"""Looking at a study without touching it: the plan of `ald check`, the state of `ald status`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs
import cattrs

from ald_core import script
from ald_core.crew import label_obstacles
from ald_core.errors import InputError, InputErrors
from ald_core.frames import read_frames
from ald_core.holdout import held_out
from ald_core.jobfolder import one_line
from ald_core.journal import Record, newest_generation, read_journal
from ald_core.ledger import Ledger, TaskState
from ald_core.lock import Holder, who_works
from ald_core.places import placed
from ald_core.registry import Registry
from ald_core.resuming import changes, place_problem, run_id
from ald_core.runfile import RunFile, read_old, read_run_file, study_folder
from ald_core.status_file import State, Status, Step, Tasks, read_status_file, result
from ald_core.study import cycle_records, final_record, planned_cycles
from ald_core.summary import Summary, duration, summarise
from ald_core.verdicts import outliers_now

_FEW = ("STUDY", "PLAN", "CYCLE_DONE", "REJECTED", "REFUSED", "LOST")
"""Kinds of records that are read when `ald run` tells the rest."""


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
    status: Status
    """The same for programs"""


def plan(
    path: Path, registry: Registry, *, fit_only: bool = False, trust_config: bool = False
) -> Plan:
    """Read the run file and all starting frames; raises InputError for what is wrong with them."""
    cycles = 0 if fit_only else None
    runfile = read_run_file(path, registry, cycles=cycles, trust_config=trust_config)
    given = read_frames(runfile.frames, runfile.study.elements)
    bare = [frame for frame, labels in given if labels is None]
    problems = list(label_obstacles(runfile.crew, bare, runfile.study.elements))
    chosen = held_out([f for f, _ in given], runfile.training.held_out, runfile.study.seed)
    problems += runfile.crew.scheduler.check_resources(runfile.all_resources())
    if problems:
        text = "" if runfile.old else path.read_text(encoding="utf-8")
        raise InputErrors([placed(problem, path, text) for problem in problems], path=path)
    crew = runfile.crew.members()
    lines = [
        f"study {runfile.folder}: {', '.join(runfile.study.elements)}",
        f"starting set: {len(given)} frames, {len(bare)} to be labelled first, {len(chosen)} held out",
        *(f"{where}: {member.role} '{member.name}'" for where, member in crew.items()),
        *(f"case {case.name}: {case.temperature:g} K" for case in runfile.cases),
    ]
    lines.append(_what_happens(runfile, fit_only=fit_only))
    warnings = [f"{b.source} is BROKEN: {b.reason}" for b in registry.broken]
    if runfile.crew.md is not None:
        for case in runfile.cases:
            said = runfile.crew.md.case_warnings(case, runfile.study.elements)
            warnings += [f"case[{case.index}]: {text}" for text in said]
    for i, notifier in enumerate(runfile.notifiers):
        lines.append(f"notify[{i}]: notifier '{notifier.name}' on {', '.join(notifier.events)}")
        warnings += [f"notify[{i}]: {text}" for text in notifier.warnings()]
    entries = read_journal(runfile.folder)
    misplaced = place_problem(entries, runfile.folder)
    if misplaced:
        warnings.append(f"this study {misplaced}")
    changed = changes(entries, runfile)
    if changed:
        what = "; ".join(map(str, changed))
        warnings.append(
            f"changed since work was done with it, so that `ald run` will refuse: {what}"
        )
    return Plan(tuple(lines), tuple(warnings))


def account(path: Path, registry: Registry, *, trust_config: bool = False) -> Plan:
    """What becomes of a study of the existing driver, whatever else is wrong with it; nothing for any other."""
    old = read_old(path, registry, trust_config=trust_config)
    return Plan(tuple(old.account()), tuple(old.warnings())) if old else Plan((), ())


def _what_happens(runfile: RunFile, *, fit_only: bool) -> str:
    if fit_only:
        return "would fit once, then stop"
    return f"would run {runfile.study.cycles} cycles and a final fit"


def read_status(path: Path) -> StudyStatus:
    """The state of a study from its journal and job folders; InputError if it has never been run or is damaged."""
    folder = study_folder(path)
    try:
        holder = who_works(folder / ".ald" / "lock")
        told = read_status_file(folder)
        if told is not None and told.generation != newest_generation(folder):
            told = None
        if told and holder and told.steps and (told.state, told.pid) == ("running", holder.pid):
            return _as_told(folder, told, holder)
        entries = read_journal(folder)
        if not entries:
            raise InputError(
                "this study has not been run yet; start it with `ald run`", path=folder
            )
        return _as_found(folder, entries, told, holder)
    except (OSError, KeyError, TypeError, ValueError, cattrs.BaseValidationError) as error:
        reason = one_line(f"{type(error).__name__}: {error}")
        raise InputError(
            f"is damaged or of another version of ald ({reason})", path=folder / ".ald"
        ) from error


def _as_told(folder: Path, told: Status, holder: Holder) -> StudyStatus:
    """What the `ald run` at work says itself, which takes as long for 10,000 jobs as for one."""
    entries = read_journal(folder, _FEW)
    records = list(cycle_records(entries).values())
    names = [step.name for step in told.steps]
    lines = [_where(told.cycle, names, entries), *map(_progress, told.steps)]
    lines += _why(entries, told, holder)
    lines.append(f"last change: {told.at}")
    return StudyStatus(summarise(records, final=False), tuple(lines), told)


def _as_found(
    folder: Path, entries: Sequence[Record], told: Status | None, holder: Holder | None
) -> StudyStatus:
    """What journal and job folders say; `told`: the last words of the last `ald run`."""
    records = list(cycle_records(entries).values())
    final = final_record(entries)
    if final is not None:
        records = [r for r in records if r.cycle < final.cycle] + [final]
    ledger = Ledger(entries)
    now = _begun(entries, ledger)
    jobs, steps = _open_jobs(folder, entries, now, ledger)
    ended = told if told and not holder and told.state in ("stopped", "failed") else None
    state: State = "finished" if final else "running" if holder else "interrupted"
    status = Status(
        ended.state if ended and not final else state,
        str(folder.absolute()),
        run_id(entries) or "",
        newest_generation(folder),
        holder.host if holder else "",
        holder.pid if holder else 0,
        reason=ended.reason if ended else "",
        at=str(entries[-1].get("at", "")),
        cycles=planned_cycles(entries),
        cycle=final.cycle if final else now.cycle,
        steps=() if final else steps,
        warnings=told.warnings if told else (),
        results=tuple(result(r, final=r is final) for r in records),
    )
    names = [step.name for step in steps]
    lines = ["finished"] if final is not None else [_where(now.cycle, names, entries)]
    lines += _labels(now, entries) if final is None else []
    lines += jobs or ["no jobs under way"]
    lines += _why(entries, status, holder)
    lines.append(f"last record: {entries[-1]['type']} at {entries[-1].get('at', '?')}")
    return StudyStatus(summarise(records, final=final is not None), tuple(lines), status)


@attrs.frozen
class _Begun:
    """What has been begun since the last cycle, or the starting set, was finished."""

    cycle: int
    states: Mapping[str, Mapping[str, TaskState]]
    """Of the tasks by role, in the order in which jobs of the roles were last submitted"""


def _begun(entries: Sequence[Record], ledger: Ledger) -> _Begun:
    begin = 0
    for i, entry in enumerate(entries):
        starting_set = entry["type"] == "TRAINING" and entry["cycle"] == 0
        if starting_set or entry["type"] in ("CYCLE_DONE", "FINAL"):
            begin = i + 1
    states: dict[str, dict[str, TaskState]] = {}
    for entry in entries[begin:]:
        if entry["type"] == "INTENT":
            known = states.pop(entry["role"], {})
            for attempt in entry["attempts"]:
                identity = attempt["identity"]
                known[identity] = ledger.tasks.get(identity) or TaskState()
            states[entry["role"]] = known
    return _Begun(max(cycle_records(entries), default=0) + 1, states)


def _where(cycle: int, steps: Sequence[str], entries: Sequence[Record]) -> str:
    last = cycle > planned_cycles(entries)
    return f"cycle {cycle}{', final fit' * last}: {', '.join(steps) or 'begins'}"


def _labels(now: _Begun, entries: Sequence[Record]) -> list[str]:
    labels = now.states.get("label")
    if not labels:
        return []
    accepted, quarantined = _counts(labels.values())
    text = f"labels in this cycle: {accepted} accepted, {quarantined} quarantined"
    odd = len(outliers_now(entries))
    return [f"{text}; {odd} outliers, which `ald labels` shows" if odd else text]


def _counts(states: Iterable[TaskState]) -> tuple[int, int]:
    """How many are accepted, and how many given up."""
    found = list(states)
    accepted = sum(s.accepted is not None for s in found)
    return accepted, sum(s.accepted is None and s.quarantined is not None for s in found)


def _open_jobs(
    folder: Path, entries: Sequence[Record], now: _Begun, ledger: Ledger
) -> tuple[list[str], tuple[Step, ...]]:
    """How many jobs of each role wait, run, or have ended and are to be collected; tasks of the steps likewise."""
    roles = {e["job"]: e["role"] for e in entries if e["type"] == "INTENT"}
    found: dict[str, Counter[str]] = {}
    running: Counter[str] = Counter()
    for job in ledger.open_jobs():
        place = f"{folder}/{job.folder}"  # there may be 10,000, and joining paths takes long
        ended = os.path.exists(f"{place}/{script.JOB_EXIT}")  # noqa: PTH110
        begun = ended or os.path.exists(f"{place}/{script.CLAIM}")  # noqa: PTH110
        state = "ended" if ended else "running" if begun else "waiting"
        role = roles[job.name]
        found.setdefault(role, Counter())[state] += 1
        if state == "running":
            running[role] += sum(a.identity in now.states.get(role, ()) for a in job.expected)
    steps = []
    for role, states in now.states.items():
        done, failed = _counts(states.values())
        waiting = len(states) - running[role] - done - failed
        steps.append(Step(role, Tasks(waiting, running[role], done, failed)))
    under_way = [step for step in steps if step.tasks.waiting or step.tasks.running]
    return [
        f"{role} jobs: {n['waiting']} waiting, {n['running']} running, {n['ended']} to be collected"
        for role, n in found.items()
    ], tuple(under_way or steps[-1:])


def _progress(step: Step) -> str:
    n = step.tasks
    text = (
        f"{step.name}: {n.waiting} waiting, {n.running} running, {n.done} done, {n.failed} failed"
    )
    left = step.seconds_left
    return text if left is None else f"{text}, about {duration(left)} left"


def _why(entries: Sequence[Record], status: Status, holder: Holder | None) -> list[str]:
    """What failed, and who is at work or why nobody is."""
    lines = []
    failures = [e for e in entries if e["type"] in ("REJECTED", "REFUSED", "LOST")]
    if failures:
        last = failures[-1]
        lines.append(f"last rejection: {last.get('name', last['job'])}: {last['reason']}")
    if status.reason:
        lines.append(f"{status.state}: {status.reason}")
    if holder is not None:
        unseen = ", unless it died there" * (holder.is_alive() is None)
        lines.append(f"{holder} is at work{unseen}")
    elif status.state != "finished":
        lines.append("no `ald run` is at work; start it again to go on")
    return lines
