"""A ChIMES model: basis and coefficients, evaluated for configurations of any cell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import ase
import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.engine import PackedModel, atom_energies, build_lists, evaluate, pack
from ald_chimes_lsq.evaluation import Evaluation
from ald_chimes_lsq.ewald import atom_charges, coulomb, type_charges
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.params_write import params_text, with_penalty
from ald_chimes_lsq.new_files import write_file
from ald_chimes_lsq.params import PENALTY_DISTANCE, PENALTY_SCALING, Coefficients
from ald_chimes_lsq.structure import (
    check_density,
    check_finite,
    checked_positions,
    periodic_cell,
    type_numbers,
)
from ald_core.errors import InputError

Floats = NDArray[np.float64]


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

    def write(self, path: Path | str, comments: Sequence[str] = ()) -> None:
        """Write a parameter file, which reads as the same model.

        Args:
            path: its name. Penalty lines are written only where the penalty is not the default.
            comments: lines before the header, each with its `!`.
        """
        text = params_text(self.basis, self.coefficients, comments, exact=True)
        if (self.penalty_distance, self.penalty_scaling) != (PENALTY_DISTANCE, PENALTY_SCALING):
            text = with_penalty(text, self.penalty_distance, self.penalty_scaling, name=str(path))
        write_file(Path(path), text)

    def evaluate(
        self,
        atoms: ase.Atoms,
        *,
        penalty: bool = True,
        per_atom: bool = False,
        names: Sequence[str] | None = None,
    ) -> Evaluation:
        """Energy, forces and stress of a configuration.

        Args:
            atoms: periodic in any directions, with a cell of any shape and size.
            penalty: with the penalty for close pairs.
            per_atom: with energies of single atoms: each term is shared equally among its 2, 3 or 4 atoms, offsets
                belong to their own atom, and of the Coulomb energy an atom has charge × potential / 2.
            names: of the atom types of the atoms, where these are no chemical elements.

        Raises:
            InputError: an element is unknown, the cell has no volume, or it is not periodic and the model has charges;
                atoms are in the same place, or the result is not finite.
        """
        packed = pack(self, penalty=penalty)
        return evaluate_packed(self, packed, atoms, per_atom=per_atom, names=names)


def evaluate_packed(
    model: ChimesModel,
    packed: PackedModel,
    atoms: ase.Atoms,
    *,
    per_atom: bool = False,
    names: Sequence[str] | None = None,
) -> Evaluation:
    """`ChimesModel.evaluate` for a model that is packed already."""
    charges = type_charges(model.basis, model.coefficients)
    types = type_numbers(model.basis, names or atoms.get_chemical_symbols())
    # The penalty may reach beyond the cutoffs.
    reach = max(model.basis.max_rmax, float(packed.pair_range.max()))
    cell = periodic_cell(atoms, reach)
    positions = checked_positions(atoms.positions, len(types))
    check_density(model.basis, len(types), cell, reach)
    if charges.any() and not np.all(atoms.pbc):
        raise InputError(
            "a model with charges needs a cell that is periodic in all directions",
            cure="set pbc to true",
        )
    energy, contact = 0.0, 0
    forces, virial = np.zeros((len(types), 3)), np.zeros((3, 3))
    shares = np.zeros(len(types))
    if len(types) > 0:
        lists = build_lists(packed, types, positions, cell, 0.0)
        energy, contact = evaluate(packed, lists, types, positions, cell, forces, virial)
        if per_atom:
            atom_energies(packed, lists, types, positions, cell, shares)
    if charges.any():
        more = coulomb(atom_charges(charges, types), positions, cell, per_atom=per_atom)
        energy, forces, virial = energy + more.energy, forces + more.forces, virial + more.virial
        if more.atom_energies is not None:
            shares += more.atom_energies
    if (offsets := model.coefficients.offsets) is not None:
        energy += float(np.bincount(types, minlength=len(model.basis.types)) @ offsets)
        shares += offsets[types]
    check_finite(positions, cell, energy, forces, virial)
    volume = atoms.cell.volume if atoms.cell.rank == 3 else abs(float(np.linalg.det(cell)))
    return Evaluation(
        float(energy), forces, virial / volume, int(contact), shares if per_atom else None
    )
