"""Complete rows of the design matrix: short-range columns, charge columns, offsets.

Columns: pairs, triplets, quadruplets, products of charges of the pairs (FITCOUL), energy offsets of the types.
"""

import itertools
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq import design
from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.design import StressRows
from ald_chimes_lsq.ewald import pack_ewald, unit_pair_forces
from ald_chimes_lsq.formats.setup_tables import ChargeConstraint
from ald_chimes_lsq.frame_rows import FrameRows, count_columns
from ald_chimes_lsq.kernels.ewald import PackedEwald
from ald_chimes_lsq.structure import checked_cell, checked_positions, periodic_cell, type_numbers
from ald_core.errors import InputError

Floats = NDArray[np.float64]

_WAVES = 50


def design_matrix(
    basis: Basis,
    elements: Sequence[str],
    positions: ArrayLike,
    cell: ArrayLike,
    *,
    stress: StressRows = None,
    energy: bool = False,
    offsets: bool = False,
) -> Floats:
    """Rows of one configuration that is periodic in all directions: (n_rows, n_columns).

    Args:
        basis: its clusters with all their terms.
        elements: of the atoms.
        positions: (n, 3) Å.
        cell: (3, 3) Å, vectors as rows.
        stress: which stress rows.
        energy: with energy rows.
        offsets: with offset columns, as they are needed when any frame of a fit has an energy.

    Raises:
        InputError: unknown element, impossible cell or positions; stress or energy rows with charges.
    """
    if not basis.fit_charges:
        return design.design_matrix(
            basis, elements, positions, cell, stress=stress, energy=energy, offsets=offsets
        )
    if stress or energy:
        raise InputError(
            "with fitted charges (FITCOUL) only forces can be fitted; set FITSTRS and FITENER to false"
        )
    rows = design.design_matrix(_without_charges(basis), elements, positions, cell, offsets=offsets)
    types = type_numbers(basis, elements)
    places, vectors = checked_positions(positions, len(types)), checked_cell(cell)
    split = _split_for_fit(len(types), vectors)
    own = unit_pair_forces(types, places, vectors, len(basis.types), split)
    n = basis.n_short_range
    return np.hstack((rows[:, :n], own, rows[:, n:]))


def _split_for_fit(n_atoms: int, cell: Floats) -> PackedEwald:
    """Split of the Coulomb sum with at least the reciprocal vectors that the design-matrix generator of ChIMES has.

    It counts n² = nx² + ny² + nz² < 50 in a cell of any size and shape.
    """
    split = pack_ewald(n_atoms, cell)
    every = np.array(list(itertools.product(range(-7, 8), repeat=3)), np.int64)
    half = every[len(every) // 2 + 1 :]
    few = half[(half**2).sum(axis=1) < _WAVES]
    return split._replace(waves=np.unique(np.vstack((few, split.waves)), axis=0))


def constraint_rows(
    basis: Basis, constraints: Sequence[ChargeConstraint], *, offsets: bool = False
) -> tuple[Floats, Floats]:
    """Rows and right-hand sides that tie products of charges together; they follow those of all frames."""
    rows = np.zeros((len(constraints), count_columns(basis, offsets=offsets)))
    first = basis.n_short_range
    for row, constraint in zip(rows, constraints, strict=True):
        row[first : first + len(basis.pairs)] = constraint.coefficients
    return rows, np.array([constraint.value for constraint in constraints], dtype=np.float64)


def frame_matrix(basis: Basis, rows: FrameRows, *, offsets: bool) -> Floats:
    """The rows of a frame, without weights; errors name the frame."""
    atoms = rows.frame.atoms
    try:
        return design_matrix(
            basis,
            atoms.get_chemical_symbols(),
            atoms.positions,
            periodic_cell(atoms, basis.max_rmax),
            stress=None if rows.stress == "none" else rows.stress,
            energy=rows.energy,
            offsets=offsets,
        )
    except InputError as error:
        raise InputError(f"frame {rows.frame.id}: {error.reason}") from None


def write_matrix(
    path: Path, basis: Basis, frames: Iterable[FrameRows], n_rows: int, *, offsets: bool
) -> None:
    """Write the rows of frames to a file in NumPy's format, one frame in memory at a time.

    Raises:
        InputError: as `design_matrix`, or a number is not finite.
    """
    with path.open("wb") as stream:
        _write_header(stream, n_rows, count_columns(basis, offsets=offsets))
        for rows in frames:
            matrix = np.ascontiguousarray(frame_matrix(basis, rows, offsets=offsets))
            if not np.isfinite(matrix).all():
                raise InputError(
                    f"frame {rows.frame.id} gives numbers that are not finite; are atoms in the same place?"
                )
            stream.write(matrix.data)


def _write_header(stream: BinaryIO, n_rows: int, n_columns: int) -> None:
    header = {"descr": "<f8", "fortran_order": False, "shape": (n_rows, n_columns)}
    np.lib.format.write_array_header_1_0(stream, header)


@lru_cache(maxsize=8)
def _without_charges(basis: Basis) -> Basis:
    """One and the same object for a basis, because packed bases are found by identity."""
    return attrs.evolve(basis, fit_charges=False)
