"""Energy, forces and stress of one configuration, neighbour search included: `python benchmarks/energies.py`."""

import time
from collections.abc import Iterator

import attrs
import numpy as np
from calibrate import seconds
from cases import OXIDE_REACH, Structure, carbon_oxide, configuration, parameters, random_model
from direct import direct_energy
from table import Line, print_lines

from ald_chimes_lsq.calculator import ChimesCalculator
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.structure import type_numbers


@attrs.frozen
class Case:
    """A model with a configuration."""

    name: str
    model: ChimesModel
    structure: Structure
    target: float
    reference: str
    repeats: int = 20


def energy_lines() -> Iterator[Line]:
    """All cases."""
    cases = _cases()
    times = [_seconds(case) for case in cases]
    for case, time_own in zip(cases, times, strict=True):
        yield _line(case, time_own)


def _cases() -> list[Case]:
    carbon, nitride = "liqC.2.5gcc_6000K.OUTCAR_#001", "HN3.2gcc_3000K.OUTCAR_#000"
    oxide = configuration("CO.2.5gcc_6500K.OUTCAR_#000")
    random = random_model(carbon_oxide((12, 8, 4), OXIDE_REACH))
    return [
        Case(
            "liquid C, 200 atoms, 12/5/0", ChimesModel.read(parameters("liqC.2+3b.cubic")),
            configuration(carbon), 0.0008, "0.011 - 0.013", 100,
        ),
        Case(
            "CO, 128 atoms, 12/5/0", ChimesModel.read(parameters("liqCO.2+3b.cubic")),
            oxide, 0.004, "0.055 - 0.097", 50,
        ),
        Case(
            "HN3, 512 atoms, 12/8/4",
            ChimesModel.read(parameters("HN3.2+3+4b.Tersoff.special.offsets")),
            configuration(nitride), 0.20, "9.0 - 5.2",
        ),
        Case("C/O, 128 atoms, 12/8/4, random coefficients", random, oxide, 0.5, "35 - 15"),
    ]  # fmt: skip


def _seconds(case: Case) -> float:
    calculator, atoms = ChimesCalculator(case.model), case.structure.atoms
    return seconds(lambda: calculator.calculate(atoms), repeats=case.repeats)


def _line(case: Case, time_own: float) -> Line:
    model, structure = case.model, case.structure
    own = model.evaluate(structure.atoms)
    energy = own.energy
    if model.coefficients.offsets is not None:
        energy -= float(
            model.coefficients.offsets[type_numbers(model.basis, structure.elements)].sum()
        )
    penalty = model.penalty_distance, model.penalty_scaling
    direct_energy(model.basis, model.coefficients, penalty, structure.first(5))
    start = time.process_time()
    said = direct_energy(model.basis, model.coefficients, penalty, structure)
    time_direct = time.process_time() - start
    volume = abs(np.linalg.det(structure.cell))
    stress = own.stress[[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    difference = max(
        abs(energy - said[0]) / abs(energy),
        float(np.abs(own.forces - said[1]).max() / np.abs(said[1]).max()),
        float(np.abs(stress - said[2] / volume).max() / np.abs(stress).max()),
    )
    if difference > 1e-10:
        raise AssertionError(f"{case.name}: direct evaluation differs by {difference:.1e}")
    return Line(case.name, time_own, case.target, case.reference, time_direct, difference)


if __name__ == "__main__":
    print_lines(energy_lines())
