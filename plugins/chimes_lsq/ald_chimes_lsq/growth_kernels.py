"""Compiled copies of arrays into larger ones."""

import numpy as np
from numba import njit

from ald_chimes_lsq.compilation import OPTIONS, Array


@njit(**OPTIONS)
def grow(array: Array, capacity: int) -> Array:
    """A longer copy of a vector."""
    longer = np.empty(capacity, array.dtype)
    for k in range(array.size):
        longer[k] = array[k]
    return longer


@njit(**OPTIONS)
def grow_rows(array: Array, capacity: int) -> Array:
    """A longer copy of a matrix."""
    longer = np.empty((capacity, array.shape[1]), array.dtype)
    for k in range(array.shape[0]):
        for a in range(array.shape[1]):
            longer[k, a] = array[k, a]
    return longer
