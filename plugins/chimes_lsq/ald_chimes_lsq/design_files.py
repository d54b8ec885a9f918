"""Writes what the design-matrix generator of ChIMES writes, from the same control file and trajectories.

`A.txt`, `b.txt`, `b-labeled.txt`, `natoms.txt`, `dim.txt`, `params.header`, `ff_groups.map`. One frame of the matrix is
in memory at a time. Every file gets its name when all are complete.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.design import design_targets
from ald_chimes_lsq.design_rows import constraint_rows, design_matrix
from ald_chimes_lsq.formats.params_write import header_text, map_text
from ald_chimes_lsq.formats.setup import FitSetup
from ald_chimes_lsq.formats.tokens import Place
from ald_chimes_lsq.formats.traj_list import TrajectoryEntry, read_trajectories
from ald_chimes_lsq.formats.xyzf import XyzfFrame
from ald_chimes_lsq.frame_rows import ENERGY_ROWS, count_columns
from ald_core.errors import InputError

Floats = NDArray[np.float64]

HEADER, MAP = "params.header", "ff_groups.map"
MATRIX, RIGHT, LABELED, ATOMS, DIMENSIONS = (
    "A.txt",
    "b.txt",
    "b-labeled.txt",
    "natoms.txt",
    "dim.txt",
)
_NINE = [0, 3, 4, 3, 1, 5, 4, 5, 2]
"""xx yy zz xy xz yz of a trajectory as xx xy xz yx yy yz zx zy zz."""
_STRESS_LABELS = {
    3: ("s_xx", "s_yy", "s_zz"),
    9: ("s_xx", "s_xy", "s_xz", "s_yx", "s_yy", "s_yz", "s_zx", "s_zy", "s_zz"),
}
_NEW = ".new"


@attrs.frozen
class DesignSize:
    """What was written."""

    n_frames: int
    n_rows: int
    n_columns: int


@attrs.frozen(eq=False)
class SelectedFrame:
    """A frame that a fit uses."""

    index: int
    """Over all trajectories, from 0"""
    entry: TrajectoryEntry
    frame: XyzfFrame


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
    (folder / HEADER).write_text(header_text(setup.basis))
    (folder / MAP).write_text(map_text(setup.basis))
    n_columns = count_columns(setup.basis, offsets=setup.has_offsets)
    if setup.n_frames == 0:
        for name, line in (("x.txt", "0\n"), ("Ax.txt", "1\n"), (RIGHT, "1\n")):
            (folder / name).write_text(line * n_columns)
        return DesignSize(0, 0, n_columns)
    by_rank = _distribute(_numbered_frames(setup), setup.skip_frames, ranks)
    with _Files(folder, n_columns, split=setup.split_files, matrix=matrix) as files:
        for rank, frames in enumerate(by_rank):
            files.begin(rank)
            for selected in frames:
                files.add(setup, selected)
            if rank == ranks - 1:
                files.add_constraints(setup)
            files.end(rank)
        files.finish()
    return DesignSize(sum(map(len, by_rank)), files.n_rows, n_columns)


def selected_frames(setup: FitSetup) -> list[SelectedFrame]:
    """The frames of a fit in the order of the rows, as one process of the ChIMES program takes them."""
    return _distribute(_numbered_frames(setup), setup.skip_frames, 1)[0]


def frame_rows(setup: FitSetup, selected: SelectedFrame) -> Floats:
    """Rows of the design matrix.

    Raises:
        InputError: with the place of the frame.
    """
    frame, index = selected.frame, selected.index
    stress = setup.fit_stress.of(index)
    try:
        return design_matrix(
            setup.basis,
            frame.elements,
            frame.positions,
            frame.cell,
            stress=None if stress == "none" else stress,
            energy=setup.fit_energy.of(index),
            offsets=setup.has_offsets,
        )
    except InputError as error:
        raise Place(frame.path, frame.line).error(error.reason) from None


def frame_targets(setup: FitSetup, selected: SelectedFrame) -> tuple[Floats, int]:
    """Right-hand sides of the rows of a frame, and the number of stress rows."""
    rows = setup.fit_stress.of(selected.index)
    stress, energy = selected.frame.fitted_labels(rows, setup.fit_energy.of(selected.index))
    values: Sequence[float] | None = stress
    if stress is not None and rows == "full":
        values = [stress[i] for i in _NINE]
    return design_targets(selected.frame.forces, values, energy), len(values or ())


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

    def __init__(self, folder: Path, n_columns: int, *, split: bool, matrix: bool):
        self.n_rows = 0
        self._folder = folder
        self._n_columns = n_columns
        self._split = split
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
        right, n_stress = frame_targets(setup, selected)
        n_atoms = len(selected.frame.elements)
        if self._matrix is not None:
            rows = frame_rows(setup, selected)
            n = setup.basis.n_short_range + (
                len(setup.basis.pairs) if setup.basis.fit_charges else 0
            )
            self._matrix.writelines(_row_texts(rows, n, 3 * n_atoms, n_stress))
        else:
            _check_elements(setup.basis, selected.frame)
        self._right.write("%.16e\n" * len(right) % tuple(right.tolist()))
        labels = zip(_labels(selected, len(right), n_stress), right.tolist(), strict=True)
        self._labeled.writelines(f"{label} {value:g}\n" for label, value in labels)
        self._atoms.write(f"{n_atoms}\n" * len(right))
        self.n_rows += len(right)

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
        for pattern in (f"A.{digits}.txt", f"b.{digits}.txt", f"dim.{digits}.txt"):
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


def _labels(selected: SelectedFrame, n_rows: int, n_stress: int) -> Iterator[str]:
    entry = selected.entry
    for element in selected.frame.elements:
        for _ in range(3):
            yield entry.force_flag + element
    for name in _STRESS_LABELS.get(n_stress, ()):
        yield entry.stress_flag + name
    if n_rows > 3 * len(selected.frame.elements) + n_stress:
        for _ in range(ENERGY_ROWS):
            yield f"{entry.energy_flag}+1"


def _check_elements(basis: Basis, frame: XyzfFrame) -> None:
    known = {t.name for t in basis.types}
    unknown = sorted(set(frame.elements) - known)
    if unknown:
        raise Place(frame.path, frame.line).error(
            f"element {', '.join(unknown)} is not among the atom types {', '.join(sorted(known))}"
        )
