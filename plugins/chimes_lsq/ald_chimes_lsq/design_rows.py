"""Rows of the design matrix: those of one configuration, and those that tie charges together.

Rows: fx, fy, fz of each atom (kcal/mol/Å); stress (kcal/mol/Å³, virial, positive in compression), diagonal xx yy zz or
full xx xy xz yx yy yz zx zy zz; the energy (kcal/mol) three times. Columns: pairs, triplets, quadruplets, products of
charges of the pairs (FITCOUL), energy offsets of the types. Conventions of the ChIMES LSQ program.
"""

import itertools
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.engine import PackedModel, build_lists, pack_basis
from ald_chimes_lsq.ewald import pack_ewald, unit_pair_sums
from ald_chimes_lsq.formats.setup import StressRows
from ald_chimes_lsq.formats.setup_tables import ChargeConstraint
from ald_chimes_lsq.frame_rows import ENERGY_ROWS, FrameRows, count_columns
from ald_chimes_lsq.kernels.columns import PackedColumns, pack_columns
from ald_chimes_lsq.kernels.design import fill_rows
from ald_chimes_lsq.kernels.ewald import PackedEwald
from ald_chimes_lsq.structure import (
    check_configuration,
    check_finite,
    periodic_cell,
)
from ald_chimes_lsq.threads import results_in_order
from ald_core.errors import InputError

Floats = NDArray[np.float64]

_PADDING = 8
_STRESS: dict[StressRows, list[int]] = {
    "none": [],
    "diagonal": [0, 3, 5],
    "full": [0, 1, 2, 1, 3, 4, 2, 4, 5],
}
"""Of xx xy xz yy yz zz."""
_SIX = ([0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2])
_WAVES = 50


def configuration_rows(
    basis: Basis,
    elements: Sequence[str],
    positions: ArrayLike,
    cell: ArrayLike,
    *,
    stress: StressRows = "none",
    energy: bool = False,
    offsets: bool = False,
) -> Floats:
    """Rows of one configuration that is periodic in all directions: (n_rows, n_columns), rows a bit apart in memory.

    Args:
        basis: its clusters with all their terms.
        elements: of the atoms.
        positions: (n, 3) Å.
        cell: (3, 3) Å, vectors as rows.
        stress: which stress rows.
        energy: with energy rows.
        offsets: with offset columns, as they are needed when any frame of a fit has an energy.

    Raises:
        InputError: unknown element, impossible cell or positions, atoms in the same place.
    """
    packed, columns = _packed(basis)
    types, places, vectors = check_configuration(basis, elements, positions, cell)
    kept = [i for i in range(len(basis.types)) if i not in basis.excluded_types]
    n_forces, n_stress = 3 * len(types), len(_STRESS[stress])
    first = columns.n_columns
    last = count_columns(basis, offsets=False)
    width = max(first + _PADDING, last + len(kept))
    rows = np.zeros((n_forces + n_stress + ENERGY_ROWS * energy, width))
    virials, energies = np.zeros((6, width if n_stress else 0)), np.zeros(width)
    if len(types) > 0:
        lists = build_lists(packed, types, places, vectors, 0.0)
        fill_rows(packed, columns, lists, types, places, vectors, energy, rows, virials, energies)
    if basis.fit_charges:
        split = _split_for_fit(len(types), vectors)
        plain = not (energy or n_stress)
        sums = unit_pair_sums(types, places, vectors, len(basis.types), split, forces_only=plain)
        rows[:n_forces, first:last] = sums.forces
        energies[first:last] = sums.energies
        if n_stress:
            virials[:, first:last] = sums.virials[:, *_SIX].T
    if n_stress:
        volume = abs(np.linalg.det(vectors))
        rows[n_forces : n_forces + n_stress] = virials[_STRESS[stress]] / volume
    if energy:
        energies[last : last + len(kept)] = np.bincount(types, minlength=len(basis.types))[kept]
        rows[n_forces + n_stress :] = energies
    check_finite(places, vectors, rows)
    return rows[:, : last + (len(kept) if offsets else 0)]


@lru_cache(maxsize=8)
def _packed(basis: Basis) -> tuple[PackedModel, PackedColumns]:
    """Bases are compared by identity and never change."""
    packed = pack_basis(basis)
    return packed, pack_columns(basis, packed)


def _split_for_fit(n_atoms: int, cell: Floats) -> PackedEwald:
    """Split of the Coulomb sum with at least the reciprocal vectors that the design-matrix generator of ChIMES has.

    It counts n² = nx² + ny² + nz² < 50 in a cell of any size and shape.
    """
    split = pack_ewald(n_atoms, cell)
    return split._replace(waves=np.unique(np.vstack((_few_waves(), split.waves)), axis=0))


@lru_cache(maxsize=1)
def _few_waves() -> NDArray[np.int64]:
    """Of k and -k only one."""
    every = np.array(list(itertools.product(range(-7, 8), repeat=3)), np.int64)
    half = every[len(every) // 2 + 1 :]
    few: NDArray[np.int64] = half[(half**2).sum(axis=1) < _WAVES]
    return few


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
        return configuration_rows(
            basis,
            atoms.get_chemical_symbols(),
            atoms.positions,
            fitted_cell(basis, atoms),
            stress=rows.stress,
            energy=rows.energy,
            offsets=offsets,
        )
    except InputError as error:
        raise InputError(f"frame {rows.frame.id}: {error.fault}", cure=error.cure) from None


def fitted_cell(basis: Basis, atoms: Atoms) -> Floats:
    """The cell of a frame, or one in which atoms do not see images that they do not have.

    Raises:
        InputError: impossible cell, or charges in one that is not periodic.
    """
    if basis.fit_charges and not atoms.pbc.all():
        raise InputError(
            "fitted charges (FITCOUL) need cells that are periodic in all directions",
            cure="set pbc to true, or fit no charges",
        )
    return periodic_cell(atoms, basis.max_rmax)


def write_matrix(
    path: Path, basis: Basis, frames: Iterable[FrameRows], n_rows: int, *, offsets: bool
) -> None:
    """Write the rows of frames to a file in NumPy's format, a few frames in memory at a time.

    Raises:
        InputError: as `configuration_rows`, or a number is not finite.
    """

    def named(frame: FrameRows) -> tuple[str, Floats]:
        return f"frame {frame.frame.id}", frame_matrix(basis, frame, offsets=offsets)

    matrices = results_in_order(named, frames)
    write_rows(path, matrices, n_rows, count_columns(basis, offsets=offsets))


def write_rows(
    path: Path, matrices: Iterable[tuple[str, Floats]], n_rows: int, n_columns: int
) -> None:
    """Write matrices, each with the name of its frame, one below the other to a file in NumPy's format.

    Raises:
        InputError: a number is not finite.
    """
    header = {"descr": "<f8", "fortran_order": False, "shape": (n_rows, n_columns)}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for name, matrix in matrices:
            if not np.isfinite(matrix).all():
                raise InputError(
                    f"{name} gives numbers that are not finite; are atoms in the same place?"
                )
            stream.write(np.ascontiguousarray(matrix).data)
