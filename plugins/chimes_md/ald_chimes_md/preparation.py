"""From the files of a run to what the integration loop works on."""

import hashlib
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.constants import BOLTZMANN, GPA, TIME
from ald_chimes_lsq.formats.tokens import Place
from ald_chimes_lsq.structure import MAX_NEIGHBOURS, check_density, checked_cell
from ald_chimes_md.checks import check_system
from ald_chimes_md.control import Control
from ald_chimes_md.coordinates import System, read_coordinates, replicate
from ald_chimes_md.dynamics import (
    ANALYTICAL,
    ENSEMBLE_CODES,
    NUMERICAL_PRESSURE,
    NUMERICAL_STRESS,
    Settings,
    State,
    automatic_skin,
    initial_state,
)
from ald_chimes_md.force_field import ForceField, interactions, read_force_field
from ald_chimes_md.interaction_kernels import Interactions
from ald_chimes_md.random_glibc import thermal_velocities, without_drift
from ald_chimes_md.restart import Beginning, read_restart, restarted_state
from ald_core.errors import InputError

Floats = NDArray[np.float64]

HOT = 20.0
"""A run is too hot at HOT × (the higher of target and initial temperature) + MARGIN."""
MARGIN = 20_000.0
"""K, for few atoms and for starting structures far from equilibrium"""

MAX_EXPANSION = 1000.0
"""A barostat has failed when the volume is that many times the initial one."""
VIRIALS = {
    "ANALYTICAL": ANALYTICAL,
    "NUMERICAL_PRESSURE": NUMERICAL_PRESSURE,
    "NUMERICAL_STRESS": NUMERICAL_STRESS,
}


@attrs.frozen(eq=False)
class Preparation:
    """A run before its first step."""

    model: Interactions
    settings: Settings
    state: State
    beginning: Beginning
    system: System
    type_names: tuple[str, ...]
    """In the order of the parameter file."""


def prepare(control: Control, folder: Path, coordinates: Path | None = None) -> Preparation:
    """Read parameters and coordinates, and give the atoms their velocities.

    File names are relative to the folder; `coordinates` is read instead of the coordinate file that the
    settings name. Raises InputError for what cannot be used together.
    """
    field = read_force_field(folder / control.parameter_file, control.inner)
    coordinates = coordinates or folder / control.coordinate_file
    restart = None
    if control.velocities == "RESTART":
        system, restart = read_restart(coordinates)
    else:
        system = replicate(read_coordinates(coordinates), control.replicate)
    type_names = tuple(t.name for t in field.basis.types)
    types = _types(system, type_names, coordinates)
    _check_cell(field.basis, system, coordinates)
    check_system(control, system, folder / control.coordinate_file)
    masses = np.array([t.mass for t in field.basis.types])[types]
    velocities = _velocities(control, system, masses)
    beginning = Beginning(system.cell, _temperature(masses, velocities), _digest(control, folder))
    if restart is not None:
        beginning = restart.beginning(beginning)
    model = _interactions(field, types, beginning.cell, coordinates)
    reach = max(field.reach, model.ewald.cutoff if model.charges.size else 0.0)
    settings = _settings(control, field, types, masses, beginning)._replace(reach=reach)
    if restart is None:
        thermal_energy = max(settings.thermal_energy, BOLTZMANN * beginning.temperature)
        skin = automatic_skin(settings.dt, thermal_energy, masses)
        state = initial_state(system.positions, velocities, system.cell, skin)
    else:
        places, cell = system.positions, system.cell
        state = restarted_state(restart, beginning, settings, places, velocities, cell)
    return Preparation(model, settings, state, beginning, system, type_names)


def _digest(control: Control, folder: Path) -> int:
    """Of all that energies and conserved quantity depend on but the atoms, as an exact number of double precision."""
    values = control.inner, control.with_offsets, control.ensemble, control.temperature
    digest = hashlib.sha256(repr((*values, control.pressure)).encode())
    digest.update((folder / control.parameter_file).read_bytes())
    return int(digest.hexdigest()[:12], 16)


def _interactions(
    field: ForceField, types: NDArray[np.int64], cell: Floats, path: Path
) -> Interactions:
    try:
        return interactions(field, types, cell)
    except InputError as error:
        raise error.at(path, 2) from None


def _settings(
    control: Control,
    field: ForceField,
    types: NDArray[np.int64],
    masses: Floats,
    beginning: Beginning,
) -> Settings:
    ensemble = control.ensemble
    degrees = 3 * len(types) - 3
    thermal_energy = BOLTZMANN * control.temperature
    thermostat_time, barostat_time = ensemble.thermostat_time / TIME, ensemble.barostat_time / TIME
    extended = ensemble.is_extended
    thermostat_mass = degrees * thermal_energy * thermostat_time**2 if extended else 1.0
    barostat_mass = (degrees + 3) * thermal_energy * barostat_time**2 if extended else 1.0
    with_offsets = control.with_offsets and field.offsets is not None
    hottest = max(control.temperature, beginning.temperature)
    volume = abs(float(np.linalg.det(beginning.cell)))
    first, end = _moving(control, len(types))
    return Settings(
        ensemble=ENSEMBLE_CODES[ensemble.kind],
        dt=control.timestep / TIME,
        thermal_energy=thermal_energy,
        pressure=control.pressure / GPA,
        # Without times and thermal energy there is nothing to couple to: only step 1 is possible.
        thermostat_time=thermostat_time or 1.0,
        barostat_time=barostat_time or 1.0,
        thermostat_mass=thermostat_mass or 1.0,
        barostat_mass=barostat_mass or 1.0,
        scale_interval=max(ensemble.scale_interval, 1),
        first_moving=first,
        end_moving=end,
        boltzmann=BOLTZMANN,
        offset=float(field.offsets[types].sum())
        if with_offsets and field.offsets is not None
        else 0.0,
        masses=masses,
        types=types,
        reach=field.reach,
        virial=VIRIALS[control.virial],
        energy_interval=control.energy_interval,
        trajectory_interval=control.trajectory_interval,
        force_interval=control.force_interval,
        velocity_interval=control.velocity_interval,
        restart_interval=control.restart_interval,
        contact_frames=control.contact_files,
        temperature_limit=HOT * hottest + MARGIN if control.temperature_check else np.inf,
        penalty_limit=np.inf if control.penalty_limit is None else control.penalty_limit,
        least_volume=len(types) * _sphere(field.reach) / MAX_NEIGHBOURS,
        greatest_volume=MAX_EXPANSION * volume,
    )


def _sphere(radius: float) -> float:
    return 4.0 / 3.0 * np.pi * radius**3


def _check_cell(basis: Basis, system: System, path: Path) -> None:
    """Refuse a cell that holds more neighbours than lists can."""
    try:
        check_density(basis, len(system.elements), checked_cell(system.cell))
    except InputError as error:
        raise error.at(path, 2) from None


def _types(system: System, type_names: tuple[str, ...], path: Path) -> NDArray[np.int64]:
    for line, name in enumerate(system.elements, start=3):
        if name not in type_names:
            fault = f"the parameter file knows no '{name}', only {', '.join(type_names)}"
            raise Place(path, line).error(fault, cure="correct the name, or PRMFILE")
    return np.array([type_names.index(name) for name in system.elements], dtype=np.int64)


def _moving(control: Control, n_atoms: int) -> tuple[int, int]:
    """The first atom that moves, and the first after them that does not."""
    if control.ensemble.moving is None:
        return 0, n_atoms
    first, last = control.ensemble.moving
    return first, last + 1


def _velocities(control: Control, system: System, masses: Floats) -> Floats:
    """Velocities of all atoms; those of frozen ones are zero."""
    first, end = _moving(control, len(masses))
    moving = slice(first, end)
    velocities = np.zeros((len(masses), 3))
    if control.velocities == "GEN":
        seed = 0 if control.seed is None else control.seed
        velocities[moving] = thermal_velocities(masses[moving], control.temperature, seed)
    elif system.columns is not None:
        velocities[moving] = system.columns[moving]
    if control.velocities != "RESTART":
        velocities[moving] = without_drift(velocities[moving], masses[moving])
    return velocities


def _temperature(masses: Floats, velocities: Floats) -> float:
    degrees = max(3 * len(masses) - 3, 1)
    return float((masses @ velocities**2).sum() / (degrees * BOLTZMANN))
