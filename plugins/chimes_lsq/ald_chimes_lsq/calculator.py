"""ChIMES for ASE."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import ase
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.engine import pack
from ald_chimes_lsq.model import ChimesModel, evaluate_packed
from ald_core.errors import InputError


class ChimesCalculator(Calculator):
    """Energy, forces, stress and energies of single atoms of a ChIMES model, in ASE's units and signs.

    Cells may be of any shape and size, and periodic in any directions; a model with charges needs one that is periodic
    in all. There is a stress where there is a cell. `energies` (`atoms.get_potential_energies()`) are computed when
    they are asked for; see `ChimesModel.evaluate` for what belongs to which atom. Raises InputError for an element that
    the model does not know, or a cell without a volume.
    """

    name = "chimes"
    implemented_properties = [  # noqa: RUF012 (ASE's)
        "energy",
        "energies",
        "free_energy",
        "forces",
        "stress",
    ]
    default_parameters = {"penalty": True}  # noqa: RUF012 (ASE's)
    contact_class: int | None = None
    """Of the last evaluation: 2 if a pair is closer than its inner cutoff, 1 if one is in the penalty zone, else 0."""

    def __init__(self, model: ChimesModel | Path | str, *, penalty: bool = True):
        """Prepare a model.

        Args:
            model: a model, or the name of a parameter file, complete or reduced.
            penalty: with the penalty for close pairs.
        """
        self.model = model if isinstance(model, ChimesModel) else ChimesModel.read(model)
        super().__init__(penalty=penalty)  # type: ignore[no-untyped-call]
        if not isinstance(model, ChimesModel):
            self.parameters["model"] = str(model)

    def set(self, **parameters: Any) -> dict[str, Any]:
        """Change `penalty`; results are forgotten. Returns what has changed.

        Raises:
            InputError: there is no such parameter.
        """
        if unknown := sorted(set(parameters) - set(self.default_parameters)):
            raise InputError(
                f"a ChIMES calculator has no parameter '{unknown[0]}' that can be changed; it has "
                f"{', '.join(self.default_parameters)}"
            )
        changed: dict[str, Any] = super().set(**parameters)  # type: ignore[no-untyped-call]
        self._packed = pack(self.model, penalty=self.parameters["penalty"])
        if changed:
            self.reset()  # type: ignore[no-untyped-call]
        return changed

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate everything at once; energies of atoms only if they are among the properties."""
        super().calculate(atoms, list(properties), list(system_changes))  # type: ignore[no-untyped-call]
        configuration = cast("ase.Atoms", self.atoms)
        per_atom = "energies" in properties
        said = evaluate_packed(self.model, self._packed, configuration, per_atom=per_atom)
        energy = said.energy * KCAL_PER_MOL
        self.contact_class = said.contact_class
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": said.forces * KCAL_PER_MOL,
        }
        if said.atom_energies is not None:
            self.results["energies"] = said.atom_energies * KCAL_PER_MOL
        if configuration.cell.rank == 3:
            # ASE counts tension as positive.
            self.results["stress"] = full_3x3_to_voigt_6_stress(-said.stress * KCAL_PER_MOL)
