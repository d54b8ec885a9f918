"""Molecules: the connected components of the bonds, named as molanal names them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from attrs import frozen
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ald_chimes_md.speciation.bonds import BondCounter, Bonds, Ints
from ald_chimes_md.speciation.criteria import BondCriteria, element_of
from ald_chimes_md.speciation.gen import Floats, GenFrame, read_gen
from ald_chimes_md.speciation.xyz import read_xyz


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
    """The molecules of each frame after those that the longest lifetime takes.

    The trajectory is in GEN format, or an XYZ file of ChIMES MD (`.xyz`, `.xyzf`).
    """
    read = read_xyz if trajectory.suffix in {".xyz", ".xyzf"} else read_gen
    counter = BondCounter(criteria)
    for number, frame in enumerate(read(trajectory), start=1):
        bonds = counter.count(frame)
        if number > criteria.longest_lifetime:
            volume = 0.0 if frame.cell is None else abs(float(np.linalg.det(frame.cell)))
            yield FrameMolecules(number, volume, tuple(find_molecules(frame, bonds)))


def find_molecules(frame: GenFrame, bonds: Bonds) -> list[Molecule]:
    """The molecules of one frame, by their first atoms."""
    n_atoms = len(frame.kinds)
    ones = np.ones(len(bonds.first), np.int8)
    graph = coo_array((ones, (bonds.first, bonds.second)), shape=(n_atoms, n_atoms))
    n_found, components = connected_components(graph, directed=False)
    labels = components.astype(np.int64)
    atoms: list[list[int]] = [[] for _ in range(n_found)]
    for atom, label in enumerate(labels.tolist()):
        atoms[label].append(atom)
    masses = np.array([molanal_mass(element) for element in frame.elements])[frame.kinds]
    weights = np.bincount(labels, masses).astype(np.float64)
    radii = _radii(labels, masses, weights, _whole_positions(frame, bonds)).tolist()
    names = _names(frame, labels, n_found, bonds)
    found = zip(names, map(tuple, atoms), weights.tolist(), radii, strict=True)
    return sorted((Molecule(*one) for one in found), key=lambda one: one.atoms[0])


def _radii(labels: Ints, masses: Floats, weights: Floats, whole: Floats) -> Floats:
    """Root mean square distances from the centres of mass, by label."""
    sums = [np.bincount(labels, masses * whole[:, axis]) for axis in range(3)]
    away = whole - (np.stack(sums, axis=1) / weights[:, None])[labels]
    sizes = np.bincount(labels)
    squares = np.bincount(labels, np.einsum("ij,ij->i", away, away)) / sizes
    return np.where(sizes > 1, np.sqrt(squares), 0.0)


def molanal_mass(element: str) -> float:
    """The whole number nearest to the atomic mass, as findmolecules has it: C 12, N 14, O 16."""
    return float(round(atomic_masses[atomic_numbers[element_of(element) or "X"]]))


def _names(frame: GenFrame, labels: Ints, n_found: int, bonds: Bonds) -> list[str]:
    """Names by label; each is made once."""
    n_kinds = len(frame.elements)
    first, second = frame.kinds[bonds.first], frame.kinds[bonds.second]
    pairs = np.minimum(first, second) * n_kinds + np.maximum(first, second)
    atoms = np.bincount(labels * n_kinds + frame.kinds, minlength=n_found * n_kinds)
    size = n_found * n_kinds**2
    within = np.bincount(labels[bonds.first] * n_kinds**2 + pairs, minlength=size)
    rows = np.hstack([atoms.reshape(n_found, -1), within.reshape(n_found, -1)])
    known: dict[tuple[int, ...], str] = {}
    names = []
    for counts in map(tuple, rows.tolist()):
        if counts not in known:
            known[counts] = _name(frame.elements, counts[:n_kinds], counts[n_kinds:])
        names.append(known[counts])
    return names


def _name(elements: Sequence[str], atoms: Sequence[int], bonds: Sequence[int]) -> str:
    """Elements in the order of the type line, then bonds with the later type first."""
    words = [f"{element}{n}" for element, n in zip(elements, atoms, strict=True) if n]
    for pair, n in enumerate(bonds):
        early, late = divmod(pair, len(elements))
        if n:
            words.append(f"{n}({elements[late]}-{elements[early]})")
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
