"""`status.json`: whole at any time, true in the end, and written now and then only."""

import json
import os
import threading
import time

import pytest

from ald_core import inspection, script, status_file
from ald_core.events import (
    CycleFinished,
    Note,
    RunEnded,
    RunStarted,
    StepFinished,
    StepStarted,
    TasksChanged,
)
from ald_core.inspection import read_status
from ald_core.journal import Journal
from ald_core.ledger import Attempt, JobState, about_attempt, intent
from ald_core.status_file import Status, StatusFile, Step, Tasks, read_status_file
from ald_core.store import CycleRecord, ForceError, MDRecord
from ald_core.types import ResultTable

RECORD = CycleRecord(
    1, "ALC-1/GEN_FF/p", "f", 8, 2, (("a", "b"),), ForceError(0.25, 6), ForceError(None, 2),
    (MDRecord("hot", 9, 90, False, "exploded", None, (1, 2, 3)),),
)  # fmt: skip


@pytest.fixture
def file(tmp_path):
    return StatusFile(tmp_path, "0a1b", 4)


def content(tmp_path):
    return json.loads((tmp_path / "status.json").read_text())


def test_every_event_has_its_place(file, tmp_path):
    with file:
        assert content(tmp_path)["state"] == "running"
        for event in (
            RunStarted(3, (RECORD,)),
            StepStarted(2, "label", 9),
            TasksChanged(2, "label", 3, 2, 3, 1, 42.0),
            Note("a node is bad", "warning"),
            Note("nothing", "info"),
        ):
            file(event)
    found = content(tmp_path)
    assert found.pop("at")[-1] == "Z"
    assert found == {
        "format": 1,
        "state": "interrupted",
        "study": str(tmp_path),
        "run": "0a1b",
        "generation": 4,
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "reason": "",
        "cycles": 3,
        "cycle": 2,
        "steps": [
            {
                "name": "label",
                "tasks": {"waiting": 3, "running": 2, "done": 3, "failed": 1},
                "seconds_left": 42.0,
                "parts": 1,
            }
        ],
        "warnings": ["a node is bad"],
        "results": [
            {
                "cycle": 1,
                "final": False,
                "model": "ALC-1/GEN_FF/p",
                "added": 8,
                "added_held_out": 2,
                "quarantined": 1,
                "force_error_fitted": 0.25,
                "force_error_held_out": None,
                "md": [
                    {"case": "hot", "steps": 9, "planned": 90, "stable": False,
                     "reason": "exploded", "drift": None}
                ],
            }
        ],
    }  # fmt: skip


def test_tables_of_runs_are_for_programs_too():
    table = ResultTable("molecules", ("molecule", "fraction"), (("H2O", 0.5),))
    run = MDRecord("hot", 9, 9, True, "", None, (1, 2, 3), (table,))
    [told] = status_file.result(CycleRecord(1, "m", "f", md=(run,)), final=False)["md"]
    wanted = {"name": "molecules", "columns": ["molecule", "fraction"], "rows": [["H2O", 0.5]]}
    assert json.loads(json.dumps(told["tables"])) == [wanted]
    assert "tables" not in status_file.result(RECORD, final=False)["md"][0]


@pytest.mark.parametrize("outcome", ["finished", "stopped", "failed"])
def test_the_end_is_told_with_its_reason(file, tmp_path, outcome):
    with file:
        file(StepStarted(1, "md", 2))
        file(StepFinished(1, "md", ""))
        file(CycleFinished(RECORD, final=True))
        file(RunEnded(outcome, "because"))
    found = read_status_file(tmp_path)
    assert (found.state, found.reason, found.steps) == (outcome, "because", ())
    assert [row["final"] for row in found.results] == [True]


def test_only_the_last_warnings_are_kept(file, tmp_path):
    with file:
        for i in range(20):
            file(Note(f"{i}", "warning"))
    assert content(tmp_path)["warnings"] == ["15", "16", "17", "18", "19"]


def test_changes_in_a_row_are_one_version(tmp_path, monkeypatch):
    """The first at once, the last within the interval, none of them waited for."""
    monkeypatch.setattr(status_file, "INTERVAL", 0.3)
    written = []
    monkeypatch.setattr(
        status_file, "show_file", lambda path, data: written.append(json.loads(data))
    )
    with StatusFile(tmp_path, "0a1b", 1) as file:
        file(StepStarted(1, "label", 100))
        for i in range(100):
            file(TasksChanged(1, "label", 100 - i, 0, i, 0, None))
            time.sleep(0.004)
        end = time.monotonic() + 20
        while written[-1]["steps"][0]["tasks"]["done"] != 99 and time.monotonic() < end:
            time.sleep(0.01)
        assert written[-1]["steps"][0]["tasks"]["done"] == 99
        assert len(written) < 20
        before = len(written)
        time.sleep(0.7)
        assert len(written) == before


def test_readers_see_whole_files(tmp_path, monkeypatch):
    monkeypatch.setattr(status_file, "INTERVAL", 0.0)
    ended = threading.Event()
    seen = set()

    def read():
        while not ended.is_set():
            seen.update(step["tasks"]["done"] for step in content(tmp_path)["steps"])

    with StatusFile(tmp_path, "0a1b", 1) as file:
        file(StepStarted(1, "label", 100))
        reader = threading.Thread(target=read)
        reader.start()
        end = time.monotonic() + 20
        i = 0
        while len(seen) < 5 and time.monotonic() < end:
            i += 1
            file(TasksChanged(1, "label", 0, 0, i, 0, None))
        ended.set()
        reader.join()
    assert len(seen) >= 5
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


def test_a_disk_that_takes_nothing_harms_nothing(tmp_path):
    with StatusFile(tmp_path / "gone", "0a1b", 1) as file:
        file(StepStarted(1, "md", 2))
    assert not (tmp_path / "gone").exists()
    (tmp_path / "status.json").mkdir()
    with StatusFile(tmp_path, "0a1b", 1) as file:
        file(StepStarted(1, "md", 2))
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": 3}', '{"state": "running"}'])
def test_a_file_that_makes_no_sense_is_no_status(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    assert read_status_file(tmp_path) is None
    assert read_status_file(tmp_path / "gone") is None


# ---------------------------------------------------------------- ald status


@pytest.fixture
def study(tmp_path):
    """A study with a job under way, whose `ald run` is this process."""
    (tmp_path / "ald.toml").write_text("")
    attempt = Attempt("i", "a", "000-a", 0)
    job = JobState("ald-0a1b-label-x-1", "ALC-1/jobs/ald-0a1b-label-x-1", (attempt,))
    with Journal.open(tmp_path) as journal:
        journal.append({"type": "STUDY", "run": "0a1b"})
        journal.append({"type": "PLAN", "cycles": 2})
        journal.append(intent(1, "label", job))
        yield tmp_path


def status(study):
    return read_status(study / "ald.toml")


def test_while_a_run_is_at_work_its_own_counts_are_shown(study, monkeypatch):
    """No look at the folders of jobs: there may be 10,000 of them, on a slow file system."""

    def look(*_):
        raise AssertionError

    monkeypatch.setattr(inspection.os.path, "exists", look)
    with StatusFile(study, "0a1b", 1) as file:
        file(StepStarted(1, "label", 10_000))
        file(TasksChanged(1, "label", 9000, 400, 599, 1, 3700.0))
        file._write()
        found = status(study)
    assert found.lines[0] == "cycle 1: label"
    assert (
        "label: 9000 waiting, 400 running, 599 done, 1 failed, about 1 h 1 min left" in found.lines
    )
    assert [step.tasks for step in found.status.steps] == [Tasks(9000, 400, 599, 1)]
    assert found.status.state == "running"


def test_what_another_start_said_is_not_believed(study):
    with StatusFile(study, "0a1b", 7) as file:
        file(StepStarted(1, "label", 10_000))
        file(TasksChanged(1, "label", 9000, 400, 599, 1, None))
        file._write()
        found = status(study)
    assert "label jobs: 1 waiting, 0 running, 0 to be collected" in found.lines
    assert found.status.steps == (Step("label", Tasks(1, 0, 0, 0)),)
    (study / "ALC-1/jobs/ald-0a1b-label-x-1").mkdir(parents=True)
    (study / "ALC-1/jobs/ald-0a1b-label-x-1" / script.CLAIM).write_text("x y 1\n")
    assert status(study).status.steps == (Step("label", Tasks(0, 1, 0, 0)),)


def test_why_the_last_one_ended_is_shown_when_nobody_works(study):
    with StatusFile(study, "0a1b", 1) as file:
        file(RunEnded("failed", "no disk"))
    assert "failed: no disk" not in status(study).lines  # somebody works: this process
    (study / ".ald" / "lock").write_text("")
    found = status(study)
    assert "failed: no disk" in found.lines
    assert (found.status.state, found.status.reason) == ("failed", "no disk")
    assert isinstance(found.status, Status)
    assert json.loads(found.status.to_json())["steps"][0]["tasks"]["waiting"] == 1
    (study / "status.json").unlink()
    assert status(study).status.state == "interrupted"


# ---------------------------------------------------------------- several steps at once


def steps(*events):
    found = Status("running", "", "", 1)
    for event in events:
        found = found.after(event)
    return {step.name: step.tasks for step in found.steps}


MD = (
    StepStarted(1, "md", 1, "a"),
    StepStarted(1, "md", 1, "b"),
    TasksChanged(1, "md", 0, 2, 0, 0, None),
)
B_IS_LABELLED = (
    TasksChanged(1, "md", 0, 1, 1, 0, None),
    StepFinished(1, "md", "", "b"),
    StepStarted(1, "label", 3, "b"),
    TasksChanged(1, "label", 1, 2, 0, 0, None),
)  # fmt: skip


def test_steps_go_on_until_their_last_part_ends():
    assert steps(*MD) == {"md": Tasks(0, 2, 0, 0)}
    assert steps(*MD, *B_IS_LABELLED) == {"md": Tasks(0, 1, 1, 0), "label": Tasks(1, 2, 0, 0)}
    ended = (*MD, *B_IS_LABELLED, StepFinished(1, "md", "", "a"), StepStarted(1, "label", 2, "a"))
    assert steps(*ended) == {"label": Tasks(3, 2, 0, 0)}
    assert steps(*ended, StepFinished(1, "label", "", "b"))
    assert steps(*ended, *[StepFinished(1, "label", "", part) for part in "ab"]) == {}


def test_all_that_is_under_way_is_shown(study):
    with StatusFile(study, "0a1b", 1) as file:
        for event in (*MD, *B_IS_LABELLED):
            file(event)
        file._write()
        assert status(study).lines[:3] == (
            "cycle 1: md, label",
            "md: 0 waiting, 1 running, 1 done, 0 failed",
            "label: 1 waiting, 2 running, 0 done, 0 failed",
        )


def test_all_that_is_under_way_is_found_in_the_journal(tmp_path):
    (tmp_path / "ald.toml").write_text("")
    with Journal.open(tmp_path) as journal:
        journal.append({"type": "STUDY", "run": "0a1b"})
        journal.append({"type": "PLAN", "cycles": 2})
        for role, name in (("predict", "p"), ("md", "a"), ("md", "b"), ("label", "x")):
            attempt = Attempt(name, name, f"000-{name}", 0)
            folder = tmp_path / "ALC-1/jobs" / f"ald-0a1b-{role}-{name}-1"
            folder.mkdir(parents=True)
            (folder / script.CLAIM).write_text("x y 1\n")
            job = JobState(folder.name, f"ALC-1/jobs/{folder.name}", (attempt,))
            journal.append(intent(1, role, job))
            if name in "pb":
                journal.append(about_attempt("ACCEPTED", job.name, attempt, folder="f", outputs={}))
    found = status(tmp_path)
    assert found.lines[0] == "cycle 1: md, label"
    assert found.status.steps == (
        Step("md", Tasks(0, 1, 1, 0)),
        Step("label", Tasks(0, 1, 0, 0)),
    )
    assert {"md jobs: 0 waiting, 1 running, 0 to be collected"} < set(found.lines)
