"""Trajectories in DFTB+'s GEN format, frame by frame.

ASE reads the format too, but forgets the order of the type line, by which molecules are named.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from ase.data import atomic_numbers
from attrs import frozen
from numpy.typing import NDArray

from ald_core.errors import InputError

Floats = NDArray[np.float64]


@frozen(eq=False)
class GenFrame:
    """Positions (n, 3) in Å; `kinds` (n) index `elements`; `cell` (3, 3) has rows, None: no cell."""

    elements: tuple[str, ...]
    kinds: NDArray[np.int64]
    positions: Floats
    cell: Floats | None


def read_gen(path: Path) -> Iterator[GenFrame]:
    """Read one frame at a time, whatever the length of the file."""
    try:
        with path.open(encoding="utf-8") as file:
            line, frame = 1, 0
            atoms: tuple[tuple[str, ...], bytes] | None = None
            while (head := file.readline()).strip():
                got, used = _frame(file, head, path, line)
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
        raise InputError(
            f"cannot be read ({error})", path=path, cure="name a trajectory in GEN format"
        ) from None
    if not frame:
        raise InputError("holds no frame", path=path, cure="name a trajectory in GEN format")


def _frame(file: TextIO, head: str, path: Path, line: int) -> tuple[GenFrame, int]:
    words = head.partition("#")[0].split()  # ChIMES MD writes step, time and temperature behind it
    if (
        len(words) != 2
        or not words[0].isdecimal()
        or int(words[0]) == 0
        or words[1].upper() not in {"C", "S", "F"}
    ):
        raise InputError(
            f"'{head.strip()[:60]}' is not the first line of a frame",
            path=path,
            line=line,
            cure="it has the number of atoms and C, S or F",
        )
    n_atoms, style = int(words[0]), words[1].upper()
    elements = tuple(file.readline().split())
    for element in elements:
        if element not in atomic_numbers or element == "X":
            raise InputError(
                f"'{element}' is not an element",
                path=path,
                line=line + 1,
                cure="write it as C or Cl",
            )
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
    if abs(np.linalg.det(cell)) < 1e-6:
        raise InputError(
            "the cell has no volume",
            path=path,
            line=line + 3 + n_atoms,
            cure="give three independent vectors",
        )
    positions = rows[:, 2:] @ cell if style == "F" else rows[:, 2:]
    return GenFrame(elements, kinds, positions, cell), n_atoms + 6


def _table(file: TextIO, n_rows: int, n_columns: int, path: Path, line: int) -> Floats:
    values: list[list[float]] = []
    for number, text in enumerate(islice(file, n_rows), start=line):
        try:
            row = [float(word) for word in text.split()]
        except ValueError:
            row = []
        if len(row) != n_columns or not np.isfinite(row).all():
            raise InputError(
                f"'{text.strip()[:60]}' is not {n_columns} numbers",
                path=path,
                line=number,
                cure="the frame is damaged; remove it",
            )
        values.append(row)
    if len(values) < n_rows:
        raise InputError(
            "the last frame is cut short",
            path=path,
            line=line + len(values),
            cure="remove it, or finish the run that writes it",
        )
    return np.array(values).reshape(n_rows, n_columns)
