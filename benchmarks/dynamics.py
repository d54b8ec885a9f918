"""Molecular dynamics of the example, through the MD program: `python benchmarks/dynamics.py`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from calibrate import seconds
from cases import EXAMPLE
from fits import first_fit
from table import Line, print_lines

from ald_chimes_md.run import run_file

STEPS = 10_000


def dynamics_lines() -> Iterator[Line]:
    """Seconds of a step: preparation and all outputs of the control file are part of it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        control = (EXAMPLE / "case-0.indep-0.run_md.in").read_text()
        coordinates = "case-0.indep-0.input.xyz"
        for name in ("params.txt", coordinates):
            control = control.replace("WILL_AUTO_UPDATE", name, 1)
        control = control.replace("300000", str(STEPS))
        (folder / "run_md.in").write_text(control)
        (folder / coordinates).write_text((EXAMPLE / coordinates).read_text())
        first_fit(folder / "params.txt")
        time = seconds(lambda: run_file(folder / "run_md.in"), repeats=3) / STEPS
        done = run_file(folder / "run_md.in")
    if not done.stable or done.steps_done != STEPS:
        raise AssertionError(f"the run stopped at step {done.steps_done}: {done.reason}")
    note = f"{1.0 / time:.0f} steps/s"
    yield Line("MD, 64 C atoms, molten carbon input, one step", time, 1 / 5000, "1/300", note=note)


if __name__ == "__main__":
    print_lines(dynamics_lines())
