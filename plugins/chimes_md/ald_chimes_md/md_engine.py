"""The MD engine `chimes`: prepares a run, and reads what it left."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import attrs
from attrs.validators import ge, gt, optional

from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.formats.params_write import with_penalty
from ald_chimes_lsq.formats.tokens import read_text
from ald_chimes_md.candidates import read_candidates
from ald_chimes_md.checks import check_system
from ald_chimes_md.control import Control, read_control
from ald_chimes_md.coordinates import read_coordinates, replicate
from ald_chimes_md.files import CONTACT_FILES, CONTACT_INDEX, RESULT, STATISTICS
from ald_chimes_md.keywords import read_keywords, with_values
from ald_core.errors import InputError
from ald_core.options import option
from ald_core.roles import MDEngine
from ald_core.types import Candidate, Case, Failure, JobSpec, Model, Trajectory

CONTROL = "run_md.in"
STRUCTURE = "input.xyz"
PARAMETERS = "params.txt.reduced"


@attrs.frozen(kw_only=True)
class ChimesMD(MDEngine):
    """Molecular dynamics with a ChIMES model, compiled, in one process per case."""

    name: ClassVar[str] = "chimes"
    reads: ClassVar[tuple[str, ...]] = ("chimes",)
    steps: int | None = option(
        None, help="instead of N_MDSTP in run_md.in", validator=optional(ge(1))
    )
    frame_interval: int | None = option(
        None,
        help="steps between clear frames, instead of FRQDFTB in run_md.in; close contacts are kept at every step",
        validator=optional(ge(1)),
    )
    penalty_distance: float = option(
        0.02,
        help="the penalty begins this far outside the inner cutoff, Å",
        validator=gt(0.0),
        legacy="CHIMES_PEN_DIST",
    )
    penalty_scaling: float = option(
        1e6,
        help="strength of the penalty, kcal/mol/Å³",
        validator=ge(0.0),
        legacy="CHIMES_PEN_PREFAC",
    )

    def prepare(self, model: Model, case: Case, seed: int, workdir: Path) -> JobSpec:
        """Write `run_md.in` with seed, files and steps filled in, the parameters with penalty, the structure."""
        values: dict[str, str | int | float] = {
            "RNDSEED": seed,
            "TEMPERA": case.temperature,
            "PRMFILE": PARAMETERS,
            "PRNTBAD": "true",
            "CRDFILE": STRUCTURE,
        }
        if self.steps is not None:
            values["N_MDSTP"] = self.steps
        source = _input(case)
        text = read_text(source)
        if self.frame_interval is not None:
            values |= {
                key: self.frame_interval
                for key in ("FRQDFTB", "FRQTRAJ")
                if key in read_keywords(text, source)
            }
        (workdir / CONTROL).write_text(with_values(text, values, source))
        reduced = model.path.with_name(model.path.name + ".reduced")
        text = read_text(reduced if reduced.is_file() else model.path)
        text = with_penalty(text, self.penalty_distance, self.penalty_scaling)
        (workdir / PARAMETERS).write_text(text)
        shutil.copyfile(case.structure, workdir / STRUCTURE)
        outputs = (STATISTICS, *CONTACT_FILES, CONTACT_INDEX, RESULT)
        return JobSpec((sys.executable, "-m", "ald_chimes_md.run", CONTROL), outputs)

    def collect(self, case: Case, cycle: int, workdir: Path) -> Trajectory | Failure:
        """The candidates, by step, and how the run went."""
        try:
            result = json.loads((workdir / RESULT).read_text())
            candidates = _candidates(case, cycle, workdir)
        except (OSError, ValueError, LookupError, TypeError, InputError) as error:
            return Failure(f"the run left no complete result: {error}")
        drift = result["conserved"]["max_deviation"]
        return Trajectory(
            case,
            candidates,
            result["steps_done"],
            result["steps_planned"],
            result["stable"],
            result["reason"] or "",
            None if drift is None else drift * KCAL_PER_MOL,
            tuple(result["contact_counts"]),
        )

    def views(self) -> tuple[str, ...]:
        """The run as its users know it."""
        return (
            CONTROL,
            STRUCTURE,
            PARAMETERS,
            STATISTICS,
            "traj*",
            "*out.txt",
            "output.xyz",
            RESULT,
        )

    def check_case(self, case: Case, elements: Sequence[str]) -> list[str]:
        """Whether `run_md.in` and the structure can be read, go together and hold known elements."""
        problems, control, system = [], None, None
        try:
            control = read_control(_input(case))
            _check_is_run(control)
        except InputError as error:
            problems.append(str(error))
        try:
            system = read_coordinates(case.structure)
            if control is not None:
                check_system(control, replicate(system, control.replicate), case.structure)
        except InputError as error:
            problems.append(str(error))
        strange = sorted(set(system.elements) - set(elements)) if system is not None else []
        if strange:
            problems.append(
                f"{case.structure}: holds {', '.join(strange)}, not among the study's elements"
            )
        return problems


def _check_is_run(control: Control) -> None:
    """Refuse what is no run from a structure of the study."""
    if control.comparison is not None:
        fault = "compares forces instead of running"
        raise control.error(control.comparison.key, fault, cure="set it to false")
    if control.velocities == "RESTART":
        fault = "RESTART goes on from a restart file, but this run begins with a structure"
        raise control.error("VELINIT", fault, cure="use GEN")


def _candidates(case: Case, cycle: int, workdir: Path) -> tuple[Candidate, ...]:
    """What the contact files hold, with the exact cell, of which they have five decimals."""
    copies = read_control(workdir / CONTROL).replicate
    cell = replicate(read_coordinates(workdir / STRUCTURE), copies).cell
    return read_candidates(case, cycle, workdir, cell)


def _input(case: Case) -> Path:
    if case.input is None:
        raise InputError(
            f"case {case.name}: the md engine 'chimes' needs an input, a run_md.in",
            cure="name it with 'input' in the table of the case",
        )
    return case.input
