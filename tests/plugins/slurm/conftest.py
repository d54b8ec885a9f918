"""Tasks that run through a real Slurm, in this process, with a ledger of what was executed outside the study."""

import random
import shutil
import signal
import stat
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from slurm_cluster import SlurmCluster, program

from ald_core.events import Event, Note
from ald_core.jobs import JobRunner
from ald_core.journal import Journal, read_journal
from ald_core.types import Failure, JobSpec, Resources, Task
from ald_slurm.scheduler import SlurmScheduler

SCRIPT = 'printf "%s %s\\0" "$1" "$PWD" >>"$2"; eval "$3"; cp input output'


@attrs.define
class World:
    """A study with the jobs of one Slurm."""

    study: Path
    slurm: SlurmCluster
    bin: Path
    """Where programs stand before those of Slurm"""
    on_event: Callable[[str], None] = lambda _: None
    events: list[Event] = attrs.field(factory=list)
    run_id: str = attrs.field(factory=lambda: f"{random.randrange(16**8):08x}")

    @property
    def executions(self) -> Path:
        return self.study.with_name("executions")

    def task(self, name: str, text: str = ":", **more: Any) -> Task[str]:
        """A label that runs `text`; its result is `<name> done`."""

        def prepare(workdir: Path, rung: int) -> JobSpec:
            (workdir / "input").write_text(f"{name} done\n")
            command = ("sh", "-c", SCRIPT, "sh", name, str(self.executions), text)
            return JobSpec(command, ("output",))

        def collect(workdir: Path) -> str | Failure:
            try:
                return (workdir / "output").read_text().strip()
            except FileNotFoundError:
                return Failure("no output")

        return Task("label", name, f"identity of {name}", prepare, collect, **more)

    def tasks(self, count: int, text: str = ":") -> list[Task[str]]:
        return [self.task(f"frame {i}", text) for i in range(count)]

    def scheduler(self, **options: Any) -> SlurmScheduler:
        usual = {"poll": 0.1, "patience": 1.0, "submit_rate": 50.0, "query_timeout": 3.0}
        return SlurmScheduler(**(usual | options))

    def run(
        self,
        tasks: Sequence[Task[str]],
        asked: Resources | None = None,
        **options: Any,
    ) -> list[str | Failure]:
        """One `ald run`."""

        def listen(event: Event) -> None:
            self.events.append(event)
            self.on_event(type(event).__name__)

        with Journal.open(self.study) as journal:
            resources: Mapping[Any, Resources] = {"label": asked or Resources()}
            scheduler = self.scheduler(**options)
            runner = JobRunner(self.study, self.run_id, journal, scheduler, resources, listen)
            return runner.run(1, tasks)

    def executed(self) -> Counter[str]:
        """How often each task was executed. No attempt ever was twice."""
        text = self.executions.read_text() if self.executions.exists() else ""
        lines = text.split("\0")[:-1]
        assert len(set(lines)) == len(lines), "an attempt was executed twice"
        return Counter(line.split(" /")[0] for line in lines)

    def records(self, *types: str) -> list[dict[str, Any]]:
        return [r for r in read_journal(self.study) if r["type"] in types]

    def check(self, tasks: Sequence[Task[str]]) -> None:
        """Each task was executed and accepted once."""
        assert self.executed() == {task.name: 1 for task in tasks}
        accepted = Counter(r["task"] for r in self.records("ACCEPTED"))
        assert accepted == {task.identity: 1 for task in tasks}

    def notes(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Note))

    def slurm_names(self) -> dict[str, str]:
        """States of the jobs of this study in Slurm."""
        prefix = f"ald-{self.run_id}-"
        return {n: state for n, state in self.slurm.jobs().items() if n.startswith(prefix)}

    def before(self, name: str, text: str) -> None:
        """Put a program before one of Slurm's: `$real` is the original, `$call` the number of the call."""
        path = self.bin / name
        count = self.bin / f"{name}.count"
        path.write_text(
            f"#!/bin/sh\nreal='{program(name)}'\necho >>'{count}'\ncall=$(wc -l <'{count}')\n{text}\n"
            'exec "$real" "$@"\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture(autouse=True)
def _no_endless_waiting():
    """A run that waits for what will not come fails the test."""

    def over(number: int, frame: object) -> None:
        raise AssertionError("the test takes too long")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def world(tmp_path, slurm, monkeypatch) -> World:
    """A fresh study with a hostile path, whose polls cost nothing."""
    monkeypatch.setattr("ald_core.jobs.PAUSE_PER_QUERY", 0.0)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setenv("PATH", f"{bin_folder}:{slurm.environment['PATH']}")
    assert shutil.which("sbatch")
    return World(tmp_path / "a 'study' \"%j\" $(touch pwned);\n\\é", slurm, bin_folder)


def done(tasks: Sequence[Task[str]]) -> list[str]:
    return [f"{task.name} done" for task in tasks]
