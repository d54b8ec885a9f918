"""The labeler `lammps`: energy, forces and stress of a classical potential."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import numpy as np

from ald_core.errors import InputError
from ald_core.labeling import (
    compare_geometry,
    electronic_temperature,
    find_input,
    input_names,
    missing_input,
)
from ald_core.options import Legacy, option
from ald_core.roles import Labeler
from ald_core.types import Failure, Frame, JobSpec, Kind, Labels
from ald_lammps.checks import atom_style, data_names, label_problems, units_of
from ald_lammps.data_file import check_types, data_text, place, read_template
from ald_lammps.label_job import DUMP, LOG, SCRIPT, USER_SCRIPT, read_evaluated, script_text
from ald_lammps.messages import failure
from ald_lammps.program import command, missing
from ald_lammps.script import read_script, read_text
from ald_lammps.units import UNITS

TEMPLATE = "data.in"
REQUEST = "label.json"
NEARBY = 1e-6
"""Å by which positions and cell in an output may differ, which has all digits"""


def _lower(value: Any, old: Any) -> str:
    del old
    return str(value).strip().lower()


@attrs.frozen(kw_only=True)
class LammpsLabeler(Labeler):
    """Label frames with a potential of LAMMPS, by single points."""

    name: ClassVar[str] = "lammps"
    cites: ClassVar[tuple[str, ...]] = (
        "Thompson et al., Comput. Phys. Commun. 271, 108171 (2022), doi:10.1016/j.cpc.2021.108171 (LAMMPS)",
    )
    kinds: ClassVar[frozenset[Kind]] = frozenset({"bulk"})
    inputs: Path = option(
        help="folder with in.lammps (or 6000.in.lammps), perhaps a template data.in, and potential files",
        legacy="QM_FILES",
    )
    program: str | None = option(
        None,
        help="the LAMMPS to run; by default that of the package lammps in ald's own Python",
        identity=False,
        legacy="LMP_EXE",
    )
    types: tuple[str, ...] = option(
        (),
        help="elements of the atom types 1, 2, …; needed for several elements, unless by data.in",
        validator=check_types,
    )
    units: Literal["real", "metal"] | None = option(
        None,
        help="unit style that in.lammps must have; by default it may have either",
        legacy=Legacy("LMP_UNITS", _lower),
    )
    temperature: float | None = option(
        None,
        help="K in the names of inputs, instead of the temperature of the frame",
        legacy="THIS_SMEAR",
    )

    def programs(self) -> dict[str, str]:
        """The user's own, if there is one."""
        return {} if self.program is None else {"program": self.program}

    def check(self, elements: Sequence[str]) -> list[str]:
        """Program, scripts and atom types."""
        problems = missing(self.program)
        scripts = sorted(self.inputs.glob(f"*{USER_SCRIPT}"))
        if not scripts:
            problems.append(missing_input(self.inputs, USER_SCRIPT, self.temperature))
        for script in scripts:
            temperature = script.name.removesuffix(USER_SCRIPT).removesuffix(".")
            names = (TEMPLATE, f"{temperature}.{TEMPLATE}")
            problems += label_problems(script, names, self.units)
            if not any((self.inputs / name).is_file() for name in names):
                problems += self._type_problems(elements)
        return list(dict.fromkeys(problems))

    def _type_problems(self, elements: Sequence[str]) -> list[str]:
        strange = sorted(set(elements) - set(self.types))
        if not self.types and len(set(elements)) < 2:
            return []
        if not self.types:
            said = ", ".join(f'"{element}"' for element in sorted(elements))
            return [f"types: name the elements of LAMMPS's atom types, for example [{said}]"]
        if strange:
            return [f"types: {', '.join(strange)} of the study is missing; add it"]
        return []

    def check_temperature(self, temperature: float, elements: Sequence[str]) -> list[str]:
        """Whether there is a script."""
        del elements
        wanted = temperature if self.temperature is None else self.temperature
        if find_input(self.inputs, USER_SCRIPT, wanted) is None:
            return [missing_input(self.inputs, USER_SCRIPT, wanted)]
        return []

    def prepare(self, frame: Frame, workdir: Path, rung: int) -> JobSpec:
        """Copy the user's files, write the data file of the frame; there is one path to the answer only."""
        del rung
        atoms = frame.atoms
        if not atoms.pbc.all() or atoms.cell.rank < 3:
            raise InputError(
                f"frame {frame.id} has no periodic cell, but the labeler 'lammps' labels periodic frames",
                cure="give frames of this kind another labeler",
            )
        temperature = electronic_temperature(frame, self.temperature)
        source = find_input(self.inputs, USER_SCRIPT, temperature)
        if source is None:
            raise InputError(missing_input(self.inputs, USER_SCRIPT, temperature))
        for path in sorted(self.inputs.iterdir()):
            if path.is_file() and not path.name.endswith((USER_SCRIPT, TEMPLATE)):
                shutil.copyfile(path, workdir / path.name)
        shutil.copyfile(source, workdir / USER_SCRIPT)
        script = read_script(source)
        style = atom_style(script)
        template = find_input(self.inputs, TEMPLATE, temperature)
        if template is None:
            types = self.types or tuple(sorted(set(atoms.get_chemical_symbols())))
            if not self.types and len(types) > 1:
                raise InputError(self._type_problems(types)[0])
            text = data_text(atoms, types, style)
            first = {symbol: types.index(symbol) + 1 for symbol in types}
            ids = list(range(1, len(atoms) + 1))
            numbers = [first[symbol] for symbol in atoms.get_chemical_symbols()]
        else:
            known = read_template(template, read_text(template), style)
            text = known.filled(atoms, self.types)
            ids, numbers = list(known.ids), list(known.types)
        for name in data_names(script, input_names(TEMPLATE, temperature)):
            (workdir / name).write_text(text)
        request = {"frame": frame.digest, "units": units_of(script), "ids": ids, "types": numbers}
        (workdir / REQUEST).write_text(json.dumps(request) + "\n")
        (workdir / SCRIPT).write_text(script_text(frame.digest))
        words = (*command(self.program), "-in", SCRIPT, "-log", "log.lammps")
        return JobSpec(words, (LOG, DUMP))

    def collect(self, frame: Frame, workdir: Path) -> Labels | Failure:  # noqa: PLR0911  one answer per flaw
        """Read energy, virial and forces, and turn them back into the frame's directions and order."""
        try:
            request = json.loads((workdir / REQUEST).read_text())
            ids, types = np.array(request["ids"]), tuple(request["types"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Failure(f"no readable {REQUEST}: {error}")
        try:
            found = read_evaluated(workdir, frame.digest)
        except (OSError, ValueError) as error:
            return failure(workdir, f"no complete result: {error}")
        if found.units not in UNITS or found.units != request["units"]:
            return Failure(f"the input has units {found.units}, not {request['units']}", "input")
        if not found.periodic:
            return Failure(
                "the input has a boundary that is not periodic; write 'boundary p p p'", "input"
            )
        if sorted(found.ids) != sorted(ids.tolist()):
            return Failure(
                f"the output is of another configuration: {len(found.ids)} atoms, not {len(ids)}"
            )
        place_of = {number: row for row, number in enumerate(found.ids)}
        order = [place_of[number] for number in ids.tolist()]
        if tuple(found.types[row] for row in order) != types:
            return Failure("the output is of another configuration: its atoms have other types")
        there = place(frame.atoms)
        positions = found.positions[order]
        off = compare_geometry(there.atoms, None, positions, found.cell, NEARBY)
        if off is not None:
            return off
        units = UNITS[found.units]
        stress = -there.tensor(found.pressure) * units.pressure
        forces = there.vectors(found.forces[order]) * units.energy
        voigt = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        numbers = (found.energy, *forces.ravel(), *voigt)
        if not np.all(np.isfinite(numbers)):
            return Failure("the output has a number that is not finite")
        return Labels(found.energy * units.energy, forces, voigt)
