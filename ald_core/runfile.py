"""Reads `ald.toml`: one table per role, every mistake reported in one go.

Paths in it start at the folder of the run file. The options of the sections that belong to no plugin are declared here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import attrs
from ase.data import atomic_numbers
from attrs.validators import ge, gt, le, lt, matches_re, min_len

from ald_core.digests import digest, file_digest
from ald_core.errors import InputError, InputErrors, PluginError
from ald_core.frames import FrameFile
from ald_core.options import build, did_you_mean, identity, option
from ald_core.registry import Registry
from ald_core.roles import (
    Capability,
    Fitter,
    Labeler,
    MDEngine,
    Scheduler,
    Selector,
    Weighting,
)
from ald_core.types import Case, Kind, Resources, Role

C = TypeVar("C")
R = TypeVar("R", bound=Capability)

NAME = "ald.toml"


@attrs.frozen(kw_only=True)
class StudyOptions:
    """Section `[study]`."""

    elements: tuple[str, ...] = option(help="chemical symbols", validator=min_len(1))
    cycles: int = option(3, help="active-learning cycles to run", validator=ge(0), identity=False)
    seed: int = option(1, help="of every random choice", validator=ge(0))
    folder: str = option(
        ".", help="where results go, from the folder of the run file", identity=False
    )
    final_md: bool = option(
        True, help="run MD once more with the final model, to judge it", identity=False
    )


@attrs.frozen(kw_only=True)
class TrainingOptions:
    """Section `[training]`."""

    held_out: float = option(
        0.2,
        help="fraction of each trajectory's labelled frames that is never fitted, only judged",
        validator=[ge(0.0), lt(1.0)],
    )


@attrs.frozen(kw_only=True)
class CaseOptions:
    """Section `[[case]]`."""

    name: str = option(help="of the state point", validator=matches_re(r"[A-Za-z0-9][\w.+-]*"))
    temperature: float = option(help="K", validator=gt(0.0))
    structure: Path = option(help="starting configuration")
    input: Path | None = option(None, help="the MD engine's own input file (run_md.in)")


@attrs.frozen(kw_only=True)
class QualityOptions:
    """`[quality]`: when a label is not believed, and when too many are not."""

    max_force: float = option(51.4, help="largest force component, eV/Å", validator=gt(0.0))
    positive_energy: bool = option(False, help="accept total energies above zero")
    max_quarantined: float = option(
        0.2,
        help="stop when a larger fraction of a cycle's labels fails",
        validator=[ge(0.0), le(1.0)],
        identity=False,
    )


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
        """All of them, by the section of the run file that chose them."""
        single = {"fitter": self.fitter, "md": self.md, "selector": self.selector}
        named: dict[str, Capability | None] = {"scheduler": self.scheduler, **single}
        named |= {f"weighting[{i}]": w for i, w in enumerate(self.weightings)}
        named |= {f"labelers.{kind}": labeler for kind, labeler in self.labelers.items()}
        return {where: member for where, member in named.items() if member is not None}


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

    @property
    def folder(self) -> Path:
        """The study folder."""
        return self.path.parent / Path(self.study.folder).expanduser()

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


def read_run_file(path: Path, registry: Registry, *, cycles: int | None = None) -> RunFile:
    """Read a run file; raises InputErrors with every problem, each with its line.

    What only cycles need may be missing if there are none to run: `cycles`, by default those of the file.
    """
    text = _text(path)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not valid TOML: {error}", path=path) from error
    reader = _Reader(tables, path.parent, registry)
    found = reader.read(path, cycles)
    if found is None or reader.problems:
        raise InputErrors([_placed(p, path, text) for p in reader.problems], path=path)
    return found


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

    def __init__(self, tables: dict[str, Any], base: Path, registry: Registry):
        self.tables = tables
        self.base = base
        self.registry = registry
        self.problems: list[str] = []

    def read(self, path: Path, cycles: int | None) -> RunFile | None:
        known = {
            "study", "training", "fitter", "weighting", "md", "case", "selector", "labelers",
            "quality", "scheduler", "resources",
        }  # fmt: skip
        for key, table in self.tables.items():
            if key not in known:
                self.problems.append(f"{key}: no such section{did_you_mean(key, known)}")
            elif key not in ("case", "weighting") and not isinstance(table, dict):
                self.problems.append(f"{key}: must be a table, [{key}]")
        study = self._section(StudyOptions, "study")
        training = self._section(TrainingOptions, "training", skip={"frames"})
        quality = self._section(QualityOptions, "quality")
        frames = self._many(FrameFile, "training.frames", self._table("training").get("frames", []))
        cases = tuple(
            Case(c.name, i, c.temperature, c.structure, c.input)
            for i, c in enumerate(self._many(CaseOptions, "case", self.tables.get("case", [])))
        )
        resources = self._resources()
        crew = self._crew()
        if study:
            self._check_elements(study)
        if not self._table("training").get("frames"):
            self.problems.append("training.frames: at least one file of starting frames is needed")
        names = [c.name for c in cases]
        self.problems += [
            f"case[{i}].name: '{n}' is used twice" for i, n in enumerate(names) if n in names[:i]
        ]
        planned = study.cycles if study and cycles is None else cycles or 0
        self._check_crew(crew, study, bool(self.tables.get("case")), planned)
        self._check_cases(crew, study, cases)
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
        )

    def _check_elements(self, study: StudyOptions) -> None:
        if len(set(study.elements)) < len(study.elements):
            self.problems.append("study.elements: an element is named twice; name each once")
        for element in study.elements:
            if element not in atomic_numbers or element == "X":
                self.problems.append(
                    f"study.elements: {element!r} is no chemical symbol{did_you_mean(element, atomic_numbers)}"
                )

    def _check_crew(
        self, crew: Crew | None, study: StudyOptions | None, has_cases: bool, cycles: int
    ) -> None:
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
        if crew.md and crew.fitter.writes not in crew.md.reads:
            self.problems.append(
                f"md.use: md engine '{crew.md.name}' cannot read models of format "
                f"'{crew.fitter.writes}' (it reads: {', '.join(crew.md.reads)})"
            )
        for where, member in crew.members().items():
            self.problems += [
                f"{where}: {p}" for p in member.check(study.elements if study else ())
            ]

    def _check_cases(
        self, crew: Crew | None, study: StudyOptions | None, cases: tuple[Case, ...]
    ) -> None:
        if crew and crew.md and study:
            for case in cases:
                self.problems += [
                    f"case[{case.index}]: {p}" for p in crew.md.check_case(case, study.elements)
                ]

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
        roles = get_args(Role)
        found: dict[Role, Resources] = {}
        for key, table in self._table("resources").items():
            if key not in roles:
                self.problems.append(f"resources.{key}: no such step{did_you_mean(key, roles)}")
                continue
            if not isinstance(table, dict):
                self.problems.append(f"resources.{key}: must be a table, [resources.{key}]")
                continue
            made, problems = build(Resources, table, f"resources.{key}", self.base)
            self.problems += problems
            if made:
                found[key] = made  # type: ignore[index]
        return {role: found.get(role, Resources()) for role in roles}

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

    def _member(self, role: type[R], where: str, default: dict[str, Any] | None = None) -> R | None:
        return self._build(role, where, self._table(where) or default or {})

    def _build(self, role: type[R], where: str, table: Mapping[str, Any]) -> R | None:
        if not isinstance(table, dict) or not isinstance(table.get("use"), str):
            names = ", ".join(o.capability.name for o in self.registry.of_role(role))
            self.problems.append(
                f"{where}.use: is required: which {role.role}? (installed: {names or 'none'})"
            )
            return None
        try:
            cls = self.registry.find(role, table["use"])
        except PluginError as error:
            self.problems.append(f"{where}.use: {error}")
            return None
        made, problems = build(cls, table, where, self.base, skip={"use"})
        self.problems += problems
        return made


def _placed(problem: str, path: Path, text: str) -> str:
    """The problem with file and line in front."""
    line = locate(text, problem.split(":", 1)[0])
    return f"{path}, line {line}: {problem}" if line else f"{path}: {problem}"


def locate(text: str, dotted: str) -> int | None:
    """Line (from 1) of an option like `labelers.bulk.command` or `case[1].name`; of its section if it has none."""
    wanted = re.sub(r"\[\d+\]", "", dotted)
    number = int(m[1]) if (m := re.search(r"\[(\d+)\]", dotted)) else 0
    header, counts, best = "", dict[str, int](), None
    for n, line in enumerate(text.splitlines(), start=1):
        if m := re.match(r"\s*\[+\s*([^\[\]]+?)\s*\]+", line):
            header = re.sub(r"\s|\"", "", m[1])
            counts[header] = counts.get(header, -1) + 1
            full = header
        elif m := re.match(r"\s*([\w.\"-]+)\s*=", line):
            full = f"{header}.{m[1]}" if header else m[1]
        else:
            continue
        if counts.get(header, 0) not in (number, 0) or (number and counts.get(header, 0) != number):
            continue
        if full == wanted:
            return n
        if wanted.startswith(full + "."):
            best = n
    return best
