"""Frames of the contact-class files of chimes_md, and at which step they were written.

Frames in these files bear no step. Those that are also in `traj.gen`, which has steps, are recognised there by the
positions of some atoms. Of the others, which are close contacts between two frames of `traj.gen`, only the order is
known; their steps are estimated from how far the atoms are from where they are in those two.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO

import attrs
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ald_core.errors import InputError
from ald_core.types import ContactClass

Floats = NDArray[np.float64]

SAME = 1e-4
"""Å between positions that have been rounded to five decimals"""
_MARKS = 8
"""Atoms by which frames are recognised"""
_GEN_TAIL = 4
"""Lines of a GEN frame behind its atoms: origin and three vectors"""


@attrs.frozen(eq=False)
class Frames:
    """Where the frames of a file are."""

    offsets: NDArray[np.int64]
    """(n,) first byte"""
    steps: NDArray[np.int64]
    """(n,) as the frames say; 0 where they do not"""
    marks: Floats
    """(n, k, 3) positions of a few atoms, Å"""
    cells: Floats
    """(n, 3, 3) Å"""
    complete: bool
    """Whether the file ends with the end of a frame, and all numbers are finite"""

    def __len__(self) -> int:
        return len(self.offsets)


def scan_xyz(path: Path, n_atoms: int) -> Frames:
    """The frames of a contact-class file, up to the first that is damaged."""
    return _scan(path, n_atoms, gen=False)


def scan_gen(path: Path, n_atoms: int) -> Frames:
    """The frames of `traj.gen`, up to the first that is damaged."""
    return _scan(path, n_atoms, gen=True)


def _scan(path: Path, n_atoms: int, *, gen: bool) -> Frames:
    offsets: list[int] = []
    steps: list[int] = []
    marks: list[Floats] = []
    cells: list[Floats] = []
    complete = True
    try:
        with path.open("rb") as stream:
            while True:
                offset = stream.tell()
                found = _read(stream, n_atoms, gen=gen)
                if found is None:
                    stream.seek(offset)
                    complete = not stream.read(100).strip()
                    break
                step, mark, cell = found
                offsets.append(offset)
                steps.append(step)
                marks.append(mark)
                cells.append(cell)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from None
    return Frames(
        np.array(offsets, dtype=np.int64),
        np.array(steps, dtype=np.int64),
        np.array(marks).reshape(len(offsets), len(_marked(n_atoms)), 3),
        np.array(cells).reshape(-1, 3, 3),
        complete,
    )


def _marked(n_atoms: int) -> list[int]:
    """The atoms by which frames are recognised."""
    return list(range(0, n_atoms, -(-n_atoms // _MARKS)))


def _read(stream: BinaryIO, n_atoms: int, *, gen: bool) -> tuple[int, Floats, Floats] | None:
    """Step, marks and cell of the next frame; None if there is no whole one with so many atoms."""
    head = stream.readline().split()
    if head[:1] != [str(n_atoms).encode()]:
        return None
    second = stream.readline()
    lines = list(islice(stream, n_atoms + _GEN_TAIL * gen))
    if len(lines) < n_atoms + _GEN_TAIL * gen or not lines[-1].endswith(b"\n"):
        return None
    chosen = _marked(n_atoms)
    first = 2 if gen else 1
    try:
        marks = np.array([lines[i].split()[first : first + 3] for i in chosen], dtype=np.float64)
        rows = [line.split() for line in lines[-3:]] if gen else _cell_words(second)
        cell = np.array(rows, dtype=np.float64)
    except ValueError:
        return None
    spoilt = any(word in line for line in lines for word in (b"nan", b"inf", b"NaN"))
    if spoilt or marks.shape != (len(chosen), 3) or cell.shape != (3, 3):
        return None
    if not abs(np.linalg.det(cell)) > 1e-6:
        return None
    return _step(head) if gen else 0, marks, cell


def _cell_words(line: bytes) -> list[list[bytes]] | Floats:
    words = line.split()
    if words[:1] == [b"NON_ORTHO"]:
        return [words[i : i + 3] for i in (1, 4, 7)]
    return np.diag([float(word) for word in words[:3]])


def _step(head: Sequence[bytes]) -> int:
    """The number behind `#Step`; 0 if there is none."""
    if b"#Step" not in head[:-1]:
        return 0
    word = head[head.index(b"#Step") + 1]
    return int(word) if word.isdigit() else 0


def steps_of(
    files: Sequence[Frames], regular: Frames, start: Floats, last: int
) -> list[NDArray[np.int64]]:
    """Steps of the frames of the contact-class files: clear ones first, as in `CONTACT_FILES`.

    Args:
        files: clear frames, which are regular ones; those inside the penalty zone; those inside the inner cutoff.
        regular: frames of `traj.gen`.
        start: (n, 3) positions of all atoms at step 1, Å.
        last: no step is beyond this one.
    """
    found = [np.zeros(len(frames), dtype=np.int64) for frames in files]
    following = [0] * len(files)
    for i, step in enumerate(regular.steps.tolist()):
        for number, frames in enumerate(files):
            begin = following[number]
            # Clear frames are all regular; of the others there is one per step at most.
            before = int(found[number][begin - 1]) if begin else 0
            reach = 1 if number == 0 else step - before
            window = frames.marks[begin : begin + max(reach, 0)]
            same = _same(window, regular.marks[i], regular.cells[i])
            if same.size:
                position = begin + int(same[0])
                found[number][position] = step
                following[number] = position + 1
                break
    taken = set(regular.steps.tolist())
    references = _with_start(regular, start)
    for steps, frames in zip(found, files, strict=True):
        _fill(steps, frames, references, last, taken)
    return found


def _with_start(regular: Frames, start: Floats) -> Frames:
    """The frames that bear a step, with the first of all."""
    if not len(regular) or regular.steps[0] <= 1:
        return regular
    marks = start[_marked(len(start))]
    return Frames(
        np.concatenate([[0], regular.offsets]),
        np.concatenate([[1], regular.steps]),
        np.concatenate([marks[None], regular.marks]),
        np.concatenate([regular.cells[:1], regular.cells]),
        regular.complete,
    )


def _same(window: Floats, marks: Floats, cell: Floats) -> NDArray[np.int64]:
    """Positions in a window of frames with the same atoms in the same places, or in those of their images."""
    if not len(window):
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.abs(_apart(window, marks, cell)).max(axis=(1, 2)) < SAME)


def _apart(some: Floats, marks: Floats, cell: Floats) -> Floats:
    """Shortest ways (n, k, 3) between the atoms of some frames and those of one."""
    apart = some - marks
    shortest: Floats = apart - np.round(apart @ np.linalg.inv(cell)) @ cell
    return shortest


def _fill(
    steps: NDArray[np.int64], frames: Frames, references: Frames, last: int, taken: set[int]
) -> None:
    """Give each frame without a step one that no other has, between those of the frames before and behind it."""
    known = np.flatnonzero(steps)
    borders = [(-1, 0), *((int(i), int(steps[i])) for i in known), (len(steps), last + 1)]
    for (i, low), (j, high) in pairwise(borders):
        own = [_estimate(frames, k, references, low, high) for k in range(i + 1, j)]
        for k, step in _rising(own, low, high, taken):
            steps[i + 1 + k] = step
            taken.add(step)


def _rising(
    wanted: Sequence[int], low: int, high: int, taken: set[int]
) -> Iterator[tuple[int, int]]:
    """Free steps between two others, each beyond the one before and, if possible, the one that is wanted."""
    free = [step for step in range(low + 1, high) if step not in taken] if wanted else []
    position = -1
    for k, step in enumerate(wanted):
        latest = len(free) - (len(wanted) - k)
        position = min(max(bisect_left(free, step), position + 1), latest)
        if 0 <= position < len(free):
            yield k, free[position]


def _estimate(frames: Frames, k: int, references: Frames, low: int, high: int) -> int:
    """Step of a frame between two that are known, in proportion to how far its atoms are from both."""
    near = np.flatnonzero((references.steps >= low) & (references.steps <= high))
    if len(near) < 2:
        return low + 1
    ways = _apart(references.marks[near], frames.marks[k], frames.cells[k])
    lengths = np.sqrt((ways**2).sum(axis=(1, 2)))
    before = int(np.argmin(lengths[:-1] + lengths[1:]))
    first, second = references.steps[near[before : before + 2]].tolist()
    share = lengths[before] / (lengths[before] + lengths[before + 1])
    return int(first + round(share * (second - first)))


def load_frame(path: Path, offset: int, cell: Floats) -> Atoms:
    """One frame of a contact-class file, which begins at byte `offset`."""
    with path.open("rb") as stream:
        stream.seek(offset)
        n_atoms = int(stream.readline())
        stream.readline()
        words = [line.split() for line in islice(stream, n_atoms)]
    symbols = [row[0].decode() for row in words]
    positions = [[float(word) for word in row[1:4]] for row in words]
    return Atoms(symbols, positions, cell=cell, pbc=True)


def candidates_in_order(
    steps: Sequence[NDArray[np.int64]], last: int
) -> Iterator[tuple[int, ContactClass, int]]:
    """Step, class and number in its file of each frame up to a step, in the order of steps."""
    classes: tuple[ContactClass, ...] = (0, 1, 2)
    rows = [
        (int(step), contact, i)
        for contact, own in zip(classes, steps, strict=True)
        for i, step in enumerate(own)
        if step <= last
    ]
    return iter(sorted(rows))
