"""Solves a problem that is in text files, with the algorithms of the script `chimes_lsq.py`.

`A.txt`, `b.txt`, `params.header`, `ff_groups.map` and perhaps weights are read; what comes out is a parameter file, and
`force.txt`, `x.txt`, `Ax.txt`. Unlike there, weights count for every algorithm, and LASSO is solved exactly.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.design_files import DIGITS
from ald_chimes_lsq.design_names import DIMENSIONS, MATRIX
from ald_chimes_lsq.fit_files import DOUBLES, PARAMETERS, number_texts
from ald_chimes_lsq.formats.header_file import check_text, read_basis_header
from ald_chimes_lsq.formats.matrix_text import read_matrix, read_numbers
from ald_chimes_lsq.formats.params_write import map_text, params_text
from ald_chimes_lsq.formats.tokens import Place, parse_integer, read_text
from ald_chimes_lsq.new_files import NewFiles, scratch_folder
from ald_chimes_lsq.params import Coefficients, expand
from ald_chimes_lsq.solvers.algorithms import (
    PATHS,
    Choice,
    Outcome,
    check_choice,
    dlars_heading,
    run_algorithm,
)
from ald_chimes_lsq.solvers.rows import RowFile, Rows, checked_weights
from ald_chimes_lsq.solvers.solution import Solution, comment_block, count_fitted
from ald_core.errors import InputError

Floats = NDArray[np.float64]

_X, _AX = "x.txt", "Ax.txt"
_AGAIN = "run `ald chimes lsq` again"


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
    scratch: Path = Path()
    """Folder with room for a binary copy of A, which is removed at the end"""
    existing: Path | None = None
    """dlars, dlasso: folder whose `x.txt` and `Ax.txt` are taken instead of solving"""


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
    cure = f"write it and {request.header.name} with `ald chimes lsq`"
    check_text(read_text(request.map), map_text(basis), Place(request.map), cure)
    check_choice(request.choice)
    if request.existing is None:
        with scratch_folder(request.scratch) as scratch:
            rows = _read_rows(request, scratch)
            # A wrong number of columns is noticed before the work, not after it.
            _coefficients(basis, np.zeros(rows.n_columns), request.header)
            outcome = run_algorithm(rows, request.choice)
        right = rows.right
    else:
        right = read_numbers(request.right)
        outcome = _read_outcome(request.existing, request.choice, len(right))
    solution = outcome.solution
    coefficients = _coefficients(basis, solution.x, request.header)
    comments = comment_block(
        solution,
        outcome.said - right,
        weights_file=None if request.weights is None else str(request.weights),
        date=date,
        heading=outcome.heading,
    )
    text = params_text(basis, coefficients, comments)
    return SolvedFiles(text, solution.x, outcome.said, solution)


def _coefficients(basis: Basis, x: Floats, header: Path) -> Coefficients:
    try:
        return expand(basis, x)
    except InputError as error:
        raise error.at(header) from None


def write_solved(
    solved: SolvedFiles,
    folder: Path,
    choice: Choice,
    *,
    output: Path | None = None,
    test_suite: bool = False,
) -> None:
    """Write `force.txt`, `x.txt`, the parameter file; for dlars and dlasso `Ax.txt`; perhaps `test_suite_params.txt`.

    Raises:
        OSError: a file cannot be written; all are then what they were before.
    """
    with NewFiles() as files:
        files.write(folder / "force.txt", number_texts("%13.6e\n", solved.said))
        files.write(folder / _X, number_texts(DOUBLES, solved.x))
        if choice.algorithm in PATHS:
            files.write(folder / _AX, number_texts(DOUBLES, solved.said))
        if test_suite:
            lines = (f"{i:5d} {x:21.13e}\n" for i, x in enumerate(solved.x.tolist()))
            files.write(folder / "test_suite_params.txt", lines)
        files.write(folder / PARAMETERS if output is None else output, solved.params)
        files.publish()


def _read_outcome(folder: Path, choice: Choice, n_rows: int) -> Outcome:
    """What an earlier run has left."""
    if choice.algorithm not in PATHS:
        raise InputError(
            f"{choice.algorithm} does not read output; dlars and dlasso do",
            cure="leave --read_output out",
        )
    x, said = read_numbers(folder / _X), read_numbers(folder / _AX)
    if len(said) != n_rows:
        raise InputError(
            f"{len(said)} numbers for {n_rows} rows",
            path=folder / _AX,
            cure="solve again, without --read_output",
        )
    solution = Solution(
        x=x,
        algorithm="lasso",
        alpha=choice.alpha,
        n_equations=n_rows,
        n_fitted=count_fitted(x),
        optimality=np.nan,
        condition=np.nan,
        method="existing files",
    )
    return Outcome(solution, dlars_heading(choice), said)


def _read_rows(request: SolveRequest, scratch: Path) -> Rows:
    if not request.split and not request.matrix.exists():
        pieces = _pieces(request.matrix)
        fault, cure = "no such file", "write it with `ald chimes lsq`, or correct the name"
        if pieces:
            fault, cure = f"no such file, but there is {pieces[0].name}", "add --split_files=true"
        raise InputError(fault, path=request.matrix, cure=cure)
    paths = split_paths(request.matrix) if request.split else [request.matrix]
    # What is quickly read is judged before the large matrix.
    right = read_numbers(request.right)
    weights = (
        None
        if request.weights is None
        else _read_weights(request.weights, request.right, len(right))
    )
    check_choice(request.choice, len(right))
    sizes = _announced_sizes(request.matrix, paths, split=request.split)
    parts: list[RowFile] = []
    for number, path in enumerate(paths):
        try:
            part = read_matrix(path, scratch / f"{number}.bin")
        except OSError as error:
            raise InputError(
                f"the binary copy of {path.name} cannot be written here ({error.strerror})",
                path=request.scratch,
                cure="make room for 8 bytes per number, or name another folder with --scratch",
            ) from None
        if parts and part.shape[1] != parts[0].shape[1]:
            raise Place(path, 1).error(
                f"{part.shape[1]} columns, but {parts[0].shape[1]} in {paths[0].name}", cure=_AGAIN
            )
        if path in sizes:
            _check_size(path, part.shape, *sizes[path])
        parts.append(part)
    n_rows = sum(part.shape[0] for part in parts)
    found = f"{paths[0].name} has {n_rows} rows"
    if len(paths) > 1:
        found = f"{paths[0].name} … {paths[-1].name} have {n_rows} rows together"
    if len(right) != n_rows:
        raise InputError(f"{len(right)} numbers, but {found}", path=request.right, cure=_AGAIN)
    return Rows(parts, right, weights)


def _read_weights(path: Path, right: Path, n_rows: int) -> Floats:
    """Weights for as many rows as `right` has numbers."""
    weights = read_numbers(path)
    if len(weights) != n_rows:
        raise InputError(
            f"{len(weights)} weights, but {right.name} has {n_rows} numbers",
            path=path,
            cure="write one for each row",
        )
    try:
        return checked_weights(weights, n_rows)
    except InputError as error:
        raise error.at(path) from None


def _announced_sizes(
    matrix: Path, paths: Sequence[Path], *, split: bool
) -> dict[Path, tuple[Path, int, int]]:
    """For each matrix the file of dimensions that `ald chimes lsq` has written beside it: its name, columns, rows.

    Raises:
        InputError: a file of dimensions is malformed, or has no matrix.
    """
    if matrix.name != MATRIX:
        return {}
    if not split:
        path = matrix.with_name(DIMENSIONS)
        if not path.exists():
            return {}
        columns, rows = _read_integers(path, 2)
        return {matrix: (path, columns, rows)}
    sizes: dict[Path, tuple[Path, int, int]] = {}
    for path in sorted(matrix.parent.glob(f"dim.{DIGITS}.txt")):
        columns, first, last, _ = _read_integers(path, 4)
        own = path.with_name(path.name.replace("dim", matrix.stem, 1))
        if own not in paths:
            raise InputError(
                f"no such file, but {path.name} says that it has rows {first} to {last}",
                path=own,
                cure=_AGAIN,
            )
        sizes[own] = (path, columns, last - first + 1)
    return sizes


def _read_integers(path: Path, n: int) -> list[int]:
    place = Place(path, 1)
    words = read_text(path).split()
    numbers = [parse_integer(word, "a dimension", place, minimum=0, cure=_AGAIN) for word in words]
    if len(numbers) != n:
        raise place.error(f"expected {n} numbers, found {len(numbers)}", cure=_AGAIN)
    return numbers


def _check_size(
    path: Path, shape: tuple[int, int], dimensions: Path, columns: int, rows: int
) -> None:
    if shape != (rows, columns):
        raise InputError(
            f"{shape[0]} rows of {shape[1]} columns, but {dimensions.name} says {rows} of {columns}",
            path=path,
            cure=f"{_AGAIN}, or remove {dimensions.name} if it is not about this matrix",
        )


def split_paths(matrix: Path) -> list[Path]:
    """The files `A.0000.txt`, … of a split `A.txt`, in order."""
    found = _pieces(matrix)
    if not found:
        raise InputError(
            f"there are no files {matrix.stem}.0000{matrix.suffix} …",
            path=matrix.parent,
            cure="leave --split_files out",
        )
    return found


def _pieces(matrix: Path) -> list[Path]:
    pattern = re.compile(re.escape(matrix.stem) + r"\.\d{4}" + re.escape(matrix.suffix))
    return sorted(p for p in matrix.parent.glob("*") if pattern.fullmatch(p.name))
