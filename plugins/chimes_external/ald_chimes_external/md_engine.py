"""The MD engine `chimes_md`: a program of the user runs, with the files that the embedded engine reads, too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np

from ald_chimes_external.contact_frames import (
    Frames,
    candidates_in_order,
    load_frame,
    scan_gen,
    scan_xyz,
    steps_of,
)
from ald_chimes_external.programs import absolute, failed, fault_of, program_problems
from ald_chimes_external.run_output import read_run_output
from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.tokens import read_text
from ald_chimes_md.control import Control, read_control
from ald_chimes_md.coordinates import read_coordinates, replicate
from ald_chimes_md.files import CONTACT_FILES, FINAL, STATISTICS
from ald_chimes_md.keywords import read_keywords, with_values
from ald_chimes_md.md_engine import CONTROL, PARAMETERS, STRUCTURE, ChimesMD, RunOptions
from ald_core.errors import InputError
from ald_core.options import Legacy, option
from ald_core.script import STDOUT
from ald_core.types import Candidate, Case, Failure, JobSpec, Model, Origin, Trajectory

TRAJECTORY = "traj.gen"


@attrs.frozen(kw_only=True)
class ExternalMD(RunOptions):
    """Molecular dynamics with your own chimes_md, serial or MPI."""

    name: ClassVar[str] = "chimes_md"
    program: Path = option(
        help="chimes_md; one for MPI needs a launcher in [resources.md]",
        legacy=Legacy("MD_MPI", lambda program, old: one_that_is_there(program, old("MD_SER"))),
        identity=False,
    )

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether the program can be started."""
        del elements
        return program_problems("md.program", self.program)

    def check_case(self, case: Case, elements: Sequence[str]) -> list[str]:
        """Whether `run_md.in` and the structure can be read, go together and hold known elements."""
        return self._embedded.check_case(case, elements)

    def prepare(self, model: Model, case: Case, seed: int, workdir: Path) -> JobSpec:
        """Write what the embedded engine gets, with a GEN trajectory and as many layers as the cell needs."""
        self._embedded.prepare(model, case, seed, workdir)
        path = workdir / CONTROL
        text = read_text(path)
        layers = read_keywords(text)["NLAYERS"].words if "NLAYERS" in read_keywords(text) else ()
        needed = _layers_needed(read_control(path), workdir)
        own = int(layers[0]) if layers else 0
        words = [str(max(own, needed)), *layers[1:]]
        path.write_text(with_values(text, {"TRAJEXT": "GEN", "NLAYERS": " ".join(words)}))
        outputs = (STATISTICS, TRAJECTORY, *CONTACT_FILES, FINAL, STDOUT)
        return JobSpec((absolute(self.program), CONTROL), outputs)

    def collect(self, case: Case, cycle: int, workdir: Path) -> Trajectory | Failure:
        """The candidates, by step, and how the run went."""
        try:
            control = read_control(workdir / CONTROL)
            system = replicate(read_coordinates(workdir / STRUCTURE), control.replicate)
            output = read_run_output(control, workdir)
            frames = [scan_xyz(workdir / name, len(system.elements)) for name in CONTACT_FILES]
            regular = scan_gen(workdir / TRAJECTORY, len(system.elements))
            if output.stable:
                _check_frames(control, regular, frames)
        except InputError as error:
            return failed(f"chimes_md left no complete result: {fault_of(error)}", workdir)
        steps = steps_of(frames, regular, system.positions, output.steps)
        found = []
        for step, contact, i in candidates_in_order(steps, output.steps):
            own = frames[contact]
            # The cell of a frame has five decimals; one that does not change is known exactly.
            cell = own.cells[i] if control.ensemble.has_barostat else system.cell
            load = partial(load_frame, workdir / CONTACT_FILES[contact], int(own.offsets[i]), cell)
            origin = Origin(cycle, case.name, step)
            found.append(Candidate(origin, case.temperature, contact, load))
        contacts = [sum(c.contact_class == n for c in found) for n in (1, 2)]
        return Trajectory(
            case,
            tuple(found),
            output.steps,
            control.steps,
            output.stable,
            output.reason,
            None if output.drift is None else output.drift * KCAL_PER_MOL,
            (max(output.steps - sum(contacts), 0), contacts[0], contacts[1]),
        )

    def views(self) -> tuple[str, ...]:
        """The run as its users know it."""
        return (CONTROL, STRUCTURE, PARAMETERS, STATISTICS, "traj*", "*out.txt", FINAL, STDOUT)

    @property
    def _embedded(self) -> ChimesMD:
        shared = {field.name: getattr(self, field.name) for field in attrs.fields(RunOptions)}
        return ChimesMD(**shared)


def one_that_is_there(parallel: object, serial: object) -> object:
    """The parallel program of an old study, or its serial one if only that exists."""
    paths = [Path(str(path)).expanduser() for path in (parallel, serial) if path]
    return str(next((path for path in paths if path.is_file()), paths[0])) if paths else None


def _layers_needed(control: Control, workdir: Path) -> int:
    """Periodic copies without which chimes_md would lose interactions, at least 1."""
    system = replicate(read_coordinates(workdir / STRUCTURE), control.replicate)
    height = 1.0 / float(np.linalg.norm(np.linalg.inv(system.cell), axis=0).max())
    return max(math.ceil(read_params(workdir / PARAMETERS).basis.max_rmax / height), 1)


def _check_frames(control: Control, regular: Frames, frames: Sequence[Frames]) -> None:
    """Refuse files that are cut short, of a run that came to its end."""
    for name, own in zip((TRAJECTORY, *CONTACT_FILES), (regular, *frames), strict=True):
        if not own.complete:
            raise InputError("its last frame is damaged", path=name)
    expected = control.steps // control.trajectory_interval
    if len(regular) != expected:
        raise InputError(f"{len(regular)} frames, not {expected}", path=TRAJECTORY)
    if len(frames[0]) > expected:
        raise InputError(f"{len(frames[0])} frames, not {expected} at most", path=CONTACT_FILES[0])
