"""The format `xyzf` for `ase.io.read` and `ase.io.write`, in ASE's units."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers
from ase.utils.plugins import ExternalIOFormat

from ald_chimes_lsq.constants import GPA, HARTREE_FORCE, KCAL_PER_MOL
from ald_chimes_lsq.formats.tokens import Place
from ald_chimes_lsq.formats.xyzf import XyzfFrame, format_xyzf, iterate_xyzf
from ald_core.errors import InputError

FORCE = HARTREE_FORCE * KCAL_PER_MOL
"""eV/Å per Hartree/bohr"""
STRESS = -KCAL_PER_MOL / GPA
"""eV/Å³, positive in tension, per GPa, positive in compression"""
_VOIGT = [0, 1, 2, 5, 4, 3]
"""xx yy zz xy xz yz to Voigt's xx yy zz yz xz xy, and back."""

xyzf_format = ExternalIOFormat(
    desc="ChIMES training trajectory",
    code="+F",
    module="ald_chimes_lsq.formats.ase_xyzf",
    ext="xyzf",
)


def read_xyzf(
    stream: TextIO, index: int | slice = -1
) -> Iterator[Atoms]:  # ASE finds this function by its name
    """Read frames; labels are in a `SinglePointCalculator`, pbc is true.

    A diagonal stress is not enough for a calculator; it is in `info["stress_diagonal"]`, in ASE's units and sign.
    """
    name = getattr(stream, "name", None)
    path = Path(name) if isinstance(name, str) else None
    frames = list(iterate_xyzf(stream.read(), path))
    for frame in frames[index] if isinstance(index, slice) else [frames[index]]:
        yield to_atoms(frame)


def write_xyzf(stream: TextIO, images: Sequence[Atoms] | Atoms) -> None:
    """Write frames that have forces, with stress and energy where a calculator has them."""
    atoms = [images] if isinstance(images, Atoms) else list(images)
    stream.write(format_xyzf([from_atoms(a) for a in atoms]))


def to_atoms(frame: XyzfFrame) -> Atoms:
    """Atoms with the labels of a frame.

    Raises:
        InputError: the frame has names that are not chemical elements.
    """
    for i, name in enumerate(frame.elements, start=1):
        if name not in atomic_numbers:
            line = None if frame.line is None else frame.line + i
            raise Place(frame.path, line).error(
                f"'{name}' is not a chemical element, so this frame cannot become an ASE Atoms object",
                cure="write the symbol of one",
            )
    atoms = Atoms(frame.elements, positions=frame.positions, cell=frame.cell, pbc=True)
    labels: dict[str, object] = {"forces": frame.forces * FORCE}
    if frame.energy is not None:
        labels["energy"] = frame.energy * KCAL_PER_MOL
    if frame.stress is not None and len(frame.stress) == 6:
        labels["stress"] = np.array(frame.stress)[_VOIGT] * STRESS
    elif frame.stress is not None:
        atoms.info["stress_diagonal"] = np.array(frame.stress) * STRESS
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def from_atoms(atoms: Atoms) -> XyzfFrame:
    """A frame with the labels of an Atoms object, which must have forces and a cell."""
    try:
        forces = atoms.get_forces(apply_constraint=False) / FORCE
    except (RuntimeError, NotImplementedError):
        raise InputError(
            "a frame without forces cannot be written as xyzf", cure="calculate them first"
        ) from None
    stress, energy = None, None
    try:
        stress = tuple((np.asarray(atoms.get_stress())[_VOIGT] / STRESS).tolist())
    except NotImplementedError:
        if (diagonal := atoms.info.get("stress_diagonal")) is not None:
            stress = tuple((np.asarray(diagonal) / STRESS).tolist())
    try:
        energy = float(atoms.get_potential_energy()) / KCAL_PER_MOL
    except NotImplementedError:
        energy = None
    return XyzfFrame(
        elements=tuple(atoms.get_chemical_symbols()),
        cell=np.array(atoms.cell[:]),
        positions=atoms.positions.copy(),
        forces=forces,
        stress=stress,
        energy=energy,
    )
