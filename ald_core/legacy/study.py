"""An old study as a run file: its translation, with what its user says otherwise in an `ald.toml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from ald_core.errors import InputError
from ald_core.legacy.config import BASE_FILES, NAME, Config, read_config, strange_names
from ald_core.legacy.history import RESTART, old_cycle_folders, read_restart
from ald_core.legacy.options import OPTIONS
from ald_core.legacy.translated import Translation
from ald_core.legacy.translation import translate
from ald_core.registry import Registry

KEY = "config"
"""Of the `ald.toml` that names a `config.py` and says what is to be otherwise"""
OF_THE_LABELER = ("nodes", "ppn", "modules", "memory", "launcher", "tasks_per_job")
"""Resources that another labeler does not take over"""
FOR_CYCLES = ("md", "case", "selector", "labelers")
"""Sections that a single fit does not need"""


@attrs.frozen(eq=False)
class OldStudy:
    """What is known about an old study before its run file is checked."""

    translation: Translation
    tables: Mapping[str, Any]
    """As a run file has them, with the changes"""
    replaced: frozenset[str]
    """Sections that the user has replaced"""

    @property
    def config(self) -> Config:
        """The options of the old study."""
        return self.translation.config

    def tables_to_check(self) -> dict[str, Any]:
        """The tables without the sections whose plugins are not installed, of which the problems tell."""
        tables = {k: dict(v) if isinstance(v, dict) else v for k, v in self.tables.items()}
        for section in self._unavailable():
            head, _, tail = section.partition(".")
            if tail:
                tables.get(head, {}).pop(tail, None)
            else:
                tables.pop(head, None)
        return tables

    def problems(self, found: Iterable[str], cycles: int | None) -> list[str]:
        """All that is wrong, each with its place: with the old study, and what was `found` in its run file."""
        unavailable = tuple(f"{section}{mark}" for section in self._unavailable() for mark in ".:")
        own = [
            p.text
            for p in self.translation.problems
            if not self._is_replaced(p.section)
            and not (cycles == 0 and p.section.startswith(FOR_CYCLES))
        ]
        own += self._history()
        others = [self._placed(text) for text in found if not text.startswith(unavailable)]
        told = "\n".join(own)
        return list(dict.fromkeys(own + [text for text in others if not _is_told(text, told)]))

    def _unavailable(self) -> list[str]:
        return sorted(s for s in self.translation.unavailable if not self._is_replaced(s))

    def _is_replaced(self, section: str) -> bool:
        return any(section == r or section.startswith(f"{r}.") for r in self.replaced)

    def _placed(self, problem: str) -> str:
        """The problem, with the option of the old study that it comes from."""
        dotted = problem.split(":", 1)[0]
        origins = self.translation.origins
        known = [name for name in origins if dotted == name or dotted.startswith(f"{name}.")]
        place = f" ({origins[max(known, key=len)]})" if known else ""
        return f"{self.config.path}: {problem}{place}"

    def _history(self) -> list[str]:
        folders = old_cycle_folders(self.config.folder)
        if not folders or self.config.base != self.config.folder:
            return []
        names = folders[0] if len(folders) == 1 else f"{folders[0]} to {folders[-1]}"
        return [
            f"{self.config.folder}: {names} are of the existing driver, and ald would write there; make a study of "
            f"its own with their labels: ald new STUDY --from {self.config.folder}"
        ]

    def account(self) -> list[str]:
        """What becomes of the old study, in lines for people."""
        config, found = self.config, self.translation
        given = [n for n in config.evaluated.assignments if n in OPTIONS]
        lines = [f"{config.path}: study of the existing driver, {len(given)} options"]
        groups: dict[str, list[str]] = {}
        for name in given:
            option = OPTIONS[name]
            if option.fate == "unneeded":
                groups.setdefault(option.text, []).append(name)
            elif option.fate == "external" and name not in found.used:
                why = f"the embedded engine does the work; {option.text} would use it"
                groups.setdefault(why, []).append(name)
            elif name not in found.used:
                waits = option.fate == "plugin" and found.problems
                why = (
                    "a plugin that is missing would use it"
                    if waits
                    else "no part of this study uses it"
                )
                groups.setdefault(why, []).append(name)
        lines += [f"not needed: {', '.join(names)}: {why}" for why, names in sorted(groups.items())]
        for name in sorted(found.used & set(OPTIONS)):
            option = OPTIONS[name]
            if name in given and option.said.startswith("the code"):
                lines.append(f"{name} takes effect, though {option.said} in the existing driver")
            elif name not in given and option.said.startswith("documentation"):
                lines.append(f"default of {name}: {option.default} ({option.said})")
        changes = config.base / "ald.toml"
        return lines + [f"changed by {changes}: {section}" for section in sorted(self.replaced)]

    def warnings(self) -> list[str]:
        """What its user should know."""
        found = [*self.translation.warnings]
        found += [f"{self.config.path}, {text}" for text in strange_names(self.config)]
        if "labelers.bulk" in self.replaced and "training.frames" not in self.replaced:
            found.append(
                "the starting set keeps the labels of its files, while new ones are made by another labeler; to label "
                "it anew as well, write [[training.frames]] with file, temperature and relabel = true"
            )
        cycles = read_restart(self.config.folder)
        if cycles:
            done = [c.number for c in cycles if c.is_complete]
            text = (
                f"cycles {', '.join(map(str, done))} are complete"
                if done
                else "no cycle is complete"
            )
            found.append(
                f"{self.config.folder / RESTART}: the existing driver has worked here, {text}; ald begins with "
                "the starting set"
            )
        return found


def is_old(path: Path, tables: Mapping[str, Any]) -> bool:
    """Whether a run file is a `config.py`, or names one."""
    return path.suffix == ".py" or KEY in tables


def config_beside(folder: Path) -> Path | None:
    """The `config.py` of a folder that is an old study."""
    path = folder / NAME
    return path if path.is_file() and (folder / BASE_FILES).is_dir() else None


def read_old_study(
    path: Path, tables: Mapping[str, Any], registry: Registry, *, trust: bool = False
) -> OldStudy:
    """Read and translate an old study.

    Args:
        path: the `config.py`, or the `ald.toml` that names it.
        tables: what the `ald.toml` says.
        registry: the plugins, which take options of their own.
        trust: execute the `config.py`.

    Raises:
        InputError: the `config.py` cannot be read or understood.
    """
    config_path = path
    if path.suffix != ".py":
        named = tables[KEY]
        if not isinstance(named, str) or not named:
            raise InputError(f"{KEY} must be the name of a {NAME}", path=path)
        config_path = path.parent / Path(named).expanduser()
    changes = {k: v for k, v in tables.items() if k != KEY}
    config = read_config(config_path, base=path.parent, trust=trust)
    translation = translate(config, registry, changes)
    replaced: set[str] = set()
    merged = _merge(translation.tables, changes, "", replaced)
    if "labelers.bulk" in replaced:
        _forget_labeler(merged, changes)
    return OldStudy(translation, merged, frozenset(replaced))


def _merge(
    base: Mapping[str, Any], over: Mapping[str, Any], where: str, replaced: set[str]
) -> dict[str, Any]:
    """`base` with what `over` says otherwise; a section that chooses another capability is replaced as a whole."""
    merged = dict(base)
    for key, value in over.items():
        name = f"{where}.{key}" if where else key
        old = merged.get(key)
        if not isinstance(value, Mapping) or not isinstance(old, Mapping):
            merged[key] = value
            replaced.add(name)
        elif "use" in value and value["use"] != old.get("use"):
            merged[key] = dict(value)
            replaced.add(name)
        else:
            merged[key] = _merge(old, value, name, replaced)
    return merged


def _forget_labeler(merged: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Drop what jobs of the old labeler asked for."""
    resources = dict(merged.get("resources", {}))
    said: Any = changes.get("resources", {})
    said = said.get("label", {}) if isinstance(said, Mapping) else {}
    label = dict(resources.get("label", {}))
    for key in OF_THE_LABELER:
        if key not in said:
            label.pop(key, None)
    if resources:
        resources["label"] = label
        merged["resources"] = resources


def _is_told(text: str, told: str) -> bool:
    """Whether a problem with a file is told already, in the words of the old study."""
    missing = re.search(r"there is no file (\S+)", text)
    return missing is not None and missing[1] in told
