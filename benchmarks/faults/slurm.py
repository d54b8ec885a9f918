"""Studies through a real Slurm on which everything falls: `python benchmarks/faults/slurm.py [ROUNDS] [SEED]`.

In each round a study of the reference crew runs while `ald run` is killed at random times, answers of sbatch and squeue
are lost, the controller is stopped or killed and comes back, and jobs are requeued. At the end the bytes must be those
of an undisturbed run with the local scheduler, and no job may have worked twice.
"""

import importlib.util
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from slurm_cluster import SlurmCluster, program

from ald_core.journal import read_journal

SCHEDULER = """\
use = "slurm"
poll = 0.2
patience = 3
submit_rate = 50
query_timeout = 2
submit_timeout = 3
"""
STEP = """
[resources.{role}]
setup = ['printf "%s\\n" "$ald_folder" >> "{ledger}"']
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
    """Programs that stand before those of Slurm and fail now and then."""
    folder.mkdir(exist_ok=True)
    for name, text in FAULTS.items():
        path = folder / name
        dice = "dice=$(( $(od -An -N2 -tu2 /dev/urandom) % 100 ))"
        path.write_text(f'#!/bin/sh\nreal=\'{program(name)}\'\n{dice}\n{text}\nexec "$real" "$@"\n')
        path.chmod(0o755)


def disturb(slurm: SlurmCluster, dice: random.Random) -> str:
    """One thing that happens to Slurm."""
    what = dice.choice(["nothing"] * 5 + ["stop", "kill", "requeue"])
    if what in ("stop", "kill"):
        slurm.stop_controller(15 if what == "stop" else 9)
        time.sleep(dice.uniform(0.2, 4.0))
        slurm.start_controller()
        slurm.recover_nodes()
    elif what == "requeue":
        ids = slurm.run("squeue", "-h", "-t", "running", "-o", "%A", check=False).split()
        for job in ids[:1]:
            slurm.run("scontrol", "update", f"jobid={job}", "requeue=1", check=False)
            slurm.run("scontrol", "requeue", job, check=False)
            slurm.run("scontrol", "update", f"jobid={job}", "starttime=now", check=False)
    return what


def live(study, slurm: SlurmCluster, dice: random.Random) -> Counter[str]:
    """Start `ald run` again and again until it comes to its end; how often what happened."""
    happened: Counter[str] = Counter()
    while True:
        process = study.start("run")
        end = time.monotonic() + dice.expovariate(0.1)
        try:
            while process.poll() is None and time.monotonic() < end:
                happened[disturb(slurm, dice)] += 1
                time.sleep(dice.uniform(0.1, 3.0))
        finally:
            process.kill()
            out, err = process.communicate()
        if process.returncode == 0:
            return happened
        # A controller that has lost its memory gives the end of an old job to a new one of its id: cancelled.
        asked = process.returncode == 2 and "was cancelled" in err
        happened["asked" if asked else "killed"] += 1
        assert asked or process.returncode == -9, f"status {process.returncode}: {err}{out}"


def main(rounds: int, seed: int) -> None:
    module = studies()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, SlurmCluster() as slurm:
        folder = Path(name)
        os.environ.update(slurm.environment)
        quiet = module.make_study(folder / "quiet")
        quiet.run()
        put_faults(folder / "bin")
        os.environ["PATH"] = f"{folder / 'bin'}:{os.environ['PATH']}"
        for number in range(rounds):
            dice = random.Random(f"{seed} {number}")
            study = module.make_study(folder / f"study {number}")
            ledger = folder / f"ledger{number}"
            ledger.touch()
            steps = [
                STEP.format(role=r, ledger=ledger, pack=dice.randint(1, 5))
                for r in ("label", "fit", "md", "predict")
            ]
            study.write(('use = "local"\ncores = 2\n', SCHEDULER + "".join(steps)))
            begun = time.time()
            happened = live(study, slurm, dice)
            lines = ledger.read_text().splitlines()
            assert len(lines) == len(set(lines)), "a job worked twice"
            assert study.results() == quiet.results(), "other bytes"
            entries = read_journal(study.path)
            accepted = [e["task"] for e in entries if e["type"] == "ACCEPTED"]
            assert len(accepted) == len(set(accepted)), "a task was accepted twice"
            assert study.litter() == []
            kinds = Counter(e["type"] for e in entries)
            happened.update({k: kinds[k] for k in ("INTENT", "VOID", "LOST", "ACCEPTED")})
            total += happened
            print(f"round {number}: {time.time() - begun:.0f} s, {dict(happened)}", flush=True)
    print(f"{rounds} rounds: {dict(total)}; bytes equal, no job worked twice")


if __name__ == "__main__":
    main(*(int(a) for a in (sys.argv[1:] + ["3", "1"][len(sys.argv) - 1 :])))
