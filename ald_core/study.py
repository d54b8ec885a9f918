"""A study that is open for running: run file, crew, store, journal and jobs in one place."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np

from ald_core.digests import digest, file_digest
from ald_core.errors import InputError
from ald_core.events import Listener, StepFinished, StepStarted, ignore
from ald_core.jobs import JobRunner
from ald_core.journal import Journal
from ald_core.registry import Registry
from ald_core.runfile import Crew, RunFile
from ald_core.store import CycleRecord, Quarantine, Store, record_from_json, record_to_json
from ald_core.types import Failure, RunJobs, Task, TrainingSet


@attrs.frozen(eq=False)
class Study:
    """Everything a cycle needs. Make one with `open_study`."""

    runfile: RunFile
    registry: Registry
    store: Store
    journal: Journal
    jobs: JobRunner
    listener: Listener
    seconds: dict[str, float] = attrs.field(factory=dict)
    """Wall time of the steps of the cycle under way; for people only."""

    @property
    def crew(self) -> Crew:
        """The capabilities in use."""
        return self.runfile.crew

    def seed(self, *purpose: object) -> int:
        """A seed for one purpose: the study's seed and `purpose` decide, nothing else. 1 … 2³¹−1."""
        return 1 + int(digest(self.runfile.study.seed, *purpose)[:12], 16) % (2**31 - 1)

    def generator(self, *purpose: object) -> np.random.Generator:
        """A random generator for one purpose."""
        return np.random.default_rng(self.seed(*purpose))

    # ------------------------------------------------------------ steps and jobs

    @contextmanager
    def step(self, cycle: int, name: str, tasks: int) -> Iterator[Callable[[str], None]]:
        """Report a step to whoever watches; call the given function with a remark at its end."""
        remarks: list[str] = []
        start = time.monotonic()
        self.listener(StepStarted(cycle, name, tasks))
        yield remarks.append
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start
        self.listener(StepFinished(cycle, name, remarks[-1] if remarks else ""))

    def run_jobs(self, cycle: int, tasks: Sequence[Task[Any]]) -> list[Any]:
        """Results of tasks in their order, where the last `Failure` may stand for a result."""
        return self.jobs.run(cycle, list(tasks))

    def must_run(self, cycle: int) -> RunJobs:
        """Runs tasks of which none may fail: a failure is an InputError with its reason."""

        def run(tasks: list[Task[Any]]) -> list[Any]:
            results = self.run_jobs(cycle, tasks)
            for task, result in zip(tasks, results, strict=True):
                if isinstance(result, Failure):
                    raise InputError(
                        f"cycle {cycle}: {task.role} '{task.name}' failed: {result.reason}"
                    )
            return results

        return run

    # ------------------------------------------------------------ what is finished

    def records(self) -> dict[int, CycleRecord]:
        """Records of the finished cycles, by cycle."""
        return cycle_records(self.journal.records)

    def final(self, cycle: int) -> CycleRecord | None:
        """The record of the final fit of `cycle`, if nothing was added since."""
        return final_record(self.journal.records, cycle)

    def finished_training(self, cycle: int) -> TrainingSet | None:
        """The training set after `cycle`, if that is on record."""
        for entry in self.journal.records:
            if entry["type"] == "TRAINING" and entry["cycle"] == cycle:
                path = self.store.training_path(cycle)
                if not path.is_file() or file_digest(path) != entry["digest"]:
                    raise InputError("is missing or was changed; restore it", path=path)
                return self.store.training(cycle)
        return None

    def commit_training(
        self, cycle: int, training: TrainingSet, quarantined: Quarantine = ()
    ) -> TrainingSet:
        """Publish the training set after `cycle` and put it on record; returns what was published."""
        self.store.publish_training(cycle, training)
        details = {
            "digest": file_digest(self.store.training_path(cycle)),
            "quarantined": quarantined,
        }
        self._record("TRAINING", cycle=cycle, frames=len(training), **details)
        return self.store.training(cycle)

    def left_out(self) -> Quarantine:
        """Starting frames that could not be labelled, with the reason."""
        starts = [e for e in self.journal.records if e["type"] == "TRAINING" and e["cycle"] == 0]
        return tuple((frame, why) for e in starts[:1] for frame, why in e["quarantined"])

    def commit_cycle(self, record: CycleRecord, training: TrainingSet) -> None:
        """Put a finished cycle on record, then show its results and tell the plugins."""
        self._commit("CYCLE_DONE", record, training)

    def commit_final(self, record: CycleRecord, training: TrainingSet) -> CycleRecord:
        """Put the final fit on record; later cycles may still follow."""
        return self._commit("FINAL", record, training)

    def _commit(self, kind: str, record: CycleRecord, training: TrainingSet) -> CycleRecord:
        left_out = self.left_out() if record.cycle == 1 else ()
        record = attrs.evolve(
            record, quarantined=left_out + record.quarantined, seconds=dict(self.seconds)
        )
        self.seconds.clear()
        self.store.show_training(training)
        self._record(kind, cycle=record.cycle, record=record_to_json(record))
        self.registry.tell_cycle_finished(record)
        return record

    def _record(self, kind: str, **fields: object) -> None:
        self.journal.append({"type": kind, **fields})


@contextmanager
def open_study(
    runfile: RunFile, registry: Registry, listener: Listener = ignore, poll: float | None = None
) -> Iterator[Study]:
    """Open a study for running; refuses if another run has it open, or if its options changed."""
    folder = runfile.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", path=folder) from error
    with Journal.open(folder) as journal:
        run_id = _identify(journal, runfile)
        scheduler = runfile.crew.scheduler
        jobs = JobRunner(folder, run_id, journal, scheduler, runfile.resources, listener, poll)
        store = Store(folder)
        store.sweep()
        yield Study(runfile, registry, store, journal, jobs, listener)


def _identify(journal: Journal, runfile: RunFile) -> str:
    """The run id, drawn the first time; options that results depend on must be those of the first time."""
    changed = changed_options(journal.records, runfile)
    if changed:
        raise InputError(
            f"{', '.join(changed)} changed since this study began; undo the change, or start a new study "
            "in another folder (study.folder)",
            path=runfile.path,
        )
    now, then = runfile.identity(), _first_identity(journal.records)
    new = {where: digest for where, digest in now.items() if where not in then}
    runs = [entry["run"] for entry in journal.records if entry["type"] == "STUDY"]
    run_id = str(runs[0]) if runs else secrets.token_hex(4)
    if new:
        journal.append({"type": "STUDY", "run": run_id, "identity": new})
    return run_id


def changed_options(entries: Iterable[Mapping[str, Any]], runfile: RunFile) -> list[str]:
    """Sections of the run file that are no longer what the journal says; sections may be added."""
    now = runfile.identity()
    return sorted(k for k, was in _first_identity(entries).items() if now.get(k) != was)


def _first_identity(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {k: v for e in entries if e["type"] == "STUDY" for k, v in e["identity"].items()}


def cycle_records(entries: Iterable[Mapping[str, Any]]) -> dict[int, CycleRecord]:
    """Records of the finished cycles in a journal, by cycle."""
    return {e["cycle"]: record_from_json(e["record"]) for e in entries if e["type"] == "CYCLE_DONE"}


def final_record(
    entries: Iterable[Mapping[str, Any]], cycle: int | None = None
) -> CycleRecord | None:
    """The record of the final fit (of `cycle`, if given) in a journal, unless cycles were added since."""
    found = None
    for entry in entries:
        if entry["type"] == "FINAL":
            found = entry
        elif entry["type"] in ("CYCLE_DONE", "TRAINING"):
            found = None
    if found is None or cycle not in (None, found["cycle"]):
        return None
    return record_from_json(found["record"])
