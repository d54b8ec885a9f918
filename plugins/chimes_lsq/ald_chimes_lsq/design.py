"""The design matrix of one configuration.

Rows: fx, fy, fz of each atom (kcal/mol/Å); stress (kcal/mol/Å³, virial, positive in compression), diagonal xx yy zz or
full xx xy xz yx yy yz zx zy zz; the energy (kcal/mol) three times. Columns: pairs, triplets, quadruplets, energy
offsets of the types. Conventions of the ChIMES LSQ program.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.constants import GPA, HARTREE_FORCE
from ald_chimes_lsq.engine import PackedModel, build_lists, pack_basis
from ald_chimes_lsq.kernels.columns import PackedColumns, pack_columns
from ald_chimes_lsq.kernels.design import fill_rows
from ald_chimes_lsq.structure import checked_cell, checked_positions, type_numbers
from ald_core.errors import InputError

Floats = NDArray[np.float64]
StressRows = Literal["diagonal", "full"] | None

_PADDING = 8
_STRESS_COMPONENTS = {"diagonal": [0, 3, 5], "full": [0, 1, 2, 1, 3, 4, 2, 4, 5]}
ENERGY_REPEATS = 3


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
        InputError: unknown element, impossible cell or positions, or a basis with charge columns.
    """
    if basis.fit_charges:
        raise InputError("charge columns (FITCOUL) are not supported; set FITCOUL to false")
    packed, columns = _packed(basis)
    types = type_numbers(basis, elements)
    places, vectors = checked_positions(positions, len(types)), checked_cell(cell)
    n = columns.n_columns
    kept = [i for i in range(len(basis.types)) if i not in basis.excluded_types]
    n_stress = len(_STRESS_COMPONENTS[stress]) if stress else 0
    n_forces = 3 * len(types)
    n_rows = n_forces + n_stress + (ENERGY_REPEATS if energy else 0)
    width = n + max(_PADDING, len(kept))
    rows = np.zeros((n_rows, width))
    virials, energies = np.zeros((6, width if stress else 0)), np.zeros(width)
    if len(types) > 0:
        lists = build_lists(packed, types, places, vectors, 0.0)
        fill_rows(packed, columns, lists, types, places, vectors, energy, rows, virials, energies)
    if stress:
        volume = abs(np.linalg.det(vectors))
        rows[n_forces : n_forces + n_stress] = virials[_STRESS_COMPONENTS[stress]] / volume
    if energy:
        energies[n : n + len(kept)] = np.bincount(types, minlength=len(basis.types))[kept]
        rows[n_forces + n_stress :] = energies
    return rows[:, : n + (len(kept) if offsets else 0)]


def design_targets(
    forces: ArrayLike, stress: ArrayLike | None = None, energy: float | None = None
) -> Floats:
    """Right-hand sides (b) of one configuration from what trajectory files hold.

    Args:
        forces: (n, 3) Hartree/bohr.
        stress: GPa, positive in compression, in the order of the rows: 3 or 9 numbers.
        energy: kcal/mol.
    """
    parts = [np.ravel(np.asarray(forces, dtype=np.float64)) * HARTREE_FORCE]
    if stress is not None:
        parts.append(np.ravel(np.asarray(stress, dtype=np.float64)) / GPA)
    if energy is not None:
        parts.append(np.full(ENERGY_REPEATS, float(energy)))
    return np.concatenate(parts)


@lru_cache(maxsize=8)
def _packed(basis: Basis) -> tuple[PackedModel, PackedColumns]:
    """Bases are compared by identity and never change."""
    packed = pack_basis(basis)
    return packed, pack_columns(basis, packed)
