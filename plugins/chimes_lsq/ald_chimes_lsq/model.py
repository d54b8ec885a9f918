"""A ChIMES model: basis and coefficients, evaluated for configurations of any cell."""

from pathlib import Path
from typing import Self

import ase
import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.engine import PackedModel, build_lists, evaluate, pack
from ald_chimes_lsq.ewald import atom_charges, coulomb, type_charges
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.params_write import params_text, with_penalty
from ald_chimes_lsq.params import PENALTY_DISTANCE, PENALTY_SCALING, Coefficients
from ald_chimes_lsq.structure import checked_positions, periodic_cell, type_numbers
from ald_core.errors import InputError

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class Evaluation:
    """What a model says about a configuration, in the native units of ChIMES."""

    energy: float
    """kcal/mol, with the energy offsets of the model"""
    forces: Floats
    """(n, 3) kcal/mol/Å"""
    stress: Floats
    """(3, 3) kcal/mol/Å³, virial part, positive in compression"""
    contact_class: int
    """0: all pairs are apart; 1: some in the penalty zone; 2: some closer than their inner cutoff"""


@attrs.frozen(eq=False)
class ChimesModel:
    """A basis with coefficients and the penalty for close pairs."""

    basis: Basis
    coefficients: Coefficients
    penalty_distance: float = PENALTY_DISTANCE
    """Å beyond the inner cutoff of a pair where the penalty begins"""
    penalty_scaling: float = PENALTY_SCALING
    """kcal/mol/Å³"""

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a parameter file, complete or reduced."""
        file = read_params(path)
        return cls(file.basis, file.coefficients, file.penalty_distance, file.penalty_scaling)

    def write(self, path: Path | str) -> None:
        """Write a parameter file; penalty lines only where the penalty is not the default."""
        text = params_text(self.basis, self.coefficients)
        if (self.penalty_distance, self.penalty_scaling) != (PENALTY_DISTANCE, PENALTY_SCALING):
            text = with_penalty(text, self.penalty_distance, self.penalty_scaling, name=str(path))
        Path(path).write_text(text)

    def evaluate(self, atoms: ase.Atoms, *, penalty: bool = True) -> Evaluation:
        """Energy, forces and stress of a configuration.

        Raises:
            InputError: an element is unknown, the cell has no volume, or it is not periodic and the model has charges.
        """
        return evaluate_packed(self, pack(self, penalty=penalty), atoms)


def evaluate_packed(model: ChimesModel, packed: PackedModel, atoms: ase.Atoms) -> Evaluation:
    """`ChimesModel.evaluate` for a model that is packed already."""
    charges = type_charges(model.basis, model.coefficients)
    types = type_numbers(model.basis, atoms.get_chemical_symbols())
    cell = periodic_cell(atoms, model.basis.max_rmax)
    positions = checked_positions(atoms.positions, len(types))
    energy, forces, virial, contact = run_engine(packed, types, positions, cell)
    if charges.any():
        if not np.all(atoms.pbc):
            raise InputError("a model with charges needs a cell that is periodic in all directions")
        more = coulomb(atom_charges(charges, types), positions, cell)
        energy, forces, virial = energy + more.energy, forces + more.forces, virial + more.virial
    if model.coefficients.offsets is not None:
        energy += float(
            np.bincount(types, minlength=len(model.basis.types)) @ model.coefficients.offsets
        )
    volume = abs(float(np.linalg.det(cell)))
    return Evaluation(energy, forces, virial / volume, contact)


def run_engine(
    packed: PackedModel, types: NDArray[np.int64], positions: Floats, cell: Floats
) -> tuple[float, Floats, Floats, int]:
    """Energy without offsets, forces, virial and contact class of one configuration."""
    forces, virial = np.zeros((len(types), 3)), np.zeros((3, 3))
    if len(types) == 0:
        return 0.0, forces, virial, 0
    lists = build_lists(packed, types, positions, cell, 0.0)
    energy, contact = evaluate(packed, lists, types, positions, cell, forces, virial)
    return float(energy), forces, virial, int(contact)
