"""Compiled equations of motion of all ensembles, in two halves around the force evaluation.

Velocity Verlet; Nosé–Hoover after G. J. Martyna, D. J. Tobias and M. L. Klein, J. Chem. Phys. 101,
4177 (1994), with velocities, thermostat and barostat made consistent by exactly ten iterations as
ChIMES MD does; weak coupling after H. J. C. Berendsen et al., J. Chem. Phys. 81, 3684 (1984).
"""

import numpy as np
from numba import njit

from ald_chimes_md.dynamics import (
    DONE,
    KINETIC,
    MAX_STEP_LENGTH,
    NO_BAROSTAT,
    NO_THERMOSTAT,
    NOT_FINITE,
    NPT_BEREND,
    NPT_BEREND_ANISO,
    NPT_MTK,
    NVT_BEREND,
    NVT_MTK,
    POTENTIAL,
    TOO_FAST,
    WINDOW,
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
def virial_pressure(state: State) -> float:
    """The configurational pressure, kcal/mol/Å³."""
    trace: float = state.virial[0, 0] + state.virial[1, 1] + state.virial[2, 2]
    pressure: float = trace / (3.0 * cell_volume(state.cell))
    return pressure


@njit(error_model="numpy")
def advance(state: State, settings: Settings) -> int:
    """Move positions by a step and velocities by half a step, and change the cell; `DONE` or why not."""
    dt = settings.dt
    coupled = settings.ensemble == NPT_MTK
    friction, expansion = state.thermostat[1], state.barostat[1]
    coupling = 2.0 + 3.0 / max(degrees_of_freedom(settings), 1) if coupled else 0.0
    scale = advance_barostat(state, settings) if coupled else 1.0
    lengths = weak_coupling(state, settings)
    for a in range(3):
        if not lengths[a] > 0.0:
            return NO_BAROSTAT
    longest = 0.0
    for i in range(settings.first_moving, settings.end_moving):
        square = 0.0
        for k in range(3):
            velocity = state.velocities[i, k]
            acceleration = state.forces[i, k] / settings.masses[i]
            move = velocity * dt + 0.5 * (acceleration - friction * velocity) * dt * dt
            state.positions[i, k] += move
            square += move * move
        # Written so that a move that is not a number is the longest of all.
        if not square <= longest:
            longest = square
    if coupled:
        lengths[:] = scale
        scale_about_centre(state, settings, scale, coupling * expansion)
    elif lengths[0] != 1.0 or lengths[1] != 1.0 or lengths[2] != 1.0:
        for a in range(3):
            state.cell[:, a] *= lengths[a]
            state.positions[:, a] *= lengths[a]
    state.barostat[3:] = lengths
    for i in range(settings.first_moving, settings.end_moving):
        for k in range(3):
            velocity = state.velocities[i, k]
            acceleration = state.forces[i, k] / settings.masses[i]
            rate = friction + coupling * expansion
            state.velocities[i, k] = scale * (
                velocity + 0.5 * (acceleration - rate * velocity) * dt
            )
    state.thermostat[0] += dt * (friction + 0.5 * dt * state.thermostat[2])
    if not longest <= MAX_STEP_LENGTH**2:
        return NOT_FINITE if np.isnan(longest) else TOO_FAST
    return DONE


@njit(error_model="numpy")
def advance_barostat(state: State, settings: Settings) -> float:
    """Move ε by a step; returns the factor of the lengths."""
    dt = settings.dt
    speed, force = state.barostat[1], state.barostat[2]
    change = speed * dt + 0.5 * dt * dt * (
        force / settings.barostat_mass - speed * state.thermostat[1]
    )
    state.barostat[0] += change
    return float(np.exp(change))


@njit(error_model="numpy")
def scale_about_centre(state: State, settings: Settings, scale: float, rate: float) -> None:
    """Scale the cell, and the positions about their centre of mass, with the barostat's friction."""
    dt = settings.dt
    centre, mass = np.zeros(3), 0.0
    for i in range(len(settings.masses)):
        mass += settings.masses[i]
        for k in range(3):
            centre[k] += settings.masses[i] * state.positions[i, k]
    for i in range(len(settings.masses)):
        for k in range(3):
            middle = centre[k] / mass
            rubbed = state.positions[i, k] - 0.5 * dt * dt * rate * state.velocities[i, k]
            state.positions[i, k] = scale * (rubbed - middle) + middle
    state.cell[:] = scale * state.cell


@njit(error_model="numpy")
def weak_coupling(state: State, settings: Settings) -> Floats:
    """Factors of the three lengths by Berendsen's barostat; not positive if it fails."""
    factors = np.ones(3)
    if settings.ensemble not in (NPT_BEREND, NPT_BEREND_ANISO):
        return factors
    volume = cell_volume(state.cell)
    kinetic = 2.0 * state.numbers[KINETIC] / (3.0 * volume)
    isotropic = virial_pressure(state)
    for a in range(3):
        own = state.virial[a, a] / volume
        pressure = kinetic + (own if settings.ensemble == NPT_BEREND_ANISO else isotropic)
        cube = 1.0 - settings.dt / settings.barostat_time * (settings.pressure - pressure)
        factors[a] = np.cbrt(cube)
    return factors


@njit(error_model="numpy")
def complete(state: State, settings: Settings) -> int:
    """Give the velocities the other half of the step with the new forces; `DONE` or why not."""
    dt = settings.dt
    for i in range(settings.first_moving, settings.end_moving):
        for k in range(3):
            state.velocities[i, k] += 0.5 * dt * state.forces[i, k] / settings.masses[i]
    factor = 1.0
    if settings.ensemble == NVT_MTK:
        factor = couple_thermostat(state, settings)
    elif settings.ensemble == NPT_MTK:
        factor = couple_barostat(state, settings)
    elif settings.ensemble in (NVT_BEREND, NPT_BEREND, NPT_BEREND_ANISO):
        kinetic = kinetic_energy(state.velocities, settings.masses)
        present = 2.0 * kinetic / degrees_of_freedom(settings)
        square = 1.0 + dt / settings.thermostat_time * (settings.thermal_energy / present - 1.0)
        if not square > 0.0:
            return NO_THERMOSTAT
        factor = np.sqrt(square)
    if factor != 1.0:
        scale_velocities(state, factor)
    state.numbers[KINETIC] = kinetic_energy(state.velocities, settings.masses)
    return DONE


@njit(error_model="numpy")
def scale_velocities(state: State, factor: float) -> None:
    """Multiply all velocities."""
    for i in range(len(state.velocities)):
        for k in range(3):
            state.velocities[i, k] *= factor


@njit(error_model="numpy")
def couple_thermostat(state: State, settings: Settings) -> float:
    """Make velocities and thermostat consistent; returns the factor of the velocities.

    All velocities have the same friction, so that the iteration needs only their kinetic energy.
    """
    dt, thermal = settings.dt, degrees_of_freedom(settings) * settings.thermal_energy
    unrubbed = kinetic_energy(state.velocities, settings.masses)
    friction_before, force_before = state.thermostat[1], state.thermostat[2]
    force = (2.0 * state.numbers[KINETIC] - thermal) / settings.thermostat_mass
    friction, shrink = 0.0, 1.0
    for _ in range(ITERATIONS):
        friction = friction_before + 0.5 * dt * (force_before + force)
        shrink = 1.0 / (1.0 + 0.5 * dt * friction)
        force = (2.0 * unrubbed * shrink * shrink - thermal) / settings.thermostat_mass
    state.thermostat[1], state.thermostat[2] = friction, force
    return shrink


@njit(error_model="numpy")
def couple_barostat(state: State, settings: Settings) -> float:
    """Make velocities, thermostat and barostat consistent; returns the factor of the velocities."""
    dt = settings.dt
    degrees = degrees_of_freedom(settings)
    thermal = (degrees + 1) * settings.thermal_energy
    coupling = 2.0 + 3.0 / degrees
    volume, virial = cell_volume(state.cell), virial_pressure(state)
    friction_before, force_before = state.thermostat[1], state.thermostat[2]
    expansion_before, push_before = state.barostat[1], state.barostat[2]
    unrubbed = kinetic_energy(state.velocities, settings.masses)
    kinetic, shrink = state.numbers[KINETIC], 1.0
    friction, expansion, force, push = 0.0, expansion_before, 0.0, 0.0
    for iteration in range(ITERATIONS + 1):
        if iteration > 0:
            shrink = 1.0 / (1.0 + 0.5 * dt * (friction + coupling * expansion))
            kinetic = unrubbed * shrink * shrink
        excess = virial + 2.0 * kinetic / (3.0 * volume) - settings.pressure
        push = 3.0 / degrees * 2.0 * kinetic + 3.0 * volume * excess
        inertia = settings.barostat_mass * expansion * expansion
        force = (2.0 * kinetic + inertia - thermal) / settings.thermostat_mass
        friction = friction_before + 0.5 * dt * (force_before + force)
        expansion = expansion_before + 0.5 * dt * (
            push_before / settings.barostat_mass
            - expansion_before * friction_before
            + push / settings.barostat_mass
            - expansion * friction
        )
    state.thermostat[1], state.thermostat[2] = friction, force
    state.barostat[1], state.barostat[2] = expansion, push
    return shrink


@njit(error_model="numpy")
def conserved_quantity(state: State, settings: Settings) -> float:
    """What the equations of motion conserve, kcal/mol; the total energy where there is nothing."""
    total: float = state.numbers[KINETIC] + state.numbers[POTENTIAL]
    if settings.ensemble not in (NVT_MTK, NPT_MTK):
        return total
    degrees = degrees_of_freedom(settings)
    if settings.ensemble == NPT_MTK:
        degrees += 1
        total += 0.5 * settings.barostat_mass * state.barostat[1] ** 2
        total += settings.pressure * cell_volume(state.cell)
    total += 0.5 * settings.thermostat_mass * state.thermostat[1] ** 2
    total += degrees * settings.thermal_energy * state.thermostat[0]
    return total


@njit(error_model="numpy")
def scale_to_temperature(state: State, settings: Settings) -> None:
    """NVT-SCALE at the end of a window: bring its mean temperature to the wanted one."""
    mean = state.numbers[WINDOW] / settings.scale_interval
    target = settings.thermal_energy / settings.boltzmann
    state.numbers[WINDOW] = 0.0
    if mean > 0.0:
        scale_velocities(state, np.sqrt(target / mean))
        state.numbers[KINETIC] = kinetic_energy(state.velocities, settings.masses)
