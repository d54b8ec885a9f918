"""The repository keeps its own promises."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import get_args

import attrs
import pytest

from ald_core import hookspecs, roles, runfile
from ald_core.frames import FrameFile
from ald_core.options import describe
from ald_core.registry import HOOKS, OFFICIAL, Registry
from ald_core.types import Resources

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(p.parent for p in ROOT.glob("plugins/*/pyproject.toml"))
IMPORT_NAMES = {"scikit-learn": "sklearn"}
"""Where a distribution is not imported by its own name."""


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def package(folder):
    """Folder of the package of a distribution."""
    return folder / project(folder)["name"].replace("-", "_")


DISTRIBUTIONS = {project(folder)["name"]: folder for folder in [ROOT, *PLUGINS]}
SOURCES = {
    path: ast.parse(path.read_text())
    for folder in DISTRIBUTIONS.values()
    for path in sorted(package(folder).rglob("*.py"))
}


def of_distribution(name):
    return {
        p: tree for p, tree in SOURCES.items() if p.is_relative_to(package(DISTRIBUTIONS[name]))
    }


def short(path):
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def official():
    """A registry of this repository's plugins alone."""
    return Registry([p for p in entry_points(group="ald") if p.dist.name in DISTRIBUTIONS])


# ---------------------------------------------------------------- hooks, roles, options


def hooks():
    return {n: f for n, f in vars(hookspecs).items() if n.startswith("ald_") and callable(f)}


def test_every_hook_is_documented_and_known_to_the_registry():
    for name, hook in hooks().items():
        assert inspect.getdoc(hook), name
    assert set(HOOKS) == set(hooks()) - {"ald_commands", "ald_cycle_finished"}
    assert set(HOOKS.values()) == set(roles.ROLES)


@pytest.mark.parametrize("name", hooks())
def test_every_hook_has_a_test(name):
    texts = [p.read_text() for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__)]
    assert any(name in text for text in texts)


@pytest.mark.parametrize("role", roles.ROLES)
def test_every_role_and_method_is_documented(role):
    assert role.__doc__
    for name, method in vars(role).items():
        if inspect.isfunction(method):
            assert inspect.getdoc(method), f"{role.__name__}.{name}"


def test_every_plugin_of_this_repository_works(official):
    assert official.broken == []


def test_every_capability_is_documented_and_its_options_have_help(official):
    for offer in official.offers:
        assert offer.capability.__doc__, offer
        for info in describe(offer.capability):
            assert len(info.help) > 3, f"{offer.capability.__name__}.{info.name}"


@pytest.mark.parametrize(
    "section", [c for c in [*vars(runfile).values(), FrameFile, Resources]
                if attrs.has(c) and c.__name__.endswith(("Options", "File", "Resources")) and c.__name__ != "RunFile"]
)  # fmt: skip
def test_every_section_of_the_run_file_has_help(section):
    assert section.__doc__
    assert all(info.help for info in describe(section))


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda p: p.name)
def test_plugins_follow_the_names_of_the_house(folder):
    """Distribution ald-x-y, package ald_x_y, folder and entry point x_y."""
    about = project(folder)
    assert about["name"] == "ald-" + folder.name.replace("_", "-")
    assert about["entry-points"]["ald"] == {folder.name: f"ald_{folder.name}.plugin"}
    assert (package(folder) / "py.typed").exists()
    assert (folder / "README.md").exists()
    assert list((ROOT / "tests" / "plugins" / folder.name).glob("test_*.py"))


def test_plugin_modules_are_imported_cheaply_and_without_a_sound():
    """`ald` imports all of them at every start."""
    modules = ", ".join(f"ald_{folder.name}.plugin" for folder in PLUGINS)
    heavy = ["numba", "sklearn", "scipy", "tblite", "matplotlib"]
    code = f"import sys, ald_core.plugin, {modules}; sys.exit(str([m for m in {heavy} if m in sys.modules]))"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "[]\n")


# ---------------------------------------------------------------- who knows whom


def imported(tree):
    """Top-level names of all packages that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_imports_only_what_it_depends_on(name):
    about = project(DISTRIBUTIONS[name])
    required = {re.match(r"[\w-]+", d)[0] for d in about["dependencies"]}
    known = {IMPORT_NAMES.get(d, d.replace("-", "_")) for d in required}
    allowed = set(sys.stdlib_module_names) | known | {name.replace("-", "_")}
    of_tests = set(about.get("optional-dependencies", {}).get("testing", ()))
    for path, tree in of_distribution(name).items():
        more = of_tests if path.name == "testing.py" else set()
        assert set(imported(tree)) <= allowed | more, short(path)


def test_the_core_imports_no_plugin():
    for path, tree in of_distribution("ald-core").items():
        strange = {n for n in imported(tree) if n.startswith("ald_")} - {"ald_core"}
        assert not strange, short(path)


def test_the_list_of_official_plugins_is_that_of_the_repository(official):
    offered = {
        (o.capability.role, o.capability.name): o.source.split()[0]
        for o in official.offers
        if o.source.split()[0] != "ald-core"
    }
    assert offered == OFFICIAL


def test_all_versions_agree():
    core = project(ROOT)
    assert {project(folder)["version"] for folder in PLUGINS} == {core["version"]}
    major, minor, _ = core["version"].split(".")
    siblings = {f"{name}~={major}.{minor}.0" for name in DISTRIBUTIONS}
    found = set()
    for folder in DISTRIBUTIONS.values():
        about = project(folder)
        extras = about.get("optional-dependencies", {}).values()
        asked = [d for group in [about["dependencies"], *extras] for d in group]
        found |= {d for d in asked if d.startswith("ald-")}
        assert about["requires-python"] == core["requires-python"]
        assert folder == ROOT or f"ald-core~={major}.{minor}.0" in about["dependencies"]
    assert found <= siblings


# ---------------------------------------------------------------- manners


def called(tree):
    """Names of everything that is called, with dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


PRINTERS = {"ald_core/cli.py", "ald_core/display.py"}


def test_only_the_command_line_prints():
    """And programs that run as jobs, whose output is their result."""
    talk = {"print", "sys.stdout.write", "sys.stderr.write", "typer.echo", "console.print"}
    printing = {short(path) for path, tree in SOURCES.items() if talk & set(called(tree))}
    programs = {short(p) for p in SOURCES if "__main__" in p.read_text()}
    commands = {path for path in printing if path.endswith("/commands.py")}
    assert printing - programs - commands <= PRINTERS


def test_nobody_changes_the_folder_or_ends_the_process():
    """But the command line, and programs that run as jobs and are started by `-m`."""
    for path, tree in SOURCES.items():
        names = set(called(tree))
        assert not names & {"os.chdir", "os.system", "eval", "exec", "os._exit"}, short(path)
        program = "__main__" in path.read_text()
        assert program or "sys.exit" not in names or short(path) in PRINTERS, short(path)


def test_shells_are_given_no_commands():
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                pytest.fail(f"{short(path)}, line {node.value.lineno}")


def test_the_cycle_is_read_on_one_screen_and_names_no_plugin(official):
    path = ROOT / "ald_core" / "cycle.py"
    assert len(path.read_text().splitlines()) <= 100
    texts = {n.value for n in ast.walk(SOURCES[path]) if isinstance(n, ast.Constant)}
    assert not texts & {offer.capability.name for offer in official.offers}
    for name in ("cycle.py", "steps.py", "study.py", "jobs.py", "journal.py", "store.py"):
        tree = SOURCES[ROOT / "ald_core" / name]
        assert not {n for n in imported(tree) if n.startswith("ald_") and n != "ald_core"}
        compared = [c for n in ast.walk(tree) if isinstance(n, ast.Compare) for c in ast.walk(n)]
        words = {c.value for c in compared if isinstance(c, ast.Constant)}
        assert not words & {offer.capability.name for offer in official.offers}, name


def test_only_jobs_calls_a_scheduler():
    for path, tree in of_distribution("ald-core").items():
        calls = {name.rsplit(".", 1)[-1] for name in called(tree) if "scheduler." in name}
        if path.name not in {"jobs.py", "watch.py"}:
            assert not calls & {"submit", "find", "cancel"}, short(path)


def test_steps_have_resources_and_kinds_have_labelers():
    """The words of the run file are those of the types."""
    from ald_core.types import Kind, Role

    assert set(get_args(Role)) == {"label", "fit", "md", "predict"}
    assert set(get_args(Kind)) == {"bulk", "gas"}
