"""A run of tasks on the local scheduler, to be killed: `killed_run.py STUDY TASKS [every | random | two]`.

Prints results and what was executed as JSON. With `every` it repeats the run for each durable operation, dies there (in
a forked process), goes on in another, and prints a list. With `random` it kills 10 processes in each of 10 studies at
any moment, before each goes on to its end; with `two` they come in pairs that work at the same time, and no lock holds.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from ald_core import durable, journal
from ald_core.errors import InputError, Stopped
from ald_core.jobs import JobRunner
from ald_core.journal import Journal, read_journal
from ald_core.local import LocalScheduler
from ald_core.roles import Scheduler
from ald_core.types import Failure, JobSpec, JobStatus, Task

RUN_ID = "6b1d"
OPERATIONS = ("append", "publish_file", "stage", "publish_folder", "claim", "discard")


class Untouchable(Scheduler):
    """Fails if it is asked anything."""

    name = "untouchable"

    def submit(self, job: Any) -> str:
        raise AssertionError(job.name)

    def find(self, prefix: str) -> dict[str, list[JobStatus]]:
        raise AssertionError(prefix)

    def cancel(self, ids: Sequence[str]) -> None:
        raise AssertionError(ids)


def make_task(study: Path, index: int) -> Task[str]:
    """Task 1, 4, 7 … converges on its second rung, task 5 never gives anything sensible."""
    name = f"task {index}"
    executions = study.with_name(study.name + ".executions")

    def prepare(workdir: Path, rung: int) -> JobSpec:
        (workdir / "input").write_text(f"{name} rung {rung}\n")
        text = 'printf "%s %s\\n" "$1" "$PWD" >>"$2"; sleep 0.0$3; cat input >output'
        pause = str(3 + index % 4)
        return JobSpec(("sh", "-c", text, "sh", name, str(executions), pause), ("output",))

    def collect(workdir: Path) -> str | Failure:
        output = (workdir / "output").read_text()
        if index % 3 == 1 and "rung 0" in output:
            return Failure("not converged", "numerical")
        return Failure("nonsense") if index == 5 else output

    return Task("label", name, f"identity of {name}", prepare, collect)


def run(study: Path, count: int, scheduler: Scheduler | None = None) -> list[Any]:
    """One `ald run`."""
    scheduler = scheduler or LocalScheduler(cores=3)
    with Journal.open(study) as journal:
        runner = JobRunner(study, f"{RUN_ID}{study.name}", journal, scheduler, {}, poll=0.01)
        return runner.run(1, [make_task(study, i) for i in range(count)])


def report(study: Path, count: int) -> dict[str, Any]:
    """Run to the end, once more to see that nothing is left to do, and tell."""
    results = run(study, count)
    assert run(study, count, Untouchable()) == results
    lines = study.with_name(study.name + ".executions").read_text().splitlines()
    records = read_journal(study)
    accepted = [r for r in records if r["type"] == "ACCEPTED"]
    return {
        "results": [repr(result) for result in results],
        "accepted": sorted((r["task"], *r["outputs"].values()) for r in accepted),
        "executed": dict(sorted(Counter(line.split(" /")[0] for line in lines).items())),
        "twice": len(lines) - len(set(lines)),
        "kinds": dict(Counter(r["type"] for r in records)),
        "left": [str(p) for p in study.rglob("*") if p.name.endswith((".ald-new", ".ald-old"))],
        "alive": _still_alive(f"ald-{RUN_ID}{study.name}-"),
    }


def _still_alive(prefix: str) -> int:
    """Job processes left after a moment, which the last script may need to report its end."""
    for _ in range(100):
        alive = sum(_is_job(process, prefix) for process in psutil.process_iter())
        if not alive:
            break
        time.sleep(0.05)
    return alive


def _is_job(process: psutil.Process, prefix: str) -> bool:
    try:
        return process.environ().get("ALD_JOB_NAME", "").startswith(prefix)
    except psutil.Error:
        return False


# ---------------------------------------------------------------- dying at every durable operation


def every(folder: Path, count: int) -> list[dict[str, Any]]:
    """A report for each operation at which a run died, until one runs through."""
    reports = []
    for manner in ("before", "after", "torn"):
        for operation in range(1, 1000):
            study = folder / f"{manner}{operation}"
            study.mkdir()
            if not died(study, count, manner, operation):
                shutil.rmtree(study)
                break
            reports.append({"where": study.name, **report(study, count)})
            shutil.rmtree(study)
    return reports


def died(study: Path, count: int, manner: str, operation: int) -> bool:
    """Run in a process that kills itself at an operation; whether it came there."""
    pid = os.fork()
    if pid == 0:
        _arm(manner, operation)
        run(study, count)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def at_random(folder: Path, count: int, at_once: int) -> list[dict[str, Any]]:
    """A report for each of 10 studies in which 10 processes were killed, so many at once."""
    dice = random.Random(at_once)
    reports = []
    for number in range(10):
        study = folder / f"random{number}"
        study.mkdir()
        killed = 0
        for _ in range(10 // at_once):
            pids = [_run_without_lock(study, count) for _ in range(at_once)]
            time.sleep(dice.expovariate(16))
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                killed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        reports.append({"where": study.name, "killed": killed, **report(study, count)})
        shutil.rmtree(study)
    return reports


def _run_without_lock(study: Path, count: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    journal.Lock = NoLock  # type: ignore[misc, assignment, attr-defined]  # in this process only
    try:
        run(study, count)
    except (Stopped, InputError):  # somebody else has taken over
        os._exit(3)
    os._exit(0)


class NoLock:
    """Locks lie."""

    def __init__(self, path: Path, *, take_over: bool = False):
        durable.make_folder(path.parent)

    def release(self) -> None:
        """Nothing to give back."""


def _arm(manner: str, operation: int) -> None:
    done = 0

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def armed(original: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal done
            if manner == "torn" and original.__name__ != "append":
                return original(*arguments)
            done += 1
            if manner == "before" and done == operation:
                die()
            if manner == "torn" and done == operation:
                stream, data = arguments
                os.write(stream.fileno(), data[: random.randrange(1, len(data))])
                die()
            answer = original(*arguments)
            if manner == "after" and done == operation:
                die()
            return answer

        return call

    for name in OPERATIONS:
        setattr(durable, name, armed(getattr(durable, name)))


if __name__ == "__main__":
    place, number = Path(sys.argv[1]), int(sys.argv[2])
    if sys.argv[3:] == ["every"]:
        sys.stdout.write(json.dumps(every(place, number)))
    elif sys.argv[3:]:
        sys.stdout.write(json.dumps(at_random(place, number, 2 if sys.argv[3] == "two" else 1)))
    else:
        while True:  # jobs of the machine that died may need a moment to go
            try:
                sys.stdout.write(json.dumps(report(place, number)))
                break
            except Stopped:
                time.sleep(0.1)
