"""All labels of a study as its user sees them, and what he says of them: release and reject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import attrs

from ald_core.errors import InputError
from ald_core.journal import Journal, Record, read_journal
from ald_core.ledger import Ledger, TaskState, about_task
from ald_core.options import did_you_mean
from ald_core.runfile import study_folder
from ald_core.store import Store
from ald_core.types import LabeledFrame, TrainingSet
from ald_core.verdicts import (
    REJECTED,
    Verdict,
    flagged,
    outliers_now,
    verdict,
    verdicts,
    verdicts_at_start,
)

State = Literal[
    "fitted", "held out", "accepted", "under way", "flagged", "quarantined", "rejected", "unused"
]
"""fitted, held out: in the training set; flagged: so too, though an outlier, for the user gave it; accepted, under
way: in the cycle under way; quarantined: it failed, or is an outlier; rejected: by the user; unused: in no cycle"""
ODD: tuple[State, ...] = ("flagged", "quarantined", "rejected")
"""States that a user should know of"""
FEW = 8
"""Names in one sentence"""


@attrs.frozen
class Label:
    """What has become of the label of one frame."""

    name: str
    """Of the frame"""
    state: State
    reason: str = ""
    folder: str = ""
    """Where its files are, relative to the study; empty: the user gave it"""
    identity: str = ""
    """Of its task"""
    failed: bool = False
    """There are no numbers"""
    current: bool = False
    """It belongs to the cycle under way, of which no training set has come yet"""

    def __str__(self) -> str:
        said = f": {self.reason}" if self.reason else ""
        return f"{self.name} is {self.state}{said}{f' ({self.folder})' if self.folder else ''}"


def read_labels(path: Path) -> list[Label]:
    """All labels of a study, by the names of their frames; InputError if its training set cannot be read."""
    folder = study_folder(path)
    return _labels(folder, read_journal(folder))


def count(labels: Iterable[Label]) -> str:
    """How many there are in each state."""
    found = Counter(label.state for label in labels)
    return ", ".join(f"{n} {state}" for state, n in found.items()) or "no labels"


def show(labels: Sequence[Label], names: Sequence[str] = (), *, every: bool = False) -> list[str]:
    """Lines about labels of these names; without names, about those that a user should know of, or `every` one."""
    known = {label.name: label for label in labels}
    for name in names:
        if name not in known:
            raise InputError(f"{name}: there is no label of this name{_hint(name, known)}")
    if names:
        return [str(known[name]) for name in names]
    return [str(label) for label in labels if every or label.state in ODD] + [count(labels)]


def release(path: Path, names: Sequence[str], *, every: bool = False) -> list[str]:
    """Take labels that are quarantined or rejected, or let them begin anew; says what comes of it, in sentences.

    With `every`, all that are quarantined in the cycle under way. Raises `InputError`, and does nothing, for a name of
    which this cannot be said. What holds already is not put on record again.
    """

    def decide(labels: Sequence[Label], entries: Sequence[Record]) -> list[_Decision]:
        odd = {label.name: label for label in labels if label.state in ODD}
        chosen = [n for n, x in odd.items() if every and x.current and x.state == "quarantined"]
        chosen += [name for name in dict.fromkeys(names) if name not in chosen]
        return [_released(name, odd, entries) for name in chosen]

    return _say(path, decide)


def reject(path: Path, names: Sequence[str]) -> list[str]:
    """Let labels be fitted and judged no more, from the next cycle on; as `release`."""

    def decide(labels: Sequence[Label], entries: Sequence[Record]) -> list[_Decision]:
        known = {label.name: label for label in labels}
        return [_rejected(name, known, entries) for name in dict.fromkeys(names)]

    return _say(path, decide)


# ---------------------------------------------------------------- what is said


@attrs.frozen
class _Decision:
    sentence: str
    record: Record | None = None
    """None: it is so already"""


_Decide = Callable[[Sequence[Label], Sequence[Record]], list[_Decision]]


def _say(path: Path, decide: _Decide) -> list[str]:
    """Decide with the lock held and put it on record; nothing is written for nothing."""
    folder = study_folder(path)
    entries: Sequence[Record] = read_journal(folder)
    decisions = decide(_labels(folder, entries), entries)
    if any(decision.record for decision in decisions):
        with Journal.open(folder) as journal:
            decisions = decide(_labels(folder, journal.records), journal.records)
            for decision in decisions:
                if decision.record is not None:
                    journal.append(decision.record)
    return [decision.sentence for decision in decisions]


def _released(name: str, odd: Mapping[str, Label], entries: Sequence[Record]) -> _Decision:
    label = odd.get(name)
    if label is None:
        if _is_released(name, entries):
            return _Decision(f"{name} is released already")
        raise InputError(
            f"{name}: no label of this name is quarantined or rejected{_hint(name, odd)}"
        )
    if label.failed and not label.current:
        raise InputError(f"{name}: its cycle was finished without it, and is not done again")
    if label.failed:
        sentence = f"{name} is released; the next `ald run` begins it anew"
        return _Decision(sentence, about_task("RELEASED", label.identity, name))
    when = _when(label, entries)
    return _Decision(f"{name} is released, and fitted or judged {when}", verdict(name, "released"))


def _rejected(name: str, known: Mapping[str, Label], entries: Sequence[Record]) -> _Decision:
    label = known.get(name)
    if label is None:
        raise InputError(f"{name}: there is no label of this name{_hint(name, known)}")
    if label.state == "rejected":
        return _Decision(f"{name} is rejected already")
    if label.failed or label.state in ("under way", "unused"):
        raise InputError(f"{name}: is {label.state}, and no label that could be rejected")
    when = _when(label, entries)
    return _Decision(f"{name} is rejected, and left out {when}", verdict(name, "rejected"))


def _hint(name: str, known: Collection[str]) -> str:
    """A name like this one, or all if they are few."""
    hint = did_you_mean(name, known)
    return hint if len(known) <= FEW or "?" in hint else "; `ald labels --all` shows all"


def _is_released(name: str, entries: Sequence[Record]) -> bool:
    """Whether that is the last thing that the user has said of a label."""
    said = [e for e in entries if e["type"] in ("RELEASED", "VERDICT") and e["name"] == name]
    return bool(said) and said[-1].get("verdict", "released") == "released"


def _when(label: Label, entries: Sequence[Record]) -> str:
    """From when on a verdict counts that is given now."""
    name = label.name
    probe = verdicts_at_start([*entries, verdict(name, "released"), verdict(name, "rejected")])
    if label.current or probe.get(name) == "rejected":
        return "from the next `ald run` on"
    return "from the next cycle on; the one under way goes on as it began"


# ---------------------------------------------------------------- what there is


def _labels(folder: Path, entries: Sequence[Record]) -> list[Label]:
    last = max((i for i, e in enumerate(entries) if e["type"] == "TRAINING"), default=-1)
    training = _training(folder, entries[last]) if last >= 0 else TrainingSet()
    works = _works(entries)
    said, at_start = verdicts(entries), verdicts_at_start(entries)
    odd = flagged(entries).get(0, {})
    found = {}
    for labeled in training.frames:
        name = labeled.frame.id
        label = _in_training(labeled, said.get(name), odd.get(name, ""))
        if said.get(name) != at_start.get(name):
            label = attrs.evolve(label, reason="from the next cycle on")
        work = works.get(name)
        found[name] = attrs.evolve(label, folder=work.folder) if work else label
    news, past = outliers_now(entries), _left_out(entries)
    for name, work in works.items():
        if name not in found:
            current = work.last > last
            why = news.get(name, "") if current else past.get(name, "")
            found[name] = _outside(name, work, current, said.get(name), why)
    return [found[name] for name in sorted(found)]


def _in_training(labeled: LabeledFrame, said: Verdict | None, odd: str) -> Label:
    """A label of the training set; `odd`: why it is an outlier, if the user gave it nevertheless."""
    name = labeled.frame.id
    aside = {None: labeled.set_aside, "rejected": REJECTED, "released": ""}[said]
    if aside == REJECTED:
        return Label(name, "rejected")
    if aside:
        return Label(name, "quarantined", aside)
    if odd and said is None:
        return Label(name, "flagged", odd)
    return Label(name, "held out" if labeled.held_out else "fitted")


def _outside(name: str, work: _Work, current: bool, said: Verdict | None, why: str) -> Label:
    """A label that is in no training set, yet or for good; `why`: what is wrong with its numbers."""
    state: State = "accepted" if current else "unused"
    failed = False
    reason = ""
    if work.state.accepted is None and work.state.quarantined is not None:
        state, failed, reason = "quarantined", True, work.state.quarantined.reason
        reason += "" if current else "; its cycle was finished without it"
    elif work.state.accepted is None:
        state = "under way" if current else "unused"
    elif said == "rejected":
        state = "rejected"
    elif why and said is None:
        state, reason, failed = "quarantined", why, not current
    return Label(name, state, reason, work.folder, work.identity, failed, current)


def _training(folder: Path, entry: Record) -> TrainingSet:
    store = Store(folder)
    path = store.training_path(entry["cycle"])
    if not path.is_file():
        raise InputError("is missing; restore it", path=path)
    return store.training(entry["cycle"])


def _left_out(entries: Sequence[Record]) -> dict[str, str]:
    """Why labels were not taken into the training sets of finished cycles."""
    found: dict[str, str] = {}
    for entry in entries:
        record = entry["record"] if entry["type"] == "CYCLE_DONE" else entry
        if entry["type"] in ("CYCLE_DONE", "TRAINING"):
            found |= dict(record.get("quarantined", ()))
    return found


@attrs.frozen
class _Work:
    """The last task that a label came from, or was to come from."""

    identity: str
    folder: str
    last: int
    """Position of the last record that tells of it"""
    state: TaskState


def _works(entries: Sequence[Record]) -> dict[str, _Work]:
    """By the names of the frames, in the order in which they were asked for."""
    ledger = Ledger(entries)
    found: dict[str, _Work] = {}
    for i, entry in enumerate(entries):
        if entry["type"] == "INTENT" and entry["role"] == "label":
            for attempt in entry["attempts"]:
                identity = attempt["identity"]
                state = ledger.tasks.get(identity, TaskState())
                place = f"{entry['folder']}/{attempt['folder']}"
                place = state.accepted.folder if state.accepted else place
                found[attempt["name"]] = _Work(identity, place, i, state)
        elif entry["type"] == "QUARANTINED":
            identity, known = entry["task"], found.get(entry["name"])
            state = ledger.tasks.get(identity, TaskState())
            place = known.folder if known else ""
            found[entry["name"]] = _Work(identity, place, i, state)
    return found
