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
        return {
            place: part
            for where, member in named.items()
            if member is not None
            for place, part in _with_parts(where, member)
        }

    def labeler_of(self, kind: Kind) -> Labeler | None:
        """Who labels frames of a kind: its own labeler, else that of bulk frames if it can."""
        bulk = self.labelers.get("bulk")
        return self.labelers.get(kind) or (bulk if bulk and kind in bulk.kinds else None)


def _with_parts(where: str, member: Capability) -> Iterator[tuple[str, Capability]]:
    """A capability, and those among its options."""
    yield where, member
    for name, part in parts(member).items():
        yield from _with_parts(f"{where}.{name}", part)


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
    crew: Crew,
    elements: Sequence[str],
    cases: Sequence[Case],
    resources: Mapping[Role, Resources],
    label_resources: Mapping[Kind, Resources],
) -> Iterator[str]:
    """What would keep jobs from working: missing programs and inputs, elements that are unknown; one sentence each."""
    for where, member in crew.members().items():
        yield from (f"{where}: {problem}" for problem in member.check(elements))
    if crew.md:
        for case in cases:
            found = crew.md.check_case(case, elements)
            yield from (f"case[{case.index}]: {problem}" for problem in found)
    labelers = {w: m for w, m in crew.members().items() if isinstance(m, Labeler)}
    for where, labeler in labelers.items():
        for temperature in dict.fromkeys(case.temperature for case in cases):
            found = labeler.check_temperature(temperature, elements)
            yield from (f"{where}: {problem}" for problem in found)
    asked: dict[str, Resources] = {"fitter": resources["fit"], "md": resources["md"]}
    asked |= dict.fromkeys(labelers, resources["label"])
    for kind in crew.labelers:
        asked[f"labelers.{kind}"] = label_resources.get(kind, resources["label"])
    for where, member in crew.members().items():
        of_steps = resources["fit"] if isinstance(member, Fitter) else Resources()
        prepared = asked.get(where, of_steps)
        for option, program in member.programs().items():
            problem = _program_problem(program, prepared)
            if problem:
                yield f"{where}.{option}: {problem}"


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
