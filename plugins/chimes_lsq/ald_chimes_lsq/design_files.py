"""Writes what the design-matrix generator of ChIMES writes, from the same control file and trajectories.

`A.txt`, `b.txt`, `b-labeled.txt`, `natoms.txt`, `dim.txt`, `params.header`, `ff_groups.map`, and `frames.0000.log` with
number, composition and seconds of each frame. One frame of the matrix is in memory at a time. Every file gets its name
when all are complete.
"""

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.design import FittedFrame, fitted_frame
from ald_chimes_lsq.design_rows import constraint_rows
from ald_chimes_lsq.formats.params_write import header_text, map_text
from ald_chimes_lsq.formats.setup import FitSetup
from ald_chimes_lsq.formats.tokens import Place
from ald_chimes_lsq.formats.traj_list import TrajectoryEntry, read_trajectories
from ald_chimes_lsq.formats.xyzf import XyzfFrame
from ald_chimes_lsq.frame_rows import count_columns
from ald_chimes_lsq.kernels.neighbours import find_edges
from ald_chimes_lsq.kernels.packing import pack_basis
from ald_chimes_lsq.structure import AtomError, type_numbers

Floats = NDArray[np.float64]

HEADER, MAP = "params.header", "ff_groups.map"
MATRIX, RIGHT, LABELED, ATOMS, DIMENSIONS = (
    "A.txt",
    "b.txt",
    "b-labeled.txt",
    "natoms.txt",
    "dim.txt",
)
_NEW = ".new"


@attrs.frozen
class DesignSize:
    """What was written."""

    n_frames: int
    n_rows: int
    n_columns: int
    closest: tuple[float, ...] = ()
    """Å, the shortest distance of each type of pairs, infinite for none in the cutoff; only if A was computed"""


@attrs.frozen(eq=False)
class SelectedFrame:
    """A frame that a fit uses."""

    index: int
    """Over all trajectories, from 0"""
    entry: TrajectoryEntry
    frame: XyzfFrame

    def fitted(self, setup: FitSetup) -> FittedFrame:
        """Its rows and right-hand sides."""
        return fitted_frame(setup, self.frame, self.index)


def write_design(
    setup: FitSetup, folder: Path, *, matrix: bool = True, ranks: int = 1
) -> DesignSize:
    """Write the files of a design matrix.

    Args:
        setup: with trajectories that exist.
        folder: where.
        matrix: whether to compute and write A.
        ranks: order the frames, and with SPLITFI split A, as that many processes of the ChIMES program do.

    Raises:
        InputError: a trajectory is missing or malformed, or a frame does not fit the set-up.
    """
    n_columns = count_columns(setup.basis, offsets=setup.has_offsets)
    if setup.n_frames == 0:
        for name, line in (("x.txt", "0\n"), ("Ax.txt", "1\n"), (RIGHT, "1\n")):
            (folder / name).write_text(line * n_columns)
        _write_basis(setup.basis, folder)
        return DesignSize(0, 0, n_columns)
    by_rank = _distribute(_numbered_frames(setup), setup.skip_frames, ranks)
    with _Files(folder, setup, n_columns, matrix=matrix) as files:
        for rank, frames in enumerate(by_rank):
            files.begin(rank)
            for selected in frames:
                files.add(setup, selected)
            if rank == ranks - 1:
                files.add_constraints(setup)
            files.end(rank)
        files.finish()
    _write_basis(setup.basis, folder)
    return DesignSize(
        sum(map(len, by_rank)), files.n_rows, n_columns, tuple(files.closest.tolist())
    )


def _write_basis(basis: Basis, folder: Path) -> None:
    (folder / HEADER).write_text(header_text(basis))
    (folder / MAP).write_text(map_text(basis))


def selected_frames(setup: FitSetup) -> list[SelectedFrame]:
    """The frames of a fit in the order of the rows, as one process of the ChIMES program takes them."""
    return _distribute(_numbered_frames(setup), setup.skip_frames, 1)[0]


def _numbered_frames(setup: FitSetup) -> list[SelectedFrame]:
    found = [(entry, f) for entry, frames in read_trajectories(setup) for f in frames]
    return [SelectedFrame(i, entry, frame) for i, (entry, frame) in enumerate(found)]


def _distribute(
    frames: Sequence[SelectedFrame], skip: int, ranks: int
) -> list[list[SelectedFrame]]:
    """Frames of each process: contiguous pieces, or with SKPFRMS n one after another, every n-th round."""
    if skip > 0:
        return [
            [
                f
                for f in frames
                if (f.index + rank) % ranks == 0 and (f.index + rank) // ranks % skip == 0
            ]
            for rank in range(ranks)
        ]
    least, more = divmod(len(frames), ranks)
    ends = np.cumsum([0] + [least + (rank < more) for rank in range(ranks)])
    return [list(frames[a:b]) for a, b in itertools.pairwise(ends.tolist())]


class _Files:
    """The files of rows, written one frame after another; none is there under its name unless all are complete."""

    def __init__(self, folder: Path, setup: FitSetup, n_columns: int, *, matrix: bool):
        self.n_rows = 0
        self.closest = np.full(len(setup.basis.pairs), np.inf)
        self._packed = pack_basis(setup.basis)
        self._folder = folder
        self._n_columns = n_columns
        self._split = setup.split_files
        self._wanted = matrix
        self._stack = ExitStack()
        self._names: list[str] = []
        self._matrix: TextIO | None = None
        self._first = 0
        self._ranges: list[tuple[int, int, int]] = []

    def __enter__(self) -> "_Files":
        self._right, self._labeled, self._atoms = map(self._open, (RIGHT, LABELED, ATOMS))
        if self._wanted and not self._split:
            self._matrix = self._open(MATRIX)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for name in self._names:
            (self._folder / (name + _NEW)).unlink(missing_ok=True)

    def _open(self, name: str) -> TextIO:
        self._names.append(name)
        return self._stack.enter_context((self._folder / (name + _NEW)).open("w"))

    def begin(self, rank: int) -> None:
        """Rows of a process begin."""
        self._first = self.n_rows
        self._log = self._open(f"frames.{rank:04d}.log")
        if self._wanted and self._split:
            self._matrix = self._open(f"A.{rank:04d}.txt")

    def end(self, rank: int) -> None:
        """Rows of a process are complete."""
        if not (self._wanted and self._split):
            return
        if self.n_rows > self._first:
            self._ranges.append((rank, self._first, self.n_rows - 1))
        else:
            self._names.remove(f"A.{rank:04d}.txt")
            (self._folder / f"A.{rank:04d}.txt{_NEW}").unlink()

    def add(self, setup: FitSetup, selected: SelectedFrame) -> None:
        """Rows of a frame."""
        start = time.perf_counter()
        fitted = selected.fitted(setup)
        right = fitted.right.tolist()
        n_forces, n_stress, _ = fitted.counts
        if self._matrix is not None:
            rows = fitted.rows(setup.basis, offsets=setup.has_offsets)
            n = count_columns(setup.basis, offsets=False)
            self._matrix.writelines(_row_texts(rows, n, n_forces, n_stress))
            self._look_for_close_pairs(setup.basis, fitted)
        else:
            _check_elements(setup.basis, selected.frame)
        self._right.write("%.16e\n" * len(right) % tuple(right))
        labels = zip(_labels(selected.entry, fitted), right, strict=True)
        self._labeled.writelines(f"{label} {value:g}\n" for label, value in labels)
        self._atoms.write(f"{len(fitted.elements)}\n" * len(right))
        self.n_rows += len(right)
        seconds = time.perf_counter() - start
        self._log.write(
            f"{selected.index:8d} {_composition(setup.basis, selected)} {seconds:.6f}\n"
        )

    def _look_for_close_pairs(self, basis: Basis, frame: FittedFrame) -> None:
        types = type_numbers(basis, frame.elements)
        found = find_edges(self._packed, types, frame.positions, frame.cell, 0.0)
        distances, pairs = found[4:]
        np.minimum.at(self.closest, pairs, distances)

    def add_constraints(self, setup: FitSetup) -> None:
        """Rows that tie charges together."""
        rows, right = constraint_rows(
            setup.basis, setup.charge_constraints, offsets=setup.has_offsets
        )
        if self._matrix is not None:
            self._matrix.writelines(_row_texts(rows, rows.shape[1], len(rows), 0))
        self._right.writelines(f"{value:.16e}\n" for value in right.tolist())
        self.n_rows += len(right)

    def finish(self) -> None:
        """Write the dimensions, and give all files their names; files of another number of processes go."""
        self._open(DIMENSIONS).write(f"{self._n_columns} {self.n_rows}\n")
        for rank, first, last in self._ranges:
            line = f"{self._n_columns} {first} {last} {self.n_rows}\n"
            self._open(f"dim.{rank:04d}.txt").write(line)
        self._stack.close()
        digits = "[0-9]" * 4
        parts = (f"A.{digits}.txt", f"b.{digits}.txt", f"dim.{digits}.txt", f"frames.{digits}.log")
        for pattern in parts:
            for old in self._folder.glob(pattern):
                old.unlink()
        for name in self._names:
            (self._folder / (name + _NEW)).replace(self._folder / name)
        self._names.clear()


def _row_texts(rows: Floats, n: int, n_forces: int, n_stress: int) -> Iterator[str]:
    """Lines of the matrix; the first n columns are numbers, the others are offsets."""
    n_offsets = rows.shape[1] - n
    force = "%.16e   " * n + " 0.0" * n_offsets + "\n"
    stress = "%.16e " * n + " 0.0" * n_offsets + "\n"
    energy = "%.16e " * n + " %d" * n_offsets + "\n"
    for i, row in enumerate(rows):
        if i < n_forces + n_stress:
            yield (force if i < n_forces else stress) % tuple(row[:n].tolist())
        else:
            yield energy % tuple(row.tolist())


def _labels(entry: TrajectoryEntry, fitted: FittedFrame) -> Iterator[str]:
    flags = (entry.force_flag, entry.stress_flag, entry.energy_flag)
    for kind, label in zip(fitted.kinds.tolist(), fitted.labels, strict=True):
        yield flags[kind] + label


def _composition(basis: Basis, selected: SelectedFrame) -> str:
    """Such as O32H64, in the order of the atom types."""
    counts = Counter(selected.frame.elements)
    return "".join(f"{t.name}{counts[t.name]}" for t in basis.types if t.name in counts)


def _check_elements(basis: Basis, frame: XyzfFrame) -> None:
    try:
        type_numbers(basis, frame.elements)
    except AtomError as error:
        raise Place(frame.path, (frame.line or 0) + 1 + error.atom).error(error.reason) from None
