"""What DFTB+ leaves: results.tag, detailed.out, the input as it understood it, and its standard output."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from io import StringIO

import attrs
import numpy as np
from ase import Atoms

from ald_core.errors import InputError
from ald_core.types import FloatArray
from ald_dftb.hsd import parse

RESULTS = "results.tag"
DETAILS = "detailed.out"
UNDERSTOOD = "dftb_pin.hsd"

NOT_CONVERGED = "SCC is NOT converged"
_HEAD = re.compile(r"^([A-Za-z_][\w ]*?) *:(real|integer|logical|complex):(\d+):([\d,]*) *$")
_ENERGY = re.compile(r"^ *Total Mermin free energy: +(\S+) +H\b", re.MULTILINE)
_PRESSURE = re.compile(r"^ *Pressure: +(\S+) +au\b", re.MULTILINE)
_TEMPERATURE = re.compile(r"^ *Electronic temperature: +(\S+) +H\b", re.MULTILINE)
_ERROR = re.compile(r"^ERROR!\s*\n((?:-> .*\n?)+)", re.MULTILINE)
STARTED = "Geometry step"
"""Is printed when all inputs have been understood."""


def read_tags(text: str, wanted: Collection[str]) -> dict[str, FloatArray]:
    """Some of the quantities in a `results.tag`, in atomic units, as arrays (fastest index last).

    Raises:
        ValueError: one that is there twice, has not as many numbers as it says, or one that is no number.
    """
    found: dict[str, FloatArray] = {}
    if text and not text.endswith("\n"):
        raise ValueError("it ends in the middle of a line")
    lines = text.splitlines()
    heads = [(i, match) for i, line in enumerate(lines) if (match := _HEAD.match(line))]
    ends = [*(i for i, _ in heads[1:]), len(lines)]
    for (first, head), end in zip(heads, ends, strict=False):
        name = head[1]
        if name not in wanted:
            continue
        if name in found:
            raise ValueError(f"{name} is there twice")
        shape = tuple(int(n) for n in reversed(head[4].split(","))) if head[4] else ()
        words = " ".join(lines[first + 1 : end]).split()
        if len(words) != math.prod(shape) or len(shape) != int(head[3]):
            raise ValueError(f"{name} has {len(words)} numbers, not {math.prod(shape)}")
        found[name] = np.array([_number(word, name) for word in words]).reshape(shape)
    return found


def _number(word: str, name: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} has '{word[:30]}', which is no number")
    return number


@attrs.frozen(eq=False)
class Details:
    """What `detailed.out` says, in atomic units."""

    energy: float
    """Mermin free energy"""
    forces: FloatArray | None
    pressure: float | None
    """Positive in compression"""
    converged: bool | None
    """None: it does not say"""


def read_details(text: str) -> Details:
    """The numbers of a `detailed.out`.

    Raises:
        ValueError: there is no energy, or it or a force is no number.
    """
    energy = _ENERGY.search(text)
    if energy is None:
        raise ValueError("there is no 'Total Mermin free energy'")
    pressure = _PRESSURE.search(text)
    converged = None
    if NOT_CONVERGED in text:
        converged = False
    elif re.search(r"^(SCC converged|Non-SCC calculation) *$", text, re.MULTILINE):
        converged = True
    return Details(
        _number(energy[1], "the energy"),
        _total_forces(text),
        None if pressure is None else _number(pressure[1], "the pressure"),
        converged,
    )


def _total_forces(text: str) -> FloatArray | None:
    """The block `Total Forces`: three numbers for each atom, behind its number in new releases."""
    _, found, rest = text.partition("Total Forces\n")
    if not found:
        return None
    rows = []
    for line in rest.splitlines():
        words = line.split()
        if len(words) not in (3, 4):
            break
        rows.append([_number(word, "a force") for word in words[-3:]])
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def read_understood(text: str) -> Atoms:
    """The atoms in `dftb_pin.hsd`, which is what DFTB+ has calculated.

    Raises:
        ValueError: it is no such file, or not all of it.
    """
    from ase.io.gen import read_gen  # noqa: PLC0415  takes a second, which `ald --version` need not wait for

    try:
        geometry = parse(text).find("Geometry")
    except InputError as error:
        raise ValueError(str(error)) from None
    if geometry is None or geometry.body is None or geometry.method.lower() != "genformat":
        raise ValueError("there is no Geometry = GenFormat")
    lines = [line for line in text[slice(*geometry.body)].splitlines() if _means(line)]
    try:
        return read_gen(StringIO("\n".join(lines) + "\n"))  # type: ignore[no-any-return]
    except (IndexError, KeyError, OSError) as error:
        raise ValueError(f"its geometry is no GEN format ({error})") from None


def _means(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


@attrs.frozen
class Said:
    """What the standard output says."""

    error: str
    """In the program's own words; empty if there was none"""
    started: bool
    """All inputs were understood, and the calculation began."""
    unconverged: bool
    energy: float | None
    temperature: float | None
    """Of the electrons; the last two in Hartree, None if it is not said"""


def read_stdout(text: str) -> Said:
    """What is in it; ValueError for an energy or temperature that is no number."""
    error = _ERROR.search(text)
    energies, temperature = _ENERGY.findall(text), _TEMPERATURE.search(text)
    return Said(
        " ".join(error[1].replace("-> ", " ").split()) if error else "",
        STARTED in text,
        NOT_CONVERGED in text,
        _number(energies[-1], "the energy") if energies else None,
        _number(temperature[1], "the electronic temperature") if temperature else None,
    )
