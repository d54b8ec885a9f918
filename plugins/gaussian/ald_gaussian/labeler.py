"""The labeler `gaussian`: one calculation for each spin state that a molecule can have; the lowest energy wins."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import attrs
from ase import Atoms
from attrs.validators import deep_iterable, ge, gt, min_len, optional

from ald_core.errors import InputError
from ald_core.labeling import compare_geometry
from ald_core.options import option
from ald_core.roles import Labeler
from ald_core.types import Failure, FailureKind, Frame, JobSpec, Kind, Labels
from ald_gaussian.atom_energies import missing_elements, read_shifts, total_shift
from ald_gaussian.inputs import (
    LAST_RUNG,
    RUNGS,
    calculation_name,
    input_text,
    is_free_keyword,
    is_memory,
    is_scf_method,
    is_word,
    is_word_or_nothing,
    route,
)
from ald_gaussian.job import ENDS, REQUEST
from ald_gaussian.molecules import molecule, possible_multiplicities
from ald_gaussian.outputs import Output, echoes, read_output

SAME_PLACE = 1e-4
"""Å by which positions of an output may differ from those that were asked for; it prints six digits"""
FIRST: tuple[FailureKind, ...] = (
    "input", "memory", "resources", "infrastructure", "time", "invalid", "numerical",
)  # fmt: skip
"""Which failure counts, if there are several"""


@attrs.frozen(kw_only=True)
class GaussianLabeler(Labeler):
    """Label molecules with Gaussian, in the spin state that has the lowest energy."""

    name: ClassVar[str] = "gaussian"
    properties: ClassVar[frozenset[str]] = frozenset({"energy", "forces"})
    kinds: ClassVar[frozenset[Kind]] = frozenset({"gas"})
    cites: ClassVar[tuple[str, ...]] = (
        "Frisch et al., Gaussian 16, Gaussian Inc., Wallingford CT (2016)",
    )
    program: str = option(
        "g16",
        help="program that reads the input from standard input",
        legacy="GAUS_EXE",
        identity=False,
    )
    method: str = option(
        "PBEPBE",
        help="Hartree-Fock (HF) or density functional, without the letter R or U",
        validator=is_scf_method,
    )
    basis: str = option("6-311+g(2d)", help="basis set", validator=is_word)
    dispersion: str = option(
        "GD2",
        help='EmpiricalDispersion; "" for none',
        validator=is_word_or_nothing,
    )
    keywords: tuple[str, ...] = option(
        (), help="more keywords of the route", validator=deep_iterable(is_free_keyword)
    )
    scf: tuple[str, ...] = option(
        (), help="more options of the SCF, such as Conver=9", validator=deep_iterable(is_word)
    )
    charge: int = option(0, help="charge of every molecule, e")
    multiplicities: tuple[int, ...] = option(
        (1, 2, 3),
        help="2S+1 that are tried, where the number of electrons allows them",
        validator=[min_len(1), deep_iterable(ge(1))],
    )
    reference_energies: Path | None = option(
        None,
        help="energies of atoms in Gaussian and in the method of the bulk, by which energies are shifted",
        legacy="GAUS_REF",
    )
    memory: str = option(
        "24GB",
        help="%mem of one calculation",
        validator=is_memory,
        identity=False,
    )
    processors: int | None = option(
        None,
        help="%nprocshared; else the cores of [resources]",
        validator=optional(ge(1)),
        identity=False,
    )
    scratch: str | None = option(
        None,
        help="folder (with $VARIABLES) of checkpoints, scratch files, and finished outputs until a molecule is done",
        legacy="GAUS_SCR",
        identity=False,
    )
    time_limit: float | None = option(
        None,
        help="minutes that one spin state may take; else as long as the job lasts",
        validator=optional(gt(0)),
        identity=False,
    )

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether the file of atom energies can be read and has all elements."""
        path = self.reference_energies
        if path is None:
            return []
        try:
            missing = missing_elements(read_shifts(path), elements)
        except InputError as error:
            return [str(error)]
        return [f"{path}: has no line of {', '.join(missing)}; add it" for _ in missing[:1]]

    def programs(self) -> Mapping[str, str]:
        """Gaussian itself."""
        return {"program": self.program}

    # ------------------------------------------------------------ inputs

    def prepare(self, frame: Frame, workdir: Path, rung: int) -> JobSpec:
        """Write one input for each spin state, and the list of them; none for what is no molecule.

        Raises InputError for a bulk frame.
        """
        if frame.kind == "bulk":
            raise InputError(
                f"frame {frame.id} is of the bulk; gaussian labels molecules only: use it for [labelers.gas], and "
                "another labeler for [labelers.bulk]"
            )
        atoms = molecule(frame.atoms)
        names = []
        if not isinstance(atoms, Failure):
            for multiplicity in self._multiplicities(atoms):
                names.append(calculation_name(multiplicity))
                lines = (self._route(multiplicity, rung), _title(frame))
                text = input_text(atoms, *lines, self.charge, multiplicity, self.memory)
                (workdir / f"{names[-1]}.com").write_text(text)
        request = {
            "program": self.program,
            "processors": self.processors,
            "scratch": self.scratch,
            "time_limit": None if self.time_limit is None else 60.0 * self.time_limit,
            "rung": rung,
            "calculations": names,
        }
        (workdir / REQUEST).write_text(json.dumps(request, indent=1) + "\n")
        command = (sys.executable, "-m", "ald_gaussian.job")
        outputs = (*(f"{name}.log" for name in names), ENDS)
        return JobSpec(command, outputs, serial=True)

    def _multiplicities(self, atoms: Atoms) -> tuple[int, ...]:
        return possible_multiplicities(atoms.numbers, self.charge, self.multiplicities)

    def _route(self, multiplicity: int, rung: int) -> str:
        scf = (*RUNGS[min(rung, LAST_RUNG)], *self.scf)
        return route(self.method, self.basis, self.dispersion, multiplicity, scf, self.keywords)

    # ------------------------------------------------------------ outputs

    def collect(self, frame: Frame, workdir: Path) -> Labels | Failure:
        """The spin state of lowest energy, if all have ended.

        One that did not converge is tried on the next rungs, since it may be the lowest. On the last it is left out,
        if another has converged.
        """
        atoms = molecule(frame.atoms)
        if isinstance(atoms, Failure):
            return atoms
        try:
            rung = int(json.loads((workdir / REQUEST).read_text())["rung"])
            answer = json.loads((workdir / ENDS).read_text())
            if "failure" in answer:
                return Failure(str(answer["failure"]), answer.get("kind", "invalid"))
            ends = {name: end["end"] for name, end in answer["calculations"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return Failure(f"no readable {REQUEST} or {ENDS}: {type(error).__name__}: {error}")
        states = self._multiplicities(atoms)
        if not states:
            return Failure(
                f"{atoms.get_chemical_formula()} with charge {self.charge} can have none of the multiplicities "
                f"{', '.join(map(str, self.multiplicities))}; add one",
                "input",
            )
        found = [self._read(frame, atoms, m, rung, workdir, ends) for m in states]
        return self._choose(found, rung)

    def _choose(self, found: Sequence[Output | Failure], rung: int) -> Labels | Failure:
        converged = [f for f in found if isinstance(f, Output)]
        failures = sorted(
            (f for f in found if isinstance(f, Failure)), key=lambda f: FIRST.index(f.kind)
        )
        if failures and not (converged and rung >= LAST_RUNG and failures[0].kind == "numerical"):
            ended = f"; {len(converged)} of {len(found)} spin states converged" if converged else ""
            return attrs.evolve(failures[0], reason=failures[0].reason + ended)
        best = min(converged, key=lambda output: output.energy)
        energy = best.energy
        if self.reference_energies is not None:
            shifts = read_shifts(self.reference_energies)
            missing = missing_elements(shifts, best.symbols)
            if missing:
                what = f"{self.reference_energies}: has no line of {', '.join(missing)}; add it"
                return Failure(what, "input")
            energy += total_shift(shifts, best.symbols)
        return Labels(energy, best.forces)

    def _read(
        self,
        frame: Frame,
        atoms: Atoms,
        multiplicity: int,
        rung: int,
        workdir: Path,
        ends: Mapping[str, str],
    ) -> Output | Failure:
        """What one calculation gave, if it is the one that was asked for."""
        name = calculation_name(multiplicity)
        if ends.get(name) == "time":
            limit = "?" if self.time_limit is None else f"{self.time_limit:g}"
            return Failure(f"{name}: the time_limit of {limit} minutes was too short", "time")
        output = read_output(workdir / f"{name}.log")
        if isinstance(output, Failure):
            if output.kind == "invalid" and str(ends.get(name)).startswith("signal"):
                what = f"{output.reason} (Gaussian was killed, {ends[name]})"
                return Failure(what, "infrastructure")
            return output
        other = self._other(output, atoms, multiplicity)
        if other is None and not echoes(
            workdir / f"{name}.log", self._route(multiplicity, rung), _title(frame)
        ):
            other = "the output is of another route or title than those asked for"
        return Failure(f"{name}: {other}") if other else output

    def _other(self, output: Output, atoms: Atoms, multiplicity: int) -> str | None:
        """Why an output is of another molecule or state than the one that was asked for."""
        if (output.charge, output.multiplicity) != (self.charge, multiplicity):
            return f"the output has charge {output.charge} and multiplicity {output.multiplicity}"
        other = compare_geometry(atoms, output.symbols, output.positions, None, SAME_PLACE)
        return None if other is None else other.reason


def _title(frame: Frame) -> str:
    """Without the characters that Gaussian does not allow in titles; it tells frames apart to the last bit."""
    return f"{frame.atoms.get_chemical_formula()} frame {frame.digest[:32]}"
