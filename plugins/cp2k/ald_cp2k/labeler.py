"""The labeler `cp2k`: one single point per frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

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
from ald_core.options import Legacy, option
from ald_core.roles import Labeler
from ald_core.types import Failure, Frame, JobSpec, Labels
from ald_cp2k import inputs
from ald_cp2k.inputs import INPUT, OUTPUT
from ald_cp2k.outputs import read_output

TOLERANCE = 1e-4
"""Å between positions that were asked for and those that CP2K prints, to six decimals; cells have three"""


def _smear(value: Any, old: Callable[[str], Any]) -> float | None:
    """THIS_SMEAR, which is nothing where it is not set."""
    del old
    return float(value) if value else None


@attrs.frozen(kw_only=True)
class Cp2kLabeler(Labeler):
    """Label frames with single points of CP2K (Quickstep: DFT, xTB, DFTB)."""

    name: ClassVar[str] = "cp2k"
    cites: ClassVar[tuple[str, ...]] = (
        "Kühne et al., J. Chem. Phys. 152, 194103 (2020), doi:10.1063/5.0007045 (CP2K)",
    )
    inputs: Path = option(
        help="folder with cp2k.inp or <T>.cp2k.inp, and what they include", legacy="QM_FILES"
    )
    program: str = option("cp2k", help="CP2K itself", identity=False, legacy="CP2K_EXE")
    data: str = option(
        "",
        help="folder of CP2K's basis sets and potentials (CP2K_DATA_DIR), where CP2K does not know it",
        identity=False,
        legacy=Legacy("CP2K_DATADIR", lambda value, _: value or None),
    )
    temperature: float | None = option(
        None,
        help="K, of the electrons; else that of the frame",
        validator=optional(gt(0.0)),
        legacy=Legacy("THIS_SMEAR", _smear),
    )
    stress: bool = option(True, help="ask for the stress of periodic frames as well")
    vacuum: float = option(12.0, help="Å between a molecule and its images", validator=gt(0.0))

    # ------------------------------------------------------------ checks

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether there are inputs, and that of all temperatures gives labels of these elements."""
        return folder_problems(self.inputs, INPUT, self._problems(elements))

    def check_temperature(self, temperature: float, elements: Sequence[str]) -> list[str]:
        """Whether there is an input for it, which does not ask for another electronic temperature."""

        def disagreement(path: Path, kelvin: float) -> str:
            return inputs.disagreement(inputs.read_file(path, elements), kelvin)

        kelvin = temperature if self.temperature is None else self.temperature
        problems = self._problems(elements)
        return temperature_problems(self.inputs, INPUT, kelvin, problems, disagreement)

    def _problems(self, elements: Sequence[str]) -> Callable[[Path], list[str]]:
        def problems(path: Path) -> list[str]:
            try:
                return inputs.problems(inputs.read_file(path, elements), elements, self.data)
            except InputError as error:
                return [str(error)]

        return problems

    def programs(self) -> dict[str, str]:
        """CP2K."""
        return {"program": self.program}

    # ------------------------------------------------------------ one frame

    def prepare(self, frame: Frame, workdir: Path, rung: int) -> JobSpec:
        """Write one input with everything in it, and copy the files that it names.

        Raises InputError for inputs that give no labels of the frame.
        """
        kelvin = electronic_temperature(frame, self.temperature)
        atoms = in_a_box(frame.atoms, self.vacuum)
        elements = sorted(set(atoms.get_chemical_symbols()))
        user = inputs.read_input(self.inputs, kelvin, elements)
        if problems := inputs.problems(user, elements, self.data):
            raise InputError(problems[0])
        inputs.put_frame(user, atoms, self._wants_stress(frame))
        inputs.put_temperature(user, kelvin)
        inputs.put_remedy(user, rung)
        for name in inputs.named_files(user):
            (workdir / name).parent.mkdir(parents=True, exist_ok=True)
            (workdir / name).write_bytes((self.inputs / name).read_bytes())
        (workdir / INPUT).write_text(user.root.text())
        environment = {"CP2K_DATA_DIR": self.data} if self.data else {}
        return JobSpec((self.program, "-i", INPUT, "-o", OUTPUT), (OUTPUT,), environment)

    def collect(self, frame: Frame, workdir: Path) -> Labels | Failure:
        """Read the output: ended, converged, complete and of this frame, or a `Failure`."""
        try:
            text = (workdir / OUTPUT).read_text(errors="replace")
        except OSError as error:
            return Failure(f"no readable {OUTPUT}: {error.strerror}")
        point = read_output(text, self._wants_stress(frame))
        if isinstance(point, Failure):
            return point
        atoms = in_a_box(frame.atoms, self.vacuum)
        other = compare_geometry(atoms, point.symbols, point.positions, None, TOLERANCE)
        other = other or compare_geometry(atoms, None, None, point.cell)
        if other is not None:
            return other
        for value in (point.energy, point.forces, point.stress):
            if value is not None and not np.isfinite(value).all():
                return Failure(f"{OUTPUT} holds numbers that are not finite")
        return Labels(point.energy, point.forces, point.stress)

    def _wants_stress(self, frame: Frame) -> bool:
        return self.stress and bool(frame.atoms.pbc.all())
