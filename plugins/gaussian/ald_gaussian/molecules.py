"""Molecules without periodic images, and the spin states that they can have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from ald_core.types import Failure

BOND = 1.2
"""Distance up to which two atoms are bonded, in sums of their covalent radii; stretched bonds of hot molecules are"""
SAME = 1e-3
"""Å by which two ways to the same atom may differ"""


def molecule(atoms: Atoms) -> Atoms | Failure:
    """The atoms, in their order, next to each other instead of on several sides of a periodic cell.

    The first atom stays. Then whichever atom is nearest to one that has its place, in any image, comes to that image:
    so bonds are followed first, and fragments that are not bonded come to where they are nearest. What is bonded to an
    image of itself is no molecule.
    """
    from ase.neighborlist import (  # noqa: PLC0415  brings scipy, which takes long
        natural_cutoffs,
        neighbor_list,
    )

    placed = Atoms(atoms.get_chemical_symbols(), positions=atoms.positions)
    if not atoms.pbc.any() or len(atoms) == 0:
        return placed
    if (np.linalg.norm(atoms.cell[:], axis=1)[atoms.pbc] == 0).any():
        return Failure("the frame is periodic, but has no cell", "invalid")
    vectors = atoms.get_all_distances(mic=True, vector=True)
    lengths = np.linalg.norm(vectors, axis=2)
    nearest = lengths[0].copy()
    """Of each atom, to one that has its place"""
    neighbour = np.zeros(len(atoms), dtype=int)
    waiting = np.ones(len(atoms), dtype=bool)
    waiting[0] = False
    for _ in range(len(atoms) - 1):
        new = int(np.argmin(np.where(waiting, nearest, np.inf)))
        placed.positions[new] = placed.positions[neighbour[new]] + vectors[neighbour[new], new]
        waiting[new] = False
        closer = lengths[new] < nearest
        nearest[closer], neighbour[closer] = lengths[new][closer], new
    first, second, bonds = neighbor_list("ijD", atoms, natural_cutoffs(atoms, mult=BOND))
    steps = placed.positions[second] - placed.positions[first]
    if (np.abs(steps - bonds) > SAME).any():
        return Failure(
            "the frame is no molecule: its atoms are bonded to periodic images of each other",
            "invalid",
        )
    return placed


def possible_multiplicities(
    numbers: Sequence[int], charge: int, asked: Sequence[int]
) -> tuple[int, ...]:
    """Those 2S + 1 among `asked` that so many electrons can have, ascending."""
    electrons = sum(int(number) for number in numbers) - charge
    unpaired = (m - 1 for m in sorted(set(asked)))
    return tuple(u + 1 for u in unpaired if u <= electrons > 0 and (electrons - u) % 2 == 0)
