"""`ald status` says where a study stands, whatever it stands on."""

import pytest

from ald_core.errors import InputError
from ald_core.inspection import read_status
from ald_core.journal import Journal
from ald_core.ledger import Attempt, JobState, about_attempt, about_job, about_task, intent
from ald_core.store import CycleRecord, ForceError, record_to_json

ATTEMPTS = {
    name: (Attempt(f"identity {name}", name, f"000-{name}", 0),) for name in ("a", "b", "c", "d")
}


def job(name, cycle=2):
    return JobState(
        f"ald-1-label-{name}-1", f"ALC-{cycle}/jobs/ald-1-label-{name}-1", ATTEMPTS[name]
    )


def record(cycle, **more):
    return record_to_json(CycleRecord(cycle, "m", "f", 4, 1, (), ForceError(0.1, 3), **more))


@pytest.fixture
def study(tmp_path):
    """In the middle of the second cycle of two: one label accepted, one given up, two jobs under way."""
    (tmp_path / "ald.toml").write_text("")
    a, b, c, d = (job(name) for name in "abcd")
    md = JobState("ald-1-md-x-1", "ALC-2/jobs/x", (Attempt("identity x", "x", "000-x", 0),))
    with Journal.open(tmp_path) as journal:
        for entry in (
            {"type": "STUDY", "run": "1"},
            {"type": "PLAN", "cycles": 2},
            {"type": "TRAINING", "cycle": 0},
            {"type": "CYCLE_DONE", "cycle": 1, "record": record(1)},
            intent(2, "md", md),
            about_attempt("ACCEPTED", md.name, md.attempts[0], folder="f", outputs={}),
            *(intent(2, "label", j) for j in (a, b, c, d)),
            about_attempt("ACCEPTED", a.name, a.attempts[0], folder="f", outputs={}),
            about_attempt("REJECTED", b.name, b.attempts[0], reason="no SCF", kind="invalid"),
            about_task("QUARANTINED", "identity b", "b", reason="no SCF", kind="invalid"),
            about_job("SUBMITTED", c.name, id="1"),
        ):
            journal.append(entry)
    for j in (c, d):
        (tmp_path / j.folder).mkdir(parents=True)
    (tmp_path / c.folder / "claim").write_text("claim.x host 1\n")
    return tmp_path


def status(study):
    return read_status(study / "ald.toml")


def test_where_it_stands(study):
    assert status(study).lines[:-1] == (
        "cycle 2: label",
        "labels in this cycle: 1 accepted, 1 quarantined",
        "label jobs: 1 waiting, 1 running, 0 to be collected",
        "last rejection: b: no SCF",
        "no `ald run` is at work; start it again to go on",
    )
    (study / job("c").folder / "job.exit").touch()
    assert "label jobs: 1 waiting, 0 running, 1 to be collected" in status(study).lines
    assert [row[0] for row in status(study).summary.rows] == ["1"]


def test_who_is_at_work(study):
    with Journal.open(study) as journal:
        assert any(
            line.endswith("is at work") and "(process " in line for line in status(study).lines
        )
        lock = study / ".ald" / "lock"
        here = lock.read_text()
        journal.append({"type": "CYCLE_DONE", "cycle": 2, "record": record(2)})
        assert status(study).lines[0] == "cycle 3, final fit: begins"
        journal.append({"type": "FINAL", "cycle": 3, "record": record(3)})
        assert status(study).lines[0] == "finished"
        assert [row[0] for row in status(study).summary.rows] == ["1", "2", "final"]
    lock.write_text(here.replace('"boot": "', '"boot": "0'))  # before the machine was started again
    assert "at work" not in "".join(status(study).lines)
    elsewhere = here.replace('"host": "', '"host": "other-').replace('"boot": "', '"boot": "0')
    lock.write_text(elsewhere)
    assert any(line.endswith("is at work, unless it died there") for line in status(study).lines)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "INTENT", "job": "x"},
        {"type": "ACCEPTED", "job": "nobody", "task": "t"},
        {"type": "CYCLE_DONE", "cycle": 2, "record": {"cycle": "two", "md": 7}},
        {"type": "REJECTED"},
    ],
)
def test_records_that_make_no_sense_are_one_sentence(study, entry):
    with Journal.open(study) as journal:
        journal.append(entry)
    with pytest.raises(
        InputError, match=r"\.ald: is damaged or of another version of ald"
    ) as found:
        status(study)
    assert "\n" not in str(found.value)


def test_files_that_make_no_sense_are_one_sentence(study):
    journal = study / ".ald" / "journal" / "000001.jsonl"
    lock = study / ".ald" / "lock"
    lock.write_bytes(b"\xff\x00{")
    assert "cycle 2: label" in status(study).lines
    lock.unlink()
    assert "cycle 2: label" in status(study).lines
    lock.mkdir()
    with pytest.raises(InputError, match="is damaged"):
        status(study)
    lock.rmdir()
    content = journal.read_bytes()
    journal.write_bytes(content.replace(b"no SCF", b"no SFC"))
    with pytest.raises(InputError, match=r"000001.jsonl, line \d+: damaged"):
        status(study)
    journal.unlink()
    journal.mkdir()
    with pytest.raises(InputError, match="is damaged"):
        status(study)
