"""Numbers in text files: `A.txt`, `b.txt`, weights. Read in large pieces; mistakes are named with their line."""

import warnings
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.formats.tokens import MAX_NUMBER, Place, parse_number, read_text, reading
from ald_chimes_lsq.solvers.rows import RowFile
from ald_core.errors import InputError

Floats = NDArray[np.float64]

_PIECE = 16_000_000
"""Bytes of text that are read at a time."""
_NEWLINE = 10
_BLANK = 32


def read_matrix(path: Path, binary: Path) -> RowFile:
    """Copy a matrix from text to a file of doubles, a piece at a time; every line is a row.

    Raises:
        InputError: a word is not a finite number, lines have different lengths, or there are none.
        OSError: the copy cannot be written.
    """
    n_columns, n_rows, line = 0, 0, 1
    with reading(path):
        source = path.open("rb")
    with source, FileIO(binary, "w") as target:
        rest, more = b"", True
        while more:
            with reading(path):
                piece = source.read(_PIECE)
            more = bool(piece)
            # A last line may have no end.
            cut = piece.rfind(b"\n") + 1 if more else 0
            text, rest = (
                (rest + piece[:cut], piece[cut:]) if cut or not more else (b"", rest + piece)
            )
            n_columns, found = _copy_lines(text, target, n_columns, Place(path, line))
            n_rows += found
            line += text.count(b"\n")
    if n_rows == 0:
        raise _empty(path)
    return RowFile(binary, (n_rows, n_columns))


def read_numbers(path: Path) -> Floats:
    """Numbers of a file, separated by white space.

    Raises:
        InputError: a word is not a finite number, or there are none.
    """
    text = read_text(path).encode()
    if not text.strip():
        raise _empty(path)
    return _parse(text, Place(path, 1))


def _empty(path: Path) -> InputError:
    return InputError(
        "there are no numbers in this file", path=path, cure="write it again, a line for each row"
    )


def _copy_lines(text: bytes, target: FileIO, n_columns: int, place: Place) -> tuple[int, int]:
    """Parse whole lines and append their numbers; the number of columns, and that of rows."""
    counts = _count_words(text)
    filled = counts[counts > 0]
    if not filled.size:
        return n_columns, 0
    width = n_columns or int(filled[0])
    numbers = _parse(text, place)
    wrong = np.flatnonzero((counts > 0) & (counts != width))
    if wrong.size:
        at = Place(place.path, (place.line or 1) + int(wrong[0]))
        raise at.error(
            f"{counts[wrong[0]]} numbers in this line, {width} in the lines before",
            cure="write the file again, with `ald chimes lsq`",
        )
    left = numbers.data.cast("B")
    while left:
        left = left[target.write(left) :]
    return width, len(filled)


def _count_words(text: bytes) -> NDArray[np.int64]:
    """Number of words in each line."""
    characters = np.frombuffer(text, np.uint8)
    inside = characters > _BLANK
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    ends = np.append(np.flatnonzero(characters == _NEWLINE), len(characters))
    before = np.searchsorted(np.flatnonzero(begins), ends)
    return np.diff(before, prepend=0)


def _parse(text: bytes, place: Place) -> Floats:
    """All numbers of a text, of which `place` is the first line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            numbers = np.fromstring(text.decode("ascii"), sep=" ")
    except (ValueError, DeprecationWarning):
        raise _complaint(text, place) from None
    if not np.abs(numbers).max(initial=0.0) <= MAX_NUMBER:
        raise _complaint(text, place)
    return numbers


def _complaint(text: bytes, place: Place) -> InputError:
    """What is wrong with a text that cannot be parsed."""
    for number, line in enumerate(text.split(b"\n"), start=place.line or 1):
        for word in line.decode("utf-8", "replace").split():
            try:
                parse_number(word[:60], "a word of this file", Place(place.path, number))
            except InputError as error:
                return error
    return place.error("these numbers cannot be read", cure="write the file again")
