"""Trajectories in the XYZ format of ChIMES MD, frame by frame: the cell is in the second line.

Molecules are named by elements in the order in which they first appear, for want of a type line.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from ald_chimes_md.speciation.gen import (
    Floats,
    GenFrame,
    are_sound,
    check_cell,
    check_elements,
    is_count,
    read_frames,
    short,
)
from ald_core.errors import InputError


def read_xyz(path: Path) -> Iterator[GenFrame]:
    """Read one frame at a time, whatever the length of the file."""
    return read_frames(path, _frame, "XYZ")


def _frame(file: TextIO, head: str, path: Path, line: int) -> tuple[GenFrame, int]:
    if not is_count(head.strip()):
        raise InputError(
            f"'{head.strip()[:60]}' is not the first line of a frame",
            path=path,
            line=line,
            cure="it has the number of atoms",
        )
    n_atoms = int(head)
    cell = _cell(file.readline().split(), path, line + 1)
    symbols, places = [], []
    for number, text in enumerate(islice(file, n_atoms), start=line + 2):
        words = text.split()
        symbols.append(words[0] if words else "")
        places.append(_numbers(words[1:4], 3, text, path, number))
    if len(places) < n_atoms:
        raise short(path, line + 2 + len(places))
    elements = tuple(dict.fromkeys(symbols))
    for element in elements:
        check_elements((element,), path, line + 2 + symbols.index(element))
    index = {element: kind for kind, element in enumerate(elements)}
    kinds = np.array([index[symbol] for symbol in symbols])
    return GenFrame(elements, kinds, np.array(places), cell), n_atoms + 2


def _cell(words: list[str], path: Path, line: int) -> Floats:
    triclinic = words[:1] == ["NON_ORTHO"]
    size = 9 if triclinic else 3
    numbers = _numbers(words[triclinic : size + triclinic], size, " ".join(words), path, line)
    cell = np.array(numbers).reshape(3, 3) if triclinic else np.diag(numbers)
    check_cell(cell, path, line)
    return cell


def _numbers(words: list[str], size: int, text: str, path: Path, line: int) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != size or not are_sound(numbers):
        raise InputError(
            f"'{text.strip()[:60]}' does not hold the {size} numbers that are needed",
            path=path,
            line=line,
            cure="the frame is damaged; remove it",
        )
    return numbers
