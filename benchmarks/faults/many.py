"""Many labels in one cycle, with all that can happen to them: `python benchmarks/faults/many.py [FRAMES] [SEED]`.

One job per frame, through a scheduler in this process: every third answer to a submission is lost (and half of these
submissions, too), queries fail, jobs die, frames give nothing sensible. After a third and two thirds of the way
`ald run` is killed. In the end each frame is accepted or quarantined, and no job has worked twice. Prints the CPU time
of `ald` for each job, without that of the jobs, its memory, and how long a run takes to find that all is done. Then:
what a look at 100 open jobs costs while few and while many others are finished.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from fake_world import Chance, World, task
from many_jobs import Killed, Sim, frame

from ald_core import jobs
from ald_core.journal import Journal, read_journal
from ald_core.roles import Scheduler
from ald_core.types import JobStatus, Resources


def life(world: World, tasks, seed, deadline: int):
    """One `ald run`: the scheduler, the results, and what it cost."""
    sim = Sim(world=world, dice=random.Random(seed), deadline=deadline)
    begun, wall = time.process_time(), time.perf_counter()
    results = None
    try:
        with Journal.open(world.study) as journal:
            runner = jobs.JobRunner(
                world.study, "0a1b", journal, sim, {"label": Resources()}, poll=0.0
            )
            results = runner.run(1, tasks)
    except Killed:
        pass
    cost = time.process_time() - begun - sim.spent
    print(
        f"  {'killed' if results is None else 'ended'}: {sim.ended} jobs, {cost:.1f} s of CPU, "
        f"{1e3 * cost / max(sim.ended, 1):.2f} ms/job, {time.perf_counter() - wall:.1f} s, "
        f"{psutil.Process().memory_info().rss / 1e6:.0f} MB",
        flush=True,
    )
    return cost, sim, results


def main(frames: int = 10_000, seed: int = 1) -> None:
    jobs.PAUSE_PER_QUERY = 0.0
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name) / "study", Chance())
        tasks = [frame(i) for i in range(frames)]
        print(f"{frames} frames, {psutil.Process().memory_info().rss / 1e6:.0f} MB before")
        total = 0.0
        for part in (1, 2):
            total += life(world, tasks, f"{seed} {part}", frames // 3)[0]
        cost, _, results = life(world, tasks, f"{seed} 3", 10**9)
        total += cost
        _, sim, again = life(world, tasks, f"{seed} 4", 10**9)
        assert sim.looks == 0, "there was something left to do"
        assert [str(r) for r in again] == [str(r) for r in results]
        kinds = Counter(r["type"] for r in read_journal(world.study))
        assert len(world.executed) == len(set(world.executed)), "a job worked twice"
        assert kinds["ACCEPTED"] + kinds["QUARANTINED"] == frames, kinds
        assert kinds["QUARANTINED"] == len(range(0, frames, 97)), kinds
        print(f"{1e3 * total / kinds['INTENT']:.2f} ms of CPU per job; {dict(kinds)}", flush=True)
        look(world, tasks, frames)


class Waiting(Scheduler):
    """Has all jobs, which wait, for so many queries."""

    name = "waiting"
    patience = 0.0

    def __init__(self, queries):
        self.queries = queries
        self.names = []
        self.times = []

    def submit(self, job):
        self.names.append(job.name)
        return job.name

    def find(self, prefix):  # noqa: ARG002
        self.times.append(time.process_time())
        if len(self.times) > self.queries:
            raise Killed
        return {name: [JobStatus(name, "waiting")] for name in self.names}

    def cancel(self, ids):
        """Not asked for."""


def look(world, tasks, frames, queries=50) -> None:
    """The cost of a look at 100 waiting jobs, with no others and with those of all frames finished."""
    more = [task(f"one more {i}") for i in range(100)]
    empty = World(world.study.with_name("empty"), Chance())
    for place, known, others in ((empty, [], 0), (world, tasks, frames)):
        scheduler = Waiting(queries)
        with suppress(Killed), Journal.open(place.study) as journal:
            resources = {"label": Resources()}
            runner = jobs.JobRunner(place.study, "0a1b", journal, scheduler, resources, poll=0.0)
            runner.run(1, [*known, *more])
        cost = (scheduler.times[-1] - scheduler.times[-queries // 2]) / (queries // 2)
        print(f"a look at 100 jobs with {others} finished ones: {1e3 * cost:.1f} ms of CPU")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
