"""The design matrix as a task: chimes_lsq, and what proves that it has worked."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_external.programs import absolute, failed, fault_of, missing_files
from ald_chimes_external.training_files import LISTING, SETUP, TRAJECTORY, TrainingFiles
from ald_chimes_lsq.design_names import ATOMS, DIMENSIONS, HEADER, LABELED, MAP, MATRIX, RIGHT
from ald_chimes_lsq.formats.matrix_text import read_numbers
from ald_chimes_lsq.formats.tokens import read_text
from ald_core.digests import digest
from ald_core.errors import InputError
from ald_core.types import Failure, JobSpec, Task

Floats = NDArray[np.float64]

OUTPUTS = (MATRIX, RIGHT, LABELED, ATOMS, DIMENSIONS, HEADER, MAP)
_PIECE = 1_000_000
"""Bytes of a matrix that are looked at, at its beginning and at its end"""
_DIGITS = 1e-6
"""Relative difference of right-hand sides that different constants of releases explain"""


@attrs.frozen(eq=False)
class Design:
    """A finished design matrix."""

    folder: Path
    identity: str


def design_task(program: Path, files: TrainingFiles) -> Task[Design]:
    """Run chimes_lsq on a training set; weights do not matter to it."""
    setup = files.setup_text(read_text(files.setup.path))
    trajectory = files.trajectory_text()
    work = digest("chimes_lsq", setup, trajectory)

    def prepare(workdir: Path, rung: int) -> JobSpec:
        del rung
        (workdir / SETUP).write_text(setup)
        (workdir / LISTING).write_text(f"1\n{len(files.frames)} {TRAJECTORY}\n")
        (workdir / TRAJECTORY).write_text(trajectory)
        return JobSpec((absolute(program), SETUP), OUTPUTS)

    return Task("fit", "design matrix", work, prepare, partial(_collect, work, files))


def edge_rows(path: Path, n_columns: int) -> tuple[Floats, Floats]:
    """Some rows from the beginning of a matrix, and some from its end.

    Raises:
        InputError: one of them has another number of columns or is not finite, or the last one is cut short.
    """
    piece = max(_PIECE, 100 * n_columns)
    with path.open("rb") as stream:
        head = stream.read(piece)
        stream.seek(max(path.stat().st_size - piece, 0))
        whole = stream.tell() == 0
        tail = stream.read()
    if not tail.endswith(b"\n"):
        raise InputError("its last line is cut short", path=path)
    first = head[: head.rfind(b"\n") + 1]
    last = tail if whole else tail[tail.find(b"\n") + 1 :]
    return _parse(first, n_columns, path), _parse(last, n_columns, path)


def _parse(text: bytes, n_columns: int, path: Path) -> Floats:
    lines = [words for line in text.split(b"\n") if (words := line.split())]
    if not lines or any(len(words) != n_columns for words in lines):
        raise InputError(f"not all of its rows have {n_columns} columns", path=path)
    try:
        rows = np.array(lines, dtype=np.float64)
    except ValueError:
        raise InputError("not all of it are numbers", path=path) from None
    if not np.isfinite(rows).all():
        raise InputError("holds numbers that are not finite", path=path)
    return rows


def _collect(work: str, files: TrainingFiles, workdir: Path) -> Design | Failure:
    missing = missing_files(workdir, OUTPUTS)
    if missing:
        return failed(f"chimes_lsq wrote no {', '.join(missing)}", workdir)
    try:
        _check(files, workdir)
    except InputError as error:
        return failed(f"chimes_lsq wrote a wrong {fault_of(error)}", workdir)
    return Design(workdir, work)


def _check(files: TrainingFiles, workdir: Path) -> None:
    """Refuse files that are not of these frames, in this order."""
    right = files.targets.right
    announced = read_numbers(workdir / DIMENSIONS)[:2].astype(int).tolist()
    if announced != [files.n_columns, len(right)]:
        raise InputError(
            f"{announced} columns and rows, {[files.n_columns, len(right)]} belong to this set-up and these frames",
            path=workdir / DIMENSIONS,
        )
    found = read_numbers(workdir / RIGHT)
    if found.shape != right.shape:
        raise InputError(f"{len(found)} rows, not {len(right)}", path=workdir / RIGHT)
    # Small forces are judged by the largest one of all.
    scale = np.maximum(np.abs(right), 1e-6 * np.abs(right).max())
    wrong = np.flatnonzero(np.abs(found - right) > _DIGITS * scale)
    if wrong.size:
        row = int(wrong[0])
        raise InputError(
            f"row {row + 1} is {found[row]:g}, but the label is {right[row]:g}",
            path=workdir / RIGHT,
        )
    if read_numbers(workdir / ATOMS).tolist() != files.atoms:
        raise InputError("its numbers of atoms are not those of the frames", path=workdir / ATOMS)
    edge_rows(workdir / MATRIX, files.n_columns)
