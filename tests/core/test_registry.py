"""The registry: plugins are found, broken ones are kept with their reason and harm nobody."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import ClassVar

import attrs
import pytest

from ald_core.errors import PluginError
from ald_core.hookspecs import hookimpl
from ald_core.registry import OFFICIAL, Registry, role_named
from ald_core.roles import (
    ROLES,
    Fitter,
    Labeler,
    MDEngine,
    Notifier,
    Scheduler,
    Selector,
    Weighting,
)


@attrs.frozen
class Distribution:
    """What an entry point knows of its distribution."""

    name: str
    version: str


class Shelf:
    """Makes modules and the entry points that lead to them."""

    def __init__(self, monkeypatch):
        self.patch = monkeypatch
        self.points = []

    def add(self, source, **contents):
        module_name = f"shelf_{len(self.points)}"
        module = ModuleType(module_name)
        for name, value in contents.items():
            setattr(module, name, hookimpl(value))
        self.patch.setitem(sys.modules, module_name, module)
        return self.point(source, module_name)

    def point(self, source, value):
        point = EntryPoint("plugin", value, "ald")
        vars(point)["dist"] = Distribution(*source.split())
        self.points.append(point)
        return point

    def registry(self):
        return Registry(self.points)


@pytest.fixture
def shelf(monkeypatch):
    return Shelf(monkeypatch)


def scheduler(called, **more):
    """A complete scheduler class."""

    def nothing(self, *_):
        """Do nothing."""

    body = {"name": called, "submit": nothing, "find": nothing, "cancel": nothing} | more
    cls = type("FooScheduler", (Scheduler,), {k: v for k, v in body.items() if v is not None})
    return attrs.frozen(cls)


def test_a_plugin_is_found_with_its_source(shelf):
    local = scheduler("local")
    shelf.add("ald-foo 0.2.0", ald_schedulers=lambda: [local])
    registry = shelf.registry()
    assert registry.find(Scheduler, "local") is local
    (offer,) = registry.of_role(Scheduler)
    assert offer.source == "ald-foo 0.2.0"
    assert registry.of_role(Labeler) == []
    assert registry.broken == []


def complete(role):
    """A class that fills a role."""

    def method(self, *_):
        """Do nothing."""

    body = dict.fromkeys(role.__abstractmethods__, method)
    return attrs.frozen(
        type("Complete", (role,), {**body, "name": "x", "reads": ("x",), "writes": "x"})
    )


@pytest.mark.parametrize(
    ("hook", "role"),
    [
        ("ald_schedulers", Scheduler),
        ("ald_md_engines", MDEngine),
        ("ald_labelers", Labeler),
        ("ald_selectors", Selector),
        ("ald_weightings", Weighting),
        ("ald_fitters", Fitter),
        ("ald_notifiers", Notifier),
    ],
)
def test_every_hook_brings_capabilities_of_its_role_only(shelf, hook, role):
    made = complete(role)
    shelf.add("ald-a 1", **{hook: lambda: [made]})
    registry = shelf.registry()
    assert registry.find(role, "x") is made
    assert [o.capability for o in registry.offers] == [made]
    assert registry.broken == []


# ---------------------------------------------------------------- what cannot be found


def message(registry, role, name):
    with pytest.raises(PluginError) as caught:
        registry.find(role, name)
    return str(caught.value)


def test_messages_name_the_culprit_and_the_cure(shelf):
    shelf.add("ald-a 1.0", ald_schedulers=lambda: [scheduler("local"), scheduler("slurm")])
    registry = shelf.registry()
    assert message(registry, Scheduler, "slrum") == (
        "no scheduler named 'slrum'; did you mean 'slurm'? (installed: local, slurm)"
    )
    assert message(registry, Scheduler, "zzz") == (
        "no scheduler named 'zzz' (installed: local, slurm)"
    )
    assert message(registry, Labeler, "ase") == (
        "no labeler named 'ase'; pip install ald-ase (installed: none)"
    )
    assert message(registry, MDEngine, "chimes") == (
        "no md engine named 'chimes'; pip install ald-chimes-md (installed: none)"
    )


def test_a_misspelt_official_name_is_recognised_although_not_installed(shelf):
    assert message(shelf.registry(), Fitter, "chimse") == (
        "no fitter named 'chimse'; did you mean 'chimes'? (installed: none)"
    )


def test_two_plugins_with_one_name_are_an_error_only_for_who_needs_it(shelf):
    shelf.add("ald-slurm 0.1.0", ald_schedulers=lambda: [scheduler("slurm"), scheduler("a")])
    shelf.add("ald-other 0.1.0", ald_schedulers=lambda: [scheduler("slurm")])
    registry = shelf.registry()
    assert message(registry, Scheduler, "slurm") == (
        "two plugins offer the scheduler 'slurm': ald-other 0.1.0 and ald-slurm 0.1.0"
    )
    assert registry.find(Scheduler, "a").name == "a"


# ---------------------------------------------------------------- broken plugins


def only_reason(registry):
    (broken,) = registry.broken
    return f"{broken.source}: {broken.reason}"


def test_an_incomplete_class_says_what_it_lacks(shelf):
    shelf.add("ald-foo 0.2.0", ald_schedulers=lambda: [scheduler("foo", cancel=None, find=None)])
    assert only_reason(shelf.registry()) == (
        "ald-foo 0.2.0: FooScheduler does not define cancel, find"
    )


def test_a_missing_name_or_format_is_a_lack_too(shelf):
    @attrs.frozen
    class NoName(Selector):
        def select(self, candidates, context):
            """Select."""

    @attrs.frozen
    class NoFormat(Fitter):
        name: ClassVar[str] = "f"

        def fit(self, training, weights, workdir, run_jobs):
            """Fit."""

        def predict(self, model, frames, run_jobs):
            """Predict."""

    shelf.add("ald-a 1", ald_selectors=lambda: [NoName], ald_fitters=lambda: [NoFormat])
    reasons = {b.reason for b in shelf.registry().broken}
    assert reasons == {"NoName does not define name", "NoFormat does not define writes"}


@pytest.mark.parametrize("what", [str, 3, None])
def test_something_else_than_the_role_is_refused(shelf, what):
    shelf.add("ald-a 1", ald_labelers=lambda: [what])
    assert "is not a subclass of Labeler" in only_reason(shelf.registry())


def test_a_class_of_another_role_is_refused(shelf):
    shelf.add("ald-a 1", ald_labelers=lambda: [scheduler("x")])
    assert only_reason(shelf.registry()) == ("ald-a 1: FooScheduler is not a subclass of Labeler")


def test_an_undeclared_setting_is_refused(shelf):
    @attrs.frozen
    class Careless(Weighting):
        name: ClassVar[str] = "careless"
        width: float = 1.0

        def weights(self, training, cycle):
            """Weigh."""

    shelf.add("ald-a 1", ald_weightings=lambda: [Careless])
    assert "Careless.width is not declared with option()" in only_reason(shelf.registry())


def nothing():
    """The answer of a plugin that offers nothing."""
    return []


def test_a_misspelt_hook_is_not_ignored(shelf):
    shelf.add("ald-a 1", ald_labeler=nothing)
    assert only_reason(shelf.registry()) == (
        "ald-a 1: unknown hook 'ald_labeler'; did you mean 'ald_labelers'?"
    )


def test_a_hook_with_arguments_takes_nothing_else_down(shelf):
    """pluggy leaves such a module half registered."""
    shelf.add(
        "ald-a 1",
        ald_fitters=nothing,
        ald_labelers=lambda elements: [],
        ald_weightings=nothing,
    )
    good = scheduler("good")
    shelf.add("ald-b 1", ald_schedulers=lambda: [good])
    registry = shelf.registry()
    assert "elements" in only_reason(registry)
    assert registry.find(Scheduler, "good") is good


def test_an_import_that_fails_is_kept_with_its_reason(shelf):
    shelf.point("ald-gone 3.1", "no_such_module_anywhere")
    assert only_reason(shelf.registry()) == (
        "ald-gone 3.1: ModuleNotFoundError: No module named 'no_such_module_anywhere'"
    )


@pytest.mark.parametrize(
    "statement",
    ["raise RuntimeError('one\\ntwo')", "import sys; sys.exit('bye')", "assert False", "(", "1/0"],
)
def test_whatever_an_import_does_the_others_work(shelf, statement, tmp_path, monkeypatch):
    (tmp_path / "nasty_plugin.py").write_text(statement)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nasty_plugin", raising=False)
    shelf.point("ald-nasty 1", "nasty_plugin")
    good = scheduler("good")
    shelf.add("ald-zzz 1", ald_schedulers=lambda: [good])
    registry = shelf.registry()
    assert registry.find(Scheduler, "good") is good
    assert only_reason(registry).startswith("ald-nasty 1: ")
    assert "\n" not in only_reason(registry)


def test_a_hook_that_raises_breaks_only_its_own_answer(shelf):
    good = scheduler("good")

    def fail():
        raise OSError("no licence")

    shelf.add("ald-a 1", ald_schedulers=lambda: [good], ald_labelers=fail)
    registry = shelf.registry()
    assert registry.find(Scheduler, "good") is good
    assert only_reason(registry) == "ald-a 1: OSError: no licence"


def test_a_broken_official_plugin_is_named_when_it_is_needed(shelf):
    shelf.point("ald-ase 9.9", "no_such_module_anywhere")
    assert message(shelf.registry(), Labeler, "ase") == (
        "no labeler named 'ase': ald-ase 9.9 is BROKEN: ModuleNotFoundError: "
        "No module named 'no_such_module_anywhere'"
    )


# ---------------------------------------------------------------- the event, the commands, the roles


def test_everyone_hears_of_a_finished_cycle_and_errors_are_logged(shelf, caplog):
    heard = []

    def fail(record):
        raise ValueError("mail server gone")

    def hear(record):
        heard.append(record)

    shelf.add("ald-a 1", ald_cycle_finished=fail)
    shelf.add("ald-b 1", ald_cycle_finished=hear)
    shelf.add("ald-c 1", ald_cycle_finished=lambda: heard.append("no argument wanted"))
    shelf.registry().tell_cycle_finished("the record")
    assert sorted(heard) == ["no argument wanted", "the record"]
    assert "ald-a 1 failed on ald_cycle_finished" in caplog.text


def test_commands_come_from_all_plugins(shelf):
    shelf.add("ald-a 1", ald_commands=lambda: ["one"])
    shelf.add("ald-b 1", ald_commands=lambda: ["two", "three"])
    assert sorted(shelf.registry().commands()) == ["one", "three", "two"]


@pytest.mark.parametrize("word", ["labeler", "labelers", "Labeler"])
def test_roles_by_word(word):
    assert role_named(word) is Labeler


@pytest.mark.parametrize("word", ["md", "md engine", "md-engine", "md_engines"])
def test_roles_of_two_words(word):
    assert role_named(word) is MDEngine


def test_a_word_that_is_no_role():
    with pytest.raises(PluginError, match="no role named 'labler'; did you mean 'labeler'"):
        role_named("labler")


def test_official_names_belong_to_roles():
    assert {role for role, _ in OFFICIAL} <= {r.role for r in ROLES}
