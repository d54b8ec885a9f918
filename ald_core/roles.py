"""The roles a plugin can fill: abstract classes, one per kind of help that the cycle asks for.

A capability is one attrs class: its fields (declared with `ald_core.options.option`) are the settings, its methods the
work, `name` is what users type. The constructor only checks. Nothing is remembered on `self` between calls, so that a
restart loses nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np

from ald_core.options import option
from ald_core.types import (
    Candidate,
    Case,
    Failure,
    Frame,
    Job,
    JobSpec,
    JobStatus,
    Kind,
    Labels,
    Model,
    Notice,
    NoticeEvent,
    Pick,
    Resources,
    RunJobs,
    TrainingSet,
    Trajectory,
    Weights,
)


class Capability(ABC):
    """What all roles share."""

    role: ClassVar[str]
    """How the role is called in messages and in `ald plugins`."""
    name: ClassVar[str]
    """What users type after `use =`."""
    cites: ClassVar[tuple[str, ...]] = ()
    """References that a paper should cite when it used this capability."""

    def check(self, elements: Sequence[str]) -> list[str]:
        """Problems that can be known before any job runs, one sentence each: missing programs, files, elements."""
        del elements
        return []

    def programs(self) -> Mapping[str, str]:
        """Programs that its jobs start, by the options that name them.

        Those with a folder in their name must be there before any job runs; others may come with modules.
        """
        return {}

    def secrets(self) -> tuple[str, ...]:
        """Names of environment variables that hold passwords and the like: no job gets them."""
        return ()


class Scheduler(Capability):
    """Runs job scripts somewhere, and knows which are still alive. It knows no physics."""

    role: ClassVar[str] = "scheduler"
    patience: ClassVar[float] = 300.0
    """Seconds for which a submitted job may be invisible before it counts as lost; 0 if `find` cannot be late."""
    poll: ClassVar[float | None] = None
    """Seconds between two calls of `find`; None: one, and more and more up to a minute while nothing happens"""

    @abstractmethod
    def submit(self, job: Job) -> str:
        """Submit the script of `job` under its name; return the scheduler's id.

        Raises `SubmitRefused` only for an explicit no; `SubmitUncertain` when the answer is unknown. Whatever the job
        gets of the environment of `ald run`, it does not get the variables in `job.withhold`.
        """

    @abstractmethod
    def find(self, prefix: str) -> dict[str, list[JobStatus]]:
        """All jobs whose name starts with `prefix`, by name, from one query.

        A job that is not in the answer is gone. Raises `SchedulerUnavailable` if the query failed.
        """

    @abstractmethod
    def cancel(self, ids: Sequence[str]) -> None:
        """Ask the scheduler to end these jobs; unknown ids are ignored."""

    def explain(self, name: str, job_id: str, folder: Path) -> JobStatus | None:
        """What became of a job that died, as far as it can be told when `find` no longer knows it.

        Asked once for each such job. `job_id` is empty if it was never known.
        """
        del name, job_id, folder
        return None

    def check_resources(self, resources: Mapping[str, Resources]) -> list[str]:
        """Problems with what jobs ask for, by step or case, one sentence each; it may ask the scheduler."""
        del resources
        return []


class MDEngine(Capability):
    """Runs molecular dynamics with a model."""

    role: ClassVar[str] = "md engine"
    reads: ClassVar[tuple[str, ...]]
    """Model formats it understands."""

    @abstractmethod
    def prepare(self, model: Model, case: Case, seed: int, workdir: Path) -> JobSpec:
        """Write the inputs of one run into `workdir` and say what to run."""

    @abstractmethod
    def collect(self, case: Case, cycle: int, workdir: Path) -> Trajectory | Failure:
        """Read what the run left in `workdir`; an unstable run is a `Trajectory` with `stable=False`."""

    def check_case(self, case: Case, elements: Sequence[str]) -> list[str]:
        """Problems with a case that can be known before any job runs, one sentence each."""
        del case, elements
        return []

    def case_warnings(self, case: Case, elements: Sequence[str]) -> list[str]:
        """What may not be meant so; `ald check` shows it, no run stops for it. The case has no problems."""
        del case, elements
        return []

    def views(self) -> tuple[str, ...]:
        """Files of the job folder that users find in `CASE-*`; patterns as in `Path.glob`."""
        return ("*",)


class Labeler(Capability):
    """Puts energies, forces and stresses on frames with a reference method."""

    role: ClassVar[str] = "labeler"
    properties: ClassVar[frozenset[str]] = frozenset({"energy", "forces", "stress"})
    """Which of energy, forces, stress it gives."""
    kinds: ClassVar[frozenset[Kind]] = frozenset({"bulk", "gas"})
    """Which frames it can label; the run file is checked for it."""

    def check_temperature(self, temperature: float, elements: Sequence[str]) -> list[str]:
        """Problems with frames of a case at this temperature (K), one sentence each: inputs that are missing."""
        del temperature, elements
        return []

    @abstractmethod
    def prepare(self, frame: Frame, workdir: Path, rung: int) -> JobSpec:
        """Write the inputs of one calculation.

        `rung` counts numerical failures so far: it may choose another path to the same answer (another mixer), never
        another question.
        """

    @abstractmethod
    def collect(self, frame: Frame, workdir: Path) -> Labels | Failure:
        """Read the outputs, in the atom order of `frame`. Anything unclear is a `Failure`, never a number."""


@attrs.frozen(eq=False)
class SelectionContext:
    """What a selector may know. New fields may come; none will go."""

    cycle: int
    training: TrainingSet
    model: Model
    rng: np.random.Generator
    """Seeded from the study's seed, the cycle and, if the selector works `per_case`, the case"""
    predict: Callable[[Sequence[Frame]], list[Labels]]
    """Energies, forces and stresses of the current model, computed by jobs.

    Other work goes on while they run: `select` is abandoned, and called again from its start when they have ended.
    """
    cases: tuple[str, ...] = ()
    """Names of all cases that are chosen from, also of those without a candidate"""


class Selector(Capability):
    """Chooses the frames worth labelling."""

    role: ClassVar[str] = "selector"
    per_case: ClassVar[bool] = False
    """Whether the picks from a case depend on nothing of the other cases.

    If so, `select` is called for each case by itself, as soon as its MD has ended, and its picks are labelled while MD
    of other cases goes on. If not – one budget for all cases, no two alike among all picks – it is called once, when MD
    of all cases has ended.
    """

    @abstractmethod
    def select(self, candidates: Sequence[Candidate], context: SelectionContext) -> list[Pick]:
        """Choose among the candidates of all cases, or of one, ordered by case and time.

        Same candidates and context, same picks. `context.training` is that of the beginning of the cycle for all cases.
        """


class Weighting(Capability):
    """Weights the equations of a fit; several weightings are multiplied."""

    role: ClassVar[str] = "weighting"

    @abstractmethod
    def weights(self, training: TrainingSet, cycle: int) -> Weights:
        """Weights for `training.fitted` in the fit of `cycle`."""


class Fitter(Capability):
    """Turns labelled frames into a model."""

    role: ClassVar[str] = "fitter"
    writes: ClassVar[str]
    """Format of its models."""

    @abstractmethod
    def fit(
        self, training: TrainingSet, weights: Weights, workdir: Path, run_jobs: RunJobs
    ) -> Model:
        """Fit `training.fitted` and leave the files that users want in `workdir`, which becomes `GEN_FF`.

        Heavy work goes through `run_jobs`; called again after a crash, that returns finished work without redoing it.
        """

    @abstractmethod
    def predict(self, model: Model, frames: Sequence[Frame], run_jobs: RunJobs) -> list[Labels]:
        """What `model` says about `frames`, with whatever the model would do in MD but without any penalty."""


@attrs.frozen(kw_only=True)
class Notifier(Capability):
    """Tells people who do not watch how a run goes: by mail, in a chat."""

    role: ClassVar[str] = "notifier"
    events: tuple[NoticeEvent, ...] = option(
        ("cycle", "finished", "stopped", "failed"), help="what to tell about"
    )

    @abstractmethod
    def notify(self, notice: Notice) -> None:
        """Send one notice; whatever is raised is shown as a warning, so it must hold no secret.

        Called in a thread of its own, one notice after the other. A run ends without it after some seconds.
        """

    def warnings(self) -> list[str]:
        """What would keep a notice from being sent, as far as is known; `ald check` shows it, no run stops for it."""
        return []


ROLES: tuple[type[Capability], ...] = (
    Scheduler,
    MDEngine,
    Labeler,
    Selector,
    Weighting,
    Fitter,
    Notifier,
)
