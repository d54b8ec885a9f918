"""Pairs, triplets and quadruplets of atoms by plain search, for `direct`.

Triplets and quadruplets are those of different atoms: the cell must be wider than their reach.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OPTIONS: dict[str, Any] = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy"}
"""How numba compiles the direct evaluation: as the package."""


class Found(NamedTuple):
    """Clusters of a configuration: atoms (n, size) and their places (n, size, 3)."""

    atoms: Ints
    places: Floats


@njit(**OPTIONS)  # type: ignore[untyped-decorator]
def find_neighbours(
    positions: Floats, cell: Floats, reach: float, images: Ints, others: bool
) -> tuple[Ints, Ints, Floats]:
    """For each atom i those j >= i within reach, in all images: start (n + 1,), j, places.

    An atom and its own image occur once; with `others` not at all.
    """
    n = positions.shape[0]
    start = np.zeros(n + 1, np.int64)
    index, places = np.empty(0, np.int64), np.empty((0, 3))
    for fill in range(2):
        count = 0
        for i in range(n):
            start[i] = count
            for j in range(i + int(others), n):
                for u in range(-images[0], images[0] + 1):
                    for v in range(-images[1], images[1] + 1):
                        for w in range(-images[2], images[2] + 1):
                            if i == j and (u, v, w) <= (0, 0, 0):
                                continue
                            r2 = 0.0
                            for a in range(3):
                                d = positions[j, a] - positions[i, a]
                                d += u * cell[0, a] + v * cell[1, a] + w * cell[2, a]
                                if fill == 1 and count < index.size:
                                    places[count, a] = positions[i, a] + d
                                r2 += d * d
                            if r2 < reach * reach:
                                if fill == 1:
                                    index[count] = j
                                count += 1
        start[n] = count
        if fill == 0:
            index, places = np.empty(count, np.int64), np.empty((count, 3))
    return start, index, places


@njit(**OPTIONS)  # type: ignore[untyped-decorator]
def pairs_of(positions: Floats, start: Ints, index: Ints, places: Floats) -> Found:
    """Neighbours as clusters."""
    atoms, corners = np.empty((index.size, 2), np.int64), np.empty((index.size, 2, 3))
    for i in range(positions.shape[0]):
        for q in range(start[i], start[i + 1]):
            atoms[q, 0], atoms[q, 1] = i, index[q]
            for a in range(3):
                corners[q, 0, a] = positions[i, a]
                corners[q, 1, a] = places[q, a]
    return Found(atoms, corners)


@njit(**OPTIONS)  # type: ignore[untyped-decorator]
def near(first: Floats, second: Floats, reach: float) -> bool:
    """Whether two places are within reach."""
    r2 = 0.0
    for a in range(3):
        r2 += (first[a] - second[a]) ** 2
    return r2 < reach * reach


@njit(**OPTIONS)  # type: ignore[untyped-decorator]
def keep(
    positions: Floats, index: Ints, places: Floats, i: int, others: Ints, count: int, found: Found
) -> None:
    """Write atom i and some of its neighbours as a cluster, if there is room for it."""
    if count >= found.atoms.shape[0]:
        return
    found.atoms[count, 0] = i
    found.places[count, 0] = positions[i]
    for k in range(found.atoms.shape[1] - 1):
        found.atoms[count, k + 1] = index[others[k]]
        found.places[count, k + 1] = places[others[k]]


@njit(**OPTIONS)  # type: ignore[untyped-decorator]
def find_clusters(
    positions: Floats, start: Ints, index: Ints, places: Floats, reach: float, found: Found
) -> int:
    """Fill triplets or quadruplets, as far as there is room; returns their number."""
    size = found.atoms.shape[1]
    others = np.empty(3, np.int64)
    count = 0
    for i in range(positions.shape[0]):
        for q in range(start[i], start[i + 1]):
            others[0] = q
            for s in range(q + 1, start[i + 1]):
                if not near(places[q], places[s], reach):
                    continue
                others[1] = s
                if size == 3:
                    keep(positions, index, places, i, others, count, found)
                    count += 1
                    continue
                for t in range(s + 1, start[i + 1]):
                    if near(places[q], places[t], reach) and near(places[s], places[t], reach):
                        others[2] = t
                        keep(positions, index, places, i, others, count, found)
                        count += 1
    return count
