"""Work that goes on side by side: what it gives, whatever ends first, and what becomes of the others if one fails."""

import signal

import pytest
from fake_jobs import FakeScheduler, Untouchable, World, done, execute

from ald_core.errors import FuseBlown, InputError, PluginError, Stopped, SubmitRefused
from ald_core.events import TasksChanged
from ald_core.flow import Flow, both, each, outcomes, replayed, successes
from ald_core.jobs import JobRunner
from ald_core.journal import Journal
from ald_core.roles import Scheduler
from ald_core.types import Failure, Job, JobStatus, Resources, Task


def follow(world: World, scheduler: Scheduler, flow: Flow[object], **resources: Resources):
    """One `ald run`."""
    with Journal.open(world.study) as journal:
        told = world.events.append
        return JobRunner(world.study, "0a1b", journal, scheduler, resources, told, 0.001).follow(
            1, flow
        )


def case(world: World, name: str, labels: int = 3, md: Task[str] | None = None) -> Flow[list[str]]:
    """MD, and then labels."""
    [ran] = yield from successes(1, "md", [md or world.task(f"md {name}", "md")])
    made = yield from outcomes("label", [world.task(f"{name} {i}") for i in range(labels)])
    return [ran, *made]


def results(*names: str, labels: int = 3) -> list[list[str]]:
    return [[f"md {n} done", *(f"{n} {i} done" for i in range(labels))] for n in names]


# ---------------------------------------------------------------- order


@pytest.mark.parametrize("seed", range(6))
def test_results_and_packs_do_not_depend_on_what_ends_first(world: World, seed: int) -> None:
    names = ("a", "b", "c")
    packs = {"label": Resources(tasks_per_job=2)}
    scheduler = FakeScheduler(seed=seed)
    flow = each(case(world, name) for name in names)
    assert follow(world, scheduler, flow, **packs) == results(*names)
    shared = [[a["name"] for a in r["attempts"]] for r in world.records("INTENT")]
    assert sorted(shared) == [
        pack for n in names for pack in ([f"{n} 0", f"{n} 1"], [f"{n} 2"])
    ] + [[f"md {n}"] for n in names]
    assert set(world.executed().values()) == {1}
    again = each(case(world, name) for name in names)
    assert follow(world, Untouchable(), again) == results(*names)


def test_labels_of_one_case_are_made_before_md_of_another_ends(world: World) -> None:
    class Slow(FakeScheduler):
        """`md a` runs when nothing else is left."""

        def find(self, prefix):
            slow = [entry for entry in self.queue if list(entry[0].folder.glob("*md_a"))]
            fast = [entry for entry in self.queue if entry not in slow]
            self.queue = fast or slow
            found = super().find(prefix)
            if fast:
                self.queue += slow
            return found

    flow = each([case(world, "a"), case(world, "b")])
    assert follow(world, Slow(), flow) == results("a", "b")
    order = [r["name"] for r in world.records("ACCEPTED")]
    assert order.index("md a") > max(order.index(f"b {i}") for i in range(3))
    told = [e for e in world.events if isinstance(e, TasksChanged)]
    assert {e.step for e in told} == {"md", "label"}
    label = [(e.waiting, e.running, e.done) for e in told if e.step == "label"]
    assert label[-1] == (0, 0, 6)
    assert max(sum(counts) for counts in label) == 6
    assert any(sum(counts) == 3 for counts in label)  # those of b alone are known at first


def test_a_task_that_two_ask_for_is_done_once(world: World) -> None:
    first, second = (outcomes("label", world.tasks(n)) for n in (2, 3))
    given = follow(world, FakeScheduler(), both(first, second))
    assert given == (done(world.tasks(2)), done(world.tasks(3)))
    world.check(world.tasks(3))


def test_nothing_to_wait_for() -> None:
    assert list(each([])) == []
    assert list(outcomes("label", [])) == []


def test_a_job_with_tasks_of_which_some_were_not_asked_for_yet(world: World) -> None:
    """As an `ald run` may have packed them that waited for all cases before the first label."""

    class Running(FakeScheduler):
        def find(self, prefix):
            signal.raise_signal(signal.SIGTERM)
            return {}

    both_cases = [world.task(f"{name} {i}") for name in "ab" for i in range(2)]
    scheduler = Running()
    with pytest.raises(Stopped):
        follow(world, scheduler, outcomes("label", both_cases), label=Resources(tasks_per_job=4))
    [(job, _)] = scheduler.queue
    assert len(list(job.folder.glob("*-*"))) == 4

    class Slow(FakeScheduler):
        """Its first job runs at once, but is listed as running for some time."""

        def find(self, prefix):
            found = super().find(prefix)
            alive = {job.name: [JobStatus("1", "running")]} if self.queries < 6 else {}
            return found | alive

    flow = each(case(world, name, 2) for name in "ab")
    assert follow(world, Slow(queue=[(job, "ok")]), flow) == results("a", "b", labels=2)
    assert set(world.executed().values()) == {1}


# ---------------------------------------------------------------- failures


def bad(world: World, error: Exception | None = None, name: str = "x") -> Flow[list[str]]:
    """Its MD fails for good, or what comes after it raises."""
    fail = {} if error else {0: Failure(f"no licence for {name}", "input")}
    yield from successes(1, "md", [world.task(f"md {name}", "md", fail=fail)])
    raise error or AssertionError


def test_work_that_does_not_need_a_failed_one_comes_to_its_end(world: World) -> None:
    flows = [bad(world), case(world, "a"), bad(world, name="y")]
    with pytest.raises(InputError, match=r"^cycle 1: md 'md x' failed: no licence for x$"):
        follow(world, FakeScheduler(seed=3), each(flows))
    assert [r["name"] for r in world.records("ACCEPTED") if "md" not in r["name"]] != []
    assert world.executed() == {"md x": 1, "md y": 1, "md a": 1, "a 0": 1, "a 1": 1, "a 2": 1}
    more = each([case(world, "x"), case(world, "a"), case(world, "y")])
    assert follow(world, FakeScheduler(), more) == results("x", "a", "y")
    assert [world.executed()[f"md {n}"] for n in "xay"] == [2, 1, 2]


@pytest.mark.parametrize("error", [FuseBlown("look"), ValueError("a bug")])
def test_what_somebody_has_to_look_at_ends_all_at_once(world: World, error: Exception) -> None:
    closed = []

    def endless() -> Flow[None]:
        try:
            while True:
                yield from outcomes("label", [world.task(f"l{len(closed)} {id(error)}")])
                closed.append("not yet")
        finally:
            closed.append("closed")

    with pytest.raises(type(error), match=str(error)):
        follow(world, FakeScheduler(), both(endless(), bad(world, error)))
    assert closed[-1] == "closed"


def test_a_stop_leaves_all_jobs_and_the_next_run_goes_on(world: World) -> None:
    class Interrupting(FakeScheduler):
        def find(self, prefix):
            if self.queries == 3:
                signal.raise_signal(signal.SIGTERM)
            return super().find(prefix)

    scheduler = Interrupting(seed=2)
    with pytest.raises(Stopped):
        follow(world, scheduler, each(case(world, n) for n in "abc"))
    assert scheduler.queue
    assert follow(world, scheduler, each(case(world, n) for n in "abc")) == results(*"abc")
    assert set(world.executed().values()) == {1}
    assert len(set(scheduler.submitted)) == len(scheduler.submitted) == 12


def test_no_room_for_jobs_of_one_step_does_not_hold_those_of_another(world: World) -> None:
    class Full(FakeScheduler):
        """Takes one MD at a time, and the second only when all labels are done."""

        def submit(self, job: Job) -> str:
            if "-md-" in job.name and self.submitted and len(world.executed()) < 4:
                raise SubmitRefused("QOSMaxSubmitJobPerUserLimit", retry_later=True)
            return super().submit(job)

    assert follow(world, Full(), each(case(world, n) for n in "ab")) == results("a", "b")
    order = [r["name"] for r in world.records("ACCEPTED")]
    assert order.index("md b") > max(order.index(f"a {i}") for i in range(3))
    assert world.notes().count("no room") == 1


def test_setup_lines_of_one_step_that_fail_are_told_although_another_step_works(
    world: World,
) -> None:
    def chain() -> Flow[None]:
        for i in range(30):
            yield from successes(1, "md", [world.task(f"md {i}", "md")])

    broken = Resources(setup=("false",))
    with pytest.raises(InputError, match=r"correct resources\.label\.setup"):
        follow(world, AllAtOnce(), both(chain(), outcomes("label", world.tasks(1))), label=broken)


class AllAtOnce(FakeScheduler):
    """Runs all that it has in each query, also jobs whose set-up lines fail."""

    def find(self, prefix):
        for job, _ in self.queue:
            execute(job)
        self.queue.clear()
        return {}


def test_one_bad_label_of_a_case_is_no_reason_to_stop_while_others_are_to_come(
    world: World,
) -> None:
    wrong = world.task("wrong", fail={0: Failure("odd geometry", "input")})

    def fast() -> Flow[list[str | Failure]]:
        return (yield from outcomes("label", [wrong]))

    slow = each(case(world, name) for name in "ab")
    given = follow(world, FakeScheduler(seed=1), both(slow, fast()))
    assert given == (results("a", "b"), [Failure("odd geometry", "input")])


# ---------------------------------------------------------------- functions of plugins


def test_a_plugin_is_called_again_and_has_its_answers(world: World) -> None:
    calls = []

    def plugin(run_jobs):
        calls.append([])
        assert run_jobs([]) == []
        calls[-1].append(run_jobs(world.tasks(2)))
        try:
            calls[-1].append(run_jobs([world.task("last")]))
        except Exception:  # noqa: BLE001  waiting is no failure
            calls[-1].append("failed")
        return calls[-1]

    flow = both(replayed(1, "select", "it", plugin), case(world, "a"))
    first = done(world.tasks(2))
    assert follow(world, FakeScheduler(), flow) == ([first, ["last done"]], results("a")[0])
    assert calls == [[], [first], [first, ["last done"]]]
    assert set(world.executed().values()) == {1}


def test_a_plugin_that_asks_for_something_else_each_time_is_named(world: World) -> None:
    numbers = iter(range(99))
    flow = replayed(
        1, "select", "the selector 'x'", lambda run: run([world.task(f"{next(numbers)}")])
    )
    with pytest.raises(PluginError, match=r"the selector 'x' asked for other jobs when it was"):
        follow(world, FakeScheduler(), flow)


def test_a_plugin_learns_of_failed_jobs_as_of_an_error(world: World) -> None:
    def plugin(run_jobs):
        try:
            return run_jobs([world.task("t", fail={0: Failure("no licence")})])
        except InputError as error:
            return str(error)

    said = follow(world, FakeScheduler(), replayed(1, "select", "it", plugin))
    assert said.startswith("cycle 1: label 't' failed: no licence")
