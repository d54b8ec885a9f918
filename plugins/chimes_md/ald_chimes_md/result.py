"""What came out of a run, as `md.json` has it."""

import math

import attrs

from ald_chimes_lsq.constants import GPA
from ald_chimes_md.comparison import Errors, ForceCheck
from ald_chimes_md.control import Control
from ald_chimes_md.dynamics import (
    CLEAR,
    DEVIATION,
    DONE,
    FIRST_CONSERVED,
    INSIDE,
    LAST_CONSERVED,
    PRESSURE_SUM,
    SHEAR_FROM,
    STEP,
    STRESS_SUM,
    TEMPERATURE_SUM,
    VOLUME_SUM,
    State,
)
from ald_chimes_md.loop import REASONS


@attrs.frozen
class Conserved:
    """The conserved quantity, kcal/mol per atom; None if not even the first step was usable.

    First is step 1, also after a restart; or the restarted step, if its file is one of ChIMES MD or model or
    ensemble are not those of the run that left it.
    """

    first: float | None
    last: float | None
    max_deviation: float | None
    """From the first."""


@attrs.frozen
class Averages:
    """Means over all steps from step 1 on, also after a restart.

    The file of ChIMES MD does not say what the shear stresses were; they are of the steps since then.
    """

    temperature: float
    """K"""
    pressure: float
    """GPa, with the kinetic part"""
    stress: tuple[float, ...]
    """GPa, with the kinetic part, positive in compression: xx yy zz xy xz yz"""
    volume: float
    """Å³"""


@attrs.frozen
class RunResult:
    """What came out of a run."""

    steps_done: int
    """Usable steps from step 1 on. Those since the restart, if there was one, are in the output files."""
    steps_planned: int
    stable: bool
    unstable_step: int | None
    """The first step that made no sense; it is in no file."""
    reason: str | None
    conserved: Conserved
    averages: Averages | None
    """None if not even the first step was usable."""
    contact_counts: tuple[int, int, int]
    """Steps per contact class: clear, inside the penalty zone, inside the inner cutoff.

    They are all steps done, but only those since the restart if its file is one of ChIMES MD.
    """
    seconds_per_step: float
    errors: Errors | None = None
    """Of the model against a file, which were asked for instead of a run."""
    force_check: ForceCheck | None = None
    """Of the first forces, if asked for."""


def result_of(control: Control, state: State, status: int, seconds_per_step: float) -> RunResult:
    """What a run says of itself.

    Args:
        control: its settings.
        state: after its last usable step.
        status: why there was no further one, a code of `dynamics`.
        seconds_per_step: wall time.
    """
    steps = int(state.counters[STEP])
    n_atoms = len(state.positions)
    conserved, averages = Conserved(None, None, None), None
    if steps > 0:
        numbers, sums = state.numbers / n_atoms, state.sums / steps
        shear = state.sums[STRESS_SUM + 3 : STRESS_SUM + 6]
        sums[STRESS_SUM + 3 : STRESS_SUM + 6] = shear / max(steps - state.counters[SHEAR_FROM], 1)
        conserved = Conserved(
            first=_finite(numbers[FIRST_CONSERVED]),
            last=_finite(numbers[LAST_CONSERVED]),
            max_deviation=float(numbers[DEVIATION]),
        )
        averages = Averages(
            temperature=float(sums[TEMPERATURE_SUM]),
            pressure=float(sums[PRESSURE_SUM] * GPA),
            stress=tuple((sums[STRESS_SUM : STRESS_SUM + 6] * GPA).tolist()),
            volume=float(sums[VOLUME_SUM]),
        )
    clear, near, inside = state.counters[CLEAR : INSIDE + 1].tolist()
    return RunResult(
        steps_done=steps,
        steps_planned=control.steps,
        stable=status == DONE,
        unstable_step=None if status == DONE else steps + 1,
        reason=REASONS.get(status),
        conserved=conserved,
        averages=averages,
        contact_counts=(clear, near, inside),
        seconds_per_step=seconds_per_step,
    )


def _finite(number: float) -> float | None:
    """The number if it is one: a restart file need not say what was before it."""
    return float(number) if math.isfinite(number) else None
