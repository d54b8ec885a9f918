"""Peak memory of a fit with 200 atoms and 3358 columns: `python benchmarks/memory.py`.

Each fit runs in a process of its own. If the peak does not grow with the number of frames, it is that of any number.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
from cases import configuration, organic, parameters, relabelled, stress_setup
from table import Line, one_thread, print_lines

from ald_chimes_lsq import ChimesModel, fit
from ald_chimes_lsq.constants import HARTREE_FORCE
from ald_chimes_lsq.formats.setup import EnergyFit, StressFit
from ald_chimes_lsq.formats.xyzf import XyzfFrame

FRAMES = (20, 60)
LIMIT = 1024.0
"""MiB"""


def memory_lines() -> Iterator[Line]:
    """One line for each number of frames, with the seconds of the fit."""
    for n in FRAMES:
        command = [sys.executable, str(Path(__file__).resolve()), str(n)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(said.splitlines()[-1])
        peak = found["peak"]
        note = f"peak {peak:.0f} MiB: {'met' if peak < LIMIT else 'MISSED'}, the target is {LIMIT:.0f} MiB"
        yield Line(f"fit, {n} frames × 200 atoms × 3358 columns", found["seconds"], note=note)


def peak_of_fit(n_frames: int) -> float:
    """Fit frames of liquid carbon whose atoms are called C, H and O at random; MiB of the process."""
    plain = stress_setup()
    setup = attrs.evolve(
        plain, basis=organic(3.5), fit_stress=StressFit(), fit_energy=EnergyFit()
    )  # fmt: skip
    rng = np.random.default_rng(3)
    model = ChimesModel.read(parameters("liqC.2+3b.cubic"))
    start = configuration("liqC.2.5gcc_6000K.OUTCAR_#001")
    frames = []
    for i in range(n_frames):
        moved = start.displaced(rng)
        forces = model.evaluate(moved.atoms).forces / HARTREE_FORCE
        named = relabelled(moved, ("C", "H", "O"), i)
        frames.append(XyzfFrame(named.elements, named.cell, named.positions, forces))
    fit(setup, frames, algorithm="lasso", alpha=1.0)
    return peak_memory()


def peak_memory() -> float:
    """MiB that this process has had at most; `ru_maxrss` would count its parent's, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024.0


def main() -> None:
    """Fit, or with a number of frames as argument be one of the processes."""
    if len(sys.argv) > 1:
        with one_thread():
            peak = peak_of_fit(int(sys.argv[1]))
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"peak": peak, "seconds": used.ru_utime + used.ru_stime}))
    else:
        print_lines(memory_lines())


if __name__ == "__main__":
    main()
