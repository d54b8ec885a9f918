"""What the settings of a run ask of its atoms and of the files that they name."""

import os
from pathlib import Path

import numpy as np

from ald_chimes_lsq.formats.tokens import Place
from ald_chimes_md.control import Control
from ald_chimes_md.coordinates import System, is_diagonal


def check_files(control: Control, folder: Path, coordinates: Path) -> None:
    """Refuse names of files that are not there; `coordinates` is read for the coordinate file.

    Raises InputError naming the line of the control file.
    """
    parameters, other = control.parameter_file, control.comparison
    files = [
        ("PRMFILE", parameters, folder / parameters),
        ("CRDFILE", control.coordinate_file, coordinates),
    ]
    if other is not None:
        files.append((other.key, other.file, folder / other.file))
    for key, name, path in files:
        if not os.path.isfile(path):  # noqa: PTH113 -- that of pathlib raises for names that are too long
            kind = "this is no file" if os.path.lexists(path) else "no such file"
            cure = f"correct the name, or put the file into {folder.resolve()}"
            raise control.error(key, f"'{name}': {kind}", cure=cure)


def check_system(control: Control, system: System, path: Path) -> None:
    """Refuse settings that do not go with the atoms and the cell of a coordinate file.

    Args:
        control: the settings.
        system: the atoms, with all copies.
        path: of the file that the user gave, for messages.

    Raises:
        InputError: naming the line of the control file, or that of the coordinate file.
    """
    ensemble, n_atoms = control.ensemble, len(system.elements)
    if ensemble.has_barostat and not is_diagonal(system.cell):
        fault = f"{ensemble.kind} needs a box given by three lengths"
        raise Place(path, 2).error(fault, cure="use an NVT ensemble, or another cell")
    if ensemble.has_thermostat and n_atoms < 2 and control.steps > 1:
        fault = f"{ensemble.kind} needs at least two atoms, since the centre of mass does not move"
        raise Place(path, 1).error(fault, cure="add atoms, or set CONSRNT to NVE")
    if ensemble.moving is not None and ensemble.moving[1] >= n_atoms:
        first, last = ensemble.moving
        fault = f"FREEZE {first} {last}: this names an atom beyond the last, {n_atoms - 1}"
        raise control.error("CONSRNT", fault, cure="count atoms from 0")
    upper = np.abs(np.triu(system.cell, 1)).max() > 0.0 or np.diag(system.cell).min() <= 0.0
    if control.trajectory_format == "LAMMPSTRJ" and upper:
        fault = "LAMMPSTRJ needs a cell with a along x and b in the xy plane"
        raise Place(path, 2).error(fault, cure="set TRAJEXT to GEN, or rotate the cell")
    if control.velocities == "READ":
        _check_velocities(control, system, path)


def _check_velocities(control: Control, system: System, path: Path) -> None:
    if path.suffix == ".xyzf":
        fault = f"READ would take the forces of {path.name} for velocities"
        raise control.error("VELINIT", fault, cure="use GEN")
    if system.columns is None:
        fault = "VELINIT READ needs velocities in columns 5 to 7"
        raise Place(path, 3).error(fault, cure="add them, or set VELINIT to GEN")
