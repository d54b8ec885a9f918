"""KPOINTS, POTCAR and POSCAR of one single point, and what is wrong with those that the user gave."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from ald_core.labeling import find_input, missing_input
from ald_vasp.incar import Incar

TITEL = re.compile(rb"TITEL\s*=\s*\S+\s+([A-Z][a-z]?)")
VRHFIN = re.compile(rb"VRHFIN\s*=\s*([A-Z][a-z]?)")
LEXCH = re.compile(rb"LEXCH\s*=\s*(\w+)")


def kpoints_problems(folder: Path, incar: Incar, temperature: float | None) -> list[str]:
    """Whether there are k-points: a file, or KSPACING in the INCAR."""
    if find_input(folder, "KPOINTS", temperature) or incar.get("KSPACING"):
        return []
    return [missing_input(folder, "KPOINTS", temperature)]


def potcar_problems(folder: Path, elements: Sequence[str]) -> list[str]:
    """Pseudopotentials that are missing, of another element, or of different functionals."""
    found = []
    functionals: dict[bytes, str] = {}
    for element in elements:
        path = folder / f"{element}.POTCAR"
        try:
            content = path.read_bytes()
        except OSError:
            found.append(f"{path}: there is no such file; copy the POTCAR of {element}")
            continue
        named = TITEL.search(content) or VRHFIN.search(content)
        if named is None:
            found.append(f"{path}: there is no TITEL in it; copy the POTCAR of {element}")
        elif named[1].decode() != element:
            found.append(f"{path}: it is of {named[1].decode()}; copy the POTCAR of {element}")
        elif content.count(b"End of Dataset") != 1:
            n = content.count(b"End of Dataset")
            found.append(f"{path}: it holds {n} whole potentials, not one; copy that of {element}")
        functional = LEXCH.search(content)
        if functional is not None:
            functionals.setdefault(functional[1], element)
    if len(functionals) > 1:
        shown = ", ".join(f"{key.decode()} of {element}" for key, element in functionals.items())
        found.append(f"{folder}: POTCARs are of different functionals ({shown}); exchange some")
    return found


def potcar(folder: Path, elements: Sequence[str]) -> bytes:
    """The potentials of some elements, one after the other."""
    parts = [(folder / f"{element}.POTCAR").read_bytes() for element in elements]
    return b"".join(part if part.endswith(b"\n") else part + b"\n" for part in parts)


def poscar(atoms: Atoms, temperature: float | None, name: str) -> str:
    """Atoms that are grouped by element, in a cell.

    The first line has what the existing driver writes there, behind the name of the frame.
    """
    from ase.io.vasp import write_vasp  # noqa: PLC0415  takes long

    bare = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    stream = io.StringIO()
    write_vasp(stream, bare, direct=False)
    symbols, _, rest = stream.getvalue().partition("\n")
    kelvin = "" if temperature is None else f" ( {temperature:g} K)"
    return f"{name}: {' '.join(symbols.split())}{kelvin}\n{rest}"
