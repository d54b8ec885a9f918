"""The compiled integration loop: velocity Verlet, and Nosé–Hoover after Martyna, Tuckerman, Klein.

Step 1 is the initial configuration. The thermostat follows G. J. Martyna, D. J. Tobias and
M. L. Klein, J. Chem. Phys. 101, 4177 (1994), with velocities and thermostat made consistent by
exactly ten iterations, as ChIMES MD does.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit

from ald_chimes_lsq import engine
from ald_chimes_lsq.engine import PackedModel, build_lists, evaluate
from ald_chimes_md import dynamics
from ald_chimes_md.dynamics import (
    CLEAR,
    CONFIGURATIONAL,
    CONSERVED,
    DEVIATION,
    DONE,
    FIRST_CONSERVED,
    FIRST_POTENTIAL,
    FRAMES,
    FULL,
    KINETIC,
    LAST_CONSERVED,
    MAX_ENERGY_CHANGE,
    MAX_SKIN,
    MAX_STEP_LENGTH,
    MIN_SKIN,
    NOT_FINITE,
    NVT_MTK,
    POTENTIAL,
    PRESSURE,
    PRESSURE_SUM,
    REBUILDS,
    REBUILT_AT,
    ROW_CONFIGURATIONAL,
    ROW_CONSERVED,
    ROW_KINETIC,
    ROW_POTENTIAL,
    ROW_PRESSURE,
    ROW_STEP,
    ROW_TEMPERATURE,
    ROWS,
    SKIN,
    STEP,
    STRESS_SUM,
    TEMPERATURE,
    TEMPERATURE_SUM,
    TOO_FAR_IN_ENERGY,
    TOO_FAST,
    TOO_HOT,
    Buffers,
    Floats,
    Settings,
    State,
)

ITERATIONS = 10


@njit(error_model="numpy")
def kinetic_energy(velocities: Floats, masses: Floats) -> float:
    """K in kcal/mol, summed in atom order."""
    total = 0.0
    for i in range(len(masses)):
        square = velocities[i, 0] ** 2 + velocities[i, 1] ** 2 + velocities[i, 2] ** 2
        total += 0.5 * masses[i] * square
    return total


@njit(error_model="numpy")
def cell_volume(cell: Floats) -> float:
    """Volume of a cell of either handedness, Å³."""
    volume = 0.0
    for k in range(3):
        m, n = (k + 1) % 3, (k + 2) % 3
        volume += cell[0, k] * (cell[1, m] * cell[2, n] - cell[1, n] * cell[2, m])
    return abs(volume)


@njit(error_model="numpy")
def degrees_of_freedom(settings: Settings) -> int:
    """3N − 3: the centre of mass does not move."""
    return 3 * len(settings.masses) - 3


@njit(error_model="numpy")
def thermostat_force(kinetic: float, settings: Settings) -> float:
    """G, the acceleration of the thermostat."""
    excess: float = 2.0 * kinetic - degrees_of_freedom(settings) * settings.thermal_energy
    return excess / settings.thermostat_mass


@njit(error_model="numpy")
def advance(state: State, settings: Settings) -> float:
    """Move positions by a step and velocities by half a step; returns the longest move squared."""
    dt = settings.dt
    friction = state.thermostat[1]
    longest = 0.0
    for i in range(len(settings.masses)):
        square = 0.0
        for k in range(3):
            velocity = state.velocities[i, k]
            acceleration = state.forces[i, k] / settings.masses[i]
            move = velocity * dt + 0.5 * (acceleration - friction * velocity) * dt * dt
            state.positions[i, k] += move
            half_kick = 0.5 * (acceleration - friction * velocity) * dt
            state.velocities[i, k] = velocity + half_kick
            square += move * move
        # Written so that a move that is not a number is the longest of all.
        if not square <= longest:
            longest = square
    state.thermostat[0] += dt * (friction + 0.5 * dt * state.thermostat[2])
    return longest


@njit(error_model="numpy")
def complete(state: State, settings: Settings) -> None:
    """Give the velocities the other half of the step with the new forces."""
    dt = settings.dt
    for i in range(len(settings.masses)):
        for k in range(3):
            state.velocities[i, k] += 0.5 * dt * state.forces[i, k] / settings.masses[i]
    if settings.ensemble == NVT_MTK:
        # All velocities have the same friction, so that the iteration needs only their sum.
        unrubbed = kinetic_energy(state.velocities, settings.masses)
        friction_before, force_before = state.thermostat[1], state.thermostat[2]
        force = thermostat_force(state.numbers[KINETIC], settings)
        friction, shrink = 0.0, 1.0
        for _ in range(ITERATIONS):
            friction = friction_before + 0.5 * dt * (force_before + force)
            shrink = 1.0 / (1.0 + 0.5 * dt * friction)
            force = thermostat_force(unrubbed * shrink * shrink, settings)
        state.thermostat[1], state.thermostat[2] = friction, force
        for i in range(len(settings.masses)):
            for k in range(3):
                state.velocities[i, k] *= shrink
    state.numbers[KINETIC] = kinetic_energy(state.velocities, settings.masses)


@njit(error_model="numpy")
def conserved_quantity(state: State, settings: Settings) -> float:
    """What the equations of motion conserve, kcal/mol."""
    total: float = state.numbers[KINETIC] + state.numbers[POTENTIAL]
    if settings.ensemble == NVT_MTK:
        total += 0.5 * settings.thermostat_mass * state.thermostat[1] ** 2
        degrees = degrees_of_freedom(settings)
        total += degrees * settings.thermal_energy * state.thermostat[0]
    return total


@njit(error_model="numpy")
def wandered(state: State) -> bool:
    """True if an atom has moved by more than half the skin since the list was built."""
    limit = 0.25 * state.numbers[SKIN] ** 2
    for i in range(len(state.positions)):
        square = 0.0
        for k in range(3):
            square += (state.positions[i, k] - state.list_positions[i, k]) ** 2
        if square > limit:
            return True
    return False


@njit(error_model="numpy")
def renew_list_positions(state: State, step: int) -> None:
    """Take the present positions as those of the list, with a skin that suits the last list's life.

    The skin depends on steps alone, never on time, so that equal runs sum in equal order.
    """
    life = step - state.counters[REBUILT_AT]
    skin = state.numbers[SKIN]
    if life < 5:
        skin = min(skin * 1.25, MAX_SKIN)
    elif life > 15:
        skin = max(skin * 0.8, MIN_SKIN)
    state.numbers[SKIN] = skin
    state.list_positions[:] = state.positions
    state.counters[REBUILT_AT] = step
    state.counters[REBUILDS] += 1


@njit(error_model="numpy")
def measure(state: State, settings: Settings) -> None:
    """Temperature, pressures and conserved quantity of the present state."""
    degrees = max(degrees_of_freedom(settings), 1)
    volume = cell_volume(state.cell)
    kinetic = state.numbers[KINETIC]
    configurational = (state.virial[0, 0] + state.virial[1, 1] + state.virial[2, 2]) / (3 * volume)
    state.numbers[TEMPERATURE] = 2.0 * kinetic / (degrees * settings.boltzmann)
    state.numbers[CONFIGURATIONAL] = configurational
    state.numbers[PRESSURE] = configurational + 2.0 * kinetic / (3.0 * volume)
    state.numbers[CONSERVED] = conserved_quantity(state, settings)


@njit(error_model="numpy")
def fault(state: State, settings: Settings) -> int:
    """Why the state makes no sense, or `DONE`."""
    for number in state.numbers:
        if not np.isfinite(number):
            return NOT_FINITE
    for number in state.virial.flat:
        if not np.isfinite(number):
            return NOT_FINITE
    if state.numbers[TEMPERATURE] > settings.temperature_limit:
        return TOO_HOT
    change = abs(state.numbers[POTENTIAL] - state.numbers[FIRST_POTENTIAL])
    if change > MAX_ENERGY_CHANGE * len(settings.masses):
        return TOO_FAR_IN_ENERGY
    return DONE


@njit(error_model="numpy")
def accumulate(state: State, settings: Settings, contact: int) -> None:
    """Add the present step to the sums of the run."""
    deviation = abs(state.numbers[CONSERVED] - state.numbers[FIRST_CONSERVED])
    state.numbers[LAST_CONSERVED] = state.numbers[CONSERVED]
    state.numbers[DEVIATION] = max(state.numbers[DEVIATION], deviation)
    state.counters[CLEAR + contact] += 1
    state.sums[TEMPERATURE_SUM] += state.numbers[TEMPERATURE]
    state.sums[PRESSURE_SUM] += state.numbers[PRESSURE]
    volume = cell_volume(state.cell)
    for place, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
        stress = state.virial[a, b]
        for i in range(len(settings.masses)):
            stress += settings.masses[i] * state.velocities[i, a] * state.velocities[i, b]
        state.sums[STRESS_SUM + place] += stress / volume


@njit(error_model="numpy")
def keep_row(state: State, buffers: Buffers, step: int) -> None:
    """Add a line of statistics to the buffers."""
    row = buffers.rows[buffers.filled[ROWS]]
    row[ROW_STEP] = step
    row[ROW_KINETIC] = state.numbers[KINETIC]
    row[ROW_POTENTIAL] = state.numbers[POTENTIAL]
    row[ROW_TEMPERATURE] = state.numbers[TEMPERATURE]
    row[ROW_PRESSURE] = state.numbers[PRESSURE]
    row[ROW_CONSERVED] = state.numbers[CONSERVED]
    row[ROW_CONFIGURATIONAL] = state.numbers[CONFIGURATIONAL]
    buffers.filled[ROWS] += 1


@njit(error_model="numpy")
def keep_frame(state: State, buffers: Buffers, step: int, contact: int) -> None:
    """Add a configuration to the buffers."""
    frame = buffers.filled[FRAMES]
    buffers.steps[frame] = step
    buffers.classes[frame] = contact
    buffers.temperatures[frame] = state.numbers[TEMPERATURE]
    buffers.positions[frame] = state.positions
    if len(buffers.forces) > 0:
        buffers.forces[frame] = state.forces
    if len(buffers.velocities) > 0:
        buffers.velocities[frame] = state.velocities
    buffers.filled[FRAMES] += 1


@njit(error_model="numpy")
def frame_due(settings: Settings, step: int, contact: int) -> bool:
    """True if some output needs the configuration of this step."""
    return (
        step % settings.trajectory_interval == 0
        or (settings.force_interval > 0 and step % settings.force_interval == 0)
        or (settings.velocity_interval > 0 and step % settings.velocity_interval == 0)
        or (settings.contact_frames and contact > 0)
    )


def _source_digest() -> str:
    """Identity of all code that the loop is compiled from."""
    digest = hashlib.sha256()
    sources = [*Path(engine.__file__).parent.glob("*.py"), Path(dynamics.__file__), Path(__file__)]
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _compiled(sources: str) -> Callable[[PackedModel, Settings, State, Buffers, int], int]:
    """The loop, compiled or taken from numba's cache.

    That cache does not notice when a function in another file was replaced, and would go on with
    the force evaluation of an older installation; but it does compare what a closure refers to.
    """

    @njit(cache=True, error_model="numpy")
    def run_steps(
        packed: PackedModel, settings: Settings, state: State, buffers: Buffers, last_step: int
    ) -> int:
        assert sources  # noqa: S101 -- makes the digest part of the closure
        types = settings.types
        lists = build_lists(packed, types, state.list_positions, state.cell, state.numbers[SKIN])
        while state.counters[STEP] < last_step:
            if buffers.filled[ROWS] == len(buffers.rows):
                return FULL
            if buffers.filled[FRAMES] == len(buffers.steps):
                return FULL
            step = state.counters[STEP] + 1
            if step > 1:
                longest = advance(state, settings)
                if not longest <= MAX_STEP_LENGTH**2:
                    return NOT_FINITE if np.isnan(longest) else TOO_FAST
            if wandered(state):
                renew_list_positions(state, step)
                lists = build_lists(
                    packed, types, state.list_positions, state.cell, state.numbers[SKIN]
                )
            energy, contact = evaluate(
                packed, lists, types, state.positions, state.cell, state.forces, state.virial
            )
            state.numbers[POTENTIAL] = energy + settings.offset
            if step > 1:
                complete(state, settings)
            else:
                state.numbers[FIRST_POTENTIAL] = energy + settings.offset
                state.numbers[KINETIC] = kinetic_energy(state.velocities, settings.masses)
            measure(state, settings)
            if step == 1:
                state.numbers[FIRST_CONSERVED] = state.numbers[CONSERVED]
            reason: int = fault(state, settings)
            if reason != DONE:
                return reason
            accumulate(state, settings, contact)
            if step % settings.energy_interval == 0:
                keep_row(state, buffers, step)
            if frame_due(settings, step, contact):
                keep_frame(state, buffers, step, contact)
            state.counters[STEP] = step
        return DONE

    compiled: Callable[[PackedModel, Settings, State, Buffers, int], int] = run_steps
    return compiled


run_steps = _compiled(_source_digest())
"""Integrate up to a step, or until a buffer is full or the run is unstable; says which (a code of
`dynamics`). The neighbour list is a function of the state, so where a run is cut does not matter.
"""
