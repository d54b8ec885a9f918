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
from ald_chimes_md.loop import SinglePoint, evaluate_once
from ald_chimes_md.preparation import Preparation
from ald_chimes_md.replacement import replace_file

Floats = NDArray[np.float64]

SAME_PLACE = 0.01
"""Å, between an atom of the run and that of the file of forces"""
STEP_LENGTH = 1e-4
"""Å, of the finite differences"""
DIAGONAL = ((0, 0), (1, 1), (2, 2))
SIX = (*DIAGONAL, (0, 1), (0, 2), (1, 2))
NINE = tuple((a, b) for a in range(3) for b in range(3))
COMPONENTS: dict[int, tuple[tuple[int, int], ...]] = {0: (), 3: DIAGONAL, 6: SIX, 9: NINE}
"""Of a stress, by how many numbers it has."""


@attrs.frozen(eq=False)
class Reference:
    """What a file says about a configuration, kcal/mol and Å."""

    forces: Floats
    """(n, 3)"""
    stress: Floats
    """3, 6 or 9 numbers, or none"""
    energy: float | None
    labels: "Labels"
    """All of stress and energy that a frame says, announced or not."""
    further: int = 0
    """Numbers of the file behind these, which belong to further frames."""

    @property
    def components(self) -> tuple[tuple[int, int], ...]:
        """Which components the stress has."""
        return COMPONENTS[len(self.stress)]


@attrs.frozen
class Labels:
    """Stress and energy in the header of a frame."""

    stress: dict[tuple[int, int], float]
    """GPa, by component; none, three or six of them"""
    energy: float | None
    """kcal/mol"""


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
    said = evaluate_once(preparation, path=folder / control.coordinate_file)
    stress = np.array([said.stress[a, b] for a, b in reference.components])
    energy = None if reference.energy is None else abs(reference.energy - said.energy)
    written = None
    if wanted.subtract:
        written = subtracted_name(control)
        labels = _joined(_own_labels(control, folder), reference.labels)
        text = _subtracted(preparation.system, reference.forces, labels, wanted, said)
        replace_file(folder / written, text.encode())
    return Errors(
        force=_root(reference.forces - said.forces),
        stress=_root(reference.stress - stress) * GPA if len(stress) else None,
        energy=energy,
        written=written,
        further=reference.further,
    )


def subtracted_name(control: Control) -> str:
    """The file that SUBTFRC leaves."""
    return f"{control.coordinate_file}_forces_subtracted.xyz"


def check_forces(preparation: Preparation, path: Path) -> ForceCheck:
    """Compare the forces of the initial configuration with finite differences, for every coordinate.

    Raises InputError naming the path, that of the coordinate file, if the model gives no usable numbers.
    """
    forces = evaluate_once(preparation, path=path).forces
    positions = preparation.state.positions
    differences = np.zeros_like(forces)
    for place in np.ndindex(*forces.shape):
        energies = []
        for side in (STEP_LENGTH, -STEP_LENGTH):
            moved = positions.copy()
            moved[place] += side
            energies.append(evaluate_once(preparation, moved, path=path).energy)
        slope = (energies[0] - energies[1]) / (2.0 * STEP_LENGTH)
        differences[place] = forces[place] + slope
    return ForceCheck(float(np.abs(differences).max()), _root(differences))


def read_reference(path: Path, own: System, control: Control) -> Reference:
    """Read reference forces of the atoms of the run, with stress and energy as the control file announces them."""
    n_atoms = len(own.elements)
    text = read_text(path)
    lines = text.splitlines()
    if len(lines) > 2 and lines[0].strip().isdecimal() and len(lines[2].split()) > 3:
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
        raise Place(path, max(len(lines), 1)).error(
            f"{n_atoms} atoms need {wanted} numbers with these FITSTRS and FITENER, or more if further "
            f"frames follow, but the file ends with {len(numbers)}",
            cure="complete it, or correct FITSTRS and FITENER",
        )
    stress = numbers[3 * n_atoms : size]
    energy = float(numbers[size]) if control.reference_energy else None
    by_component = dict(zip(COMPONENTS[stress_size], (stress * GPA).tolist(), strict=True))
    labels = Labels({place: by_component[place] for place in SIX if place in by_component}, energy)
    forces = numbers[: 3 * n_atoms].reshape(-1, 3)
    return Reference(forces, stress, energy, labels, further=len(numbers) - end)


def _read_frame(path: Path, header: list[str], own: System, control: Control) -> Reference:
    system = read_coordinates(path)
    _check_atoms(path, system, own)
    if system.columns is None:
        fault = "the atoms have no forces in columns 5 to 7"
        raise Place(path, 3).error(fault, cure="add them, or name a file that has them")
    labels = _labels(header, Place(path, 2))
    wanted = {"none": 0, "diagonal": 3, "full": 6}[control.reference_stress]
    if len(labels.stress) < wanted:
        fault = "FITSTRS announces a stress that this header lacks"
        raise Place(path, 2).error(fault, cure="add it behind the cell, or set FITSTRS to false")
    if control.reference_energy and labels.energy is None:
        fault = "FITENER announces an energy that this header lacks"
        raise Place(path, 2).error(fault, cure="add it at the end, or set FITENER to false")
    stress = np.array([labels.stress[place] for place in COMPONENTS[wanted]]) / GPA
    energy = labels.energy if control.reference_energy else None
    return Reference(system.columns * HARTREE_FORCE, stress, energy, labels)


def _labels(header: list[str], place: Place) -> Labels:
    """What follows the cell in the second line of a frame."""
    start = 10 if header[0] == "NON_ORTHO" else 3
    rest = [parse_number(word, "a number", place) for word in header[start:]]
    with_energy = len(rest) in {1, 4, 7}
    stress = rest[:-1] if with_energy else rest
    return Labels(
        dict(zip(COMPONENTS[len(stress)], stress, strict=True)), rest[-1] if with_energy else None
    )


def _own_labels(control: Control, folder: Path) -> Labels:
    """Those of the coordinate file, for the cell and its copies."""
    path = folder / control.coordinate_file
    labels = _labels(read_text(path).splitlines()[1].split(), Place(path, 2))
    if labels.energy is None:
        return labels
    return Labels(labels.stress, labels.energy * (control.replicate + 1) ** 3)


def _joined(own: Labels, other: Labels) -> Labels:
    """The labels of one file, or of the other where that says something."""
    energy = own.energy if other.energy is None else other.energy
    return Labels({**own.stress, **other.stress}, energy)


def _check_atoms(path: Path, system: System, own: System) -> None:
    """Refuse forces of another configuration than that of the run."""
    if len(system.elements) != len(own.elements):
        fault = f"{len(system.elements)} atoms, but the run has {len(own.elements)}"
        raise Place(path, 1).error(fault, cure="give forces of the configuration of CRDFILE")
    steps = system.positions - own.positions
    images = np.round(steps @ np.linalg.inv(own.cell)) @ own.cell
    moved = np.linalg.norm(steps - images, axis=1) > SAME_PLACE
    pairs = zip(system.elements, own.elements, moved.tolist(), strict=True)
    for line, (element, right, away) in enumerate(pairs, start=3):
        if element != right or away:
            raise Place(path, line).error(
                f"this {element} is not where the coordinate file has {right}",
                cure="give forces of the same configuration, with its atoms in the same order",
            )


def _subtracted(
    system: System, forces: Floats, labels: Labels, wanted: Comparison, said: SinglePoint
) -> str:
    """An `.xyzf` frame with what the model leaves over; labels that are not subtracted stay as they are."""
    numbers = [
        value - said.stress[place] * GPA if wanted.subtract_stress else value
        for place, value in labels.stress.items()
    ]
    if labels.energy is not None:
        numbers.append(labels.energy - said.energy * wanted.subtract_energy)
    header = cell_text(system.cell, "%.14e", orthorhombic=system.orthorhombic)
    rows = np.hstack([system.positions, (forces - said.forces) / HARTREE_FORCE]).tolist()
    atoms = [
        " ".join([name, *(f"{x:.14e}" for x in row)])
        for name, row in zip(system.elements, rows, strict=True)
    ]
    head = " ".join([header, *(f"{x:.14e}" for x in numbers)])
    return "\n".join([str(len(atoms)), head, *atoms, ""])


def _root(numbers: Floats) -> float:
    return float(np.sqrt(np.mean(numbers**2))) if numbers.size else 0.0
