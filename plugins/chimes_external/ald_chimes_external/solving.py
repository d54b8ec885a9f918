"""The solution as a task: chimes_lsq.py or a program like it, and what proves that it has worked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_external.design import Design, edge_rows
from ald_chimes_external.programs import failed, fault_of, missing_files
from ald_chimes_external.solver import WEIGHTS, Solver
from ald_chimes_external.training_files import TrainingFiles
from ald_chimes_lsq.basis import Basis, ClusterType
from ald_chimes_lsq.design_names import DIMENSIONS, HEADER, MAP, MATRIX, RIGHT
from ald_chimes_lsq.fit_files import DOUBLES, FORCES, number_texts
from ald_chimes_lsq.formats.matrix_text import read_numbers
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.setup import FitSetup
from ald_chimes_lsq.params import collapse
from ald_core.digests import digest
from ald_core.errors import InputError
from ald_core.script import STDOUT
from ald_core.types import Failure, JobSpec, Task

Floats = NDArray[np.float64]

OUTPUTS = (STDOUT, FORCES)
"""The parameter file goes to standard output."""
_COPIED = (RIGHT, HEADER, MAP, DIMENSIONS)


@attrs.frozen(eq=False)
class Solved:
    """A solution that has been believed."""

    folder: Path
    x: Floats
    """(n_columns,)"""
    said: Floats
    """(n_rows,) Ax"""


def solve_task(solver: Solver, files: TrainingFiles, design: Design) -> Task[Solved]:
    """Run the solver on a design matrix."""
    weights = files.targets.weights
    own = "" if weights is None else "".join(number_texts(DOUBLES, weights))
    work = digest("chimes_lsq.py", design.identity, *solver.arguments("", weighted=bool(own)), own)

    def prepare(workdir: Path, rung: int) -> JobSpec:
        del rung
        for name in _COPIED:
            shutil.copyfile(design.folder / name, workdir / name)
        if own:
            (workdir / WEIGHTS).write_text(own)
        # Relative, so that a study can be moved; real, because `..` leaves the folder that a link leads to.
        matrix = os.path.relpath((design.folder / MATRIX).resolve(), workdir.resolve())
        arguments = solver.arguments(matrix, weighted=bool(own))
        return JobSpec((*solver.command, *arguments), OUTPUTS, serial=True)

    collect = partial(_collect, solver, files, design.folder)
    return Task("fit", "solution", work, prepare, collect)


def _collect(solver: Solver, files: TrainingFiles, design: Path, workdir: Path) -> Solved | Failure:
    missing = missing_files(workdir, OUTPUTS)
    if STDOUT in missing:
        return failed("the solver printed no parameter file", workdir)
    try:
        x = read_solution(files.setup, files.n_columns, workdir / STDOUT)
    except InputError as error:
        return failed(f"the solver printed a wrong parameter file: {fault_of(error)}", workdir)
    if missing:
        return failed(f"the solver wrote no {FORCES}", workdir)
    try:
        said = read_numbers(workdir / FORCES)
        _check_said(solver, files, design, x, said)
    except InputError as error:
        return failed(f"the solver wrote a wrong {fault_of(error)}", workdir)
    return Solved(workdir, x, said)


def read_solution(setup: FitSetup, n_columns: int, path: Path) -> Floats:
    """Parameters (n_columns,) from a file that must be complete and of this set-up.

    Raises:
        InputError: it is not.
    """
    found = read_params(path)
    difference = _difference(found.basis, setup.basis)
    if difference:
        raise InputError(f"it is not of this set-up: {difference}", path=path)
    x = collapse(setup.basis, found.coefficients)
    if len(x) != n_columns:
        raise InputError(f"{len(x)} parameters, not {n_columns}", path=path)
    return x


def _difference(found: Basis, wanted: Basis) -> str:
    """In what the basis of a parameter file is not the one that was asked for; empty if in nothing.

    Files have fewer digits of cutoffs.
    """
    for name in ("orders", "transform", "excluded_types", "excluded_pairs", "fit_charges"):
        if getattr(found, name) != getattr(wanted, name):
            return f"{name} {getattr(found, name)}, not {getattr(wanted, name)}"
    names = [[t.name for t in basis.types] for basis in (found, wanted)]
    pairs = [[(p.first, p.second) for p in basis.pairs] for basis in (found, wanted)]
    if names[0] != names[1] or pairs[0] != pairs[1]:
        return f"types {' '.join(names[0])} and their pairs, not {' '.join(names[1])}"
    fractions = [[basis.cutoff.fraction] for basis in (found, wanted)]
    if found.cutoff.kind != wanted.cutoff.kind or not _near(*fractions):
        return f"cutoff function {found.cutoff.kind}, not {wanted.cutoff.kind}"
    for own, pair in zip(found.pairs, wanted.pairs, strict=True):
        ranges = [[p.rmin, p.rmax, p.morse_lambda] for p in (own, pair)]
        used = 3 if wanted.transform == "MORSE" else 2
        if not _near(*(numbers[:used] for numbers in ranges)):
            return f"ranges of {pair.name} {ranges[0]}, not {ranges[1]}"
    for body in ("triplets", "quads"):
        clusters = getattr(found, body), getattr(wanted, body)
        if len(clusters[0]) != len(clusters[1]) or not all(map(_alike, *clusters)):
            return f"other {body}"
    return ""


def _alike(one: ClusterType, other: ClusterType) -> bool:
    return (
        (one.elements, one.excluded, one.n_parameters)
        == (other.elements, other.excluded, other.n_parameters)
        and np.array_equal(one.powers, other.powers)
        and _near([*one.rmin, *one.rmax], [*other.rmin, *other.rmax])
    )


def _near(some: Sequence[float], others: Sequence[float]) -> bool:
    return bool(np.allclose(some, others, rtol=1e-4, atol=1e-4))


def _check_said(
    solver: Solver, files: TrainingFiles, design: Path, x: Floats, said: Floats
) -> None:
    """Refuse predictions that are not Ax, and a solution that is worse than none.

    No method that the solver knows leaves more of the weighted right-hand side than x = 0 does.
    """
    place, right = design / FORCES, files.targets.right
    if said.shape != right.shape:
        raise InputError(f"{len(said)} numbers, not {len(right)}", path=place)
    weights = 1.0 if files.targets.weights is None else files.targets.weights
    left, all_of_it = (float(np.linalg.norm(weights * v)) for v in (said - right, right))
    if left > 1.00001 * all_of_it:
        raise InputError("the solution is worse than no model at all", path=place)
    if solver.normalize and solver.is_path:
        return  # with centred columns a constant comes on top
    first, last = edge_rows(design / MATRIX, files.n_columns)
    for rows, own in ((first, said[: len(first)]), (last, said[len(said) - len(last) :])):
        digits = 1e-5 * np.abs(own) + 1e-8 * (np.abs(rows) @ np.abs(x)) + 1e-6
        if not (np.abs(rows @ x - own) <= digits).all():
            raise InputError("these are not what the parameters give with the matrix", path=place)
