"""Jobs that die, and what the scheduler says of it: who is to blame, and what the next job gets."""

import pytest
from fake_jobs import FakeScheduler, World, command_task, done, execute, killing

from ald_core.errors import InputError
from ald_core.ledger import RETRIES
from ald_core.types import Failure, JobStatus, Resources, Role


def test_a_job_that_began_and_vanished_is_lost_and_done_again(world: World) -> None:
    tasks = world.tasks(3)
    assert world.run(FakeScheduler(actions=["killed"] * 3), tasks) == done(tasks)
    assert len(world.records("LOST")) == 3
    world.check(tasks)


def test_finished_tasks_of_a_killed_pack_count(world: World) -> None:
    tasks = [
        world.task("a"),
        command_task("b", "kill -9 $(ps -o ppid= -p $PPID) $PPID; sleep 1"),
        world.task("c"),
    ]

    class Once(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            for job, _ in self.queue:
                execute(job)
            self.queue.clear()
            return {}

    results = world.run(Once(), tasks, {"label": Resources(tasks_per_job=3)})
    assert results == ["a done", Failure("the job began and vanished", "infrastructure"), "c done"]
    assert world.executed() == {"a": 1, "c": 1}
    lost = world.records("LOST")
    assert [r["tasks"] for r in lost] == [[tasks[1].identity]] * 6
    assert [r["unstarted"] for r in lost] == [[tasks[2].identity]] * 6


def test_a_killed_program_is_not_believed(world: World) -> None:
    (result,) = world.run(FakeScheduler(), [command_task("t", "echo 1 >a; kill -9 $$", "a")])
    assert result == Failure("the program was killed (signal 9)", "infrastructure")
    assert len(world.records("REJECTED")) == 6


@pytest.mark.parametrize("listed", [True, False])
def test_a_job_that_wanted_time_or_memory_gets_more(world: World, listed: bool) -> None:
    asked = Resources(time="01:00:00", memory="1000", max_memory="2000")
    scheduler = killing("timeout", "out_of_memory", "out_of_memory", "timeout", listed=listed)
    task = world.task("t")
    assert world.run(scheduler, [task], {"label": asked}) == ["t done"]
    assert [r["kind"] for r in world.records("LOST")] == ["time", "memory", "memory", "time"]
    seen = [
        (scheduler.jobs[n].resources.time, scheduler.jobs[n].resources.memory)
        for n in scheduler.submitted
    ]
    times = ["01:00:00", "01:30:00", "01:30:00", "01:30:00", "02:15:00"]
    assert seen == list(zip(times, ["1000M", "1000M", "1500M", "2000M", "2000M"], strict=True))
    world.check([task])


def test_a_task_that_never_has_time_enough_is_given_up(world: World) -> None:
    (result,) = world.run(
        killing(*["timeout"] * 9), [world.task("t")], {"label": Resources(time="5")}
    )
    assert isinstance(result, Failure)
    assert result.kind == "time"
    assert len(world.records("LOST")) == RETRIES["time"] + 1


def test_a_killed_program_waits_for_the_word_of_the_scheduler(world: World) -> None:
    class Slow(FakeScheduler):
        """The job is over when it is asked for the third time; then it is known that memory was short."""

        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            self.queries += 1
            if self.queue:
                execute(self.queue.pop()[0])
                self.queries = 1
            state = [JobStatus("0", "running")] if self.queries < 3 else []
            return dict.fromkeys(
                self.submitted, state or [JobStatus("0", "gone", "", "out_of_memory")]
            )

    task = command_task("t", "kill -9 $$")
    (result,) = world.run(Slow(), [task], {"label": Resources(memory="1GB")})
    assert result == Failure("the program was killed (signal 9)", "memory")
    assert len(world.records("REJECTED")) == RETRIES["memory"] + 1


@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_a_job_that_the_user_cancelled_holds_the_step_until_the_next_run(
    world: World, begin: bool, listed: bool
) -> None:
    tasks = world.tasks(3)
    scheduler = killing("cancelled", begin=begin, listed=listed)
    with pytest.raises(InputError, match=r"-1 \(0\) was cancelled, and not by this run; `ald run`"):
        world.run(scheduler, tasks)
    assert len(world.records("CANCELLED")) == 1
    assert world.run(scheduler, tasks) == done(tasks)
    world.check(tasks)
    assert len(world.records("VOID")) == (not begin)
    assert [r["tasks"] for r in world.records("LOST")] == [[]] * begin
    assert not world.records("REJECTED", "QUARANTINED", "GIVEN_UP")


def test_programs_killed_in_a_cancelled_job_are_no_failures(world: World) -> None:
    class Cancelled(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            for job, _ in self.queue:
                execute(job)
                (job.folder / "job.exit").unlink()
            self.queue.clear()
            return {n: [JobStatus("1", "gone", "CANCELLED", "cancelled")] for n in self.submitted}

    tasks = [command_task("killed", "kill -15 $$"), world.task("good")]
    packed: dict[Role, Resources] = {"label": Resources(tasks_per_job=2)}
    scheduler = Cancelled()
    for _ in range(8):
        with pytest.raises(InputError, match="was cancelled"):
            world.run(scheduler, tasks, packed)
    assert not world.records("REJECTED")
    assert world.executed() == {"good": 1}
