"""What a user says of labels: reject one that was believed, release one that was not.

A verdict is a record of the journal. The last one on a frame counts, in the order of the journal, and from the next
moment at which nothing has been made with the frame or without it: for a label of the cycle under way, when the
labels of the cycle are put together; for a frame of the training set, at the beginning of a cycle. So no cycle
is begun with one training set and gone on with in another, wherever it was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from ald_core.journal import Record
from ald_core.types import LabeledFrame, TrainingSet

Verdict = Literal["rejected", "released"]
REJECTED = "rejected by the user"
"""Why a frame is set aside that the user has rejected"""


def verdict(name: str, said: Verdict) -> Record:
    """The record."""
    return {"type": "VERDICT", "name": name, "verdict": said}


def verdicts(entries: Iterable[Record]) -> dict[str, Verdict]:
    """The last one on each frame."""
    return {e["name"]: e["verdict"] for e in entries if e["type"] == "VERDICT"}


def verdicts_at_start(entries: Iterable[Record]) -> dict[str, Verdict]:
    """Those that count in the cycle under way, as far as the frames are concerned with which it began."""
    found: dict[str, Verdict] = {}
    waiting: dict[str, Verdict] = {}
    begun = False
    for entry in entries:
        if entry["type"] == "VERDICT":
            (waiting if begun else found)[entry["name"]] = entry["verdict"]
        elif entry["type"] == "INTENT":
            begun = True
        elif ends_cycle(entry):
            begun = False
            found |= waiting
            waiting.clear()
    return found


def ends_cycle(entry: Mapping[str, Any]) -> bool:
    """Whether a cycle, or the starting set, is finished with this record."""
    starting_set = entry["type"] == "TRAINING" and entry["cycle"] == 0
    return starting_set or entry["type"] in ("CYCLE_DONE", "FINAL")


def after(training: TrainingSet, said: Mapping[str, Verdict]) -> TrainingSet:
    """The training set with frames set aside, or no longer, as the user has said; the same one if nothing changes."""
    frames = tuple(_judged(labeled, said.get(labeled.frame.id)) for labeled in training.frames)
    changed = any(a is not b for a, b in zip(frames, training.frames, strict=True))
    return TrainingSet(frames) if changed else training


def _judged(labeled: LabeledFrame, said: Verdict | None) -> LabeledFrame:
    why = {None: labeled.set_aside, "rejected": REJECTED, "released": ""}[said]
    return labeled if why == labeled.set_aside else attrs.evolve(labeled, set_aside=why)


def outliers_now(entries: Iterable[Record]) -> dict[str, str]:
    """Outliers of the cycle under way, of which no training set has come yet."""
    found: dict[str, str] = {}
    for entry in entries:
        if entry["type"] == "OUTLIERS":
            found = dict(entry["frames"])
        elif entry["type"] == "TRAINING":
            found = {}
    return found


def flagged(entries: Iterable[Record]) -> dict[int, dict[str, str]]:
    """Labels that were found to be outliers in each cycle (0: in the starting set), and why."""
    return {e["cycle"]: dict(e["frames"]) for e in entries if e["type"] == "OUTLIERS"}
