"""Runs that are stopped, overtaken or short of disk, and those that go on with what they left."""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from fake_jobs import FakeScheduler, Untouchable, World, done, execute

from ald_core import durable
from ald_core.errors import InputError, Stopped, SubmitRefused
from ald_core.jobs import JobRunner
from ald_core.journal import Journal
from ald_core.types import Failure, Job, JobStatus, Resources, Role


def test_accepted_files_that_were_changed_are_refused(world: World) -> None:
    tasks = world.tasks(2)
    world.run(FakeScheduler(), tasks)
    (output,) = world.study.glob("ALC-1/jobs/*/000-frame_1/output")
    good = output.read_bytes()
    output.write_text("frame 1 dune\n")
    with pytest.raises(InputError, match=r"output: was changed after"):
        world.run(Untouchable(), tasks)
    output.unlink()
    with pytest.raises(InputError, match=r"output: is missing, though"):
        world.run(Untouchable(), tasks)
    output.write_bytes(good)
    assert world.run(Untouchable(), tasks) == done(tasks)
    shutil.rmtree(output.parent.parent)
    assert world.run(FakeScheduler(), tasks) == done(tasks)
    assert world.executed() == {"frame 0": 1, "frame 1": 2}
    assert "was deleted" in world.notes()
    assert world.run(Untouchable(), tasks) == done(tasks)


def test_an_accepted_result_that_is_rejected_now_is_never_dropped_silently(world: World) -> None:
    world.run(FakeScheduler(), [world.task("t")])
    with pytest.raises(InputError, match="was accepted and is rejected now"):
        world.run(Untouchable(), [world.task("t", fail={0: Failure("stricter")})])


def test_a_moved_study_goes_on(world: World) -> None:
    tasks = world.tasks(2)
    world.run(FakeScheduler(), tasks)
    world.study = world.study.rename(world.study.with_name("moved"))
    assert world.run(Untouchable(), tasks) == done(tasks)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_leaves_the_jobs_and_the_next_run_goes_on(
    world: World, number: signal.Signals
) -> None:
    class Interrupting(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if self.queries == 2:
                os.kill(os.getpid(), number)
            return super().find(prefix)

    tasks = world.tasks(5)
    before = signal.getsignal(number)
    scheduler = Interrupting()
    with pytest.raises(Stopped, match="jobs that run go on"):
        world.run(scheduler, tasks)
    assert signal.getsignal(number) is before
    assert 1 <= len(world.records("ACCEPTED")) < 5
    assert scheduler.queue
    assert world.run(scheduler, tasks) == done(tasks)
    world.check(tasks)
    assert len(set(scheduler.submitted)) == len(scheduler.submitted) == 5


def test_a_request_during_the_last_step_is_not_forgotten(world: World) -> None:
    (task,) = world.tasks(1)

    def collect(workdir: Path) -> str | Failure:
        os.kill(os.getpid(), signal.SIGTERM)
        return task.collect(workdir)

    with pytest.raises(Stopped):
        world.run(FakeScheduler(), [attrs.evolve(task, collect=collect)])
    assert world.run(Untouchable(), [task]) == done([task])


def test_a_second_request_stops_at_once(world: World) -> None:
    class Interrupting(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        world.run(Interrupting(), world.tasks(1))
    assert world.run(FakeScheduler(), world.tasks(1)) == ["frame 0 done"]


def test_a_superseded_run_submits_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    monkeypatch.setattr("ald_core.lock.Holder.is_alive", lambda _: False)
    with Journal.open(world.study) as old:
        runner = JobRunner(world.study, "0a1b", old, Untouchable(), {}, poll=0.001)
        with Journal.open(world.study), pytest.raises(Stopped, match="taken over"):
            runner.run(1, world.tasks(1))


def test_a_run_that_is_superseded_while_it_waits_for_room_submits_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Overtaken(FakeScheduler):
        def submit(self, job: Job) -> str:
            with pytest.raises(SubmitRefused):
                super().submit(job)
            Journal.open(world.study).close()
            raise SubmitRefused("queue full", retry_later=True)

    monkeypatch.setattr("fcntl.flock", lambda *_: None)
    monkeypatch.setattr("ald_core.lock.Holder.is_alive", lambda _: False)
    scheduler = Overtaken(actions=["busy"] * 9)
    with pytest.raises(Stopped, match="taken over"):
        world.run(scheduler, world.tasks(1))
    assert len(scheduler.submitted) == 1


def test_a_disk_that_fills_up_stops_the_run_and_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = world.tasks(3)
    append = durable.append
    count = 0

    def full(stream: Any, data: bytes) -> None:
        nonlocal count
        count += 1
        if count == 6:
            raise Stopped("No space left on device")
        append(stream, data)

    scheduler = FakeScheduler()
    with monkeypatch.context() as patch:
        patch.setattr(durable, "append", full)
        with pytest.raises(Stopped, match="No space"):
            world.run(scheduler, tasks)
    assert world.run(scheduler, tasks) == done(tasks)
    world.check(tasks)


def test_what_is_finished_in_a_cancelled_job_is_collected_by_the_next_run(world: World) -> None:
    """The job has come to its end, or to its second task, since somebody last looked."""

    class Stopping(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            os.kill(os.getpid(), signal.SIGTERM)
            return {name: [JobStatus("1", "running")] for name in self.submitted}

        def cancel(self, ids: Sequence[str]) -> None:
            assert ids == ["1", "1"]

    tasks = world.tasks(4)
    packed: dict[Role, Resources] = {"label": Resources(tasks_per_job=2)}
    scheduler = Stopping()
    with pytest.raises(Stopped):
        world.run(scheduler, tasks, packed)
    for job, _ in scheduler.queue:
        assert execute(job) == 0
    second = scheduler.queue[1][0].folder
    (second / "job.exit").unlink()
    (second / "001-frame_3" / "task.exit").unlink()
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with Journal.open(world.study) as journal:
        JobRunner(world.study, "0a1b", journal, scheduler, {}).cancel("cancelled")
    signal.signal(signal.SIGTERM, before)
    assert [r["unstarted"] for r in world.records("LOST")] == [[tasks[3].identity]]
    again = FakeScheduler()
    assert world.run(again, tasks, packed) == done(tasks)
    assert len(again.submitted) == 1
    assert world.executed() == {"frame 0": 1, "frame 1": 1, "frame 2": 1, "frame 3": 2}
    assert not world.records("REJECTED", "QUARANTINED")
