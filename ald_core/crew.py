"""The capabilities that a study uses, and whether they can work here."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from ald_core.options import parts
from ald_core.resources import Resources
from ald_core.roles import Capability, Fitter, Labeler, MDEngine, Scheduler, Selector, Weighting
from ald_core.types import Case, Frame, Kind, Role


@attrs.frozen(eq=False)
class Crew:
    """The capabilities that a study uses. What `--fit-only` does not need may be missing."""

    scheduler: Scheduler
    fitter: Fitter
    weightings: tuple[Weighting, ...]
    md: MDEngine | None
    selector: Selector | None
    labelers: Mapping[Kind, Labeler]

    def members(self) -> dict[str, Capability]:
        """All of them, and those that are options of others, by the section of the run file that chose them."""
        single = {"fitter": self.fitter, "md": self.md, "selector": self.selector}
        named: dict[str, Capability | None] = {"scheduler": self.scheduler, **single}
        named |= {f"weighting[{i}]": w for i, w in enumerate(self.weightings)}
        named |= {f"labelers.{kind}": labeler for kind, labeler in self.labelers.items()}
        return with_parts({where: m for where, m in named.items() if m is not None})

    def labeler_of(self, kind: Kind) -> Labeler | None:
        """Who labels frames of a kind: its own labeler, else that of bulk frames if it can."""
        bulk = self.labelers.get("bulk")
        return self.labelers.get(kind) or (bulk if bulk and kind in bulk.kinds else None)


def with_parts(members: Mapping[str, Capability]) -> dict[str, Capability]:
    """Capabilities by their sections of the run file, each followed by those among its options."""
    found: dict[str, Capability] = {}
    for where, member in members.items():
        found[where] = member
        found |= with_parts({f"{where}.{name}": part for name, part in parts(member).items()})
    return found


def misfits(crew: Crew) -> Iterator[str]:
    """Capabilities that do not go together, or not with what they were chosen for, one sentence each."""
    if crew.md and crew.fitter.writes not in crew.md.reads:
        yield (
            f"md.use: md engine '{crew.md.name}' cannot read models of format "
            f"'{crew.fitter.writes}' (it reads: {', '.join(crew.md.reads)})"
        )
    for kind, labeler in crew.labelers.items():
        if kind not in labeler.kinds:
            yield (
                f"labelers.{kind}.use: labeler '{labeler.name}' labels {' and '.join(sorted(labeler.kinds))} "
                "frames only; choose another one"
            )


def obstacles(
    members: Mapping[str, Capability],
    elements: Sequence[str],
    cases: Sequence[Case],
    resources: Mapping[Role, Resources],
    label_resources: Mapping[Kind, Resources],
) -> Iterator[str]:
    """What would keep jobs from working: missing programs and inputs, elements that are unknown; one sentence each.

    `members` are capabilities by their sections of the run file, not necessarily all that a study needs.
    """
    every = with_parts(members)
    for where, member in every.items():
        yield from (f"{where}: {problem}" for problem in member.check(elements))
    md = members.get("md")
    if isinstance(md, MDEngine):
        for case in cases:
            found = md.check_case(case, elements)
            yield from (f"case[{case.index}]: {problem}" for problem in found)
    for where, member in every.items():
        if isinstance(member, Labeler):
            for temperature in dict.fromkeys(case.temperature for case in cases):
                found = member.check_temperature(temperature, elements)
                yield from (f"{where}: {problem}" for problem in found)
    own = {f"labelers.{kind}": of_kind for kind, of_kind in label_resources.items()}
    for where, member in every.items():
        prepared = own.get(where) or _resources_of(member, resources)
        for option, program in member.programs().items():
            problem = _program_problem(program, prepared)
            if problem:
                yield f"{where}.{option}: {problem}"


def _resources_of(member: Capability, resources: Mapping[Role, Resources]) -> Resources:
    """What its jobs ask for, if it has any."""
    roles: tuple[tuple[type[Capability], Role], ...] = (
        (Fitter, "fit"),
        (MDEngine, "md"),
        (Labeler, "label"),
    )
    return next((resources[role] for of, role in roles if isinstance(member, of)), Resources())


def label_obstacles(crew: Crew, frames: Iterable[Frame], elements: Sequence[str]) -> Iterator[str]:
    """What would keep these frames from being labelled, one sentence each."""
    for kind, temperature in dict.fromkeys((frame.kind, frame.temperature) for frame in frames):
        labeler = crew.labeler_of(kind)
        if labeler is None:
            yield f"labelers.{kind}: is required, because {kind} frames have no labels yet"
        elif temperature is not None:
            found = labeler.check_temperature(temperature, elements)
            yield from (f"labelers.{kind}: {problem}" for problem in found)


def _program_problem(program: str, prepared: Resources) -> str:
    """Why jobs will not find a program, as far as that can be told on this machine; empty: they will, or may."""
    if "/" in program and not Path(program).is_absolute():
        return f"jobs run in folders of their own; give the whole path of {program!r}"
    brought = "/" not in program and (prepared.modules or prepared.setup)
    if brought or shutil.which(program) is not None:
        return ""
    cure = "correct the name, install it, or load its module ([resources] modules)"
    return f"there is no program {program!r} that can be run; {cure}"
