"""A study that is looked after from elsewhere: status, stop, notices; and options that change between cycles."""

import email
import email.policy
import json
import os
import shutil
import time

import pytest

ONE_CYCLE = ("cycles = 2", "cycles = 1")


@pytest.fixture
def sendmail(study):
    """A program that keeps messages; gives what they are about."""
    program = study.path.parent / "sendmail"
    box = study.path.parent / "box"
    box.mkdir()
    program.write_text(f'#!/bin/sh\ncat >"{box}/$$.new"; mv "{box}/$$.new" "{box}/$(date +%s%N)"\n')
    program.chmod(0o755)

    def subjects():
        found = [
            email.message_from_bytes(p.read_bytes(), policy=email.policy.default)
            for p in sorted(box.iterdir())
        ]
        return [m["Subject"].removeprefix("ald: study: ") for m in found]

    subjects.table = (
        f'\n[[notify]]\nuse = "mail"\nto = ["me@example.org"]\nsendmail = "{program}"\n'
    )
    return subjects


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def status_of(study):
    return json.loads((study.path / "status.json").read_text())


def test_status_stop_and_notices(study, sendmail, undisturbed):
    slow = '\n[resources.label]\nsetup = ["sleep 2"]\n'
    study.write(("cores = 2\n", "cores = 2\n" + slow + sendmail.table))
    run = study.start("run")
    wait_for(lambda: list(study.path.glob("ALC-1/jobs/*-label-*/claim")) or run.poll() is not None)
    steps = ["label"]
    wait_for(lambda: [s["name"] for s in status_of(study)["steps"]] == steps)
    found = json.loads(study.ald("status", "--json").out)
    assert (found["state"], found["pid"], found["cycle"]) == ("running", run.pid, 1)
    assert [sum(step["tasks"].values()) for step in found["steps"]] == [5]
    stopped = study.ald("stop")
    assert stopped.status == 0
    assert stopped.out.endswith(" has stopped\n")
    _, err = run.communicate(timeout=60)
    assert run.returncode == 3
    assert "stopped on request" in err
    assert sendmail() == ["stopped on request; jobs that run go on, and `ald run` continues here"]
    told = study.ald("status")
    assert "stopped: stopped on request; jobs that run go on" in told.out
    assert study.ald("stop").out == "no `ald run` is at work in this study\n"
    study.write(("cores = 2\n", "cores = 2\n" + sendmail.table))
    study.run()
    assert study.results() == undisturbed.results()
    assert sendmail()[1:] == ["cycle 1 of 2 finished", "cycle 2 of 2 finished", "finished"]
    found = json.loads((study.path / "status.json").read_text())
    assert (found["state"], found["cycles"], len(found["results"])) == ("finished", 2, 3)
    assert found["results"] == json.loads(study.ald("status", "--json").out)["results"]
    study.run()
    assert len(sendmail()) == 4
    assert study.litter() == []


def test_a_notice_that_cannot_be_sent_stops_nothing_and_a_fuse_is_told(study, sendmail):
    broken = sendmail.table.replace("/sendmail", "/no-sendmail")
    fails = ('use = "reference"\nsteps = 30', 'use = "reference"\nsteps = 3\ninner_cutoff = 9.0')
    study.write(ONE_CYCLE, fails, ("cores = 2\n", "cores = 2\n" + broken + sendmail.table))
    checked = study.ald("check")
    assert "warning: notify[0]: there is no program" in checked.out
    assert "notify[1]: notifier 'mail' on cycle, finished, stopped, failed" in checked.out
    outcome = study.ald("run")
    assert outcome.status == 4
    assert "warning: the notice 'ald: study: " in outcome.out
    assert "could not be sent: there is no program" in outcome.out
    (subject,) = sendmail()
    sentence = outcome.sentence.removeprefix("ald: ")
    assert subject == sentence[:150] or subject.startswith(sentence[:100])
    assert json.loads((study.path / "status.json").read_text())["reason"] == sentence


def test_changes_between_cycles(study, undisturbed):
    """A finished study is gone on with, with another length of MD, after the user has said so."""
    shutil.rmtree(study.path)
    shutil.copytree(undisturbed.path, study.path)
    study.write(("steps = 30", "steps = 40"), ("cycles = 2", "cycles = 3"))
    refused = study.ald("run", "--copied")
    assert refused.status == 2
    assert "(md.steps: 30 → 40)" in refused.sentence
    assert "`ald run --accept-changes`" in refused.sentence
    outcome = study.run("--accept-changes")
    assert "accepted from here on: md.steps: 30 → 40" in outcome.out
    kept = (
        "ALC-1/GEN_FF/*",
        "ALC-1/CASE-*/*",
        "ALC-2/GEN_FF/*",
        "ALC-2/CASE-*/*",
        "ALC-2/*-20/*/*",
    )
    assert study.bytes_of(*kept) == undisturbed.bytes_of(*kept)
    results = json.loads((study.path / "status.json").read_text())["results"]
    assert [[md["planned"] for md in row["md"]] for row in results] == [[30, 30]] * 2 + [
        [40, 40]
    ] * 2
    study.run()


def test_no_job_gets_the_password(study, sendmail, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "geheim")
    login = 'server = "localhost"\nsecurity = "starttls"\nuser = "me"\npassword_variable = "MAIL_PASSWORD"\n'
    dump = "\n[resources]\nsetup = ['env >environment']\n"
    study.write(("cores = 2\n", "cores = 2\n" + dump + sendmail.table + login))
    study.run("--fit-only")
    seen = [p.read_text() for p in study.path.glob("ALC-1/jobs/*/environment")]
    assert seen
    assert all("ALD_JOB_NAME" in text and "MAIL_PASSWORD" not in text for text in seen)


def test_a_study_folder_whose_name_is_no_text(study):
    """Names of files are bytes; those that are not UTF-8 do no harm."""
    study.write()
    strange = study.path.with_name(os.fsdecode(b"st\xffdy"))
    shutil.copytree(study.path, strange)
    outcome = study.ald("run", strange, "--fit-only")
    assert outcome.status == 0, outcome.err
    assert "st?dy" in study.ald("status", strange, "--json").out
