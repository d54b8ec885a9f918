"""The crew `reference`, whose right answer is known: Lennard-Jones labels, a fit of r⁻¹² and r⁻⁶, MD with the fit.

With σ = ε = 1 (eV, Å) every fit must give the coefficients 4 and −4, whatever is selected. It is for learning and for
tests; its jobs are real processes (`reference_job.py`) and take the same way as everyone's.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import attrs
import numpy as np
from ase import Atoms
from attrs.validators import ge, gt

from ald_core.digests import digest
from ald_core.errors import InputError
from ald_core.options import option
from ald_core.reference_job import (
    ANSWER,
    COMPARE,
    PARAMETERS,
    REQUEST,
    STATISTICS,
    TRAJECTORY,
)
from ald_core.roles import Fitter, Labeler, MDEngine
from ald_core.store import frame_to_json, labels_from_json, labels_to_json
from ald_core.types import (
    Candidate,
    Case,
    Failure,
    Frame,
    FrameWeights,
    JobSpec,
    Labels,
    Model,
    Origin,
    RunJobs,
    Task,
    TrainingSet,
    Trajectory,
    Weights,
)

FORMAT = "reference"


@attrs.frozen(kw_only=True)
class ReferenceLabeler(Labeler):
    """Label frames with the Lennard-Jones potential, σ = ε = 1 in eV and Å."""

    name: ClassVar[str] = "reference"

    def prepare(self, frame: Frame, workdir: Path, rung: int) -> JobSpec:
        """Write the request; there is one path to the answer only."""
        del rung
        return _job("label", workdir, {"frame": frame_to_json(frame)}, (ANSWER,))

    def collect(self, frame: Frame, workdir: Path) -> Labels | Failure:
        """Read the answer."""
        try:
            labels = labels_from_json(_answer(workdir))
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Failure(f"no readable {ANSWER}: {error}")
        if labels.forces is None or labels.forces.shape != (len(frame.atoms), 3):
            return Failure(f"{ANSWER} has no forces for {len(frame.atoms)} atoms")
        return labels


@attrs.frozen(kw_only=True)
class ReferenceFitter(Fitter):
    """Fit the coefficients of r⁻¹² and r⁻⁶; after any fit they must be 4 and −4."""

    name: ClassVar[str] = "reference"
    writes: ClassVar[str] = FORMAT

    def fit(
        self, training: TrainingSet, weights: Weights, workdir: Path, run_jobs: RunJobs
    ) -> Model:
        """Least squares as a job; leaves `params.json` and `compare.txt`."""
        items = [
            {
                "frame": frame_to_json(f.frame),
                "labels": labels_to_json(f.labels),
                "weights": _weights(weights.frames[f.frame.id]),
            }
            for f in training.fitted
        ]
        outputs = (PARAMETERS, COMPARE, ANSWER)
        (folder,) = run_jobs([_task("fit", "fit", {"training": items}, outputs, Path)])
        for name in (PARAMETERS, COMPARE):
            shutil.copyfile(folder / name, workdir / name)
        return Model(FORMAT, workdir / PARAMETERS, _answer(folder))

    def predict(self, model: Model, frames: Sequence[Frame], run_jobs: RunJobs) -> list[Labels]:
        """Energies, forces and stresses as a job."""
        request = {
            "coefficients": coefficients(model.path),
            "frames": [frame_to_json(f) for f in frames],
        }
        task = _task("predict", f"{len(frames)} frames", request, (ANSWER,), _answer)
        (answers,) = run_jobs([task])
        return [labels_from_json(answer) for answer in answers]


@attrs.frozen(kw_only=True)
class ReferenceEngine(MDEngine):
    """Run MD at constant energy with a fitted r⁻¹², r⁻⁶ potential."""

    name: ClassVar[str] = "reference"
    reads: ClassVar[tuple[str, ...]] = (FORMAT,)
    steps: int = option(100, help="time steps", validator=ge(1))
    timestep: float = option(1.0, help="time step, fs", validator=gt(0.0))
    stride: int = option(10, help="steps between frames of the trajectory", validator=ge(1))
    inner_cutoff: float = option(0.8, help="Å; closer pairs are outside the model", validator=ge(0))
    penalty_zone: float = option(0.02, help="Å beyond the inner cutoff", validator=ge(0))

    def check_case(self, case: Case, elements: Sequence[str]) -> list[str]:
        """Whether the structure can be read."""
        del elements  # the potential is the same for all
        try:
            _structure(case.structure)
        except InputError as error:
            return [f"structure: {error}"]
        return []

    def prepare(self, model: Model, case: Case, seed: int, workdir: Path) -> JobSpec:
        """Write the request with the starting structure in it."""
        atoms = _structure(case.structure)
        frame = Frame(atoms, Origin(0, case.name, 0))
        request = {
            "coefficients": coefficients(model.path),
            "frame": frame_to_json(frame),
            "temperature": case.temperature,
            "seed": seed,
            **attrs.asdict(self),
        }
        return _job("md", workdir, request, (TRAJECTORY, STATISTICS, ANSWER))

    def collect(self, case: Case, cycle: int, workdir: Path) -> Trajectory | Failure:
        """Read the answer; the frames stay on disk until they are wanted."""
        try:
            answer = _answer(workdir)
            path = workdir / TRAJECTORY
            candidates = tuple(
                Candidate(
                    Origin(cycle, case.name, step),
                    case.temperature,
                    contact,
                    partial(_read, path, position),
                )
                for position, (step, contact) in enumerate(answer["frames"])
            )
            return Trajectory(
                case,
                candidates,
                steps=answer["steps"],
                planned=answer["planned"],
                stable=not answer["reason"],
                reason=answer["reason"],
                drift=answer["drift"],
                counts=tuple(answer["counts"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Failure(f"no readable {ANSWER}: {error}")

    def views(self) -> tuple[str, ...]:
        """Request, trajectory, statistics."""
        return (REQUEST, TRAJECTORY, STATISTICS)


def coefficients(path: Path) -> list[float]:
    """Coefficients of r⁻¹² and r⁻⁶ in a parameter file; InputError if it holds none."""
    try:
        values = json.loads(path.read_text())
        return [float(values["c12"]), float(values["c6"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"is no parameter file of the reference crew: {error}", path=path
        ) from None


def _task(
    role: str, name: str, request: Mapping[str, Any], outputs: tuple[str, ...], read: Any
) -> Task[Any]:
    def prepare(workdir: Path, rung: int) -> JobSpec:
        del rung
        return _job(role, workdir, request, outputs)

    def collect(workdir: Path) -> Any:
        try:
            _answer(workdir)
            return read(workdir)
        except (OSError, ValueError) as error:
            return Failure(f"no readable {ANSWER}: {error}")

    identifier = digest("reference", role, json.dumps(request))
    return Task(role, name, identifier, prepare, collect)  # type: ignore[arg-type]


def _job(role: str, workdir: Path, request: Mapping[str, Any], outputs: tuple[str, ...]) -> JobSpec:
    (workdir / REQUEST).write_text(json.dumps(request) + "\n")
    return JobSpec((sys.executable, "-m", "ald_core.reference_job", role), outputs, serial=True)


def _answer(workdir: Path) -> Any:
    return json.loads((workdir / ANSWER).read_text())


def _weights(weights: FrameWeights) -> dict[str, Any]:
    return {
        "energy": weights.energy,
        "forces": weights.forces.tolist(),
        "stress": weights.stress.tolist(),
    }


def _structure(path: Path) -> Atoms:
    try:
        atoms = _read(path, -1)
    except Exception as error:  # readers of ASE fail in every possible way
        raise InputError(f"cannot be read as a structure ({error})", path=path) from error
    if len(atoms) == 0 or not np.all(np.isfinite(atoms.positions)):
        raise InputError("has no atoms, or a position that is not finite", path=path)
    return atoms


def _read(path: Path, position: int) -> Atoms:
    import ase.io  # noqa: PLC0415  takes half a second, which other commands need not wait for

    atoms = cast("Atoms", ase.io.read(path, index=position))  # an index gives one image
    return Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
