"""Studies on which everything falls: `python benchmarks/faults/soak.py local|slurm [KILLS] [SEED] [STUDIES]`.

Several studies of the reference crew at a time run again and again while `ald run` is killed at random moments, until
it was killed KILLS times. With `local`, now and then all jobs of the study die with it, as if the machine did. With
`slurm` (a private one), answers of sbatch and squeue are lost, late or empty; the controller is stopped, or killed
within a second of submissions and of ends of jobs, and comes back; nodes go down; jobs are requeued and cancelled by
hand.

In the end the bytes must be those of an undisturbed run with the local scheduler; no job may have worked twice, no task
have been accepted twice, nothing be left over, and one more `ald run` must find nothing to do.
"""

import importlib.util
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

TESTS = Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from slurm_cluster import SlurmCluster, program

from ald_core.journal import read_journal

ROLES = ("label", "fit", "md", "predict")
LOCAL = 'use = "local"\ncores = 2\n'
SLURM = """\
use = "slurm"
poll = 0.2
patience = 2
submit_rate = 50
query_timeout = 2
submit_timeout = 3
"""
STEP = """
[resources.{role}]
setup = ['printf "%s\\n" "$ald_folder" >> "{ledger}"', 'sleep 0.{pause}']
tasks_per_job = {pack}
concurrent = 2
"""
FAULTS = {
    "sbatch": """case $dice in
    [0-9]) "$real" "$@" >/dev/null; exit 1 ;;
    1[0-4]) "$real" "$@" >/dev/null; kill -9 $$ ;;
    1[5-9]) exit 1 ;;
    2[0-1]) "$real" "$@" >/dev/null; exec sleep 9 ;;
    2[2-4]) "$real" "$@" >/dev/null ;;
    esac""",
    "squeue": """case $dice in
    [0-9]) echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1 ;;
    1[0-4]) exit 0 ;;
    1[5-6]) exec sleep 9 ;;
    esac""",
}


def studies():
    """The module with the study of the end-to-end tests."""
    spec = importlib.util.spec_from_file_location("studies", TESTS / "e2e" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["studies"] = module
    spec.loader.exec_module(module)
    return module


def put_faults(folder: Path) -> None:
    """Programs that stand before those of Slurm and fail now and then; `calls` grows with each submission."""
    folder.mkdir()
    for name, text in FAULTS.items():
        path = folder / name
        call = f"printf x >>'{folder}/calls'" if name == "sbatch" else ":"
        dice = "dice=$(( $(od -An -N2 -tu2 /dev/urandom) % 100 ))"
        real = f"real='{program(name)}'"
        path.write_text(f'#!/bin/sh\n{real}\n{call}\n{dice}\n{text}\nexec "$real" "$@"\n')
        path.chmod(0o755)


class Soak:
    """What all studies share."""

    def __init__(self, kind: str, kills: int, seed: int, folder: Path):
        self.kind, self.kills, self.seed, self.folder = kind, kills, seed, folder
        self.module = studies()
        self.total: Counter[str] = Counter()
        self.deviations: list[str] = []
        self.ended = threading.Event()
        self._numbers = iter(range(10**6))
        self._lock = threading.Lock()
        self.quiet = self.module.make_study(folder / "quiet")
        self.quiet.run()

    def count(self, happened: Counter[str]) -> None:
        with self._lock:
            self.total += happened

    def next_number(self) -> int | None:
        """Of the next round; None if there were kills enough."""
        with self._lock:
            return None if self.total["killed"] >= self.kills else next(self._numbers)

    def rounds(self) -> None:
        """One study after the other; a deviation is kept with its folder, and ends everything."""
        while not self.ended.is_set() and (number := self.next_number()) is not None:
            begun = time.monotonic()
            try:
                happened = self.round(number)
            except BaseException:  # noqa: BLE001
                self.deviations.append(f"round {number}: {traceback.format_exc()}")
                self.ended.set()
                return
            seconds = time.monotonic() - begun
            print(f"round {number}: {seconds:.0f} s, {dict(happened)}", flush=True)

    def round(self, number: int) -> Counter[str]:
        """One study to its end."""
        dice = random.Random(f"{self.seed} {number}")
        study = self.module.make_study(self.folder / f"study {number}")
        ledger = self.folder / f"ledger{number}"
        ledger.touch()
        steps = "".join(
            STEP.format(role=r, ledger=ledger, pack=dice.randint(1, 5), pause=dice.randint(1, 6))
            for r in ROLES
        )
        study.write((LOCAL, (LOCAL if self.kind == "local" else SLURM) + steps))
        happened = self.live(study, dice)
        entries = read_journal(study.path)
        kinds = Counter(e["type"] for e in entries)
        happened.update({k: kinds[k] for k in ("INTENT", "VOID", "LOST", "ACCEPTED")})
        lines = ledger.read_text().splitlines()
        assert len(lines) == len(set(lines)), "a job worked twice"
        assert study.results() == self.quiet.results(), "other bytes"
        accepted = [e["task"] for e in entries if e["type"] == "ACCEPTED"]
        assert len(accepted) == len(set(accepted)), "a task was accepted twice"
        # A job that is killed -9 in its first moment leaves its private file behind, in its own folder.
        assert [p for p in study.litter() if p.name.endswith((".ald-new", ".ald-old"))] == []
        jobs = study.jobs()
        study.run()
        assert study.jobs() == jobs, "there was something left to do"
        self.count(Counter({"rounds": 1, **{k: kinds[k] for k in ("INTENT", "VOID", "LOST")}}))
        return happened

    def live(self, study, dice: random.Random) -> Counter[str]:
        """Start `ald run` again and again until it comes to its end; how often what happened."""
        happened: Counter[str] = Counter()
        log = study.path.with_suffix(".log")
        with Nursery() as nursery:
            while True:
                patience = self.patience(dice)
                status = nursery.live(study.path, log, patience, self.ended)
                if status == 0:
                    return happened
                text = log.read_text()
                # A controller that has lost its memory gives the end of an old job to a new one of its id, too.
                asked = status == 2 and "was cancelled" in text
                what = "asked" if asked else "killed"
                assert asked or status == -signal.SIGKILL, f"{status}: {text}"
                assert not self.ended.is_set(), "given up"
                if self.kind == "local" and dice.random() < 0.05:
                    kill_jobs(study)
                    happened["machine"] += 1
                    self.count(Counter({"machine": 1}))
                happened[what] += 1
                self.count(Counter({what: 1}))

    def patience(self, dice: random.Random) -> float:
        """Seconds until the next kill."""
        if self.total["killed"] >= self.kills:
            return 1e9
        if dice.random() < 0.3:  # as it begins
            return dice.uniform(0.0, 0.5)
        return dice.expovariate(0.25 if self.kind == "slurm" else 0.8)

    def disturb(self, slurm: SlurmCluster) -> None:
        """Things happen to Slurm until all studies are through."""
        dice = random.Random(f"{self.seed} slurm")
        kinds = ["nothing"] * 6 + ["stop", "kill", "kill after submission", "kill after begin"]
        kinds += ["requeue", "node", "cancel"]
        while not self.ended.wait(dice.uniform(0.1, 4.0)):
            what = dice.choice(kinds)
            try:
                happen(what, slurm, dice, self.folder)
            except Exception:  # noqa: BLE001
                self.deviations.append(f"{what}: {traceback.format_exc()}")
                self.ended.set()
                return
            self.count(Counter({what: 1}))


class Nursery:
    """Lives of `ald run`, each a process of its own."""

    def __enter__(self) -> "Nursery":
        command = [sys.executable, str(Path(__file__).with_name("nursery.py"))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=TESTS.parent
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()

    def live(self, study: Path, log: Path, seconds: float, ended: threading.Event) -> int:
        """The status of one life, which is killed after so many seconds."""
        self._process.stdin.write(f"{study}\t{log}\trun\n".encode())
        answers = self._process.stdout
        pid = int(answers.readline())
        end = time.monotonic() + seconds
        while not ended.is_set() and time.monotonic() < end:
            if select.select([answers], [], [], min(0.2, max(end - time.monotonic(), 0.0)))[0]:
                return int(answers.readline())
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return int(answers.readline())


def kill_jobs(study) -> None:
    """kill -9 of all jobs of a study, as when a machine dies."""
    (run,) = {e["run"] for e in read_journal(study.path) if e["type"] == "STUDY"} or {"none"}
    for process in psutil.process_iter():
        try:
            if process.environ().get("ALD_JOB_NAME", "").startswith(f"ald-{run}-"):
                process.kill()
        except psutil.Error:
            continue


def happen(what: str, slurm: SlurmCluster, dice: random.Random, folder: Path) -> None:
    """One thing that happens to Slurm."""
    if what in {"stop", "kill", "kill after submission", "kill after begin"}:
        if what.startswith("kill after"):
            # Jobs last for about a second: so long after one began, it ends.
            files = [folder / "bin" / "calls"] if "sub" in what else list(folder.glob("ledger*"))
            grown_or_late(files)
            time.sleep(dice.uniform(0.0, 1.0))
        slurm.stop_controller(signal.SIGTERM if what == "stop" else signal.SIGKILL)
        time.sleep(dice.uniform(0.2, 3.0))
        slurm.start_controller()
        slurm.recover_nodes()
    elif what == "requeue":
        for job in running(slurm)[:1]:
            slurm.run("scontrol", "update", f"jobid={job}", "requeue=1", check=False)
            slurm.run("scontrol", "requeue", job, check=False)
            slurm.run("scontrol", "update", f"jobid={job}", "starttime=now", check=False)
    elif what == "cancel":
        for job in running(slurm, "running,pending")[:1]:
            slurm.run("scancel", job, check=False)
    elif what == "node":
        node = f"nodename={dice.choice(slurm.nodes)}"
        slurm.run("scontrol", "update", node, "state=down", "reason=soak", check=False)
        time.sleep(dice.uniform(0.1, 2.0))
        slurm.recover_nodes()


def running(slurm: SlurmCluster, states: str = "running") -> list[str]:
    """Ids of jobs in these states."""
    return slurm.run("squeue", "-h", "-t", states, "-o", "%A", check=False).split()


def grown_or_late(files: list[Path], seconds: float = 10.0) -> None:
    """Wait until one of the files grows, but not for ever."""

    def sizes() -> list[int]:
        return [path.stat().st_size for path in files if path.exists()]

    before, end = sizes(), time.monotonic() + seconds
    while sizes() == before and time.monotonic() < end:
        time.sleep(0.005)


def main(kind: str = "local", kills: int = 100, seed: int = 1, parallel: int = 3) -> None:
    begun = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="ald-soak-"))
    soak = Soak(kind, kills, seed, place)
    workers = [threading.Thread(target=soak.rounds) for _ in range(parallel)]
    if kind == "local":
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    else:
        with SlurmCluster() as slurm:
            os.environ.update(slurm.environment)
            put_faults(place / "bin")
            os.environ["PATH"] = f"{place / 'bin'}:{os.environ['PATH']}"
            for worker in workers:
                worker.start()
            disturber = threading.Thread(target=soak.disturb, args=(slurm,))
            disturber.start()
            for worker in workers:
                worker.join()
            soak.ended.set()
            disturber.join()
    print(f"{(time.monotonic() - begun) / 60:.0f} min: {dict(soak.total)}")
    if soak.deviations:
        sys.exit(f"{len(soak.deviations)} deviations, see {place}:\n" + "\n".join(soak.deviations))
    print("no deviation: bytes equal, no job worked twice, nothing lost")
    shutil.rmtree(place)


if __name__ == "__main__":
    main(*sys.argv[1:2], *(int(a) for a in sys.argv[2:]))
