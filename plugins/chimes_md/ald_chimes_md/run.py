"""One molecular dynamics run: `python -m ald_chimes_md.run run_md.in`.

The command leaves `md.json` beside the outputs, equal bytes for equal inputs, and the time that it
took in `md_timing.json`. Exit status 0: it ran (whether it was stable is in `md.json`); 2: bad
input; 3: a file could not be written; 143: SIGTERM or SIGINT stopped it, as schedulers do before the
time limit, and a checkpoint was saved.
"""

import argparse
import hashlib
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_md.checkpoint import load_checkpoint, save_checkpoint
from ald_chimes_md.checks import check_files
from ald_chimes_md.comparison import check_forces, compare
from ald_chimes_md.control import Control, read_control
from ald_chimes_md.dynamics import DONE, FULL, PENALTIES, POTENTIAL, ROWS, STEP, Buffers, State
from ald_chimes_md.files import DFTB, FINAL, RESULT, TIMING
from ald_chimes_md.frame_text import dftb_text, final_frame, statistics
from ald_chimes_md.loop import Loop
from ald_chimes_md.outputs import TRAJECTORIES, Outputs
from ald_chimes_md.preparation import Preparation, prepare
from ald_chimes_md.replacement import reason, replace_file
from ald_chimes_md.restart import RestartFiles, restart_text
from ald_chimes_md.result import RunResult, result_of
from ald_chimes_md.run_folder import check_inputs, clear, forget, keep_start, start_of
from ald_core.errors import InputError, Stopped
from ald_core.interruption import StopRequest

Floats = NDArray[np.float64]
Report = Callable[[Floats, Floats], None]
"""Is told, while a run goes on, new lines of `md_statistics.out` and new penalties: rows of step,
first and second atom (from 0), distance in Å and kcal/mol."""

Stop = Callable[[], bool]
"""Is asked, every few seconds, whether the run shall stop."""

TERMINATED = 128 + signal.SIGTERM
"""Exit status of a run that was stopped; it says to whoever started it that the run itself has not failed."""
SECONDS_TO_FIRST_CHECKPOINT = 3.0
SECONDS_PER_CHECKPOINT = 60.0


def run(
    control: Control,
    folder: Path,
    *,
    resume: bool = False,
    last_step: int | None = None,
    report: Report | None = None,
    stop: Stop | None = None,
) -> RunResult:
    """Run molecular dynamics in a folder that holds the parameter and the coordinate file.

    Args:
        control: the settings.
        folder: where files are read, and outputs written in the place of those of an earlier run.
        resume: go on from the checkpoint of the folder; the outputs end up the same, byte by byte.
        last_step: pause there and leave a checkpoint.
        report: is told what comes out while the run goes on.
        stop: is asked whether to stop, with a checkpoint.

    Raises:
        InputError: the files cannot be read or do not fit together, or there is no checkpoint. Nothing
            was written.
        Stopped: `stop` said so.
        OSError: a file could not be written, with its name.
    """
    start = start_of(control, folder, resume=resume)
    check_files(control, folder, start)
    check_inputs(control, folder)
    preparation = prepare(control, folder, start)
    if control.comparison is not None:
        errors = compare(control, control.comparison, preparation, folder)
        checked = check_forces(preparation, start) if control.check_forces else None
        result = result_of(control, preparation.state, DONE, 0.0)
        return attrs.evolve(result, errors=errors, force_check=checked)
    _check_steps(control, preparation.state)
    checked = check_forces(preparation, start) if control.check_forces else None
    inputs = _digest(control, folder / control.parameter_file, start)
    if resume:
        state, sizes = load_checkpoint(folder, inputs)
    else:
        state, sizes = preparation.state, None
        clear(control, folder)
        keep_start(control, folder)
    end = control.steps if last_step is None else min(last_step, control.steps)
    with Outputs(folder, control, preparation.system, preparation.type_names, sizes) as outputs:
        loop = Loop(preparation, state, control)
        desk = _Desk(control, folder, inputs, preparation, state, loop.buffers, outputs, report)
        status = _integrate(loop, desk, end, stop)
        if status == DONE and end < control.steps:
            desk.save()
        else:
            desk.finish()
    if status != DONE or end == control.steps:
        if status == DONE:
            final = final_frame(preparation.system, state.positions, state.velocities, state.cell)
            replace_file(folder / FINAL, final)
        forget(folder)
    result = result_of(control, state, status, loop.seconds_per_step)
    return attrs.evolve(result, force_check=checked)


def _integrate(loop: Loop, desk: "_Desk", end: int, stop: Stop | None) -> int:
    """Do all steps, by stretches; the reason why there are no more."""
    due = time.monotonic() + min(SECONDS_TO_FIRST_CHECKPOINT, SECONDS_PER_CHECKPOINT)
    while (status := loop.advance(end)) == FULL:
        desk.hand_over()
        stopped = stop is not None and stop()
        if stopped or time.monotonic() > due:
            desk.save()
            due = time.monotonic() + SECONDS_PER_CHECKPOINT
        if stopped:
            raise Stopped(f"stopped on request after step {desk.state.counters[STEP]}")
    desk.hand_over(usable=status == DONE)
    return status


@attrs.frozen(eq=False)
class _Desk:
    """Where each stretch of steps is written and told."""

    control: Control
    folder: Path
    inputs: str
    preparation: Preparation
    state: State
    buffers: Buffers
    outputs: Outputs
    report: Report | None
    restarts: RestartFiles = attrs.field(init=False)

    @restarts.default
    def _restarts(self) -> RestartFiles:
        return RestartFiles(self.folder)

    def hand_over(self, *, usable: bool = True) -> None:
        """Write and tell what is in the buffers, and the state if it is that of the last step done."""
        control, state, buffers = self.control, self.state, self.buffers
        self.outputs.write(buffers)
        if usable and state.counters[STEP] > 0:
            self._write_state()
        if self.report is not None:
            rows = buffers.rows[: buffers.filled[ROWS]]
            lines = statistics(rows, len(state.positions), control.timestep, control.ensemble)
            self.report(lines, buffers.penalties[: buffers.filled[PENALTIES]])

    def save(self) -> None:
        """Put everything on the disk, with a checkpoint."""
        self.restarts.write()
        save_checkpoint(self.folder, self.state, self.outputs.sync(), self.inputs)

    def finish(self) -> None:
        """Put everything on the disk."""
        self.restarts.write()
        self.outputs.sync()

    def _write_state(self) -> None:
        control, state, prepared = self.control, self.state, self.preparation
        step = int(state.counters[STEP])
        if step % control.restart_interval == 0:
            system, settings, beginning = prepared.system, prepared.settings, prepared.beginning
            text = restart_text(system, state, settings, beginning, timestep=control.timestep)
            self.restarts.keep(step, text)
        if control.dftb_file:
            energy = float(state.numbers[POTENTIAL])
            content = dftb_text(energy, state.virial, state.cell, state.forces)
            replace_file(self.folder / DFTB, content, durable=False)


def _check_steps(control: Control, state: State) -> None:
    """Refuse a restart that has nothing to do."""
    step = int(state.counters[STEP])
    if step >= control.steps:
        fault = f"is {control.steps}, but the restart file is at step {step} already"
        raise control.error("N_MDSTP", fault, cure="set it to more")


def _digest(control: Control, *files: Path) -> str:
    """Identity of everything that a run depends on."""
    digest = hashlib.sha256(repr(control).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def run_file(
    path: Path,
    *,
    resume: bool = False,
    report: Report | None = None,
    stop: Stop | None = None,
) -> RunResult:
    """Run one control file in its own folder and write the result beside it.

    Raises what `run` does.
    """
    folder = path.parent
    result = run(read_control(path), folder, resume=resume, report=report, stop=stop)
    content = attrs.asdict(result)
    timing = {"seconds_per_step": content.pop("seconds_per_step")}
    for name, part in ((TIMING, timing), (RESULT, content)):
        replace_file(folder / name, (json.dumps(part, indent=1) + "\n").encode())
    return result


def run_until_stopped(
    path: Path, *, resume: bool = False, report: Report | None = None
) -> RunResult:
    """Run one control file as `run_file` does, unless SIGINT or SIGTERM come, which save a checkpoint.

    Raises:
        Stopped: a signal came; at the second one there is no new checkpoint.
        InputError: as `run` does.
        OSError: as `run` does.
    """
    try:
        with StopRequest() as request:
            result = run_file(path, resume=resume, report=report, stop=lambda: request.requested)
            request.requested = False  # There is nothing left to stop.
    except KeyboardInterrupt:
        raise Stopped("stopped at once") from None
    return result


def look_for_molecules(path: Path, bonds: Path, names: Sequence[str]) -> None:
    """Leave the speciation of a finished run beside its trajectory.

    Raises:
        InputError: the bonds or the trajectory cannot be read.
        OSError: a file could not be written.
    """
    # A run without it need not wait for what this loads.
    from ald_chimes_md.speciation.criteria import read_bonds  # noqa: PLC0415
    from ald_chimes_md.speciation.of_run import speciate  # noqa: PLC0415

    trajectory = path.parent / TRAJECTORIES[read_control(path).trajectory_format]
    speciate(trajectory, read_bonds(bonds), names, has_frames=trajectory.stat().st_size > 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one control file in its own folder and write the result beside it."""
    parser = argparse.ArgumentParser(prog="python -m ald_chimes_md.run", description=__doc__)
    parser.add_argument("control", type=Path, help="the control file, run_md.in")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--bonds", type=Path, help="look for molecules afterwards, with this file")
    parser.add_argument("--species", action="append", default=[], help="one that has its own file")
    options = parser.parse_args(arguments)
    try:
        run_until_stopped(options.control, resume=options.resume)
        if options.bonds is not None:
            look_for_molecules(options.control, options.bonds, options.species)
    except Stopped as stopped:
        sys.stderr.write(f"{stopped}; --resume goes on from a checkpoint\n")
        return TERMINATED
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except OSError as error:
        sys.stderr.write(f"{reason(error)}; put it right and run again\n")
        return Stopped.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
