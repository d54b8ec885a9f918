"""Checks and conversions of configurations before they go to compiled code."""

from collections.abc import Sequence

import ase
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.basis import Basis
from ald_core.errors import InputError


def type_numbers(basis: Basis, elements: Sequence[str]) -> NDArray[np.int64]:
    """Numbers of the atom types; raises InputError for an element that the basis does not know."""
    numbers = {t.name: i for i, t in enumerate(basis.types)}
    unknown = sorted(set(elements) - set(numbers))
    if unknown:
        raise InputError(
            f"element {', '.join(unknown)} is not among the atom types {', '.join(numbers)}"
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
    return vectors


def checked_positions(positions: ArrayLike, n: int) -> NDArray[np.float64]:
    """Positions (n, 3), Å; raises InputError for another shape or a number that is not finite."""
    places = np.ascontiguousarray(positions, dtype=np.float64)
    if places.shape != (n, 3):
        raise InputError(f"{n} elements need positions of shape ({n}, 3), not {places.shape}")
    if not np.isfinite(places).all():
        raise InputError("a position is not a finite number")
    return places


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
