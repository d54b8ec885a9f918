"""The lines that benchmarks print."""

import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import numba
from calibrate import calibration
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

HEADER = (
    f"{'case':54s} {'seconds':>10s} {'units':>9s} {'target':>8s} {'':6s} {'reference':>15s} "
    f"{'direct':>9s} {'ratio':>7s} {'differ':>8s}"
)


@attrs.frozen
class Line:
    """One case."""

    name: str
    seconds: float
    """Of ours: processor time of one thread, after compilation"""
    target: float | None = None
    reference: str = ""
    """Seconds of the reference programs"""
    direct: float | None = None
    """Seconds of the evaluation term by term"""
    difference: float | None = None
    """Largest difference of ours from that, relative to the largest number of a column"""
    note: str = ""

    def text(self, unit: float) -> str:
        """One line; the unit is the time of the calibration loop."""
        target = f"{self.target:8.4g}" if self.target is not None else " " * 8
        met = "" if self.target is None else ("met" if self.seconds <= self.target else "MISSED")
        compared = ""
        if self.direct is not None:
            ratio = self.direct / self.seconds
            compared = f"{self.direct:9.4f} {ratio:7.1f} {self.difference or 0.0:8.0e}"
        line = (
            f"{self.name:54s} {self.seconds:10.5f} {self.seconds / unit:9.3f} {target} {met:6s} "
            f"{self.reference:>15s} {compared:26s} {self.note}"
        )
        return line.rstrip()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let neither linear algebra nor frames be shared out to several threads."""
    before = numba.config.NUMBA_NUM_THREADS
    numba.config.NUMBA_NUM_THREADS = 1
    try:
        with threadpool_limits(1):
            yield
    finally:
        numba.config.NUMBA_NUM_THREADS = before


def print_lines(*parts: Iterable[Line]) -> None:
    """Print lines as they come."""
    with one_thread():
        unit = calibration()
        print(f"{processor()}; calibration loop {1e3 * unit:.3f} ms\n{HEADER}")
        for part in parts:
            for line in part:
                print(line.text(unit), flush=True)


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
