"""Whatever kills a run, the next one goes on, nothing is done twice, and the bytes are those of a quiet run."""

import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ald_core.inspection import read_status

LABELS = (
    r"label: \d waiting, \d running, \d done, 0 failed(, about .* left)?"
    r"|label jobs: \d waiting, \d running, \d to be collected"
)
"""As the run counts, or as the journal does while the run has not told its counts yet."""


@pytest.fixture
def counted(study):
    """A study whose jobs write into a ledger outside of it when they have their claim and begin to work."""
    ledger = study.path.parent / "ledger.txt"
    ledger.touch()
    roles = ("label", "fit", "md", "predict")
    lines = "".join(
        f'\n[resources.{role}]\nsetup = [\'echo "$ald_folder" >> "{ledger}"\']\n' for role in roles
    )
    study.write(("cores = 2\n", "cores = 2\n" + lines))
    return study, ledger


def executions(ledger):
    return [line.rsplit("/", 1)[1] for line in ledger.read_text().splitlines()]


def assert_like_undisturbed(study, ledger, undisturbed):
    assert study.results() == undisturbed.results()
    done = executions(ledger)
    assert len(done) == len(set(done))  # no job worked twice
    tasks = [name.rpartition("-")[0] for name in done]
    lost = {name for name in tasks if tasks.count(name) > 1}
    again = [p for p in study.jobs() if p.name.rpartition("-")[0] in lost]
    assert not lost, again  # nor was any work repeated, since every job survives the command
    assert study.litter() == []
    jobs = study.jobs()
    assert study.run().out.splitlines()[-1]
    assert study.jobs() == jobs


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_kill_9_at_random_moments(counted, undisturbed):
    study, ledger = counted
    dice = random.Random(5)
    kills = 0
    while kills < 5:
        generations = len(list(study.path.glob(".ald/journal/*")))
        process = study.start("run")
        wait_for(
            lambda p=process, g=generations: (
                p.poll() is not None or len(list(study.path.glob(".ald/journal/*"))) > g
            )
        )
        time.sleep(dice.uniform(0.0, 1.2))
        process.kill()
        _, err = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, err
        kills += 1
    assert kills > 2
    study.run()
    assert_like_undisturbed(study, ledger, undisturbed)


def test_ctrl_c_is_a_clean_stop(counted, undisturbed):
    study, ledger = counted
    for wanted in ("ALC-1/jobs/*label*", "ALC-2/jobs/*md*"):
        process = study.start("run")
        wait_for(lambda w=wanted, p=process: p.poll() is not None or list(study.path.glob(w)))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 3, err
        (line,) = err.strip().splitlines()
        assert line.startswith("ald: ")
        assert "ald run" in line
    study.run()
    assert_like_undisturbed(study, ledger, undisturbed)


def test_sigterm_stops_cleanly_too(counted):
    study, _ = counted
    process = study.start("run")
    wait_for(lambda: list(study.path.glob("ALC-1/jobs/*label*")))
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode in (3, -signal.SIGTERM), err
    assert "Traceback" not in err


def test_two_runs_at_once(counted):
    """The second says so and leaves; the first is not disturbed."""
    study, ledger = counted
    first = study.start("run", "--fit-only")
    wait_for(lambda: list(study.path.glob("ALC-1/jobs/*label*")))
    told = []

    def labels_under_way():
        told[:] = read_status(study.path / "ald.toml").lines
        return any(re.fullmatch(LABELS, line) for line in told)

    wait_for(labels_under_way)
    assert told[0] == "cycle 1, final fit: label"
    assert any(line.startswith(f"`ald run` (process {first.pid} on host ") for line in told)
    second = study.ald("run", "--fit-only")
    assert second.status == 2
    assert f"another `ald run` (process {first.pid} on host " in second.sentence
    assert "works in this study already" in second.sentence
    status = study.ald("status")  # which only looks, and may look at any time
    assert status.status == 0
    _, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    done = executions(ledger)
    assert len(done) == len(set(done))
    assert sum("-label-" in name for name in done) == 5


def test_an_output_that_takes_nothing_does_not_stop_a_run(study):
    def run(**streams):
        command = [study.python, "-m", "ald_core", "run", "--fit-only"]
        return subprocess.run(
            command, cwd=study.path, env=study.environment, check=False, text=True, **streams
        )

    with Path("/dev/full").open("w") as full:
        outcome = run(stdout=full, stderr=subprocess.PIPE)
        assert (outcome.returncode, outcome.stderr) == (0, "")
        assert read_status(study.path / "ald.toml").lines[0] == "finished"
        (study.path / "ald.toml").write_text("nonsense")
        assert run(stderr=full).returncode == 2


def test_an_output_without_angstroms_gets_question_marks(undisturbed):
    environment = undisturbed.environment | {"PYTHONIOENCODING": "ascii"}
    command = [undisturbed.python, "-m", "ald_core", "status"]
    shown = subprocess.run(
        command, cwd=undisturbed.path, env=environment, check=True, capture_output=True, text=True
    )
    assert shown.stderr == ""
    assert "kcal/mol/?" in shown.stdout
