"""A study whose jobs, scheduler and processes do what chance says; the code is real, all around it is not.

Whenever something can go wrong, `Chance` picks: nothing, or a fault. Several `ald run` are threads that take turns.
Jobs are Python generators that do what the job script does, step by step.
"""

import json
import os
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import attrs

from ald_core import durable, jobs, journal
from ald_core.errors import (
    SchedulerUnavailable,
    Stopped,
    SubmitRefused,
    SubmitUncertain,
)
from ald_core.journal import Journal
from ald_core.roles import Scheduler
from ald_core.script import CLAIM, JOB_EXIT, TASK_EXIT
from ald_core.types import Failure, Job, JobSpec, JobStatus, Resources, Task

Faults = Mapping[int, int]
NORMAL = 0


class Dead(BaseException):
    """What a killed process still does, which is nothing."""


class Violation(AssertionError):
    """A promise was broken."""


class Chance:
    """Faults that were asked for, or random ones; remembers how many there could have been at each choice."""

    def __init__(self, faults: Faults | None = None, dice: random.Random | None = None):
        self._faults = faults or {}
        self._dice = dice
        self._rate = 0.0 if dice is None else dice.choice([0.02, 0.05, 0.15])
        self.widths: list[int] = []
        self.happened: list[str] = []

    def pick(self, what: str, *faults: str) -> str:
        """One of the faults, or nothing."""
        number = len(self.widths)
        self.widths.append(len(faults))
        found = self._faults.get(number, NORMAL)
        if self._dice is not None and faults and self._dice.random() < self._rate:
            found = self._dice.randrange(len(faults)) + 1
        if found == NORMAL or found > len(faults):
            return ""
        self.happened.append(f"{what}: {faults[found - 1]}")
        return faults[found - 1]


@attrs.define(eq=False)
class Run:
    """A process that runs the study. One at a time has its turn."""

    turn: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    thread: threading.Thread | None = None
    """None for the first"""
    alive: bool = True
    ended: bool = False
    results: list[str | Failure] | None = None
    error: Exception | None = None


@attrs.define(eq=False)
class FakeJob:
    """One submission, as the scheduler has it."""

    id: str
    name: str
    folder: Path
    work: Iterator[None]
    state: str = "waiting"
    forgotten: bool = False


@attrs.define(eq=False)
class World:
    """A study, its scheduler, and what has happened."""

    study: Path
    chance: Chance
    tasks: Sequence[Task[str]] = ()
    concurrent_runs: bool = True
    jobs_claim: bool = True
    """False: a broken scheme, in which jobs work without having the claim"""
    jobs: list[FakeJob] = attrs.field(factory=list)
    executed: list[tuple[str, str]] = attrs.field(factory=list)
    """Job and task folder"""
    acknowledged: list[dict[str, Any]] = attrs.field(factory=list)
    """Records of which the writer was told that they are safe"""
    runs: list[Run] = attrs.field(factory=list)
    """Processes at work in the study"""
    current: Run | None = None
    """The process under way; the others are suspended"""
    old: dict[str, list[JobStatus]] = attrs.field(factory=dict)
    blameless: bool = True
    """Whether nothing has happened that justifies that a task is worked at twice"""

    # ------------------------------------------------------------ processes

    def die(self) -> None:
        assert self.current is not None
        self.current.alive = False
        raise Dead

    def point(self, what: str, *more: str) -> str:
        """Something may happen to the process under way just now."""
        if self.current is None:
            return ""
        if not self.current.alive:
            raise Dead
        faults = ["dies", *more, "jobs step", "jobs end"]
        others = [run for run in self.runs if run is not self.current and not run.ended]
        if self.concurrent_runs and (others or len(self.runs) == 1):
            faults.append("the other run" if others else "another run")
        fault = self.chance.pick(what, *faults)
        if fault == "dies":
            self.die()
        elif fault == "jobs step":
            self.advance(1)
        elif fault == "jobs end":
            self.advance()
        elif fault in {"another run", "the other run"}:
            self.blameless = False  # who was overtaken may have done something in vain
            self.switch(others[0] if others else self.begin())
            if not self.current.alive:
                raise Dead
        return fault if fault in more else ""

    def live(self) -> list[str | Failure] | None:
        """One `ald run`, and those that begin meanwhile, to their ends; what it gives if none is killed or stopped."""
        self.runs, self.current = [], None
        first = self.begin()
        self.current = first
        self.work(first)
        for run in self.runs:
            if not run.ended:
                self.switch(run)
        self.current = None
        for run in self.runs:
            if run.error is not None:
                raise run.error
        return next((run.results for run in self.runs if run.results is not None), None)

    def begin(self) -> Run:
        """A process that has not done anything yet."""
        self.runs.append(Run())
        return self.runs[-1]

    def switch(self, run: Run) -> None:
        """Let another process go on until it gives back."""
        before, self.current = self.current, run
        assert before is not None
        if run.thread is None:
            run.thread = threading.Thread(
                target=self.work_and_give_back,
                args=(run,),
                daemon=True,  # left where it is if a promise breaks
            )
            run.thread.start()
        run.turn.release()
        before.turn.acquire()

    def work_and_give_back(self, run: Run) -> None:
        run.turn.acquire()
        self.work(run)
        self.current = self.runs[0]
        self.current.turn.release()

    def work(self, run: Run) -> None:
        try:
            with Journal.open(self.study) as opened:
                scheduler = FakeScheduler(world=self)
                runner = jobs.JobRunner(
                    self.study, "0a1b", opened, scheduler, {"label": PACK}, poll=0.0
                )
                run.results = runner.run(1, self.tasks)
        except (Dead, Stopped):
            return
        except Exception as error:  # noqa: BLE001  told by the process that waits for this one
            if "another `ald run` began in this study" not in str(error):
                run.error = error
        finally:
            run.ended = True

    # ------------------------------------------------------------ jobs

    def submit(self, job: Job) -> str:
        number = str(len(self.jobs) + 1)
        work = self.script(number, job.name, job.folder)
        self.jobs.append(FakeJob(number, job.name, job.folder, work))
        return number

    def script(self, number: str, name: str, folder: Path) -> Iterator[None]:
        """What the script of a job does, interrupted where it can be."""
        private = folder / f"claim.{number}{len(self.executed)}"
        holder = f"{private.name} host {number}"
        private.write_text(holder + "\n")
        yield
        with suppress(FileExistsError):
            os.link(private, folder / CLAIM)
        won = private.stat().st_nlink == 2
        private.unlink()
        if not won and self.jobs_claim:
            return
        yield
        for attempt in json.loads((folder / "job.json").read_text())["attempts"]:
            place = folder / attempt["folder"]
            self.executed.append((name, attempt["folder"]))
            for stream in ("stdout", "stderr"):
                (place / stream).touch()
            yield
            data = (place / "input").read_bytes()
            (place / "output").write_bytes(data)
            yield
            seen = f"output {journal.hashlib.sha256(data).hexdigest()} {len(data)}"
            _report(place / TASK_EXIT, "ald-task 1", f"holder {holder}", "exit 0", seen)
            yield
        _report(folder / JOB_EXIT, "ald-job 1", f"name {name}", f"holder {holder}", "exit 0")

    def advance(self, steps: int = 99) -> None:
        """Let all jobs go on."""
        for job in self.jobs:
            for _ in range(steps):
                if job.state == "gone":
                    break
                job.state = "running"
                try:
                    if next(job.work, self) is self:
                        job.state = "gone"
                except OSError:  # its disk is full
                    job.state, self.blameless = "gone", False

    def pass_time(self) -> None:
        """What happens between two queries."""
        faults = ("nothing", "a step", "dies", "again", "forgets", "forgets and ends")
        fault = self.chance.pick("meanwhile", *faults)
        if fault in {"", "forgets and ends"}:
            self.advance()
        if fault == "a step":
            self.advance(1)
        if fault == "dies":
            for job in [job for job in self.jobs if job.state != "gone"][:1]:
                self.advance(3)
                job.state, self.blameless = "gone", False
                job.work.close()
        if fault == "again":
            for job in self.jobs:
                if job.state == "gone":
                    job.state = "waiting"
                    job.work = self.script(job.id, job.name, job.folder)
        if fault.startswith("forgets"):
            self.blameless = False
            for job in self.jobs:
                job.forgotten = True


@attrs.define(kw_only=True, slots=False)
class FakeScheduler(Scheduler):
    """The scheduler of a world."""

    name: ClassVar[str] = "fake"
    patience: ClassVar[float] = 0.0

    world: World

    def submit(self, job: Job) -> str:
        world = self.world
        faults = ("lost", "lost, not there", "twice", "no room", "forgotten", "dies, there")
        fault = world.chance.pick("submit", *faults)
        if fault == "no room":
            raise SubmitRefused("no room", retry_later=True)
        if fault == "lost, not there":
            raise SubmitUncertain("lost")
        number = world.submit(job)
        if fault == "twice":
            world.submit(job)
        if fault == "forgotten":
            world.jobs[-1].state = "gone"
        if fault == "dies, there":
            world.die()
        if fault == "lost":
            raise SubmitUncertain("lost")
        return number

    def find(self, prefix: str) -> dict[str, list[JobStatus]]:
        world = self.world
        fault = world.chance.pick("find", "fails", "empty", "old")
        answer: dict[str, list[JobStatus]] = {}
        for job in world.jobs:
            if not job.forgotten and job.name.startswith(prefix):
                answer.setdefault(job.name, []).append(JobStatus(job.id, job.state))  # type: ignore[arg-type]
        world.old, before = answer, world.old
        world.pass_time()
        if fault == "fails":
            raise SchedulerUnavailable("no answer")
        if fault in {"empty", "old"}:
            world.blameless = False
        return {"empty": {}, "old": before}.get(fault, answer)

    def cancel(self, ids: Sequence[str]) -> None:
        for job in self.world.jobs:
            if job.id in ids and job.state == "waiting":
                job.state = "gone"


PACK = Resources(tasks_per_job=2)


def task(name: str) -> Task[str]:
    """A label; its result is `<name> done`."""

    def prepare(workdir: Path, rung: int) -> JobSpec:
        (workdir / "input").write_text(f"{name} done")
        return JobSpec(("true",), ("output",))

    def collect(workdir: Path) -> str | Failure:
        return (workdir / "output").read_text()

    return Task("label", name, f"identity of {name}", prepare, collect)


TASKS = tuple(task(name) for name in ("a", "b", "c"))


def _report(path: Path, *lines: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text("".join(f"{line}\n" for line in (*lines, "end")))
    new.rename(path)


class NoLock:
    """Locks lie; claims and generations must do."""

    def __init__(self, path: Path, *, take_over: bool = False):
        durable.make_folder(path.parent)

    def release(self) -> None:
        """Nothing to give back."""
