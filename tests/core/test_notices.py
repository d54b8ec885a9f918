"""Notices: sent in time, by whom it was asked for, and no run waits or dies for one."""

import threading
import time
from pathlib import Path
from typing import ClassVar

import attrs
import pytest

from ald_core import notices as notices_module
from ald_core.events import CycleFinished, Note, RunEnded, RunStarted, StepStarted
from ald_core.notices import Notices
from ald_core.roles import Notifier
from ald_core.store import CycleRecord, MDRecord

RECORD = CycleRecord(
    2, "m", "f", 8, 2, (("frame 7", "no SCF"),), md=(MDRecord("hot", 9, 90, False, "exploded", None, (1, 2, 3)),)
)  # fmt: skip
START = (RunStarted(3, ()), StepStarted(1, "fit", 1))


@attrs.frozen(kw_only=True)
class Recorder(Notifier):
    name: ClassVar[str] = "recorder"
    got: list = attrs.field(factory=list)

    def notify(self, notice):
        self.got.append(notice)


@attrs.frozen(kw_only=True)
class Failing(Notifier):
    name: ClassVar[str] = "failing"
    error: BaseException = attrs.field(factory=lambda: OSError("no route\nto host"))

    def notify(self, notice):
        raise self.error


@attrs.frozen(kw_only=True)
class Hanging(Notifier):
    name: ClassVar[str] = "hanging"
    free: threading.Event = attrs.field(factory=threading.Event)

    def notify(self, notice):
        self.free.wait(60)


@pytest.fixture
def tell(tmp_path):
    """Tells notifiers of events; gives the notes that came back."""

    def tell(notifiers, *events):
        notes = []
        with Notices(notifiers, tmp_path / "my study", notes.append) as notices:
            for event in (*START, *events):
                notices(event)
        assert all(isinstance(note, Note) and note.level == "warning" for note in notes)
        return [note.text for note in notes]

    return tell


def test_each_event_is_one_notice(tell, tmp_path):
    recorder = Recorder()
    assert tell([recorder], CycleFinished(RECORD, final=False), RunEnded("finished")) == []
    cycle, finished = recorder.got
    assert (cycle.event, cycle.title) == ("cycle", "ald: my study: cycle 2 of 3 finished")
    assert "8 frames were added, 2 of them held out; 1 are quarantined." in cycle.text
    assert "frame 7 is quarantined: no SCF" in cycle.text
    assert "case hot: unstable at step 9: exploded" in cycle.text
    assert f"study {tmp_path}/my study on " in cycle.text
    assert (finished.event, finished.title) == ("finished", "ald: my study: finished")
    assert finished.study == tmp_path / "my study"


@pytest.mark.parametrize("outcome", ["stopped", "failed"])
def test_the_sentence_is_in_the_notice(tell, outcome):
    recorder = Recorder()
    reason = "labels fail:\nline 1, column 2 " + "x" * 500
    tell([recorder], RunEnded(outcome, reason))
    (notice,) = recorder.got
    assert notice.event == outcome
    assert notice.title.startswith("ald: my study: labels fail: line 1, column 2 xxx")
    assert len(notice.title) <= 200
    assert "\n" not in notice.title
    assert notice.text.startswith(reason)


def test_only_what_was_asked_for(tell):
    some = Recorder(events=("failed",))
    every = Recorder()
    events = [CycleFinished(RECORD, final=False), RunEnded("failed", "no")]
    tell([some, every], *events)
    assert [n.event for n in some.got] == ["failed"]
    assert [n.event for n in every.got] == ["cycle", "failed"]


def test_the_final_fit_is_no_cycle(tell):
    recorder = Recorder()
    tell([recorder], CycleFinished(RECORD, final=True))
    assert recorder.got == []


def test_a_run_that_had_nothing_to_do_is_not_told(tmp_path):
    recorder = Recorder()
    with Notices([recorder], tmp_path, print) as notices:
        notices(RunStarted(3, (RECORD,)))
        notices(RunEnded("finished"))
    assert recorder.got == []


@pytest.mark.parametrize("error", [OSError("no route\nto host"), ValueError(), KeyError("x")])
def test_what_fails_is_a_warning_and_the_others_are_told(tell, error):
    recorder = Recorder()
    notes = tell([Failing(error=error), recorder], CycleFinished(RECORD, final=False))
    (note,) = notes
    what = " ".join(str(error).split()) or "ValueError"
    assert note == f"the notice 'ald: my study: cycle 2 of 3 finished' could not be sent: {what}"
    assert len(recorder.got) == 1


def test_nobody_waits_for_one_that_hangs(tell, monkeypatch):
    monkeypatch.setattr(notices_module, "PATIENCE", 0.3)
    hanging, recorder = Hanging(), Recorder()
    begun = time.monotonic()
    events = [CycleFinished(RECORD, final=False)] * 50
    (note,) = tell([hanging, recorder], *events, RunEnded("stopped", "no"))
    hanging.free.set()
    assert "by 'hanging' was not sent within 0.3 seconds" in note
    assert time.monotonic() - begun < 20
    assert len(recorder.got) == 51


def test_failures_are_told_while_the_run_goes_on(tmp_path):
    """Not only at its end, which may be weeks away."""
    notes = []
    with Notices([Failing()], tmp_path, notes.append) as notices:
        notices(CycleFinished(RECORD, final=False))
        end = time.monotonic() + 20
        while not notes and time.monotonic() < end:
            notices(StepStarted(1, "md", 2))
        assert len(notes) == 1


def test_the_events_are_an_option():
    from ald_core.options import build

    made, problems = build(Recorder, {"events": ["finished"]}, "notify[0]", Path())
    assert (made.events, problems) == (("finished",), [])
