"""What the compiled integration loop works on: settings, state, and the buffers that it fills.

All are named tuples of numbers and arrays, so that the loop can be compiled for them. The state is
complete: the same state continued by the same settings gives the same bits, wherever a run was cut.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NVE, NVT_MTK, NVT_SCALE, NVT_BEREND, NPT_BEREND, NPT_BEREND_ANISO, NPT_MTK = range(7)
"""Codes of the ensembles."""
ENSEMBLE_CODES = {
    "NVE": NVE,
    "NVT-MTK": NVT_MTK,
    "NVT-SCALE": NVT_SCALE,
    "NVT-BEREND": NVT_BEREND,
    "NPT-BEREND": NPT_BEREND,
    "NPT-BEREND-ANISO": NPT_BEREND_ANISO,
    "NPT-MTK": NPT_MTK,
}
ANALYTICAL, NUMERICAL_PRESSURE, NUMERICAL_STRESS = 0, 1, 2
"""How the virial is found."""

STEP, REBUILDS, REBUILT_AT, CLEAR, NEAR, INSIDE, RESTARTED, SHEAR_FROM = range(8)
"""Positions in `State.counters`; CLEAR … INSIDE count the steps of each contact class.

RESTARTED is 1 while the forces of a restarted configuration are not yet known; shear stresses are
summed from the step after SHEAR_FROM on."""
SKIN, POTENTIAL, KINETIC, TEMPERATURE, PRESSURE, CONFIGURATIONAL, CONSERVED = range(7)
FIRST_POTENTIAL, FIRST_CONSERVED, LAST_CONSERVED, DEVIATION, WINDOW, VOLUME = range(7, 13)
"""Positions in `State.numbers`.

CONFIGURATIONAL is the pressure without its kinetic part; WINDOW the sum of temperatures since the
velocities were last scaled by NVT-SCALE."""
TEMPERATURE_SUM, PRESSURE_SUM, STRESS_SUM, VOLUME_SUM, WORK_SUM = 0, 1, 2, 8, 9
"""Positions in `State.sums`; the stress takes six places, in the order xx yy zz xy xz yz."""
ROW_STEP, ROW_KINETIC, ROW_POTENTIAL, ROW_TEMPERATURE, ROW_PRESSURE = range(5)
ROW_CONSERVED, ROW_CONFIGURATIONAL, ROW_VOLUME, ROW_SIZE = range(5, 9)
"""Columns of `Buffers.rows`, in kcal/mol, K, kcal/mol/Å³ and Å³."""
PENALTY_STEP, PENALTY_FIRST, PENALTY_SECOND, PENALTY_DISTANCE, PENALTY_ENERGY = range(5)
"""Columns of `Buffers.penalties`: atoms from 0, Å, kcal/mol."""
ROWS, FRAMES, PENALTIES = 0, 1, 2
"""Positions in `Buffers.filled`."""

DONE, FULL, NOT_FINITE, TOO_FAST, TOO_HOT, TOO_FAR_IN_ENERGY = range(6)
COLLIDED, NO_THERMOSTAT, NO_BAROSTAT, BEYOND_VOLUME, PENALISED = range(6, 11)
"""Why the loop returned; from `NOT_FINITE` on the step after `STEP` is unstable."""

MAX_STEP_LENGTH = 1.0
"""Å an atom may move in one step; beyond that no integrator means anything."""
MAX_ENERGY_CHANGE = 1e4
"""kcal/mol per atom that the potential energy may differ from that of the first step."""
MIN_SKIN, MAX_SKIN = 0.02, 1.0
"""Å"""
MAX_PENALTIES = 100
"""Pairs in the penalty zone that are told of one step."""


class Settings(NamedTuple):
    """What stays the same throughout a run; kcal/mol, Å, g/mol and the time unit that follows."""

    ensemble: int
    dt: float
    thermal_energy: float
    """k_B T of the thermostat"""
    pressure: float
    """of the barostat"""
    thermostat_time: float
    barostat_time: float
    """1 for the last two if there is none"""
    thermostat_mass: float
    barostat_mass: float
    """Q and W of the Nosé–Hoover thermostat and barostat; 1 if there is none"""
    scale_interval: int
    """of NVT-SCALE"""
    first_moving: int
    end_moving: int
    """All atoms before the first and from the second on are frozen."""
    boltzmann: float
    offset: float
    """Sum of the energy offsets of all atoms, added to the potential energy."""
    masses: Floats
    types: Integers
    reach: float
    """The largest cutoff, Å"""
    virial: int
    """How it is found: `ANALYTICAL` …"""
    energy_interval: int
    trajectory_interval: int
    force_interval: int
    velocity_interval: int
    """0 for the last two: never"""
    restart_interval: int
    """Steps at which the state becomes a function of positions, velocities and a few numbers alone"""
    contact_frames: bool
    """Keep every configuration with a close contact."""
    temperature_limit: float
    """K; infinite if not checked"""
    penalty_limit: float
    """Times the conserved quantity per atom; infinite if not checked"""
    least_volume: float
    greatest_volume: float


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
    barostat: Floats
    """Position ε, velocity and force of the barostat, and the present factor of the three lengths"""
    list_positions: Floats
    """(n, 3) positions for which the neighbour list was built"""
    list_cell: Floats
    """The cell for which it was built"""
    numbers: Floats
    counters: Integers
    sums: Floats


class Buffers(NamedTuple):
    """Output of one stretch of steps."""

    rows: Floats
    """(capacity, ROW_SIZE)"""
    penalties: Floats
    """(capacity, 5)"""
    steps: Integers
    classes: Integers
    temperatures: Floats
    energies: Floats
    """kcal/mol, with offsets"""
    cells: Floats
    virials: Floats
    """(capacity, 3, 3)"""
    positions: Floats
    """(capacity, n, 3)"""
    forces: Floats
    velocities: Floats
    """The last two may have length 0 if no file needs them."""
    filled: Integers


def initial_state(positions: Floats, velocities: Floats, cell: Floats, skin: float) -> State:
    """The state before the first force evaluation (step 0)."""
    numbers = np.zeros(13)
    numbers[SKIN] = skin
    places = np.array(positions, dtype=np.float64, order="C")
    vectors = np.array(cell, dtype=np.float64, order="C")
    return State(
        positions=places,
        velocities=np.array(velocities, dtype=np.float64, order="C"),
        forces=np.zeros_like(places),
        virial=np.zeros((3, 3)),
        cell=vectors,
        thermostat=np.zeros(3),
        barostat=np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        list_positions=places.copy(),
        list_cell=vectors.copy(),
        numbers=numbers,
        counters=np.zeros(8, dtype=np.int64),
        sums=np.zeros(10),
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
        penalties=np.zeros((10 * MAX_PENALTIES, 5)),
        steps=np.zeros(frames, dtype=np.int64),
        classes=np.zeros(frames, dtype=np.int64),
        temperatures=np.zeros(frames),
        energies=np.zeros(frames),
        cells=np.zeros((frames, 3, 3)),
        virials=np.zeros((frames, 3, 3)),
        positions=np.zeros((frames, n_atoms, 3)),
        forces=np.zeros((frames if forces else 0, n_atoms, 3)),
        velocities=np.zeros((frames if velocities else 0, n_atoms, 3)),
        filled=np.zeros(3, dtype=np.int64),
    )


def automatic_skin(dt: float, thermal_energy: float, masses: Floats) -> float:
    """Å added to the cutoffs of the neighbour list so that it lasts for some ten steps."""
    fast = 3.0 * np.sqrt(thermal_energy / masses.min())
    return float(np.clip(2.0 * 10.0 * fast * dt, 0.1, MAX_SKIN))
