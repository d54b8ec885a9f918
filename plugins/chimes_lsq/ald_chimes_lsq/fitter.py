"""The fitter `chimes`: its options and its jobs.

A fit of many frames is cut into blocks. A job computes the rows of a block, which depend on nothing but its frames and
the set-up; they stay in the folder of the job and are found again by the identity of the work, so that a later cycle
computes only those of new frames, whatever the weights. One more job reads them all and solves; it sums them in an
order that does not depend on the blocks, so that their number changes no digit. Where rows are too many to be kept,
triangular factors of the blocks take their place, which depend on weights, labels and `frames_per_block`.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Literal

import attrs
from attrs.validators import ge, gt

from ald_chimes_lsq.fit_files import FIT_FILES, PARAMETERS, REPORT
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.frame_rows import FrameRows, count_columns
from ald_chimes_lsq.row_choice import RowChoice
from ald_chimes_lsq.solvers.solution import check_alpha
from ald_chimes_lsq.sources import kernels_digest
from ald_core.digests import digest, file_digest
from ald_core.errors import InputError
from ald_core.options import Legacy, option
from ald_core.roles import Fitter
from ald_core.store import frame_to_json, labels_from_json
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
ROWS = "rows.npy"
FACTOR = "factor.npy"
BLOCKS = "blocks.txt"
LABELS = "predicted.jsonl"
FAILURE = "failure.txt"
CODE = f"{version('ald-chimes-lsq')} 1"
"""What a fit depends on beside its data, with the kernels; the last number changes with what rows mean."""
SMALL = 2_000_000
"""Numbers of a matrix that is computed faster than two more jobs are started."""


@attrs.frozen(kw_only=True)
class ChimesFitter(Fitter):
    """Fit a ChIMES model by regularised linear least squares."""

    name: ClassVar[str] = "chimes"
    writes: ClassVar[str] = "chimes"
    cites: ClassVar[tuple[str, ...]] = (
        "Lindsey, Fried, Goldman, J. Chem. Theory Comput. 13, 6222 (2017), doi:10.1021/acs.jctc.7b00867 (ChIMES)",
        "Lindsey, Fried, Goldman, Bastea, J. Chem. Phys. 153, 134117 (2020), doi:10.1063/5.0021965",
    )
    setup: Path = option(
        help="fm_setup.in with the ChIMES hyperparameters",
        legacy=Legacy("ALC0_FILES", lambda folder, _: f"{folder}/fm_setup.in"),
    )
    algorithm: Literal["lasso", "ridge", "svd"] = option(
        "lasso",
        help="regularisation: exact LASSO, ridge, or truncated SVD",
        legacy=Legacy("REGRESS_ALG", lambda word, _: old_algorithm(word)),
    )
    alpha: float = option(
        1e-5,
        help="strength of lasso or ridge, kcal/mol; cut-off of singular values for svd",
        validator=gt(0.0),
        legacy="REGRESS_VAR",
    )
    normalize: bool = option(
        False,
        added=True,
        help="lasso: centre the columns of the design matrix and scale them to length 1 before solving",
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
        added=True,
        help="the same for frames that cycles have made; as of the starting set if absent",
        legacy=Legacy("STRS_STYLE", lambda style, _: old_style(style)),
    )
    new_stress_from: int = option(
        1,
        added=True,
        help="first fit (number of its cycle) in which frames that are new in it have stress",
        validator=ge(1),
        legacy=Legacy("USE_AL_STRS", lambda cycle, _: old_first_stress(cycle)),
    )

    frames_per_block: int = option(
        50,
        help="frames whose rows one job computes; a fit with at most so many is one job",
        validator=ge(1),
    )
    stored_rows: float = option(
        100.0,
        help="GB of rows of the design matrix that may be kept in the folders of jobs, so that a cycle computes "
        "only those of new frames; if there are more, none is kept",
        validator=ge(0.0),
    )

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether `fm_setup.in` can be read and knows the elements, and alpha suits the algorithm."""
        problems = self._choice.check(elements)
        try:
            check_alpha(self.algorithm, self.alpha)
        except InputError as error:
            problems.append(f"fitter: {error}")
        if self.normalize and self.algorithm != "lasso":
            problems.append(f"normalize goes with lasso only, not with {self.algorithm}; remove it")
        return problems

    def fit(
        self, training: TrainingSet, weights: Weights, workdir: Path, run_jobs: RunJobs
    ) -> Model:
        """Fit in one job, or in one per block of frames and one more; results are copied to `workdir`.

        Raises:
            InputError: a label that is to be fitted is missing, a weight is impossible, all are zero, or alpha does not
                suit the algorithm; or a job says what is wrong with the frames.
        """
        plan = self._plan(training.fitted, weights)
        if len(plan.blocks) == 1:
            [folder] = run_jobs([plan.fit_task()])
        else:
            folders = run_jobs([plan.block_task(i) for i in range(len(plan.blocks))])
            [folder] = run_jobs([plan.solve_task(folders)])
        for name in (*FIT_FILES, SETUP):
            shutil.copyfile(folder / name, workdir / name)
        report = json.loads((workdir / REPORT).read_text())
        return Model(self.writes, workdir / PARAMETERS, report)

    def predict(self, model: Model, frames: Sequence[Frame], run_jobs: RunJobs) -> list[Labels]:
        """Evaluate the model, without penalty, in one job."""
        return predicted_labels(model, frames, run_jobs)

    @property
    def _choice(self) -> RowChoice:
        return RowChoice.of(self)

    def _plan(self, labeled: Sequence[LabeledFrame], weights: Weights) -> FitPlan:
        check_alpha(self.algorithm, self.alpha)
        setup = read_setup(self.setup)
        frames = self._choice.rows(setup, labeled, weights)
        _, offsets = self._choice.kinds(setup)
        size = sum(sum(f.counts()) for f in frames) * count_columns(setup.basis, offsets=offsets)
        few = size <= SMALL or len(frames) <= self.frames_per_block
        return FitPlan(
            blocks=(tuple(frames),) if few else split_blocks(frames, self.frames_per_block),
            cached=self.normalize or 8e-9 * size <= self.stored_rows,
            setup=self.setup,
            setup_digest=file_digest(self.setup),
            offsets=offsets,
            algorithm=self.algorithm,
            alpha=self.alpha,
            normalize=self.normalize,
        )


@attrs.frozen(eq=False)
class FitPlan:
    """The work of a fit, cut into tasks."""

    blocks: tuple[tuple[FrameRows, ...], ...]
    cached: bool
    """Whether the rows of blocks are kept; else their triangular factors, which depend on weights and labels."""
    setup: Path
    setup_digest: str
    offsets: bool
    algorithm: str
    alpha: float
    normalize: bool

    def fit_task(self) -> Task[Path]:
        """Everything at once."""
        lines = [rows.line() for rows in self.blocks[0]]
        work = digest("chimes fit", *self._solver(), *lines)
        return self._task("fit", "fit", work, partial(self._write, lines), FIT_FILES)

    def block_task(self, number: int) -> Task[Path]:
        """Rows or factor of a block; what else is in the fit does not matter to it."""
        block = self.blocks[number]
        output = (ROWS,) if self.cached else (FACTOR,)
        parts = [digest(rows.line(values=not self.cached)) for rows in block]
        work = digest("chimes block", *output, *self._matrix(), *parts)

        def prepare(workdir: Path) -> None:
            self._write([rows.line(values=not self.cached) for rows in block], workdir)

        name = f"rows {number + 1} of {len(self.blocks)}"
        return self._task("rows" if self.cached else "factor", name, work, prepare, output)

    def solve_task(self, folders: Sequence[Path]) -> Task[Path]:
        """The fit from finished blocks, which are in these folders."""
        name = ROWS if self.cached else FACTOR
        frames = [rows for block in self.blocks for rows in block]

        def line(rows: FrameRows) -> str:
            return rows.line(geometry=not self.cached)

        def prepare(workdir: Path) -> None:
            # Relative, so that a study can be moved; real, because `..` leaves the folder that a link leads to.
            here = workdir.resolve()
            paths = [os.path.relpath(folder.resolve() / name, here) for folder in folders]
            (workdir / BLOCKS).write_text("".join(f"{path}\n" for path in paths))
            self._write(map(line, frames), workdir)

        blocks = [self.block_task(i).identity for i in range(len(self.blocks))]
        labels = [digest(line(rows)) for rows in frames]
        work = digest("chimes solve", *self._solver(), *blocks, *labels)
        return self._task("solve", "fit", work, prepare, FIT_FILES)

    def _matrix(self) -> tuple[object, ...]:
        return CODE, kernels_digest(), self.setup_digest, self.offsets

    def _solver(self) -> tuple[object, ...]:
        return *self._matrix(), self.algorithm, self.alpha, *["normalized"] * self.normalize

    def _write(self, lines: Iterable[str], workdir: Path) -> None:
        shutil.copyfile(self.setup, workdir / SETUP)
        request = {
            "algorithm": self.algorithm,
            "alpha": self.alpha,
            "normalize": self.normalize,
            "offsets": self.offsets,
            "cached": self.cached,
        }
        (workdir / REQUEST).write_text(json.dumps(request) + "\n")
        _write_lines(lines, workdir)

    @staticmethod
    def _task(
        what: str, name: str, work: str, write: Callable[[Path], None], outputs: tuple[str, ...]
    ) -> Task[Path]:
        def prepare(workdir: Path, rung: int) -> JobSpec:
            del rung
            write(workdir)
            return _job(what, outputs)

        return Task("fit", name, work, prepare, partial(_collect, outputs))


def old_algorithm(word: object) -> str:
    """The algorithm for a name of the existing driver, which looks for parts of it; ValueError if it knows none."""
    text = str(word)
    if "dlasso" in text or ("lasso" in text and "svd" not in text):
        return "lasso"
    if "svd" in text:
        return "svd"
    raise ValueError(f"{text!r} is none of dlasso, lasso, lassolars, svd")


def old_style(style: object) -> str:
    """Which components a name of the existing driver means; ValueError if it knows none."""
    if style not in ("ALL", "DIAG"):
        raise ValueError(f"{style!r} is neither ALL nor DIAG")
    return "full" if style == "ALL" else "diagonal"


def old_first_stress(cycle: object) -> int:
    """The first fit with stresses of new frames; ValueError for what is no number of a cycle."""
    if isinstance(cycle, bool) or not isinstance(cycle, int):
        raise ValueError(f"a number of a cycle is needed (1000 for never), not {cycle!r}")
    return max(cycle, 1)


def split_blocks(frames: Sequence[FrameRows], size: int) -> tuple[tuple[FrameRows, ...], ...]:
    """At most `size` frames each, all from one cycle, so that frames of later cycles change no block."""
    blocks: list[tuple[FrameRows, ...]] = []
    for _, group in itertools.groupby(frames, key=lambda rows: rows.frame.origin.cycle):
        own = tuple(group)
        blocks += [own[i : i + size] for i in range(0, len(own), size)]
    return tuple(blocks)


def predicted_labels(model: Model, frames: Sequence[Frame], run_jobs: RunJobs) -> list[Labels]:
    """What a ChIMES model says about frames, without penalty; evaluated in one job."""
    [folder] = run_jobs([predict_task(model.path, frames)])
    return read_predicted(folder)


def read_predicted(folder: Path) -> list[Labels]:
    """What a finished `predict_task` has left."""
    text = (folder / LABELS).read_text()
    return [labels_from_json(json.loads(line)) for line in text.splitlines()]


def predict_task(parameters: Path, frames: Sequence[Frame]) -> Task[Path]:
    """The evaluation of a parameter file for frames, without penalty, in one job; its result is a folder."""
    lines = [json.dumps({"frame": frame_to_json(f)}) for f in frames]

    def prepare(workdir: Path, rung: int) -> JobSpec:
        del rung
        shutil.copyfile(parameters, workdir / PARAMETERS)
        _write_lines(lines, workdir)
        return _job("predict", (LABELS,))

    work = digest("chimes predict", file_digest(parameters), *lines)
    return Task("predict", "predict", work, prepare, partial(_collect, (LABELS,)))


def _write_lines(lines: Iterable[str], workdir: Path) -> None:
    with (workdir / FRAMES).open("w") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def _job(what: str, outputs: tuple[str, ...]) -> JobSpec:
    command = (sys.executable, "-m", "ald_chimes_lsq.fit_job", what)
    return JobSpec(command, outputs, serial=True)


def _collect(outputs: tuple[str, ...], workdir: Path) -> Path | Failure:
    failed = workdir / FAILURE
    if failed.is_file():
        return Failure(failed.read_text().strip(), "input")
    missing = [name for name in outputs if not (workdir / name).is_file()]
    return Failure(f"{', '.join(missing)} missing") if missing else workdir
