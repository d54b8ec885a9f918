"""The MD engine `chimes`: prepares a run, and reads what it left."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

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
from ald_chimes_md.speciation.criteria import BONDS
from ald_chimes_md.speciation.of_run import SPECIATION, TABLE, result_table, species_file
from ald_chimes_md.speciation.request import (
    check_bonds,
    check_species,
    old_bonds,
    old_species,
    request_warnings,
    write_request,
)
from ald_core.errors import InputError
from ald_core.options import Legacy, option
from ald_core.roles import MDEngine
from ald_core.types import Candidate, Case, Failure, JobSpec, Model, Trajectory

CONTROL = "run_md.in"
STRUCTURE = "input.xyz"
PARAMETERS = "params.txt.reduced"
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading a result that is not as it should be raises"""


@attrs.frozen(kw_only=True)
class RunOptions(MDEngine):
    """Options of all engines that run a ChIMES model as `run_md.in` says."""

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


@attrs.frozen(kw_only=True)
class ChimesMD(RunOptions):
    """Molecular dynamics with a ChIMES model, compiled, in one process per case."""

    name: ClassVar[str] = "chimes"
    bonds: Path | Mapping[str, Any] | None = option(
        None,
        help="when atoms are bonded: a bonds.dat, or a table { O-H = 1.35, lifetime = 20 } in Å and fs; molecules are "
        "tabulated for each cycle",
        validator=check_bonds,
        added=True,
        legacy=Legacy("MOLANAL", old_bonds),
    )
    species: Sequence[str] = option(
        (),
        help="molecules to tabulate, as molanal names them or by formula; without any, those that are frequent",
        validator=check_species,
        added=True,
        legacy=Legacy("MOLANAL_SPECIES", old_species),
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
        command = (sys.executable, "-m", "ald_chimes_md.run", CONTROL)
        outputs: tuple[str, ...] = (STATISTICS, *CONTACT_FILES, CONTACT_INDEX, RESULT)
        if self.bonds is None:
            return JobSpec(command, outputs, serial=True)
        control = read_control(workdir / CONTROL)
        write_request(self.bonds, control.timestep * control.trajectory_interval, workdir)
        names = [word for name in self.species for word in ("--species", name)]
        files = [species_file(number) for number in range(len(self.species))]
        outputs = (*outputs, SPECIATION, TABLE, *files)
        return JobSpec((*command, "--bonds", BONDS, *names), outputs, serial=True)

    def collect(self, case: Case, cycle: int, workdir: Path) -> Trajectory | Failure:
        """The candidates, by step, and how the run went."""
        try:
            result = json.loads((workdir / RESULT).read_text())
            candidates = _candidates(case, cycle, workdir)
            asked = self.bonds is not None
            tables = (result_table(workdir, self.species),) if asked else ()
        except (OSError, *MALFORMED, InputError) as error:
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
            tables,
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
            "bond*.dat",
            "speciation.*",
        )

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether there are bonds by which to find the species."""
        del elements
        if self.bonds is None and self.species:
            return ["species are looked for by their bonds, of which nothing is said; add bonds"]
        return []

    def check_case(self, case: Case, elements: Sequence[str]) -> list[str]:
        """Whether `run_md.in` and the structure can be read, go together and hold known elements."""
        problems, control, system = [], None, None
        try:
            control = read_control(_input(case))
            _check_is_run(control)
            if self.bonds is not None:
                _check_trajectory(control)
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

    def case_warnings(self, case: Case, elements: Sequence[str]) -> list[str]:
        """Whether molecules will be found, and counted with the right time."""
        if self.bonds is None:
            return []
        control = read_control(_input(case))
        interval = self.frame_interval or control.trajectory_interval
        n_frames = (self.steps or control.steps) // interval
        return request_warnings(self.bonds, elements, control.timestep * interval, n_frames)


def _check_trajectory(control: Control) -> None:
    """Refuse a run that leaves nothing in which molecules can be found."""
    if control.trajectory_format == "LAMMPSTRJ":
        fault = "LAMMPSTRJ is not read when molecules are looked for, as md.bonds asks"
        raise control.error("TRAJEXT", fault, cure="set it to GEN")
    if control.timestep == 0.0:
        fault = "is 0, but md.bonds asks for lifetimes"
        raise control.error("TIMESTP", fault, cure="give a time step above 0 fs")


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
