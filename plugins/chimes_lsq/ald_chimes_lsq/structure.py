"""Checks and conversions of configurations before they go to compiled code."""

from collections.abc import Sequence

import ase
import numpy as np
from ase.geometry import complete_cell
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

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

    def __init__(self, message: str, atom: int, *, cure: str = ""):
        self.atom = atom
        """From 0"""
        super().__init__(message, cure=cure)


def type_numbers(basis: Basis, elements: Sequence[str]) -> NDArray[np.int64]:
    """Numbers of the atom types; raises InputError for an element that the basis does not know."""
    numbers = {t.name: i for i, t in enumerate(basis.types)}
    unknown = sorted(set(elements) - set(numbers))
    if unknown:
        raise AtomError(
            f"element {', '.join(unknown)} is not among the atom types {', '.join(numbers)}",
            next(i for i, element in enumerate(elements) if element not in numbers),
            cure="correct the name, or add the atom type to the model",
        )
    return np.array([numbers[e] for e in elements], np.int64)


def checked_cell(cell: ArrayLike) -> NDArray[np.float64]:
    """The cell vectors as rows, Å; raises InputError if they span no volume or are not finite."""
    vectors = np.ascontiguousarray(cell, dtype=np.float64)
    if vectors.shape != (3, 3) or not np.isfinite(vectors).all():
        raise InputError("the cell is not three finite vectors", cure="give such ones, in Å")
    lengths = np.linalg.norm(vectors, axis=1)
    if abs(np.linalg.det(vectors)) <= 1.0e-9 * np.prod(lengths):
        raise InputError("the cell vectors span no volume", cure="give three independent ones")
    heights = 1.0 / np.linalg.norm(np.linalg.inv(vectors), axis=0)
    if lengths.max() > MAX_LENGTH or heights.min() < MIN_HEIGHT:
        raise InputError(
            f"the cell is {heights.min():g} Å high and has a vector of {lengths.max():g} Å; "
            f"at least {MIN_HEIGHT:g} and at most {MAX_LENGTH:g} Å are possible",
            cure="write it in Å",
        )
    return vectors


def checked_positions(positions: ArrayLike, n: int) -> NDArray[np.float64]:
    """Positions (n, 3), Å; raises InputError for another shape or a number that is not finite."""
    places = np.ascontiguousarray(positions, dtype=np.float64)
    if places.shape != (n, 3):
        raise InputError(
            f"{n} elements need positions of shape ({n}, 3), not {places.shape}",
            cure="give one position for each",
        )
    finite = np.isfinite(places).all(axis=1)
    if not finite.all():
        atom = int(np.flatnonzero(~finite)[0])
        raise AtomError(
            f"the position of atom {atom + 1} is not finite", atom, cure="give three finite numbers"
        )
    if np.abs(places).max(initial=0.0) > MAX_COORDINATE:
        atom = int(np.flatnonzero((np.abs(places) > MAX_COORDINATE).any(axis=1))[0])
        raise AtomError(
            f"a coordinate of atom {atom + 1} is beyond {MAX_COORDINATE:g} Å",
            atom,
            cure="write it in Å",
        )
    return places


def check_density(basis: Basis, n_atoms: int, cell: Floats, reach: float = 0.0) -> None:
    """Refuse a cutoff that reaches more atoms than neighbour lists can hold; the cell is a checked one.

    `reach` (Å) is that of the penalty, if it is longer than all cutoffs.
    """
    density = n_atoms / abs(float(np.linalg.det(cell)))
    quads = [r for c in basis.quads if not c.excluded for r in c.rmax]
    limits = [
        ("", max(basis.max_rmax, reach), MAX_NEIGHBOURS),
        ("4-body ", max(quads, default=0.0), MAX_QUAD_NEIGHBOURS),
    ]
    for kind, cutoff, limit in limits:
        neighbours = density * 4.0 / 3.0 * np.pi * cutoff**3
        if neighbours > limit:
            raise InputError(
                f"an atom has some {neighbours:.0f} neighbours within the {kind}cutoff of {cutoff:g} Å, more than "
                f"{limit}",
                cure="write cutoffs and cell in Å",
            )


def check_finite(positions: Floats, cell: Floats, *results: ArrayLike) -> None:
    """Refuse results that are not finite, and say why: atoms in one place, or coefficients that are too large."""
    if all(np.isfinite(result).all() for result in results):
        return
    check_apart(positions, cell)
    raise InputError(
        "the result is not a finite number", cure="use a model with smaller coefficients"
    )


def check_apart(positions: Floats, cell: Floats) -> None:
    """Refuse atoms in one place; positions (n, 3) and cell (3, 3), periodic in all directions, are checked ones, in Å.

    Raises:
        AtomError: of the second atom of the first such pair.
    """
    inverse = np.linalg.inv(cell)
    scaled = positions @ inverse % 1.0
    # The remainder of a tiny negative number is rounded to 1.
    scaled[scaled >= 1.0] = 0.0
    # A distance grows by this factor at most when it is measured in cell vectors.
    reach = _SAME_PLACE * float(np.linalg.norm(inverse, 2))
    for i, j in sorted(cKDTree(scaled, boxsize=np.ones(3)).query_pairs(reach)):
        step = scaled[i] - scaled[j]
        if np.linalg.norm((step - np.round(step)) @ cell) < _SAME_PLACE:
            raise AtomError(
                f"atoms {i + 1} and {j + 1} are in the same place", j, cure="move or remove one"
            )


def check_configuration(
    basis: Basis, elements: Sequence[str], positions: ArrayLike, cell: ArrayLike
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Types (n,), positions (n, 3) and cell (3, 3), Å, of a configuration that is periodic in all directions.

    Raises:
        InputError: unknown element, impossible cell or positions, too many neighbours.
    """
    types = type_numbers(basis, elements)
    places, vectors = checked_positions(positions, len(types)), checked_cell(cell)
    check_density(basis, len(types), vectors)
    return types, places, vectors


def periodic_cell(atoms: ase.Atoms, reach: float) -> NDArray[np.float64]:
    """The cell, with directions that are not periodic stretched until images are out of reach (Å).

    Vectors of directions that are not periodic may be missing.

    Raises:
        InputError: an impossible position, no vector in a periodic direction, or vectors that span no volume.
    """
    cell = np.array(atoms.cell[:], dtype=np.float64)
    if all(atoms.pbc):
        return checked_cell(cell)
    missing = ~cell.any(axis=1)
    if np.any(missing & atoms.pbc):
        raise InputError(
            "the atoms are periodic in a direction for which the cell has no vector",
            cure="give the vector, or set pbc to false there",
        )
    cell = checked_cell(complete_cell(cell))
    places = checked_positions(atoms.positions, len(atoms))
    inverse = np.linalg.inv(cell)
    scaled = places @ inverse if len(places) else np.zeros((1, 3))
    for axis in np.flatnonzero(~atoms.pbc):
        height = 1.0 / np.linalg.norm(inverse[:, axis])
        cell[axis] *= np.ptp(scaled[:, axis]) + 1.01 * reach / height + 1.0
    return checked_cell(cell)
