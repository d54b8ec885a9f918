"""The coordinate files and the print-out of the ChIMES calculator program."""

import json
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from ald_chimes_lsq.constants import GPA, GPA_PRINTED
from ald_chimes_lsq.evaluation import Evaluation
from ald_chimes_lsq.formats.tokens import Place, parse_integer, parse_number, read_text
from ald_chimes_lsq.formats.xyzf import check_volume

Floats = NDArray[np.float64]

_CURE = "write the number of atoms alone in the first line"
_NAMES = ("xx", "yy", "zz", "xy", "xz", "yz")
_ROWS, _COLUMNS = [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]


@attrs.frozen(eq=False)
class Configuration:
    """Atoms in a periodic cell."""

    names: tuple[str, ...]
    """Of the atom types, which may be any words"""
    atoms: Atoms
    """Chemical elements where the names are such, else X"""


def read_configuration(path: Path) -> Configuration:
    """Read the number of atoms, the cell (9 numbers, or 3 lengths), and element and position of each atom.

    Words after the positions are not looked at.

    Raises:
        InputError: the file is truncated or malformed, or the cell has no volume.
    """
    lines = read_text(path).rstrip().split("\n")
    place = Place(path, 1)
    words = lines[0].split()
    if len(words) != 1:
        raise place.error(
            f"expected the number of atoms, found '{lines[0].strip()[:60]}'", cure=_CURE
        )
    n_atoms = parse_integer(words[0], "the number of atoms", place, minimum=1, cure=_CURE)
    if len(lines) != n_atoms + 2:
        raise place.error(
            f"{n_atoms} atoms need {n_atoms + 2} lines, this file has {len(lines)}",
            cure="correct the number, or complete the file",
        )
    cell = _read_cell(lines[1].split(), Place(path, 2))
    names: list[str] = []
    positions: list[list[float]] = []
    for number, line in enumerate(lines[2:], start=3):
        name, *numbers = line.split()[:4] or [""]
        at = Place(path, number)
        if len(numbers) != 3:
            raise at.error(
                f"expected an element and a position, found '{line.strip()[:60]}'",
                cure="write the name of the atom and three numbers, in Å",
            )
        names.append(name)
        positions.append([parse_number(word, "a position", at) for word in numbers])
    symbols = [name if name in atomic_numbers else "X" for name in names]
    return Configuration(tuple(names), Atoms(symbols, positions, cell=cell, pbc=True))


def _read_cell(words: list[str], place: Place) -> Floats:
    if words[:1] == ["NON_ORTHO"]:
        words = words[1:]
    if len(words) not in {3, 9}:
        raise place.error(
            f"expected a cell, found {len(words)} words: '{' '.join(words)[:60]}'",
            cure="write the 9 numbers of its vectors, or 3 lengths, in Å",
        )
    numbers = np.array([parse_number(word, "a number of the cell", place) for word in words])
    cell = np.diag(numbers) if len(words) == 3 else numbers.reshape(3, 3)
    check_volume(cell, words, place)
    return cell


def printed(said: Evaluation) -> Iterator[str]:
    """Lines of the calculator's print-out: kcal/mol, GPa, kcal/mol/Å, with five decimals."""
    yield "Success!"
    yield f"Energy (kcal/mol): {said.energy:.5f}"
    yield "Stress tensors (GPa):"
    for name, value in zip(_NAMES, said.stress[_ROWS, _COLUMNS] * GPA_PRINTED, strict=True):
        yield f"\ts_{name}: {value:.5f}"
    yield "Forces (kcal/mol/A):"
    for force in said.forces.tolist():
        yield "\t" + "\t".join(f"{value:.5f}" for value in force)


def as_json(said: Evaluation) -> str:
    """The same with all digits: `energy` kcal/mol, `stress` GPa xx yy zz xy xz yz, `forces` kcal/mol/Å."""
    stress = said.stress[_ROWS, _COLUMNS] * GPA
    values = {"energy": said.energy, "stress": stress.tolist(), "forces": said.forces.tolist()}
    return json.dumps(values)
