"""From the files of a run to what the integration loop works on."""

from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.constants import BOLTZMANN, TIME
from ald_chimes_lsq.engine import PackedModel, pack
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_md.control import Control
from ald_chimes_md.coordinates import System, read_coordinates, replicate
from ald_chimes_md.dynamics import (
    NVE,
    NVT_MTK,
    Settings,
    State,
    automatic_skin,
    initial_state,
)
from ald_chimes_md.random_glibc import thermal_velocities, without_drift
from ald_core.errors import InputError

Floats = NDArray[np.float64]

HOT = 20.0
"""A run is too hot at HOT × (the higher of target and initial temperature) + MARGIN."""
MARGIN = 20_000.0
"""K, for few atoms and for starting structures far from equilibrium"""

MAX_NEIGHBOURS = 5000
"""Per atom; several times what any real substance has, and what memory can hold."""


@attrs.frozen(eq=False)
class Preparation:
    """A run before its first step."""

    packed: PackedModel
    settings: Settings
    state: State
    system: System
    type_names: tuple[str, ...]
    """In the order of the parameter file."""


def prepare(control: Control, folder: Path) -> Preparation:
    """Read parameters and coordinates, and give the atoms their velocities.

    File names are relative to the folder. Raises InputError for what cannot be used together.
    """
    parameter_file = folder / control.parameter_file
    model = ChimesModel.read(parameter_file)
    _refuse_charges(model, parameter_file)
    if control.inner is not None:
        model = attrs.evolve(model, basis=attrs.evolve(model.basis, inner=control.inner))
    coordinates = folder / control.coordinate_file
    system = replicate(read_coordinates(coordinates), control.replicate)
    _check_density(system, model.basis.max_rmax, coordinates)
    type_names = tuple(t.name for t in model.basis.types)
    types = _types(system, type_names, coordinates)
    masses = np.array([t.mass for t in model.basis.types])[types]
    velocities = _velocities(control, system, masses, coordinates)
    settings = _settings(control, model, types, masses, velocities)
    thermal_energy = max(settings.thermal_energy, BOLTZMANN * _temperature(masses, velocities))
    skin = automatic_skin(settings.dt, thermal_energy, masses)
    state = initial_state(system.positions, velocities, system.cell, skin)
    return Preparation(pack(model), settings, state, system, type_names)


def _settings(
    control: Control,
    model: ChimesModel,
    types: NDArray[np.int64],
    masses: Floats,
    velocities: Floats,
) -> Settings:
    thermal_energy = BOLTZMANN * control.temperature
    relaxation = control.ensemble.thermostat_time / TIME
    mass = (3 * len(types) - 3) * thermal_energy * relaxation**2
    offsets = model.coefficients.offsets
    with_offsets = control.with_offsets and offsets is not None
    hottest = max(control.temperature, _temperature(masses, velocities))
    return Settings(
        ensemble=NVE if control.ensemble.kind == "NVE" else NVT_MTK,
        dt=control.timestep / TIME,
        thermal_energy=thermal_energy,
        # Without thermal energy there is no thermostat to speak of: only step 1 is possible.
        thermostat_mass=mass if mass > 0.0 else 1.0,
        boltzmann=BOLTZMANN,
        offset=float(offsets[types].sum()) if with_offsets and offsets is not None else 0.0,
        masses=masses,
        types=types,
        energy_interval=control.energy_interval,
        trajectory_interval=control.trajectory_interval,
        force_interval=control.force_interval,
        velocity_interval=control.velocity_interval,
        contact_frames=control.contact_files,
        temperature_limit=HOT * hottest + MARGIN if control.temperature_check else np.inf,
    )


def _refuse_charges(model: ChimesModel, path: Path) -> None:
    products = model.coefficients.charges
    charged = any(t.charge != 0.0 for t in model.basis.types)
    if charged or (products is not None and products.any()):
        message = "the model has charges, which are not implemented; refit without them"
        raise InputError(message, path=path)


def _check_density(system: System, cutoff: float, path: Path) -> None:
    density = len(system.elements) / abs(float(np.linalg.det(system.cell)))
    neighbours = density * 4.0 / 3.0 * np.pi * cutoff**3
    if neighbours > MAX_NEIGHBOURS:
        message = (
            f"an atom has some {neighbours:.0f} neighbours within the cutoff of {cutoff:g} Å; "
            "are the cell lengths in Å?"
        )
        raise InputError(message, path=path, line=2)


def _types(system: System, type_names: tuple[str, ...], path: Path) -> NDArray[np.int64]:
    for line, name in enumerate(system.elements, start=3):
        if name not in type_names:
            message = f"the parameter file knows no '{name}', only {', '.join(type_names)}"
            raise InputError(message, path=path, line=line)
    return np.array([type_names.index(name) for name in system.elements], dtype=np.int64)


def _velocities(control: Control, system: System, masses: Floats, path: Path) -> Floats:
    if control.velocities == "GEN":
        seed = 0 if control.seed is None else control.seed
        velocities = thermal_velocities(masses, control.temperature, seed)
    elif path.suffix == ".xyzf":
        message = "VELINIT READ would take the forces of this file for velocities; use GEN"
        raise InputError(message, path=path)
    elif system.columns is None:
        message = "VELINIT READ needs velocities in columns 5 to 7; add them or use GEN"
        raise InputError(message, path=path, line=3)
    else:
        velocities = system.columns
    if control.ensemble.kind != "NVE" and len(masses) < 2 and control.steps > 1:
        message = "a thermostat needs at least two atoms, since the centre of mass does not move"
        raise InputError(message, path=path, line=1)
    return without_drift(velocities, masses)


def _temperature(masses: Floats, velocities: Floats) -> float:
    degrees = max(3 * len(masses) - 3, 1)
    return float((masses @ velocities**2).sum() / (degrees * BOLTZMANN))
