"""Compiled allocation: longer copies of arrays, and arrays that begin at a cache line."""

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Array, Floats


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


@njit(**OPTIONS)
def aligned_zeros(n_rows: int, width: int) -> Floats:
    """Zeros that begin at a multiple of 64 bytes, so that vectors of eight doubles do not straddle cache lines."""
    room = np.zeros(n_rows * width + 8)
    begin = (-(room.ctypes.data // 8)) % 8
    return room[begin : begin + n_rows * width].reshape(n_rows, width)
