"""`ald repair`: every good record is saved, damaged files stay, and what would be silently wrong is refused."""

import json
import random
import zlib

import pytest

from ald_core.errors import InputError
from ald_core.journal import Journal, newest_generation, read_journal, salvage
from ald_core.ledger import Attempt, JobState, Ledger, about_attempt, about_job, intent
from ald_core.lock import Lock
from ald_core.repair import inspect, repair


def job(name, role="label", cycle=1):
    attempt = Attempt(f"identity {name}", name, f"000-{name}", 0)
    full = f"ald-0a1b-{role}-{name}-1"
    return JobState(full, f"ALC-{cycle}/jobs/{full}", (attempt,))


def life(name, role="label", cycle=1):
    """The records of a job that went well."""
    one = job(name, role, cycle)
    accepted = about_attempt("ACCEPTED", one.name, one.attempts[0], folder="f", outputs={})
    return [intent(cycle, role, one), about_job("SUBMITTED", one.name, id="7"), accepted]


FIRST = [{"type": "STUDY", "run": "0a1b"}, {"type": "PLAN", "cycles": 3}, *life("start")]
SECOND = [
    {"type": "TRAINING", "cycle": 0},
    *life("md", "md"),
    *life("a"),
    {"type": "TRAINING", "cycle": 1},
]
THIRD = [
    {"type": "CYCLE_DONE", "cycle": 1},
    *life("md2", "md", 2),
    *life("b", cycle=2),
    *life("c", cycle=2),
]


@pytest.fixture
def study(tmp_path):
    """In its second cycle, after three starts."""
    for records in (FIRST, SECOND, THIRD):
        with Journal.open(tmp_path) as journal:
            for record in records:
                journal.append(record)
    for entry in read_journal(tmp_path):
        if entry["type"] == "INTENT":
            folder = tmp_path / entry["folder"]
            folder.mkdir(parents=True)
            plan = {"job": entry["job"], "attempts": entry["attempts"]}
            (folder / "job.json").write_text(json.dumps(plan))
    return tmp_path


def path(study, generation):
    return study / ".ald" / "journal" / f"{generation:06d}.jsonl"


def spoil(study, generation, line):
    """Flip a bit in a line, counted from 1."""
    lines = path(study, generation).read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1][:20] + bytes([lines[line - 1][20] ^ 4]) + lines[line - 1][21:]
    path(study, generation).write_bytes(b"".join(lines))


def find(study, generation, kind, **values):
    """Number of the line of a record."""
    for number, line in enumerate(path(study, generation).read_text().splitlines(), start=1):
        record = json.loads(line.split(" ", 2)[2])
        if record["type"] == kind and all(record.get(k) == v for k, v in values.items()):
            return number
    raise AssertionError(kind)


def bytes_of(study):
    return {p.name: p.read_bytes() for p in (study / ".ald" / "journal").iterdir()}


def plain(records):
    return [{k: v for k, v in r.items() if k != "at"} for r in records]


def test_a_whole_journal_is_left_alone(study):
    before = bytes_of(study)
    assert inspect(study).damage == repair(study).damage == ()
    assert bytes_of(study) == before
    path(study, 3).write_bytes(before["000003.jsonl"][:-9])  # an append that never ended
    assert repair(study).damage == ()


def test_a_spoilt_line_is_left_out_and_everything_else_is_saved(study):
    whole = plain(read_journal(study))
    spoil(study, 3, find(study, 3, "ACCEPTED", name="b"))
    before = bytes_of(study)
    with pytest.raises(InputError, match=r"000003\.jsonl, line \d+: damaged: .*`ald repair`"):
        read_journal(study)
    looked = inspect(study)
    assert bytes_of(study) == before
    done = repair(study)
    assert done == looked
    (damage,) = done.damage
    assert (
        damage
        == f"{path(study, 3)}: line {find(study, 3, 'SUBMITTED', job=job('b').name) + 1} cannot be read"
    )
    assert {k: v for k, v in bytes_of(study).items() if k in before} == before
    records = plain(read_journal(study))
    assert records[0] == {"type": "REPAIRED", "damage": list(done.damage), "remarks": []}
    lost = about_attempt("ACCEPTED", job("b").name, job("b").attempts[0], folder="f", outputs={})
    assert records[1:] == [r for r in whole if r != lost]
    assert done.recovered == len(whole) - 1
    assert [j.name for j in Ledger(records).open_jobs()] == [job("b").name]  # looked at once more


def test_after_it_a_run_goes_on_and_the_old_files_are_read_no_more(study):
    spoil(study, 1, 4)
    repair(study)
    saved = plain(read_journal(study))
    path(study, 2).unlink()
    path(study, 1).write_bytes(b"anything")
    with Journal.open(study) as journal:
        journal.append({"type": "X"})
    assert plain(read_journal(study)) == [*saved, {"type": "X"}]
    assert repair(study).damage == ()


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_any_spoilt_line_is_saved_or_refused_and_never_read_as_something_else(study, generation):
    """A lost record may cost work or a word, never the wrong cycle."""
    whole = plain(read_journal(study))
    content = path(study, generation).read_bytes()
    outcomes = set()
    for line in range(1, content.count(b"\n") + 1):
        spoil(study, generation, line)
        try:
            found = inspect(study)
        except InputError as error:
            outcomes.add("refused" if "wrong results without a word" in str(error) else str(error))
        else:
            outcomes.add("saved" if found.damage else "torn")
            assert len(whole) - 1 <= found.recovered <= len(whole) or not found.damage
        path(study, generation).write_bytes(content)
    wanted = {1: {"saved"}, 2: {"saved", "refused"}, 3: {"saved", "refused", "torn"}}
    assert outcomes == wanted[generation]


def test_random_damage_is_repaired_refused_or_no_damage(study):
    rng = random.Random(3)
    contents = {g: path(study, g).read_bytes() for g in (1, 2, 3)}
    known = {json.dumps(r, sort_keys=True) for r in read_journal(study)}
    for _ in range(300):
        generation = rng.choice((1, 2, 3))
        data = bytearray(contents[generation])
        for _ in range(rng.choice((1, 1, 3))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        path(study, generation).write_bytes(data)
        try:
            found = salvage(study)
        except InputError:
            pass
        else:
            assert {json.dumps(r, sort_keys=True) for r in found.records} <= known
        path(study, generation).write_bytes(contents[generation])


# ---------------------------------------------------------------- what is found again


def test_a_lost_submission_is_made_again_from_its_folder(study):
    spoil(study, 3, find(study, 3, "INTENT", job=job("b").name))
    done = repair(study)
    name = job("b").name
    assert done.remarks == (
        f"the record of the submission of {name} was made again from its folder",
    )
    ledger = Ledger(read_journal(study))
    assert ledger.jobs[name].folder == f"ALC-1/jobs/{name}".replace("ALC-1", "ALC-2")
    assert ledger.task("identity b").accepted is not None


def test_a_lost_submission_without_a_folder_is_refused(study):
    spoil(study, 3, find(study, 3, "INTENT", job=job("b").name))
    (study / job("b", cycle=2).folder / "job.json").unlink()
    before = bytes_of(study)
    with pytest.raises(InputError, match=f"the record of the job {job('b').name} is lost"):
        repair(study)
    assert {k: v for k, v in bytes_of(study).items() if k in before} == before


def test_the_run_id_is_found_in_the_names_of_the_jobs(study):
    spoil(study, 1, find(study, 1, "STUDY"))
    done = repair(study)
    assert "the run id 0a1b was found in the names of the jobs" in done.remarks
    assert [r["run"] for r in read_journal(study) if r["type"] == "STUDY"] == ["0a1b"]


def test_a_lost_plan_is_told(study):
    spoil(study, 1, find(study, 1, "PLAN"))
    assert "number of planned cycles is lost" in repair(study).remarks[0]


@pytest.mark.parametrize(
    ("generation", "kind", "cycle", "words"),
    [
        (3, "CYCLE_DONE", 1, "the record of cycle 1 is lost, after which there was more work"),
        (2, "TRAINING", 1, "the record of the training set after cycle 1 is lost"),
        (2, "TRAINING", 0, "the record of the training set the study started from is lost"),
    ],
)
def test_what_would_be_silently_wrong_is_refused(study, generation, kind, cycle, words):
    spoil(study, generation, find(study, generation, kind, cycle=cycle))
    for attempt in (inspect, repair):
        with pytest.raises(InputError, match=words):
            attempt(study)


def test_a_missing_file_and_a_cut_one(study):
    kept = path(study, 1).read_bytes()
    path(study, 1).unlink()
    found = inspect(study)
    assert found.damage == (f"{path(study, 1)}: is missing, with all its records",)
    assert "the run id 0a1b was found in the names of the jobs" in found.remarks
    path(study, 1).write_bytes(kept[:-40])
    assert "40 bytes are missing at its end" in " ".join(inspect(study).damage)
    path(study, 1).write_bytes(kept)
    path(study, 2).unlink()
    with pytest.raises(InputError, match="wrong results without a word"):
        repair(study)


def rewrite(study, generation, line, old, new):
    """A line with something else in it, and the checksum of that."""
    lines = path(study, generation).read_text().splitlines()
    body = lines[line - 1].split(" ", 1)[1].replace(old, new)
    lines[line - 1] = f"{zlib.crc32(body.encode()):08x} {body}"
    path(study, generation).write_text("\n".join(lines) + "\n")


def test_what_cannot_be_told_from_good_is_refused(study):
    rewrite(study, 1, find(study, 1, "PLAN"), '"cycles":3', '"cycles":9')
    with pytest.raises(InputError, match="not what was sealed by a later run; restore it"):
        repair(study)
    with pytest.raises(InputError, match="000001"):
        read_journal(study)


def test_a_newer_format_is_refused(study):
    rewrite(study, 3, 1, '"format":1', '"format":2')
    spoil(study, 3, 4)
    with pytest.raises(InputError, match="newer version"):
        repair(study)


def test_swapped_and_repeated_lines(study):
    lines = path(study, 3).read_bytes().splitlines(keepends=True)
    records = plain(read_journal(study))
    path(study, 3).write_bytes(b"".join([*lines[:3], lines[4], lines[3], *lines[5:], lines[-1]]))
    done = repair(study)
    assert "another order" in done.damage[0]
    assert plain(read_journal(study))[1:] == records


def test_not_while_a_run_is_at_work(study):
    spoil(study, 2, 5)
    lock = Lock(study / ".ald" / "lock")
    with pytest.raises(InputError, match="works in this study already"):
        repair(study)
    lock.release()
    assert newest_generation(study) == 3
    repair(study)
    assert newest_generation(study) == 5


def test_a_journal_of_which_nothing_is_left_is_no_new_study(study):
    """Else its labels would be made again without a word."""
    for number in (1, 2, 3):
        path(study, number).write_bytes(b"")
    with pytest.raises(InputError, match="nothing of it can be read, though work was done"):
        repair(study)
    assert newest_generation(study) in (3, 4)
