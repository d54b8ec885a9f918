"""Molecules: the connected components of the bonds, named as molanal names them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from attrs import frozen
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ald_chimes_md.speciation.bonds import BondCounter, Bonds, Ints
from ald_chimes_md.speciation.criteria import BondCriteria
from ald_chimes_md.speciation.gen import Floats, GenFrame, read_gen


@frozen
class Molecule:
    """Atoms from 0, sorted; weight in amu; root mean square distance from the centre in Å."""

    name: str
    atoms: tuple[int, ...]
    weight: float
    radius: float


@frozen
class FrameMolecules:
    """The molecules of one frame, by their first atoms; frames count from 1, volume in Å^3."""

    frame: int
    volume: float
    molecules: tuple[Molecule, ...]


def analyse(trajectory: Path, criteria: BondCriteria) -> Iterator[FrameMolecules]:
    """The molecules of each frame after those that the longest lifetime takes."""
    counter = BondCounter(criteria)
    for number, frame in enumerate(read_gen(trajectory), start=1):
        bonds = counter.count(frame)
        if number > criteria.longest_lifetime:
            volume = 0.0 if frame.cell is None else abs(float(np.linalg.det(frame.cell)))
            yield FrameMolecules(number, volume, tuple(find_molecules(frame, bonds)))


def find_molecules(frame: GenFrame, bonds: Bonds) -> list[Molecule]:
    """The molecules of one frame."""
    n_atoms = len(frame.kinds)
    ones = np.ones(len(bonds.first), np.int8)
    graph = coo_array((ones, (bonds.first, bonds.second)), shape=(n_atoms, n_atoms))
    n_found, labels = connected_components(graph, directed=False)
    atoms: list[list[int]] = [[] for _ in range(n_found)]
    for atom, label in enumerate(labels.tolist()):
        atoms[label].append(atom)
    inner: list[list[int]] = [[] for _ in range(n_found)]
    for bond, label in enumerate(labels[bonds.first].tolist()):
        inner[label].append(bond)
    masses = np.array([molanal_mass(element) for element in frame.elements])[frame.kinds]
    whole = _whole_positions(frame, bonds)
    found = []
    for members, own in sorted(zip(atoms, inner, strict=True)):
        mass, place = masses[members], whole[members]
        away = place - mass @ place / mass.sum()
        radius = float(np.sqrt(np.mean(np.sum(away * away, axis=1))))
        name = _name(frame, members, bonds.first[own], bonds.second[own])
        found.append(Molecule(name, tuple(members), float(mass.sum()), radius))
    return found


def molanal_mass(element: str) -> float:
    """The whole number nearest to the atomic mass, as findmolecules has it: C 12, N 14, O 16."""
    return float(round(atomic_masses[atomic_numbers[element]]))


def _name(frame: GenFrame, atoms: list[int], first: Ints, second: Ints) -> str:
    """Elements in the order of the type line, then bonds with the later type first."""
    n_kinds = len(frame.elements)
    counts = np.bincount(frame.kinds[atoms], minlength=n_kinds)
    words = [f"{e}{n}" for e, n in zip(frame.elements, counts, strict=True) if n]
    low = np.minimum(frame.kinds[first], frame.kinds[second])
    high = np.maximum(frame.kinds[first], frame.kinds[second])
    kinds, numbers = np.unique(low * n_kinds + high, return_counts=True)
    for kind, number in zip(kinds.tolist(), numbers.tolist(), strict=True):
        early, late = divmod(kind, n_kinds)
        words.append(f"{number}({frame.elements[late]}-{frame.elements[early]})")
    return " ".join(words)


def _whole_positions(frame: GenFrame, bonds: Bonds) -> Floats:
    """Positions in which bonded atoms are beside each other, not across the cell."""
    neighbours: list[list[tuple[int, Floats]]] = [[] for _ in frame.kinds]
    for i, j, vector in zip(
        bonds.first.tolist(), bonds.second.tolist(), bonds.vectors, strict=True
    ):
        neighbours[i].append((j, vector))
        neighbours[j].append((i, -vector))
    whole = frame.positions.copy()
    seen = [False] * len(neighbours)
    for start in range(len(neighbours)):
        seen[start], waiting = True, [] if seen[start] else [start]
        while waiting:
            atom = waiting.pop()
            for other, vector in neighbours[atom]:
                if not seen[other]:
                    seen[other] = True
                    whole[other] = whole[atom] + vector
                    waiting.append(other)
    return whole
