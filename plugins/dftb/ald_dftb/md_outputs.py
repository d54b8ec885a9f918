"""The output files of an MD run, those of ChIMES MD: statistics, trajectory, frames by contact class."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase import Atoms

from ald_chimes_md.coordinates import System, is_diagonal
from ald_chimes_md.dynamics import (
    ROW_CONFIGURATIONAL,
    ROW_CONSERVED,
    ROW_KINETIC,
    ROW_POTENTIAL,
    ROW_PRESSURE,
    ROW_SIZE,
    ROW_STEP,
    ROW_TEMPERATURE,
    ROW_VOLUME,
)
from ald_chimes_md.ensembles import Ensemble
from ald_chimes_md.files import CONTACT_FILES, CONTACT_INDEX, STATISTICS
from ald_chimes_md.frame_text import FrameText, statistics_heading, statistics_lines
from ald_core.units import KCAL_PER_MOL
from ald_dftb.md_files import TRAJECTORY


class Outputs:
    """The open files of one run; a context manager that closes them."""

    first_energy: float | None = None
    """Potential energy of the first step, eV"""

    def __init__(self, folder: Path, atoms: Atoms, request: Mapping[str, Any]):
        self._interval, self._timestep = request["frame_interval"], request["timestep"]
        self._ensemble = Ensemble("NVE" if request["ensemble"] == "NVE" else "NVT-MTK")
        self._cell = np.array(atoms.cell[:])
        elements = tuple(atoms.get_chemical_symbols())
        ortho = is_diagonal(self._cell)
        system = System(elements, atoms.positions.copy(), self._cell, ortho, None)
        types = tuple(dict.fromkeys(elements))
        self._text = FrameText(system, types, self._timestep, wrapped=True)
        with ExitStack() as stack:
            names = (STATISTICS, TRAJECTORY, *CONTACT_FILES, CONTACT_INDEX)
            self._files = {name: stack.enter_context((folder / name).open("wb")) for name in names}
            self._files[STATISTICS].write(statistics_heading(self._ensemble))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, step: int, atoms: Atoms, contact: int, conserved: float) -> None:
        """What there is to say about a step.

        Args:
            step: from 1 on.
            atoms: with results.
            contact: class of the closest pair.
            conserved: quantity, eV.
        """
        if self.first_energy is None:
            self.first_energy = atoms.get_potential_energy()
        row = self._row(step, atoms, conserved)
        line = statistics_lines(row[None], len(atoms), self._timestep, self._ensemble)
        self._files[STATISTICS].write(line)
        regular = step % self._interval == 0
        if regular:
            text = self._text.gen(atoms.positions, self._cell, step, row[ROW_TEMPERATURE])
            self._files[TRAJECTORY].write(text)
        if regular or contact > 0:
            file = self._files[CONTACT_FILES[contact]]
            self._files[CONTACT_INDEX].write(f"{step} {contact} {file.tell()}\n".encode())
            file.write(self._text.xyz(atoms.positions, self._cell))
        for file in self._files.values():
            file.flush()

    def _row(
        self, step: int, atoms: Atoms, conserved: float
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """In the units of ChIMES MD: kcal/mol, K, kcal/mol/Å³, Å³; pressure positive in compression."""
        row = np.zeros(ROW_SIZE)
        row[ROW_STEP] = step
        row[ROW_KINETIC] = atoms.get_kinetic_energy() / KCAL_PER_MOL
        row[ROW_POTENTIAL] = atoms.get_potential_energy() / KCAL_PER_MOL
        row[ROW_TEMPERATURE] = atoms.get_temperature()
        whole = atoms.get_stress(include_ideal_gas=True)
        row[ROW_PRESSURE] = -whole[:3].mean() / KCAL_PER_MOL
        row[ROW_CONFIGURATIONAL] = -atoms.get_stress()[:3].mean() / KCAL_PER_MOL
        row[ROW_CONSERVED] = conserved / KCAL_PER_MOL
        row[ROW_VOLUME] = atoms.get_volume()
        return row
