"""The labeler `espresso`: one single point per frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np
from attrs.validators import gt, optional

from ald_core.errors import InputError
from ald_core.labeling import (
    compare_geometry,
    electronic_temperature,
    folder_problems,
    in_a_box,
    temperature_problems,
)
from ald_core.options import option
from ald_core.roles import Labeler
from ald_core.script import STDOUT
from ald_core.types import Failure, Frame, JobSpec, Labels
from ald_espresso import inputs
from ald_espresso.inputs import INPUT
from ald_espresso.outputs import read_output

TOLERANCE = 1e-4
"""Å between what was asked for and what pw.x prints, to seven decimals of the lattice parameter; cells to six"""


@attrs.frozen(kw_only=True)
class EspressoLabeler(Labeler):
    """Label frames with single points of Quantum ESPRESSO's pw.x."""

    name: ClassVar[str] = "espresso"
    cites: ClassVar[tuple[str, ...]] = (
        "Giannozzi et al., J. Phys.: Condens. Matter 21, 395502 (2009), doi:10.1088/0953-8984/21/39/395502 "
        "(Quantum ESPRESSO)",
        "Giannozzi et al., J. Phys.: Condens. Matter 29, 465901 (2017), doi:10.1088/1361-648X/aa8f79 "
        "(Quantum ESPRESSO)",
    )
    inputs: Path = option(
        help="folder with pw.in or <T>.pw.in, and pseudopotentials unless pseudo_dir names theirs"
    )
    program: str = option("pw.x", help="pw.x itself", identity=False)
    arguments: tuple[str, ...] = option(
        (), help="further arguments of pw.x, such as -nk 4", identity=False
    )
    temperature: float | None = option(
        None,
        help="K, of the electrons; else that of the frame",
        validator=optional(gt(0.0)),
    )
    stress: bool = option(True, help="ask for the stress of periodic frames as well")
    vacuum: float = option(12.0, help="Å between a molecule and its images", validator=gt(0.0))

    # ------------------------------------------------------------ checks

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether there are inputs, and that of all temperatures has pseudopotentials of these elements."""
        return folder_problems(self.inputs, INPUT, self._problems(elements))

    def check_temperature(self, temperature: float, elements: Sequence[str]) -> list[str]:
        """Whether there is an input for it, which does not ask for another electronic temperature."""

        def disagreement(path: Path, kelvin: float) -> str:
            return inputs.disagreement(inputs.read_file(path), kelvin)

        kelvin = temperature if self.temperature is None else self.temperature
        problems = self._problems(elements)
        return temperature_problems(self.inputs, INPUT, kelvin, problems, disagreement)

    def _problems(self, elements: Sequence[str]) -> Callable[[Path], list[str]]:
        def problems(path: Path) -> list[str]:
            try:
                return inputs.problems(inputs.read_file(path), elements)
            except InputError as error:
                return [str(error)]

        return problems

    def programs(self) -> dict[str, str]:
        """pw.x."""
        return {"program": self.program}

    # ------------------------------------------------------------ one frame

    def prepare(self, frame: Frame, workdir: Path, rung: int) -> JobSpec:
        """Write the input, and copy pseudopotentials that lie beside the user's.

        Raises InputError for inputs that give no labels of the frame.
        """
        kelvin = electronic_temperature(frame, self.temperature)
        user = inputs.read_input(self.inputs, kelvin)
        atoms = in_a_box(frame.atoms, self.vacuum)
        if problems := inputs.problems(user, sorted(set(atoms.get_chemical_symbols()))):
            raise InputError(problems[0])
        text = inputs.input_text(user, atoms, kelvin, self._wants_stress(frame), rung)
        (workdir / INPUT).write_text(text)
        for path in inputs.local_pseudopotentials(user):
            (workdir / path.name).write_bytes(path.read_bytes())
        return JobSpec((self.program, *self.arguments, "-in", INPUT), (STDOUT,))

    def collect(self, frame: Frame, workdir: Path) -> Labels | Failure:
        """Read what pw.x printed: ended, converged, complete and of this frame, or a `Failure`."""
        try:
            text = (workdir / STDOUT).read_text(errors="replace")
        except OSError as error:
            return Failure(f"no readable {STDOUT}: {error.strerror}")
        point = read_output(text, self._wants_stress(frame))
        if isinstance(point, Failure):
            return point
        other = compare_geometry(
            in_a_box(frame.atoms, self.vacuum),
            point.atoms.get_chemical_symbols(),
            point.atoms.positions,
            point.atoms.cell[:],
            TOLERANCE,
        )
        if other is not None:
            return other
        for value in (point.energy, point.forces, point.stress):
            if value is not None and not np.isfinite(value).all():
                return Failure("pw.x printed numbers that are not finite")
        return Labels(point.energy, point.forces, point.stress)

    def _wants_stress(self, frame: Frame) -> bool:
        return self.stress and bool(frame.atoms.pbc.all())
