"""The output files of a run: `md_statistics.out`, trajectories, contact classes, forces.

Files are written by stretches of steps as the integration loop hands them over, and only grow; the
sizes at a checkpoint say where a continued run has to cut them.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ald_chimes_md.control import Control
from ald_chimes_md.coordinates import System
from ald_chimes_md.dynamics import FRAMES, ROWS, Buffers
from ald_chimes_md.files import CONTACT_FILES, CONTACT_INDEX, STATISTICS
from ald_chimes_md.frame_text import (
    FrameText,
    exact_lines,
    labeled_lines,
    short_lines,
    statistics_heading,
    statistics_lines,
    stress_and_energy,
)
from ald_core.durable import named

TRAJECTORIES = {
    "GEN": "traj.gen",
    "XYZ": "traj.xyz",
    "XYZF_FORCE": "traj.xyzf",
    "LAMMPSTRJ": "traj.lammpstrj",
}
FORCES = "forceout.txt"
LABELED_FORCES = "forceout-labeled.txt"
FORCE_FRAMES = "forceout.xyzf"
VELOCITIES = "velocout.txt"

Floats = NDArray[np.float64]


def output_names(control: Control) -> tuple[str, ...]:
    """The files that grow while a run with these settings goes on."""
    names = [STATISTICS, TRAJECTORIES[control.trajectory_format], *CONTACT_FILES, CONTACT_INDEX]
    if control.force_interval or control.trajectory_format == "XYZF_FORCE":
        names.append(FORCES)
    if control.force_interval:
        names += [LABELED_FORCES, FORCE_FRAMES]
    if control.velocity_interval:
        names.append(VELOCITIES)
    return tuple(names)


class Outputs:
    """The open output files of one run; a context manager that closes them.

    What cannot be written is an OSError with the name of the file.

    The index of contact frames has the step, the class, the first byte in the file of the class, and
    the three lengths of the cell if it changes.
    """

    def __init__(
        self,
        folder: Path,
        control: Control,
        system: System,
        type_names: Sequence[str],
        sizes: Mapping[str, int] | None = None,
    ):
        self._control = control
        self._folder = folder
        self._elements = system.elements
        self._text = FrameText(system, type_names, control.timestep, wrapped=control.wrap_output)
        mode = "wb" if sizes is None else "r+b"
        with ExitStack() as stack:
            self._files = {
                name: stack.enter_context((folder / name).open(mode))
                for name in output_names(control)
            }
            for name, size in ({} if sizes is None else sizes).items():
                self._files[name].truncate(size)
                self._files[name].seek(size)
            stack.pop_all()
        if sizes is None:
            self._add(STATISTICS, statistics_heading(control.ensemble))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        failed = None
        for name, file in self._files.items():
            try:
                file.close()
            except OSError as cause:
                failed = failed or named(cause, self._folder / name)
        if failed is not None and error is None:
            raise failed

    def write(self, buffers: Buffers) -> None:
        """Append what a stretch of steps has left in the buffers."""
        rows = buffers.rows[: buffers.filled[ROWS]]
        if len(rows):
            n_atoms, timestep = len(self._elements), self._control.timestep
            lines = statistics_lines(rows, n_atoms, timestep, self._control.ensemble)
            self._add(STATISTICS, lines)
        for frame in range(int(buffers.filled[FRAMES])):
            self._write_frame(buffers, frame)

    def sync(self) -> dict[str, int]:
        """Put everything on the disk; returns the sizes of the files."""
        for name, file in self._files.items():
            try:
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise named(error, self._folder / name) from error
        return {name: file.tell() for name, file in self._files.items()}

    def _write_frame(self, buffers: Buffers, frame: int) -> None:
        control = self._control
        step, contact = int(buffers.steps[frame]), int(buffers.classes[frame])
        regular = step % control.trajectory_interval == 0
        positions, cell = buffers.positions[frame], buffers.cells[frame]
        plain = None
        if control.contact_files and (regular or contact > 0):
            plain = self._text.xyz(positions, cell)
            place = self._files[CONTACT_FILES[contact]].tell()
            self._add(CONTACT_INDEX, f"{step} {contact} {place}{self._changed(cell)}\n".encode())
            self._add(CONTACT_FILES[contact], plain)
        if regular:
            self._write_trajectory(buffers, frame, plain)
        if _due(step, control.force_interval):
            forces = buffers.forces[frame]
            self._add(FORCES, exact_lines(forces))
            self._add(LABELED_FORCES, labeled_lines(self._elements, forces))
            self._add(
                FORCE_FRAMES, self._text.xyz(positions, cell, forces, self._header(buffers, frame))
            )
        if _due(step, control.velocity_interval):
            self._add(VELOCITIES, short_lines(buffers.velocities[frame]))

    def _changed(self, cell: Floats) -> str:
        """The exact lengths of a cell that changes, of which the frame has five decimals."""
        if not self._control.ensemble.has_barostat:
            return ""
        return "".join(f" {length!r}" for length in np.diag(cell).tolist())

    def _header(self, buffers: Buffers, frame: int) -> str:
        if not self._control.force_headers:
            return ""
        energy = float(buffers.energies[frame])
        return stress_and_energy(buffers.virials[frame], buffers.cells[frame], energy)

    def _write_trajectory(self, buffers: Buffers, frame: int, plain: bytes | None) -> None:
        control = self._control
        step = int(buffers.steps[frame])
        positions, cell = buffers.positions[frame], buffers.cells[frame]
        name = TRAJECTORIES[control.trajectory_format]
        match control.trajectory_format:
            case "GEN":
                text = self._text.gen(positions, cell, step, float(buffers.temperatures[frame]))
            case "XYZ":
                text = plain or self._text.xyz(positions, cell)
            case "LAMMPSTRJ":
                text = self._text.lammps(positions, buffers.velocities[frame], cell, step)
            case "XYZF_FORCE":
                text = self._text.xyz(positions, cell, buffers.forces[frame])
                if not _due(step, control.force_interval):
                    self._add(FORCES, exact_lines(buffers.forces[frame]))
        self._add(name, text)

    def _add(self, name: str, text: bytes) -> None:
        try:
            self._files[name].write(text)
        except OSError as error:
            raise named(error, self._folder / name) from error


def _due(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0
