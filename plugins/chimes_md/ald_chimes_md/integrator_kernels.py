"""The compiled integration loop: moves, neighbour lists, forces, statistics.

Step 1 is the initial configuration.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit

from ald_chimes_lsq import kernels
from ald_chimes_md import dynamics
from ald_chimes_md.dynamics import (
    BEYOND_VOLUME,
    CLEAR,
    COLLIDED,
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
    MAX_PENALTIES,
    MAX_SKIN,
    MIN_SKIN,
    NOT_FINITE,
    NVT_SCALE,
    PENALISED,
    PENALTIES,
    POTENTIAL,
    PRESSURE,
    PRESSURE_SUM,
    REBUILDS,
    REBUILT_AT,
    RESTARTED,
    ROW_CONFIGURATIONAL,
    ROW_CONSERVED,
    ROW_KINETIC,
    ROW_POTENTIAL,
    ROW_PRESSURE,
    ROW_STEP,
    ROW_TEMPERATURE,
    ROW_VOLUME,
    ROWS,
    SKIN,
    STEP,
    STRESS_SUM,
    TEMPERATURE,
    TEMPERATURE_SUM,
    TOO_FAR_IN_ENERGY,
    TOO_HOT,
    VOLUME,
    VOLUME_SUM,
    WINDOW,
    WORK_SUM,
    Buffers,
    Settings,
    State,
)
from ald_chimes_md.interaction_kernels import (
    COLLISION,
    Interactions,
    build_interaction_lists,
    evaluate_interactions,
    replace_virial,
    tell_penalties,
)
from ald_chimes_md.motion_kernels import (
    advance,
    cell_volume,
    complete,
    conserved_quantity,
    degrees_of_freedom,
    kinetic_energy,
    scale_to_temperature,
    virial_pressure,
)


@njit(error_model="numpy")
def wandered(state: State, reach: float) -> bool:
    """True if the list may miss a pair: an atom has moved by half the skin since it was built.

    A change of the cell moves all atoms with it. What it takes from the skin is how much more (or
    less) than the cutoff its shortest factor makes of the cutoff; moves are then measured in the
    cell of the list. Cells change by factors of their Cartesian axes only.
    """
    factors, least = np.ones(3), 1.0
    for a in range(3):
        if state.cell[a, a] != state.list_cell[a, a]:
            factors[a] = state.cell[a, a] / state.list_cell[a, a]
            least = min(least, factors[a])
    room = 0.5 * (state.numbers[SKIN] - reach * (1.0 / least - 1.0))
    if not room > 0.0:
        return True
    for i in range(len(state.positions)):
        square = 0.0
        for k in range(3):
            square += (state.positions[i, k] / factors[k] - state.list_positions[i, k]) ** 2
        if square > room * room:
            return True
    return False


@njit(error_model="numpy")
def renew_skin(state: State, step: int) -> None:
    """Choose a skin that suits the last list's life.

    It depends on steps alone, never on time, so that equal runs sum in equal order.
    """
    life = step - state.counters[REBUILT_AT]
    skin = state.numbers[SKIN]
    if life < 5:
        skin = min(skin * 1.25, MAX_SKIN)
    elif life > 15:
        skin = max(skin * 0.8, MIN_SKIN)
    state.numbers[SKIN] = skin


@njit(error_model="numpy")
def renew_list_positions(state: State, step: int) -> None:
    """Take the present positions and cell as those of the list."""
    state.list_positions[:] = state.positions
    state.list_cell[:] = state.cell
    state.counters[REBUILT_AT] = step
    state.counters[REBUILDS] += 1


@njit(error_model="numpy")
def measure(state: State, settings: Settings) -> None:
    """Temperature, pressures and conserved quantity of the present state."""
    degrees = max(degrees_of_freedom(settings), 1)
    volume = cell_volume(state.cell)
    kinetic = state.numbers[KINETIC]
    configurational = virial_pressure(state)
    state.numbers[VOLUME] = volume
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
    state.numbers[WINDOW] += state.numbers[TEMPERATURE]
    state.counters[CLEAR + contact] += 1
    state.sums[TEMPERATURE_SUM] += state.numbers[TEMPERATURE]
    state.sums[PRESSURE_SUM] += state.numbers[PRESSURE]
    volume = state.numbers[VOLUME]
    state.sums[VOLUME_SUM] += volume
    state.sums[WORK_SUM] += state.numbers[PRESSURE] * volume
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
    row[ROW_VOLUME] = state.numbers[VOLUME]
    buffers.filled[ROWS] += 1


@njit(error_model="numpy")
def keep_frame(state: State, buffers: Buffers, step: int, contact: int) -> None:
    """Add a configuration to the buffers."""
    frame = buffers.filled[FRAMES]
    buffers.steps[frame] = step
    buffers.classes[frame] = contact
    buffers.temperatures[frame] = state.numbers[TEMPERATURE]
    buffers.energies[frame] = state.numbers[POTENTIAL]
    buffers.cells[frame] = state.cell
    buffers.virials[frame] = state.virial
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


@njit(error_model="numpy")
def room_left(buffers: Buffers) -> bool:
    """True if the buffers can take whatever one step has to tell."""
    room: bool = (
        buffers.filled[ROWS] < len(buffers.rows)
        and buffers.filled[FRAMES] < len(buffers.steps)
        and buffers.filled[PENALTIES] + MAX_PENALTIES <= len(buffers.penalties)
    )
    return room


def _source_digest() -> str:
    """Identity of all code that the loop is compiled from."""
    digest = hashlib.sha256()
    sources = [Path(dynamics.__file__), *Path(__file__).parent.glob("*kernels.py")]
    sources += Path(kernels.__file__).parent.glob("*.py")
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _compiled(sources: str) -> Callable[[Interactions, Settings, State, Buffers, int], int]:
    """The loop, compiled or taken from numba's cache.

    That cache does not notice when a function in another file was replaced, and would go on with
    the force evaluation of an older installation; but it does compare what a closure refers to.
    """

    @njit(cache=True, error_model="numpy")
    def run_steps(  # noqa: PLR0911 -- one for each reason to stop
        model: Interactions, settings: Settings, state: State, buffers: Buffers, last_step: int
    ) -> int:
        assert sources  # noqa: S101 -- makes the digest part of the closure
        types = settings.types
        reason: int = DONE
        lists = build_interaction_lists(
            model, types, state.list_positions, state.list_cell, state.numbers[SKIN]
        )
        while state.counters[STEP] < last_step or state.counters[RESTARTED] == 1:
            if not room_left(buffers):
                return FULL
            # A configuration that was read from a restart file gets its forces, nothing else.
            restarted = state.counters[RESTARTED] == 1
            step = state.counters[STEP] + (0 if restarted else 1)
            moving = step > 1 and not restarted
            if moving:
                reason = advance(state, settings)
                if reason != DONE:
                    return reason
                volume = cell_volume(state.cell)
                if not settings.least_volume <= volume <= settings.greatest_volume:
                    return BEYOND_VOLUME
            # At a restart file, so that whoever goes on from it has the same list.
            due = settings.restart_interval > 0 and step % settings.restart_interval == 0
            if not restarted and (due or wandered(state, settings.reach)):
                if not due:
                    renew_skin(state, step)
                renew_list_positions(state, step)
                lists = build_interaction_lists(
                    model, types, state.list_positions, state.list_cell, state.numbers[SKIN]
                )
            energy, contact = evaluate_interactions(
                model, lists, types, state.positions, state.cell, state.forces, state.virial
            )
            replace_virial(
                model, lists, types, state.positions, state.cell, settings.virial, state.virial
            )
            state.numbers[POTENTIAL] = energy + settings.offset
            if contact == COLLISION:
                return COLLIDED
            if moving:
                reason = complete(state, settings)
                if reason != DONE:
                    return reason
            else:
                state.numbers[FIRST_POTENTIAL] = energy + settings.offset
                state.numbers[KINETIC] = kinetic_energy(state.velocities, settings.masses)
            measure(state, settings)
            if not moving:
                state.numbers[FIRST_CONSERVED] = state.numbers[CONSERVED]
                state.numbers[LAST_CONSERVED] = state.numbers[CONSERVED]
            reason = fault(state, settings)
            if reason != DONE:
                return reason
            if restarted:
                state.counters[RESTARTED] = 0
                continue
            if contact > 0:
                penalty = tell_penalties(
                    model, lists.short_range, state.positions, state.cell, step, buffers
                )
                allowed = abs(state.numbers[LAST_CONSERVED]) / len(settings.masses)
                if step > 1 and penalty > settings.penalty_limit * allowed:
                    return PENALISED
            accumulate(state, settings, contact)
            if step % settings.energy_interval == 0:
                keep_row(state, buffers, step)
            if frame_due(settings, step, contact):
                keep_frame(state, buffers, step, contact)
            if settings.ensemble == NVT_SCALE and step % settings.scale_interval == 0:
                scale_to_temperature(state, settings)
            state.counters[STEP] = step
        return DONE

    compiled: Callable[[Interactions, Settings, State, Buffers, int], int] = run_steps
    return compiled


run_steps = _compiled(_source_digest())
"""Integrate up to a step, or until a buffer is full or the run is unstable; says which (a code of
`dynamics`). The neighbour list is a function of the state, so where a run is cut does not matter.
"""
