"""A study that is open for running: run file, crew, store, journal and jobs in one place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np

from ald_core.crew import Crew
from ald_core.digests import digest, file_digest
from ald_core.errors import AldError, FuseBlown, InputError, Stopped
from ald_core.events import (
    CycleFinished,
    Listener,
    Note,
    RunEnded,
    RunStarted,
    StepFinished,
    StepStarted,
    ignore,
    told_to,
)
from ald_core.flow import Flow, must_succeed
from ald_core.interruption import StopFile
from ald_core.jobs import JobRunner
from ald_core.journal import Journal
from ald_core.notices import Notices
from ald_core.registry import Registry
from ald_core.resuming import Consent, check_options, identify
from ald_core.runfile import RunFile
from ald_core.status_file import StatusFile
from ald_core.store import CycleRecord, Quarantine, Store, record_from_json, record_to_json
from ald_core.types import RunJobs, T, Task, TrainingSet
from ald_core.verdicts import Verdict, after, ends_cycle, flagged, verdicts, verdicts_at_start


@attrs.frozen(eq=False)
class Study:
    """Everything a cycle needs. Make one with `open_study`."""

    runfile: RunFile
    registry: Registry
    store: Store
    journal: Journal
    jobs: JobRunner
    stop_file: StopFile
    listener: Listener
    seconds: dict[str, float] = attrs.field(factory=dict)
    """Wall time of the steps of the cycle under way; for people only."""
    under_way: dict[str, tuple[int, float]] = attrs.field(factory=dict)
    """Steps now: how many parts of each go on, and since when one does"""

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
    def reported(self, cycles: int) -> Iterator[None]:
        """Tell whoever watches that the run of so many cycles begins, and how it ends."""
        self.listener(RunStarted(cycles, tuple(self.records().values())))
        try:
            yield
        except (Stopped, FuseBlown) as stop:
            self.listener(RunEnded("stopped", str(stop)))
            raise
        except KeyboardInterrupt:
            self.listener(RunEnded("stopped", "interrupted; `ald run` goes on where it was"))
            raise
        except BaseException as error:
            kind = "" if isinstance(error, AldError) else f"{type(error).__name__}: "
            self.listener(RunEnded("failed", f"{kind}{error}"))
            raise
        self.listener(RunEnded("finished"))

    @contextmanager
    def step(
        self, cycle: int, name: str, tasks: int, part: str = ""
    ) -> Iterator[Callable[[str], None]]:
        """Report a step, or a part of it, to whoever watches; call the given function with a remark at its end."""
        remarks: list[str] = []
        parts, since = self.under_way.get(name, (0, time.monotonic()))
        self.under_way[name] = (parts + 1, since)
        self.listener(StepStarted(cycle, name, tasks, part))
        try:
            yield remarks.append
        except InputError as error:
            self._leave(name)
            if self.under_way:
                text = f"{error}; what does not depend on it goes on until the run stops for it"
                self.listener(Note(text, "warning"))
            raise
        self._leave(name)
        self.listener(StepFinished(cycle, name, remarks[-1] if remarks else "", part))

    def _leave(self, name: str) -> None:
        parts, since = self.under_way.pop(name)
        if parts > 1:
            self.under_way[name] = (parts - 1, since)
        else:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - since

    def run(self, cycle: int, flow: Flow[T]) -> T:
        """What a flow gives; its jobs are run."""
        return self.jobs.follow(cycle, flow)

    def must_run(self, cycle: int) -> RunJobs:
        """Runs tasks of which none may fail, and waits for them: a failure is an InputError with its reason."""

        def run(tasks: list[Task[Any]]) -> list[Any]:
            return must_succeed(cycle, tasks, self.jobs.run(cycle, tasks))

        return run

    # ------------------------------------------------------------ what is finished

    def plan(self, cycles: int) -> int:
        """Put on record that so many cycles are wanted; returns the largest number that ever was."""
        wanted = planned_cycles(self.journal.records)
        if cycles > wanted:
            self._record("PLAN", cycles=cycles)
        return max(cycles, wanted)

    def records(self) -> dict[int, CycleRecord]:
        """Records of the finished cycles, by cycle."""
        return cycle_records(self.journal.records)

    def final(self, cycle: int, *, with_md: bool) -> CycleRecord | None:
        """The record of the final fit of `cycle`, if it is still the last word; with its MD, if that is wanted."""
        record = final_record(self.journal.records)
        if record is None or record.cycle != cycle or (with_md and not record.md):
            return None
        return record

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
        """Publish the training set after `cycle` and put it on record; once that is done, it is what it is."""
        known = self.finished_training(cycle)
        if known is not None:
            return known
        self.store.publish_training(cycle, training)
        details = {
            "digest": file_digest(self.store.training_path(cycle)),
            "quarantined": quarantined,
            "identity": self._identity("study", "training", *["labelers"] * (not cycle)),
        }
        self._record("TRAINING", cycle=cycle, frames=len(training), **details)
        return self.store.training(cycle)

    def as_judged(self, training: TrainingSet) -> TrainingSet:
        """The training set that the cycle under way begins with, after what the user has said of its labels."""
        judged = after(training, verdicts_at_start(self.journal.records))
        if not judged.fitted:
            raise InputError(
                "no label is left to be fitted; take some back with `ald labels --release`"
            )
        return judged

    def verdicts(self) -> dict[str, Verdict]:
        """What the user has said of labels up to now, by frame id."""
        return verdicts(self.journal.records)

    def flag(self, cycle: int, outliers: Mapping[str, str]) -> bool:
        """Put on record which labels of a cycle (0: the starting set) are outliers; False if that is known."""
        if flagged(self.journal.records).get(cycle, {}) == dict(outliers):
            return False
        self._record("OUTLIERS", cycle=cycle, frames=list(map(list, outliers.items())))
        return True

    def left_out(self) -> Quarantine:
        """Starting frames that could not be labelled, with the reason."""
        starts = [e for e in self.journal.records if e["type"] == "TRAINING" and e["cycle"] == 0]
        return tuple((frame, why) for e in starts[:1] for frame, why in e["quarantined"])

    def commit_cycle(self, record: CycleRecord, training: TrainingSet) -> None:
        """Show the results of a finished cycle, put it on record and tell the plugins."""
        self._commit("CYCLE_DONE", record, training, self._identity(""))

    def commit_final(self, record: CycleRecord, training: TrainingSet) -> CycleRecord:
        """The same for the final fit, after which more cycles may still follow."""
        used = self._identity("fitter", "weighting", *["md", "case"] * bool(record.md))
        return self._commit("FINAL", record, training, used)

    def _commit(
        self, kind: str, record: CycleRecord, training: TrainingSet, used: dict[str, str]
    ) -> CycleRecord:
        left_out = self.left_out() if record.cycle == 1 else ()
        record = attrs.evolve(
            record, quarantined=left_out + record.quarantined, seconds=dict(self.seconds)
        )
        self.seconds.clear()
        self.store.show_training(training)
        self.store.show_tables(record)
        versions = _versions(self.runfile, self.registry)
        details = {"record": record_to_json(record), "identity": used, "versions": versions}
        self._record(kind, cycle=record.cycle, **details)
        self.registry.tell_cycle_finished(record)
        self.listener(CycleFinished(record, kind == "FINAL"))
        return record

    def _identity(self, *sections: str) -> dict[str, str]:
        """Digests of the sections of the run file whose names begin with one of these words."""
        return {k: v for k, v in self.runfile.identity().items() if k.startswith(sections)}

    def _record(self, kind: str, **fields: object) -> None:
        self.journal.append({"type": kind, **fields})


@contextmanager
def open_study(
    runfile: RunFile,
    registry: Registry,
    listener: Listener = ignore,
    poll: float | None = None,
    consent: Consent = Consent(),  # noqa: B008  frozen
) -> Iterator[Study]:
    """Open a study for running; refuses if another run has it open, or if what earlier work depended on changed."""
    folder = runfile.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", path=folder) from error
    with Journal.open(folder, take_over=consent.take_over) as journal:
        run_id = identify(journal, folder, consent)
        check_options(journal, runfile, _versions(runfile, registry), consent, listener)
        store = Store(folder)
        store.sweep()
        stop_file = StopFile(folder, journal.generation)
        stop_file.withdraw()
        with (
            StatusFile(folder, run_id, journal.generation) as status,
            Notices(runfile.notifiers, folder, told_to(listener, status)) as notices,
        ):
            tell = told_to(listener, status, notices)
            jobs = JobRunner(
                folder,
                run_id,
                journal,
                runfile.crew.scheduler,
                runfile.resources,
                tell,
                poll,
                stop_file,
                runfile.secrets,
            )
            try:
                yield Study(runfile, registry, store, journal, jobs, stop_file, tell)
            finally:
                stop_file.withdraw()


def _versions(runfile: RunFile, registry: Registry) -> dict[str, str]:
    """Distribution and version behind each section of the run file."""
    return {where: registry.source(m) for where, m in runfile.crew.members().items()}


def planned_cycles(entries: Iterable[Mapping[str, Any]]) -> int:
    """The largest number of cycles that was ever asked for."""
    return max((e["cycles"] for e in entries if e["type"] == "PLAN"), default=0)


def cycle_records(entries: Iterable[Mapping[str, Any]]) -> dict[int, CycleRecord]:
    """Records of the finished cycles in a journal, by cycle."""
    return {e["cycle"]: record_from_json(e["record"]) for e in entries if e["type"] == "CYCLE_DONE"}


def final_record(entries: Iterable[Mapping[str, Any]]) -> CycleRecord | None:
    """The record of the final fit in a journal, unless something was said or done that asks for another one.

    Cycles were added or asked for, options changed, or labels rejected or released since it began.
    """
    found, begun, late = None, False, False
    for entry in entries:
        if entry["type"] == "INTENT":
            begun = True
        elif entry["type"] == "VERDICT":
            found, late = None, late or begun
        elif entry["type"] == "FINAL":
            found = None if late else entry
        elif entry["type"] in ("CYCLE_DONE", "TRAINING", "PLAN", "CHANGED"):
            found = None
        if ends_cycle(entry):
            begun = late = False
    return None if found is None else record_from_json(found["record"])
