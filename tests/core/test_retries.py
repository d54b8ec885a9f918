"""Tasks that fail: what is tried again, how often, and what is given up."""

import os
import signal
from collections import Counter
from pathlib import Path

import attrs
import pytest
from fake_jobs import FakeScheduler, Untouchable, World, command_task, done, execute, killing

from ald_core.errors import InputError, Stopped, SubmitRefused
from ald_core.jobs import JobRunner
from ald_core.journal import Journal
from ald_core.ledger import RETRIES
from ald_core.types import Failure, FailureKind, Job, JobSpec, JobStatus, Resources, Role, Task


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


def test_too_little_memory_where_none_was_asked_for_says_what_to_do(world: World) -> None:
    """No retry can help; who asked for some gets more, and needs no advice."""
    lacking = Failure("killed", "memory")
    tasks = [world.task(f"frame {i}", fail={0: lacking}) for i in range(2)]
    cure = "set `[resources.label] memory`"
    for result in world.run(FakeScheduler(), tasks):
        assert isinstance(result, Failure)
        assert result.reason.endswith(cure)
    assert world.notes().count(cure) == 1
    asked = world.task("asked", fail={0: lacking})
    (result,) = world.run(FakeScheduler(), [asked], {"label": Resources(memory="1GB")})
    assert result == lacking
    assert world.notes().count(cure) == 1


def test_a_job_that_dies_of_the_default_memory_says_what_to_do(world: World) -> None:
    (result,) = world.run(killing(*["out_of_memory"] * 3), [world.task("t")])
    assert isinstance(result, Failure)
    assert "OUT_OF_MEMORY" in result.reason
    assert result.reason.endswith("set `[resources.label] memory`")
