"""Powers of the terms of a cluster, and which of them have one coefficient."""

import itertools
from functools import lru_cache

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import EDGES


@attrs.frozen(eq=False)
class PowerList:
    """Power tuples of one kind of cluster, orbit after orbit; the arrays are shared and read-only."""

    powers: NDArray[np.int64]
    equivalents: NDArray[np.int64]
    parameters: NDArray[np.int64]
    n_parameters: int


@lru_cache(maxsize=64)
def enumerate_powers(groups: tuple[int, ...], order: int) -> PowerList:
    """List the allowed power tuples of a cluster, orbit after orbit.

    Args:
        groups: for each atom of the sorted cluster the position of the first like atom, (0, 0, 2) for AAB.
        order: O3 or O4, one more than the highest power.
    """
    edges = EDGES[len(groups)]
    every = np.indices((order,) * len(edges)).reshape(len(edges), -1).T.astype(np.int64)
    allowed = np.ones(len(every), dtype=bool)
    for atom in range(len(groups)):
        touching = [e for e, ends in enumerate(edges) if atom in ends]
        allowed &= every[:, touching].any(axis=1)
    tuples = every[allowed]
    place_values = order ** np.arange(len(edges) - 1, -1, -1, dtype=np.int64)
    # Column k of `images` is the code of the tuple under the k-th permutation; codes sort as the tuples do.
    moves = _edge_permutations(groups)
    images = np.stack([tuples[:, move] @ place_values for move in moves], axis=1)
    first = images[:, 0] == images.min(axis=1)
    orbits = images[first]
    new = np.ones(orbits.shape, dtype=bool)
    for k in range(1, orbits.shape[1]):
        new[:, k] = (orbits[:, :k] != orbits[:, k : k + 1]).all(axis=1)
    sizes = new.sum(axis=1)
    codes = orbits[new]
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)
    powers = codes[:, None] // place_values % order
    equivalents = np.repeat(starts, sizes)
    parameters = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    for array in (powers, equivalents, parameters):
        array.setflags(write=False)
    return PowerList(powers, equivalents, parameters, len(sizes))


def _edge_permutations(groups: tuple[int, ...]) -> list[list[int]]:
    """For every permutation of like atoms, the old edge whose power each new edge takes."""
    edges = EDGES[len(groups)]
    number = {ends: e for e, ends in enumerate(edges)}
    blocks = [list(block) for _, block in itertools.groupby(range(len(groups)), groups.__getitem__)]
    moves = []
    for choice in itertools.product(*(itertools.permutations(block) for block in blocks)):
        target = [atom for block in choice for atom in block]
        moves.append([number[ascending(target[a], target[b])] for a, b in edges])
    return moves


def ascending(a: int, b: int) -> tuple[int, int]:
    """The two in order."""
    return (a, b) if a < b else (b, a)
