"""What Gaussian has written.

cclib reads atoms, charge, multiplicity and version. It does not tell whether the SCF has converged; it gives positions
and forces in Gaussian's standard orientation, turned and rounded, and energies in eV by constants of 2010: these, and
how a calculation ended, are read here, as printed.
"""

from __future__ import annotations

import io
import logging
import math
import re
from itertools import pairwise
from pathlib import Path

import attrs
import numpy as np
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree

from ald_core.types import Failure, FailureKind, FloatArray

_DONE = re.compile(r"^ SCF Done:\s+E\((\S+)\)\s*=\s*(\S+)\s", re.MULTILINE)
_NOT_MET = "Convergence criterion not met"
_END = re.compile(r"^ Normal termination of Gaussian", re.MULTILINE)
_LINK = re.compile(r"^ Error termination via \S+ in (?:\S*/)?l(\d+)\.exe", re.MULTILINE)
_BEYOND_SCF = re.compile(
    r"EUMP2|^ *E2\(|E\(CORR\)|^ Excited State +\d|Counterpoise corrected energy|E\(TD-|\bE\(CI", re.MULTILINE
)  # fmt: skip
_CAUSES: tuple[tuple[str, FailureKind, str], ...] = (
    (
        r"^.*Out-of-memory error.*$(?:\n.*%mem.*$)?",
        "memory",
        "too little memory (option memory): {}",
    ),
    (
        r"^.*(?:could not allocate memory|malloc failed).*$",
        "memory",
        "too little memory (option memory): {}",
    ),
    (r"^.*(?:No space left on device|Erroneous write).*$", "infrastructure", "disk full: {}"),
    (r"^ QPErr.*\n.*$", "input", "Gaussian does not understand the route: {}"),
    (r"^.*combination of multiplicity.*impossible.*$", "input", "{}"),
    (r"^.*(?:tomic number out of range|No such basis|Unrecognized basis).*$", "input", "{}"),
    (r"^.*Small interatomic distances.*$", "invalid", "atoms are too close: {}"),
    (r"^.*Convergence failure -- run terminated.*$", "numerical", "the SCF did not converge"),
)
"""Patterns of what went wrong, their kinds, and sentences with what is printed."""
TRANSLATION = -2
"""Atomic number of a translation vector of a periodic calculation"""
_NUMERICAL_LINKS = {"502": "the SCF", "508": "the quadratic SCF", "9999": "the optimisation"}


@attrs.frozen(eq=False)
class Output:
    """A calculation that has converged, in the orientation of its input."""

    version: str
    charge: int
    multiplicity: int
    symbols: tuple[str, ...]
    positions: FloatArray
    """(n, 3) Å"""
    energy: float
    """eV, of the SCF"""
    forces: FloatArray
    """(n, 3) eV/Å"""


def read_output(path: Path) -> Output | Failure:
    """What a calculation gave, or why it gave nothing."""
    failure = why_failed(path)
    if failure is not None:
        return failure
    found = _read(_text(path))
    if isinstance(found, Failure):
        return attrs.evolve(found, reason=f"{path.name}: {found.reason}")
    return found


def why_failed(path: Path) -> Failure | None:
    """Why a calculation did not end well, or did not converge; None if it did both."""
    try:
        failure = _ending(_text(path))
    except OSError as error:
        return Failure(f"{path.name}: there is no output ({error.strerror})")
    return failure and attrs.evolve(failure, reason=f"{path.name}: {failure.reason}")


def echoes(path: Path, *asked: str) -> bool:
    """Whether Gaussian repeats these lines of its input, between rules; it breaks them where they are long."""
    head = "".join(_text(path).partition("Multiplicity =")[0].split()).lower()
    return all(f"-{''.join(line.split()).lower()}-" in head for line in asked)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


# ---------------------------------------------------------------- how it ended


def _ending(text: str) -> Failure | None:
    """Why a calculation came to no good end; None if it did."""
    ends = [m.start() for m in _END.finditer(text)]
    last = text.rstrip().rfind("\n") + 1
    if len(ends) == 1 and ends[0] == last and text.endswith("\n"):
        return _convergence(text)
    for pattern, kind, sentence in _CAUSES:
        said = re.search(pattern, text, re.MULTILINE)
        if said:
            return Failure(sentence.format(" ".join(said[0].split())), kind)
    link = _LINK.search(text)
    if link and link[1] in _NUMERICAL_LINKS:
        what = _NUMERICAL_LINKS[link[1]]
        return Failure(f"{what} did not converge (link {link[1]})", "numerical")
    if link:
        before = [line.strip() for line in text[: link.start()].splitlines() if line.strip()]
        said_last = f": {before[-1][:120]}" if before else ""
        return Failure(f"Gaussian stopped with an error in link {link[1]}{said_last}")
    if ends:
        return Failure(f"it has {len(ends)} normal terminations, or text behind the only one")
    return Failure("the output ends without a normal termination: it was stopped, or is cut off")


def _convergence(text: str) -> Failure | None:
    """Whether the SCF that counts, the last, has converged: with XQC, one that has not may come before it."""
    done = list(_DONE.finditer(text))
    if not done:
        return Failure("there is no line 'SCF Done'")
    before = done[-2].end() if len(done) > 1 else 0
    if _NOT_MET in text[before : done[-1].start()] or _NOT_MET in text[done[-1].end() :]:
        return Failure(f"the SCF did not converge, and went on nevertheless ({_NOT_MET})", "numerical")  # fmt: skip
    beyond = _BEYOND_SCF.search(text)
    if beyond:
        return Failure(
            f"the forces are not those of the SCF energy ('{beyond[0].strip()}'): method and keywords must be of "
            "Hartree-Fock or a density functional in its ground state",
            "input",
        )
    return None


# ---------------------------------------------------------------- numbers


def _read(text: str) -> Output | Failure:
    from cclib.io.ccio import ccread  # noqa: PLC0415  takes a second to import

    try:
        data = ccread(io.StringIO(text), loglevel=logging.CRITICAL)
        numbers = [int(n) for n in data.atomnos if n != TRANSLATION]
        charge, multiplicity = int(data.charge), int(data.mult)
        version = str(data.metadata["package_version"])
        energy = float(_DONE.findall(text)[-1][1].replace("D", "E"))
        places = _table(text, r"^ +Input orientation: *$", (7, 18), (34, 46, 58, 70))
        pulls = _table(text, r"^.*Forces \(Hartrees/Bohr\) *$", (7, 16), (23, 38, 53, 68))
    except Exception as error:  # noqa: BLE001  cclib fails in many ways
        return Failure(f"the output cannot be read ({type(error).__name__}: {error})")
    if places[0] != numbers or pulls[0] != numbers:
        return Failure("tables of the output speak of different atoms")
    if not (math.isfinite(energy) and np.isfinite(places[1]).all() and np.isfinite(pulls[1]).all()):
        return Failure("a number of the output is not finite")
    symbols = tuple(chemical_symbols[n] for n in numbers)
    forces = pulls[1] * (Hartree / Bohr)
    return Output(version, charge, multiplicity, symbols, places[1], energy * Hartree, forces)


def _table(
    text: str, heading: str, number: tuple[int, int], columns: tuple[int, ...]
) -> tuple[list[int], FloatArray]:
    """Atomic numbers and vectors of the last table with a heading; IndexError, ValueError if it is not whole.

    Columns are fixed, since large numbers touch each other.
    """
    place = [m.end() for m in re.finditer(heading, text, re.MULTILINE)][-1]
    numbers: list[int] = []
    vectors: list[list[float]] = []
    for line in text[place:].split("\n"):
        if re.fullmatch(r" *-+ *", line):
            if numbers:
                return numbers, np.array(vectors, dtype=np.float64).reshape(-1, 3)
        elif line[: number[0]].strip().isdecimal():
            vectors.append([float(line[a:b]) for a, b in pairwise(columns)])
            numbers.append(int(line[slice(*number)]))
            if numbers[-1] == TRANSLATION:
                del vectors[-1], numbers[-1]
    raise ValueError(f"a table is cut off: {heading!r}")
