"""Tasks whose jobs a fake scheduler runs, loses and doubles, with a ledger of executions outside the study."""

import random
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs

from ald_core.errors import SchedulerUnavailable, SubmitRefused, SubmitUncertain
from ald_core.events import Event, Note
from ald_core.jobs import JobRunner
from ald_core.journal import Journal, read_journal
from ald_core.roles import Scheduler
from ald_core.types import Ending, Failure, Job, JobSpec, JobStatus, Resources, Role, Task

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


def command_task(name: str, text: str, *outputs: str) -> Task[str]:
    return Task(
        "label",
        name,
        f"identity of {name}",
        lambda workdir, rung: JobSpec(("sh", "-c", text), outputs),
        lambda workdir: "done",
    )


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
