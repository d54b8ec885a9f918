"""The MD engine `dftb`: forces of DFTB+, corrected by a ChIMES model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
from ase import Atoms
from attrs.validators import ge, gt, optional

from ald_chimes_lsq.formats.params_write import with_penalty
from ald_chimes_lsq.formats.tokens import read_text
from ald_chimes_md.candidates import read_candidates
from ald_chimes_md.coordinates import read_coordinates
from ald_chimes_md.files import CONTACT_FILES, CONTACT_INDEX, RESULT, STATISTICS
from ald_core.errors import InputError
from ald_core.options import Legacy, option
from ald_core.roles import MDEngine
from ald_core.types import Case, Failure, JobSpec, Model, Trajectory
from ald_dftb.dynamics import EnsembleName, Wishes, read_dynamics
from ald_dftb.inputs import (
    INPUT,
    Inputs,
    adapted,
    check_inputs,
    copy_needed_files,
    read_input,
    read_inputs,
)
from ald_dftb.labeler import CITES
from ald_dftb.md_files import (
    CALCULATION,
    PARAMETERS,
    REQUEST,
    RUNGS,
    SOCKET,
    START,
    TRAJECTORY,
    input_name,
)

CHIMES_SUFFIXES = (".xyzf", ".xyz")


def _program(value: Any, old: Callable[[str], Any]) -> str | None:
    """DFTB+ of an old study; what it has by default is none."""
    return None if value == old("CHIMES_MD_MPI") else str(value)


@attrs.frozen(kw_only=True)
class DftbMD(MDEngine):
    """Molecular dynamics with forces of DFTB+ and a ChIMES model that corrects them."""

    name: ClassVar[str] = "dftb"
    cites: ClassVar[tuple[str, ...]] = CITES
    reads: ClassVar[tuple[str, ...]] = ("chimes", "chimes-correction")
    inputs: Path | None = option(
        None,
        help="folder with dftb_in.hsd, or one for each temperature (6000.dftb_in.hsd), and Slater-Koster files; not "
        "for cases that have an input",
    )
    program: str = option(
        "dftb+", help="program to run", legacy=Legacy("MD_MPI", _program), identity=False
    )
    temperature: float | None = option(
        None,
        help="electronic temperature, K; else that of the case",
        validator=optional(ge(0.0)),
    )
    steps: int | None = option(
        None,
        help="configurations of a run, the first one among them; else Steps of Driver in the input",
        validator=optional(ge(1)),
    )
    timestep: float | None = option(
        None, help="time step, fs; else TimeStep of Driver", validator=optional(gt(0.0))
    )
    ensemble: EnsembleName | None = option(
        None,
        help="constant energy, or temperature by a Nosé–Hoover chain; else by Thermostat of Driver; else NVT",
    )
    thermostat_time: float | None = option(
        None,
        help="1 / frequency of the thermostat, fs; else by CouplingStrength; else 100",
        validator=optional(gt(0.0)),
    )
    frame_interval: int | None = option(
        None,
        help="steps between clear frames, else MDRestartFrequency, else 10; close contacts are kept at every step",
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
    socket: bool = option(
        False, help="start DFTB+ once and talk to it by its i-PI socket, if it was built with one"
    )

    def programs(self) -> Mapping[str, str]:
        """DFTB+."""
        return {"program": self.program}

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether the folder is one."""
        del elements
        if self.inputs is None or self.inputs.is_dir():
            return []
        return [f"{self.inputs}: this is no folder; name the one that holds dftb_in.hsd"]

    def check_case(self, case: Case, elements: Sequence[str]) -> list[str]:
        """Whether structure and inputs can be read, and are for these elements and this temperature."""
        try:
            atoms = read_structure(case.structure)
            own = sorted(set(atoms.get_chemical_symbols()))
            inputs = self._inputs(case)
            read_dynamics(inputs, self._wishes)
            problems = check_inputs(inputs, own, self._electronic(case), driver=True)
        except InputError as error:
            return [str(error)]
        strange = sorted(set(own) - set(elements))
        if strange:
            names = ", ".join(strange)
            problems.append(f"{case.structure}: holds {names}, not among the study's elements")
        return problems

    def prepare(self, model: Model, case: Case, seed: int, workdir: Path) -> JobSpec:
        """Write the inputs of DFTB+, the parameters with penalty, and what else the run has to know."""
        atoms, inputs = read_structure(case.structure), self._inputs(case)
        problems = check_inputs(
            inputs, sorted(set(atoms.symbols)), self._electronic(case), driver=True
        )
        if problems:
            raise InputError(problems[0])
        dynamics = read_dynamics(inputs, self._wishes)
        folder = workdir / CALCULATION
        folder.mkdir()
        driver = SOCKET.format(steps=dynamics.steps + 1) if self.socket else ""
        for rung in range(1 if self.socket else RUNGS):
            text = adapted(inputs, atoms, self._electronic(case), rung, driver)
            (folder / input_name(rung)).write_text(text)
        copy_needed_files(inputs, atoms, folder)
        reduced = model.path.with_name(model.path.name + ".reduced")
        text = read_text(reduced if reduced.is_file() else model.path)
        text = with_penalty(text, self.penalty_distance, self.penalty_scaling)
        (workdir / PARAMETERS).write_text(text)
        (workdir / START).write_text(json.dumps(_written(atoms)) + "\n")
        request = {
            "program": self.program,
            "seed": seed,
            "temperature": case.temperature,
            "electronic_temperature": self._electronic(case),
            "socket": self.socket,
            **attrs.asdict(dynamics),
        }
        (workdir / REQUEST).write_text(json.dumps(request, indent=1) + "\n")
        outputs = (STATISTICS, TRAJECTORY, *CONTACT_FILES, CONTACT_INDEX, RESULT)
        return JobSpec((sys.executable, "-m", "ald_dftb.md"), outputs, serial=True)

    def collect(self, case: Case, cycle: int, workdir: Path) -> Trajectory | Failure:
        """The candidates, by step, and how the run went."""
        try:
            result = json.loads((workdir / RESULT).read_text())
            if result["failure"] is not None:
                return Failure(result["failure"]["reason"], result["failure"]["kind"])
            cell = read_start(workdir / START).cell[:]
            candidates = read_candidates(case, cycle, workdir, np.asarray(cell))
            return Trajectory(
                case,
                candidates,
                result["steps_done"],
                result["steps_planned"],
                result["stable"],
                result["reason"] or "",
                result["drift"],
                tuple(result["contact_counts"]),
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            return Failure(f"the run left no complete result: {error}")

    def views(self) -> tuple[str, ...]:
        """The run as its users know it, without the last calculation of DFTB+."""
        return (REQUEST, START, PARAMETERS, STATISTICS, "traj*", RESULT)

    def _electronic(self, case: Case) -> float:
        return case.temperature if self.temperature is None else self.temperature

    def _inputs(self, case: Case) -> Inputs:
        if case.input is not None:
            return read_input(case.input)
        if self.inputs is None:
            raise InputError(
                f"case {case.name}: the md engine 'dftb' needs a {INPUT}",
                cure="name its folder with 'inputs' in [md], or the file with 'input' in the table of the case",
            )
        return read_inputs(self.inputs, self._electronic(case))

    @property
    def _wishes(self) -> Wishes:
        return Wishes(
            steps=self.steps,
            timestep=self.timestep,
            ensemble=self.ensemble,
            thermostat_time=self.thermostat_time,
            frame_interval=self.frame_interval,
        )


def read_structure(path: Path) -> Atoms:
    """A periodic structure in the formats of DFTB+ (`.gen`), ChIMES MD (`.xyz`) or any that ASE reads.

    Raises:
        InputError: it cannot be read, or is not periodic.
    """
    import ase.io  # noqa: PLC0415  takes half a second, which `ald --version` need not wait for

    try:
        lines = read_text(path).splitlines() if path.suffix in CHIMES_SUFFIXES else []
        if len(lines) > 1 and "=" not in lines[1]:
            system = read_coordinates(path)
            return Atoms(system.elements, system.positions, cell=system.cell, pbc=True)
        atoms = ase.io.read(path, index=0)
    except InputError:
        raise
    except Exception as error:  # readers of ASE fail in every possible way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot be read as a structure ({reason})", path=path) from error
    if not isinstance(atoms, Atoms) or not atoms.pbc.all() or atoms.cell.rank < 3:
        raise InputError("is not periodic in all directions; give a cell", path=path)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def _written(atoms: Atoms) -> dict[str, Any]:
    """All digits."""
    return {
        "symbols": atoms.get_chemical_symbols(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell[:].tolist(),
    }


def read_start(path: Path) -> Atoms:
    """The first configuration of a run that was prepared."""
    start = json.loads(path.read_text())
    return Atoms(start["symbols"], start["positions"], cell=start["cell"], pbc=True)
