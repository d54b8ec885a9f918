"""Verdicts of the user: from when on they count, wherever in a cycle they were given."""

import pytest
from ase import Atoms

from ald_core.store import CycleRecord, record_to_json
from ald_core.study import final_record
from ald_core.types import Frame, LabeledFrame, Labels, Origin, TrainingSet
from ald_core.verdicts import (
    REJECTED,
    after,
    flagged,
    outliers_now,
    verdict,
    verdicts,
    verdicts_at_start,
)

START = {"type": "TRAINING", "cycle": 0}
SUBMITTED = {"type": "INTENT"}
GROWN = {"type": "TRAINING", "cycle": 1}
DONE = {"type": "CYCLE_DONE", "cycle": 1}
FINAL = {"type": "FINAL", "cycle": 2, "record": record_to_json(CycleRecord(2, "m", "toy"))}
OUT, IN = verdict("a", "rejected"), verdict("a", "released")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([START, OUT], {"a": "rejected"}),
        ([START, OUT, SUBMITTED], {"a": "rejected"}),
        ([START, SUBMITTED, OUT], {}),
        ([START, OUT, SUBMITTED, IN], {"a": "rejected"}),
        ([START, SUBMITTED, OUT, GROWN], {}),
        ([START, SUBMITTED, GROWN, OUT], {}),
        ([START, SUBMITTED, OUT, GROWN, DONE], {"a": "rejected"}),
        ([START, SUBMITTED, GROWN, OUT, DONE, SUBMITTED], {"a": "rejected"}),
        ([START, SUBMITTED, OUT, DONE, IN, SUBMITTED], {"a": "released"}),
        ([SUBMITTED, OUT, START], {"a": "rejected"}),
        ([START, SUBMITTED, DONE, SUBMITTED, OUT], {}),
        ([START, SUBMITTED, DONE, SUBMITTED, OUT, FINAL], {"a": "rejected"}),
        ([START, OUT, IN], {"a": "released"}),
    ],
)  # fmt: skip
def test_a_verdict_counts_from_the_beginning_of_a_cycle_on(entries, expected):
    assert verdicts_at_start(entries) == expected
    said = [entry["verdict"] for entry in entries if entry["type"] == "VERDICT"]
    assert verdicts(entries) == {"a": said[-1]}


@pytest.mark.parametrize(
    ("entries", "is_final"),
    [
        ([DONE, SUBMITTED, FINAL], True),
        ([DONE, OUT, SUBMITTED, FINAL], True),
        ([DONE, SUBMITTED, OUT, FINAL], False),
        ([DONE, SUBMITTED, FINAL, OUT], False),
        ([DONE, SUBMITTED, OUT, FINAL, SUBMITTED, FINAL], True),
        ([DONE, SUBMITTED, FINAL, OUT, SUBMITTED, FINAL], True),
        ([SUBMITTED, OUT, DONE, SUBMITTED, FINAL], True),
    ],
)
def test_the_final_fit_is_that_of_the_last_verdict(entries, is_final):
    assert (final_record(entries) is not None) is is_final


def labeled(name, **more):
    frame = Frame(Atoms("Ar"), Origin(1, name, 1))
    return LabeledFrame(frame, Labels(-1.0), "toy", 1, **more)


def test_frames_are_set_aside_and_taken_back():
    training = TrainingSet().grow(
        [labeled("a"), labeled("b", held_out=True), labeled("c", set_aside="outlier: x")]
    )
    a, b, c = (f.frame.id for f in training.frames)
    assert [f.frame.id for f in training.fitted] == [a]
    assert [f.frame.id for f in training.held_out] == [b]
    assert [f.frame.id for f in training.set_aside] == [c]
    assert after(training, {}) is training
    assert after(training, {a: "released", "unknown": "rejected"}) is training
    said = {a: "rejected", b: "rejected", c: "released"}
    judged = after(training, said)
    assert [f.set_aside for f in judged.frames] == [REJECTED, REJECTED, ""]
    assert [f.frame.id for f in judged.fitted] == [c]
    assert judged.held_out == ()
    assert after(judged, said) is judged
    back = after(judged, {a: "released", b: "released"})
    assert [f.held_out for f in back.frames] == [False, True, False]
    assert len(back.fitted) == 2


def test_outliers_are_those_that_were_last_found():
    def found(cycle, *names):
        return {"type": "OUTLIERS", "cycle": cycle, "frames": [[name, "odd"] for name in names]}

    entries = [found(0, "s"), START, found(1, "a", "b"), found(1, "a")]
    assert flagged(entries) == {0: {"s": "odd"}, 1: {"a": "odd"}}
    assert outliers_now(entries) == {"a": "odd"}
    assert outliers_now([*entries, GROWN]) == {}
    assert outliers_now([*entries, found(1)]) == {}
