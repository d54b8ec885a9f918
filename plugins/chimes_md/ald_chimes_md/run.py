"""One molecular dynamics run: `python -m ald_chimes_md.run run_md.in`.

The command leaves `md.json` beside the outputs, equal bytes for equal inputs, and the time that it
took in `md_timing.json`. Exit status 0: it ran (whether it was stable is in `md.json`); 2: bad
input; 3: a file could not be written.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from ald_chimes_lsq.constants import GPA
from ald_chimes_md.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from ald_chimes_md.control import Control, read_control
from ald_chimes_md.dynamics import (
    CLEAR,
    DEVIATION,
    DONE,
    FIRST_CONSERVED,
    FULL,
    INSIDE,
    LAST_CONSERVED,
    NOT_FINITE,
    PRESSURE_SUM,
    STEP,
    STRESS_SUM,
    TEMPERATURE_SUM,
    TOO_FAR_IN_ENERGY,
    TOO_FAST,
    TOO_HOT,
    State,
    empty_buffers,
)
from ald_chimes_md.files import FINAL, RESULT, TIMING
from ald_chimes_md.frame_text import final_frame
from ald_chimes_md.integrator_kernels import run_steps
from ald_chimes_md.outputs import Outputs
from ald_chimes_md.preparation import Preparation, prepare
from ald_core.errors import InputError, Stopped

REASONS = {
    NOT_FINITE: "energy, forces or positions are not numbers any more",
    TOO_FAST: "an atom moves by more than 1 Å in one step",
    TOO_HOT: "the temperature is beyond sense",
    TOO_FAR_IN_ENERGY: "the potential energy is 10,000 kcal/mol per atom from that of step 1",
}
SECONDS_PER_STRETCH = 2.0
"""Time after which the loop hands over its output. No result depends on it."""
SECONDS_PER_CHECKPOINT = 60.0
MAX_ROWS = 4096
MAX_FRAME_NUMBERS = 1_000_000


@attrs.frozen
class Conserved:
    """The conserved quantity, kcal/mol per atom; None if not even the first step was usable."""

    first: float | None
    last: float | None
    max_deviation: float | None
    """From the first."""


@attrs.frozen
class Averages:
    """Means over all steps."""

    temperature: float
    """K"""
    pressure: float
    """GPa, with the kinetic part"""
    stress: tuple[float, ...]
    """GPa, with the kinetic part, positive in compression: xx yy zz xy xz yz"""


@attrs.frozen
class RunResult:
    """What came out of a run."""

    steps_done: int
    """Usable steps, all of them in the output files."""
    steps_planned: int
    stable: bool
    unstable_step: int | None
    """The first step that made no sense; it is in no file."""
    reason: str | None
    conserved: Conserved
    averages: Averages | None
    """None if not even the first step was usable."""
    contact_counts: tuple[int, int, int]
    """Steps per contact class: clear, inside the penalty zone, inside the inner cutoff."""
    seconds_per_step: float


def run(
    control: Control, folder: Path, *, resume: bool = False, last_step: int | None = None
) -> RunResult:
    """Run molecular dynamics in a folder that holds the parameter and the coordinate file.

    Args:
        control: the settings.
        folder: where files are read, and outputs written over those of an earlier run.
        resume: go on from the checkpoint of the folder; the outputs end up the same, byte by byte.
        last_step: pause there and leave a checkpoint.

    Raises:
        InputError: the files cannot be read or do not fit together, or there is no checkpoint.
    """
    preparation = prepare(control, folder)
    inputs = _digest(control, folder)
    state, sizes = load_checkpoint(folder, inputs) if resume else (preparation.state, None)
    end = control.steps if last_step is None else min(last_step, control.steps)
    with Outputs(folder, control, preparation.system, preparation.type_names, sizes) as outputs:
        loop = _Loop(preparation, state, control)
        checkpoint_time = time.monotonic()
        while (status := loop.advance(end)) == FULL:
            outputs.write(loop.buffers)
            if time.monotonic() - checkpoint_time > SECONDS_PER_CHECKPOINT:
                save_checkpoint(folder, state, outputs.sync(), inputs)
                checkpoint_time = time.monotonic()
        outputs.write(loop.buffers)
        sizes = outputs.sync()
    if status == DONE and end < control.steps:
        save_checkpoint(folder, state, sizes, inputs)
    else:
        final = final_frame(preparation.system, state.positions, state.velocities)
        if status == DONE:
            _write(folder / FINAL, final)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return _result(control, state, status, loop.seconds_per_step)


class _Loop:
    """The integration loop with its buffers and clock."""

    def __init__(self, preparation: Preparation, state: State, control: Control):
        n_atoms = len(preparation.system.elements)
        frames = max(2, min(MAX_ROWS, MAX_FRAME_NUMBERS // (3 * n_atoms)))
        with_forces = control.force_interval > 0 or control.trajectory_format == "XYZF_FORCE"
        self.buffers = empty_buffers(
            n_atoms, MAX_ROWS, frames, forces=with_forces, velocities=control.velocity_interval > 0
        )
        self._packed = preparation.packed
        self._settings = preparation.settings
        self._state = state
        self._seconds = 0.0
        self._steps = 0
        self._stretch = 20
        # Compiles without doing a step, so that the clock measures steps only.
        run_steps(self._packed, self._settings, state, self.buffers, 0)

    @property
    def seconds_per_step(self) -> float:
        """Mean wall time, 0 if no step was done."""
        return self._seconds / self._steps if self._steps else 0.0

    def advance(self, end: int) -> int:
        """Fill the buffers with the next steps; FULL means that there is more to do."""
        self.buffers.filled[:] = 0
        before = int(self._state.counters[STEP])
        target = min(end, before + self._stretch)
        start = time.perf_counter()
        status = int(run_steps(self._packed, self._settings, self._state, self.buffers, target))
        self._seconds += time.perf_counter() - start
        self._steps += int(self._state.counters[STEP]) - before
        if self._steps:
            self._stretch = max(1, int(SECONDS_PER_STRETCH / self.seconds_per_step))
        return FULL if status == DONE and target < end else status


def _result(control: Control, state: State, status: int, seconds_per_step: float) -> RunResult:
    steps = int(state.counters[STEP])
    n_atoms = len(state.positions)
    conserved, averages = Conserved(None, None, None), None
    if steps > 0:
        numbers, sums = state.numbers / n_atoms, state.sums / steps
        conserved = Conserved(
            first=float(numbers[FIRST_CONSERVED]),
            last=float(numbers[LAST_CONSERVED]),
            max_deviation=float(numbers[DEVIATION]),
        )
        averages = Averages(
            temperature=float(sums[TEMPERATURE_SUM]),
            pressure=float(sums[PRESSURE_SUM] * GPA),
            stress=tuple((sums[STRESS_SUM : STRESS_SUM + 6] * GPA).tolist()),
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


def _digest(control: Control, folder: Path) -> str:
    """Identity of everything that a run depends on."""
    digest = hashlib.sha256(repr(control).encode())
    for name in (control.parameter_file, control.coordinate_file):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one control file in its own folder and write the result beside it."""
    parser = argparse.ArgumentParser(prog="python -m ald_chimes_md.run", description=__doc__)
    parser.add_argument("control", type=Path, help="the control file, run_md.in")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    options = parser.parse_args(arguments)
    folder: Path = options.control.parent
    try:
        (folder / RESULT).unlink(missing_ok=True)
        result = attrs.asdict(run(read_control(options.control), folder, resume=options.resume))
        timing = {"seconds_per_step": result.pop("seconds_per_step")}
        for name, content in ((TIMING, timing), (RESULT, result)):
            _write(folder / name, (json.dumps(content, indent=1) + "\n").encode())
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except OSError as error:
        sys.stderr.write(f"{folder}: {error}; put it right and run again\n")
        return Stopped.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
