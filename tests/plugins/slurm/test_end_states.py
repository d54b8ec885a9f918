"""Each way in which Slurm ends a job, with each set of files that the job can leave: files outrank words."""

import pytest
from fake_jobs import FakeScheduler, Untouchable, World, execute

from ald_core.errors import InputError
from ald_core.types import Resources
from ald_slurm import words

LEFT = ("everything", "one of two tasks", "its claim")
"""What a job has reported when it ends"""
PACK = {"label": Resources(tasks_per_job=2, time="10", memory="100MB")}


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    """A fresh study; the words are Slurm's, the scheduler is not."""
    monkeypatch.setattr("ald_core.jobs.PAUSE_PER_QUERY", 0.0)
    return World(tmp_path / "study", tmp_path / "executions")


def scheduler_that_ends_jobs(state: str, left: str) -> FakeScheduler:
    """Its first job ends so; the others work."""

    class Ending(FakeScheduler):
        def find(self, prefix):
            if not self.queue:
                return {self.submitted[0]: [words.status("7", state, "None", "n1")]}
            job, _ = self.queue.pop()
            assert execute(job) == 0
            if job.name == self.submitted[0]:
                if left != "everything":
                    (job.folder / "job.exit").unlink()
                    spoilt = sorted(job.folder.glob("*/task.exit"))
                    for path in spoilt[1:] if left == "one of two tasks" else spoilt:
                        path.unlink()
                return {job.name: [words.status("7", state, "None", "n1")]}
            return {}

    return Ending()


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("state", sorted(words.GONE))
def test_what_an_end_means(world: World, state: str, left: str) -> None:
    tasks = world.tasks(2)
    scheduler = scheduler_that_ends_jobs(state, left)
    redone = {"everything": 0, "one of two tasks": 1, "its claim": 2}[left]
    if state == "CANCELLED" and redone:
        with pytest.raises(InputError, match="was cancelled, and not by this run"):
            world.run(scheduler, tasks, PACK)
    assert world.run(scheduler, tasks, PACK) == ["frame 0 done", "frame 1 done"]
    executed = world.executed()
    assert sum(executed.values()) == 2 + redone
    lost = world.records("LOST")
    assert len(lost) == bool(redone)
    if redone and state != "CANCELLED":
        kinds = {"TIMEOUT": "time", "DEADLINE": "time", "OUT_OF_MEMORY": "memory"}
        assert lost[0]["kind"] == kinds.get(state, "infrastructure")
    assert not world.records("REJECTED", "QUARANTINED", "VOID")
    assert world.run(Untouchable(), tasks, PACK) == ["frame 0 done", "frame 1 done"]


@pytest.mark.parametrize("outages", [1, 4, 200])
def test_queries_without_an_answer_however_many(world: World, outages: int) -> None:
    tasks = world.tasks(2)
    assert world.run(FakeScheduler(outages=outages), tasks) == ["frame 0 done", "frame 1 done"]
    world.check(tasks)
    assert world.notes().count("does not answer") == 1
