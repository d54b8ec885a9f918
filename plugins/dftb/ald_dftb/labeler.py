"""The labeler `dftb`: energies, forces and stresses from DFTB+."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import attrs
from attrs.validators import ge, optional

from ald_core.errors import InputError
from ald_core.labeling import electronic_temperature
from ald_core.options import Legacy, option
from ald_core.roles import Labeler
from ald_core.script import STDOUT
from ald_core.types import Failure, Frame, JobSpec, Labels
from ald_dftb.acceptance import accept
from ald_dftb.inputs import INPUT, check_inputs, read_inputs, write_inputs
from ald_dftb.outputs import DETAILS, RESULTS, UNDERSTOOD

CITES = ("Hourahine et al., J. Chem. Phys. 152, 124101 (2020), doi:10.1063/1.5143190 (DFTB+)",)


@attrs.frozen(kw_only=True)
class DftbLabeler(Labeler):
    """Label frames with single-point calculations of DFTB+."""

    name: ClassVar[str] = "dftb"
    cites: ClassVar[tuple[str, ...]] = CITES
    inputs: Path = option(
        help="folder with dftb_in.hsd, or one for each temperature (6000.dftb_in.hsd), and Slater-Koster files",
        legacy="QM_FILES",
    )
    program: str = option("dftb+", help="program to run", legacy="DFTB_EXE", identity=False)
    temperature: float | None = option(
        None,
        help="electronic temperature of all frames, K; else that of their case",
        validator=optional(ge(0.0)),
        legacy=Legacy("THIS_SMEAR", lambda value, _: float(value) if value else None),
    )

    def programs(self) -> Mapping[str, str]:
        """DFTB+."""
        return {"program": self.program}

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether there are inputs."""
        if not self.inputs.is_dir():
            return [f"{self.inputs}: this is no folder; name the one that holds {INPUT}"]
        if not any(self.inputs.glob(f"*{INPUT}")):
            return [f"{self.inputs}: there is no {INPUT}; add it, or correct the folder"]
        if self.temperature is None:
            return []
        return self.check_temperature(self.temperature, elements)

    def check_temperature(self, temperature: float, elements: Sequence[str]) -> list[str]:
        """Whether the inputs for it are there, ask for forces, and have this filling temperature."""
        chosen = temperature if self.temperature is None else self.temperature
        try:
            return check_inputs(read_inputs(self.inputs, chosen), elements, chosen)
        except InputError as error:
            return [str(error)]

    def prepare(self, frame: Frame, workdir: Path, rung: int) -> JobSpec:
        """Write the input, the geometry and the Slater-Koster files that these atoms need."""
        temperature = electronic_temperature(frame, self.temperature)
        inputs = read_inputs(self.inputs, temperature)
        elements = sorted(set(frame.atoms.get_chemical_symbols()))
        problems = check_inputs(inputs, elements, temperature)
        if problems:
            raise InputError(problems[0])
        write_inputs(inputs, frame.atoms, temperature, rung, workdir)
        return JobSpec((self.program,), (RESULTS, DETAILS, UNDERSTOOD, STDOUT))

    def collect(self, frame: Frame, workdir: Path) -> Labels | Failure:
        """The labels, if the outputs are complete, converged, of this frame, and agree with each other."""
        texts = {}
        for name in (STDOUT, UNDERSTOOD, RESULTS, DETAILS):
            try:
                texts[name] = (workdir / name).read_bytes().decode(errors="replace")
            except FileNotFoundError:
                texts[name] = ""
            except OSError as error:
                return Failure(f"{name} cannot be read: {error}", "infrastructure")
        return accept(frame, texts, electronic_temperature(frame, self.temperature))
