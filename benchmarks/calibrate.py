"""A fixed piece of compiled arithmetic: its time is the unit in which benchmarks compare machines."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

SIZE = 192


@njit(cache=True)  # type: ignore[untyped-decorator]
def calibration_loop(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """A matrix product in three plain loops, 2 × 192³ operations."""
    total = 0.0
    n = a.shape[0]
    for i in range(n):
        for j in range(n):
            value = 0.0
            for k in range(n):
                value += a[i, k] * b[j, k]
            total += value * value
    return total


def seconds(
    function: Callable[[], Any], *, repeats: int = 20, calls: int = 1, warm: bool = True
) -> float:
    """Least processor time of one call (all threads, user and system), over several repeats.

    Args:
        function: what is timed.
        repeats: how often.
        calls: in each repeat.
        warm: call it once before, to compile and to fill caches.
    """
    if warm:
        function()
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(calls):
            function()
        best = min(best, (time.process_time() - start) / calls)
    return float(best)


def calibration() -> float:
    """Seconds of the calibration loop here and now."""
    a = np.linspace(0.0, 1.0, SIZE * SIZE).reshape(SIZE, SIZE)
    return seconds(lambda: calibration_loop(a, a), repeats=40, calls=3)


if __name__ == "__main__":
    print(f"calibration loop: {1e3 * calibration():.3f} ms")
