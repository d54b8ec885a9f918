"""The fitter `chimes-external`: chimes_lsq and its solver, as the user has them, do the work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs
from attrs.validators import ge, gt

from ald_chimes_external.programs import absolute, program_problems
from ald_chimes_external.solver import Solver
from ald_chimes_external.training_files import TrainingFiles
from ald_chimes_lsq.fit_files import PARAMETERS
from ald_chimes_lsq.fitter import old_first_stress, old_style, predicted_labels
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.row_choice import RowChoice
from ald_core.options import Legacy, option
from ald_core.roles import Fitter
from ald_core.types import Frame, Labels, Model, RunJobs, TrainingSet, Weights

if TYPE_CHECKING:
    from ald_core.legacy.config import Config

Algorithm = Literal["svd", "fast_svd", "ridge", "ridgecv", "lasso", "lassolars", "dlars", "dlasso"]


@attrs.frozen(kw_only=True)
class ExternalFitter(Fitter):
    """Fit a ChIMES model with your own chimes_lsq and its solver."""

    name: ClassVar[str] = "chimes-external"
    writes: ClassVar[str] = "chimes"
    cites: ClassVar[tuple[str, ...]] = (
        "Lindsey, Fried, Goldman, J. Chem. Theory Comput. 13, 6222 (2017), doi:10.1021/acs.jctc.7b00867 (ChIMES)",
        "Lindsey, Fried, Goldman, Bastea, J. Chem. Phys. 153, 134117 (2020), doi:10.1063/5.0021965",
    )
    program: Path = option(
        help="chimes_lsq, the program that writes the design matrix",
        legacy="CHIMES_LSQ",
        identity=False,
    )
    solver: Path = option(
        help="chimes_lsq.py, or another program with its arguments",
        legacy="CHIMES_SOLVER",
        identity=False,
    )
    python: str | None = option(
        None,
        help="what runs the solver, such as python3; if absent, the solver is executable",
        legacy="HPC_PYTHON",
        identity=False,
    )
    solver_arguments: tuple[str, ...] = option(
        (),
        help="more arguments of the solver, such as --nodes=4, --cores=144, --dlasso_dlars_path=/opt/dlars/",
    )
    setup: Path = option(
        help="fm_setup.in with the ChIMES hyperparameters",
        legacy=Legacy("ALC0_FILES", lambda folder, _: f"{folder}/fm_setup.in"),
    )
    algorithm: Algorithm = option(
        "lassolars",
        help="of the solver; with ridge, ridgecv and lasso chimes_lsq.py ignores weights, so that there must be none",
        legacy=Legacy("REGRESS_ALG", lambda word, _: solver_algorithm(word)),
    )
    alpha: float = option(
        1e-5,
        help="strength of regularisation; cut-off of singular values for svd and fast_svd",
        validator=gt(0.0),
        legacy="REGRESS_VAR",
    )
    normalize: bool = option(
        False,
        help="dlars, dlasso: centre and scale the columns of the design matrix",
        legacy=Legacy(
            "REGRESS_NRM", lambda wanted, old: bool(wanted) and "dlasso" in str(old("REGRESS_ALG"))
        ),
    )
    energy: bool | None = option(None, help="fit energies; as fm_setup.in says if absent")
    stress: Literal["none", "diagonal", "full"] | None = option(
        None, help="which stress components to fit; as fm_setup.in says if absent"
    )
    new_stress: Literal["none", "diagonal", "full"] | None = option(
        None,
        help="the same for frames that cycles have made; as of the starting set if absent",
        legacy=Legacy("STRS_STYLE", lambda style, _: old_style(style)),
    )
    new_stress_from: int = option(
        1,
        help="first fit (number of its cycle) in which frames that are new in it have stress",
        validator=ge(1),
        legacy=Legacy("USE_AL_STRS", lambda cycle, _: old_first_stress(cycle)),
    )

    @classmethod
    def from_legacy(cls, config: Config) -> dict[str, Any]:
        """What dlars is started with, of which an old study has several options."""
        if "dlasso" not in config.text("REGRESS_ALG"):
            return {}
        nodes, ppn = config.whole("CHIMES_SOLVE_NODES"), config.whole("CHIMES_SOLVE_PPN")
        style = "ibrun" if config.text("HPC_SYSTEM") == "TACC" else "srun"
        words = (f"--nodes={nodes}", f"--cores={nodes * ppn}", f"--mpistyle={style}")
        return {"solver_arguments": list(words)}

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether the programs can be started, `fm_setup.in` can be read, and the options go together."""
        problems = program_problems("fitter.program", self.program)
        if self.python is None:
            problems += program_problems("fitter.solver", self.solver)
        else:
            if not os.access(self.solver, os.R_OK) or not self.solver.is_file():
                problems.append(f"fitter.solver: {self.solver} is no file that can be read")
            if shutil.which(self.python) is None:
                problems.append(f"fitter.python: there is no program '{self.python}' here")
        problems += self._choice.check(elements)
        if self.normalize and self.algorithm not in ("dlars", "dlasso"):
            problems.append(
                f"normalize goes with dlars and dlasso only, not with {self.algorithm}; remove it"
            )
        if self.algorithm in ("svd", "fast_svd") and self.alpha >= 1.0:
            problems.append(
                f"fitter: alpha, the cutoff of svd, must be below 1, found {self.alpha}"
            )
        return problems

    def fit(
        self, training: TrainingSet, weights: Weights, workdir: Path, run_jobs: RunJobs
    ) -> Model:
        """Run chimes_lsq in one job and the solver in another; results are copied to `workdir`.

        Raises:
            InputError: a label that is to be fitted is missing, a weight is impossible or would be ignored, or the
                programs cannot do what is asked.
        """
        from ald_chimes_external.fitting import run_fit  # noqa: PLC0415 (it loads compiled code)

        setup = read_setup(self.setup)
        rows = self._choice.rows(setup, training.fitted, weights)
        _, offsets = self._choice.kinds(setup)
        files = TrainingFiles.of(setup, rows, offsets=offsets)
        report = run_fit(self.program, self._solver, files, workdir, run_jobs)
        return Model(self.writes, workdir / PARAMETERS, report)

    def predict(self, model: Model, frames: Sequence[Frame], run_jobs: RunJobs) -> list[Labels]:
        """Evaluate the model, without penalty, in one job of the embedded engine."""
        return predicted_labels(model, frames, run_jobs)

    @property
    def _choice(self) -> RowChoice:
        return RowChoice.of(self)

    @property
    def _solver(self) -> Solver:
        script = absolute(self.solver)
        return Solver(
            command=(script,) if self.python is None else (self.python, script),
            algorithm=self.algorithm,
            alpha=self.alpha,
            normalize=self.normalize,
            more=self.solver_arguments,
        )


def solver_algorithm(word: object) -> str:
    """The algorithm for a name of the existing driver, which hands it to the solver; ValueError if it knows none."""
    text = str(word)
    known = Algorithm.__args__  # type: ignore[attr-defined]
    if text not in known:
        raise ValueError(f"{text!r} is none of {', '.join(known)}")
    return text
