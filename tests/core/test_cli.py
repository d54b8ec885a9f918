"""The command line: exit statuses, one sentence per mistake, nothing but text from the library."""

import errno
import sys
from importlib.metadata import EntryPoint, version
from types import ModuleType
from typing import ClassVar

import ase.io
import attrs
import pytest
import typer
from ase.build import bulk
from typer.testing import CliRunner

from ald_core import cli, registry
from ald_core.hookspecs import hookimpl
from ald_core.options import option
from ald_core.roles import Weighting

RUN_FILE = """\
[study]
elements = ["Ar"]
cycles = 1
[training]
frames = [{ file = "start.extxyz" }]
[fitter]
use = "reference"
[md]
use = "reference"
[[case]]
name = "cold"
temperature = 300
structure = "start.extxyz"
[labelers.bulk]
use = "reference"
"""


@attrs.frozen(kw_only=True)
class Undocumented(Weighting):
    name: ClassVar[str] = "undocumented"
    limits: tuple[str, ...] = option(("a[b]",), help="text with [brackets] and :x: in it")

    def weights(self, training, cycle):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def points(monkeypatch):
    """Installed: the core, a plugin without docstring, a broken one."""
    module = ModuleType("rough_plugin")
    module.ald_weightings = hookimpl(lambda: [Undocumented])
    monkeypatch.setitem(sys.modules, "rough_plugin", module)
    found = [
        EntryPoint("core", "ald_core.plugin", "ald"),
        EntryPoint("rough", "rough_plugin", "ald"),
        EntryPoint("broken", "no_such_module_of_anyone", "ald"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: found)


@pytest.fixture
def study(tmp_path):
    (tmp_path / "ald.toml").write_text(RUN_FILE)
    images = [bulk("Ar", "fcc", a=1.6, cubic=True) for _ in range(5)]
    ase.io.write(tmp_path / "start.extxyz", images)
    return tmp_path


@pytest.fixture
def ald(monkeypatch, capsys):
    def ald(*arguments):
        monkeypatch.setattr(sys, "argv", ["ald", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "100")
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return ald


def test_version(ald):
    assert ald("--version") == (0, f"ald {version('ald-core')}\n", "")


def test_without_arguments_it_explains_itself(ald):
    status, out, err = ald()
    assert status in (0, 2)
    for command in ("run", "check", "status", "plugins", "cite"):
        assert command in out + err


@pytest.mark.parametrize(
    "command", ["run", "check", "status", "stop", "labels", "release", "repair", "plugins", "cite"]
)
def test_every_command_explains_itself(ald, command):
    status, out, _ = ald(command, "--help")
    assert status == 0
    assert len(out.splitlines()) > 3


def test_unknown_commands_and_options_are_mistakes_of_the_user(ald):
    assert ald("rnu")[0] == 2
    assert ald("run", "--cycle-count", "3")[0] == 2
    assert ald("run", "--cycles", "-1")[0] == 2


def test_check_says_what_would_happen_and_touches_nothing(ald, study):
    before = sorted(study.rglob("*"))
    status, out, err = ald("check", study)
    assert (status, err) == (0, "")
    assert "5 frames, 5 to be labelled first, 1 held out" in out
    assert "labelers.bulk: labeler 'reference'" in out
    assert "weighting[0]: weighting 'formula'" in out
    assert "case cold: 300 K" in out
    assert "would run 1 cycles and a final fit" in out
    assert "BROKEN: ModuleNotFoundError: No module named 'no_such_module_of_anyone'" in out
    assert sorted(study.rglob("*")) == before


def test_check_of_a_fit_only(ald, study):
    status, out, _ = ald("check", study, "--fit-only")
    assert status == 0
    assert "would fit once" in out


def test_run_file_or_folder(ald, study, monkeypatch):
    by_folder = ald("check", study)
    assert ald("check", study / "ald.toml") == by_folder
    monkeypatch.chdir(study)
    assert ald("check")[0] == 0


def test_all_mistakes_in_one_go_without_a_traceback(ald, study):
    (study / "ald.toml").write_text(RUN_FILE.replace("cycles", "cylces").replace('"cold"', "3"))
    status, out, err = ald("run", study)
    assert (status, out) == (2, "")
    assert (
        f"{study / 'ald.toml'}, line 3: study.cylces: no such option; did you mean 'cycles'?" in err
    )
    assert f"{study / 'ald.toml'}, line 11: case[0].name: text is needed, not 3" in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[notify]]\n", "notify[0].use: is required: which notifier? (installed: none)"),
        (
            '[[notify]]\nuse = "mail"\n',
            "line 17: notify[0].use: no notifier named 'mail'; pip install ald-mail (installed: none)",
        ),
        ('[notify]\nuse = "mail"\n', "notify: must be tables, [[notify]]"),
    ],
)
def test_mistakes_in_notifiers(ald, study, text, sentence):
    (study / "ald.toml").write_text(RUN_FILE + text)
    status, _, err = ald("check", study)
    assert status == 2
    assert sentence in err


def test_a_study_that_is_not_there(ald, tmp_path):
    status, out, err = ald("run", tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith(f"ald: {tmp_path / 'ald.toml'}: there is no such run file")
    assert len(err.strip().splitlines()) == 1


def test_status_before_the_first_run(ald, study):
    status, _, err = ald("status", study)
    assert status == 2
    assert "has not been run yet; start it with `ald run`" in err
    assert not (study / ".ald").exists()


def test_stop_labels_and_repair_of_a_study_that_is_well(ald, study, monkeypatch):
    from ald_core.journal import Journal

    assert ald("stop", study) == (0, "no `ald run` is at work in this study\n", "")
    with Journal.open(study) as journal:
        for name in ("007-cold-1", "007-cold-2"):
            details = {"reason": "no SCF", "kind": "numerical"}
            journal.append({"type": "QUARANTINED", "task": name, "name": name, **details})
    second = "007-cold-2 is quarantined: no SCF\n"
    listed = (0, f"007-cold-1 is quarantined: no SCF\n{second}2 quarantined\n", "")
    assert ald("labels", study) == ald("labels", study, "--all") == ald("release", study) == listed
    status, _, err = ald("labels", study, "--release", "007-cold-3")
    assert (status, err.partition(";")[0]) == (
        2,
        "ald: 007-cold-3: no label of this name is quarantined or rejected",
    )
    said = ald("labels", study, "007-cold-1", "--release")[1]
    assert said == "007-cold-1 is released; the next `ald run` begins it anew\n"
    monkeypatch.chdir(study)
    assert ald("labels") == (0, f"{second}1 under way, 1 quarantined\n", "")
    assert ald("labels", "007-cold-2") == (0, second, "")
    assert ald("release", "007-cold-2")[0] == 0
    starts = len(list((study / ".ald" / "journal").iterdir()))
    assert ald("labels") == (0, "2 under way\n", "")
    for command in (("release", "--all"), ("labels", "--release", "--all")):
        assert ald(*command) == (0, "no label is quarantined\n", "")
    assert ald("release", "007-cold-2") == (0, "007-cold-2 is released already\n", "")
    for wrong in (
        ("release", "007-cold-9"),
        ("labels", "007-cold-9"),
        ("labels", "--reject", "007-cold-9"),
        ("labels", "--reject", "007-cold-2"),
        ("labels", "--reject"),
        ("labels", "--release"),
        ("labels", "--reject", "--release", "007-cold-2"),
    ):
        assert ald(*wrong)[0] == 2
    assert len(list((study / ".ald" / "journal").iterdir())) == starts
    assert ald("repair") == (0, "the journal is whole\n", "")


def test_repair_shows_saves_and_lets_go_on(ald, study):
    from ald_core.journal import Journal, read_journal

    for value in range(2):
        with Journal.open(study) as journal:
            journal.append({"type": "STUDY", "run": "0a1b"})
            journal.append({"type": "PLAN", "cycles": value})
            journal.append({"type": "PLAN", "cycles": value})
    damaged = study / ".ald" / "journal" / "000001.jsonl"
    damaged.write_bytes(damaged.read_bytes().replace(b'"cycles":0', b'"cycles":5', 1))
    status, _, err = ald("status", study)
    assert status == 2
    assert "line 4: damaged" in err
    assert "`ald repair`" in err
    for words, told in ((["--dry-run"], "5 records can be saved"), ([], "5 records were saved;")):
        status, out, _ = ald("repair", study, *words)
        assert status == 0
        assert out.startswith(f"{damaged}: line 4 cannot be read\n")
        assert told in out
    assert [r["cycles"] for r in read_journal(study) if r["type"] == "PLAN"] == [0, 1, 1]


def test_status_for_programs(ald, study):
    import json

    from ald_core.journal import Journal

    with Journal.open(study) as journal:
        journal.append({"type": "STUDY", "run": "0a1b"})
    status, out, err = ald("status", study, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["state"], found["run"], found["study"]) == ("interrupted", "0a1b", str(study))


def test_plugins_are_listed_with_their_source_and_broken_ones_with_the_reason(ald):
    status, out, _ = ald("plugins")
    assert status == 0
    lines = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    assert any("scheduler local" in line for line in lines)
    assert any("selector even" in line for line in lines)
    assert any("weighting undocumented" in line for line in lines)
    assert any(line.startswith("BROKEN broken") for line in lines)
    assert "no_such_module_of_anyone" in "".join(out.replace("│", "").split())
    assert "…" not in out


def test_plugins_of_one_role(ald):
    _, out, _ = ald("plugins", "selector")
    assert "even" in out
    assert "local" not in out.replace("locale", "")


def test_options_of_one_capability_come_from_their_declaration(ald):
    status, out, _ = ald("plugins", "selector", "even")
    assert status == 0
    assert "per_class" in out
    assert "frames per case and contact class" in " ".join(out.split())
    _, out, _ = ald("plugins", "weighting", "undocumented")
    assert "[brackets] and :x: in it" in " ".join(out.split())
    assert "('a[b]',)" in out


def test_plugins_that_nobody_has(ald):
    status, _, err = ald("plugins", "selector", "evne")
    assert status == 2
    assert err == "ald: no selector named 'evne'; did you mean 'even'? (installed: even)\n"
    status, _, err = ald("plugins", "selctor")
    assert (status, err) == (2, "ald: no role named 'selctor'; did you mean 'selector'?\n")


def test_cite_names_the_method_and_the_strategy(ald, study):
    status, out, _ = ald("cite", study)
    assert status == 0
    assert "10.1021/acs.jctc.7b00867" in out
    assert out.count("10.1063/5.0021965") >= 1
    assert len(out.strip().splitlines()) == len(set(out.strip().splitlines()))


def test_an_exception_of_the_library_becomes_its_exit_status(ald, study, monkeypatch):
    from ald_core.errors import FuseBlown, InputError, Stopped

    for error, expected in ((InputError("a"), 2), (Stopped("b"), 3), (FuseBlown("c"), 4)):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(cli, "read_run_file", fail)
        assert ald("run", study) == (expected, "", f"ald: {error}\n")


def test_an_error_of_the_machine_is_a_safe_stop_and_no_traceback(ald, study, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ESTALE, "Stale file handle", "/x/claim")

    monkeypatch.setattr(cli, "read_run_file", fail)
    words = "ald: /x/claim: Stale file handle; put this right and run again, nothing is lost\n"
    assert ald("run", study) == (3, "", words)


def test_what_is_looked_for_in_a_study_that_never_ran_leaves_nothing_there(ald, study):
    assert ald("stop", study, "--jobs")[0] == 0
    assert ald("release", study, "--all")[0] == 0
    assert ald("release", study, "x")[0] == 2
    assert ald("repair", study)[0] == 0
    assert not (study / ".ald").exists()


def test_ctrl_c_anywhere_is_a_safe_stop(ald, study, monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "read_run_file", fail)
    status, _, err = ald("run", study)
    assert status == 3
    assert "run `ald run` again" in err


def test_a_bug_is_not_dressed_up(monkeypatch, study):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "read_run_file", fail)
    monkeypatch.setattr(sys, "argv", ["ald", "run", str(study)])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_groups_of_one_name_become_one(monkeypatch):
    def group(name, command):
        made = typer.Typer(name=name)
        made.command(command)(lambda: typer.echo(f"{name} {command}"))
        return made

    extras = [group("tools", "one"), group("other", "two"), group("tools", "three")]
    app = typer.Typer()
    monkeypatch.setattr(cli, "app", app)
    for _ in range(2):
        cli._add_groups(extras)
    call = CliRunner().invoke
    for words in (["tools", "one"], ["tools", "three"], ["other", "two"]):
        shown = call(app, words)
        assert (shown.exit_code, shown.output) == (0, " ".join(words) + "\n")
    assert [c.name for c in extras[0].registered_commands] == ["one", "three"]
