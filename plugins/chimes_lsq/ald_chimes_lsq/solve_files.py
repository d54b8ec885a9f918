"""Solves a problem that is in text files, with the algorithms of the script `chimes_lsq.py`.

`A.txt`, `b.txt`, `params.header`, `ff_groups.map` and perhaps weights are read; what comes out is the text of a
parameter file, with `force.txt` and `x.txt`. Unlike there, weights count for every algorithm, and LASSO is solved
exactly.
"""

import re
import tempfile
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.formats.header_file import read_basis_header
from ald_chimes_lsq.formats.matrix_text import read_matrix, read_numbers
from ald_chimes_lsq.formats.params_write import map_text, params_text
from ald_chimes_lsq.formats.tokens import Place, read_text
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.solvers.algorithms import Choice, run_algorithm
from ald_chimes_lsq.solvers.rows import RowFile, Rows
from ald_chimes_lsq.solvers.solution import Solution, comment_block
from ald_core.errors import InputError

Floats = NDArray[np.float64]


@attrs.frozen(kw_only=True)
class SolveRequest:
    """What to solve, and how."""

    matrix: Path
    right: Path
    header: Path
    map: Path
    weights: Path | None = None
    split: bool = False
    """A is in `A.0000.txt`, `A.0001.txt`, … beside the name of `matrix`."""
    choice: Choice = Choice()


@attrs.frozen(eq=False)
class SolvedFiles:
    """What came out."""

    params: str
    """Text of the parameter file"""
    x: Floats
    said: Floats
    """Ax without weights; with `normalize` plus the constant that centring implies"""
    solution: Solution


def solve_files(request: SolveRequest, *, date: str | None = None) -> SolvedFiles:
    """Read, solve, and say what to write.

    Raises:
        InputError: a file is malformed, or sizes do not fit together.
    """
    basis = read_basis_header(request.header)
    if read_text(request.map).split() != map_text(basis).split():
        raise InputError(
            f"does not belong to {request.header.name}; write both with `ald chimes lsq`",
            path=request.map,
        )
    with tempfile.TemporaryDirectory(prefix="ald-chimes-") as scratch:
        rows = _read_rows(request, Path(scratch))
        outcome = run_algorithm(rows, request.choice)
    solution = outcome.solution
    try:
        coefficients = expand(basis, solution.x)
    except InputError as error:
        raise InputError(error.reason, path=request.header) from None
    comments = comment_block(
        solution,
        outcome.said - rows.right,
        weights_file=None if request.weights is None else str(request.weights),
        date=date,
        heading=outcome.heading,
    )
    text = params_text(basis, coefficients, comments)
    return SolvedFiles(text, solution.x, outcome.said, solution)


def _read_rows(request: SolveRequest, scratch: Path) -> Rows:
    paths = split_paths(request.matrix) if request.split else [request.matrix]
    parts: list[RowFile] = []
    for number, path in enumerate(paths):
        part = read_matrix(path, scratch / f"{number}.bin")
        if parts and part.shape[1] != parts[0].shape[1]:
            raise Place(path, 1).error(
                f"{part.shape[1]} columns, but {parts[0].shape[1]} in {paths[0].name}"
            )
        parts.append(part)
    n_rows = sum(part.shape[0] for part in parts)
    right = read_numbers(request.right)
    if len(right) != n_rows:
        raise InputError(
            f"{len(right)} numbers, but {request.matrix.name} has {n_rows} rows", path=request.right
        )
    weights = None
    if request.weights is not None:
        weights = read_numbers(request.weights)
        if len(weights) != n_rows:
            raise InputError(
                f"{len(weights)} weights, but {request.matrix.name} has {n_rows} rows",
                path=request.weights,
            )
        if (weights < 0.0).any():
            raise Place(request.weights).error("weights must not be negative")
    return Rows(parts, right, weights)


def split_paths(matrix: Path) -> list[Path]:
    """The files `A.0000.txt`, … of a split `A.txt`, in order."""
    pattern = re.compile(re.escape(matrix.stem) + r"\.\d{4}" + re.escape(matrix.suffix))
    found = sorted(p for p in matrix.parent.glob("*") if pattern.fullmatch(p.name))
    if not found:
        raise InputError(
            f"there are no files {matrix.stem}.0000{matrix.suffix} …; leave --split_files out",
            path=matrix.parent,
        )
    return found
