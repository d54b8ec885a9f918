"""The normal course of tasks that run as jobs."""

import pytest
from fake_jobs import FakeScheduler, Untouchable, World, done

from ald_core.events import TasksChanged
from ald_core.journal import read_journal
from ald_core.types import Failure


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


def test_progress_is_told(world: World) -> None:
    tasks = [world.task(f"{i}", fail={0: Failure("x", "input")} if not i else {}) for i in range(4)]
    world.run(FakeScheduler(), tasks)
    told = [event for event in world.events if isinstance(event, TasksChanged)]
    assert {(e.cycle, e.step) for e in told} == {(1, "label")}
    assert all(e.waiting + e.running + e.done + e.failed == 4 for e in told)
    assert (told[-1].waiting, told[-1].running, told[-1].done, told[-1].failed) == (0, 0, 3, 1)
    assert all(e.seconds_left is None or e.seconds_left >= 0 for e in told)
    assert len(told) == len(set(told))
