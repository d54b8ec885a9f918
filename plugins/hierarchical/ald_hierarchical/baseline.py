"""What a labeler says about frames that have labels already: single points as jobs, once for each configuration."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np

from ald_core.digests import digest
from ald_core.errors import InputError, InputErrors
from ald_core.options import identity
from ald_core.roles import Labeler
from ald_core.types import Failure, Frame, JobSpec, Labels, RunJobs, Task


def evaluate_baseline(
    baseline: Labeler, frames: Sequence[Frame], run_jobs: RunJobs
) -> list[Labels]:
    """Energies, forces and stresses of the baseline; it gets the temperature of each frame.

    Jobs are those of labels: packed, repeated and supplied as `[resources.label]` says.

    Raises:
        InputError: it has no inputs for a frame, or gives nothing for one, which is named.
    """
    problems = [
        f"the baseline '{baseline.name}' cannot label {kind} frames; choose another one"
        for kind in sorted({f.kind for f in frames} - baseline.kinds)
    ]
    for temperature in sorted({f.temperature for f in frames if f.temperature is not None}):
        elements = sorted({e for f in frames for e in f.atoms.get_chemical_symbols()})
        found = baseline.check_temperature(temperature, elements)
        problems += [f"the baseline '{baseline.name}': {problem}" for problem in found]
    if len(problems) == 1:
        raise InputError(problems[0])
    if problems:
        raise InputErrors(problems)
    asked = digest("baseline", identity(baseline), _version(baseline))
    return list(run_jobs([_task(baseline, asked, frame) for frame in frames]))


def _task(baseline: Labeler, asked: str, frame: Frame) -> Task[Labels]:
    def prepare(workdir: Path, rung: int) -> JobSpec:
        return baseline.prepare(frame, workdir, rung)

    def collect(workdir: Path) -> Labels | Failure:
        return _believed(baseline.collect(frame, workdir), frame)

    return Task("label", f"baseline of {frame.id}", digest(asked, frame.digest), prepare, collect)


def _believed(said: Labels | Failure, frame: Frame) -> Labels | Failure:
    """What the baseline says, if it is complete; its energies may be anything but infinite."""
    if isinstance(said, Failure):
        return said
    if said.energy is None or said.forces is None:
        return Failure("energy or forces are missing")
    if said.forces.shape != (len(frame.atoms), 3):
        return Failure(f"forces have shape {said.forces.shape} for {len(frame.atoms)} atoms")
    numbers = [np.array([said.energy]), said.forces.ravel()]
    numbers += [] if said.stress is None else [said.stress]
    if not np.isfinite(np.concatenate(numbers)).all():
        return Failure("an energy, force or stress is not finite")
    return said


def _version(baseline: Labeler) -> str:
    """Distribution and version that it came from: another one's results are another baseline."""
    package = type(baseline).__module__.partition(".")[0]
    for point in entry_points(group="ald"):
        if point.dist is not None and point.module.partition(".")[0] == package:
            return f"{point.dist.name} {point.dist.version}"
    return package
