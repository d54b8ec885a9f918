"""Energies, forces and virials of a ChIMES model for one MD run, by the compiled evaluator."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ald_chimes_lsq.engine import Lists, build_lists, evaluate, pack
from ald_chimes_lsq.ewald import type_charges
from ald_chimes_lsq.model import ChimesModel, evaluate_packed
from ald_chimes_lsq.structure import type_numbers
from ald_core.types import FloatArray

SKIN = 0.5
"""Å added to the reach of neighbour lists, so that they last for some steps"""


@attrs.frozen(eq=False)
class Evaluated:
    """One configuration; kcal/mol and Å."""

    energy: float
    forces: FloatArray
    virial: FloatArray
    """(3, 3), positive in compression"""
    contact_class: int


class ChimesForces:
    """A model for a fixed list of atoms, which remembers its neighbour list."""

    def __init__(self, path: Path, symbols: list[str]):
        """Read and pack a model.

        Raises:
            InputError: the file is malformed, or does not know an element.
        """
        self.model = ChimesModel.read(path)
        self._packed = pack(self.model)
        self._symbols = symbols
        self._types: NDArray[np.int64] = type_numbers(self.model.basis, symbols)
        self._charged = bool(type_charges(self.model.basis, self.model.coefficients).any())
        offsets = self.model.coefficients.offsets
        self._offset = 0.0 if offsets is None else float(offsets[self._types].sum())
        self._lists: Lists | None = None
        self._start = np.zeros((0, 3))
        self._cell = np.zeros((3, 3))

    def evaluate(self, positions: FloatArray, cell: FloatArray) -> Evaluated:
        """Energy with offsets and penalty, forces and virial of a periodic configuration.

        Args:
            positions: (n, 3) Å in the order of the symbols, in any image.
            cell: (3, 3) Å, vectors as rows.
        """
        if self._charged:
            return self._evaluate_whole(positions, cell)
        positions = self._near_start(positions, cell)
        forces, virial = np.zeros_like(positions), np.zeros((3, 3))
        energy, contact = evaluate(
            self._packed, self._lists, self._types, positions, cell, forces, virial
        )
        return Evaluated(float(energy) + self._offset, forces, virial, int(contact))

    def _near_start(self, positions: FloatArray, cell: FloatArray) -> FloatArray:
        """The same atoms in the images for which the neighbour list holds, after it was made if need be."""
        if self._lists is not None and np.array_equal(cell, self._cell):
            steps = positions - self._start
            steps -= np.round(steps @ np.linalg.inv(cell)) @ cell
            if float((steps**2).sum(axis=1).max()) < (0.5 * SKIN) ** 2:
                return np.ascontiguousarray(self._start + steps)
        self._start = np.array(positions, dtype=np.float64, order="C")
        self._cell = np.array(cell, dtype=np.float64, order="C")
        self._lists = build_lists(self._packed, self._types, self._start, self._cell, SKIN)
        return self._start.copy()

    def _evaluate_whole(self, positions: FloatArray, cell: FloatArray) -> Evaluated:
        atoms = Atoms(self._symbols, positions, cell=cell, pbc=True)
        said = evaluate_packed(self.model, self._packed, atoms)
        virial = said.stress * abs(float(np.linalg.det(cell)))
        return Evaluated(said.energy, said.forces, virial, said.contact_class)
