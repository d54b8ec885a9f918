"""The labeler `ase`: one subprocess per frame runs one single point."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np

from ald_ase.calculators import calculator_class
from ald_core.options import option
from ald_core.roles import Labeler
from ald_core.types import Failure, FloatArray, Frame, JobSpec, Labels

REQUEST = "request.json"
ANSWER = "labels.json"


@attrs.frozen(kw_only=True)
class AseLabeler(Labeler):
    """Label frames with any ASE calculator, each frame in a process of its own."""

    name: ClassVar[str] = "ase"
    cites: ClassVar[tuple[str, ...]] = (
        "Hjorth Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017), doi:10.1088/1361-648X/aa680e (ASE)",
    )
    calculator: str = option("tblite", help="ASE's name of the calculator, tblite, or module:Class")
    options: Mapping[str, Any] = option(
        factory=dict, help="the calculator's own options, in its own units"
    )
    temperature_option: str | None = option(
        None, help="option of the calculator that receives the frame's temperature in K"
    )
    stress: bool = option(True, help="ask for the stress as well")
    rungs: tuple[Mapping[str, Any], ...] = option(
        (), help="options for the 2nd, 3rd … try after it did not converge"
    )

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether the calculator can be imported."""
        del elements
        try:
            calculator_class(self.calculator)
        except (ImportError, ValueError, AttributeError) as error:
            return [f"calculator '{self.calculator}' cannot be used: {error}; install it"]
        return []

    def prepare(self, frame: Frame, workdir: Path, rung: int) -> JobSpec:
        """Write the request; failures before now choose among `rungs`."""
        options = dict(self.options)
        if self.temperature_option and frame.temperature is not None:
            options[self.temperature_option] = frame.temperature
        if rung and self.rungs:
            options |= self.rungs[min(rung, len(self.rungs)) - 1]
        atoms = frame.atoms
        request = {
            "calculator": self.calculator,
            "options": options,
            "properties": ["energy", "forces"]
            + ["stress"] * (self.stress and bool(atoms.pbc.all())),
            "numbers": atoms.numbers.tolist(),
            "positions": atoms.positions.tolist(),
            "cell": atoms.cell[:].tolist(),
            "pbc": atoms.pbc.tolist(),
        }
        (workdir / REQUEST).write_text(json.dumps(request, indent=1) + "\n")
        return JobSpec((sys.executable, "-m", "ald_ase.single_point"), (ANSWER,))

    def collect(self, frame: Frame, workdir: Path) -> Labels | Failure:
        """Read the answer; anything but complete numbers in the right shape is a `Failure`."""
        try:
            answer = json.loads((workdir / ANSWER).read_text())
        except (OSError, ValueError) as error:
            return Failure(f"no readable {ANSWER}: {error}")
        if not isinstance(answer, dict):
            return Failure(f"{ANSWER} holds no table")
        if "failure" in answer:
            return Failure(str(answer["failure"]), answer.get("kind", "invalid"))
        try:
            stress = _array(answer["stress"], (6,)) if "stress" in answer else None
            forces = _array(answer["forces"], (len(frame.atoms), 3))
            return Labels(float(answer["energy"]), forces, stress)
        except (KeyError, TypeError, ValueError) as error:
            return Failure(f"{ANSWER} is incomplete: {error}")


def _array(values: object, shape: tuple[int, ...]) -> FloatArray:
    array = np.array(values, dtype=float)
    if array.shape != shape:
        raise ValueError(f"an array has shape {array.shape}, not {shape}")
    return array
