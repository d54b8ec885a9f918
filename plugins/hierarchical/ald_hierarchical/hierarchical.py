"""The fitter `hierarchical`: frozen models are subtracted, another fitter fits the rest, and all are merged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import attrs
from attrs.validators import ge, min_len

from ald_chimes_lsq.fit_files import PARAMETERS, REDUCED
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.params_write import reduced_text
from ald_chimes_lsq.formats.setup import read_setup
from ald_core.errors import InputError
from ald_core.options import Legacy, option
from ald_core.roles import Fitter
from ald_core.types import Frame, Labels, Model, RunJobs, TrainingSet, Weights
from ald_hierarchical.rest import FITTED, rest_of, write_comparison
from ald_hierarchical.tiles import evaluate_tiles


@attrs.frozen(kw_only=True)
class HierarchicalFitter(Fitter):
    """Fit what frozen ChIMES models leave, and merge all into one model."""

    name: ClassVar[str] = "hierarchical"
    writes: ClassVar[str] = "chimes"
    tiles: tuple[Path, ...] = option(
        help="parameter files of the models that are kept as they are; each interaction in one of them",
        validator=min_len(1),
        legacy=Legacy("HIERARCH_PARAM_FILES", lambda names, _: old_tiles(names)),
    )
    inner: Fitter = option(help="what fits the rest, with its options: [fitter.inner]")
    frames_per_job: int = option(
        50,
        help="frames for which one job evaluates a frozen model",
        validator=ge(1),
        identity=False,
    )

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether the frozen models can be read, know these elements only, and go with the set-up of the fit."""
        problems = inner_problems(self.inner)
        for path in self.tiles:
            try:
                types = read_params(path).basis.types
            except InputError as error:
                problems.append(str(error))
                continue
            strange = [t.name for t in types if t.name not in elements]
            if strange and elements:
                problems.append(f"{path}: describes {', '.join(strange)}, not among study.elements")
        return problems or self._setup_problems()

    def _setup_problems(self) -> list[str]:
        """What the set-up of the wrapped fitter, if it has one, must say for fits on these models."""
        from ald_chimes_lsq.exclusions import check_tiles  # noqa: PLC0415 (compiled code)

        setup, energies = (getattr(self.inner, name, None) for name in ("setup", "energy"))
        if not isinstance(setup, Path):
            return []
        try:
            known = read_setup(setup)
        except InputError:
            return []  # of which the wrapped fitter tells
        return check_tiles(known, self.tiles, energies=energies)

    def fit(
        self, training: TrainingSet, weights: Weights, workdir: Path, run_jobs: RunJobs
    ) -> Model:
        """Fit the rest and merge; what the wrapped fitter leaves is in `fitted/`.

        Weights are those of the labels as they are, not of the rest.

        Raises:
            InputError: a frozen model cannot say anything about a frame, or the wrapped fitter raises it.
        """
        from ald_chimes_lsq.merging import merge_files  # noqa: PLC0415 (compiled code)

        labeled = training.fitted
        frames = [f.frame for f in labeled]
        known = self._evaluate(self.tiles, frames, run_jobs)
        own = workdir / FITTED
        own.mkdir()
        fitted = self.inner.fit(rest_of(labeled, known), weights, own, run_jobs)
        path = workdir / PARAMETERS
        merge_files([*self.tiles, fitted.path]).write(path)
        (workdir / REDUCED).write_text(reduced_text(path.read_text()))
        write_comparison(workdir, labeled, self._evaluate([path], frames, run_jobs))
        report = {**fitted.report, "tiles": [tile.name for tile in self.tiles]}
        return Model(self.writes, path, report)

    def predict(self, model: Model, frames: Sequence[Frame], run_jobs: RunJobs) -> list[Labels]:
        """What the merged model says."""
        return self.inner.predict(model, frames, run_jobs)

    def _evaluate(
        self, models: Sequence[Path], frames: Sequence[Frame], run_jobs: RunJobs
    ) -> list[Labels]:
        return evaluate_tiles(models, frames, self.frames_per_job, run_jobs)


def inner_problems(inner: Fitter) -> list[str]:
    """Whether a fitter gives ChIMES models, which can be put on top of something."""
    if inner.writes == "chimes":
        return []
    return [
        f"inner: '{inner.name}' gives models of format '{inner.writes}', not 'chimes'; choose another fitter"
    ]


def old_tiles(names: object) -> list[str]:
    """Where the existing driver has the parameter files that are named; ValueError if they are no names."""
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, (list, tuple)) or not all(isinstance(n, str) for n in listed):
        raise ValueError(f"a list of file names is needed, not {names!r}")
    return [f"ALL_BASE_FILES/HIERARCH_PARAMS/{name.strip()}" for name in listed]
