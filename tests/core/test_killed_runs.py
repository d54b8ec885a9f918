"""kill -9 of real processes with real jobs; the ledger of executions lies outside the study."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

SCRIPT = Path(__file__).with_name("killed_run.py")
COUNT = 10


@pytest.fixture
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def start(study: Path, *arguments: str) -> subprocess.Popen[str]:
    study.mkdir(exist_ok=True)
    command = [sys.executable, str(SCRIPT), str(study), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(study: Path, *arguments: str) -> Any:
    with start(study, *arguments) as process:
        output = process.communicate(timeout=300)[0]
    assert process.returncode == 0
    return json.loads(output)


def kill_after(study: Path, seconds: float, *, machine: bool = False) -> None:
    """kill -9 of a run some time after its journal appeared; with `machine`, of its jobs too."""
    journal = study / ".ald" / "journal"
    generations = len(list(journal.glob("0*"))) if journal.exists() else 0
    with start(study, str(COUNT)) as process:
        end = time.monotonic() + 30
        while len(list(journal.glob("0*"))) == generations and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep(seconds)
        process.kill()
    assert process.returncode in {0, -signal.SIGKILL}
    if machine:
        for other in psutil.process_iter():
            try:
                if study.name in other.environ().get("ALD_JOB_NAME", ""):
                    other.kill()
            except psutil.Error:
                continue


def name(kind: str) -> str:
    return f"{kind}{os.getpid()}x{random.randrange(10**9)}"


def check(told: dict[str, Any], undisturbed: dict[str, Any]) -> None:
    assert told["results"] == undisturbed["results"]
    assert told["accepted"] == undisturbed["accepted"]
    assert told["twice"] == 0
    assert told["left"] == []
    assert told["alive"] == 0


def test_kill_9_at_any_moment(folder: Path) -> None:
    undisturbed = finish(folder / name("u"), str(COUNT))
    assert undisturbed["kinds"] == {
        "INTENT": 14,
        "SUBMITTED": 14,
        "ACCEPTED": 9,
        "REJECTED": 5,
        "QUARANTINED": 1,
    }
    assert undisturbed["executed"]["task 1"] == undisturbed["executed"]["task 5"] == 2
    place = folder / name("k")
    reports = finish(place, str(COUNT), "random")
    # What is finished sooner than its time comes, is not killed: the faster the machine, the fewer they are.
    assert sum(told["killed"] for told in reports) > 40
    for told in reports:
        check(told, undisturbed)
        # Jobs outlive the run that started them: nothing was lost, nothing done again.
        assert told["executed"] == undisturbed["executed"], told["where"]
        assert "LOST" not in told["kinds"], told["where"]


def test_kill_9_of_two_runs_at_once_that_no_lock_keeps_apart(folder: Path) -> None:
    """What an overtaken process does may be in vain, but is never done twice under one name, nor lost."""
    undisturbed = finish(folder / name("u"), str(COUNT))
    for told in finish(folder / name("t"), str(COUNT), "two"):
        check(told, undisturbed)


def test_kill_9_of_run_and_jobs_at_any_moment(folder: Path) -> None:
    undisturbed = finish(folder / name("u"), str(COUNT))
    rng = random.Random(8)
    for _ in range(2):
        study = folder / name("m")
        for _ in range(3):
            kill_after(study, rng.uniform(0.05, 0.4), machine=True)
        told = finish(study, str(COUNT))
        check(told, undisturbed)


def test_death_at_every_durable_operation(folder: Path) -> None:
    undisturbed = finish(folder / name("u"), "2")
    place = folder / name("e")
    reports = finish(place, "2", "every")
    manners = {
        m: sum(r["where"].startswith(m) for r in reports) for m in ("before", "after", "torn")
    }
    # 2 for the generation, 4 to submit each of 3 jobs, 1 for each end; the records alone.
    assert manners == {"before": 17, "after": 17, "torn": 10}
    for told in reports:
        check(told, undisturbed)
        assert told["executed"] == undisturbed["executed"], told["where"]
        assert "LOST" not in told["kinds"], told["where"]


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(folder: Path) -> None:
    study = folder / name("c")
    undisturbed = finish(folder / name("u"), str(COUNT))
    code = (
        "import sys, runpy; from pathlib import Path; from ald_core.errors import Stopped\n"
        "run = runpy.run_path(sys.argv[1])['run']\n"
        f"try: run(Path(sys.argv[2]), {COUNT})\n"
        "except Stopped as stopped: sys.exit(3)\n"
    )
    command = [sys.executable, "-c", code, str(SCRIPT), str(study)]
    study.mkdir()
    with subprocess.Popen(command) as process:
        executions = study.with_name(study.name + ".executions")
        while not executions.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 3
    told = finish(study, str(COUNT))
    check(told, undisturbed)
    assert told["executed"] == undisturbed["executed"]
    assert told["kinds"].get("LOST") is None
