"""What passes between the roles: frames, labels, training set, weights, models, jobs.

ASE units throughout: eV, Å, eV/Å, amu; stress in eV/Å³ as Voigt vector (xx, yy, zz, yz, xz, xy), positive in tension.
Everything is frozen. Arrays and `Atoms` inside are shared, not copied: read them, never write to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import attrs
import numpy as np
from ase import Atoms
from attrs.validators import matches_re
from numpy.typing import NDArray

from ald_core.resources import Resources as Resources  # noqa: PLC0414  offered here, too

FloatArray = NDArray[np.float64]
Kind = Literal["bulk", "gas"]
ContactClass = Literal[0, 1, 2]
"""0: clear; 1: a pair inside the penalty zone; 2: a pair inside the inner cutoff."""
FailureKind = Literal[
    "numerical", "invalid", "time", "memory", "resources", "infrastructure", "input"
]
Ending = Literal["unknown", "timeout", "out_of_memory", "node_fail", "preempted", "cancelled"]
"""What a scheduler says of the end of a job; all else, success and failure alike, is `unknown`: the files decide."""
Role = Literal["label", "fit", "md", "predict"]

T = TypeVar("T")


# ---------------------------------------------------------------- frames and labels


@attrs.frozen
class Origin:
    """Where a frame comes from: position `step` of trajectory `source`, made in `cycle` (0: given by the user)."""

    cycle: int
    source: str
    step: int
    part: int = 0
    """0: the whole frame; 1, 2, …: a molecule cut out of it"""

    @property
    def frame_id(self) -> str:
        """Name of the frame, unique in a study, which sorts by cycle, source and time."""
        part = f"-{self.part:04d}" if self.part else ""
        return f"{self.cycle:03d}-{self.source}-{self.step:09d}{part}"


@attrs.frozen(eq=False)
class Frame:
    """A configuration of atoms, without labels."""

    atoms: Atoms
    origin: Origin
    temperature: float | None = None
    """K, of the state point; labelers may use it as electronic temperature"""
    kind: Kind = "bulk"
    contact_class: ContactClass = 0

    @property
    def id(self) -> str:
        """Unique name, see `Origin.frame_id`."""
        return self.origin.frame_id

    @property
    def digest(self) -> str:
        """SHA-256 over everything that a label can depend on, exact to the last bit."""
        atoms = self.atoms
        h = hashlib.sha256()
        h.update(np.asarray(atoms.numbers, dtype="<i8").tobytes())
        h.update(np.asarray(atoms.positions, dtype="<f8").tobytes())
        h.update(np.asarray(atoms.cell[:], dtype="<f8").tobytes())
        h.update(np.asarray(atoms.pbc, dtype="u1").tobytes())
        h.update(f"{self.temperature!r} {self.kind}".encode())
        return h.hexdigest()


@attrs.frozen(eq=False)
class Labels:
    """What a reference method says about a frame; what it does not give is None."""

    energy: float | None = None
    """eV, of the whole frame"""
    forces: FloatArray | None = None
    """(n_atoms, 3) eV/Å, in the atom order of the frame"""
    stress: FloatArray | None = None
    """(6,) eV/Å³, Voigt, positive in tension"""


@attrs.frozen
class Failure:
    """Why a task gave no result.

    kind: `numerical` (did not converge: the next rung may try another path to the same answer), `invalid` (output
    missing, cut off or implausible: one identical retry), `time` and `memory` (too little of it; `resources`
    if it cannot be told of which: the retry gets more), `infrastructure` (the machine), `input` (no retry can help).
    """

    reason: str
    kind: FailureKind = "invalid"


@attrs.frozen(eq=False)
class LabeledFrame:
    """A frame with accepted labels."""

    frame: Frame
    labels: Labels
    labeler: str
    first_fit: int
    """The first cycle whose fit uses it: 1 for the starting set, n+1 for labels made in cycle n."""
    held_out: bool = False
    """Never fitted, only judged."""
    set_aside: str = ""
    """Why it is neither fitted nor judged, until the user says otherwise; empty: it is not set aside"""


@attrs.frozen(eq=False)
class TrainingSet:
    """All labelled frames of a study, ordered by frame id. It only grows, by returning a new one."""

    frames: tuple[LabeledFrame, ...] = ()

    def grow(self, more: Iterable[LabeledFrame]) -> TrainingSet:
        """This set and `more`, in frame-id order; a frame that is already there is an error (ValueError)."""
        frames = sorted((*self.frames, *more), key=lambda f: f.frame.id)
        ids = [f.frame.id for f in frames]
        if len(set(ids)) != len(ids):
            repeated = next(a for a, b in pairwise(ids) if a == b)
            raise ValueError(f"frame {repeated} is in the training set already")
        return TrainingSet(tuple(frames))

    @property
    def fitted(self) -> tuple[LabeledFrame, ...]:
        """The frames that a fit may use."""
        return tuple(f for f in self.frames if not f.held_out and not f.set_aside)

    @property
    def held_out(self) -> tuple[LabeledFrame, ...]:
        """The frames that only judge."""
        return tuple(f for f in self.frames if f.held_out and not f.set_aside)

    @property
    def set_aside(self) -> tuple[LabeledFrame, ...]:
        """The frames that are neither fitted nor judged."""
        return tuple(f for f in self.frames if f.set_aside)

    def __len__(self) -> int:
        return len(self.frames)


# ---------------------------------------------------------------- weights


@attrs.frozen(eq=False)
class FrameWeights:
    """Factors for the rows of one frame; a fitter multiplies both sides of each equation by them."""

    forces: FloatArray
    """(n_atoms, 3)"""
    energy: float
    stress: FloatArray
    """(6,) Voigt order"""

    def __mul__(self, other: FrameWeights) -> FrameWeights:
        return FrameWeights(
            self.forces * other.forces, self.energy * other.energy, self.stress * other.stress
        )


@attrs.frozen(eq=False)
class Weights:
    """Weights of the fitted frames, by frame id."""

    frames: Mapping[str, FrameWeights]

    def __mul__(self, other: Weights) -> Weights:
        return Weights({i: w * other.frames[i] for i, w in self.frames.items()})


# ---------------------------------------------------------------- models and trajectories


@attrs.frozen
class Model:
    """A fitted model: a parameter file in some format."""

    format: str
    """What MD engines declare in `reads`, for example `chimes`."""
    path: Path
    """The parameter file. A fitter gives it inside its `workdir`."""
    report: Mapping[str, Any] = attrs.field(factory=dict)
    """What the fitter has to say (plain JSON values), shown in the summary and stored in `fit.json`."""


@attrs.frozen
class Case:
    """A state point at which MD is run."""

    name: str
    index: int
    temperature: float
    """K"""
    structure: Path
    """Starting configuration"""
    input: Path | None = None
    """The engine's own input file, when it has one (`run_md.in`)"""
    resources: Resources | None = None
    """Of its MD, where they are not those of the step"""


@attrs.frozen(eq=False)
class Candidate:
    """A frame of a trajectory that could be labelled, still on disk."""

    origin: Origin
    temperature: float
    contact_class: ContactClass
    load: Callable[[], Atoms] = attrs.field(repr=False)
    """Reads the atoms; nothing is kept in memory."""

    def frame(self, atoms: Atoms | None = None, kind: Kind = "bulk", part: int = 0) -> Frame:
        """The frame itself, or `atoms` cut out of it as part number `part`."""
        return Frame(
            self.load() if atoms is None else atoms,
            attrs.evolve(self.origin, part=part),
            self.temperature,
            kind,
            self.contact_class,
        )


Cell = str | int | float | None


@attrs.frozen
class ResultTable:
    """Results of an MD run that not every engine has.

    Users find it with those of the other cases as `ALC-n/NAME.csv`, and in the summary of the study.
    """

    name: str = attrs.field(validator=matches_re("[a-z][a-z0-9_]*"))
    columns: tuple[str, ...]
    """Units in brackets; the same for all runs of an engine."""
    rows: tuple[tuple[Cell, ...], ...]
    """None for what is not known"""


@attrs.frozen(eq=False)
class Trajectory:
    """What an MD run gave."""

    case: Case
    candidates: tuple[Candidate, ...]
    """In order of time."""
    steps: int
    planned: int
    stable: bool
    reason: str = ""
    """Why it ended early, when it did."""
    drift: float | None = None
    """Largest deviation of the conserved quantity from its first value, eV/atom."""
    counts: tuple[int, int, int] = (0, 0, 0)
    """Steps (or frames, where an engine cannot tell) in each contact class."""
    tables: tuple[ResultTable, ...] = ()
    """What else there is to show, if the user asked for it"""


@attrs.frozen(eq=False)
class Pick:
    """A candidate chosen by a selector: its position in the list that was given, and why."""

    position: int
    reason: str
    kind: Kind = "bulk"
    atoms: Atoms | None = None
    """A molecule cut out of the candidate, when it is not the whole frame."""


# ---------------------------------------------------------------- work


@attrs.frozen
class JobSpec:
    """A command to run in a prepared folder, and what it leaves behind."""

    command: tuple[str, ...]
    """Program and arguments; no shell reads them."""
    outputs: tuple[str, ...]
    """Files that exist after a success; they are made durable and their digests recorded."""
    environment: Mapping[str, str] = attrs.field(factory=dict)
    serial: bool = False
    """A single process, which uses threads, or starts others by itself: without the launcher of the step"""


@attrs.frozen(eq=False)
class Task(Generic[T]):
    """Work with an identity, done by a job: the same identity is never done twice.

    `identity` is a digest of everything that the result depends on. `prepare(workdir, rung)` writes the inputs (same
    arguments, same bytes) and says what to run; `collect(workdir)` reads the outputs, as often as it is asked.
    `gate` says whether a result is believed. It is no part of the identity: when it changes, results on disk are judged
    again, and nothing is calculated anew.
    """

    role: Role
    name: str
    """For people: a frame id, a case, `fit`."""
    identity: str
    prepare: Callable[[Path, int], JobSpec]
    collect: Callable[[Path], T | Failure]
    gate: Callable[[T], T | Failure] | None = None
    resources: Resources | None = None
    """Where they are not those of the step"""

    def judge(self, result: T | Failure) -> T | Failure:
        """What `gate` says of a result."""
        return result if isinstance(result, Failure) or self.gate is None else self.gate(result)


RunJobs = Callable[[list[Task[Any]]], list[Any]]
"""Runs tasks through the scheduler; results (or the last `Failure`) in the order of the tasks."""


@attrs.frozen
class Job:
    """One submission: a folder with a script in it."""

    name: str
    """Unique for this work and attempt; starts with the prefix of the run."""
    folder: Path
    script: Path
    resources: Resources
    avoid: tuple[str, ...] = ()
    """Nodes on which jobs died again and again"""
    withhold: frozenset[str] = frozenset()
    """Environment variables of `ald run` that the job must not get, because they hold secrets"""


@attrs.frozen
class JobStatus:
    """What a scheduler knows about a job: `alive` (queued or running) or `gone`."""

    id: str
    state: Literal["waiting", "running", "gone", "unknown"]
    detail: str = ""
    """The scheduler's own words"""
    ending: Ending = "unknown"
    """Of a job that is gone"""
    node: str = ""
    """Where its script runs or ran"""
    stuck: bool = False
    """It waits for something that will not come by itself, such as a hold or a limit that it exceeds."""


# ---------------------------------------------------------------- notices

NoticeEvent = Literal["cycle", "finished", "stopped", "failed"]
"""A cycle is finished; the run is finished, was stopped (by the user, or for a person to look), or failed."""


@attrs.frozen
class Notice:
    """What people are told who do not watch."""

    event: NoticeEvent
    study: Path
    title: str
    """One line"""
    text: str
