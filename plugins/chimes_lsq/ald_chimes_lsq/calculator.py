"""ChIMES for ASE."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.engine import pack
from ald_chimes_lsq.model import ChimesModel, evaluate_packed


class ChimesCalculator(Calculator):
    """Energy, forces and stress of a ChIMES model, in ASE's units and signs.

    `results["contact_class"]` is 2 if a pair is closer than its inner cutoff, 1 if one is in the penalty zone, else 0.
    Stress is given for cells that are periodic in all directions.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 (ASE's)

    def __init__(self, model: ChimesModel | Path | str, *, penalty: bool = True, **kwargs: Any):
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.model = model if isinstance(model, ChimesModel) else ChimesModel.read(model)
        self._packed = pack(self.model, penalty=penalty)

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate everything at once."""
        super().calculate(atoms, list(properties), list(system_changes))  # type: ignore[no-untyped-call]
        configuration = cast("ase.Atoms", self.atoms)
        said = evaluate_packed(self.model, self._packed, configuration)
        energy = said.energy * KCAL_PER_MOL
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": said.forces * KCAL_PER_MOL,
            "contact_class": said.contact_class,
        }
        if np.all(configuration.pbc):
            # ASE counts tension as positive.
            self.results["stress"] = full_3x3_to_voigt_6_stress(-said.stress * KCAL_PER_MOL)
