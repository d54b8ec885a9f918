"""Bonds: pairs that stayed within their length for more frames than their lifetime."""

import numpy as np
from ase.neighborlist import primitive_neighbor_list
from attrs import define, field, frozen
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ald_chimes_md.speciation.criteria import BondCriteria
from ald_chimes_md.speciation.gen import Floats, GenFrame

Ints = NDArray[np.int64]
_OVERLAP = 0.2  # Å^2; pairs nearer than its root are an error of the trajectory, molanal's limit


@frozen(eq=False)
class Bonds:
    """Bonded atoms, `first` < `second`, sorted; `vectors` (n, 3) in Å lead from first to second."""

    first: Ints
    second: Ints
    vectors: Floats


@define(eq=False)
class BondCounter:
    """How many frames in a row each pair has been close; it is told every frame in order."""

    criteria: BondCriteria
    _keys: Ints = field(factory=lambda: np.empty(0, np.int64), init=False)
    _counts: Ints = field(factory=lambda: np.empty(0, np.int64), init=False)

    def count(self, frame: GenFrame) -> Bonds:
        """The bonds of the next frame. An overlapping pair counts neither up nor back."""
        elements = frame.elements
        lengths = np.array([[self.criteria.length(a, b) for b in elements] for a in elements])
        lifetimes = np.array([[self.criteria.lifetime(a, b) for b in elements] for a in elements])
        first, second, vectors = close_pairs(frame, float(lengths.max(initial=0.0)))
        squares = np.einsum("ij,ij->i", vectors, vectors)
        kinds = frame.kinds[first], frame.kinds[second]
        near = squares < lengths[kinds] ** 2
        first, second, vectors, squares = first[near], second[near], vectors[near], squares[near]
        keys = first * len(frame.kinds) + second
        counts = self._before(keys) + (squares >= _OVERLAP)
        self._keys, self._counts = keys, counts
        bonded = counts > lifetimes[frame.kinds[first], frame.kinds[second]]
        return Bonds(first[bonded], second[bonded], vectors[bonded])

    def _before(self, keys: Ints) -> Ints:
        if not self._keys.size:
            return np.zeros(len(keys), np.int64)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._counts[at], 0)


def close_pairs(frame: GenFrame, cutoff: float) -> tuple[Ints, Ints, Floats]:
    """Pairs i < j, sorted, whose nearest images are within the cutoff, and the vectors i to j."""
    if cutoff <= 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3))
    cell = frame.cell
    if cell is not None and np.any(cell - np.diag(np.diag(cell))):
        return _skewed_pairs(frame.positions, cell, cutoff)
    box = None if cell is None else np.abs(np.diag(cell))
    positions = frame.positions
    if box is not None:
        positions = np.mod(positions, box)
        positions[positions >= box] = 0.0  # a tiny negative number becomes the box itself
    pairs = cKDTree(positions, boxsize=box).query_pairs(cutoff, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].astype(np.int64)
    vectors = positions[pairs[:, 1]] - positions[pairs[:, 0]]
    if box is not None:
        vectors -= box * np.round(vectors / box)
    return pairs[:, 0], pairs[:, 1], vectors


def _skewed_pairs(positions: Floats, cell: Floats, cutoff: float) -> tuple[Ints, Ints, Floats]:
    periodic = (True, True, True)
    i, j, distances, vectors = primitive_neighbor_list("ijdD", periodic, cell, positions, cutoff)
    once = i < j
    i, j, distances, vectors = i[once], j[once], distances[once], vectors[once]
    order = np.lexsort((distances, j, i))
    i, j, vectors = i[order], j[order], vectors[order]
    nearest = np.ones(len(i), bool)
    nearest[1:] = (np.diff(i) != 0) | (np.diff(j) != 0)
    return i[nearest].astype(np.int64), j[nearest].astype(np.int64), vectors[nearest]
