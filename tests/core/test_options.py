"""Options: what a run file may say, what is refused and how, and what counts as the identity of a capability."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import pytest
from attrs.validators import ge

from ald_core.options import build, describe, did_you_mean, identity, option


@attrs.frozen(kw_only=True)
class Thing:
    """A thing with options of every type."""

    name: ClassVar[str] = "thing"
    command: str = option(help="what to run")
    steps: int = option(5, help="how often", validator=ge(1))
    width: float = option(0.5, help="how wide")
    on: bool = option(False, help="whether")
    mode: Literal["fast", "slow"] = option("fast", help="how")
    items: tuple[str, ...] = option((), help="which")
    sizes: tuple[float, ...] = option((), help="how large")
    table: Mapping[str, Any] = option(factory=dict, help="anything")
    file: Path | None = option(None, help="a file")
    maybe: float | None = option(None, help="perhaps a number")
    upper: str = option("A", help="converted", converter=str.upper)
    cores: int = option(1, help="operational", identity=False, legacy="CORES")


def make(tmp_path, **table):
    made, problems = build(Thing, {"command": "x", **table}, "thing", tmp_path)
    assert (made is None) == bool(problems)
    return made if made is not None else problems


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("steps", 3, 3),
        ("steps", 3.0, 3),
        ("steps", "3", 3),
        ("steps", 12345678901234567, 12345678901234567),  # not through a float
        ("width", 2, 2.0),
        ("width", "2e-3", 0.002),
        ("on", True, True),
        ("mode", "slow", "slow"),
        ("items", ["a", "b"], ("a", "b")),
        ("items", [], ()),
        ("sizes", [1, "2.5"], (1.0, 2.5)),
        ("table", {"a": {"b": 1}}, {"a": {"b": 1}}),
        ("maybe", 1, 1.0),
        ("upper", "abc", "ABC"),
    ],
)
def test_values_become_what_the_annotation_says(tmp_path, key, raw, value):
    found = getattr(make(tmp_path, **{key: raw}), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "raw", "words"),
    [
        ("command", 3, "text is needed, not 3"),
        ("command", True, "text is needed, not True"),
        ("steps", 2.5, "a whole number is needed, not 2.5"),
        ("steps", "x", "a whole number is needed, not 'x'"),
        ("steps", True, "a whole number is needed, not True"),
        ("steps", float("inf"), "a whole number is needed, not inf"),
        ("steps", float("nan"), "a whole number is needed, not nan"),
        ("steps", [1], "a whole number is needed, not [1]"),
        ("steps", 0, "'steps' must be >= 1: 0"),
        ("width", float("nan"), "a number is needed, not nan"),
        ("width", float("inf"), "a number is needed, not inf"),
        ("width", False, "a number is needed, not False"),
        ("width", 10**400, "a number is needed"),
        ("on", 1, "true or false is needed, not 1"),
        ("on", "true", "true or false is needed, not 'true'"),
        ("mode", "slwo", "'slwo' is not possible; did you mean 'slow'?"),
        ("mode", 3, "3 is not possible"),
        ("items", "a b", "a list is needed, not 'a b'"),
        ("items", ["a", 1], "text is needed, not 1"),
        ("table", [1], "a table is needed, not [1]"),
        ("file", 3, "a path is needed, not 3"),
        ("file", "absent.txt", "there is no file"),
        ("maybe", "no", "a number is needed, not 'no'"),
    ],
)
def test_wrong_values_are_refused_with_their_place(tmp_path, key, raw, words):
    (problem,) = make(tmp_path, **{key: raw})
    assert problem.startswith(f"thing.{key}: {words}")


def test_all_problems_of_a_table_are_reported_together(tmp_path):
    made, problems = build(Thing, {"steps": 0, "comand": "x", "on": 1}, "thing", tmp_path)
    assert made is None
    assert sorted(p.split(":")[0] for p in problems) == [
        "thing.comand",
        "thing.command",
        "thing.on",
        "thing.steps",
    ]


def test_unknown_option_is_an_error_with_a_suggestion(tmp_path):
    assert "thing.comand: no such option; did you mean 'command'?" in make(tmp_path, comand="x")
    (problem,) = make(tmp_path, zzz=1)
    assert problem.startswith("thing.zzz: no such option (known: command, ")


def test_missing_option_says_what_it_is_for(tmp_path):
    made, problems = build(Thing, {}, "thing", tmp_path)
    assert made is None
    assert problems == ["thing.command: is required (what to run)"]


def test_paths_start_at_the_run_file_and_may_be_absolute(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    assert make(tmp_path, file="a.txt").file == tmp_path / "a.txt"
    assert make(tmp_path / "..", file=str(tmp_path / "a.txt")).file == tmp_path / "a.txt"


def test_keys_that_are_no_options_can_be_skipped(tmp_path):
    made, problems = build(Thing, {"use": "thing", "command": "x"}, "t", tmp_path, skip={"use"})
    assert not problems
    assert made.command == "x"


# ---------------------------------------------------------------- description


def test_description_knows_everything_that_was_declared():
    infos = {info.name: info for info in describe(Thing)}
    assert list(infos)[:2] == ["command", "steps"]
    assert infos["command"].required
    assert not infos["steps"].required
    assert infos["steps"].default == 5
    assert infos["steps"].type == "a whole number"
    assert infos["sizes"].type == "list of a number"
    assert infos["mode"].type == "fast | slow"
    assert infos["file"].type == "path"
    assert infos["table"].default == {}
    assert infos["cores"].legacy.name == "CORES"
    assert not infos["cores"].identity
    assert all(info.help for info in infos.values())


def test_an_option_without_help_is_refused():
    with pytest.raises(ValueError, match="needs a help text"):
        option(1, help=" ")


def test_a_field_that_is_no_option_is_refused():
    @attrs.frozen
    class Careless:
        width: float = 1.0

    with pytest.raises(TypeError, match=r"Careless\.width is not declared with option"):
        describe(Careless)
    with pytest.raises(TypeError, match="is not an attrs class"):
        describe(str)


# ---------------------------------------------------------------- identity


def test_identity_is_that_of_the_values():
    assert identity(Thing(command="x")) == identity(Thing(command="x", steps=5))
    different = [
        Thing(command="y"),
        Thing(command="x", steps=6),
        Thing(command="x", width=0.1 + 0.2),
        Thing(command="x", width=0.3),
        Thing(command="x", items=("a",)),
        Thing(command="x", items=("a", "b")),
        Thing(command="x", table={"a": 1}),
        Thing(command="x", table={"a": {"b": 1}}),
    ]
    assert len({identity(t) for t in different}) == len(different)


def test_operational_options_do_not_count():
    assert identity(Thing(command="x", cores=1)) == identity(Thing(command="x", cores=8))


def test_files_count_by_content_not_by_place(tmp_path):
    for name, content in (("a.txt", "1"), ("b.txt", "1"), ("c.txt", "2")):
        (tmp_path / name).write_text(content)
    a, b, c = (identity(Thing(command="x", file=tmp_path / f"{n}.txt")) for n in "abc")
    assert a == b != c
    (tmp_path / "a.txt").write_text("2")
    assert identity(Thing(command="x", file=tmp_path / "a.txt")) == c


def test_order_in_a_table_does_not_count():
    one = Thing(command="x", table={"a": 1, "b": 2})
    other = Thing(command="x", table={"b": 2, "a": 1})
    assert identity(one) == identity(other)


def test_nested_capabilities_count_by_their_own_identity(tmp_path):
    @attrs.frozen
    class Outer:
        inner: Any = option(help="another one")

    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    one, other = (Outer(inner=Thing(command="x", file=tmp_path / n)) for n in "ab")
    assert identity(one) == identity(other)
    assert identity(one) != identity(Outer(inner=Thing(command="y", file=tmp_path / "a")))


def test_classes_with_equal_options_differ():
    @attrs.frozen
    class One:
        a: int = option(1, help="a")

    @attrs.frozen
    class Two:
        a: int = option(1, help="a")

    assert identity(One()) != identity(Two())


def test_an_option_may_be_a_file_or_a_table(tmp_path):
    @attrs.frozen(kw_only=True)
    class Either:
        bonds: Path | Mapping[str, Any] | None = option(None, help="either")

    (tmp_path / "a.dat").write_text("1")
    made, _ = build(Either, {"bonds": "a.dat"}, "md", tmp_path)
    assert made.bonds == tmp_path / "a.dat"
    made, _ = build(Either, {"bonds": {"O-H": 1.3}}, "md", tmp_path)
    assert made.bonds == {"O-H": 1.3}
    assert build(Either, {"bonds": 3}, "md", tmp_path)[1] == ["md.bonds: a path is needed, not 3"]
    [info] = describe(Either)
    assert info.type == "path or table"
    assert info.is_path


def test_suggestions():
    assert did_you_mean("slrum", ["slurm", "local"]) == "; did you mean 'slurm'?"
    assert did_you_mean("zzz", ["b", "a"]) == " (known: a, b)"
    assert did_you_mean("zzz", []) == ""


def test_options_of_a_later_release_leave_earlier_studies_what_they_are():
    def of_release(*fields):
        names = {"n": int, **dict.fromkeys((name for name, _ in fields), int)}
        space = {"__annotations__": names, "n": option(help="old"), **dict(fields)}
        return attrs.frozen(kw_only=True)(type("Made", (), space))

    before, after = of_release(), of_release(("more", option(3, help="new", added=True)))
    assert identity(before(n=1)) == identity(after(n=1)) == identity(after(n=1, more=3))
    assert identity(after(n=1, more=4)) != identity(after(n=1))
    unmarked = of_release(("more", option(3, help="new")))
    assert identity(unmarked(n=1)) != identity(before(n=1))
