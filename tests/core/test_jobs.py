import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from ald_core import durable
from ald_core.errors import (
    FuseBlown,
    InputError,
    SchedulerUnavailable,
    Stopped,
    SubmitRefused,
    SubmitUncertain,
)
from ald_core.events import Event, Note, TasksChanged
from ald_core.jobs import JobRunner
from ald_core.journal import Journal, read_journal
from ald_core.ledger import RETRIES
from ald_core.roles import Scheduler
from ald_core.types import (
    Ending,
    Failure,
    FailureKind,
    Job,
    JobSpec,
    JobStatus,
    Resources,
    Role,
    Task,
)

Actions = Sequence[str]


@attrs.define(slots=False)
class FakeScheduler(Scheduler):
    """Does to each submission what its script says, and runs one queued job, in any order, per query.

    lost: no answer, nothing queued; lost-ran: no answer, but queued; vanish: an id, but never queued; busy, refuse: an
    explicit no; twice: the job runs twice; killed: it takes the claim and dies; late: it is not found and runs when
    `run_late` is called.
    """

    name: ClassVar[str] = "fake"
    patience: ClassVar[float] = 0.0

    actions: Actions = ()
    seed: int = 0
    outages: int = 0
    submitted: list[str] = attrs.field(factory=list)
    queue: list[tuple[Job, str]] = attrs.field(factory=list)
    late: list[Job] = attrs.field(factory=list)
    queries: int = 0

    def submit(self, job: Job) -> str:
        number = len(self.submitted)
        action = self.actions[number] if number < len(self.actions) else "ok"
        self.submitted.append(job.name)
        if action == "refuse":
            raise SubmitRefused("Invalid account or account/partition combination specified")
        if action == "busy":
            raise SubmitRefused("QOSMaxSubmitJobPerUserLimit", retry_later=True)
        if action == "late":
            self.late.append(job)
        elif action not in {"lost", "vanish"}:
            self.queue.append((job, action))
        if action.startswith("lost"):
            raise SubmitUncertain("timed out")
        return str(number)

    def find(self, prefix: str) -> dict[str, list[JobStatus]]:
        self.queries += 1
        if self.outages:
            self.outages -= 1
            raise SchedulerUnavailable("connection refused")
        answer = {job.name: [JobStatus("1", "running")] for job, _ in self.queue}
        if self.queue:
            rng = random.Random(f"{self.seed} {self.queries}")
            job, action = self.queue.pop(rng.randrange(len(self.queue)))
            if action == "killed":
                (job.folder / "claim").write_text("claim.x host 1\n")
            else:
                assert execute(job) == 0
            if action == "twice":
                assert execute(job) == 76
        return {name: states for name, states in answer.items() if name.startswith(prefix)}

    def cancel(self, ids: Sequence[str]) -> None:
        raise AssertionError

    def run_late(self) -> list[int]:
        """Exit statuses of the scripts of the jobs that come to light after all."""
        return [execute(job) for job in self.late]


class Untouchable(Scheduler):
    """Fails if it is asked anything."""

    name: ClassVar[str] = "untouchable"

    def submit(self, job: Job) -> str:
        raise AssertionError(job.name)

    def find(self, prefix: str) -> dict[str, list[JobStatus]]:
        raise AssertionError(prefix)

    def cancel(self, ids: Sequence[str]) -> None:
        raise AssertionError(ids)


def execute(job: Job) -> int:
    log = job.folder / "job.out"
    with log.open("ab") as stream:
        return subprocess.run(
            ["sh", str(job.script)], stdout=stream, stderr=stream, check=False
        ).returncode


@attrs.define
class World:
    """A study, a ledger of executions outside it, and what the runner told."""

    study: Path
    executions: Path
    events: list[Event] = attrs.field(factory=list)

    def task(
        self, name: str, role: Role = "label", fail: Mapping[int, Failure] | None = None
    ) -> Task[str]:
        """Its result is `<name> done`; at the rungs in `fail` it fails."""

        def prepare(workdir: Path, rung: int) -> JobSpec:
            (workdir / "input").write_text(f"{name} done\n")
            (workdir / "rung").write_text(str(rung))
            text = 'printf "%s %s\\n" "$1" "$PWD" >>"$2"; cp input output'
            return JobSpec(("sh", "-c", text, "sh", name, str(self.executions)), ("output",))

        def collect(workdir: Path) -> str | Failure:
            rung = int((workdir / "rung").read_text())
            return (fail or {}).get(rung) or (workdir / "output").read_text().strip()

        return Task(role, name, f"identity of {name}", prepare, collect)

    def tasks(self, count: int) -> list[Task[str]]:
        return [self.task(f"frame {i}") for i in range(count)]

    def run(
        self,
        scheduler: Scheduler,
        tasks: Sequence[Task[str]],
        resources: Mapping[Role, Resources] | None = None,
    ) -> list[str | Failure]:
        """One `ald run`."""
        with Journal.open(self.study) as journal:
            runner = JobRunner(
                self.study, "0a1b", journal, scheduler, resources or {}, self.events.append, 0.001
            )
            return runner.run(1, tasks)

    def executed(self) -> Counter[str]:
        """How often each task was executed. No attempt ever was twice."""
        lines = self.executions.read_text().splitlines() if self.executions.exists() else []
        assert len(set(lines)) == len(lines), "an attempt was executed twice"
        return Counter(line.split(" /")[0] for line in lines)

    def records(self, *types: str) -> list[dict[str, Any]]:
        return [r for r in read_journal(self.study) if r["type"] in types]

    def check(self, tasks: Sequence[Task[str]], executions: int = 1) -> None:
        """Each task was executed so often, and accepted once."""
        assert self.executed() == {task.name: executions for task in tasks}
        accepted = Counter(r["task"] for r in self.records("ACCEPTED"))
        assert accepted == {task.identity: 1 for task in tasks}

    def notes(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Note))


def done(tasks: Sequence[Task[str]]) -> list[str]:
    return [f"{task.name} done" for task in tasks]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ald_core.jobs.PAUSE_PER_QUERY", 0.0)  # the fake runs jobs in its queries


@pytest.fixture
def world() -> Iterator[World]:
    # In memory where that is possible: hundreds of jobs, each with a dozen fsyncs.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        world = World(folder / "a 'study' $(x)", folder / "executions")
        yield world
        _check_nothing_is_left(world)


def _check_nothing_is_left(world: World) -> None:
    left = [p for p in world.study.rglob("*") if p.name.endswith((".ald-new", ".ald-old", ".new"))]
    assert left == []


# ---------------------------------------------------------------- the normal course


@pytest.mark.parametrize("seed", range(3))
def test_results_come_in_the_order_of_the_tasks(world: World, seed: int) -> None:
    tasks = world.tasks(6)
    assert world.run(FakeScheduler(seed=seed), tasks) == done(tasks)
    world.check(tasks)
    order = [r["name"] for r in world.records("ACCEPTED")]
    assert order != [task.name for task in tasks]
    assert world.run(Untouchable(), tasks[::-1]) == done(tasks[::-1])


def test_records_tell_what_happened_in_order(world: World) -> None:
    world.run(FakeScheduler(), world.tasks(1))
    records = read_journal(world.study)
    assert [r["type"] for r in records] == ["INTENT", "SUBMITTED", "ACCEPTED"]
    name = records[0]["job"]
    assert name.startswith("ald-0a1b-label-")
    assert name.endswith("-1")
    assert records[0]["folder"] == f"ALC-1/jobs/{name}"
    assert records[2]["folder"] == f"ALC-1/jobs/{name}/000-frame_0"
    assert set(records[2]["outputs"]) == {"output"}
    assert len(records[2]["outputs"]["output"]) == 64


def test_the_same_identity_is_done_once(world: World) -> None:
    a, b = world.tasks(2)
    assert world.run(FakeScheduler(), [a, b, a]) == done([a, b, a])
    world.check([a, b])


def test_no_tasks_need_no_scheduler(world: World) -> None:
    assert world.run(Untouchable(), []) == []


def test_tasks_are_packed_by_role_and_fail_alone(world: World) -> None:
    failure = Failure("bad", "input")
    tasks = [world.task(f"l{i}", fail={0: failure} if i == 1 else None) for i in range(5)]
    tasks[2:2] = [world.task("m", "md")]
    scheduler = FakeScheduler()
    results = world.run(scheduler, tasks, {"label": Resources(tasks_per_job=3, cores=2)})
    assert results == ["l0 done", failure, "m done", "l2 done", "l3 done", "l4 done"]
    packs = [[a["name"] for a in r["attempts"]] for r in world.records("INTENT")]
    assert packs == [["l0", "l1", "l2"], ["l3", "l4"], ["m"]]
    assert len({name.rpartition("-")[0] for name in scheduler.submitted}) == 3


def test_progress_is_told(world: World) -> None:
    tasks = [world.task(f"{i}", fail={0: Failure("x", "input")} if not i else {}) for i in range(4)]
    world.run(FakeScheduler(), tasks)
    told = [event for event in world.events if isinstance(event, TasksChanged)]
    assert {(e.cycle, e.step) for e in told} == {(1, "label")}
    assert all(e.waiting + e.running + e.done + e.failed == 4 for e in told)
    assert (told[-1].waiting, told[-1].running, told[-1].done, told[-1].failed) == (0, 0, 3, 1)
    assert all(e.seconds_left is None or e.seconds_left >= 0 for e in told)
    assert len(told) == len(set(told))


# ---------------------------------------------------------------- a scheduler that loses things


def test_lost_answers(world: World) -> None:
    tasks = world.tasks(8)
    scheduler = FakeScheduler(actions=["lost", "lost-ran", "ok"] * 3)
    assert world.run(scheduler, tasks) == done(tasks)
    world.check(tasks)
    void = {r["job"] for r in world.records("VOID")}
    assert len(void) == 3
    assert len(scheduler.submitted) == 8 + 3
    assert len(set(scheduler.submitted)) == len(scheduler.submitted)
    assert not world.records("LOST", "REJECTED")


def test_a_failing_query_is_no_information(world: World) -> None:
    tasks = world.tasks(3)
    scheduler = FakeScheduler(outages=25)
    assert world.run(scheduler, tasks) == done(tasks)
    world.check(tasks)
    assert scheduler.queries > 25
    assert scheduler.submitted == sorted(set(scheduler.submitted), key=scheduler.submitted.index)
    assert not world.records("VOID", "LOST")
    assert world.notes().count("does not answer") == 1


def test_a_job_that_comes_to_light_after_its_claim_was_taken_does_nothing(world: World) -> None:
    tasks = world.tasks(3)
    scheduler = FakeScheduler(actions=["late", "vanish"])
    assert world.run(scheduler, tasks) == done(tasks)
    assert len(world.records("VOID")) == 2
    assert scheduler.run_late() == [76]
    world.check(tasks)


def test_a_job_that_runs_twice_works_once(world: World) -> None:
    tasks = world.tasks(3)
    assert world.run(FakeScheduler(actions=["twice"] * 3), tasks) == done(tasks)
    world.check(tasks)


def test_absent_jobs_are_looked_for_again(world: World) -> None:
    class Flickering(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            queue, visible = self.queue, self.queries % 3 == 2
            if not visible:
                self.queries += 1
                return {}
            answer = super().find(prefix)
            del queue
            return answer

    tasks = world.tasks(4)
    assert world.run(Flickering(), tasks) == done(tasks)
    world.check(tasks)
    assert not world.records("VOID", "LOST")


def test_a_job_that_begins_while_its_claim_is_taken_gets_its_time(world: World) -> None:
    class Tardy(FakeScheduler):
        """Its job begins at the third query, ends at the fifth, and is never shown."""

        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            self.queries += 1
            job = self.queue[0][0]
            if self.queries == 3:
                (job.folder / "claim").write_text("claim.x host 1\n")
            if self.queries == 5:
                (job.folder / "claim").unlink()
                assert execute(job) == 0
            return {}

    tasks = world.tasks(1)
    assert world.run(Tardy(), tasks) == done(tasks)
    assert not world.records("VOID", "LOST")
    world.check(tasks)


def test_words_that_are_unknown_are_no_verdict(world: World) -> None:
    class Unknown(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if self.queries < 20:
                self.queries += 1
                return {name: [JobStatus("1", "unknown")] for name in self.submitted}
            return super().find(prefix)

    tasks = world.tasks(2)
    assert world.run(Unknown(actions=["lost-ran"]), tasks) == done(tasks)
    assert not world.records("VOID", "LOST")
    assert len(world.records("SUBMITTED")) == 2  # what was found is adopted


def test_the_result_outranks_the_queue(world: World) -> None:
    class Forever(FakeScheduler):
        """Shows all jobs as running for ever."""

        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            super().find(prefix)
            return {name: [JobStatus("1", "running")] for name in self.submitted}

    tasks = world.tasks(3)
    assert world.run(Forever(), tasks) == done(tasks)
    world.check(tasks)


def test_a_job_whose_folder_was_deleted_is_done_again(world: World) -> None:
    class Deleting(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if len(self.submitted) == 1:
                shutil.rmtree(world.study / "ALC-1" / "jobs" / self.submitted[0])
                self.submitted.append("deleted")
            return super().find(prefix)

    tasks = world.tasks(1)
    assert world.run(Deleting(actions=["vanish"]), tasks) == done(tasks)
    assert "gone" in world.records("LOST")[0]["reason"]
    world.check(tasks)


def test_jobs_that_always_vanish_are_a_fuse(world: World) -> None:
    tasks = world.tasks(1)
    with pytest.raises(FuseBlown, match="frame 0"):
        world.run(FakeScheduler(actions=["vanish"] * 100), tasks)
    assert len(world.records("VOID")) == 21
    assert not world.records("QUARANTINED")
    assert world.run(FakeScheduler(), tasks) == done(tasks)
    world.check(tasks)


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


# ---------------------------------------------------------------- failures and retries


@pytest.mark.parametrize("kind", ["invalid", "resources", "infrastructure"])
def test_identical_retries_are_bounded_and_then_quarantined(
    world: World, kind: FailureKind
) -> None:
    failure = Failure("no good", kind)
    bad, good = world.task("bad", fail={0: failure}), world.task("good")
    assert world.run(FakeScheduler(), [bad, good]) == [failure, "good done"]
    assert world.executed() == {"bad": RETRIES[kind] + 1, "good": 1}
    (record,) = world.records("QUARANTINED")
    assert (record["task"], record["reason"], record["kind"]) == (bad.identity, "no good", kind)
    assert world.run(Untouchable(), [bad, good]) == [failure, "good done"]


def test_a_death_between_the_last_failure_and_the_quarantine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Stopped("dead")

    failure = Failure("no good")
    label = world.task("label", "label", fail={0: failure})
    fit = world.task("fit", "fit", fail={0: failure})
    for task in (label, fit):
        with monkeypatch.context() as patch:
            patch.setattr("ald_core.watch.Run.give_up", die)
            with pytest.raises(Stopped):
                world.run(FakeScheduler(), [task])
    assert world.run(Untouchable(), [label]) == [failure]
    assert len(world.records("QUARANTINED")) == 1
    assert world.run(FakeScheduler(), [attrs.evolve(fit, collect=lambda _: "fit done")]) == [
        "fit done"
    ]


def test_numerical_failures_climb_the_rungs(world: World) -> None:
    failure = Failure("not converged", "numerical")
    third = world.task("third", fail=dict.fromkeys(range(2), failure))
    never = world.task("never", fail=dict.fromkeys(range(9), failure))
    assert world.run(FakeScheduler(), [third, never]) == ["third done", failure]
    assert world.executed() == {"third": 3, "never": 4}
    rungs = [a["rung"] for r in world.records("INTENT") for a in r["attempts"]]
    assert Counter(rungs) == {0: 2, 1: 2, 2: 2, 3: 1}
    folders = [r["folder"] for r in world.records("INTENT")]
    assert len(set(folders)) == len(folders) == 7


def test_infrastructure_failures_do_not_raise_the_rung(world: World) -> None:
    task = world.task("t", fail={0: Failure("not converged", "numerical")})
    assert world.run(FakeScheduler(actions=["killed", "ok", "killed", "vanish"]), [task]) == [
        "t done"
    ]
    rungs = [a["rung"] for r in world.records("INTENT") for a in r["attempts"]]
    assert rungs == [0, 0, 1, 1, 1]
    assert len(world.records("LOST")) == 2


def test_a_job_that_began_and_vanished_is_lost_and_done_again(world: World) -> None:
    tasks = world.tasks(3)
    assert world.run(FakeScheduler(actions=["killed"] * 3), tasks) == done(tasks)
    assert len(world.records("LOST")) == 3
    world.check(tasks)


def test_a_task_whose_jobs_always_die_is_given_up(world: World) -> None:
    (task,) = world.tasks(1)
    (result,) = world.run(FakeScheduler(actions=["killed"] * 99), [task])
    assert isinstance(result, Failure)
    assert result.kind == "infrastructure"
    assert len(world.records("LOST")) == 6
    assert world.run(Untouchable(), [task]) == [result]


def test_what_is_not_a_label_is_tried_again_by_the_next_run(world: World) -> None:
    failure = Failure("no licence", "input")
    bad, good = world.task("fit", "fit", fail={0: failure}), world.task("fit", "fit")
    assert world.run(FakeScheduler(), [bad]) == [failure]
    assert world.run(FakeScheduler(), [bad]) == [failure]
    assert world.run(FakeScheduler(), [good]) == ["fit done"]


def test_a_label_that_fails_for_want_of_something_is_tried_again_by_the_next_run(
    world: World,
) -> None:
    bad, good = world.task("a", fail={0: Failure("no licence", "input")}), world.tasks(3)
    assert world.run(FakeScheduler(), [*good, bad])[-1] == Failure("no licence", "input")
    assert not world.records("QUARANTINED")
    assert world.run(FakeScheduler(), [*good, world.task("a")])[-1] == "a done"
    assert world.executed() == {"a": 2} | {task.name: 1 for task in good}


def test_labels_that_all_fail_for_want_of_something_stop_the_stage(world: World) -> None:
    tasks = [world.task(f"frame {i}", fail={0: Failure("no\nlicence", "input")}) for i in range(9)]

    class OneByOne(FakeScheduler):
        def submit(self, job: Job) -> str:
            if self.queue:
                raise SubmitRefused("one at a time", retry_later=True)
            return super().submit(job)

    for _ in range(2):  # the second one tries again, too
        scheduler = OneByOne()
        with pytest.raises(InputError, match=r"label 'frame 2' failed: no licence; see ALC-1/jobs"):
            world.run(scheduler, tasks)
        assert 3 <= len(set(scheduler.submitted)) <= 4
    with pytest.raises(InputError, match="label 'frame 8' failed"):
        world.run(OneByOne(), tasks[8:])  # there is no other
    assert world.run(FakeScheduler(), world.tasks(9)) == done(tasks)


def test_labels_that_failed_in_the_jobs_of_an_earlier_run_say_nothing_of_this_one(
    world: World,
) -> None:
    class Busy(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            os.kill(os.getpid(), signal.SIGTERM)
            return {name: [JobStatus("1", "running")] for name in self.submitted}

    bad = [world.task(f"frame {i}", fail={0: Failure("no licence", "input")}) for i in range(5)]
    busy = Busy()
    with pytest.raises(Stopped):
        world.run(busy, bad)
    for job, _ in busy.queue:
        execute(job)

    def put_right(task: Task[str]) -> Task[str]:
        def collect(workdir: Path) -> str | Failure:
            early = workdir.parent.name in busy.submitted
            return Failure("no licence", "input") if early else f"{task.name} done"

        return attrs.evolve(task, collect=collect)

    assert world.run(FakeScheduler(), [put_right(task) for task in bad]) == done(bad)


def test_a_released_task_gets_all_its_attempts_again(world: World) -> None:
    failure = Failure("not converged", "numerical")
    bad, worse = (
        world.task(name, fail=dict.fromkeys(range(9), failure)) for name in ("bad", "worse")
    )
    good = world.task("good")
    assert world.run(FakeScheduler(), [bad, worse, good]) == [failure, failure, "good done"]
    with Journal.open(world.study) as journal:
        JobRunner(world.study, "0a1b", journal, Untouchable(), {}).release([bad, good])
    assert [r["task"] for r in world.records("RELEASED")] == [bad.identity]
    results = world.run(FakeScheduler(), [world.task("bad"), worse, good])
    assert results == ["bad done", failure, "good done"]
    rungs = [
        a["rung"] for r in world.records("INTENT") for a in r["attempts"] if a["name"] == "bad"
    ]
    assert rungs == [0, 1, 2, 3, 0]


def test_reasons_are_one_line_and_hold_the_last_words_of_the_program(world: World) -> None:
    task = attrs.evolve(
        command_task("t", "echo Fatal: no pseudopotential for Xx >&2; exit 3"),
        collect=lambda _: Failure("answer.json is\n  missing " + "and " * 200, "input"),
    )
    with pytest.raises(InputError, match=r"pseudopotential for Xx; see ALC-1"):
        world.run(FakeScheduler(), [task])
    for record in world.records("REJECTED", "GIVEN_UP"):
        assert record["reason"].startswith("answer.json is missing and and")
        assert record["reason"].endswith("… (exit status 3): Fatal: no pseudopotential for Xx")
        assert len(record["reason"]) == 300
    told = attrs.evolve(
        task, identity="u", collect=lambda _: Failure("Fatal: no pseudopotential for Xx")
    )
    (result,) = world.run(FakeScheduler(), [told])
    assert result == Failure("Fatal: no pseudopotential for Xx (exit status 3)")


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


def command_task(name: str, text: str, *outputs: str) -> Task[str]:
    return Task(
        "label",
        name,
        f"identity of {name}",
        lambda workdir, rung: JobSpec(("sh", "-c", text), outputs),
        lambda workdir: "done",
    )


def test_a_killed_program_is_not_believed(world: World) -> None:
    (result,) = world.run(FakeScheduler(), [command_task("t", "echo 1 >a; kill -9 $$", "a")])
    assert result == Failure("the program was killed (signal 9)", "infrastructure")
    assert len(world.records("REJECTED")) == 6


def test_a_success_without_its_outputs_is_not_believed(world: World) -> None:
    (result,) = world.run(FakeScheduler(), [command_task("t", "echo 1 >a", "a", "b c")])
    assert result == Failure("the program ended without writing b c", "invalid")
    # With another exit status the task decides: an MD run that exploded is a result.
    assert world.run(FakeScheduler(), [command_task("u", "exit 1", "a")]) == ["done"]


def test_a_missing_program_stops_the_stage_until_it_is_there(world: World, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "solver"
    tasks = [
        Task(
            "label",
            f"t{i}",
            f"t{i}",
            lambda workdir, rung: JobSpec((str(program),), ("stdout",)),
            lambda workdir: (workdir / "stdout").read_text(),
        )
        for i in range(3)
    ]
    with pytest.raises(InputError, match=r"could not be started.*solver"):
        world.run(FakeScheduler(), tasks)
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho fine\n")
    program.chmod(0o755)
    assert world.run(FakeScheduler(), tasks) == ["fine\n"] * 3


def test_a_failing_setup_line_stops_the_stage_until_it_is_right(world: World) -> None:
    tasks = world.tasks(3)
    wrong: dict[Role, Resources] = {
        "label": Resources(setup=("echo cannot load module >&2; false",))
    }

    class Tolerant(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            for job, _ in self.queue:
                assert execute(job) == 77
            self.queue.clear()
            return {}

    for _ in range(3):
        with pytest.raises(InputError, match=r"cannot load module.*resources\.label\.setup"):
            world.run(Tolerant(), tasks, wrong)
    assert world.run(FakeScheduler(), tasks) == done(tasks)
    world.check(tasks)


def test_outputs_that_do_not_arrive_as_reported_are_never_collected(world: World) -> None:
    class Corrupting(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            queued = [job for job, _ in self.queue]
            answer = super().find(prefix)
            for job in queued:
                for path in job.folder.glob("*/output"):
                    if job.name.endswith("-1"):
                        path.write_text("frame 0 dune\n")
            return answer

    tasks = world.tasks(1)
    assert world.run(Corrupting(), tasks) == done(tasks)
    assert len(world.records("LOST")) == 1
    assert world.executed() == {"frame 0": 2}


# ---------------------------------------------------------------- accepted results


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


# ---------------------------------------------------------------- stopping and going on


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


def test_commands_may_name_the_folder_of_the_task(world: World) -> None:
    def prepare(workdir: Path, rung: int) -> JobSpec:
        (workdir / "input").write_text("here")
        return JobSpec(("cat", str(workdir / "input")), ("stdout",), {"X": f"{workdir}/y"})

    task: Task[str] = Task(
        "label", "t", "t", prepare, lambda workdir: (workdir / "stdout").read_text()
    )
    assert world.run(FakeScheduler(), [task]) == ["here"]


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


# ---------------------------------------------------------------- how jobs end, in the words of the scheduler


class Killing(FakeScheduler):
    """Its first jobs take the claim and die, one per ending; the scheduler knows why, in its queue or only if asked."""

    name: ClassVar[str] = "killing"
    endings: ClassVar[list[Ending]] = []
    listed: ClassVar[bool] = True
    begin: ClassVar[bool] = True

    def submit(self, job: Job) -> str:
        job_id = super().submit(job)
        if int(job_id) < len(self.endings):
            self.queue.pop()
            if self.begin:
                (job.folder / "claim").write_text("claim.x host 1\n")
        self.jobs = {**getattr(self, "jobs", {}), job.name: job}
        return job_id

    def _end(self, name: str) -> JobStatus:
        number = self.submitted.index(name)
        ending = self.endings[number] if number < len(self.endings) else "unknown"
        return JobStatus(str(number), "gone", ending.upper(), ending, f"n{number // 3}")

    def find(self, prefix: str) -> dict[str, list[JobStatus]]:
        gone = {name: [self._end(name)] for name in self.submitted} if self.listed else {}
        return gone | super().find(prefix)

    def explain(self, name: str, job_id: str, folder: Path) -> JobStatus | None:
        assert job_id == str(self.submitted.index(name))
        return self._end(name)


def killing(*endings: Ending, **more: Any) -> Killing:
    return type("Killing", (Killing,), {"endings": list(endings), **more})()


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


def test_a_plugin_that_misses_time_or_memory_gets_more_of_both(world: World) -> None:
    class Once(FakeScheduler):
        def submit(self, job: Job) -> str:
            asked.append((job.resources.time, job.resources.memory))
            return super().submit(job)

    asked: list[tuple[str | None, str | None]] = []
    task = world.task("t", fail={0: Failure("not enough", "resources")})
    world.run(Once(), [task], {"label": Resources(time="100", memory="100")})
    assert asked[0] == ("01:40:00", "100M")
    assert asked[1] == ("02:30:00", "150M")


def test_only_nodes_on_which_jobs_died_twice_are_avoided(world: World) -> None:
    tasks = world.tasks(5)
    scheduler = killing("node_fail", "preempted", "timeout", "node_fail", "timeout")
    assert world.run(scheduler, tasks) == done(tasks)
    assert [r["node"] for r in world.records("LOST")] == ["n0", "n0", "n0", "n1", "n1"]
    kinds = [r["kind"] for r in world.records("LOST")]
    assert kinds == ["infrastructure", "infrastructure", "time", "infrastructure", "time"]
    avoided = {scheduler.jobs[name].avoid for name in scheduler.submitted}
    assert avoided == {(), ("n0",)}


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


def test_of_two_jobs_of_one_name_the_superfluous_one_is_cancelled(world: World) -> None:
    class Double(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if not self.queries:
                self.queries += 1
                known = [JobStatus("7", "waiting"), JobStatus("1", "running")]
                return dict.fromkeys(self.submitted, known)
            gone = JobStatus("7", "gone", "CANCELLED", "cancelled")
            found = super().find(prefix)
            return {name: [gone, *found.get(name, [])] for name in self.submitted}

        def cancel(self, ids: Sequence[str]) -> None:
            cancelled.extend(ids)

    cancelled: list[str] = []
    tasks = world.tasks(1)
    scheduler = Double(actions=["twice"])
    assert world.run(scheduler, tasks) == done(tasks)
    assert cancelled == ["7"]
    world.check(tasks)


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


def test_jobs_of_unknown_origin_are_told_and_left_alone(world: World) -> None:
    class Haunted(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            strange = {
                f"{prefix}label-0-{i}": [JobStatus("66", s)]
                for i, s in enumerate(("running", "gone"))
            }
            return super().find(prefix) | strange  # type: ignore[operator]

    tasks = world.tasks(3)
    assert world.run(Haunted(), tasks) == done(tasks)
    assert world.notes().count("has a job ald-0a1b-label-0-0 (66) that is not on record") == 1
    assert "label-0-1" not in world.notes()


def test_nothing_is_submitted_while_nobody_answers(world: World) -> None:
    class Deaf(FakeScheduler):
        def find(self, prefix: str) -> dict[str, list[JobStatus]]:
            if self.queries < 20:
                self.queries += 1
                before.append(len(self.submitted))
                raise SchedulerUnavailable("connection refused")
            return super().find(prefix)

    before: list[int] = []
    tasks = world.tasks(5)
    assert world.run(Deaf(actions=["lost"]), tasks) == done(tasks)
    assert set(before) == {1}
    assert len(world.records("VOID")) == 1
    world.check(tasks)


def test_tasks_that_need_the_same_share_a_job(world: World) -> None:
    big = Resources(nodes=4)
    tasks = [attrs.evolve(world.task(f"{i}"), resources=big if i % 2 else None) for i in range(6)]
    scheduler = killing()
    assert world.run(scheduler, tasks, {"label": Resources(tasks_per_job=9)}) == done(tasks)
    # The others are packed; those with resources of their own follow these, which put one into each job.
    packs = [[a["name"] for a in r["attempts"]] for r in world.records("INTENT")]
    assert packs == [["0", "2", "4"], ["1"], ["3"], ["5"]]
    assert [scheduler.jobs[n].resources.nodes for n in scheduler.submitted] == [1, 4, 4, 4]
