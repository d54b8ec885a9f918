"""The steps of a cycle. Each takes a study, a cycle number and data, and gives data; finished jobs are not redone.

Those that give a `Flow` may go on at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial, reduce
from operator import mul
from pathlib import Path

import attrs
import numpy as np

from ald_core.acceptance import check_share, compare
from ald_core.crew import label_obstacles
from ald_core.digests import digest, file_digest
from ald_core.errors import InputError, InputErrors, PluginError
from ald_core.events import Note
from ald_core.flow import Flow, each, outcomes, replayed, successes
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
    Resources,
    RunJobs,
    Task,
    TrainingSet,
    Trajectory,
)
from ald_core.verdicts import after


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
    made, quarantined = accept(
        study,
        1,
        [study.run(1, label(study, 1, bare, chosen=chosen, first_fit=1))] if bare else [],
        ready,
        starting_set=True,
    )
    for frame_id, reason in quarantined:
        study.listener(Note(f"starting frame {frame_id} is left out: {reason}", "warning"))
    training = after(TrainingSet().grow([*ready, *made]), study.verdicts())
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


def parts(study: Study) -> dict[str, tuple[Case, ...]]:
    """Cases that are selected from together, by what people are told: each by itself if the selector allows it."""
    cases = study.runfile.cases
    if study.crew.selector is not None and study.crew.selector.per_case:
        return {case.name: (case,) for case in cases}
    return {"": cases}


def run_md(study: Study, cycle: int, model: Model, case: Case) -> Flow[Trajectory]:
    """MD of a case; the run becomes `ALC-n/CASE-i_INDEP_0`."""
    engine = study.crew.md
    if engine is None:
        raise InputError("md: is required to run cycles; add [md] to the run file")
    asked = digest("md", identity(engine), study.registry.source(engine), file_digest(model.path))
    task = _md_task(study, engine, asked, cycle, model, case)
    with study.step(cycle, "md", 1, case.name) as remark:
        [(trajectory, folder)] = yield from successes(cycle, "md", [task])
        study.store.show_files(cycle, f"CASE-{case.index}_INDEP_0", folder, engine.views())
        remark(f"{trajectory.steps} of {trajectory.planned} steps")
    return trajectory


def select(
    study: Study,
    cycle: int,
    training: TrainingSet,
    model: Model,
    trajectories: Sequence[Trajectory],
    part: str = "",
) -> Flow[list[Frame]]:
    """Frames worth labelling, in the order of the selector's picks."""
    selector = study.crew.selector
    if selector is None:
        raise InputError("selector: is required to run cycles; add [selector] to the run file")
    candidates = [c for t in trajectories for c in t.candidates]
    cases = tuple(t.case.name for t in trajectories)
    purpose = ("select", cycle, *cases) if selector.per_case else ("select", cycle)

    def call(run_jobs: RunJobs) -> list[Pick]:
        def predict(frames: Sequence[Frame]) -> list[Labels]:
            return study.crew.fitter.predict(model, frames, run_jobs) if frames else []

        rng = study.generator(*purpose)
        context = SelectionContext(cycle, training, model, rng, predict, cases)
        return selector.select(candidates, context)

    with study.step(cycle, "select", 1, part) as remark:
        what = f"the selector '{selector.name}'"
        picks = yield from replayed(cycle, "select", what, call)
        frames = _picked(selector.name, candidates, picks)
        remark(f"{len(frames)} of {len(candidates)} candidates")
    return frames


@attrs.frozen(eq=False)
class Labelled:
    """What has become of frames that were to be labelled."""

    tasks: Sequence[Task[Labels]]
    accepted: Sequence[LabeledFrame]
    quarantined: Quarantine


def label(
    study: Study,
    cycle: int,
    frames: Sequence[Frame],
    part: str = "",
    chosen: frozenset[str] | None = None,
    first_fit: int | None = None,
) -> Flow[Labelled]:
    """Label frames; what fails again and again is quarantined with its reason.

    `chosen` are the ids to hold out, by default a block of each trajectory.
    """
    chosen = _held_out(study, frames) if chosen is None else chosen
    tasks = _label_tasks(study, frames)
    with study.step(cycle, "label", len(tasks), part) as remark:
        results = yield from outcomes("label", tasks)
        accepted, quarantined = [], []
        for frame, result in zip(frames, results, strict=True):
            if isinstance(result, Failure):
                quarantined.append((frame.id, result.reason))
            else:
                name = _labeler_name(study, frame.kind)
                since = cycle + 1 if first_fit is None else first_fit
                accepted.append(LabeledFrame(frame, result, name, since, frame.id in chosen))
        remark(f"{len(accepted)} labelled, {len(quarantined)} quarantined")
    return Labelled(tasks, accepted, tuple(quarantined))


def accept(
    study: Study,
    cycle: int,
    parts: Sequence[Labelled],
    known: Sequence[LabeledFrame],
    *,
    starting_set: bool = False,
) -> tuple[list[LabeledFrame], Quarantine]:
    """All labels of a cycle, which users find in `ALC-n/<LABELER>-*`, unless too many failed.

    They are compared with `known`, those of a starting set with one another too; outliers are set aside.
    """
    tasks = [task for part in parts for task in part.tasks]
    made = [labeled for part in parts for labeled in part.accepted]
    failed = tuple(entry for part in parts for entry in part.quarantined)
    if starting_set:
        accepted, outliers = compare(study, 0, [*known, *made], made, given=known)
    else:
        accepted, outliers = compare(study, cycle, known, made)
    check_share(study, cycle, tasks, failed, outliers)
    _show_labels(study, cycle, [labeled for labeled in accepted if not labeled.set_aside])
    aside = tuple((f.frame.id, f.set_aside) for f in accepted if f.set_aside)
    return accepted, failed + aside


def predict(study: Study, cycle: int, model: Model, frames: Sequence[Frame]) -> Flow[list[Labels]]:
    """What a model says about frames, in the step `judge`."""
    if not frames:
        return []
    fitter = study.crew.fitter
    what = f"predict of the fitter '{fitter.name}'"
    return (yield from replayed(cycle, "judge", what, partial(fitter.predict, model, frames)))


def force_errors(
    study: Study, cycle: int, model: Model, *groups: Sequence[LabeledFrame]
) -> Flow[list[ForceError | None]]:
    """Root mean square error of the force components over each group of frames; None where none has forces."""
    judged = [[f for f in group if f.labels.forces is not None] for group in groups]
    frames = [f for group in judged for f in group]
    said = iter((yield from predict(study, cycle, model, [f.frame for f in frames])))
    errors: list[ForceError | None] = []
    for group in judged:
        squares = [np.square(next(said).forces - f.labels.forces) for f in group]  # type: ignore[operator]
        mean = np.mean(np.concatenate(squares)) if squares else 0.0
        errors.append(ForceError(float(np.sqrt(mean)), len(group)) if group else None)
    return errors


def learning_curve(
    study: Study, last: int, frames: Sequence[LabeledFrame]
) -> Flow[tuple[tuple[int, float | None], ...]]:
    """Force error (eV/Å) of the models of all cycles before `last` over the same frames."""
    models = {}
    for cycle, record in study.records().items():
        model = Model(record.model_format, study.store.folder / record.model)
        if cycle >= last:
            continue
        if not model.path.is_file():
            study.listener(Note(f"{model.path} is gone; cycle {cycle} is not judged", "warning"))
        elif model.format == study.crew.fitter.writes:  # else the fitter was changed since
            models[cycle] = model
    if not models or not frames:
        return ()
    with study.step(last, "judge", len(models), "earlier cycles"):
        found = yield from each(force_errors(study, last, m, frames) for m in models.values())
    errors = {cycle: error for cycle, [error] in zip(models, found, strict=True)}
    return tuple((cycle, error.rmse) for cycle, error in errors.items() if error)


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
    problems = list(label_obstacles(study.crew, frames, study.runfile.study.elements))
    if problems:
        raise InputErrors(problems)
    asked: dict[Kind, str] = {}
    tasks = []
    for frame in frames:
        labeler = study.crew.labeler_of(frame.kind)
        assert labeler is not None  # noqa: S101  nothing is in the way
        if frame.kind not in asked:
            asked[frame.kind] = digest("label", identity(labeler), study.registry.source(labeler))
        resources = study.runfile.label_resources.get(frame.kind)
        tasks.append(
            _label_task(labeler, asked[frame.kind], frame, study.runfile.quality, resources)
        )
    return tasks


def _label_task(
    labeler: Labeler,
    asked: str,
    frame: Frame,
    quality: QualityOptions,
    resources: Resources | None,
) -> Task[Labels]:
    def prepare(workdir: Path, rung: int) -> JobSpec:
        return labeler.prepare(frame, workdir, rung)

    def collect(workdir: Path) -> Labels | Failure:
        return labeler.collect(frame, workdir)

    def gate(labels: Labels) -> Labels | Failure:
        return pass_gates(labels, frame, quality)

    identifier = digest(asked, frame.id, frame.digest)
    return Task("label", frame.id, identifier, prepare, collect, gate, resources)


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
    labeler = study.crew.labeler_of(kind)
    return "" if labeler is None else labeler.name


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
