"""Looks through an `.xyzf` quickly: how many frames, which elements, which labels. Its plugin reads it for use."""

from __future__ import annotations

import itertools
from pathlib import Path

import attrs

from ald_core.errors import InputError

ENERGY = (1, 4, 7)
"""Numbers behind the cell that end with an energy"""
DIAGONAL = (3, 4)
FULL = (6, 7)


@attrs.frozen
class Contents:
    """What a trajectory holds."""

    frames: int
    elements: frozenset[str]
    with_energy: int
    with_diagonal: int
    """Frames with three stresses"""
    with_full: int
    """Frames with all six"""

    @property
    def with_stress(self) -> int:
        """Frames with three stresses or six."""
        return self.with_diagonal + self.with_full


def look_through(path: Path) -> Contents:
    """The contents of a trajectory.

    Raises:
        InputError: a frame is cut off, or its first lines are not what they should be.
    """
    elements: set[str] = set()
    layouts: list[int] = []
    number = 0
    try:
        with path.open("rb") as stream:
            for line in stream:
                number += 1
                if not line.strip():
                    continue
                n_atoms = _atoms(line, path, number)
                header = stream.readline().split()
                layouts.append(len(header) - (10 if header[:1] == [b"NON_ORTHO"] else 3))
                if layouts[-1] not in (0, 1, 3, 4, 6, 7):
                    message = f"{len(header)} words cannot be a cell with stresses and energy"
                    raise InputError(message, path=path, line=number + 1)
                atoms = list(itertools.islice(stream, n_atoms))
                if len(atoms) < n_atoms:
                    message = f"a frame of {n_atoms} atoms begins here, but the file ends in it"
                    raise InputError(message, path=path, line=number)
                elements |= {row.split(None, 1)[0].decode() for row in atoms if row.strip()}
                number += 1 + n_atoms
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", path=path) from None
    return Contents(
        len(layouts),
        frozenset(elements),
        sum(rest in ENERGY for rest in layouts),
        sum(rest in DIAGONAL for rest in layouts),
        sum(rest in FULL for rest in layouts),
    )


def _atoms(line: bytes, path: Path, number: int) -> int:
    word = line.strip()
    if not word.isdigit() or not 0 < int(word[:12]) < 10**8:
        shown = word[:60].decode(errors="replace")
        message = f"the number of atoms of a frame is expected, found '{shown}'"
        raise InputError(message, path=path, line=number)
    return int(word)
