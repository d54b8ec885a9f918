"""Forces of a model against those of a file (CMPRFRC, SUBTFRC) and finite differences (CHECKFRC).

A file of reference forces is an `.xyzf` frame (Hartree/bohr; stress in GPa and energy in kcal/mol at
the end of its header), or a list of numbers in kcal/mol and Å: three for each atom, then the stress
and the energy if FITSTRS and FITENER announce them. `force.txt` of a fit is such a list; it has the
energy three times.
"""

from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.constants import GPA, HARTREE_FORCE
from ald_chimes_lsq.formats.tokens import Place, parse_number, read_text
from ald_chimes_lsq.frame_rows import ENERGY_ROWS
from ald_chimes_md.control import Comparison, Control
from ald_chimes_md.coordinates import System, read_coordinates
from ald_chimes_md.frame_text import cell_text
from ald_chimes_md.loop import evaluate_once
from ald_chimes_md.preparation import Preparation

Floats = NDArray[np.float64]

SAME_PLACE = 0.01
"""Å, between an atom of the run and that of the file of forces"""
STEP_LENGTH = 1e-4
"""Å, of the finite differences"""
DIAGONAL = ((0, 0), (1, 1), (2, 2))
SIX = (*DIAGONAL, (0, 1), (0, 2), (1, 2))
NINE = tuple((a, b) for a in range(3) for b in range(3))


@attrs.frozen(eq=False)
class Reference:
    """What a file says about a configuration, kcal/mol and Å."""

    forces: Floats
    """(n, 3)"""
    stress: Floats
    """3, 6 or 9 numbers, or none"""
    energy: float | None
    further: int = 0
    """Numbers of the file behind these, which belong to further frames."""

    @property
    def components(self) -> tuple[tuple[int, int], ...]:
        """Which components the stress has."""
        return {0: (), 3: DIAGONAL, 6: SIX, 9: NINE}[len(self.stress)]


@attrs.frozen
class Errors:
    """How far the model is from a reference."""

    force: float
    """root of the mean square over all components, kcal/mol/Å"""
    stress: float | None
    """likewise, GPa"""
    energy: float | None
    """absolute, kcal/mol"""
    written: str | None = None
    """File with the differences."""
    further: int = 0
    """Numbers behind those of this configuration in the file of forces, which were not looked at."""


@attrs.frozen
class ForceCheck:
    """Forces against central differences of the energy, kcal/mol/Å."""

    largest: float
    root_mean_square: float


def compare(control: Control, wanted: Comparison, preparation: Preparation, folder: Path) -> Errors:
    """Compare one evaluation with a file; with SUBTFRC write the differences as well.

    Raises InputError if the file does not fit the atoms or the settings.
    """
    reference = read_reference(folder / wanted.file, preparation.system, control)
    said = evaluate_once(preparation)
    stress = np.array([said.stress[a, b] for a, b in reference.components])
    difference = Reference(
        reference.forces - said.forces,
        reference.stress - stress,
        None if reference.energy is None else reference.energy - said.energy,
    )
    written = None
    if wanted.subtract:
        written = f"{control.coordinate_file}_forces_subtracted.xyz"
        text = _subtracted(preparation, wanted, reference, difference)
        (folder / written).write_bytes(text.encode())
    return Errors(
        force=_root(difference.forces),
        stress=_root(difference.stress) * GPA if len(stress) else None,
        energy=None if difference.energy is None else abs(difference.energy),
        written=written,
        further=reference.further,
    )


def check_forces(preparation: Preparation) -> ForceCheck:
    """Compare the forces of the initial configuration with finite differences, for every coordinate."""
    forces = evaluate_once(preparation).forces
    positions = preparation.state.positions
    differences = np.zeros_like(forces)
    for place in np.ndindex(*forces.shape):
        energies = []
        for side in (STEP_LENGTH, -STEP_LENGTH):
            moved = positions.copy()
            moved[place] += side
            energies.append(evaluate_once(preparation, moved).energy)
        slope = (energies[0] - energies[1]) / (2.0 * STEP_LENGTH)
        differences[place] = forces[place] + slope
    return ForceCheck(float(np.abs(differences).max()), _root(differences))


def read_reference(path: Path, own: System, control: Control) -> Reference:
    """Read reference forces of the atoms of the run, with stress and energy as the control file announces them."""
    n_atoms = len(own.elements)
    text = read_text(path)
    lines = text.splitlines()
    if len(lines) > 2 and len(lines[2].split()) > 3 and lines[0].split() == [str(n_atoms)]:
        return _read_frame(path, lines[1].split(), own, control)
    words = [(n, word) for n, line in enumerate(lines, start=1) for word in line.split()]
    numbers = np.array([parse_number(word, "a number", Place(path, n)) for n, word in words])
    stress_size = {"none": 0, "diagonal": 3, "full": 9}[control.reference_stress]
    size = 3 * n_atoms + stress_size
    if control.reference_energy:
        end = size + min(ENERGY_ROWS, max(len(numbers) - size, 1))
        wanted = f"{size + 1} or {size + ENERGY_ROWS}"
    else:
        end, wanted = size, str(size)
    if len(numbers) < end or end == size + 2:
        message = (
            f"{n_atoms} atoms need {wanted} numbers with these FITSTRS and FITENER, or more if further "
            f"frames follow; found {len(numbers)}"
        )
        raise Place(path).error(message)
    return Reference(
        numbers[: 3 * n_atoms].reshape(-1, 3),
        numbers[3 * n_atoms : size],
        float(numbers[size]) if control.reference_energy else None,
        further=len(numbers) - end,
    )


def _read_frame(path: Path, header: list[str], own: System, control: Control) -> Reference:
    system = read_coordinates(path)
    _check_atoms(path, system, own)
    if system.columns is None:
        raise Place(path, 3).error("the atoms have no forces in columns 5 to 7")
    start = 10 if header[0] == "NON_ORTHO" else 3
    rest = [parse_number(word, "a number", Place(path, 2)) for word in header[start:]]
    wanted = {"none": 0, "diagonal": 3, "full": 6}[control.reference_stress]
    with_energy = len(rest) in {1, 4, 7}
    if len(rest) - with_energy < wanted:
        raise Place(path, 2).error("FITSTRS announces a stress that this header lacks")
    if control.reference_energy and not with_energy:
        raise Place(path, 2).error("FITENER announces an energy that this header lacks")
    return Reference(
        system.columns * HARTREE_FORCE,
        np.array(rest[:wanted]) / GPA,
        rest[-1] if control.reference_energy else None,
    )


def _check_atoms(path: Path, system: System, own: System) -> None:
    """Refuse forces of another configuration than that of the run."""
    steps = system.positions - own.positions
    images = np.round(steps @ np.linalg.inv(own.cell)) @ own.cell
    moved = np.linalg.norm(steps - images, axis=1) > SAME_PLACE
    pairs = zip(system.elements, own.elements, moved.tolist(), strict=True)
    for line, (element, right, away) in enumerate(pairs, start=3):
        if element != right or away:
            message = (
                f"this {element} is not where the coordinate file has {right}; forces must be of the same "
                "configuration, with its atoms in the same order"
            )
            raise Place(path, line).error(message)


def _subtracted(
    preparation: Preparation, wanted: Comparison, reference: Reference, difference: Reference
) -> str:
    """A frame with the differences, as an `.xyzf`."""
    system = preparation.system
    energy = difference.energy if wanted.subtract_energy else reference.energy
    stress = difference.stress if wanted.subtract_stress else reference.stress
    order = DIAGONAL if len(stress) == 3 else SIX
    by_component = dict(zip(reference.components, stress.tolist(), strict=True))
    numbers = [by_component[place] * GPA for place in order] if len(stress) else []
    numbers += [] if energy is None else [energy]
    header = cell_text(system.cell, "%.14e", orthorhombic=system.orthorhombic)
    rows = np.hstack([preparation.state.positions, difference.forces / HARTREE_FORCE]).tolist()
    atoms = [
        " ".join([name, *(f"{x:.14e}" for x in row)])
        for name, row in zip(system.elements, rows, strict=True)
    ]
    head = " ".join([header, *(f"{x:.14e}" for x in numbers)])
    return "\n".join([str(len(atoms)), head, *atoms, ""])


def _root(numbers: Floats) -> float:
    return float(np.sqrt(np.mean(numbers**2))) if numbers.size else 0.0
