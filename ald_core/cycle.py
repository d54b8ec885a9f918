"""The active-learning cycle: fit, run MD, select, label, grow; again and again; at the end a final fit on all data.

Everything that a step needs is among its arguments, and nothing else is waited for: labels of one case are made while
MD of another one still runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ald_core import steps
from ald_core.flow import Flow, both, each
from ald_core.steps import Labelled
from ald_core.store import CycleRecord, MDRecord
from ald_core.study import Study
from ald_core.types import Case, Model, TrainingSet, Trajectory


def run_study(study: Study, cycles: int, *, fit_only: bool = False) -> list[CycleRecord]:
    """Run or resume a study; returns the records of its cycles, the last one that of the final fit."""
    cycles = max(study.records(), default=0) if fit_only else study.plan(cycles)
    with study.reported(cycles):
        training = steps.start(study)
        for cycle in range(1, cycles + 1):
            training = run_cycle(study, cycle, training)
            study.stop_file.check_after_cycle(cycle)
        with_md = study.runfile.study.final_md and study.crew.md is not None and not fit_only
        final = study.final(cycles + 1, with_md=with_md)
        if final is None:
            final = finish(study, cycles + 1, training, with_md=with_md)
    return [record for n, record in study.records().items() if n <= cycles] + [final]


def run_cycle(study: Study, cycle: int, training: TrainingSet) -> TrainingSet:
    """One cycle: returns the grown training set; a finished cycle is only read."""
    grown = study.finished_training(cycle)
    if grown is not None and cycle in study.records():
        return grown
    training = study.as_judged(training)
    model = steps.fit(study, cycle, training)
    parts = steps.parts(study)
    exploring = each(explore(study, cycle, model, training, *part) for part in parts.items())
    explored, record = study.run(cycle, both(exploring, judge(study, cycle, model, training)))
    labels = [labels for _, labels in explored]
    labeled, quarantined = steps.accept(study, cycle, labels, training.frames)
    grown = study.commit_training(cycle, training.grow(labeled))
    added = [f for f in grown.frames if f.frame.origin.cycle == cycle and not f.set_aside]
    record = attrs.evolve(
        record,
        md=tuple(run for runs, _ in explored for run in runs),
        added=len(added),
        added_held_out=sum(f.held_out for f in added),
        quarantined=quarantined,
    )
    study.commit_cycle(record, grown)
    return grown


def explore(
    study: Study, cycle: int, model: Model, training: TrainingSet, part: str, cases: Sequence[Case]
) -> Flow[tuple[list[MDRecord], Labelled]]:
    """MD of cases that are selected from together, and labels of the selected frames."""
    trajectories = yield from each(steps.run_md(study, cycle, model, case) for case in cases)
    frames = yield from steps.select(study, cycle, training, model, trajectories, part)
    labels = yield from steps.label(study, cycle, frames, part)
    return md_records(trajectories), labels


def finish(study: Study, cycle: int, training: TrainingSet, *, with_md: bool) -> CycleRecord:
    """The final fit, which uses the labels of the last cycle too, and MD with it to see how it behaves."""
    training = study.as_judged(training)
    model = steps.fit(study, cycle, training)
    cases = study.runfile.cases if with_md else ()
    running = each(steps.run_md(study, cycle, model, case) for case in cases)
    judging = judge(study, cycle, model, training)
    comparing = steps.learning_curve(study, cycle, training.held_out)
    trajectories, (record, curve) = study.run(cycle, both(running, both(judging, comparing)))
    record = attrs.evolve(record, md=tuple(md_records(trajectories)), curve=curve)
    return study.commit_final(record, training)


def judge(study: Study, cycle: int, model: Model, training: TrainingSet) -> Flow[CycleRecord]:
    """What a cycle's model is worth, as a record; nothing of MD and labels yet."""
    with study.step(cycle, "judge", 1):
        groups = (training.fitted, training.held_out)
        fitted, held_out = yield from steps.force_errors(study, cycle, model, *groups)
    path = str(model.path.relative_to(study.store.folder))
    return CycleRecord(
        cycle, path, model.format, fitted=fitted, held_out=held_out, report=model.report
    )


def md_records(trajectories: Sequence[Trajectory]) -> list[MDRecord]:
    """What is kept of MD runs."""
    return [
        MDRecord(t.case.name, t.steps, t.planned, t.stable, t.reason, t.drift, t.counts, t.tables)
        for t in trajectories
    ]
