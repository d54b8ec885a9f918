"""Writes what the design-matrix generator of ChIMES writes, from the same control file and trajectories.

`A.txt`, `b.txt`, `b-labeled.txt`, `natoms.txt`, `dim.txt`, `params.header`, `ff_groups.map`, and `frames.0000.log` with
number, composition and seconds of each frame. Every frame is read and checked before the work begins; one of them, with
its rows, is in memory at a time. Every file gets its name when all are complete, and what an earlier run has left and
this one does not write is removed.
"""

import itertools
import time
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.design import FittedFrame, fitted_frame
from ald_chimes_lsq.design_names import (
    ATOMS,
    DIMENSIONS,
    HEADER,
    LABELED,
    MAP,
    MATRIX,
    RIGHT,
)
from ald_chimes_lsq.design_rows import constraint_rows
from ald_chimes_lsq.formats.params_write import header_text, map_text
from ald_chimes_lsq.formats.setup import FitSetup
from ald_chimes_lsq.formats.traj_list import TrajectoryEntry, iterate_trajectories
from ald_chimes_lsq.formats.xyzf import XyzfFrame, read_frame
from ald_chimes_lsq.frame_rows import count_columns
from ald_chimes_lsq.kernels.neighbours import find_edges
from ald_chimes_lsq.kernels.packing import pack_basis
from ald_chimes_lsq.new_files import NewFile, NewFiles
from ald_chimes_lsq.structure import type_numbers

Floats = NDArray[np.float64]

DIGITS = "[0-9]" * 4
_ALL_FRAMES = (
    *(DIMENSIONS, f"dim.{DIGITS}.txt", MATRIX, f"A.{DIGITS}.txt", RIGHT, f"b.{DIGITS}.txt"),
    *(LABELED, ATOMS, f"frames.{DIGITS}.log"),
)
"""Patterns of the files that depend on the frames."""


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
    """A frame that a fit uses, where it is to be found."""

    index: int
    """Over all trajectories, from 0"""
    entry: TrajectoryEntry
    offset: int
    """Bytes of the file before it"""
    line: int
    """Of its number of atoms"""

    def read(self) -> XyzfFrame:
        """The frame."""
        return read_frame(self.entry.path, self.offset, self.line)

    def fitted(self, setup: FitSetup) -> FittedFrame:
        """Its rows and right-hand sides."""
        return fitted_frame(setup, self.read(), self.index)


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
        _write_dummies(setup, folder, n_columns)
        return DesignSize(0, 0, n_columns)
    by_rank = _distribute(setup.n_frames, setup.skip_frames, ranks)
    found = _find_frames(setup, set(itertools.chain(*by_rank)))
    with NewFiles() as new:
        files = _Files(new, folder, setup, n_columns, matrix=matrix)
        for rank, indices in enumerate(by_rank):
            files.begin(rank)
            for index in indices:
                files.add(setup, found[index])
            if rank == ranks - 1:
                files.add_constraints(setup)
            files.end(rank)
        files.finish()
    return DesignSize(len(found), files.n_rows, n_columns, tuple(files.closest.tolist()))


def _write_dummies(setup: FitSetup, folder: Path, n_columns: int) -> None:
    """Files of a fit without frames, as far as the ChIMES program writes them."""
    with NewFiles() as new:
        for name, line in (("x.txt", "0\n"), ("Ax.txt", "1\n"), (RIGHT, "1\n")):
            new.write(folder / name, line * n_columns)
        _write_basis(setup.basis, folder, new)
        new.publish(_earlier_files(folder))


def _write_basis(basis: Basis, folder: Path, new: NewFiles) -> None:
    new.write(folder / HEADER, header_text(basis))
    new.write(folder / MAP, map_text(basis))


def _earlier_files(folder: Path) -> list[Path]:
    """What an earlier run has left. It goes first, so that no mixture with new files can be taken for a set."""
    return [path for pattern in _ALL_FRAMES for path in sorted(folder.glob(pattern))]


def selected_frames(setup: FitSetup) -> list[SelectedFrame]:
    """The frames of a fit in the order of the rows, as one process of the ChIMES program takes them."""
    (indices,) = _distribute(setup.n_frames, setup.skip_frames, 1)
    found = _find_frames(setup, set(indices))
    return [found[index] for index in indices]


def _find_frames(setup: FitSetup, used: Container[int]) -> dict[int, SelectedFrame]:
    """Where the frames with some indices are; all frames are read, and checked if they are used."""
    found = {}
    for index, (entry, frame) in enumerate(iterate_trajectories(setup)):
        if index in used:
            fitted_frame(setup, frame, index).check(setup.basis)
            # The line of the header is the second one of a frame.
            found[index] = SelectedFrame(index, entry, frame.offset or 0, (frame.line or 2) - 1)
    return found


def _distribute(n_frames: int, skip: int, ranks: int) -> list[list[int]]:
    """Frames of each process: contiguous pieces, or with SKPFRMS n one after another, every n-th round."""
    if skip > 0:
        return [
            [
                i
                for i in range(n_frames)
                if (i + rank) % ranks == 0 and (i + rank) // ranks % skip == 0
            ]
            for rank in range(ranks)
        ]
    least, more = divmod(n_frames, ranks)
    ends = np.cumsum([0] + [least + (rank < more) for rank in range(ranks)])
    return [list(range(a, b)) for a, b in itertools.pairwise(ends.tolist())]


class _Files:
    """The files of rows, written one frame after another."""

    def __init__(
        self, new: NewFiles, folder: Path, setup: FitSetup, n_columns: int, *, matrix: bool
    ):
        self.n_rows = 0
        self.closest = np.full(len(setup.basis.pairs), np.inf)
        self._packed = pack_basis(setup.basis)
        self._new = new
        self._folder = folder
        self._n_columns = n_columns
        self._split = setup.split_files
        self._wanted = matrix
        self._first = 0
        self._ranges: list[tuple[int, int, int]] = []
        _write_basis(setup.basis, folder, new)
        self._right, self._labeled, self._atoms = map(self._open, (RIGHT, LABELED, ATOMS))
        self._matrix = self._open(MATRIX) if matrix and not setup.split_files else None

    def _open(self, name: str) -> NewFile:
        return self._new.open(self._folder / name)

    def begin(self, rank: int) -> None:
        """Rows of a process begin."""
        self._first = self.n_rows
        self._log = self._open(f"frames.{rank:04d}.log")
        if self._wanted and self._split:
            self._matrix = self._open(f"A.{rank:04d}.txt")

    def end(self, rank: int) -> None:
        """Rows of a process are complete."""
        self._log.complete()
        if not self._split or self._matrix is None:
            return
        if self.n_rows > self._first:
            self._ranges.append((rank, self._first, self.n_rows - 1))
            self._matrix.complete()
        else:
            self._new.drop(self._matrix)

    def add(self, setup: FitSetup, selected: SelectedFrame) -> None:
        """Rows of a frame."""
        start = time.perf_counter()
        frame = selected.read()
        fitted = fitted_frame(setup, frame, selected.index)
        right = fitted.right.tolist()
        n_forces, n_stress, _ = fitted.counts
        if self._matrix is not None:
            rows = fitted.rows(setup.basis, offsets=setup.has_offsets)
            n = count_columns(setup.basis, offsets=False)
            self._matrix.writelines(_row_texts(rows, n, n_forces, n_stress))
            self._look_for_close_pairs(setup.basis, fitted)
        self._right.write("%.16e\n" * len(right) % tuple(right))
        labels = zip(_labels(selected.entry, fitted), right, strict=True)
        self._labeled.writelines(f"{label} {value:g}\n" for label, value in labels)
        self._atoms.write(f"{len(fitted.elements)}\n" * len(right))
        self.n_rows += len(right)
        seconds = time.perf_counter() - start
        self._log.write(f"{selected.index:8d} {_composition(setup.basis, frame)} {seconds:.6f}\n")

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
        """Write the dimensions, and give all files their names."""
        self._new.write(self._folder / DIMENSIONS, f"{self._n_columns} {self.n_rows}\n")
        for rank, first, last in self._ranges:
            line = f"{self._n_columns} {first} {last} {self.n_rows}\n"
            self._new.write(self._folder / f"dim.{rank:04d}.txt", line)
        self._new.publish(_earlier_files(self._folder))


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


def _composition(basis: Basis, frame: XyzfFrame) -> str:
    """Such as O32H64, in the order of the atom types."""
    counts = Counter(frame.elements)
    return "".join(f"{t.name}{counts[t.name]}" for t in basis.types if t.name in counts)
