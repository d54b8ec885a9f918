"""What pw.x printed: whether it is an answer, and the numbers in it, with ASE's reader."""

from __future__ import annotations

import io
import re

import attrs
import numpy as np
from ase import Atoms
from ase.units import create_units

from ald_core.types import Failure, FailureKind, FloatArray

ENDED = "JOB DONE."
NOT_CONVERGED = "convergence NOT achieved"
CONVERGED = "convergence has been achieved"
OUT_OF_TIME = "Maximum CPU time exceeded"
_ENERGY = re.compile(r"^!+\s+total energy\s*=\s*(\S+)\s+Ry\s*$", re.MULTILINE)
_ERROR = re.compile(r"Error in routine\s+(.+?)\s*\(\s*-?\d+\s*\):?\s*\n(.*?)%{20,}", re.DOTALL)
_FORCE = re.compile(r"^\s+atom\s+(\d+)\s+type\s+\d+\s+force =((?:\s+\S+){3})\s*$", re.MULTILINE)
_FORCES = re.compile(r"^\s+Forces acting on atoms.*?\n(.*?)^\s+Total force =", re.M | re.S)
_STRESS = re.compile(r"^\s+total\s+stress\s+\(Ry/bohr\*\*3\).*\n((?:.*\n){3})", re.MULTILINE)
_WIDTH = re.compile(r"Fermi-Dirac smearing, width \(Ry\)=\s*(\S+)")
OCCUPIED = 0.01
"""Of the highest band, which ought to be empty"""
RYDBERG = float(create_units("2006")["Ry"])
"""eV, with the constants of Quantum ESPRESSO, which are those of ASE's reader"""

KINDS: tuple[tuple[FailureKind, re.Pattern[str]], ...] = (
    ("memory", re.compile(r"memory|allocat", re.IGNORECASE)),
    ("input", re.compile(r"read_|readpp|upf|card|namelist|pseudo|input|iosys|open", re.IGNORECASE)),
    ("numerical", re.compile(r"diag|bands|cholesk|s matrix|charge is wrong|ortho|eigen|converge", re.IGNORECASE)),
)  # fmt: skip
"""By words of the routine and the message of an error"""


@attrs.frozen(eq=False)
class Point:
    """What one run says, in ASE's units."""

    atoms: Atoms
    energy: float
    """With -TS: what the forces are derivatives of"""
    forces: FloatArray
    stress: FloatArray | None


def read_output(text: str, stress: bool) -> Point | Failure:
    """Energy, forces, stress and geometry of a run that came to its end and converged, or why there are none."""
    failure = _failure(text)
    if failure is not None:
        return failure
    try:
        return _read(text, stress)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        words = " ".join(f"{type(error).__name__} {error}".split())[:200]
        return Failure(f"pw.x's output cannot be read: {words}")


def _failure(text: str) -> Failure | None:  # noqa: PLR0911  one answer per fault
    if (error := _ERROR.search(text)) is not None:
        words = " ".join(f"{error[1]}: {error[2]}".split())[:250]
        kind: FailureKind = next((k for k, known in KINDS if known.search(words)), "invalid")
        return Failure(f"pw.x: error in {words}", kind)
    if NOT_CONVERGED in text:
        return Failure(f"pw.x: SCF {NOT_CONVERGED}", "numerical")
    if OUT_OF_TIME in text:
        return Failure("pw.x ended because its max_seconds were over", "time")
    if ENDED not in text:
        return Failure("pw.x's output is cut off: it does not say JOB DONE")
    if text.count("Program PWSCF") != 1:
        return Failure("pw.x's output is of several runs; does the launcher fit the MPI of pw.x?")
    if CONVERGED not in text:
        return Failure("pw.x's output is incomplete: it does not say that SCF converged")
    return None


def _read(text: str, stress: bool) -> Point | Failure:  # noqa: PLR0911  one answer per fault
    from ase.io.espresso import read_espresso_out  # noqa: PLC0415  takes long

    energies = _ENERGY.findall(text)
    if not energies:
        return Failure("pw.x's output is incomplete: there is no total energy")
    if len(_FORCES.findall(text)) != 1:
        return Failure("pw.x's output is incomplete: there is not one table of forces")
    if stress and len(_STRESS.findall(text)) != 1:
        return Failure("pw.x's output is incomplete: there is not one stress tensor")
    images = list(read_espresso_out(io.StringIO(text)))
    if len(images) != 1:
        return Failure(f"pw.x's output is of {len(images)} configurations, not of one")
    atoms: Atoms = images[0]
    results = atoms.calc.results
    forces = np.asarray(results["forces"], dtype=np.float64)
    printed = [int(row[0]) for row in _FORCE.findall(_FORCES.findall(text)[0])]
    if printed[: len(atoms)] != list(range(1, len(atoms) + 1)) or forces.shape != (len(atoms), 3):
        return Failure("pw.x's output is incomplete: there are no forces of all atoms")
    tensor = np.asarray(results["stress"], dtype=np.float64) if stress else None
    if (occupied := _highest_occupation(text, atoms)) > OCCUPIED:
        words = f"the highest band has an occupation of {occupied:.2g} per spin; give a larger nbnd"
        return Failure(f"pw.x: {words}", "input")
    energy = float(energies[-1]) * RYDBERG  # hybrid functionals print one per outer loop
    atoms.calc = None
    return Point(atoms, energy, forces, tensor)


def _highest_occupation(text: str, atoms: Atoms) -> float:
    """Of the highest band at an electronic temperature, at any k-point; 0 if it is not printed."""
    width = _WIDTH.search(text)
    points = atoms.calc.kpts
    if width is None or not points:
        return 0.0
    above = min(float(point.eps_n[-1]) for point in points) - atoms.calc.get_fermi_level()
    return float(0.5 * (1.0 - np.tanh(0.5 * above / (float(width[1]) * RYDBERG))))
