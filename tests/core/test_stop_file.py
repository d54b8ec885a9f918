"""`ald stop`: a run hears of it through a file, stops where that is safe, and its jobs go on or are cancelled."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from ald_core import control, interruption
from ald_core.errors import InputError, SchedulerUnavailable, Stopped
from ald_core.interruption import StopFile, StopRequest
from ald_core.jobs import JobRunner
from ald_core.journal import Journal, read_journal
from ald_core.local import LocalScheduler
from ald_core.registry import Registry
from ald_core.resuming import identify
from ald_core.types import JobSpec, Task


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(interruption, "_BETWEEN_LOOKS", 0.0)


def test_an_order_is_for_one_start_of_ald_run(tmp_path):
    StopFile(tmp_path, 3).ask(jobs=True)
    assert StopFile(tmp_path, 3).order() == interruption.StopOrder(3, jobs=True)
    assert StopFile(tmp_path, 4).order() is None
    assert StopFile(tmp_path, 2).order() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"generation": 1, "x": 2}'])
def test_what_makes_no_sense_is_no_order(tmp_path, text):
    (tmp_path / ".ald").mkdir()
    (tmp_path / ".ald" / "stop").write_text(text)
    assert StopFile(tmp_path, 1).order() is None


def test_orders_are_forgotten_but_not_those_for_a_later_start(tmp_path):
    StopFile(tmp_path, 3).ask()
    StopFile(tmp_path, 2).withdraw()
    assert StopFile(tmp_path, 3).order() is not None
    StopFile(tmp_path, 4).withdraw()
    assert StopFile(tmp_path, 3).order() is None
    assert list((tmp_path / ".ald").iterdir()) == []


def test_a_look_is_taken_once_in_a_while_only(tmp_path, monkeypatch):
    monkeypatch.setattr(interruption, "_BETWEEN_LOOKS", 3600.0)
    file = StopFile(tmp_path, 1)
    assert file.order() is None
    file.ask()
    assert file.order() is None
    assert StopFile(tmp_path, 1).order() is not None


def test_a_wait_ends_when_the_order_comes(tmp_path):
    file = StopFile(tmp_path, 1)
    threading.Timer(0.1, file.ask).start()
    begun = time.monotonic()
    with (
        pytest.raises(Stopped, match="stopped on request; jobs that run go on"),
        StopRequest(file) as stop,
    ):
        stop.wait(60.0)
    assert time.monotonic() - begun < 30


def test_after_cycle_stops_nothing_before_that(tmp_path):
    file = StopFile(tmp_path, 1)
    file.ask(after_cycle=True)
    with StopRequest(file) as stop:
        stop.check()
        stop.wait(0.0)
    with pytest.raises(Stopped, match=r"stopped after cycle 3 .*`ald run` goes on"):
        file.check_after_cycle(3)
    file.withdraw()
    file.check_after_cycle(4)


# ---------------------------------------------------------------- with jobs


@attrs.define(slots=False)
class Work:
    """A study with one quick and one endless job."""

    study: object
    scheduler: LocalScheduler = attrs.field(factory=lambda: LocalScheduler(cores=4))

    def task(self, name, seconds):
        def prepare(workdir, rung):
            return JobSpec(("sh", "-c", f"sleep {seconds}; echo {name} >out"), ("out",))

        return Task("label", name, f"identity {name}", prepare, lambda d: (d / "out").read_text())

    def run(self, seconds=600, cores=4):
        """One `ald run`, which blocks."""
        with Journal.open(self.study) as journal:
            file = StopFile(self.study, journal.generation)
            file.withdraw()
            runner = JobRunner(
                self.study, "5c0b", journal, self.scheduler, {}, poll=0.01, stop_file=file
            )
            return runner.run(1, [self.task("quick", 0), self.task("slow", seconds)])

    def records(self, *types):
        return [r for r in read_journal(self.study) if r["type"] in types]

    def wait_until_slow_works(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.records("ACCEPTED") and len(list(self.study.glob("ALC-1/jobs/*/claim"))) == 2:
                return
            time.sleep(0.02)
        raise AssertionError


@pytest.fixture
def work(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "ald.toml").write_text("")
    work = Work(tmp_path / "study")
    yield work
    scheduler = LocalScheduler()
    scheduler.cancel(list(scheduler.find("ald-5c0b-")))


def stop(work, **asked):
    asked = {"jobs": False, "after_cycle": False, "wait": 30.0} | asked
    return control.stop(work.study / "ald.toml", Registry([]), **asked)


def test_stop_says_so_when_nobody_works(work):
    assert stop(work) == "no `ald run` is at work in this study"
    assert list(work.study.iterdir()) == [work.study / "ald.toml"]


def test_jobs_go_on_and_the_next_run_collects_them(work):
    with ThreadPoolExecutor() as pool:
        run = pool.submit(work.run, 3)
        work.wait_until_slow_works()
        said = stop(work)
        with pytest.raises(Stopped, match="stopped on request; jobs that run go on"):
            run.result(60)
    assert said.endswith(" has stopped")
    assert "`ald run` (process " in said
    assert work.run(3) == ["quick\n", "slow\n"]
    assert len(work.records("INTENT")) == 2
    assert not (work.study / ".ald" / "stop").exists()


def test_jobs_are_cancelled_and_their_work_is_done_again(work):
    with ThreadPoolExecutor() as pool:
        run = pool.submit(work.run)
        work.wait_until_slow_works()
        said = stop(work, jobs=True)
        with pytest.raises(Stopped, match="1 jobs were cancelled, and `ald run` begins them again"):
            run.result(60)
    assert said.endswith(" has stopped, and its jobs are cancelled")
    (lost,) = work.records("LOST")
    assert (lost["tasks"], lost["unstarted"]) == ([], ["identity slow"])  # it counts as no failure
    end = time.monotonic() + 30
    while work.scheduler.find("ald-5c0b-") and time.monotonic() < end:
        time.sleep(0.05)
    assert work.scheduler.find("ald-5c0b-") == {}
    work.task = lambda name, seconds, make=work.task: make(name, 0)
    assert work.run() == ["quick\n", "slow\n"]
    assert len(work.records("INTENT")) == 3


def test_a_job_that_has_not_begun_is_void(work):
    work.scheduler = LocalScheduler(cores=1)
    with Journal.open(work.study) as journal:
        file = StopFile(work.study, journal.generation)
        runner = JobRunner(
            work.study, "5c0b", journal, work.scheduler, {}, poll=0.01, stop_file=file
        )
        with ThreadPoolExecutor() as pool:
            run = pool.submit(runner.run, 1, [work.task("slow", 600), work.task("later", 600)])
            end = time.monotonic() + 60
            while len(work.records("SUBMITTED")) < 2 and time.monotonic() < end:
                time.sleep(0.02)
            while not list(work.study.glob("ALC-1/jobs/*/claim")) and time.monotonic() < end:
                time.sleep(0.02)
            file.ask(jobs=True)
            with pytest.raises(Stopped, match="2 jobs were cancelled"):
                run.result(60)
    assert len(work.records("VOID")) == len(work.records("LOST")) == 1


def test_a_scheduler_that_does_not_answer_cancels_nothing(work, monkeypatch):
    with ThreadPoolExecutor() as pool:
        run = pool.submit(work.run)
        work.wait_until_slow_works()

        def fail(self, prefix):
            raise SchedulerUnavailable("connection refused")

        with monkeypatch.context() as patch:
            patch.setattr(LocalScheduler, "find", fail)
            stop(work, jobs=True)
            with pytest.raises(Stopped, match=r"no job was cancelled: .*connection refused"):
                run.result(60)
    assert work.records("LOST", "VOID") == []


def test_a_copy_leaves_the_jobs_of_the_original_alone(work, monkeypatch):
    monkeypatch.setattr(control, "read_run_file", lambda path, *_, **__: FakeRunFile(path.parent))
    with Journal.open(work.study) as journal:
        identify(journal, work.study)
    copy = work.study.with_name("copy")
    shutil.copytree(work.study, copy)
    ask = {"jobs": True, "after_cycle": False}
    with pytest.raises(
        InputError, match=r"copy: is a copy of the study in .*study, which is still"
    ):
        control.stop(copy / "ald.toml", Registry([]), **ask)
    said = control.stop(work.study / "ald.toml", Registry([]), **ask)
    assert said == (
        "no `ald run` is at work in this study; 0 jobs were cancelled, and `ald run` begins them again"
    )


@attrs.frozen
class FakeRunFile:
    folder: object
    resources: dict = attrs.field(factory=dict)

    @property
    def crew(self):
        return attrs.make_class("Crew", ["scheduler"])(LocalScheduler())


def test_after_cycle_is_asked_and_not_waited_for(work):
    with Journal.open(work.study) as journal:
        assert "asked `ald run`" in stop(work, after_cycle=True)
        assert StopFile(work.study, journal.generation).order().after_cycle


def test_one_that_does_not_stop_in_time(work):
    with Journal.open(work.study):
        assert "has not done within 0.1 seconds; it will" in stop(work, wait=0.1)
