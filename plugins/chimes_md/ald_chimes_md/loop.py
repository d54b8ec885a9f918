"""The compiled loop with its buffers and clock, and single evaluations by it."""

import time
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_md.control import Control
from ald_chimes_md.dynamics import (
    BEYOND_VOLUME,
    COLLIDED,
    DONE,
    FIRST_CONSERVED,
    FIRST_POTENTIAL,
    FULL,
    LAST_CONSERVED,
    NO_BAROSTAT,
    NO_THERMOSTAT,
    NOT_FINITE,
    PENALISED,
    POTENTIAL,
    RESTARTED,
    STEP,
    TOO_FAR_IN_ENERGY,
    TOO_FAST,
    TOO_HOT,
    State,
    copy_state,
    empty_buffers,
)
from ald_chimes_md.integrator_kernels import run_steps
from ald_chimes_md.preparation import Preparation
from ald_core.errors import InputError

Floats = NDArray[np.float64]

REASONS = {
    NOT_FINITE: "energy, forces or positions are not numbers any more",
    TOO_FAST: "an atom moves by more than 1 Å in one step",
    TOO_HOT: "the temperature is beyond sense",
    TOO_FAR_IN_ENERGY: "the potential energy is 10,000 kcal/mol per atom from that of step 1",
    COLLIDED: "a pair is closer than σ/2.2 of its Lennard-Jones potential",
    NO_THERMOSTAT: "the temperature is so high that Berendsen's thermostat cannot scale it",
    NO_BAROSTAT: "the pressure is so far from its target that Berendsen's barostat cannot scale the cell",
    BEYOND_VOLUME: "the volume is beyond sense",
    PENALISED: "the penalty of a pair exceeds the limit that PENTHRS sets",
}
SECONDS_PER_STRETCH = 2.0
"""Time after which the loop hands over its output. No result depends on it."""
ONLY_FIRST = [FIRST_POTENTIAL, FIRST_CONSERVED, LAST_CONSERVED]
"""Numbers of the state that the evaluation of a restarted configuration sets as if it were the first."""
MAX_ROWS = 4096
MAX_FRAME_NUMBERS = 1_000_000


class Loop:
    """The integration of one run, by stretches of steps."""

    def __init__(self, preparation: Preparation, state: State, control: Control):
        n_atoms = len(preparation.system.elements)
        frames = max(2, min(MAX_ROWS, MAX_FRAME_NUMBERS // (3 * n_atoms)))
        kind = control.trajectory_format
        self.buffers = empty_buffers(
            n_atoms,
            MAX_ROWS,
            frames,
            forces=control.force_interval > 0 or kind == "XYZF_FORCE",
            velocities=control.velocity_interval > 0 or kind == "LAMMPSTRJ",
        )
        self._preparation = preparation
        self._state = state
        self._restart_interval = control.restart_interval
        self._seconds = 0.0
        self._steps = 0
        self._stretch = 1
        # Compiles without doing a step (a restarted configuration gets its forces), so that the clock
        # measures steps only.
        self._begin()

    @property
    def seconds_per_step(self) -> float:
        """Mean wall time, 0 if no step was done."""
        return self._seconds / self._steps if self._steps else 0.0

    def advance(self, end: int) -> int:
        """Fill the buffers with the next steps; FULL means that there is more to do.

        It always comes back at a step that needs a restart file.
        """
        self.buffers.filled[:] = 0
        before = int(self._state.counters[STEP])
        restart = (before // self._restart_interval + 1) * self._restart_interval
        target = min(end, before + self._stretch, restart)
        start = time.perf_counter()
        status = self._run_to(target)
        self._seconds += time.perf_counter() - start
        self._steps += int(self._state.counters[STEP]) - before
        if self._steps:
            self._stretch = max(1, int(SECONDS_PER_STRETCH / self.seconds_per_step))
        return FULL if status == DONE and target < end else status

    def _begin(self) -> None:
        """Do what comes before the first step, after which a restarted run still knows its first step."""
        state = self._state
        restarted = state.counters[RESTARTED] == 1
        first = state.numbers[ONLY_FIRST].copy()
        self._run_to(0)
        if restarted and np.isfinite(first).all():
            state.numbers[ONLY_FIRST] = first

    def _run_to(self, step: int) -> int:
        prepared = self._preparation
        return int(run_steps(prepared.model, prepared.settings, self._state, self.buffers, step))


@attrs.frozen(eq=False)
class SinglePoint:
    """One configuration, kcal/mol and Å."""

    energy: float
    """with offsets, if reported energies have them"""
    forces: Floats
    stress: Floats
    """(3, 3) without its kinetic part, positive in compression"""


def evaluate_once(
    preparation: Preparation, positions: Floats | None = None, *, path: Path | None = None
) -> SinglePoint:
    """Evaluate the initial configuration, or the same atoms elsewhere in its cell.

    Args:
        preparation: has the configuration.
        positions: (n, 3) Å, instead of its own.
        path: of its file, for messages.

    Raises:
        InputError: the model gives no usable numbers there.
    """
    state = copy_state(preparation.state)
    state.counters[:] = 0
    if positions is not None:
        state.positions[:] = state.list_positions[:] = positions
    buffers = empty_buffers(len(state.positions), 1, 1, forces=False, velocities=False)
    status = int(run_steps(preparation.model, preparation.settings, state, buffers, 1))
    if status != DONE:
        fault = f"the model cannot be evaluated here: {REASONS[status]}"
        raise InputError(fault, path=path, line=1, cure="move the atoms apart, or correct PRMFILE")
    volume = abs(float(np.linalg.det(state.cell)))
    return SinglePoint(float(state.numbers[POTENTIAL]), state.forces, state.virial / volume)
