"""What the compiled integration loop works on: settings, state, and the buffers that it fills.

All are named tuples of numbers and arrays, so that the loop can be compiled for them. The state is
complete: the same state continued by the same settings gives the same bits, wherever a run was cut.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NVE, NVT_MTK = 0, 1
"""Codes of the ensembles."""

STEP, REBUILDS, REBUILT_AT, CLEAR, NEAR, INSIDE = 0, 1, 2, 3, 4, 5
"""Positions in `State.counters`; the last three count the steps of each contact class."""
SKIN, POTENTIAL, KINETIC, TEMPERATURE, PRESSURE, CONFIGURATIONAL, CONSERVED = range(7)
FIRST_POTENTIAL, FIRST_CONSERVED, LAST_CONSERVED, DEVIATION = 7, 8, 9, 10
"""Positions in `State.numbers`; CONFIGURATIONAL is the pressure without its kinetic part."""
TEMPERATURE_SUM, PRESSURE_SUM, STRESS_SUM = 0, 1, 2
"""Positions in `State.sums`; the stress takes six places, in the order xx yy zz xy xz yz."""
ROW_STEP, ROW_KINETIC, ROW_POTENTIAL, ROW_TEMPERATURE, ROW_PRESSURE = 0, 1, 2, 3, 4
ROW_CONSERVED, ROW_CONFIGURATIONAL, ROW_SIZE = 5, 6, 7
"""Columns of `Buffers.rows`, in kcal/mol, K and kcal/mol/Å³."""
ROWS, FRAMES = 0, 1
"""Positions in `Buffers.filled`."""

DONE, FULL, NOT_FINITE, TOO_FAST, TOO_HOT, TOO_FAR_IN_ENERGY = 0, 1, 2, 3, 4, 5
"""Why the loop returned; from `NOT_FINITE` on the step after `STEP` is unstable."""

MAX_STEP_LENGTH = 1.0
"""Å an atom may move in one step; beyond that no integrator means anything."""
MAX_ENERGY_CHANGE = 1e4
"""kcal/mol per atom that the potential energy may differ from that of the first step."""
MIN_SKIN, MAX_SKIN = 0.02, 1.0
"""Å"""


class Settings(NamedTuple):
    """What stays the same throughout a run; kcal/mol, Å, g/mol and the time unit that follows."""

    ensemble: int
    dt: float
    thermal_energy: float
    """k_B T of the thermostat"""
    thermostat_mass: float
    """Q of the Nosé–Hoover thermostat; 1 if there is none"""
    boltzmann: float
    offset: float
    """Sum of the energy offsets of all atoms, added to the potential energy."""
    masses: Floats
    types: Integers
    energy_interval: int
    trajectory_interval: int
    force_interval: int
    velocity_interval: int
    """0 for the last two: never"""
    contact_frames: bool
    """Keep every configuration with a close contact."""
    temperature_limit: float
    """K; infinite if not checked"""


class State(NamedTuple):
    """Everything that the next step depends on, and the running sums. Changed in place."""

    positions: Floats
    """(n, 3) Å, not wrapped"""
    velocities: Floats
    forces: Floats
    virial: Floats
    """(3, 3) kcal/mol"""
    cell: Floats
    thermostat: Floats
    """Position ξ, velocity and force of the thermostat"""
    list_positions: Floats
    """(n, 3) positions for which the neighbour list was built"""
    numbers: Floats
    counters: Integers
    sums: Floats


class Buffers(NamedTuple):
    """Output of one stretch of steps."""

    rows: Floats
    """(capacity, ROW_SIZE)"""
    steps: Integers
    classes: Integers
    temperatures: Floats
    positions: Floats
    """(capacity, n, 3)"""
    forces: Floats
    velocities: Floats
    """The last two may have length 0 if no file needs them."""
    filled: Integers


def initial_state(positions: Floats, velocities: Floats, cell: Floats, skin: float) -> State:
    """The state before the first force evaluation (step 0)."""
    numbers = np.zeros(11)
    numbers[SKIN] = skin
    return State(
        positions=np.array(positions, dtype=np.float64, order="C"),
        velocities=np.array(velocities, dtype=np.float64, order="C"),
        forces=np.zeros_like(positions),
        virial=np.zeros((3, 3)),
        cell=np.array(cell, dtype=np.float64, order="C"),
        thermostat=np.zeros(3),
        list_positions=np.array(positions, dtype=np.float64, order="C"),
        numbers=numbers,
        counters=np.zeros(6, dtype=np.int64),
        sums=np.zeros(8),
    )


def copy_state(state: State) -> State:
    """A state that does not change when the original goes on."""
    return State(**{name: array.copy() for name, array in state._asdict().items()})


def empty_buffers(
    n_atoms: int, rows: int, frames: int, *, forces: bool, velocities: bool
) -> Buffers:
    """Buffers for so many statistics rows and frames."""
    return Buffers(
        rows=np.zeros((rows, ROW_SIZE)),
        steps=np.zeros(frames, dtype=np.int64),
        classes=np.zeros(frames, dtype=np.int64),
        temperatures=np.zeros(frames),
        positions=np.zeros((frames, n_atoms, 3)),
        forces=np.zeros((frames if forces else 0, n_atoms, 3)),
        velocities=np.zeros((frames if velocities else 0, n_atoms, 3)),
        filled=np.zeros(2, dtype=np.int64),
    )


def automatic_skin(dt: float, thermal_energy: float, masses: Floats) -> float:
    """Å added to the cutoffs of the neighbour list so that it lasts for some ten steps."""
    fast = 3.0 * np.sqrt(thermal_energy / masses.min())
    return float(np.clip(2.0 * 10.0 * fast * dt, 0.1, MAX_SKIN))
