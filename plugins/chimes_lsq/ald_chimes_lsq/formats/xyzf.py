"""Training trajectories of the ChIMES programs, `.xyzf`, in the units of the file.

A frame is the number of atoms; a line with the cell, perhaps stresses, perhaps the energy; and for each atom its
element, position and force.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.formats.setup import StressRows
from ald_chimes_lsq.formats.tokens import (
    MAX_NUMBER,
    Place,
    decode,
    parse_integer,
    parse_number,
    reading,
)
from ald_chimes_lsq.new_files import write_file

Floats = NDArray[np.float64]

_PIECE = 10_000
"""Atoms that are read at a time."""
NON_ORTHO = "NON_ORTHO"
_LAYOUTS = (
    "write 'Lx Ly Lz' or 'NON_ORTHO ax ay az bx by bz cx cy cz', then nothing, 3 or 6 stresses, "
    "then perhaps the energy"
)
_NUMBER_OF_ATOMS = "write the number of atoms, alone in its line"


@attrs.frozen(eq=False)
class XyzfFrame:
    """One frame, in the units of the file."""

    elements: tuple[str, ...]
    cell: Floats
    """(3, 3), rows are the cell vectors, Å"""
    positions: Floats
    """(n, 3) Å"""
    forces: Floats
    """(n, 3) Hartree/bohr"""
    header: tuple[str, ...] = ()
    """Words of the second line as they stand in the file."""
    stress: tuple[float, ...] | None = None
    """xx yy zz, or xx yy zz xy xz yz; GPa, positive in compression"""
    energy: float | None = None
    """kcal/mol"""
    path: Path | None = None
    line: int | None = None
    """Line of the header."""
    offset: int | None = None
    """Bytes of the file before the frame"""

    def fitted_labels(
        self, stress: StressRows, energy: bool
    ) -> tuple[tuple[float, ...] | None, float | None]:
        """Stress and energy that a fit asks for; of 6 stresses the first 3 for diagonal ones.

        Raises:
            InputError: the frame does not have them.
        """
        count = {"none": 0, "diagonal": 3, "full": 6}[stress]
        own = self.stress or ()
        if len(own) < count or (energy and self.energy is None):
            wanted = [f"{count} stresses"] * bool(count) + ["an energy"] * energy
            found = [f"{len(own)} stresses" if own else "no stresses"]
            found.append("no energy" if self.energy is None else "an energy")
            raise Place(self.path, self.line).error(
                f"the fit asks for {' and '.join(wanted)} (FITSTRS, FITENER), but this frame has {' and '.join(found)}",
                cure="add them to the line, or change these keys",
            )
        return own[:count] or None, self.energy if energy else None


def read_xyzf(path: Path | str, n_frames: int | None = None) -> list[XyzfFrame]:
    """Read frames from the start of a file.

    Args:
        path: the file.
        n_frames: how many; None for all.

    Raises:
        InputError: a frame is truncated, empty or malformed, or there are fewer frames than asked for.
    """
    path = Path(path)
    frames = list(stream_xyzf(path, n_frames))
    if n_frames is not None and len(frames) < n_frames:
        raise Place(path).error(
            f"{n_frames} frames are asked for, but the file has {len(frames)}",
            cure="ask for fewer, or add frames",
        )
    return frames


def stream_xyzf(path: Path, n_frames: int | None = None) -> Iterator[XyzfFrame]:
    """Frames from the start of a file, one in memory at a time; there may be fewer than `n_frames`.

    Raises:
        InputError: a frame is truncated or malformed, or there are none.
    """
    last = None
    with reading(path), path.open("rb") as stream:
        for last in itertools.islice(_iterate(stream, path), n_frames):
            yield last
        if last is not None and n_frames is not None:
            _check_end(stream, last)
    if last is None and n_frames != 0:
        raise Place(path).error("there are no frames in this file", cure="give one that has some")


def read_frame(path: Path, offset: int, line: int) -> XyzfFrame:
    """Read the frame whose number of atoms is at a byte of a file, in a line that is known."""
    with reading(path), path.open("rb") as stream:
        stream.seek(offset)
        for frame in _iterate(stream, path, line):
            return frame
    raise Place(path, line).error(
        "the frame is no longer there, because the file was changed meanwhile",
        cure="run again when nothing writes to it",
    )


def _check_end(stream: BinaryIO, last: XyzfFrame) -> None:
    """Refuse anything behind the last frame that is used but another one, since its number of atoms may be wrong."""
    start = (last.line or 0) + len(last.elements) + 1
    for number, line in enumerate(stream, start=start):
        place = Place(last.path, number)
        if words := decode(line, place).split():
            if len(words) > 1 or not words[0].isdigit():
                raise place.error(
                    f"expected the number of atoms of the next frame, found '{' '.join(words)[:60]}'",
                    cure="write it, or correct the number of atoms of the frame before",
                )
            return


def iterate_xyzf(text: str, path: Path | None = None) -> Iterator[XyzfFrame]:
    """Frames of a text one after another; `path` is for messages."""
    return _iterate(BytesIO(text.encode()), path)


def _iterate(stream: BinaryIO, path: Path | None, line: int = 1) -> Iterator[XyzfFrame]:
    """Frames from where a stream stands, which is at the beginning of a line."""
    number = line - 1
    while text := stream.readline():
        number += 1
        place = Place(path, number)
        words = decode(text, place).split()
        if not words:
            continue
        if len(words) != 1:
            raise place.error(
                f"expected the number of atoms of the next frame, found '{' '.join(words)[:60]}'",
                cure=_NUMBER_OF_ATOMS,
            )
        what = "the number of atoms"
        n_atoms = parse_integer(words[0], what, place, minimum=1, cure=_NUMBER_OF_ATOMS)
        offset = stream.tell() - len(text)
        header = decode(stream.readline(), Place(path, number + 1)).split()
        rows = _read_rows(stream, n_atoms, Place(path, number + 2))
        filled = [row for row in rows if row]
        if len(filled) < n_atoms and not any(later.strip() for later in stream):
            raise place.error(
                f"a frame of {n_atoms} atoms begins here, but the file ends after {len(filled)} of them",
                cure="correct the number of atoms, or complete or remove the frame",
            )
        yield _read_frame(tuple(header), rows, Place(path, number + 1), offset)
        number += n_atoms + 1


def _read_rows(stream: BinaryIO, n_atoms: int, place: Place) -> list[list[str]]:
    """Words of the lines of so many atoms; fewer at the end of the file, or behind a line that is not one of an atom.

    So a wrong number of atoms does not bring the whole file into memory.
    """
    rows: list[list[str]] = []
    while len(rows) < n_atoms:
        lines = list(itertools.islice(stream, min(n_atoms - len(rows), _PIECE)))
        text = decode(b"".join(lines), Place(place.path, (place.line or 0) + len(rows)))
        more = [line.split() for line in text.split("\n")]
        # Behind the last newline nothing is left.
        rows += more[: len(lines)]
        if len(lines) < _PIECE or any(len(row) != 7 for row in rows[-len(lines) :]):
            break
    return rows


def write_xyzf(path: Path | str, frames: Iterable[XyzfFrame]) -> None:
    """Write frames; cell, stress and energy are written, the words of `header` are not looked at."""
    write_file(Path(path), format_xyzf(list(frames)))


def format_xyzf(frames: Sequence[XyzfFrame]) -> str:
    """Text of a trajectory; every number is written so that reading gives it back exactly."""
    # The ChIMES program misreads orthorhombic headers after one that is not, so all get the same form.
    general = any(np.any(f.cell != np.diag(np.diag(f.cell))) for f in frames)
    lines: list[str] = []
    for frame in frames:
        cell = frame.cell.ravel().tolist() if general else np.diag(frame.cell).tolist()
        labels = [*(frame.stress or ()), *(() if frame.energy is None else (frame.energy,))]
        words = [NON_ORTHO] if general else []
        lines += [
            str(len(frame.elements)),
            " ".join([*words, *map(repr, map(float, (*cell, *labels)))]),
        ]
        numbers = np.hstack((frame.positions, frame.forces)).tolist()
        lines += [
            " ".join([element, *map(repr, row)])
            for element, row in zip(frame.elements, numbers, strict=True)
        ]
    return "\n".join([*lines, ""])


def _cell_width(header: Sequence[str]) -> int:
    return 10 if header[:1] and header[0] == NON_ORTHO else 3


def _read_frame(
    header: tuple[str, ...], rows: Sequence[Sequence[str]], place: Place, offset: int
) -> XyzfFrame:
    """Make a frame of the words of its lines; `place` is that of the header."""
    cell, stress, energy = _read_header(header, place)
    numbers = _numbers(rows)
    if numbers is None:
        for number, row in enumerate(rows, start=1):
            _check_atom(row, Place(place.path, (place.line or 0) + number))
        raise place.error("the atoms of this frame cannot be read", cure="write the frame again")
    return XyzfFrame(
        elements=tuple(row[0] for row in rows),
        cell=cell,
        positions=numbers[:, :3].copy(),
        forces=numbers[:, 3:].copy(),
        header=header,
        stress=stress,
        energy=energy,
        path=None if place.path is None else Path(place.path),
        line=place.line,
        offset=offset,
    )


def _numbers(rows: Sequence[Sequence[str]]) -> Floats | None:
    """Positions and forces (n, 6); None if there is something wrong with a row."""
    if any(len(row) != 7 or not row[0][0].isalpha() for row in rows):
        return None
    try:
        numbers = np.array([[float(word) for word in row[1:]] for row in rows])
    except ValueError:
        return None
    # float() also reads 1_000 and digits of other scripts; the largest numbers overflow when units are converted.
    letters = "".join(itertools.chain.from_iterable(row[1:] for row in rows))
    fine = np.abs(numbers).max() <= MAX_NUMBER and letters.isascii() and "_" not in letters
    return numbers if fine else None


def _check_atom(row: Sequence[str], place: Place) -> None:
    if len(row) != 7:
        raise place.error(
            f"an atom has 7 columns (element, position, force), found {len(row)}: '{' '.join(row)[:60]}'",
            cure="write these, or correct the number of atoms of this frame",
        )
    if not row[0][0].isalpha():
        raise place.error(
            f"expected the name of an element, found '{row[0]}'",
            cure="write it before the position",
        )
    for word, what in zip(row[1:], ("position",) * 3 + ("force",) * 3, strict=True):
        parse_number(word, f"a {what}", place)


def check_volume(cell: Floats, words: Sequence[str], place: Place) -> None:
    """Refuse cell vectors (3, 3), read from some words, that lie in a plane."""
    # Volume of the parallelepiped of unit vectors: zero for a flat cell of any size.
    lengths = np.linalg.norm(cell, axis=1)
    if not lengths.all() or abs(np.linalg.det(cell / lengths[:, None])) < 1e-6:
        raise place.error(
            f"the cell has no volume: {' '.join(words)}",
            cure="write three vectors that span one, in Å",
        )


def _read_header(
    words: tuple[str, ...], place: Place
) -> tuple[Floats, tuple[float, ...] | None, float | None]:
    """Cell, stress and energy; what a word is follows from the number of words."""
    width = _cell_width(words)
    rest = len(words) - width
    if rest not in {0, 1, 3, 4, 6, 7}:
        raise place.error(
            f"a header with {len(words)} words is not understood: '{' '.join(words)[:80]}'",
            cure=_LAYOUTS,
        )
    first = 1 if width == 10 else 0
    numbers = [parse_number(word, "a number of the header", place) for word in words[first:]]
    if width == 10:
        cell = np.array(numbers[:9]).reshape(3, 3)
    else:
        cell = np.diag(numbers[:3])
        if min(numbers[:3]) <= 0.0:
            raise place.error(
                f"the lengths of the cell must be positive, found {' '.join(words[:3])}",
                cure="write them in Å",
            )
    check_volume(cell, words[first:width], place)
    labels = numbers[width - first :]
    energy = labels.pop() if rest % 3 == 1 else None
    return cell, tuple(labels) or None, energy
