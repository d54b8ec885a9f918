"""The coordinate files of ChIMES MD, as far as LAMMPS needs them.

natoms
Lx Ly Lz   or   NON_ORTHO ax ay az bx by bz cx cy cz     [stress: 3 or 6 numbers] [energy]
El x y z [more columns]
"""

from pathlib import Path

import numpy as np
from ase import Atoms

from ald_chimes_lsq.formats.tokens import Place, parse_integer, parse_number, read_text
from ald_core.errors import InputError


def read_coordinates(path: Path) -> Atoms:
    """The first frame of a file, periodic in all directions.

    Raises:
        InputError: it is malformed, or holds other than chemical elements.
    """
    lines = read_text(path).splitlines()
    place = Place(path, 1)
    n_atoms = parse_integer((lines or [""])[0].strip(), "the number of atoms", place, minimum=1)
    if len(lines) < n_atoms + 2:
        fault = f"{n_atoms} atoms are announced, but the file ends after {len(lines)} lines"
        raise place.error(fault, cure="correct the number, or add the atoms")
    words = lines[1].split()
    numbers = words[1:10] if words[:1] == ["NON_ORTHO"] else words[:3]
    cell = [parse_number(word, "a number of the cell", Place(path, 2)) for word in numbers]
    if len(cell) not in (3, 9) or (words[0] == "NON_ORTHO") != (len(cell) == 9):
        cure = "write three lengths, or NON_ORTHO and nine numbers"
        raise Place(path, 2).error("has no cell", cure=cure)
    symbols, positions = [], []
    for number, line in enumerate(lines[2 : n_atoms + 2], start=3):
        symbol, *rest = line.split()[:4] or [""]
        if len(rest) != 3:
            cure = "write an element and three numbers"
            raise Place(path, number).error(f"is no atom: '{line.strip()[:60]}'", cure=cure)
        symbols.append(symbol)
        positions.append([parse_number(word, "a position", Place(path, number)) for word in rest])
    try:
        vectors = np.diag(cell) if len(cell) == 3 else np.reshape(cell, (3, 3))
        atoms = Atoms(symbols, positions, cell=vectors, pbc=True)
    except KeyError as error:
        cure = "write chemical elements, or give a data file of LAMMPS"
        raise InputError(f"{error} is no element", path=path, cure=cure) from None
    if atoms.cell.rank < 3:
        raise Place(path, 2).error("the cell has no volume", cure="correct it")
    return atoms
