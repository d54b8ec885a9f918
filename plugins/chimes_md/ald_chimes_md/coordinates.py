"""Coordinate files of ChIMES MD, and the system of atoms that they describe.

    natoms
    Lx Ly Lz   or   NON_ORTHO ax ay az bx by bz cx cy cz     [stress: 3 or 6 numbers] [energy]
    El x y z [three further columns [three more]]

A further frame may follow and is ignored, so that a training trajectory (`.xyzf`) can be used.
"""

import re
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.formats.tokens import Place, parse_number, read_text

MAX_ATOMS = 10_000_000
MAX_NUMBER = 1e9
_COUNT = re.compile("[0-9]{1,9}")


@attrs.frozen(eq=False)
class System:
    """Atoms in a periodic cell."""

    elements: tuple[str, ...]
    positions: NDArray[np.float64]
    """(n, 3) Å, inside the cell"""
    cell: NDArray[np.float64]
    """(3, 3) Å, lattice vectors in rows"""
    orthorhombic: bool
    """The cell is a box given by three lengths."""
    columns: NDArray[np.float64] | None
    """(n, 3) columns 5 to 7 of the file: velocities in Å per 48.888 fs, or forces"""


def read_coordinates(path: Path | str, *, wrapped: bool = True) -> System:
    """Read the first frame of a coordinate file and wrap its atoms into the cell, if wanted.

    Raises InputError for anything malformed, with its line.
    """
    lines = read_text(Path(path)).splitlines()
    n_atoms = _atom_count(lines, path)
    if len(lines) < n_atoms + 2:
        fault = f"{n_atoms} atoms are announced, but the file ends after {len(lines)} lines"
        raise Place(path, len(lines)).error(fault, cure="correct line 1, or add the atoms")
    cell, orthorhombic = _cell(lines[1].split(), path)
    elements, numbers = _atoms(lines[2 : n_atoms + 2], path)
    _check_rest(lines, n_atoms, path)
    positions = wrap(numbers[:, :3], cell) if wrapped else numbers[:, :3].copy()
    _check_places(positions, path)
    return System(
        elements=elements,
        positions=positions,
        cell=cell,
        orthorhombic=orthorhombic,
        columns=numbers[:, 3:6] if numbers.shape[1] > 3 else None,
    )


def wrap(positions: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions moved by lattice vectors into the cell."""
    turns: NDArray[np.float64] = np.floor(positions @ np.linalg.inv(cell))
    return positions - turns @ cell


def is_diagonal(cell: NDArray[np.float64]) -> bool:
    """The cell vectors lie along x, y and z."""
    return bool(np.all(cell == np.diag(np.diag(cell))))


def replicate(system: System, copies: int) -> System:
    """The supercell with that many copies added along each lattice vector.

    All atoms of the original cell come first, then those of each copy; the copy along the third
    vector changes fastest.
    """
    if copies == 0:
        return system
    counts = range(copies + 1)
    shifts = [np.array([i, j, k]) @ system.cell for i in counts for j in counts for k in counts]
    columns = system.columns
    return System(
        elements=system.elements * len(shifts),
        positions=np.concatenate([system.positions + shift for shift in shifts]),
        cell=system.cell * (copies + 1),
        orthorhombic=system.orthorhombic,
        columns=None if columns is None else np.concatenate([columns] * len(shifts)),
    )


def _atom_count(lines: list[str], path: Path | str) -> int:
    words = lines[0].split() if lines else []
    if len(words) != 1 or not _COUNT.fullmatch(words[0]) or not 0 < int(words[0]) <= MAX_ATOMS:
        given = lines[0].strip()[:60] if lines else ""
        fault = f"the first line must be the number of atoms, not '{given}'"
        cure = f"write a whole number from 1 to {MAX_ATOMS}"
        raise Place(path, 1).error(fault, cure=cure)
    return int(words[0])


def _cell(words: list[str], path: Path | str) -> tuple[NDArray[np.float64], bool]:
    triclinic = words[:1] == ["NON_ORTHO"]
    numbers = _numbers(words[1:] if triclinic else words, path, 2)
    size = 9 if triclinic else 3
    if len(numbers) - size not in {0, 1, 3, 4, 6, 7}:
        raise Place(path, 2).error(
            f"the cell must not have {len(numbers)} numbers",
            cure="write 'Lx Ly Lz' or 'NON_ORTHO' with nine numbers, then perhaps a stress of 3 or 6 numbers "
            "and an energy",
        )
    cell = np.array(numbers[:9]).reshape(3, 3) if triclinic else np.diag(numbers[:3])
    if not triclinic and min(numbers[:3]) <= 0.0:
        raise Place(path, 2).error(
            "the cell lengths must be above 0 Å", cure="write lengths, or NON_ORTHO and vectors"
        )
    edges = np.linalg.norm(cell, axis=1)
    if abs(np.linalg.det(cell)) <= 1e-6 * edges.prod():
        raise Place(path, 2).error(
            "the cell vectors span no volume", cure="give three independent ones"
        )
    return cell, not triclinic


def _atoms(lines: list[str], path: Path | str) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    elements = []
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=3):
        words = line.split()
        if len(words) not in {4, 7, 10}:
            raise Place(path, number).error(
                f"no line of an atom, {len(words)} words: '{line.strip()}'",
                cure="write an element and 3, 6 or 9 numbers",
            )
        if rows and len(words) - 1 != len(rows[0]):
            raise Place(path, number).error(
                f"this line has {len(words)} words, but line 3 has {len(rows[0]) + 1}",
                cure="give all atoms the same columns",
            )
        elements.append(words[0])
        rows.append(_numbers(words[1:], path, number))
    return tuple(elements), np.array(rows)


def _numbers(words: list[str], path: Path | str, line: int) -> list[float]:
    numbers = [parse_number(word, "a number of this line", Place(path, line)) for word in words]
    # Wrapping a coordinate like 1e300 into the cell would leave nothing of it but rounding errors.
    for word, value in zip(words, numbers, strict=True):
        if abs(value) > MAX_NUMBER:
            raise Place(path, line).error(
                f"'{word}' is too large", cure=f"write a number of at most {MAX_NUMBER:g}"
            )
    return numbers


def _check_places(positions: NDArray[np.float64], path: Path | str) -> None:
    """Refuse atoms in the same place."""
    _, first, which = np.unique(positions.round(6), axis=0, return_index=True, return_inverse=True)
    own = first[which.ravel()]
    again = np.flatnonzero(own != np.arange(len(positions)))
    if again.size:
        atom = int(again[0])
        fault = f"atoms {own[atom] + 1} and {atom + 1} are in the same place"
        raise Place(path, atom + 3).error(fault, cure="move or remove one")


def _check_rest(lines: list[str], n_atoms: int, path: Path | str) -> None:
    """Refuse anything behind the atoms but another frame."""
    for number, line in enumerate(lines[n_atoms + 2 :], start=n_atoms + 3):
        words = line.split()
        if not words:
            continue
        if len(words) == 1 and _COUNT.fullmatch(words[0]):
            return
        fault = f"{n_atoms} atoms were announced, but more lines follow: '{line.strip()}'"
        raise Place(path, number).error(fault, cure="correct line 1, or remove them")
