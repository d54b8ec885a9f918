"""How long `ald status` takes while 10,000 label jobs are under way: `python benchmarks/status.py [JOBS] [CYCLES]`.

Makes the journal and the job folders of such a study in a temporary folder; CYCLES finished ones come before. Prints
the seconds of the whole command, with an `ald run` at work (which says itself how far it is) and without one.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ald_core import durable
from ald_core.events import StepStarted, TasksChanged
from ald_core.journal import Journal
from ald_core.ledger import Attempt, JobState, about_attempt, about_job, intent
from ald_core.status_file import StatusFile
from ald_core.store import CycleRecord, record_to_json


def fill(journal: Journal, study: Path, cycle: int, jobs: int, accepted: float) -> None:
    """Label jobs of one cycle, of which a part is accepted and half of the others run."""
    for i in range(jobs):
        name = f"ald-0a1b2c3d-label-{cycle:02d}{i:010x}-1"
        frame = f"{cycle:03d}-6000K_2.0gcc-{i:09d}"
        attempt = Attempt(f"{cycle:02d}{i:062x}", frame, f"000-{frame}", 0)
        job = JobState(name, f"ALC-{cycle}/jobs/{name}", (attempt,))
        journal.append(intent(cycle, "label", job))
        journal.append(about_job("SUBMITTED", name, id=str(i)))
        if i < accepted * jobs:
            outputs = {"labels.json": "f" * 64, "result.out": "e" * 64}
            folder = f"{job.folder}/{attempt.folder}"
            journal.append(about_attempt("ACCEPTED", name, attempt, folder=folder, outputs=outputs))
        else:
            (study / job.folder).mkdir(parents=True)
            if i % 2:
                (study / job.folder / "claim").write_text("claim.x host 1\n")


def seconds(study: Path) -> str:
    """Of the best of three commands, which the other work of the machine disturbs least."""
    command = [sys.executable, "-m", "ald_core", "status", str(study)]
    times = []
    for _ in range(3):
        begun, used = time.perf_counter(), cpu()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - begun, cpu() - used))
    return "{:.2f} s ({:.2f} s of CPU)".format(*min(times))


def cpu() -> float:
    """Seconds that ended child processes have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(jobs: int = 10_000, cycles: int = 0) -> None:
    """Make the study, measure, print."""
    durable.os.fsync = lambda _: None  # type: ignore[attr-defined]  # nothing of this has to last
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder)
        (study / "ald.toml").write_text("")
        with Journal.open(study) as journal:
            journal.append({"type": "STUDY", "run": "0a1b2c3d"})
            journal.append({"type": "PLAN", "cycles": cycles + 1})
            journal.append({"type": "TRAINING", "cycle": 0})
            for cycle in range(1, cycles + 1):
                fill(journal, study, cycle, jobs, 1.0)
                record = record_to_json(CycleRecord(cycle, "m", "f"))
                journal.append({"type": "CYCLE_DONE", "cycle": cycle, "record": record})
            fill(journal, study, cycles + 1, jobs, 0.3)
            with StatusFile(study, "0a1b2c3d", journal.generation) as file:
                file(StepStarted(cycles + 1, "label", jobs))
                file(TasksChanged(cycles + 1, "label", 1, jobs - 1, 0, 0, None))
                time.sleep(1.5)
                print(f"{jobs} jobs, {cycles} cycles before: {seconds(study)} while it runs")
        print(f"{jobs} jobs, {cycles} cycles before: {seconds(study)} when nobody works")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
