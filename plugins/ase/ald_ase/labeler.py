"""The labeler `ase`: one subprocess per frame runs one single point."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import attrs
import numpy as np
from ase import Atoms

from ald_core.digests import digest
from ald_core.options import option
from ald_core.roles import Labeler
from ald_core.types import Failure, FloatArray, Frame, JobSpec, Labels

REQUEST = "request.json"
ANSWER = "labels.json"
MAX_REASON = 300
"""Characters of a reason; some calculators quote pages."""
CHECK_SECONDS = 60.0
"""For making a calculator, which starts programs at most."""


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
        """Whether the calculator can be made with its options.

        This is tried in a process and a folder of its own, as calculators print, write files and start programs.
        """
        del elements
        with TemporaryDirectory(prefix="ald-check-") as folder:
            job = self._job(Path(folder), self._options(300.0, 0), Atoms(), [])
            try:
                subprocess.run(
                    job.command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=True,
                    timeout=CHECK_SECONDS,
                )
                reason = json.loads((Path(folder) / ANSWER).read_text()).get("failure")
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                reason = in_one_line(error)
        if reason is None:
            return []
        return [
            f"calculator '{self.calculator}' cannot be made with its options ({reason}); "
            "correct calculator or options, or install what is missing"
        ]

    def prepare(self, frame: Frame, workdir: Path, rung: int) -> JobSpec:
        """Write the request; failures before now choose among `rungs`."""
        stress = ["stress"] * (self.stress and bool(frame.atoms.pbc.all()))
        options = self._options(frame.temperature, rung)
        return self._job(workdir, options, frame.atoms, ["energy", "forces", *stress])

    def _options(self, temperature: float | None, rung: int) -> dict[str, Any]:
        options = dict(self.options)
        if self.temperature_option and temperature is not None:
            options[self.temperature_option] = temperature
        if rung and self.rungs:
            options |= self.rungs[min(rung, len(self.rungs)) - 1]
        return options

    def _job(
        self, workdir: Path, options: Mapping[str, Any], atoms: Atoms, properties: Sequence[str]
    ) -> JobSpec:
        request = {
            "calculator": self.calculator,
            "options": options,
            "properties": properties,
            **_configuration(atoms),
        }
        (workdir / REQUEST).write_text(json.dumps(request, indent=1) + "\n")
        command = (sys.executable, "-m", "ald_ase.single_point")
        return JobSpec(command, (ANSWER,), serial=True)

    def collect(self, frame: Frame, workdir: Path) -> Labels | Failure:
        """Read the answer; anything but complete numbers in the right shape is a `Failure`."""
        try:
            answer = json.loads((workdir / ANSWER).read_text())
        except (OSError, ValueError) as error:
            return Failure(f"no readable {ANSWER}: {error}")
        if not isinstance(answer, dict):
            return Failure(f"{ANSWER} holds no table")
        asked = configuration_digest(_configuration(frame.atoms))
        if answer.get("configuration", asked) != asked:
            return Failure(f"{ANSWER} is of another configuration")
        if "failure" in answer:
            return Failure(str(answer["failure"]), answer.get("kind", "invalid"))
        try:
            stress = _array(answer["stress"], (6,)) if "stress" in answer else None
            forces = _array(answer["forces"], (len(frame.atoms), 3))
            return Labels(float(answer["energy"]), forces, stress)
        except (KeyError, TypeError, ValueError) as error:
            return Failure(f"{ANSWER} is incomplete: {error}")


def configuration_digest(request: Mapping[str, Any]) -> str:
    """Of the atoms and the cell in a request; the answer repeats it, so that no other frame's is taken for it."""
    return digest(*(request[key] for key in ("numbers", "positions", "cell", "pbc")))


def _configuration(atoms: Atoms) -> dict[str, Any]:
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell[:].tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def in_one_line(error: Exception) -> str:
    """Kind and text of an error, as a reason that fits into a sentence."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"


def _array(values: object, shape: tuple[int, ...]) -> FloatArray:
    array = np.array(values, dtype=float)
    if array.shape != shape:
        raise ValueError(f"an array has shape {array.shape}, not {shape}")
    return array
