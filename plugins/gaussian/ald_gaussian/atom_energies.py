"""Energies of single atoms in two methods: the file by which energies of molecules are brought to those of the bulk.

One line per element: symbol, energy of the atom in Gaussian, energy of the atom in the plane-wave method, kcal/mol.
What follows a `#` is a remark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ase.data import atomic_numbers

from ald_core.errors import InputError
from ald_core.units import KCAL_PER_MOL

COLUMNS = "element, energy in Gaussian, energy in the plane-wave method (kcal/mol)"


def read_shifts(path: Path) -> dict[str, float]:
    """What each atom of an element adds to an energy, eV; InputError for anything but three columns."""
    shifts: dict[str, float] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as text ({error})", path=path) from error
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 3:
            raise InputError(
                f"has {len(words)} columns", path=path, line=number, cure=f"write {COLUMNS}"
            )
        symbol = words[0]
        if symbol not in atomic_numbers or symbol == "X":
            raise InputError(
                f"{symbol!r} is no chemical symbol", path=path, line=number, cure=f"write {COLUMNS}"
            )
        if symbol in shifts:
            raise InputError(
                f"{symbol} has two lines", path=path, line=number, cure="keep one of them"
            )
        gaussian, plane_wave = (_number(word, path, number) for word in words[1:])
        shifts[symbol] = (plane_wave - gaussian) * KCAL_PER_MOL
    return shifts


def missing_elements(shifts: Mapping[str, float], elements: Sequence[str]) -> list[str]:
    """Elements without a line, in their order."""
    return [element for element in dict.fromkeys(elements) if element not in shifts]


def total_shift(shifts: Mapping[str, float], symbols: Sequence[str]) -> float:
    """What is added to the energy of a molecule, eV; each atom counts once. KeyError for an element without a line."""
    return math.fsum(shifts[symbol] for symbol in symbols)


def _number(word: str, path: Path, line: int) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{word!r} is no number", path=path, line=line, cure=f"write {COLUMNS}")
    return number
