"""Finds plugins through their entry points, checks what they offer, and looks capabilities up by name.

A plugin that fails to import, misspells a hook or offers an incomplete class is kept as `Broken` with its reason; it
harms nothing else and stops a run only if the run needs it.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import pluggy

from ald_core import hookspecs
from ald_core.errors import PluginError
from ald_core.options import describe, did_you_mean
from ald_core.roles import (
    ROLES,
    Capability,
    Fitter,
    Labeler,
    MDEngine,
    Notifier,
    Scheduler,
    Selector,
    Weighting,
)

if TYPE_CHECKING:
    import typer

    from ald_core.store import CycleRecord

log = logging.getLogger(__name__)

GROUP = "ald"
HOOKS: dict[str, type[Capability]] = {
    "ald_schedulers": Scheduler,
    "ald_md_engines": MDEngine,
    "ald_labelers": Labeler,
    "ald_selectors": Selector,
    "ald_weightings": Weighting,
    "ald_fitters": Fitter,
    "ald_notifiers": Notifier,
}
OFFICIAL: dict[tuple[str, str], str] = {
    ("labeler", "ase"): "ald-ase",
    ("labeler", "cp2k"): "ald-cp2k",
    ("labeler", "dftb"): "ald-dftb",
    ("labeler", "espresso"): "ald-espresso",
    ("labeler", "gaussian"): "ald-gaussian",
    ("fitter", "chimes"): "ald-chimes-lsq",
    ("fitter", "chimes-external"): "ald-chimes-external",
    ("fitter", "correction"): "ald-hierarchical",
    ("fitter", "hierarchical"): "ald-hierarchical",
    ("labeler", "lammps"): "ald-lammps",
    ("labeler", "vasp"): "ald-vasp",
    ("md engine", "chimes"): "ald-chimes-md",
    ("md engine", "chimes_md"): "ald-chimes-external",
    ("md engine", "dftb"): "ald-dftb",
    ("md engine", "lammps"): "ald-lammps",
    ("notifier", "mail"): "ald-mail",
    ("scheduler", "slurm"): "ald-slurm",
    ("weighting", "rows"): "ald-chimes-lsq",
}
"""Which distribution to install for a capability that is not there."""

R = TypeVar("R", bound=Capability)


@attrs.frozen
class Offer:
    """A capability and the distribution it came from."""

    capability: type[Capability]
    source: str
    """Distribution and version, `ald-vasp 0.1.0`."""


@attrs.frozen
class Broken:
    """A plugin, or a part of one, that cannot be used."""

    source: str
    entry_point: str
    reason: str


class Registry:
    """Everything that the installed plugins offer."""

    def __init__(self, points: Iterable[EntryPoint] | None = None):
        """Load the plugins of `points`, by default all installed ones, in the order of their names."""
        self._manager = pluggy.PluginManager("ald")
        self._manager.add_hookspecs(hookspecs)
        self.broken: list[Broken] = []
        self.offers: list[Offer] = []
        self._sources: dict[int, str] = {}
        for point in sorted(entry_points(group=GROUP) if points is None else points, key=_source):
            self._load(point)
        for hook, role in HOOKS.items():
            for source, module, classes in self._answers(hook):
                self._take(source, module, role, classes)

    def of_role(self, role: type[Capability]) -> list[Offer]:
        """What is offered for a role, by name."""
        offers = [o for o in self.offers if issubclass(o.capability, role)]
        return sorted(offers, key=lambda o: (o.capability.name, o.source))

    def find(self, role: type[R], name: str) -> type[R]:
        """The capability called `name`; PluginError with the cure if there is none, or more than one."""
        offers = self.of_role(role)
        found = [o for o in offers if o.capability.name == name]
        if len(found) == 1:
            capability: type[R] = found[0].capability  # type: ignore[assignment]
            return capability
        if found:
            sources = " and ".join(o.source for o in found)
            raise PluginError(f"two plugins offer the {role.role} '{name}': {sources}")
        raise PluginError(self._missing(role, name, [o.capability.name for o in offers]))

    def source(self, capability: Capability) -> str:
        """Distribution and version that a capability came from: the tool version in the identities of its tasks."""
        cls = type(capability)
        found = [o.source for o in self.offers if o.capability is cls]
        return found[0] if found else f"{cls.__module__} (no distribution)"

    def commands(self) -> list[typer.Typer]:
        """Sub-commands that plugins add."""
        return [app for _, _, apps in self._answers("ald_commands") for app in apps]

    def tell_cycle_finished(self, record: CycleRecord) -> None:
        """Tell all plugins; what goes wrong there is logged."""
        for call in self._manager.hook.ald_cycle_finished.get_hookimpls():
            try:
                call.function(*([record] if "record" in call.argnames else []))
            except Exception:
                log.exception("%s failed on ald_cycle_finished", self._sources[id(call.plugin)])

    def _missing(self, role: type[Capability], name: str, installed: list[str]) -> str:
        known = {n for r, n in OFFICIAL if r == role.role} | set(installed)
        there = f"(installed: {', '.join(installed) or 'none'})"
        distribution = OFFICIAL.get((role.role, name))
        for broken in self.broken:
            if distribution and broken.source.split()[0] == distribution:
                return f"no {role.role} named '{name}': {broken.source} is BROKEN: {broken.reason}"
        if distribution:
            return f"no {role.role} named '{name}'; pip install {distribution} {there}"
        hint = did_you_mean(name, known)
        return f"no {role.role} named '{name}'{hint if 'mean' in hint else ''} {there}"

    def _load(self, point: EntryPoint) -> None:
        source = _source(point)
        try:
            module: ModuleType = point.load()
            self._refuse_unknown_hooks(module)
            self._register(module, f"{source}:{point.name}")
        except (Exception, SystemExit) as error:  # noqa: BLE001  a plugin may fail in any way
            reason = str(error).splitlines()[0] if str(error) else "no reason given"
            kind = "" if isinstance(error, PluginError) else f"{type(error).__name__}: "
            self.broken.append(Broken(source, point.name, kind + reason))
        else:
            self._sources[id(module)] = source

    def _register(self, module: ModuleType, name: str) -> None:
        """Register all hooks of a module, or none."""
        try:
            self._manager.register(module, name=name)
        except pluggy.PluginValidationError as error:
            if self._manager.is_registered(module):  # older pluggy keeps what it had taken
                self._manager.unregister(module)
            raise PluginError(str(error).splitlines()[-1]) from error

    def _refuse_unknown_hooks(self, module: ModuleType) -> None:
        known = [n for n, f in vars(hookspecs).items() if n.startswith("ald_") and callable(f)]
        for name in dir(module):
            if self._manager.parse_hookimpl_opts(module, name) is not None and name not in known:
                raise PluginError(f"unknown hook '{name}'{did_you_mean(name, known)}")

    def _answers(self, hook: str) -> list[tuple[str, Any, list[Any]]]:
        """What each plugin answers to a hook, with its source."""
        answers = []
        for call in getattr(self._manager.hook, hook).get_hookimpls():
            source = self._sources[id(call.plugin)]
            try:
                answers.append((source, call.plugin, list(call.function())))
            except Exception as error:  # noqa: BLE001  a plugin may fail in any way
                self.broken.append(Broken(source, hook, f"{type(error).__name__}: {error}"))
        return answers

    def _take(self, source: str, module: Any, role: type[Capability], classes: list[Any]) -> None:
        for cls in classes:
            fault = _fault(cls, role)
            if fault:
                point = getattr(module, "__name__", "?").split(".")[0]
                self.broken.append(Broken(source, point, fault))
            else:
                self.offers.append(Offer(cls, source))


def _fault(cls: Any, role: type[Capability]) -> str:
    """Why a class cannot fill a role; empty if it can."""
    name = getattr(cls, "__name__", repr(cls))
    if not inspect.isclass(cls) or not issubclass(cls, role):
        return f"{name} is not a subclass of {role.__name__}"
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    wanted = {"name": str, "reads": tuple, "writes": str}
    missing += [
        attribute
        for attribute, kind in wanted.items()
        if attribute in inspect.get_annotations(role) | inspect.get_annotations(Capability)
        and not isinstance(getattr(cls, attribute, None), kind)
    ]
    if missing:
        return f"{name} does not define {', '.join(missing)}"
    try:
        describe(cls)
    except (TypeError, NameError) as error:
        return f"{name}: {error}"
    return ""


def role_named(word: str) -> type[Capability]:
    """The role for a word that a user typed (`labeler`, `md`, `md engine`)."""
    for role in ROLES:
        if word.lower().replace("-", " ").replace("_", " ").rstrip("s") in (
            role.role,
            role.role.split()[0],
        ):
            return role
    raise PluginError(f"no role named '{word}'{did_you_mean(word, [r.role for r in ROLES])}")


def _source(point: EntryPoint) -> str:
    dist = point.dist
    return f"{dist.name} {dist.version}" if dist else f"{point.value} (no distribution)"
