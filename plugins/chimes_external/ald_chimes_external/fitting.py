"""A fit by the programs of the user: two jobs, and the files that they leave for people."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ald_chimes_external.design import design_task
from ald_chimes_external.solver import UNWEIGHTED, WEIGHTS, Solver
from ald_chimes_external.solving import Solved, solve_task
from ald_chimes_external.training_files import LISTING, SETUP, TrainingFiles
from ald_chimes_lsq.design_names import ATOMS, LABELED
from ald_chimes_lsq.fit_files import (
    COMPARE,
    DOUBLES,
    FORCES,
    PARAMETERS,
    REDUCED,
    REPORT,
    SOLUTION,
    error_report,
    number_texts,
)
from ald_chimes_lsq.formats.params_write import reduced_text
from ald_chimes_lsq.formats.tokens import read_text
from ald_chimes_lsq.frame_rows import KINDS
from ald_core.errors import InputError
from ald_core.script import STDOUT
from ald_core.types import RunJobs


def run_fit(
    program: Path, solver: Solver, files: TrainingFiles, workdir: Path, run_jobs: RunJobs
) -> dict[str, Any]:
    """Run chimes_lsq in one job and the solver in another; results are copied to `workdir`.

    Raises:
        InputError: the solver would ignore weights, or a program failed.
    """
    if files.targets.weights is not None and solver.algorithm in UNWEIGHTED:
        raise InputError(
            f"chimes_lsq.py ignores weights with {solver.algorithm}, but not all weights are 1",
            cure="set fitter.algorithm to lassolars, dlasso or svd, or all weights to 1",
        )
    [design] = run_jobs([design_task(program, files)])
    [solved] = run_jobs([solve_task(solver, files, design)])
    for name in (SETUP, LISTING, LABELED, ATOMS):
        shutil.copyfile(design.folder / name, workdir / name)
    shutil.copyfile(solved.folder / FORCES, workdir / FORCES)
    if files.targets.weights is not None:
        shutil.copyfile(solved.folder / WEIGHTS, workdir / WEIGHTS)
    report = {"program": program.name, "solver": Path(solver.command[-1]).name}
    report |= _report(solver, files, solved)
    _publish(files, solved, report, workdir)
    return report


def _report(solver: Solver, files: TrainingFiles, solved: Solved) -> dict[str, Any]:
    return {
        "algorithm": solver.algorithm,
        "alpha": solver.alpha,
        "equations": len(files.targets.right),
        "variables": len(solved.x),
        "nonzero": int(np.count_nonzero(solved.x)),
        **error_report(files.targets, solved.said - files.targets.right),
    }


def _publish(files: TrainingFiles, solved: Solved, report: dict[str, Any], workdir: Path) -> None:
    """Write the files that users know."""
    lines = read_text(solved.folder / STDOUT).splitlines(keepends=True)
    # The day on which it was written would make equal models different.
    text = "".join(line for line in lines if not line.startswith("! Date"))
    force = files.targets.kinds == KINDS.index("force")
    compared = np.column_stack((files.targets.right[force], solved.said[force]))
    for name, content in (
        (PARAMETERS, [text]),
        (REDUCED, [reduced_text(text)]),
        (SOLUTION, number_texts(DOUBLES, solved.x)),
        (COMPARE, number_texts("%13.6e %13.6e\n", compared)),
        (REPORT, [json.dumps(report, indent=1) + "\n"]),
    ):
        with (workdir / name).open("w") as stream:
            stream.writelines(content)
