"""Energies, forces and virials of a packed model.

`build_lists` and `evaluate` are compiled functions: other compiled code calls them directly. All arrays that a step
writes to live in `Lists`, so that a step of a simulation allocates nothing.

- `build_lists(packed, types, positions, cell, r_list_extra) -> Lists`: types (n,) int64 numbers of the basis' types,
  positions (n, 3) Å, inside the cell or not, cell (3, 3) Å with the vectors as rows. The lists hold while no atom
  has moved by more than r_list_extra / 2 (Å) and the cell has not changed.
- `evaluate(packed, lists, types, positions, cell, forces, virial) -> (energy, contact_class)`: energy in kcal/mol
  without offsets; writes forces (n, 3) in kcal/mol/Å and virial (3, 3) = -Σ dE/dr r_a r_b / r in kcal/mol, which
  divided by the volume is the stress, positive in compression. contact_class is 2 if a pair is closer than its inner
  cutoff, 1 if one is inside the penalty zone, else 0. The positions are those of list building plus displacements:
  they are not to be wrapped in between.
- `atom_energies(packed, lists, types, positions, cell, energies)`: writes (n,) energies of the atoms in kcal/mol
  without offsets, each term shared equally among its 2, 3 or 4 atoms; they add up to the energy of `evaluate`.
"""

from typing import Protocol

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.kernels.evaluation import atom_energies, build_lists, evaluate
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.packing import PackedModel, pack_basis, pack_coefficients
from ald_chimes_lsq.params import Coefficients

__all__ = [
    "Lists",
    "PackedModel",
    "atom_energies",
    "build_lists",
    "evaluate",
    "pack",
    "pack_basis",
]


class Parameters(Protocol):
    """What a model or a parameter file has."""

    @property
    def basis(self) -> Basis: ...
    @property
    def coefficients(self) -> Coefficients: ...
    @property
    def penalty_distance(self) -> float: ...
    @property
    def penalty_scaling(self) -> float: ...


def pack(model: Parameters, *, penalty: bool = True) -> PackedModel:
    """Arrays of a model; without the penalty the contact class is still told."""
    return pack_coefficients(
        model.basis,
        model.coefficients,
        penalty_distance=model.penalty_distance,
        penalty_scaling=model.penalty_scaling if penalty else 0.0,
    )
