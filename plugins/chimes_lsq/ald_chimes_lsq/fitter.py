"""The fitter `chimes`: its options, its jobs, and the files that users find in `GEN_FF`."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
from attrs.validators import gt

from ald_chimes_lsq.setup import FitSetup, StressRows, read_setup
from ald_core.digests import digest, file_digest
from ald_core.errors import InputError
from ald_core.options import identity, option
from ald_core.roles import Fitter
from ald_core.store import frame_to_json, labels_from_json, labels_to_json
from ald_core.types import (
    Failure,
    Frame,
    JobSpec,
    LabeledFrame,
    Labels,
    Model,
    RunJobs,
    Task,
    TrainingSet,
    Weights,
)

FRAMES = "frames.jsonl"
REQUEST = "request.json"
SETUP = "fm_setup.in"
REPORT = "report.json"
LABELS = "predicted.jsonl"
PARAMETERS = "params.txt"
FAILURE = "failure.txt"
FIT_OUTPUTS = (PARAMETERS, "params.txt.reduced", "compare.txt", "force.txt", "x.txt", REPORT)
"""What a fit leaves; all of it and `fm_setup.in` go to `GEN_FF`."""


@attrs.frozen(kw_only=True)
class ChimesFitter(Fitter):
    """Fit a ChIMES model by regularised linear least squares."""

    name: ClassVar[str] = "chimes"
    writes: ClassVar[str] = "chimes"
    cites: ClassVar[tuple[str, ...]] = (
        "Lindsey, Fried, Goldman, J. Chem. Theory Comput. 13, 6222 (2017), doi:10.1021/acs.jctc.7b00867 (ChIMES)",
        "Lindsey, Fried, Goldman, Bastea, J. Chem. Phys. 153, 134117 (2020), doi:10.1063/5.0021965",
    )
    setup: Path = option(help="fm_setup.in with the ChIMES hyperparameters", legacy="ALC0_FILES")
    algorithm: Literal["lasso", "ridge", "svd"] = option(
        "lasso", help="regularisation: exact LASSO, ridge, or truncated SVD", legacy="REGRESS_ALG"
    )
    alpha: float = option(
        1e-5,
        help="strength of lasso or ridge, kcal/mol; cut-off of singular values for svd",
        validator=gt(0.0),
        legacy="REGRESS_VAR",
    )
    energy: bool | None = option(None, help="fit energies; as fm_setup.in says if absent")
    stress: Literal["none", "diagonal", "full"] | None = option(
        None, help="which stress components to fit; as fm_setup.in says if absent"
    )

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether `fm_setup.in` can be read and knows the elements."""
        try:
            setup = read_setup(self.setup)
        except InputError as error:
            return [str(error)]
        problems = []
        missing = [e for e in elements if e not in {t.name for t in setup.basis.types}]
        if missing:
            problems.append(
                f"{self.setup} has no atom type {', '.join(missing)}; add it to TYPEIDX and PAIRIDX"
            )
        try:
            self._fitted(setup)
        except InputError as error:
            problems.append(str(error))
        return problems

    def fit(
        self, training: TrainingSet, weights: Weights, workdir: Path, run_jobs: RunJobs
    ) -> Model:
        """Fit in one job; its results are copied to `workdir`.

        Raises:
            InputError: a frame lacks a label that is to be fitted, or `fm_setup.in` asks for what no study can do.
        """
        stress, energy = self._fitted(read_setup(self.setup))
        for labeled in training.fitted:
            _require(labeled, stress, energy)
        lines = [_fit_line(labeled, weights) for labeled in training.fitted]
        [folder] = run_jobs([self._fit_task(lines, stress, energy)])
        for name in (*FIT_OUTPUTS, SETUP):
            shutil.copyfile(folder / name, workdir / name)
        report = json.loads((workdir / REPORT).read_text())
        return Model(self.writes, workdir / PARAMETERS, report)

    def predict(self, model: Model, frames: Sequence[Frame], run_jobs: RunJobs) -> list[Labels]:
        """Evaluate the model, without penalty, in one job."""
        lines = [json.dumps({"frame": frame_to_json(f)}) for f in frames]
        [folder] = run_jobs([_predict_task(model.path, lines)])
        text = (folder / LABELS).read_text()
        return [labels_from_json(json.loads(line)) for line in text.splitlines()]

    def _fitted(self, setup: FitSetup) -> tuple[StressRows, bool]:
        """Which stress rows, and whether energies are fitted.

        Raises InputError for `FIRST n`: the frames of a study have no order that a user could count on.
        """
        for name, key, frames in (
            ("stress", "FITSTRS", setup.fit_stress.frames),
            ("energy", "FITENER", setup.fit_energy.frames),
        ):
            if frames is not None and getattr(self, name) is None:
                raise InputError(
                    f"{key} names the first {frames} frames, which a study cannot tell from others; "
                    f"write {key} for all frames, or set fitter.{name} in the run file",
                    path=self.setup,
                )
        return (
            setup.fit_stress.rows if self.stress is None else self.stress,
            setup.fit_energy.wanted if self.energy is None else self.energy,
        )

    def _fit_task(self, lines: Sequence[str], stress: StressRows, energy: bool) -> Task[Path]:
        request = {
            "algorithm": self.algorithm,
            "alpha": self.alpha,
            "stress": stress,
            "energy": energy,
        }

        def prepare(workdir: Path, rung: int) -> JobSpec:
            del rung
            shutil.copyfile(self.setup, workdir / SETUP)
            (workdir / REQUEST).write_text(json.dumps(request) + "\n")
            return _job("fit", workdir, lines, FIT_OUTPUTS)

        work = digest("chimes fit", identity(self), *lines)
        return Task("fit", "fit", work, prepare, partial(_collect, FIT_OUTPUTS))


def stress_rows(frame: Frame, stress: StressRows) -> StressRows:
    """Rows of one frame: molecules, and all that is not periodic in every direction, have no stress."""
    return stress if frame.kind == "bulk" and frame.atoms.pbc.all() else "none"


def _require(labeled: LabeledFrame, stress: StressRows, energy: bool) -> None:
    """Refuse a frame without a label that is to be fitted."""
    frame, labels = labeled.frame, labeled.labels
    given_by_user = frame.origin.cycle == 0
    cure = "set relabel = true for its file" if given_by_user else "use a labeler that gives it"
    start = f"frame {frame.id} has no"
    if labels.forces is None:
        raise InputError(f"{start} forces, which are to be fitted; {cure}")
    if energy and labels.energy is None:
        raise InputError(
            f"{start} energy, which is to be fitted; {cure}, or set fitter.energy = false"
        )
    if stress_rows(frame, stress) != "none" and labels.stress is None:
        raise InputError(
            f"{start} stress, which is to be fitted (all six components are needed; a file's diagonal alone is not "
            f'used); {cure}, or set fitter.stress = "none"'
        )


def _predict_task(parameters: Path, lines: Sequence[str]) -> Task[Path]:
    def prepare(workdir: Path, rung: int) -> JobSpec:
        del rung
        shutil.copyfile(parameters, workdir / PARAMETERS)
        return _job("predict", workdir, lines, (LABELS,))

    work = digest("chimes predict", file_digest(parameters), *lines)
    return Task("predict", "predict", work, prepare, partial(_collect, (LABELS,)))


def _job(what: str, workdir: Path, lines: Sequence[str], outputs: tuple[str, ...]) -> JobSpec:
    (workdir / FRAMES).write_text("".join(line + "\n" for line in lines))
    return JobSpec((sys.executable, "-m", "ald_chimes_lsq.fit_job", what), outputs)


def _collect(outputs: tuple[str, ...], workdir: Path) -> Path | Failure:
    failed = workdir / FAILURE
    if failed.is_file():
        return Failure(failed.read_text().strip(), "input")
    missing = [name for name in outputs if not (workdir / name).is_file()]
    return Failure(f"{', '.join(missing)} missing") if missing else workdir


def _fit_line(labeled: LabeledFrame, weights: Weights) -> str:
    own = weights.frames[labeled.frame.id]
    values: dict[str, Any] = {
        "frame": frame_to_json(labeled.frame),
        "labels": labels_to_json(labeled.labels),
        "weights": {
            "forces": own.forces.tolist(),
            "energy": own.energy,
            "stress": own.stress.tolist(),
        },
    }
    return json.dumps(values)
