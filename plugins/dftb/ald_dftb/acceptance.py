"""Whether the outputs of a run are believed: complete, converged, of this frame, and agreeing with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import numpy as np
from ase import Atoms, units
from ase.stress import full_3x3_to_voigt_6_stress

from ald_core.labeling import compare_geometry
from ald_core.script import STDOUT
from ald_core.types import Failure, FailureKind, FloatArray, Frame, Labels
from ald_dftb.outputs import (
    DETAILS,
    NOT_CONVERGED,
    RESULTS,
    UNDERSTOOD,
    Details,
    Said,
    read_details,
    read_stdout,
    read_tags,
    read_understood,
)

ENERGY, FORCES, STRESS, VOLUME = "mermin_energy", "forces", "stress", "cell_volume"
SLOPE = "forcerelated_energy"
"""The energy that the forces are the slope of, in new releases"""
DIGITS = 1e-8
"""Hartree, Hartree/bohr; numbers of one run agree better, to ten decimals at least"""
FEW_DIGITS = 1e-6
"""Hartree/bohr³; a pressure is compared for its sign, and may be printed with few digits"""
SAME_PLACE = 1e-6
"""Å; the geometry is repeated with all its digits"""
MAX_REASON = 300


@attrs.frozen(eq=False)
class _Outputs:
    """All that was read."""

    frame: Frame
    temperature: float | None
    said: Said
    understood: Atoms
    tags: Mapping[str, FloatArray]
    details: Details

    @property
    def periodic(self) -> bool:
        return bool(self.frame.atoms.pbc.all())

    @property
    def energy(self) -> float:
        """Hartree; with ten decimals where `results.tag` does not have it."""
        return float(self.tags.get(ENERGY, self.details.energy))


def accept(frame: Frame, texts: Mapping[str, str], temperature: float | None) -> Labels | Failure:
    """Labels of a frame from the texts of the outputs, by their names, or why there are none.

    `temperature` (K) is that of the electrons, if the frame asks for one.
    """
    reading = STDOUT
    try:
        said = read_stdout(texts[STDOUT])
        stopped = why_stopped(said)
        if stopped is not None:
            return stopped
        reading = UNDERSTOOD
        understood = read_understood(texts[UNDERSTOOD])
        reading = RESULTS
        tags = read_tags(texts[RESULTS], {ENERGY, SLOPE, FORCES, STRESS, VOLUME})
        reading = DETAILS
        details = read_details(texts[DETAILS])
    except ValueError as error:
        return Failure(f"{reading} is cut off or damaged: {error}")
    outputs = _Outputs(frame, temperature, said, understood, tags, details)
    for check in (_geometry, _completeness, _agreement, _task):
        for fault in check(outputs):
            return fault
    return _labels(outputs)


def why_stopped(said: Said) -> Failure | None:
    """What the program says of its own end."""
    if said.unconverged:
        return Failure(f"{NOT_CONVERGED} within the maximal number of iterations", "numerical")
    if said.error:
        kind: FailureKind = "invalid" if said.started else "input"
        words = said.error.lower()
        if "allocat" in words or "memory" in words:
            kind = "memory"
        return Failure(f"DFTB+ stopped: {said.error[:MAX_REASON]}", kind)
    if not said.started:
        return Failure("DFTB+ did not begin to calculate: its standard output is empty or cut off")
    return None


def _geometry(outputs: _Outputs) -> Iterator[Failure]:
    """What was calculated is what was asked for."""
    asked, done = outputs.frame.atoms, outputs.understood
    cell = done.cell[:] if outputs.periodic else None
    symbols = done.get_chemical_symbols()
    other = compare_geometry(asked, symbols, done.positions, cell, SAME_PLACE)
    if other is not None:
        yield other
    if bool(done.pbc.all()) != outputs.periodic:
        yield Failure("the output is of another configuration: one is periodic, one is not")
    if VOLUME in outputs.tags and outputs.periodic:
        volume = asked.get_volume() / units.Bohr**3
        if not abs(float(outputs.tags[VOLUME]) - volume) <= 1e-5 * volume:
            yield Failure("the output is of another configuration: its volume differs")


def _completeness(outputs: _Outputs) -> Iterator[Failure]:
    """All numbers are there, of converged charges."""
    wanted = (FORCES, *([STRESS] if outputs.periodic else []))
    missing = [name for name in wanted if name not in outputs.tags]
    if missing:
        yield Failure(f"{RESULTS} has no {', '.join(missing)}: it is cut off, or forces are off")
    if outputs.details.converged is not True:
        yield Failure(f"{DETAILS} does not say that the charges converged")
    shape = (len(outputs.frame.atoms), 3)
    for name, forces in ((RESULTS, outputs.tags[FORCES]), (DETAILS, outputs.details.forces)):
        if forces is None or forces.shape != shape:
            yield Failure(f"{name} has not the forces of {shape[0]} atoms")


def _agreement(outputs: _Outputs) -> Iterator[Failure]:
    """The files are of one and the same run."""
    energy, details = outputs.energy, outputs.details
    for name, value in ((DETAILS, details.energy), (STDOUT, outputs.said.energy)):
        if value is not None and not abs(value - energy) <= DIGITS:
            yield Failure(f"{RESULTS} and {name} are of different runs: their energies differ")
    off = np.abs(np.asarray(details.forces) - outputs.tags[FORCES])
    if not off.max(initial=0.0) <= DIGITS:
        yield Failure(f"{RESULTS} and {DETAILS} are of different runs: their forces differ")
    if STRESS in outputs.tags and details.pressure is not None:
        pressure = float(np.trace(outputs.tags[STRESS])) / 3.0
        if not abs(pressure - details.pressure) <= 0.1 * abs(pressure) + FEW_DIGITS:
            yield Failure(f"the stress in {RESULTS} is not that of the pressure in {DETAILS}")


def _task(outputs: _Outputs) -> Iterator[Failure]:
    """It is what labels are made of: the free energy that the forces belong to, at the right temperature."""
    slope = outputs.tags.get(SLOPE)
    if slope is not None and not abs(float(slope) - outputs.energy) <= DIGITS:
        yield Failure("the forces are not those of the Mermin free energy", "input")
    said, asked = outputs.said.temperature, outputs.temperature
    if said is not None and asked is not None:
        kelvin = said * units.Hartree / units.kB
        if not abs(kelvin - asked) <= max(1.0, 2e-3 * asked):
            yield Failure(
                f"the electronic temperature was {kelvin:.0f} K, not {asked:g} K", "input"
            )


def _labels(outputs: _Outputs) -> Labels:
    """From atomic units; the stress from positive in compression to positive in tension.

    Source of the sign: the pressure of DFTB+ is a third of the trace of its stress, as `_agreement` verifies; ASE's
    reader takes it so, too.
    """
    stress = None
    if outputs.periodic:
        tensor = 0.5 * (outputs.tags[STRESS] + outputs.tags[STRESS].T)
        stress = full_3x3_to_voigt_6_stress(-tensor * units.Hartree / units.Bohr**3)
    forces = outputs.tags[FORCES] * units.Hartree / units.Bohr
    return Labels(outputs.energy * units.Hartree, forces, stress)
