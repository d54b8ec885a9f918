"""How numba compiles the kernels of this package."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "fastmath": {"contract"},
    "error_model": "numpy",
}
"""Sums keep their order, so results are reproducible, and numbers that are not finite stay visible."""

Array = NDArray[Any]
Floats = NDArray[np.float64]
Integers = NDArray[np.int32] | NDArray[np.int64]
