"""Checks and conversions of configurations before they go to compiled code."""

from collections.abc import Sequence

import ase
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.basis import Basis
from ald_core.errors import InputError

Floats = NDArray[np.float64]

MAX_NEIGHBOURS = 5000
"""Of an atom within the longest cutoff; several times what any real substance has, and what memory can hold."""
MAX_QUAD_NEIGHBOURS = 600
"""Of an atom within the longest 4-body cutoff; it has some 0.005 n³ quadruplets."""
MAX_LENGTH = 1.0e6
"""Å, of a cell vector"""
MIN_HEIGHT = 0.1
"""Å, of a cell: the distance of an atom from its own image"""
MAX_COORDINATE = 1.0e8
"""Å; what is left of larger ones after wrapping is rounding error."""
_SAME_PLACE = 1.0e-6
"""Å"""


class AtomError(InputError):
    """A mistake that one atom shows; whoever read the atom knows its line."""

    def __init__(self, message: str, atom: int):
        self.atom = atom
        super().__init__(message)


def type_numbers(basis: Basis, elements: Sequence[str]) -> NDArray[np.int64]:
    """Numbers of the atom types; raises InputError for an element that the basis does not know."""
    numbers = {t.name: i for i, t in enumerate(basis.types)}
    unknown = sorted(set(elements) - set(numbers))
    if unknown:
        raise AtomError(
            f"element {', '.join(unknown)} is not among the atom types {', '.join(numbers)}",
            next(i for i, element in enumerate(elements) if element not in numbers),
        )
    return np.array([numbers[e] for e in elements], np.int64)


def checked_cell(cell: ArrayLike) -> NDArray[np.float64]:
    """The cell vectors as rows, Å; raises InputError if they span no volume or are not finite."""
    vectors = np.ascontiguousarray(cell, dtype=np.float64)
    if vectors.shape != (3, 3) or not np.isfinite(vectors).all():
        raise InputError("the cell must be three finite vectors")
    lengths = np.linalg.norm(vectors, axis=1)
    if abs(np.linalg.det(vectors)) <= 1.0e-9 * np.prod(lengths):
        raise InputError("the cell vectors span no volume; give three independent ones")
    heights = 1.0 / np.linalg.norm(np.linalg.inv(vectors), axis=0)
    if lengths.max() > MAX_LENGTH or heights.min() < MIN_HEIGHT:
        raise InputError(
            f"the cell is {heights.min():g} Å high and has a vector of {lengths.max():g} Å; "
            f"at least {MIN_HEIGHT:g} and at most {MAX_LENGTH:g} Å are possible: is it in Å?"
        )
    return vectors


def checked_positions(positions: ArrayLike, n: int) -> NDArray[np.float64]:
    """Positions (n, 3), Å; raises InputError for another shape or a number that is not finite."""
    places = np.ascontiguousarray(positions, dtype=np.float64)
    if places.shape != (n, 3):
        raise InputError(f"{n} elements need positions of shape ({n}, 3), not {places.shape}")
    if not np.isfinite(places).all():
        raise InputError("a position is not a finite number")
    if np.abs(places).max(initial=0.0) > MAX_COORDINATE:
        atom = int(np.flatnonzero((np.abs(places) > MAX_COORDINATE).any(axis=1))[0])
        raise AtomError(
            f"a coordinate of atom {atom + 1} is beyond {MAX_COORDINATE:g} Å: is it in Å?", atom
        )
    return places


def check_density(basis: Basis, n_atoms: int, cell: Floats) -> None:
    """Refuse a cutoff that reaches more atoms than neighbour lists can hold; the cell is a checked one."""
    density = n_atoms / abs(float(np.linalg.det(cell)))
    quads = [r for c in basis.quads if not c.excluded for r in c.rmax]
    limits = [
        ("", basis.max_rmax, MAX_NEIGHBOURS),
        ("4-body ", max(quads, default=0.0), MAX_QUAD_NEIGHBOURS),
    ]
    for kind, reach, limit in limits:
        neighbours = density * 4.0 / 3.0 * np.pi * reach**3
        if neighbours > limit:
            raise InputError(
                f"an atom has some {neighbours:.0f} neighbours within the {kind}cutoff of {reach:g} Å, more than "
                f"{limit}; are the cutoff and the cell in Å?"
            )


def check_finite(positions: Floats, cell: Floats, *results: ArrayLike) -> None:
    """Refuse results that are not finite, and say why: atoms in one place, or coefficients that are too large."""
    if all(np.isfinite(result).all() for result in results):
        return
    inverse = np.linalg.inv(cell)
    for i, place in enumerate(positions):
        steps = (positions[i + 1 :] - place) @ inverse
        distances = np.linalg.norm((steps - np.round(steps)) @ cell, axis=1)
        for j in np.flatnonzero(distances < _SAME_PLACE).tolist():
            raise AtomError(
                f"atoms {i + 1} and {i + j + 2} are in the same place; move or remove one",
                i + j + 1,
            )
    raise InputError("the result is not a finite number; are the coefficients too large?")


def periodic_cell(atoms: ase.Atoms, reach: float) -> NDArray[np.float64]:
    """The cell, with directions that are not periodic stretched until images are out of reach (Å)."""
    cell = atoms.cell.complete()[:]
    if all(atoms.pbc):
        return checked_cell(atoms.cell[:])
    scaled = np.linalg.solve(cell.T, atoms.positions.T).T if len(atoms) else np.zeros((1, 3))
    for axis in np.flatnonzero(~atoms.pbc):
        height = 1.0 / np.linalg.norm(np.linalg.inv(cell)[:, axis])
        cell[axis] *= np.ptp(scaled[:, axis]) + 1.01 * reach / height + 1.0
    return checked_cell(cell)
