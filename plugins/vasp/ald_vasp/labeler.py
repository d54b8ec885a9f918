"""The labeler `vasp`: one single point per frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np
from ase import units
from attrs.validators import deep_iterable, gt, in_, optional

from ald_core.errors import InputError
from ald_core.labeling import (
    Grouped,
    compare_geometry,
    electronic_temperature,
    find_input,
    group_by_element,
    in_a_box,
    missing_input,
)
from ald_core.options import Legacy, option
from ald_core.roles import Labeler
from ald_core.script import STDERR, STDOUT
from ald_core.types import Failure, Frame, JobSpec, Labels
from ald_vasp import files, rules
from ald_vasp.failures import failure_of_run
from ald_vasp.incar import AS_IT_IS, Incar, read_incar
from ald_vasp.outcar import Outcar, parse_outcar

OUTCAR = "OUTCAR"
TOLERANCE = 1e-4
"""Å between what was asked for and what OUTCAR prints to five decimals"""
STRESS = -0.1 * units.GPa
"""eV/Å³ in tension for 1 kB in compression"""
VOIGT = (0, 1, 2, 4, 5, 3)
"""xx yy zz yz xz xy of VASP's xx yy zz xy yz zx"""
SIGMA_DIGITS = 0.00501
"""eV; OUTCAR prints SIGMA to two decimals"""


@attrs.frozen(kw_only=True)
class VaspLabeler(Labeler):
    """Label frames with single points of VASP 5 or 6."""

    name: ClassVar[str] = "vasp"
    cites: ClassVar[tuple[str, ...]] = (
        "Kresse, Furthmüller, Phys. Rev. B 54, 11169 (1996), doi:10.1103/PhysRevB.54.11169 (VASP)",
        "Kresse, Joubert, Phys. Rev. B 59, 1758 (1999), doi:10.1103/PhysRevB.59.1758 (PAW potentials)",
    )
    inputs: Path = option(
        help="folder with INCAR or 6000.INCAR, KPOINTS or 6000.KPOINTS, and C.POTCAR, …",
        legacy="QM_FILES",
    )
    program: str = option("vasp_std", help="VASP itself", identity=False, legacy="VASP_EXE")
    temperature: float | None = option(
        None,
        help="K, of the electrons; else that of the frame",
        validator=optional(gt(0.0)),
        legacy=Legacy("THIS_SMEAR", lambda value, _: float(value) if value else None),
    )
    smearing: rules.Smearing = option(
        "check",
        help="ISMEAR = -1 and SIGMA = k_B T: check the INCAR, set what it does not tell, or take any",
    )
    stress: bool = option(True, help="ask for the stress as well")
    vacuum: float = option(12.0, help="Å between a molecule and its images", validator=gt(0.0))
    algorithms: tuple[str, ...] = option(
        ("Normal", "All", "Damped"),
        help="ALGO of the 2nd, 3rd … try after it did not converge; that of the INCAR is left out",
        validator=deep_iterable(in_(tuple(rules.ALGORITHMS))),
    )

    # ------------------------------------------------------------ checks

    def programs(self) -> Mapping[str, str]:
        """VASP itself."""
        return {"program": self.program}

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether there is a folder with a potential for each element."""
        if not self.inputs.is_dir():
            return [f"{self.inputs}: it is no folder; give the folder with INCAR and POTCARs"]
        return files.potcar_problems(self.inputs, elements)

    def check_temperature(self, temperature: float, elements: Sequence[str]) -> list[str]:
        """Whether there are INCAR and KPOINTS for it, and whether they ask for labels at this temperature."""
        electrons = temperature if self.temperature is None else self.temperature
        try:
            path, incar, problems = self._incar(electrons)
        except InputError as error:
            return [str(error)]
        return problems + rules.elements_problems(incar, path, elements)

    def _incar(self, kelvin: float | None) -> tuple[Path, Incar, list[str]]:
        """The INCAR for a temperature, and all that is wrong; InputError if there is none that can be read."""
        path = find_input(self.inputs, "INCAR", kelvin)
        if path is None:
            raise InputError(missing_input(self.inputs, "INCAR", kelvin))
        incar = read_incar(path)
        problems = rules.incar_problems(incar, path, kelvin, self.smearing, stress=self.stress)
        return path, incar, problems + files.kpoints_problems(self.inputs, incar, kelvin)

    # ------------------------------------------------------------ one frame

    def prepare(self, frame: Frame, workdir: Path, rung: int) -> JobSpec:
        """Write INCAR, KPOINTS, POSCAR and POTCAR; failures to converge choose among `algorithms`.

        Raises InputError for inputs that do not fit the frame.
        """
        kelvin = electronic_temperature(frame, self.temperature)
        path, incar, problems = self._incar(kelvin)
        grouped = self._grouped(frame)
        problems += rules.per_element_problems(incar, path, grouped.elements)
        problems += files.potcar_problems(self.inputs, grouped.elements)
        if problems:
            raise InputError(f"frame {frame.id}: {problems[0]}")
        settings = rules.smearing_settings(incar, kelvin, self.smearing)
        settings |= rules.rung_settings(incar, self.algorithms, rung)
        text = rules.changed_incar(incar, settings)
        (workdir / "INCAR").write_bytes(text.encode(errors=AS_IT_IS))
        kpoints = find_input(self.inputs, "KPOINTS", kelvin)
        if kpoints is not None:
            (workdir / "KPOINTS").write_bytes(kpoints.read_bytes())
        (workdir / "POSCAR").write_text(files.poscar(grouped.atoms, kelvin, frame.id))
        (workdir / "POTCAR").write_bytes(files.potcar(self.inputs, grouped.elements))
        return JobSpec((self.program,), (OUTCAR,))

    def collect(self, frame: Frame, workdir: Path) -> Labels | Failure:
        """Read OUTCAR: converged, complete, of this frame and its temperature, or a `Failure`."""
        text = _text(workdir / OUTCAR)
        outcar = parse_outcar(text) if text.strip() else None
        said = _text(workdir / STDOUT) + "\n" + _text(workdir / STDERR)
        failure = failure_of_run(outcar, text, said)
        if failure is not None or outcar is None:
            return failure or Failure("there is no OUTCAR")
        grouped = self._grouped(frame)
        failure = self._of_another_frame(outcar, grouped, frame)
        return failure or self._labels(outcar, grouped, periodic=bool(frame.atoms.pbc.all()))

    def _grouped(self, frame: Frame) -> Grouped:
        """The atoms as they stand in POSCAR."""
        return group_by_element(in_a_box(frame.atoms, self.vacuum))

    def _of_another_frame(self, outcar: Outcar, grouped: Grouped, frame: Frame) -> Failure | None:
        """Whether OUTCAR is of these atoms, and of electrons at their temperature."""
        if outcar.symbols is None or outcar.cell is None:
            return Failure("OUTCAR does not tell its elements, or its cell")
        if outcar.positions is None:
            return _unreadable("forces", outcar)
        failure = compare_geometry(
            grouped.atoms, outcar.symbols, outcar.positions, outcar.cell, TOLERANCE
        )
        kelvin = electronic_temperature(frame, self.temperature)
        if failure is not None or self.smearing == "any" or kelvin is None:
            return failure
        return _of_other_electrons(outcar, kelvin)

    def _labels(self, outcar: Outcar, grouped: Grouped, *, periodic: bool) -> Labels | Failure:
        """Numbers in the units and the atom order of the frame."""
        if outcar.forces is None:
            return _unreadable("forces", outcar)
        if outcar.energy is None:
            return _unreadable("energy", outcar)
        stress = None
        if self.stress and periodic:
            if outcar.stress is None:
                return _unreadable("stress", outcar)
            stress = STRESS * outcar.stress[list(VOIGT)]
        labels = Labels(outcar.energy, grouped.in_frame_order(outcar.forces), stress)
        numbers = {"energy": labels.energy, "forces": labels.forces, "stress": stress}
        wrong = [n for n, v in numbers.items() if v is not None and not np.isfinite(v).all()]
        return Failure(f"{' and '.join(wrong)}: not finite") if wrong else labels


def _of_other_electrons(outcar: Outcar, kelvin: float) -> Failure | None:
    asked = kelvin * units.kB
    if outcar.ismear != -1 or outcar.sigma is None:
        return Failure(f"OUTCAR says ISMEAR = {outcar.ismear}, not -1")
    if abs(outcar.sigma - asked) > SIGMA_DIGITS + rules.NEAR * asked:
        return Failure(f"OUTCAR says SIGMA = {outcar.sigma}, which is not {kelvin:g} K")
    if outcar.too_few_bands:
        return Failure("the highest band is occupied; give the INCAR a larger NBANDS", "input")
    return None


def _unreadable(what: str, outcar: Outcar) -> Failure:
    if what in outcar.overflow:
        return Failure(f"VASP printed stars for the {what}, which is too large")
    return Failure(f"OUTCAR holds no {what} that can be read")


def _text(path: Path) -> str:
    """What a file holds; nothing if it is not there."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
