"""What CP2K printed: whether it is an answer, and the numbers in it, in the texts and units of old and new versions."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs
import numpy as np
from ase import units
from ase.stress import full_3x3_to_voigt_6_stress

from ald_core.types import Failure, FailureKind, FloatArray

NUMBER = r"[-+]?\d+\.\d*(?:[EeDd][-+]?\d+)?"
_ENERGY = re.compile(
    r"^ ENERGY\| Total FORCE_EVAL \( .*? \) energy [(\[](.+?)[)\]]:?\s+(\S+)\s*$", re.MULTILINE
)
_FORCES = re.compile(
    r"^ (?:ATOMIC FORCES in|FORCES\| Atomic forces) \[(.+?)\]\s*$", re.MULTILINE | re.IGNORECASE
)
_FORCE = re.compile(r"^ (?:FORCES\|)?\s+(\d+)\s+(?:(\d+)\s+([A-Za-z]\w*)\s+)?(\S+)\s+(\S+)\s+(\S+)")
_END_OF_FORCES = re.compile(r"^ (?:SUM OF ATOMIC FORCES|FORCES\|\s+(?:Sum|Total))\b", re.IGNORECASE)
_STRESS = re.compile(
    r"^ (?:STRESS TENSOR|STRESS\| (?:Analytical|Numerical) stress tensor) \[(.+?)\]\s*$",
    re.MULTILINE,
)
_POSITIONS = re.compile(
    r"^ MODULE QUICKSTEP:\s+ATOMIC COORDINATES IN (\w+)\s*$", re.MULTILINE | re.IGNORECASE
)
_POSITION = re.compile(r"^\s+(\d+)\s+\d+\s+([A-Z][a-z]?)\s+\d+\s+(\S+)\s+(\S+)\s+(\S+)\s")
_VECTOR = re.compile(
    rf"^ CELL\| Vector ([abc]) \[angstrom\]:\s+({NUMBER})\s+({NUMBER})\s+({NUMBER})\s",
    re.MULTILINE,
)
_ABORT = re.compile(r"\[ABORT\](.*?)^ \*{20,}", re.MULTILINE | re.DOTALL)

NOT_CONVERGED = ("SCF run NOT converged", "outer SCF loop FAILED to converge")
CONVERGED = ("*** SCF run converged in", "outer SCF loop converged in")
ENDED = "PROGRAM ENDED AT"
OUT_OF_TIME = "exceeded requested execution time"
MISTAKES = ("input", "file", "kind", "basis", "potential", "keyword", "section", "pseudo")
"""Words of messages that no retry can help"""
NUMERICAL = ("converge", "cholesky", "diagonaliz", "eigenvalue", "singular", "factorization")
MEMORY = ("memory", "allocat")
_DEFORMED = re.compile(r"^ \*+ NUMERICAL STRESS \*+$.*?^ \*+ NUMERICAL STRESS END", re.M | re.S)
"""Points at deformed cells, from which a numerical stress comes"""

ENERGY_UNITS = {"a.u.": units.Hartree, "hartree": units.Hartree}
FORCE_UNITS = {
    "a.u.": units.Hartree / units.Bohr,
    "hartree/bohr": units.Hartree / units.Bohr,
    "ev/angstrom": 1.0,
}
STRESS_UNITS = {"gpa": units.GPa, "bar": units.bar, "kbar": 1e3 * units.bar, "pa": units.Pascal}
"""eV/Å³ per unit of pressure, which is minus the stress"""


@attrs.frozen(eq=False)
class Point:
    """What one run says, in ASE's units."""

    symbols: Sequence[str]
    positions: FloatArray
    cell: FloatArray
    energy: float
    """With the electronic entropy: what the forces are derivatives of"""
    forces: FloatArray
    stress: FloatArray | None


class Unclear(Exception):
    """What cannot be read."""


def read_output(text: str, stress: bool) -> Point | Failure:
    """Energy, forces, stress and geometry of a run that came to its end and converged, or why there are none."""
    failure = _failure(text)
    if failure is not None:
        return failure
    text = _DEFORMED.sub("", text)
    try:
        symbols, positions = _read_positions(text)
        return Point(
            symbols,
            positions,
            _read_cell(text),
            _read_energy(text),
            _read_forces(text, symbols),
            _read_stress(text) if stress else None,
        )
    except Unclear as error:
        return Failure(f"CP2K's output is incomplete: {error}")


def _failure(text: str) -> Failure | None:
    if any(words in text for words in NOT_CONVERGED):
        return Failure("CP2K: SCF run NOT converged", "numerical")
    if (abort := _ABORT.search(text)) is not None:
        return _abort(abort[1])
    if OUT_OF_TIME in text:
        return Failure("CP2K ended because its WALLTIME was over", "time")
    if ENDED not in text:
        return Failure("CP2K's output is cut off: it does not say that the program ended")
    if not any(words in text for words in CONVERGED):
        return Failure("CP2K's output is incomplete: it does not say that SCF converged")
    return None


def _abort(box: str) -> Failure:
    """CP2K gave up; words and source file are in a box with a stick figure."""
    lines = [
        re.sub(r"^\s*\*(?:  \\___/|    \||  O/\||\s/\| \||\s/ \\)?", "", x)
        for x in box.splitlines()
    ]
    words = " ".join(" ".join(lines).replace("*", " ").split())
    message, _, place = words.rpartition(" ")
    if not re.fullmatch(r"\S+\.F:\d+", place):
        message, place = words, ""
    kinds: tuple[tuple[FailureKind, Sequence[str]], ...] = (
        ("memory", MEMORY), ("numerical", NUMERICAL), ("input", MISTAKES),
    )  # fmt: skip
    kind: FailureKind = next(
        (k for k, known in kinds if any(w in message.lower() for w in known)), "invalid"
    )
    if place.startswith("input/"):
        kind = "input"
    return Failure(f"CP2K: {message[:250] or 'ABORT'}", kind)


# ---------------------------------------------------------------- numbers


def _float(word: str) -> float:
    try:
        return float(word.replace("D", "E").replace("d", "e"))
    except ValueError:
        raise Unclear(f"'{word[:30]}' is no number") from None


def _factor(known: dict[str, float], unit: str, what: str) -> float:
    try:
        return known[unit.strip().lower()]
    except KeyError:
        raise Unclear(f"{what} in the unknown unit '{unit[:30]}'") from None


def _read_energy(text: str) -> float:
    found = _ENERGY.findall(text)
    if not found:
        raise Unclear("there is no energy")
    if len(found) > 1:
        raise Unclear(f"there are {len(found)} energies")
    unit, number = found[0]
    return _float(number) * _factor(ENERGY_UNITS, unit, "the energy")


def _read_forces(text: str, symbols: Sequence[str]) -> FloatArray:
    blocks = list(_FORCES.finditer(text))
    if len(blocks) != 1:
        raise Unclear(f"there are {len(blocks)} tables of forces")
    rows: list[list[float]] = []
    for line in text[blocks[0].end() :].splitlines():
        if _END_OF_FORCES.match(line):
            break
        row = _FORCE.match(line)
        if row is None:
            continue
        n = len(rows)
        wanted = symbols[n] if n < len(symbols) else None
        if int(row[1]) != n + 1 or (row[3] and row[3] != wanted):
            raise Unclear(f"forces of atom {row[1]} ({row[3] or '?'}) after {n} others")
        rows.append([_float(word) for word in row.group(4, 5, 6)])
    else:
        raise Unclear("the table of forces has no end")
    if len(rows) != len(symbols):
        raise Unclear(f"there are forces of {len(rows)} atoms, not {len(symbols)}")
    return np.array(rows) * _factor(FORCE_UNITS, blocks[0][1], "forces")


def _read_stress(text: str) -> FloatArray:
    blocks = list(_STRESS.finditer(text))
    if len(blocks) != 1:
        raise Unclear(f"there are {len(blocks)} stress tensors")
    rows: list[list[float]] = []
    for line in text[blocks[0].end() :].splitlines():
        words = line.replace("STRESS|", " ").split()
        if len(words) == 4 and words[0].lower() == "xyz"[len(rows)]:
            rows.append([_float(word) for word in words[1:]])
        if len(rows) == 3:
            break
    else:
        raise Unclear("the stress tensor has no end")
    tensor = np.array(rows) * _factor(STRESS_UNITS, blocks[0][1], "the stress")
    if not np.allclose(tensor, tensor.T, rtol=0.0, atol=1e-3 * float(np.abs(tensor).max())):
        raise Unclear("the stress tensor is not symmetric")
    voigt: FloatArray = -full_3x3_to_voigt_6_stress(0.5 * (tensor + tensor.T))
    return voigt


def _read_positions(text: str) -> tuple[list[str], FloatArray]:
    block = _POSITIONS.search(text)
    if block is None:
        raise Unclear("there are no atomic coordinates")
    if block[1].lower() != "angstrom":
        raise Unclear(f"atomic coordinates in the unit '{block[1]}'")
    symbols: list[str] = []
    positions: list[list[float]] = []
    for line in text[block.end() :].splitlines():
        row = _POSITION.match(line)
        if row is None and positions:
            break
        if row is not None:
            symbols.append(row[2])
            positions.append([_float(word) for word in row.group(3, 4, 5)])
    if not positions:
        raise Unclear("there are no atomic coordinates")
    return symbols, np.array(positions)


def _read_cell(text: str) -> FloatArray:
    found = [match.groups() for match in _VECTOR.finditer(text)][:3]
    if [vector[0] for vector in found] != ["a", "b", "c"]:
        raise Unclear("there is no cell")
    return np.array([[_float(number) for number in vector[1:]] for vector in found])
