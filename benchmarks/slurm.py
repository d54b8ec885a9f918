"""What many small jobs through a private Slurm cost: `python benchmarks/slurm.py [JOBS]`.

CPU time of this process per job (its own, and that of the commands of Slurm), time per submission, and time of a query.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from slurm_cluster import SlurmCluster  # type: ignore[import-not-found]

from ald_core.jobs import JobRunner
from ald_core.journal import Journal
from ald_core.types import Job, JobSpec, JobStatus, Resources, Task
from ald_slurm.scheduler import SlurmScheduler


def task(number: int) -> Task[str]:
    """The smallest label."""
    return Task(
        "label",
        f"frame {number}",
        f"identity of {number}",
        lambda workdir, rung: JobSpec(("true",), ("stdout",)),
        lambda workdir: "done",
    )


class Timed(SlurmScheduler):
    """Keeps the time that Slurm took."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.submissions: list[float] = []
        self.queries: list[float] = []

    def submit(self, job: Job) -> str:
        begun = time.perf_counter()
        answer = super().submit(job)
        self.submissions.append(time.perf_counter() - begun)
        return answer

    def find(self, prefix: str) -> dict[str, list[JobStatus]]:
        begun = time.perf_counter()
        answer = super().find(prefix)
        self.queries.append(time.perf_counter() - begun)
        return answer


def main(jobs: int) -> None:
    with SlurmCluster(nodes=4, cpus=64) as slurm, tempfile.TemporaryDirectory() as folder:
        os.environ.update(slurm.environment)
        scheduler = Timed(submit_rate=1000.0, poll=2.0, patience=5.0, query_timeout=60.0)
        study = Path(folder)
        with Journal.open(study) as journal:
            runner = JobRunner(study, "0b1e2c3d", journal, scheduler, {"label": Resources()})
            before, begun, own = (
                resource.getrusage(resource.RUSAGE_CHILDREN),
                time.time(),
                time.process_time(),
            )
            assert runner.run(1, [task(i) for i in range(jobs)]) == ["done"] * jobs
            own, wall = time.process_time() - own, time.time() - begun
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        children = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    submit, query = scheduler.submissions, scheduler.queries
    print(f"{jobs} jobs in {wall:.1f} s")
    print(
        f"CPU of ald: {1e3 * own / jobs:.2f} ms/job; of sbatch and squeue: {1e3 * children / jobs:.2f} ms/job"
    )
    print(
        f"sbatch: {1e3 * sum(submit) / len(submit):.1f} ms each, {len(submit) / sum(submit):.0f}/s"
    )
    mean, longest = 1e3 * sum(query) / len(query), 1e3 * max(query)
    print(f"squeue: {len(query)} queries, {mean:.0f} ms each, {longest:.0f} ms the longest")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 500)
