"""Reads `ald.toml`: one table per role, every mistake reported in one go.

Paths in it start at the folder of the run file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import attrs
from ase.data import atomic_numbers

from ald_core import legacy
from ald_core.crew import Crew, misfits, obstacles
from ald_core.digests import digest, file_digest
from ald_core.errors import InputError, InputErrors, PluginError
from ald_core.frames import FrameFile
from ald_core.legacy import OldStudy
from ald_core.options import build, did_you_mean, identity, values
from ald_core.places import placed
from ald_core.registry import Registry
from ald_core.resources import changed_resources, resources_of_steps
from ald_core.roles import (
    Capability,
    Fitter,
    Labeler,
    MDEngine,
    Notifier,
    Scheduler,
    Selector,
    Weighting,
)
from ald_core.sections import CaseOptions, QualityOptions, StudyOptions, TrainingOptions
from ald_core.types import Case, Kind, Resources, Role

C = TypeVar("C")
R = TypeVar("R", bound=Capability)

NAME = "ald.toml"


@attrs.frozen(eq=False)
class RunFile:
    """A run file that has been checked."""

    path: Path
    study: StudyOptions
    training: TrainingOptions
    frames: tuple[FrameFile, ...]
    cases: tuple[Case, ...]
    quality: QualityOptions
    resources: Mapping[Role, Resources]
    crew: Crew
    notifiers: tuple[Notifier, ...] = ()
    label_resources: Mapping[Kind, Resources] = attrs.field(factory=dict)
    """Of the labels of one kind, where they are not those of the step"""
    old: OldStudy | None = None
    """The study of the existing driver that it was made of"""

    @property
    def folder(self) -> Path:
        """The study folder."""
        return self.path.parent / Path(self.study.folder).expanduser()

    @property
    def secrets(self) -> frozenset[str]:
        """Environment variables with secrets, which no job gets."""
        members = (*self.crew.members().values(), *self.notifiers)
        return frozenset(name for member in members for name in member.secrets())

    def all_resources(self) -> dict[str, Resources]:
        """What jobs ask for, by section of the run file."""
        steps = {f"resources.{role}": asked for role, asked in self.resources.items()}
        steps |= {f"labelers.{k}.resources": asked for k, asked in self.label_resources.items()}
        return steps | {
            f"case[{c.index}].resources": c.resources for c in self.cases if c.resources
        }

    def identity(self) -> dict[str, str]:
        """Digests of everything that results depend on, by section."""
        cases = [
            (c.name, c.temperature, [file_digest(p) for p in (c.structure, c.input) if p])
            for c in self.cases
        ]
        members = self.crew.members()
        members.pop("scheduler")
        weightings = [members.pop(w) for w in list(members) if w.startswith("weighting")]
        return {
            "study": identity(self.study),
            "training": digest(identity(self.training), *map(identity, self.frames)),
            "weighting": digest(*map(identity, weightings)),
            **{where: identity(member) for where, member in members.items()},
            "case": digest(*cases),
        }

    def values(self) -> dict[str, str]:
        """The options that results depend on as text, by their names (`md.steps`, `case[0].temperature`)."""
        members = self.crew.members()
        members.pop("scheduler")
        tables: dict[str, dict[str, str]] = {"study": values(self.study)}
        tables["training"] = values(self.training)
        tables |= {f"training.frames[{i}]": values(f) for i, f in enumerate(self.frames)}
        tables |= {where: {"use": m.name, **values(m)} for where, m in members.items()}
        tables |= {f"case[{c.index}]": values(_case_options(c)) for c in self.cases}
        return {
            f"{where}.{k}": text for where, table in tables.items() for k, text in table.items()
        }


def read_run_file(
    path: Path,
    registry: Registry,
    *,
    cycles: int | None = None,
    trust_config: bool = False,
    ready: bool = True,
) -> RunFile:
    """Read a run file; raises InputErrors with every problem, each with its line.

    What only cycles need may be missing if there are none to run: `cycles`, by default those of the file. Whether
    programs and inputs of jobs are there is not asked where no job will run, `ready` false.
    A `config.py`, or an `ald.toml` that names one, is read as legacy says; with `trust_config` it is executed.
    """
    text = _text(path)
    old = read_old(path, registry, trust_config=trust_config)
    tables = _parse(text, path) if old is None else old.tables_to_check()
    reader = _Reader(tables, path.parent, registry, ready=ready)
    found = reader.read(path, cycles)
    if old is not None:
        problems = old.problems(reader.problems, cycles)
        if problems or found is None:
            raise InputErrors(problems, path=path)
        return attrs.evolve(found, old=old)
    if found is None or reader.problems:
        raise InputErrors([placed(p, path, text) for p in reader.problems], path=path)
    return found


def read_old(path: Path, registry: Registry, *, trust_config: bool = False) -> OldStudy | None:
    """The study of the existing driver that a run file is, or names; None for any other run file."""
    tables = {} if path.suffix == ".py" else _parse(_text(path), path)
    if not legacy.is_old(path, tables):
        return None
    return legacy.read_old_study(path, tables, registry, trust=trust_config)


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not valid TOML: {error}", path=path) from error


def _case_options(case: Case) -> CaseOptions:
    return CaseOptions(
        name=case.name,
        temperature=case.temperature,
        structure=case.structure,
        input=case.input,
    )


def study_folder(path: Path) -> Path:
    """The study folder of a run file, whatever else may be wrong with the file."""
    try:
        folder = tomllib.loads(_text(path)).get("study", {}).get("folder", ".")
    except (tomllib.TOMLDecodeError, AttributeError):
        folder = "."
    return path.parent / Path(str(folder)).expanduser()


def _text(path: Path) -> str:
    if path.is_dir():
        raise InputError(f"is a folder; it needs a {NAME}", path=path)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            "there is no such run file; give a study folder or a .toml", path=path
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", path=path) from error


class _Reader:
    """Goes through the tables and collects problems."""

    def __init__(self, tables: dict[str, Any], base: Path, registry: Registry, *, ready: bool):
        self.ready = ready
        self.tables = tables
        self.base = base
        self.registry = registry
        self.problems: list[str] = []
        self.members: dict[str, Capability] = {}
        """Capabilities that could be made, by their sections"""

    def read(self, path: Path, cycles: int | None) -> RunFile | None:
        known = {
            "study", "training", "fitter", "weighting", "md", "case", "selector", "labelers",
            "quality", "scheduler", "resources", "notify",
        }  # fmt: skip
        for key, table in self.tables.items():
            if key not in known:
                self.problems.append(f"{key}: no such section{did_you_mean(key, known)}")
            elif key not in ("case", "weighting", "notify") and not isinstance(table, dict):
                self.problems.append(f"{key}: must be a table, [{key}]")
        study = self._section(StudyOptions, "study")
        training = self._section(TrainingOptions, "training", skip={"frames"})
        quality = self._section(QualityOptions, "quality")
        frames = self._many(FrameFile, "training.frames", self._table("training").get("frames", []))
        resources = self._resources()
        cases = tuple(
            Case(c.name, i, c.temperature, c.structure, c.input, self._of_case(i, c, resources))
            for i, c in enumerate(self._many(CaseOptions, "case", self.tables.get("case", [])))
        )
        label_resources = self._of_labelers(resources)
        crew = self._crew()
        notifiers = self._notifiers()
        if study:
            self._check_elements(study)
        if not self._table("training").get("frames"):
            self.problems.append("training.frames: at least one file of starting frames is needed")
        names = [c.name for c in cases]
        self.problems += [
            f"case[{i}].name: '{n}' is used twice" for i, n in enumerate(names) if n in names[:i]
        ]
        planned = study.cycles if study and cycles is None else cycles or 0
        self._check_crew(crew, bool(self.tables.get("case")), planned)
        if self.ready:
            elements = study.elements if study else ()
            self.problems += obstacles(self.members, elements, cases, resources, label_resources)
        if not (study and training and quality and crew):
            return None
        return RunFile(
            path=path,
            study=study,
            training=training,
            frames=frames,
            cases=cases,
            quality=quality,
            resources=resources,
            crew=crew,
            notifiers=notifiers,
            label_resources=label_resources,
        )

    def _check_elements(self, study: StudyOptions) -> None:
        if len(set(study.elements)) < len(study.elements):
            self.problems.append("study.elements: an element is named twice; name each once")
        for element in study.elements:
            if element not in atomic_numbers or element == "X":
                self.problems.append(
                    f"study.elements: {element!r} is no chemical symbol{did_you_mean(element, atomic_numbers)}"
                )

    def _check_crew(self, crew: Crew | None, has_cases: bool, cycles: int) -> None:
        if crew is None:
            return
        if cycles > 0:
            needed: dict[str, Capability | None] = {
                "md": crew.md,
                "selector": crew.selector,
                "labelers.bulk": crew.labelers.get("bulk"),
            }
            for where, member in needed.items():
                if member is None and not self._table(where):
                    self.problems.append(
                        f"{where}: is required to run cycles; add it, or run with --fit-only"
                    )
            if not has_cases:
                self.problems.append("case: at least one [[case]] is required to run cycles")
        self.problems += misfits(crew)

    def _table(self, where: str) -> dict[str, Any]:
        table: Any = self.tables
        for key in where.split("."):
            table = table.get(key, {}) if isinstance(table, dict) else {}
        return table if isinstance(table, dict) else {}

    def _section(self, cls: type[C], where: str, skip: set[str] | None = None) -> C | None:
        made, problems = build(cls, self._table(where), where, self.base, skip or ())
        self.problems += problems
        return made

    def _many(self, cls: type[C], where: str, tables: Any) -> tuple[C, ...]:
        if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
            self.problems.append(f"{where}: must be tables, [[{where}]]")
            return ()
        made = []
        for i, table in enumerate(tables):
            one, problems = build(cls, table, f"{where}[{i}]", self.base)
            self.problems += problems
            made += [one] if one is not None else []
        return tuple(made)

    def _resources(self) -> dict[Role, Resources]:
        found, problems = resources_of_steps(self._table("resources"), get_args(Role), self.base)
        self.problems += problems
        return found

    def _of_case(
        self, index: int, case: CaseOptions, resources: Mapping[Role, Resources]
    ) -> Resources | None:
        """Resources of the MD of one case, if they are not those of the step."""
        where = f"case[{index}].resources"
        changed, problems = changed_resources(resources["md"], case.resources, where, self.base)
        self.problems += problems
        return changed if case.resources else None

    def _of_labelers(self, resources: Mapping[Role, Resources]) -> dict[Kind, Resources]:
        """Resources of the labels of one kind, if they are not those of the step."""
        found: dict[Kind, Resources] = {}
        for kind in get_args(Kind):
            where = f"labelers.{kind}.resources"
            table = self._table(f"labelers.{kind}").get("resources", {})
            if not isinstance(table, dict):
                self.problems.append(f"{where}: must be a table, [{where}]")
            elif table:
                found[kind], problems = changed_resources(
                    resources["label"], table, where, self.base
                )
                self.problems += problems
        return found

    def _crew(self) -> Crew | None:
        before = len(self.problems)
        scheduler = self._member(Scheduler, "scheduler", {"use": "local"})
        fitter = self._member(Fitter, "fitter")
        md = self._member(MDEngine, "md") if "md" in self.tables else None
        selector = self._member(Selector, "selector", {"use": "even"})
        labelers = {}
        for kind in self._table("labelers"):
            if kind not in get_args(Kind):
                self.problems.append(
                    f"labelers.{kind}: no such kind{did_you_mean(kind, get_args(Kind))}"
                )
            else:
                labelers[kind] = self._member(Labeler, f"labelers.{kind}")
        tables = self.tables.get("weighting", [{"use": "formula"}])
        if not isinstance(tables, list) or not tables:
            self.problems.append("weighting: must be tables, [[weighting]]")
            tables = []
        weightings = [
            self._build(Weighting, f"weighting[{i}]", table) for i, table in enumerate(tables)
        ]
        self.members |= {f"weighting[{i}]": w for i, w in enumerate(weightings) if w is not None}
        if len(self.problems) > before or scheduler is None or fitter is None:
            return None
        return Crew(
            scheduler,
            fitter,
            tuple(w for w in weightings if w),
            md,
            selector,
            {k: v for k, v in labelers.items() if v},  # type: ignore[misc]
        )

    def _notifiers(self) -> tuple[Notifier, ...]:
        tables = self.tables.get("notify", [])
        if not isinstance(tables, list):
            self.problems.append("notify: must be tables, [[notify]]")
            return ()
        made = [self._build(Notifier, f"notify[{i}]", table) for i, table in enumerate(tables)]
        for i, notifier in enumerate(made):
            problems = notifier.check(()) if notifier else []
            self.problems += [f"notify[{i}]: {p}" for p in problems]
        return tuple(notifier for notifier in made if notifier)

    def _member(self, role: type[R], where: str, default: dict[str, Any] | None = None) -> R | None:
        made = self._build(role, where, self._table(where) or default or {})
        if made is not None:
            self.members[where] = made
        return made

    def _build(self, role: type[R], where: str, table: Mapping[str, Any]) -> R | None:
        made, problems = self._choose(role, table, where)
        self.problems += problems
        return made

    def _choose(self, role: type[R], table: Any, where: str) -> tuple[R | None, list[str]]:
        """The capability that a table names with its options, which may be capabilities, too; or problems."""
        if not isinstance(table, dict) or not isinstance(table.get("use"), str):
            names = ", ".join(o.capability.name for o in self.registry.of_role(role))
            which = f"which {role.role}? (installed: {names or 'none'})"
            return None, [f"{where}.use: is required: {which}"]
        try:
            cls = self.registry.find(role, table["use"])
        except PluginError as error:
            return None, [f"{where}.use: {error}"]
        skip = {"use", "resources"} if where.startswith("labelers.") else {"use"}
        return build(cls, table, where, self.base, skip=skip, choose=self._choose)
