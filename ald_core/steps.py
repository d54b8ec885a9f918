"""The steps of a cycle. Each takes a study, a cycle number and data, and gives data; finished jobs are not redone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial, reduce
from operator import mul
from pathlib import Path

import attrs
import numpy as np

from ald_core.digests import digest, file_digest
from ald_core.errors import FuseBlown, InputError, PluginError
from ald_core.events import Note
from ald_core.frames import read_frames
from ald_core.gates import pass_gates
from ald_core.holdout import held_out
from ald_core.options import identity
from ald_core.roles import Labeler, MDEngine, SelectionContext
from ald_core.sections import QualityOptions
from ald_core.store import ForceError, Quarantine, finite
from ald_core.study import Study
from ald_core.types import (
    Candidate,
    Case,
    Failure,
    Frame,
    JobSpec,
    Kind,
    LabeledFrame,
    Labels,
    Model,
    Pick,
    Task,
    TrainingSet,
    Trajectory,
)


def start(study: Study) -> TrainingSet:
    """The starting set: frames as given; those without labels are labelled first."""
    known = study.finished_training(0)
    if known is not None:
        return known
    given = read_frames(study.runfile.frames, study.runfile.study.elements)
    bare = [frame for frame, labels in given if labels is None]
    chosen = _held_out(study, [frame for frame, _ in given])
    if len(chosen) == len(given):
        chosen = frozenset()  # a fit needs something, and the seed must not decide whether it has
    ready = [
        LabeledFrame(frame, labels, "given", 1, frame.id in chosen)
        for frame, labels in given
        if labels is not None
    ]
    made, quarantined = label(study, 1, bare, chosen, first_fit=1) if bare else ([], ())
    for frame_id, reason in quarantined:
        study.listener(Note(f"starting frame {frame_id} is left out: {reason}", "warning"))
    training = TrainingSet().grow([*ready, *made])
    if not training.fitted:
        raise InputError("the training set is empty: no starting frame has usable labels")
    return study.commit_training(0, training, quarantined)


def fit(study: Study, cycle: int, training: TrainingSet) -> Model:
    """Weight and fit; the fitter's files become `ALC-n/GEN_FF`."""
    crew = study.crew
    with study.step(cycle, "fit", 1) as remark:
        weights = reduce(mul, (w.weights(training, cycle) for w in crew.weightings))
        with study.store.building(cycle, "GEN_FF") as workdir:
            model = crew.fitter.fit(training, weights, workdir, study.must_run(cycle))
            name = model.path.relative_to(workdir)
            (workdir / "fit.json").write_text(json.dumps(finite(model.report), indent=1) + "\n")
        remark(f"{len(training.fitted)} frames fitted")
    return attrs.evolve(model, path=study.store.cycle_folder(cycle) / "GEN_FF" / name)


def run_md(study: Study, cycle: int, model: Model) -> list[Trajectory]:
    """MD of every case; the runs become `ALC-n/CASE-i_INDEP_0`."""
    engine = study.crew.md
    if engine is None:
        raise InputError("md: is required to run cycles; add [md] to the run file")
    asked = digest("md", identity(engine), study.registry.source(engine), file_digest(model.path))
    tasks = [_md_task(study, engine, asked, cycle, model, case) for case in study.runfile.cases]
    with study.step(cycle, "md", len(tasks)) as remark:
        results = study.must_run(cycle)(tasks)
        for case, (_, folder) in zip(study.runfile.cases, results, strict=True):
            study.store.show_files(cycle, f"CASE-{case.index}_INDEP_0", folder, engine.views())
        trajectories = [trajectory for trajectory, _ in results]
        remark(", ".join(f"{t.case.name}: {t.steps} of {t.planned} steps" for t in trajectories))
    return trajectories


def select(
    study: Study,
    cycle: int,
    training: TrainingSet,
    model: Model,
    trajectories: Sequence[Trajectory],
) -> list[Frame]:
    """Frames worth labelling, in the order of the selector's picks."""
    selector = study.crew.selector
    if selector is None:
        raise InputError("selector: is required to run cycles; add [selector] to the run file")
    candidates = [c for t in trajectories for c in t.candidates]
    with study.step(cycle, "select", 1) as remark:
        context = SelectionContext(
            cycle,
            training,
            model,
            study.generator("select", cycle),
            partial(predict, study, cycle, model),
            tuple(t.case.name for t in trajectories),
        )
        picks = selector.select(candidates, context)
        frames = _picked(selector.name, candidates, picks)
        remark(f"{len(frames)} of {len(candidates)} candidates")
    return frames


def label(
    study: Study,
    cycle: int,
    frames: Sequence[Frame],
    chosen: frozenset[str] | None = None,
    first_fit: int | None = None,
) -> tuple[list[LabeledFrame], Quarantine]:
    """Label frames; what fails again and again is quarantined with its reason.

    `chosen` are the ids to hold out, by default a block of each trajectory.
    """
    chosen = _held_out(study, frames) if chosen is None else chosen
    tasks = _label_tasks(study, frames)
    with study.step(cycle, "label", len(tasks)) as remark:
        results = study.run_jobs(cycle, tasks)
        accepted, quarantined = [], []
        for frame, result in zip(frames, results, strict=True):
            if isinstance(result, Failure):
                quarantined.append((frame.id, result.reason))
            else:
                name = _labeler_name(study, frame.kind)
                since = cycle + 1 if first_fit is None else first_fit
                accepted.append(LabeledFrame(frame, result, name, since, frame.id in chosen))
        remark(f"{len(accepted)} labelled, {len(quarantined)} quarantined")
    _fuse(study, cycle, tasks, quarantined)
    _show_labels(study, cycle, accepted)
    return accepted, tuple(quarantined)


def predict(study: Study, cycle: int, model: Model, frames: Sequence[Frame]) -> list[Labels]:
    """What a model says about frames."""
    return study.crew.fitter.predict(model, frames, study.must_run(cycle)) if frames else []


def force_errors(
    study: Study, cycle: int, model: Model, *groups: Sequence[LabeledFrame]
) -> list[ForceError | None]:
    """Root mean square error of the force components over each group of frames; None where none has forces."""
    judged = [[f for f in group if f.labels.forces is not None] for group in groups]
    frames = [f for group in judged for f in group]
    said = iter(predict(study, cycle, model, [f.frame for f in frames]))
    errors: list[ForceError | None] = []
    for group in judged:
        squares = [np.square(next(said).forces - f.labels.forces) for f in group]  # type: ignore[operator]
        mean = np.mean(np.concatenate(squares)) if squares else 0.0
        errors.append(ForceError(float(np.sqrt(mean)), len(group)) if group else None)
    return errors


def learning_curve(
    study: Study, last: int, frames: Sequence[LabeledFrame]
) -> tuple[tuple[int, float | None], ...]:
    """Force error (eV/Å) of the models of all cycles before `last` over the same frames."""
    curve = []
    for cycle, record in study.records().items():
        model = Model(record.model_format, study.store.folder / record.model)
        if cycle >= last:
            continue
        if not model.path.is_file():
            study.listener(Note(f"{model.path} is gone; cycle {cycle} is not judged", "warning"))
            continue
        if model.format != study.crew.fitter.writes:
            continue  # the fitter was changed since
        [error] = force_errors(study, last, model, frames)
        curve += [(cycle, error.rmse)] if error else []
    return tuple(curve)


# ---------------------------------------------------------------- tasks


def _md_task(
    study: Study, engine: MDEngine, asked: str, cycle: int, model: Model, case: Case
) -> Task[tuple[Trajectory, Path]]:
    seed = study.seed("md", cycle, case.name)
    inputs = [file_digest(p) for p in (case.structure, case.input) if p is not None]

    def prepare(workdir: Path, rung: int) -> JobSpec:
        del rung
        return engine.prepare(model, case, seed, workdir)

    def collect(workdir: Path) -> tuple[Trajectory, Path] | Failure:
        trajectory = engine.collect(case, cycle, workdir)
        return trajectory if isinstance(trajectory, Failure) else (trajectory, workdir)

    identifier = digest(asked, *inputs, case.name, case.index, case.temperature, seed)
    return Task("md", case.name, identifier, prepare, collect, resources=case.resources)


def _label_tasks(study: Study, frames: Sequence[Frame]) -> list[Task[Labels]]:
    asked: dict[Kind, str] = {}
    tasks = []
    for frame in frames:
        labeler = study.crew.labelers.get(frame.kind) or study.crew.labelers.get("bulk")
        if labeler is None:
            raise InputError(
                f"labelers.{frame.kind}: is required, because frame {frame.id} has no labels yet"
            )
        if frame.kind not in asked:
            asked[frame.kind] = digest("label", identity(labeler), study.registry.source(labeler))
        tasks.append(_label_task(labeler, asked[frame.kind], frame, study.runfile.quality))
    return tasks


def _label_task(
    labeler: Labeler, asked: str, frame: Frame, quality: QualityOptions
) -> Task[Labels]:
    def prepare(workdir: Path, rung: int) -> JobSpec:
        return labeler.prepare(frame, workdir, rung)

    def collect(workdir: Path) -> Labels | Failure:
        return labeler.collect(frame, workdir)

    def gate(labels: Labels) -> Labels | Failure:
        return pass_gates(labels, frame, quality)

    identifier = digest(asked, frame.id, frame.digest)
    return Task("label", frame.id, identifier, prepare, collect, gate)


# ---------------------------------------------------------------- picks and labels


def _picked(selector: str, candidates: Sequence[Candidate], picks: Sequence[Pick]) -> list[Frame]:
    """The picked frames; molecules cut out of one frame are numbered as its parts."""
    frames, parts = [], dict[int, int]()
    for pick in picks:
        if not 0 <= pick.position < len(candidates):
            raise PluginError(
                f"the selector '{selector}' picked position {pick.position} of {len(candidates)} candidates"
            )
        part = (
            parts.get(pick.position, -1) + 1
            if pick.atoms is None
            else parts.get(pick.position, 0) + 1
        )
        if pick.atoms is None and part:
            raise PluginError(f"the selector '{selector}' picked position {pick.position} twice")
        parts[pick.position] = part
        frames.append(candidates[pick.position].frame(pick.atoms, pick.kind, part))
    return frames


def _held_out(study: Study, frames: Sequence[Frame]) -> frozenset[str]:
    options = study.runfile
    return held_out(frames, options.training.held_out, options.study.seed)


def _labeler_name(study: Study, kind: Kind) -> str:
    labelers = study.crew.labelers
    return (labelers.get(kind) or labelers["bulk"]).name


def _fuse(
    study: Study,
    cycle: int,
    tasks: Sequence[Task[Labels]],
    quarantined: Sequence[tuple[str, str]],
) -> None:
    """Stop if too many labels failed; the next `ald run`, before which something was put right, tries them again."""
    limit = study.runfile.quality.max_quarantined
    if len(quarantined) > limit * len(tasks):
        study.jobs.release(tasks)
        frame_id, reason = quarantined[0]
        raise FuseBlown(
            f"cycle {cycle}: {len(quarantined)} of {len(tasks)} labels failed, more than quality.max_quarantined = "
            f"{limit:g} allows; the first: {frame_id}: {reason}; the next `ald run` tries them again"
        )


def _show_labels(study: Study, cycle: int, accepted: Sequence[LabeledFrame]) -> None:
    by_source: dict[tuple[str, Kind], list[LabeledFrame]] = {}
    for labeled in accepted:
        by_source.setdefault((labeled.frame.origin.source, labeled.frame.kind), []).append(labeled)
    index = {case.name: case.index for case in study.runfile.cases}
    for (source, kind), frames in sorted(by_source.items()):
        tag = f"{_labeler_name(study, kind).upper()}-{'20' if kind == 'bulk' else 'all'}"
        given = frames[0].frame.origin.cycle == 0
        place = f"CASE-{index[source]}" if source in index else source
        place = f"given-{source}" if given else place
        study.store.show_labels(cycle, f"{tag}/{place}", frames)
