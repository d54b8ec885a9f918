"""A whole study through a real Slurm gives the bytes of the local scheduler, whatever kills the command."""

import random
import signal
import time

import pytest

from ald_core.journal import read_journal

LOCAL = 'use = "local"\ncores = 2\n'
SLURM = """\
use = "slurm"
poll = 0.1
patience = 1
submit_rate = 50
query_timeout = 5
"""
STEP = """
[resources.{role}]
setup = ['printf "%s\\n" "$ald_folder" >> "{ledger}"']
queue = "short"
time = "00:05:00"
memory = "300MB"
tasks_per_job = 4
concurrent = 4
"""


@pytest.fixture
def through_slurm(tmp_path, new_study, slurm):
    """A study for Slurm, in a folder with a difficult name, and a ledger of the jobs that began to work."""
    study = new_study(tmp_path / "a 'study', $(touch pwned); %j é")
    ledger = tmp_path / "ledger.txt"
    ledger.touch()
    steps = [STEP.format(role=r, ledger=ledger) for r in ("label", "fit", "md", "predict")]
    hot = (
        "temperature = 900\n",
        'temperature = 900\nresources = { time = "4", launcher = "srun" }\n',
    )
    study.write((LOCAL, SLURM + "".join(steps)), hot)
    yield study, ledger
    assert not list(tmp_path.rglob("pwned"))


def assert_like(study, undisturbed):
    """The first of two cycles and the fit after it; the training set that users read is that of two cycles there."""
    found = study.results()
    assert {path.split("/")[0] for path in found} == {
        "ALC-1",
        "ALC-2",
        ".ald",
        "training_set.extxyz",
    }
    del found["training_set.extxyz"]
    assert found.items() <= undisturbed.results().items()


def test_the_bytes_are_those_of_the_local_scheduler(through_slurm, undisturbed):
    study, ledger = through_slurm
    assert study.ald("check").status == 0
    study.run("--cycles", "1")
    assert_like(study, undisturbed)
    done = ledger.read_text().splitlines()
    assert len(done) == len(set(done)) == len(study.jobs())
    packs = [len(list(job.glob("*/task.exit"))) for job in study.jobs("label")]
    assert max(packs) == 4
    assert study.litter() == []
    (hot,) = [p for p in study.path.glob("ALC-1/jobs/*-md-*/*-warm") if p.is_dir()]
    script = (hot.parent / "job.sh").read_text()
    assert "exec srun" not in script  # a single process, whatever the launcher


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ('queue = "no such"', "resources.md: Slurm would refuse: Invalid partition name specified"),
        ('memory = "9TB"', "resources.md: Slurm would refuse: "),
        (
            'account = "-A"',
            "resources.md.account: '-A' cannot stand for account: one line without a leading dash",
        ),
        (
            'extra = ["#SBATCH --nonsense"]',
            "resources.md: Slurm would refuse: sbatch: unrecognized",
        ),
    ],
    ids=["partition", "memory", "account", "line"],
)
def test_check_says_what_slurm_would_refuse(through_slurm, wrong, words):
    study, ledger = through_slurm
    study.write((LOCAL, f"{SLURM}\n[resources.md]\n{wrong}\n"))
    outcome = study.ald("check")
    assert outcome.status == 2
    assert "Traceback" not in outcome.err
    assert words in outcome.err
    assert not (study.path / ".ald").exists()
    assert ledger.read_text() == ""


def test_kill_9_at_random_moments(through_slurm, undisturbed):
    study, ledger = through_slurm
    dice = random.Random(11)
    kills = 0
    while True:
        process = study.start("run", "--cycles", "1")
        time.sleep(dice.uniform(0.8, 2.5))
        process.kill()
        _, err = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, err
        kills += 1
        if kills == 5:
            study.run("--cycles", "1")
            break
    assert kills > 2
    assert_like(study, undisturbed)
    done = ledger.read_text().splitlines()
    assert len(done) == len(set(done))
    tasks = [e["task"] for e in read_journal(study.path) if e["type"] == "ACCEPTED"]
    assert len(tasks) == len(set(tasks))
    assert study.litter() == []
    jobs = study.jobs()
    study.run("--cycles", "1")
    assert study.jobs() == jobs
