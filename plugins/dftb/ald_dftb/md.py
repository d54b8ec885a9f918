"""One MD run with forces of DFTB+ and ChIMES: `python -m ald_dftb.md` in a folder that the MD engine has prepared.

It leaves the files of ChIMES MD, of which `md.json` is the last one. A run that becomes unstable, or of which DFTB+ can
not go on calculating, is a result; exit status 1 means that it failed at its first step or for a reason that has
nothing to do with the model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import attrs
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.velocitydistribution import Stationary, force_temperature
from ase.md.verlet import VelocityVerlet

from ald_chimes_lsq.calculator import ChimesCalculator
from ald_chimes_md.dynamics import MAX_ENERGY_CHANGE, MAX_STEP_LENGTH
from ald_chimes_md.files import RESULT
from ald_chimes_md.replacement import replace_file
from ald_core.types import Failure
from ald_core.units import KCAL_PER_MOL
from ald_dftb.baseline import Baseline, NoForces, OverSocket, RunPerStep
from ald_dftb.md_engine import read_start
from ald_dftb.md_files import CALCULATION, PARAMETERS, REQUEST, START
from ald_dftb.md_outputs import Outputs


class Corrected(Calculator):
    """DFTB+ and ChIMES, added up."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 (ASE's)

    def __init__(self, baseline: Baseline, correction: ChimesCalculator):
        super().__init__()  # type: ignore[no-untyped-call]
        self.baseline, self.correction = baseline, correction

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate everything at once; raises NoForces."""
        super().calculate(atoms, list(properties), list(system_changes))  # type: ignore[no-untyped-call]
        configuration = cast("Atoms", self.atoms)
        labels = self.baseline.labels(configuration)
        self.correction.calculate(configuration)
        more = self.correction.results
        energy = labels.energy + more["energy"]
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": labels.forces + more["forces"],
            "stress": labels.stress + more["stress"],
        }


@attrs.define
class _Course:
    """How a run goes."""

    planned: int
    done: int = 0
    counts: list[int] = attrs.field(factory=lambda: [0, 0, 0])
    reason: str | None = None
    first: float | None = None
    drift: float | None = None
    failure: Failure | None = None

    def result(self) -> dict[str, Any]:
        failure = None if self.failure is None else attrs.asdict(self.failure)
        return {
            "steps_done": self.done,
            "steps_planned": self.planned,
            "stable": self.done == self.planned,
            "reason": self.reason,
            "drift": self.drift,
            "contact_counts": self.counts,
            "failure": failure,
        }


def run(folder: Path) -> dict[str, Any]:
    """Run what was asked for in a folder; what `md.json` holds."""
    request = json.loads((folder / REQUEST).read_text())
    atoms = read_start(folder / START)
    _set_velocities(atoms, request["temperature"], request["seed"])
    program, place = request["program"], folder / CALCULATION
    baseline: Baseline = (
        OverSocket(program, place)
        if request["socket"]
        else RunPerStep(program, place, request["electronic_temperature"])
    )
    course = _Course(request["steps"])
    correction = ChimesCalculator(folder / PARAMETERS)
    with baseline, Outputs(folder, atoms, request) as outputs:
        atoms.calc = Corrected(baseline, correction)
        dynamics = _dynamics(atoms, request)
        for step in range(1, request["steps"] + 1):
            before, energy = atoms.positions.copy(), course.first
            try:
                if step > 1:
                    dynamics.step()
                atoms.get_forces()
            except NoForces as stopped:
                course.reason = f"step {step}: {stopped}"
                if step == 1 or stopped.failure.kind not in ("numerical", "invalid"):
                    course.failure = stopped.failure
                break
            course.reason = _unstable(atoms, before, outputs.first_energy)
            if course.reason is not None:
                course.reason = f"step {step}: {course.reason}"
                break
            contact = correction.contact_class or 0
            conserved = _conserved(dynamics, atoms)
            outputs.write(step, atoms, contact, conserved)
            course.done = step
            course.counts[contact] += 1
            if energy is None:
                course.first, course.drift = conserved, 0.0
            else:
                course.drift = max(course.drift or 0.0, abs(conserved - energy) / len(atoms))
    return course.result()


def _set_velocities(atoms: Atoms, temperature: float, seed: int) -> None:
    """Maxwell's distribution, of exactly this temperature (K), at rest as a whole."""
    spread = np.sqrt(atoms.get_masses() * units.kB * temperature)[:, None]
    atoms.set_momenta(spread * np.random.default_rng(seed).standard_normal((len(atoms), 3)))
    Stationary(atoms)
    force_temperature(atoms, temperature)


def _dynamics(atoms: Atoms, request: dict[str, Any]) -> VelocityVerlet | NoseHooverChainNVT:
    timestep = request["timestep"] * units.fs
    if request["ensemble"] == "NVE":
        return VelocityVerlet(atoms, timestep)
    time = request["thermostat_time"] * units.fs
    return NoseHooverChainNVT(atoms, timestep, temperature_K=request["temperature"], tdamp=time)


def _conserved(dynamics: VelocityVerlet | NoseHooverChainNVT, atoms: Atoms) -> float:
    """The quantity that should stay the same, eV."""
    if isinstance(dynamics, NoseHooverChainNVT):
        return dynamics.get_conserved_energy()
    return float(atoms.get_total_energy())


def _unstable(atoms: Atoms, before: np.ndarray[Any, Any], first: float | None) -> str | None:
    """Why a configuration makes no sense."""
    energy = atoms.get_potential_energy()
    values = (energy, atoms.positions, atoms.get_momenta(), atoms.get_forces())
    if not all(np.isfinite(value).all() for value in values):
        return "a number is not finite"
    if np.linalg.norm(atoms.positions - before, axis=1).max() > MAX_STEP_LENGTH:
        return f"an atom moved by more than {MAX_STEP_LENGTH:g} Å"
    limit = MAX_ENERGY_CHANGE * KCAL_PER_MOL * len(atoms)
    if first is not None and abs(energy - first) > limit:
        return "the potential energy is far from that of the first step"
    return None


def main() -> int:
    """Run in the current folder."""
    result = run(Path())
    replace_file(Path(RESULT), (json.dumps(result, indent=1) + "\n").encode())
    return 0 if result["failure"] is None else 1


if __name__ == "__main__":
    sys.exit(main())
