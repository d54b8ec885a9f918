"""Trajectories in DFTB+'s GEN format, frame by frame.

ASE reads the format too, but forgets the order of the type line, by which molecules are named.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ald_chimes_md.speciation.criteria import element_of
from ald_core.errors import InputError

Floats = NDArray[np.float64]
MAX_NUMBER = 1e9
MIN_HEIGHT = 0.5
"""Å, of a cell; there are no atoms that near to each other"""
MAX_EDGE = 1e6
"""Å"""


@frozen(eq=False)
class GenFrame:
    """Positions (n, 3) in Å; `kinds` (n) index `elements`; `cell` (3, 3) has rows, None: no cell."""

    elements: tuple[str, ...]
    kinds: NDArray[np.int64]
    positions: Floats
    cell: Floats | None


def read_gen(path: Path) -> Iterator[GenFrame]:
    """Read one frame at a time, whatever the length of the file."""
    return read_frames(path, _frame, "GEN")


ReadOne = Callable[[TextIO, str, Path, int], tuple[GenFrame, int]]
"""Reads a frame whose first line was read already: from a file, that line, the path, the number of the line; also tells
the number of lines of the frame."""


def read_frames(path: Path, read_one: ReadOne, what: str) -> Iterator[GenFrame]:
    """The frames of a trajectory, which must have the same atoms; `what` is the name of its format."""
    cure = f"name a trajectory in {what} format"
    try:
        with path.open(encoding="utf-8") as file:
            line, frame = 1, 0
            atoms: tuple[tuple[str, ...], bytes] | None = None
            while (head := file.readline()).strip():
                got, used = read_one(file, head, path, line)
                these = (got.elements, got.kinds.tobytes())
                if atoms not in {None, these}:
                    raise InputError(
                        f"frame {frame + 1} has other atoms than the first",
                        path=path,
                        line=line,
                        cure="analyse trajectories of one system at a time",
                    )
                atoms = these
                line += used
                frame += 1
                yield got
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", path=path, cure=cure) from None
    if not frame:
        raise InputError("holds no frame", path=path, cure=cure)


def _frame(file: TextIO, head: str, path: Path, line: int) -> tuple[GenFrame, int]:
    words = head.partition("#")[0].split()  # ChIMES MD writes step, time and temperature behind it
    if len(words) != 2 or not is_count(words[0]) or words[1].upper() not in {"C", "S", "F"}:
        raise InputError(
            f"'{head.strip()[:60]}' is not the first line of a frame",
            path=path,
            line=line,
            cure="it has the number of atoms and C, S or F",
        )
    n_atoms, style = int(words[0]), words[1].upper()
    elements = tuple(file.readline().split())
    check_elements(elements, path, line + 1)
    rows = _table(file, n_atoms, 5, path, line + 2)
    kinds = rows[:, 1].astype(np.int64) - 1
    wrong = np.flatnonzero((kinds < 0) | (kinds >= len(elements)))
    if wrong.size:
        raise InputError(
            f"the type '{kinds[wrong[0]] + 1}' is not one of the {len(elements)} elements",
            path=path,
            line=line + 2 + int(wrong[0]),
            cure="number the types from 1 in the order of the second line",
        )
    if style == "C":
        return GenFrame(elements, kinds, rows[:, 2:], None), n_atoms + 2
    cell = _table(file, 4, 3, path, line + 2 + n_atoms)[1:]
    check_cell(cell, path, line + 3 + n_atoms)
    positions = rows[:, 2:] @ cell if style == "F" else rows[:, 2:]
    return GenFrame(elements, kinds, positions, cell), n_atoms + 6


def is_count(word: str) -> bool:
    """Whether this is a number of atoms."""
    return word.isascii() and word.isdecimal() and len(word) < 10 and int(word) > 0


def check_elements(elements: Sequence[str], path: Path, line: int) -> None:
    """Refuse what is no element, nor a label of one."""
    for element in elements:
        if element_of(element) is None:
            raise InputError(
                f"'{element[:40]}' is not an element",
                path=path,
                line=line,
                cure="write it as C or Cl",
            )


def check_cell(cell: Floats, path: Path, line: int) -> None:
    """Refuse a cell that is flat or too large for any atoms."""
    edges = np.linalg.norm(cell, axis=1)
    volume = abs(np.linalg.det(cell))
    sides = np.linalg.norm(np.cross(cell, np.roll(cell, 1, axis=0)), axis=1)
    if volume < MIN_HEIGHT * sides.max(initial=1e-6) or edges.max() > MAX_EDGE:
        raise InputError(
            f"the cell has no volume, a height below {MIN_HEIGHT:g} Å, or an edge above {MAX_EDGE:g} Å",
            path=path,
            line=line,
            cure="give three independent vectors",
        )


def are_sound(numbers: Sequence[float]) -> bool:
    """Whether these can be coordinates, Å."""
    return all(abs(number) < MAX_NUMBER for number in numbers)


def short(path: Path, line: int) -> InputError:
    """The error of a trajectory that ends within a frame, at some line."""
    return InputError(
        "the last frame is cut short",
        path=path,
        line=line,
        cure="remove it, or finish the run that writes it",
    )


def _table(file: TextIO, n_rows: int, n_columns: int, path: Path, line: int) -> Floats:
    values: list[list[float]] = []
    for number, text in enumerate(islice(file, n_rows), start=line):
        try:
            row = [float(word) for word in text.split()]
        except ValueError:
            row = []
        if len(row) != n_columns or not are_sound(row):
            raise InputError(
                f"'{text.strip()[:60]}' is not {n_columns} numbers",
                path=path,
                line=number,
                cure="the frame is damaged; remove it",
            )
        values.append(row)
    if len(values) < n_rows:
        raise short(path, line + len(values))
    return np.array(values).reshape(n_rows, n_columns)
