"""Gates that every label passes before it is believed; a program's exit status is never enough."""

from __future__ import annotations

import numpy as np

from ald_core.sections import QualityOptions
from ald_core.types import Failure, Frame, Labels


def pass_gates(  # noqa: PLR0911  one answer per gate
    labels: Labels, frame: Frame, quality: QualityOptions
) -> Labels | Failure:
    """The labels, or why they are not believed."""
    n = len(frame.atoms)
    if labels.energy is None or labels.forces is None:
        return Failure("energy or forces are missing")
    if labels.forces.shape != (n, 3):
        return Failure(f"forces have shape {labels.forces.shape} for {n} atoms")
    if labels.stress is not None and labels.stress.shape != (6,):
        return Failure(f"the stress has shape {labels.stress.shape}, not (6,)")
    for name, value in (
        ("energy", labels.energy),
        ("force", labels.forces),
        ("stress", labels.stress),
    ):
        if value is not None and not np.all(np.isfinite(value)):
            return Failure(
                f"a {name} is not finite" if name == "force" else f"the {name} is not finite"
            )
    if labels.energy > 0 and not quality.positive_energy:
        return Failure(f"the total energy {labels.energy:g} eV is positive")
    per_atom = labels.energy / max(n, 1)
    if quality.energy_per_atom and not _is_within(per_atom, quality.energy_per_atom):
        low, high = quality.energy_per_atom
        return Failure(
            f"the energy of {per_atom:.6g} eV per atom is outside of quality.energy_per_atom = {low:g} … {high:g}"
        )
    largest = float(np.abs(labels.forces).max(initial=0.0))
    if largest > quality.max_force:
        return Failure(
            f"a force component of {largest:.4g} eV/Å exceeds quality.max_force = {quality.max_force:g}"
        )
    stress = 0.0 if labels.stress is None else float(np.abs(labels.stress).max())
    if stress > quality.max_stress:
        return Failure(
            f"a stress component of {stress:.4g} eV/Å³ exceeds quality.max_stress = {quality.max_stress:g}"
        )
    return labels


def _is_within(value: float, limits: tuple[float, ...]) -> bool:
    return limits[0] <= value <= limits[1]
