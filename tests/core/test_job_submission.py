"""How tasks become jobs, and what a scheduler may answer: room, no room, no."""

from pathlib import Path

import attrs
import pytest
from fake_jobs import FakeScheduler, Untouchable, World, done, killing

from ald_core.errors import InputError, Stopped, SubmitRefused
from ald_core.jobs import JobRunner
from ald_core.journal import Journal
from ald_core.types import Failure, Job, JobSpec, JobStatus, Resources, Task


def test_tasks_are_packed_by_role_and_fail_alone(world: World) -> None:
    failure = Failure("bad", "input")
    tasks = [world.task(f"l{i}", fail={0: failure} if i == 1 else None) for i in range(5)]
    tasks[2:2] = [world.task("m", "md")]
    scheduler = FakeScheduler()
    results = world.run(scheduler, tasks, {"label": Resources(tasks_per_job=3, cores=2)})
    assert results == ["l0 done", failure, "m done", "l2 done", "l3 done", "l4 done"]
    packs = [[a["name"] for a in r["attempts"]] for r in world.records("INTENT")]
    assert sorted(packs) == [["l0", "l1", "l2"], ["l3", "l4"], ["m"]]
    assert len({name.rpartition("-")[0] for name in scheduler.submitted}) == 3


def test_tasks_that_need_the_same_share_a_job(world: World) -> None:
    big = Resources(nodes=4)
    tasks = [attrs.evolve(world.task(f"{i}"), resources=big if i % 2 else None) for i in range(6)]
    scheduler = killing()
    assert world.run(scheduler, tasks, {"label": Resources(tasks_per_job=9)}) == done(tasks)
    # The others are packed; those with resources of their own follow these, which put one into each job.
    packs = [[a["name"] for a in r["attempts"]] for r in world.records("INTENT")]
    assert sorted(packs) == [["0", "2", "4"], ["1"], ["3"], ["5"]]
    asked = [scheduler.jobs[n].resources.nodes for n in scheduler.submitted]
    assert sorted(asked) == [1, 4, 4, 4]


def test_commands_may_name_the_folder_of_the_task(world: World) -> None:
    def prepare(workdir: Path, rung: int) -> JobSpec:
        (workdir / "input").write_text("here")
        return JobSpec(("cat", str(workdir / "input")), ("stdout",), {"X": f"{workdir}/y"})

    task: Task[str] = Task(
        "label", "t", "t", prepare, lambda workdir: (workdir / "stdout").read_text()
    )
    assert world.run(FakeScheduler(), [task]) == ["here"]


def test_room_is_waited_for(world: World) -> None:
    tasks = world.tasks(3)
    scheduler = FakeScheduler(actions=["ok", "busy", "busy", "busy", "ok", "busy"])
    assert world.run(scheduler, tasks) == done(tasks)
    world.check(tasks)
    assert len(set(scheduler.submitted)) == 3
    assert len(world.records("INTENT")) == len(world.records("SUBMITTED")) == 3
    assert "QOSMaxSubmitJobPerUserLimit" in world.notes()


def test_a_refusal_is_told_in_the_words_of_the_scheduler(world: World) -> None:
    tasks = world.tasks(3)
    with pytest.raises(InputError, match="Invalid account or account/partition"):
        world.run(FakeScheduler(actions=["ok", "refuse"]), tasks)
    assert world.run(FakeScheduler(), tasks) == done(tasks)
    world.check(tasks)


def test_a_refusal_of_many_lines_is_recorded_as_one(world: World) -> None:
    class Talkative(FakeScheduler):
        def submit(self, job: Job) -> str:
            raise SubmitRefused("error: Batch job submission failed:\n\n  Invalid qos" + " x" * 999)

    with pytest.raises(InputError):
        world.run(Talkative(), world.tasks(1))
    (record,) = world.records("VOID")
    assert record["reason"].startswith("error: Batch job submission failed: Invalid qos x x")
    assert len(record["reason"]) == 300


def test_a_failed_preparation_leaves_nothing_behind(world: World) -> None:
    def prepare(workdir: Path, rung: int) -> JobSpec:
        (workdir / "half").touch()
        raise InputError("no pseudopotential for Xx")

    task: Task[str] = Task("label", "t", "t", prepare, lambda workdir: "done")
    with pytest.raises(InputError, match="pseudopotential"):
        world.run(Untouchable(), [task])
    assert list((world.study / "ALC-1" / "jobs").iterdir()) == []


def test_a_folder_published_before_its_intent_is_adopted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dead(BaseException):
        pass

    def die(*_: object) -> None:
        raise Dead

    tasks = world.tasks(1)
    with monkeypatch.context() as patch:
        patch.setattr("ald_core.jobs.intent", die)
        with pytest.raises(Dead):
            world.run(FakeScheduler(), tasks)
    (folder,) = world.study.glob("ALC-1/jobs/*")
    inode = (folder / "job.sh").stat().st_ino
    assert world.run(FakeScheduler(), tasks) == done(tasks)
    assert (folder / "job.sh").stat().st_ino == inode
    world.check(tasks)


def test_a_folder_made_for_other_resources_is_not_adopted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its script does what was asked for then."""

    def die(*_: object) -> None:
        raise Stopped("dead")

    tasks = world.tasks(1)
    with monkeypatch.context() as patch:
        patch.setattr("ald_core.jobs.intent", die)
        with pytest.raises(Stopped):
            world.run(FakeScheduler(), tasks, {"label": Resources(setup=("false",))})
    scheduler = FakeScheduler()
    assert world.run(scheduler, tasks, {"label": Resources(setup=("true",))}) == done(tasks)
    assert [name.rpartition("-")[2] for name in scheduler.submitted] == ["2"]
    world.check(tasks)


def test_a_scheduler_that_does_not_say_is_asked_less_and_less_often_while_nothing_happens(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if self.queries < 20:
                self.queries += 1
                return {name: [JobStatus("1", "running")] for name in self.submitted}
            return super().find(prefix)

    pauses: list[float] = []
    monkeypatch.setattr(
        "ald_core.interruption.StopRequest.wait", lambda _, seconds: pauses.append(seconds)
    )
    with Journal.open(world.study) as journal:
        runner = JobRunner(world.study, "0a1b", journal, Slow(), {})
        tasks = world.tasks(2)
        assert runner.run(1, tasks[:1]) == done(tasks[:1])
        waits = [p for p in pauses if p]
        assert waits[:4] == [1.0, 1.5, 2.25, 3.375]
        assert waits == sorted(waits)
        assert waits[-1] == 60.0
        pauses.clear()
        runner.run(1, tasks)
        assert pauses[0] == 1.0


def test_a_job_is_told_what_it_must_not_get(world: World) -> None:
    class Curious(FakeScheduler):
        def submit(self, job: Job) -> str:
            assert job.withhold == {"MAIL_PASSWORD"}
            return super().submit(job)

    tasks = world.tasks(1)
    with Journal.open(world.study) as journal:
        runner = JobRunner(
            world.study, "0a1b", journal, Curious(), {}, poll=0.001, secrets=["MAIL_PASSWORD"]
        )
        assert runner.run(1, tasks) == done(tasks)


def test_what_waits_for_ever_is_told_once_for_each_reason(world: World) -> None:
    class Held(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if self.queries < 9:
                self.queries += 1
                detail = "PENDING (JobHeldUser)" if self.queries < 5 else "PENDING (Priority)"
                status = JobStatus("3", "waiting", detail, stuck=self.queries < 5)
                return {name: [status] for name in self.submitted}
            return super().find(prefix)

    tasks = world.tasks(4)
    assert world.run(Held(), tasks) == done(tasks)
    assert world.notes().count("may do so for ever: PENDING (JobHeldUser)") == 1
    assert "Priority" not in world.notes()


def test_only_nodes_on_which_jobs_died_twice_are_avoided(world: World) -> None:
    tasks = world.tasks(5)
    scheduler = killing("node_fail", "preempted", "timeout", "node_fail", "timeout")
    assert world.run(scheduler, tasks) == done(tasks)
    assert [r["node"] for r in world.records("LOST")] == ["n0", "n0", "n0", "n1", "n1"]
    kinds = [r["kind"] for r in world.records("LOST")]
    assert kinds == ["infrastructure", "infrastructure", "time", "infrastructure", "time"]
    avoided = {scheduler.jobs[name].avoid for name in scheduler.submitted}
    assert avoided == {(), ("n0",)}
