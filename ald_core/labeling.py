"""What labelers of programs share: inputs by temperature, atoms grouped by element, whether an output is of a frame.

Programs that list how many atoms there are of each element want them grouped; what they say of atoms goes back to the
order of the frame here. An output counts only if its atoms and cell are those that were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from ald_core.errors import InputError
from ald_core.types import Failure, FloatArray, Frame

NEARBY = 2e-3
"""Å by which positions and cell vectors of an output may differ from those that were asked for, by printed digits"""
FAR = 1e6
"""Å; coordinates beyond are none: they have too few digits left to tell the images of an atom apart"""


# ---------------------------------------------------------------- grouped by element


@attrs.frozen(eq=False)
class Grouped:
    """Atoms with those of one element together, and where each stands in its frame."""

    atoms: Atoms
    order: NDArray[np.int64]
    """(n,) position in the frame of each atom here"""

    @property
    def elements(self) -> tuple[str, ...]:
        """Each element once, in the order of the groups."""
        return tuple(dict.fromkeys(self.atoms.get_chemical_symbols()))

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of atoms in the groups."""
        symbols = self.atoms.get_chemical_symbols()
        return tuple(symbols.count(element) for element in self.elements)

    def in_frame_order(self, values: ArrayLike) -> FloatArray:
        """What is said of the atoms here, (n, …), in the order of the frame."""
        given = np.asarray(values, dtype=np.float64)
        found = np.empty_like(given)
        found[self.order] = given
        return found


def group_by_element(atoms: Atoms) -> Grouped:
    """Elements in alphabetical order, atoms of one element in the order of the frame; always the same for a frame."""
    symbols = atoms.get_chemical_symbols()
    order = np.array(sorted(range(len(symbols)), key=symbols.__getitem__), dtype=np.int64)
    return Grouped(atoms[order], order)


# ---------------------------------------------------------------- molecules in periodic programs


def in_a_box(atoms: Atoms, vacuum: float) -> Atoms:
    """The atoms alone, periodic in all directions, in a right-handed cell.

    A molecule gets a box with `vacuum` Å between it and its images. So does what is periodic in some directions
    only, in the others. Some programs refuse left-handed cells; the lattice of the opposite vectors is the same.
    """
    boxed = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    open_axes = np.flatnonzero(~boxed.pbc)
    if len(open_axes) == 3:
        boxed.cell = np.zeros((3, 3))
    if len(open_axes):
        boxed.center(vacuum=0.5 * vacuum, axis=tuple(int(i) for i in open_axes))
    if boxed.cell.handedness < 0:
        boxed.cell = -boxed.cell[:]
    boxed.pbc = True
    return boxed


# ---------------------------------------------------------------- inputs by temperature


def electronic_temperature(frame: Frame, fixed: float | None) -> float | None:
    """K: what the user has fixed, else that of the frame's case; None if neither is known."""
    return frame.temperature if fixed is None else fixed


def input_names(name: str, temperature: float | None) -> tuple[str, ...]:
    """Names of an input that may depend on the temperature, the most special first: `6000.INCAR`, then `INCAR`.

    Broken temperatures are cut to whole ones, if their own file is not there.
    """
    if temperature is None:
        return (name,)
    kelvins = dict.fromkeys((f"{temperature:g}", str(int(temperature))))
    return (*(f"{kelvin}.{name}" for kelvin in kelvins), name)


def find_input(folder: Path, name: str, temperature: float | None) -> Path | None:
    """The most special input in a folder for a temperature (K); None if there is none."""
    found = (folder / one for one in input_names(name, temperature))
    return next((path for path in found if path.is_file()), None)


def missing_input(folder: Path, name: str, temperature: float | None) -> str:
    """A sentence about an input that is not there."""
    names = " or ".join(input_names(name, temperature))
    return f"{folder}: there is no {names}; add it, or correct the folder"


def folder_problems(folder: Path, name: str, problems: Callable[[Path], list[str]]) -> list[str]:
    """What is wrong with a folder that has an input for all temperatures, `pw.in`, or one for each, `6000.pw.in`.

    `problems` says what is wrong with that for all.
    """
    if not folder.is_dir():
        return [f"{folder}: it is no folder; give the folder with {name}"]
    plain = folder / name
    if plain.is_file():
        return problems(plain)
    found = any(folder.glob(f"*.{name}"))
    return [] if found else [f"{folder}: there is no {name} or <T>.{name}; add it"]


def temperature_problems(
    folder: Path,
    name: str,
    temperature: float,
    problems: Callable[[Path], list[str]],
    disagreement: Callable[[Path, float], str],
) -> list[str]:
    """What is wrong with the input for a temperature (K), but for what `folder_problems` says already.

    `disagreement` says whether an input asks for another temperature; it may raise InputError.
    """
    path = find_input(folder, name, temperature)
    if path is None:
        return [missing_input(folder, name, temperature)]
    try:
        other = disagreement(path, temperature)
    except InputError as error:
        other = str(error)
    found = problems(path)
    if path.name == name:  # the input for all temperatures
        return [other] if other and other not in found else []
    return list(dict.fromkeys([*found, other] if other else found))


# ---------------------------------------------------------------- the same configuration


def compare_geometry(
    asked: Atoms,
    symbols: Sequence[str] | None,
    positions: ArrayLike | None,
    cell: ArrayLike | None,
    tolerance: float = NEARBY,
) -> Failure | None:
    """Why an output is not of the atoms that were asked for; None if it is.

    Args:
        asked: the atoms in the order of the output.
        symbols: elements in the output, if it tells them.
        positions: (n, 3) Å, which may be in other images of a periodic cell; None if it does not tell them.
        cell: (3, 3) Å, vectors as rows; None if it does not tell it.
        tolerance: Å.
    """
    wanted = asked.get_chemical_symbols()
    if symbols is not None and list(symbols) != wanted:
        where = next(
            (i for i, (a, b) in enumerate(zip(symbols, wanted, strict=False)) if a != b), None
        )
        what = f"{len(symbols)} atoms, not {len(wanted)}"
        if len(symbols) == len(wanted) and where is not None:
            what = f"{symbols[where]} as atom {where + 1}, not {wanted[where]}"
        return Failure(f"the output is of another configuration: it has {what}")
    if cell is not None:
        vectors = np.asarray(cell, dtype=np.float64)
        if vectors.shape != (3, 3):
            return Failure(
                f"the output is of another configuration: a cell of shape {vectors.shape}"
            )
        off = float(np.abs(vectors - asked.cell[:]).max())
        if not off <= tolerance:
            return Failure(
                f"the output is of another configuration: its cell differs by {off:.3g} Å"
            )
    if positions is None:
        return None
    return _compare_positions(asked, np.asarray(positions, dtype=np.float64), tolerance)


def _compare_positions(asked: Atoms, found: FloatArray, tolerance: float) -> Failure | None:
    if found.shape != (len(asked), 3):
        return Failure(
            f"the output is of another configuration: positions of shape {found.shape} for {len(asked)} atoms"
        )
    steps = np.where(np.abs(found) < FAR, found, np.nan) - asked.positions
    if asked.pbc.any():
        scaled = asked.cell.scaled_positions(steps)
        steps = (scaled - np.where(asked.pbc, np.round(scaled), 0.0)) @ asked.cell.complete()[:]
    off_by_atom = np.linalg.norm(steps, axis=1)
    worst = int(np.argmax(off_by_atom)) if len(off_by_atom) else 0
    if len(off_by_atom) and not off_by_atom[worst] <= tolerance:
        return Failure(
            f"the output is of another configuration: atom {worst + 1} ({asked.symbols[worst]}) is "
            f"{off_by_atom[worst]:.3g} Å from where it was put"
        )
    return None
