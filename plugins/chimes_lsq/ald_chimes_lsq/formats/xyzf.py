"""Training trajectories of the ChIMES programs, `.xyzf`, in the units of the file.

A frame is the number of atoms; a line with the cell, perhaps stresses, perhaps the energy; and for each atom its
element, position and force.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.formats.setup import StressRows
from ald_chimes_lsq.formats.tokens import MAX_NUMBER, Place, parse_integer, parse_number, read_text

Floats = NDArray[np.float64]

NON_ORTHO = "NON_ORTHO"
_LAYOUTS = (
    "a header is 'Lx Ly Lz' or 'NON_ORTHO ax ay az bx by bz cx cy cz', then nothing, 3 or 6 stresses, "
    "then perhaps the energy"
)


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

    def fitted_labels(
        self, stress: StressRows, energy: bool
    ) -> tuple[tuple[float, ...] | None, float | None]:
        """Stress and energy as the control file of a fit makes the ChIMES program read them.

        Stresses are the 3 or 6 words after the cell, the energy is the last word, whatever they were meant to be.
        In a frame that was not read, without a header, they are its own stress and energy.

        Raises:
            InputError: the header is too short.
        """
        place = Place(self.path, self.line)
        energies = () if self.energy is None else (self.energy,)
        own = tuple(repr(float(value)) for value in (*(self.stress or ()), *energies))
        words = self.header[_cell_width(self.header) :] if self.header else own
        count = {"none": 0, "diagonal": 3, "full": 6}[stress]
        needed = count + energy
        if len(words) < needed:
            raise place.error(
                f"the fit asks for {count} stresses{' and an energy' if energy else ''} "
                f"(FITSTRS, FITENER), but {len(words)} numbers follow the cell in this header"
            )
        values = tuple(parse_number(word, "a stress", place) for word in words[:count])
        said = parse_number(words[-1], "the energy", place) if energy else None
        return values or None, said


def read_xyzf(path: Path | str, n_frames: int | None = None) -> list[XyzfFrame]:
    """Read frames from the start of a file.

    Args:
        path: the file.
        n_frames: how many; None for all.

    Raises:
        InputError: a frame is truncated, empty or malformed, or there are fewer frames than asked for.
    """
    path = Path(path)
    lines = _lines(read_text(path))
    frames = list(itertools.islice(_iterate(lines, path), n_frames))
    if not frames and n_frames != 0:
        raise Place(path).error("there are no frames in this file")
    if n_frames is not None and len(frames) < n_frames:
        raise Place(path).error(f"{n_frames} frames are asked for, but the file has {len(frames)}")
    if n_frames:
        _check_end(lines, frames[-1])
    return frames


def _check_end(lines: Sequence[str], last: XyzfFrame) -> None:
    """Refuse anything behind the last frame that is used but another one, since its number of atoms may be wrong."""
    start = (last.line or 0) + len(last.elements)
    for number, line in enumerate(lines[start:], start=start + 1):
        if words := line.split():
            if len(words) > 1 or not words[0].isdigit():
                raise Place(last.path, number).error(
                    f"expected the number of atoms of the next frame, found '{line.strip()[:60]}'; "
                    "is the number of atoms of the frame before right?"
                )
            return


def iterate_xyzf(text: str, path: Path | None = None) -> Iterator[XyzfFrame]:
    """Frames of a text one after another; `path` is for messages."""
    return _iterate(_lines(text), path)


def _lines(text: str) -> list[str]:
    return text.rstrip().split("\n")


def _iterate(lines: Sequence[str], path: Path | None) -> Iterator[XyzfFrame]:
    position = 0
    while position < len(lines):
        words = lines[position].split()
        if not words:
            position += 1
            continue
        place = Place(path, position + 1)
        if len(words) != 1:
            raise place.error(
                f"expected the number of atoms of the next frame, found '{lines[position].strip()[:60]}'"
            )
        n_atoms = parse_integer(words[0], "the number of atoms", place, minimum=1)
        block = lines[position + 1 : position + 2 + n_atoms]
        if len(block) < n_atoms + 1:
            raise place.error(
                f"a frame of {n_atoms} atoms begins here, but the file ends after "
                f"{max(len(block) - 1, 0)} of them; it is truncated"
            )
        yield _read_frame(block, position + 2, path)
        position += n_atoms + 2


def write_xyzf(path: Path | str, frames: Iterable[XyzfFrame]) -> None:
    """Write frames; cell, stress and energy are written, the words of `header` are not looked at."""
    Path(path).write_text(format_xyzf(list(frames)), encoding="utf-8")


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


def _read_frame(block: Sequence[str], line: int, path: Path | None) -> XyzfFrame:
    """Read header and atoms; `line` is the number of the header line."""
    header = tuple(block[0].split())
    cell, stress, energy = _read_header(header, Place(path, line))
    rows = [text.split() for text in block[1:]]
    numbers = _numbers(rows)
    if numbers is None:
        for offset, row in enumerate(rows, start=1):
            _check_atom(row, Place(path, line + offset))
        raise Place(path, line).error("the atoms of this frame cannot be read")
    return XyzfFrame(
        elements=tuple(row[0] for row in rows),
        cell=cell,
        positions=numbers[:, :3].copy(),
        forces=numbers[:, 3:].copy(),
        header=header,
        stress=stress,
        energy=energy,
        path=path,
        line=line,
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
            f"an atom has 7 columns (element, position, force), found {len(row)}: '{' '.join(row)[:60]}'; "
            "is the number of atoms of this frame right?"
        )
    if not row[0][0].isalpha():
        raise place.error(f"expected the name of an element, found '{row[0]}'")
    for word, what in zip(row[1:], ("position",) * 3 + ("force",) * 3, strict=True):
        parse_number(word, f"a {what}", place)


def _read_header(
    words: tuple[str, ...], place: Place
) -> tuple[Floats, tuple[float, ...] | None, float | None]:
    """Cell, stress and energy; what a word is follows from the number of words."""
    width = _cell_width(words)
    rest = len(words) - width
    if rest not in {0, 1, 3, 4, 6, 7}:
        raise place.error(f"{_LAYOUTS}; found {len(words)} words: '{' '.join(words)[:80]}'")
    first = 1 if width == 10 else 0
    numbers = [parse_number(word, "a number of the header", place) for word in words[first:]]
    if width == 10:
        cell = np.array(numbers[:9]).reshape(3, 3)
    else:
        cell = np.diag(numbers[:3])
        if min(numbers[:3]) <= 0.0:
            raise place.error(
                f"the lengths of the cell must be positive, found {' '.join(words[:3])}"
            )
    # Volume of the parallelepiped of unit vectors: zero for a flat cell of any size.
    lengths = np.linalg.norm(cell, axis=1)
    if not lengths.all() or abs(np.linalg.det(cell / lengths[:, None])) < 1e-6:
        raise place.error(f"the cell has no volume: {' '.join(words[first:width])}")
    labels = numbers[width - first :]
    energy = labels.pop() if rest % 3 == 1 else None
    return cell, tuple(labels) or None, energy
