"""The MD engine `lammps`: prepares a run, and reads what it left."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
from ase import Atoms
from attrs.validators import ge, gt, optional

from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.params_write import with_penalty
from ald_core.errors import InputError
from ald_core.options import Legacy, option
from ald_core.roles import MDEngine
from ald_core.types import Case, Failure, JobSpec, Model, Trajectory
from ald_core.units import KCAL_PER_MOL
from ald_lammps.checks import atom_style
from ald_lammps.contact_files import FILES, INDEX, candidates
from ald_lammps.coordinates import read_coordinates
from ald_lammps.data_file import Template, check_types, data_text, read_template
from ald_lammps.md_files import LOG, REQUEST, RESULT, SCRIPT, STATISTICS, TRAJECTORY
from ald_lammps.md_script import MdScript, md_problems, read_md_script, script_of_run
from ald_lammps.messages import failure
from ald_lammps.own_program import read_run
from ald_lammps.program import missing
from ald_lammps.script import read_text

DATA_SUFFIXES = ("data.in", ".data", ".lmp", ".lammps")
"""Endings of the names of data files"""


def _own_program(value: Any, old: Callable[[str], Any]) -> str | None:
    """The user's LAMMPS; what an old study has by default is no LAMMPS."""
    return None if value == old("CHIMES_MD_MPI") else str(value)


@attrs.frozen(kw_only=True)
class LammpsMD(MDEngine):
    """Run MD with a ChIMES model by LAMMPS, as an input script of the user says."""

    name: ClassVar[str] = "lammps"
    reads: ClassVar[tuple[str, ...]] = ("chimes",)
    cites: ClassVar[tuple[str, ...]] = (
        "Thompson et al., Comput. Phys. Commun. 271, 108171 (2022), doi:10.1016/j.cpc.2021.108171 (LAMMPS)",
    )
    program: str | None = option(
        None,
        help="a LAMMPS that has the pair style chimesFF; by default the package lammps in ald's own Python, with "
        "forces of ald's evaluator",
        identity=False,
        legacy=Legacy("MD_MPI", _own_program),
    )
    types: tuple[str, ...] = option(
        (),
        help="elements of the atom types 1, 2, … of a data file, where their masses do not tell",
        validator=check_types,
    )
    frame_interval: int | None = option(
        None,
        help="steps between clear frames, instead of that of the dump traj.lammpstrj; not for a program",
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

    def programs(self) -> dict[str, str]:
        """The user's own, if there is one."""
        return {} if self.program is None else {"program": self.program}

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether there is a LAMMPS."""
        del elements
        return missing(self.program)

    def check_case(self, case: Case, elements: Sequence[str]) -> list[str]:
        """Whether script and structure can be read, and hold known elements."""
        try:
            path = _input(case)
            problems = list(
                md_problems(path, package=self.program is None, frame_interval=self.frame_interval)
            )
            if not problems:
                style = atom_style(read_md_script(path).script, template=_is_data(case.structure))
                strange = sorted(self._elements(case, style) - set(elements))
                if strange:
                    said = ", ".join(strange)
                    problems.append(
                        f"{case.structure}: holds {said}, not among the study's elements"
                    )
        except InputError as error:
            problems = [str(error)]
        return problems

    def _elements(self, case: Case, style: str) -> set[str]:
        if not _is_data(case.structure):
            return set(_structure(case.structure).get_chemical_symbols())
        data = read_template(case.structure, read_text(case.structure), style)
        symbols = data.elements(self.types)
        if None in symbols:
            kind = data.types[symbols.index(None)]
            fault = f"the mass of atom type {kind} is that of no element"
            cure = "correct it, or name the elements of the types with 'types'"
            raise InputError(fault, path=case.structure, cure=cure)
        return {symbol for symbol in symbols if symbol is not None}

    def prepare(self, model: Model, case: Case, seed: int, workdir: Path) -> JobSpec:
        """Write the script with the seed, the structure, and the parameters with penalty."""
        path = _input(case)
        md = read_md_script(path)
        seed = seed % 900_000_000 + 1
        for other in {c.path for c in md.script.commands} - {path}:
            shutil.copyfile(other, workdir / other.name)
        (workdir / SCRIPT).write_text(script_of_run(read_text(path), path, seed, case.temperature))
        reduced = model.path.with_name(model.path.name + ".reduced")
        text = read_text(reduced if reduced.is_file() else model.path)
        text = with_penalty(text, self.penalty_distance, self.penalty_scaling)
        (workdir / md.parameters).write_text(text)
        if _is_data(case.structure):
            shutil.copyfile(case.structure, workdir / md.data)
            types = self.types
        else:
            atoms = _structure(case.structure)
            types = tuple(t.name for t in read_params(workdir / md.parameters).basis.types)
            style = atom_style(md.script, template=False)
            (workdir / md.data).write_text(data_text(atoms, types, style))
        interval = self.frame_interval or md.frame_interval
        request = {"frame_interval": interval, "types": types}
        (workdir / REQUEST).write_text(json.dumps(request) + "\n")
        if self.program is None:
            command = (sys.executable, "-m", "ald_lammps.md_job")
            return JobSpec(command, (STATISTICS, *FILES, INDEX, RESULT), serial=True)
        return JobSpec((self.program, "-in", SCRIPT, "-log", LOG), (LOG, TRAJECTORY))

    def collect(self, case: Case, cycle: int, workdir: Path) -> Trajectory | Failure:
        """The candidates, by step, and how the run went."""
        try:
            if self.program is not None:
                request = json.loads((workdir / REQUEST).read_text())
                md = read_md_script(workdir / SCRIPT)
                return read_run(
                    case, cycle, workdir, md, _data(workdir / md.data, md), request["types"]
                )
            result = json.loads((workdir / RESULT).read_text())
            drift = result["conserved"]["max_deviation"]
            return Trajectory(
                case,
                candidates(case, cycle, workdir),
                result["steps_done"],
                result["steps_planned"],
                result["stable"],
                result["reason"] or "",
                None if drift is None else drift * KCAL_PER_MOL,
                tuple(result["contact_counts"]),
            )
        except (OSError, ValueError, LookupError, TypeError, InputError) as error:
            return failure(workdir, f"the run left no complete result: {error}")

    def views(self) -> tuple[str, ...]:
        """The run as its users know it."""
        return (
            "*.lammps", "*data.in", "*.lammpstrj", "params*", "rank-*", "traj_bad*", STATISTICS, RESULT,
        )  # fmt: skip


def _input(case: Case) -> Path:
    if case.input is None:
        raise InputError(
            f"case {case.name}: the md engine 'lammps' needs an input, an input script",
            cure="name it with 'input' in the table of the case",
        )
    return case.input


def _is_data(path: Path) -> bool:
    return path.name.endswith(DATA_SUFFIXES)


def _data(path: Path, md: MdScript) -> Template:
    style = atom_style(md.script)
    return read_template(path, read_text(path), style)


def _structure(path: Path) -> Atoms:
    """A structure in the format of ChIMES MD, or any that ASE reads."""
    try:
        return read_coordinates(path)
    except InputError as error:
        import ase.io  # noqa: PLC0415  takes half a second

        try:
            atoms = ase.io.read(path)
        except Exception:  # noqa: BLE001  readers of ASE fail in every possible way
            raise error from None
        if not isinstance(atoms, Atoms) or atoms.cell.rank < 3 or not len(atoms):
            raise InputError(
                "has no atoms in a cell", path=path, cure="give a periodic structure"
            ) from None
        atoms.pbc = True
        return atoms
