"""The active-learning cycle: fit, run MD, select, label, grow; again; at the end a final fit on all data."""

from __future__ import annotations

import attrs

from ald_core import steps
from ald_core.store import CycleRecord, MDRecord
from ald_core.study import Study
from ald_core.types import Model, TrainingSet, Trajectory


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
    model = steps.fit(study, cycle, training)
    trajectories = steps.run_md(study, cycle, model)
    frames = steps.select(study, cycle, training, model, trajectories)
    labeled, quarantined = steps.label(study, cycle, frames)
    grown = study.commit_training(cycle, training.grow(labeled))
    record = attrs.evolve(
        judge(study, cycle, model, training, trajectories),
        added=len(labeled),
        added_held_out=sum(f.held_out for f in labeled),
        quarantined=quarantined,
    )
    study.commit_cycle(record, grown)
    return grown


def finish(study: Study, cycle: int, training: TrainingSet, *, with_md: bool) -> CycleRecord:
    """The final fit, which uses the labels of the last cycle too, and MD with it to see how it behaves."""
    model = steps.fit(study, cycle, training)
    trajectories = steps.run_md(study, cycle, model) if with_md else []
    record = judge(study, cycle, model, training, trajectories)
    curve = steps.learning_curve(study, cycle, training.held_out)
    return study.commit_final(attrs.evolve(record, curve=curve), training)


def judge(
    study: Study, cycle: int, model: Model, training: TrainingSet, trajectories: list[Trajectory]
) -> CycleRecord:
    """What a cycle's model is worth, as a record."""
    with study.step(cycle, "judge", 1):
        groups = (training.fitted, training.held_out)
        fitted, held_out = steps.force_errors(study, cycle, model, *groups)
    runs = [
        MDRecord(t.case.name, t.steps, t.planned, t.stable, t.reason, t.drift, t.counts)
        for t in trajectories
    ]
    path = model.path.relative_to(study.store.folder)
    return CycleRecord(
        cycle=cycle,
        model=str(path),
        model_format=model.format,
        fitted=fitted,
        held_out=held_out,
        md=tuple(runs),
        report=model.report,
    )
