"""Data files: that of a frame, and a template that gets a frame's cell and coordinates.

Format: the LAMMPS manual, `read_data`. A cell of any shape is turned so that its first vector lies along x and the
second in the xy plane, and is then described by its shortest vectors; `Placed` says how it was turned.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from ase import Atoms
from ase.calculators.lammps.coordinatetransform import Prism
from ase.data import atomic_masses, chemical_symbols

from ald_core.errors import InputError
from ald_core.types import FloatArray

WRITTEN = ("atomic", "charge", "full")
"""Atom styles of data files that are written without a template"""
COLUMNS = {
    "atomic": (1, 2), "charge": (1, 3), "bond": (2, 3), "angle": (2, 3), "molecular": (2, 3), "full": (2, 4),
}  # fmt: skip
"""Where type and x stand in the Atoms section, by atom style"""
SMALLEST_TILT = 1e-9
"""Å"""
SAME_MASS = 0.1
"""g/mol between an atom type and the element that it is"""
_SECTION = re.compile(r"\s*([A-Z][A-Za-z]+(?: [A-Z][A-Za-z]+)*)\s*(?:#\s*(\S+).*)?")
_BOX = re.compile(r"^.*\b([xyz]lo\s+[xyz]hi|xy\s+xz\s+yz)\b")


@attrs.frozen(eq=False)
class Placed:
    """A configuration as LAMMPS sees it."""

    atoms: Atoms
    """With the turned cell; atoms may be in any image"""
    rotation: FloatArray
    """(3, 3): a vector v of the configuration is v @ rotation there"""

    def vectors(self, there: FloatArray) -> FloatArray:
        """Vectors (n, 3) as the configuration has them."""
        return np.asarray(there @ self.rotation.T)

    def tensor(self, there: FloatArray) -> FloatArray:
        """A tensor (3, 3) as the configuration has it."""
        return np.asarray(self.rotation @ there @ self.rotation.T)


def place(atoms: Atoms) -> Placed:
    """Turn a periodic configuration."""
    prism = _prism(atoms)
    turned = Atoms(
        numbers=atoms.numbers, positions=atoms.positions @ prism.rot_mat, cell=prism.cell, pbc=True
    )
    return Placed(turned, np.asarray(prism.rot_mat, dtype=np.float64))


def _prism(atoms: Atoms) -> Prism:
    return Prism(atoms.cell[:], pbc=True, reduce_cell=True)


def _is_tilted(prism: Prism) -> bool:
    """Whether the box needs tilts; those that ASE leaves out by itself can be thousandths of Å."""
    return bool(np.abs(prism.get_lammps_prism()[3:]).max() > SMALLEST_TILT)


def data_text(atoms: Atoms, types: Sequence[str], style: str) -> str:
    """The data file of a periodic configuration, atoms in their order; the elements of types 1, 2, … are given.

    Raises:
        InputError: an element has no type.
    """
    from ase.io.lammpsdata import write_lammps_data  # noqa: PLC0415  ase.io takes half a second

    bare = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    strange = sorted(set(bare.get_chemical_symbols()) - set(types))
    if strange:
        raise InputError(f"{', '.join(strange)} is not among the types {', '.join(types)}")
    out = io.StringIO()
    prism = _prism(bare)
    write_lammps_data(
        out,
        bare,
        specorder=list(types),
        prismobj=prism,
        force_skew=_is_tilted(prism),
        masses=True,
        atom_style=style,
    )
    return out.getvalue()


# ---------------------------------------------------------------- templates


@attrs.frozen(eq=False)
class Template:
    """A data file with the places of what depends on the frame."""

    path: Path
    lines: tuple[str, ...]
    style: str
    rows: tuple[int, ...]
    """Lines of the Atoms section"""
    ids: tuple[int, ...]
    types: tuple[int, ...]
    masses: dict[int, float]

    def elements(self, types: Sequence[str]) -> tuple[str | None, ...]:
        """Element of each atom by its type: as given, else by its mass; None if no element has it."""
        known: dict[int, str | None] = dict(enumerate(types, start=1))
        if not types:
            known = {i: element_of(mass) for i, mass in self.masses.items()}
        return tuple(known.get(i) for i in self.types)

    def filled(self, atoms: Atoms, types: Sequence[str] = ()) -> str:
        """The file with cell and coordinates of a frame, whose atoms are in the order of the Atoms section.

        Raises:
            InputError: it is of other atoms.
        """
        cure = "give a template with the atoms of the study in their order"
        if len(atoms) != len(self.rows):
            fault = f"has {len(self.rows)} atoms, but a frame has {len(atoms)}"
            raise InputError(fault, path=self.path, cure=cure)
        for row, own, asked in zip(
            self.rows, self.elements(types), atoms.get_chemical_symbols(), strict=True
        ):
            if own is not None and own != asked:
                fault = f"this atom is {own} by its type, but {asked} in a frame"
                cure = f"{cure}, or name the elements of the types with 'types'"
                raise InputError(fault, path=self.path, line=row + 1, cure=cure)
        prism = _prism(atoms)
        lines: list[str] = []
        column = COLUMNS[self.style][1]
        positions = dict(
            zip(self.rows, prism.vector_to_lammps(atoms.positions, wrap=True), strict=True)
        )
        for number, line in enumerate(self.lines):
            if number in positions:
                words = line.split("#")[0].split()[:column]
                lines.append(" ".join([*words, *(f"{x:.17g}" for x in positions[number])]))
            elif number < self.rows[0] and (box := _BOX.match(line.split("#")[0])):
                if box[1].startswith("xlo"):
                    lines += _box_lines(prism)
            else:
                lines.append(line)
        return "\n".join(lines)


def _box_lines(prism: Prism) -> list[str]:
    lx, ly, lz, *tilts = (float(x) for x in prism.get_lammps_prism())
    lines = [
        f"0.0 {length:.17g} {axis}lo {axis}hi"
        for axis, length in zip("xyz", (lx, ly, lz), strict=True)
    ]
    if _is_tilted(prism):
        lines.append(" ".join(f"{tilt:.17g}" for tilt in tilts) + " xy xz yz")
    return lines


def read_template(path: Path, text: str, style: str) -> Template:
    """Read a data file.

    Raises:
        InputError: it has no box or no Atoms section of this atom style.
    """
    lines = text.split("\n")
    sections = _sections(lines)
    if "Atoms" not in sections:
        raise InputError("has no Atoms section", path=path, cure="add it, or remove the template")
    if not any(_BOX.match(line) and "xlo" in line for line in lines):
        cure = "write the box with these words"
        raise InputError("has no line with xlo xhi", path=path, cure=cure)
    place_of_type, column = COLUMNS[style]
    rows, ids, types = [], [], []
    for number in sections["Atoms"]:
        words = lines[number].split("#")[0].split()
        try:
            ids.append(int(words[0]))
            types.append(int(words[place_of_type]))
            _ = [float(word) for word in words[column : column + 3]]
        except (ValueError, IndexError):
            words = []
        if len(words) not in (column + 3, column + 6):
            fault = f"is no line of an Atoms section of the atom style {style}: '{lines[number].strip()[:60]}'"
            cure = "correct it, or atom_style in the input"
            raise InputError(fault, path=path, line=number + 1, cure=cure)
        rows.append(number)
    if len(set(ids)) != len(ids) or not ids:
        raise InputError("has no atoms, or two with one number", path=path, cure="number them")
    masses = {}
    for number in sections.get("Masses", ()):
        words = lines[number].split("#")[0].split()
        if len(words) == 2 and words[0].isdecimal():
            masses[int(words[0])] = float(words[1])
    return Template(path, tuple(lines), style, tuple(rows), tuple(ids), tuple(types), masses)


def _sections(lines: Sequence[str]) -> dict[str, list[int]]:
    """Numbers of the lines of each section; the first line of a file is its title."""
    found: dict[str, list[int]] = {}
    name = None
    for number, line in enumerate(lines[1:], start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0][0].isalpha() and (section := _SECTION.fullmatch(line)):
            name = section[1]
            found[name] = []
        elif name is not None:
            found[name].append(number)
    return found


def check_types(_: object, __: object, types: Sequence[str]) -> None:
    """For options: ValueError for a word that is no chemical element."""
    strange = [name for name in types if name not in chemical_symbols[1:]]
    if strange:
        raise ValueError(f"'{strange[0]}' is no chemical element")


def element_of(mass: float) -> str | None:
    """The element with a mass in g/mol; None if there is none."""
    nearest = int(np.argmin(np.abs(atomic_masses[1:] - mass))) + 1
    if abs(float(atomic_masses[nearest]) - mass) > SAME_MASS:
        return None
    return str(chemical_symbols[nearest])
