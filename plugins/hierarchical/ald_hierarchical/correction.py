"""The fitter `correction`: a baseline is subtracted, and another fitter fits the rest."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from ald_core.options import option
from ald_core.roles import Fitter, Labeler
from ald_core.types import Frame, Labels, Model, RunJobs, TrainingSet, Weights
from ald_hierarchical.baseline import evaluate_baseline
from ald_hierarchical.hierarchical import inner_problems
from ald_hierarchical.rest import FITTED, added, rest_of, write_comparison

if TYPE_CHECKING:
    from ald_core.legacy.config import Config


@attrs.frozen(kw_only=True)
class CorrectionFitter(Fitter):
    """Fit the difference between labels and a cheaper method, which goes along in MD."""

    name: ClassVar[str] = "correction"
    writes: ClassVar[str] = "chimes-correction"
    baseline: Labeler = option(
        help="the cheaper method, any labeler with its options: [fitter.baseline]"
    )
    inner: Fitter = option(help="what fits the difference, with its options: [fitter.inner]")

    @classmethod
    def from_legacy(cls, config: Config) -> dict[str, Any]:
        """Options of the existing driver, whose baseline is DFTB+ with a folder of inputs."""
        folders = (
            config.texts("CORRECTED_TYPE_FILES") if config.is_given("CORRECTED_TYPE_FILES") else []
        )
        if config.text("CORRECTED_TYPE") not in ("DFTB", "DFTB+") or not folders:
            return {}
        baseline: dict[str, Any] = {
            "use": "dftb",
            "inputs": config.in_study(config.find(folders[0])),
        }
        program = config.text("CORRECTED_TYPE_EXE")
        if program:
            baseline["program"] = str(config.find(program)) if "/" in program else program
        return {"baseline": baseline}

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether the wrapped fitter gives ChIMES models."""
        del elements
        return inner_problems(self.inner)

    def fit(
        self, training: TrainingSet, weights: Weights, workdir: Path, run_jobs: RunJobs
    ) -> Model:
        """Fit the difference; what the wrapped fitter leaves is in `fitted/`.

        Weights are those of the labels as they are, not of the difference.

        Raises:
            InputError: the baseline gives nothing for a frame, which is named, or the wrapped fitter raises it.
        """
        labeled = training.fitted
        frames = [f.frame for f in labeled]
        known = evaluate_baseline(self.baseline, frames, run_jobs)
        own = workdir / FITTED
        own.mkdir()
        fitted = self.inner.fit(rest_of(labeled, known), weights, own, run_jobs)
        said = self.inner.predict(fitted, frames, run_jobs)
        write_comparison(workdir, labeled, map(added, known, said))
        for path in (fitted.path, fitted.path.with_name(f"{fitted.path.name}.reduced")):
            if path.is_file():
                shutil.copyfile(path, workdir / path.name)
        report = {**fitted.report, "baseline": self.baseline.name}
        return Model(self.writes, workdir / fitted.path.name, report)

    def predict(self, model: Model, frames: Sequence[Frame], run_jobs: RunJobs) -> list[Labels]:
        """What baseline and model say together."""
        known = evaluate_baseline(self.baseline, frames, run_jobs)
        said = self.inner.predict(attrs.evolve(model, format=self.inner.writes), frames, run_jobs)
        return list(map(added, known, said))
