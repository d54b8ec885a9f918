"""What a run file says of labelers: their programs, input folders, temperatures, and resources of their own."""

import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import attrs
import pytest
from ase import Atoms

from ald_core import steps
from ald_core.errors import InputErrors
from ald_core.hookspecs import hookimpl
from ald_core.inspection import plan
from ald_core.local import LocalScheduler
from ald_core.options import option
from ald_core.registry import Registry
from ald_core.roles import Labeler
from ald_core.runfile import read_run_file
from ald_core.types import Frame, Origin

TEXT = """\
[study]
elements = ["Ar"]
[training]
frames = [{ file = "start.xyz", temperature = 300 }]
[fitter]
use = "reference"
[md]
use = "reference"
[[case]]
name = "cold"
temperature = 300
structure = "start.xyz"
[[case]]
name = "warm"
temperature = 900.5
structure = "start.xyz"
[[case]]
name = "warm too"
temperature = 900.5
structure = "start.xyz"
[labelers.bulk]
use = "needy"
inputs = "qm"
[labelers.gas]
use = "needy"
inputs = "gas"
[resources.label]
time = 60
ppn = 4
""".replace("warm too", "warm-2")


@attrs.frozen(kw_only=True)
class NeedyLabeler(Labeler):
    """A labeler that needs a program, a folder and, for each temperature, a file."""

    name: ClassVar[str] = "needy"
    program: str = option("sh", help="the program", identity=False)
    inputs: Path = option(help="folder of inputs")
    options: Mapping[str, str] = option(factory=dict, help="more")

    def programs(self):
        return {"program": self.program}

    def check_temperature(self, temperature, elements):
        name = f"{temperature:g}.INCAR"
        if (self.inputs / name).exists():
            return []
        return [f"{self.inputs}: there is no {name} for {', '.join(elements)}"]

    def prepare(self, frame, workdir, rung):
        raise NotImplementedError

    def collect(self, frame, workdir):
        raise NotImplementedError


@hookimpl
def ald_labelers():
    return [NeedyLabeler]


@pytest.fixture(scope="module")
def registry():
    sys.modules["needy_plugin"] = sys.modules[__name__]
    core = EntryPoint("core", "ald_core.plugin", "ald")
    return Registry([core, EntryPoint("needy", "needy_plugin", "ald")])


@pytest.fixture
def write(tmp_path):
    """Writes the run file, with the text after a mark added to a section."""
    (tmp_path / "start.xyz").write_text("1\n\nAr 0 0 0\n")
    for folder in ("qm", "gas"):
        (tmp_path / folder / "deeper").mkdir(parents=True)
        for name in ("300.INCAR", "900.5.INCAR", "deeper/POTCAR"):
            (tmp_path / folder / name).write_text(name)

    def write(**added):
        text = TEXT
        for section, more in added.items():
            head = f"[{section.replace('__', '.')}]\n"
            assert text.count(head) == 1
            text = text.replace(head, f"{head}{more}\n")
        (tmp_path / "ald.toml").write_text(text)
        return tmp_path / "ald.toml"

    return write


@pytest.fixture
def read(write, registry):
    return lambda **added: read_run_file(write(**added), registry)


@pytest.fixture
def problems(write, registry, tmp_path):
    def problems(**added):
        with pytest.raises(InputErrors) as caught:
            read_run_file(write(**added), registry)
        return [p.removeprefix(f"{tmp_path / 'ald.toml'}, ") for p in caught.value.problems]

    return problems


# ---------------------------------------------------------------- programs

CURE = "that can be run; correct the name, install it, or load its module ([resources] modules)"


def test_a_program_that_is_there_is_no_problem(read, tmp_path):
    tool = tmp_path / "my vasp"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    found = read(labelers__bulk=f'program = "{tool}"')
    assert found.crew.labelers["bulk"].program == str(tool)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("/opt/vasp/bin/vasp_std", f"there is no program '/opt/vasp/bin/vasp_std' {CURE}"),
        ("no-such-vasp", f"there is no program 'no-such-vasp' {CURE}"),
        ("", f"there is no program '' {CURE}"),
        ("bin/vasp", "jobs run in folders of their own; give the whole path of 'bin/vasp'"),
        ("./vasp", "jobs run in folders of their own; give the whole path of './vasp'"),
    ],
)
def test_a_program_that_is_not_there_is_named_with_its_line(problems, program, words):
    assert problems(labelers__bulk=f'program = "{program}"') == [
        f"line 22: labelers.bulk.program: {words}"
    ]


def test_it_is_told_together_with_mistakes_elsewhere(problems):
    """Whoever has corrected one is not told the next."""
    said = problems(labelers__bulk='program = "/x/vasp"', fitter="no_such = 1")
    assert any("fitter.no_such" in problem for problem in said)
    assert any(
        "labelers.bulk.program: there is no program '/x/vasp'" in problem for problem in said
    )


def test_a_file_that_cannot_be_executed_is_no_program(problems, tmp_path):
    (tmp_path / "vasp").write_text("#!/bin/sh\n")
    (said,) = problems(labelers__bulk=f'program = "{tmp_path}/vasp"')
    assert said.endswith(CURE)
    (said,) = problems(labelers__bulk=f'program = "{tmp_path}"')
    assert said.endswith(CURE)


@pytest.mark.parametrize("means", ['modules = ["vasp/6"]', 'setup = ["module load vasp"]'])
def test_modules_may_bring_a_program_that_has_no_folder_in_its_name(read, problems, means):
    assert read(labelers__bulk='program = "vasp_std"', resources__label=means)
    own = f'program = "vasp_std"\nresources = {{ {means} }}'
    assert read(labelers__bulk=own)
    (said,) = problems(labelers__bulk=own, labelers__gas='program = "vasp_std"')
    assert "labelers.gas.program: there is no program" in said
    (said,) = problems(labelers__bulk='program = "/x/vasp_std"', resources__label=means)
    assert "labelers.bulk.program: there is no program '/x/vasp_std'" in said


# ---------------------------------------------------------------- temperatures


def test_each_temperature_of_a_case_is_checked_once(problems, tmp_path):
    (tmp_path / "qm" / "900.5.INCAR").unlink()
    (tmp_path / "gas" / "300.INCAR").unlink()
    assert problems() == [
        f"line 21: labelers.bulk: {tmp_path}/qm: there is no 900.5.INCAR for Ar",
        f"line 24: labelers.gas: {tmp_path}/gas: there is no 300.INCAR for Ar",
    ]


def test_temperatures_of_starting_frames_are_checked_before_any_job(write, registry, tmp_path):
    path = write(study="cycles = 0")
    path.write_text(path.read_text().replace("temperature = 300 }]", "temperature = 77 }]"))
    words = f"labelers.bulk: {tmp_path}/qm: there is no 77.INCAR for Ar"
    with pytest.raises(InputErrors) as caught:
        plan(path, registry)
    assert caught.value.problems == (f"{path}, line 22: {words}",)
    runfile = read_run_file(path, registry)
    study = SimpleNamespace(crew=runfile.crew, registry=registry, runfile=runfile)
    with pytest.raises(InputErrors) as caught:
        steps._label_tasks(study, [Frame(Atoms("Ar"), Origin(0, "a", 1), 77.0)])
    assert caught.value.problems == (words,)


# ---------------------------------------------------------------- kinds


def test_molecules_are_labelled_as_crystals_are_if_that_labeler_can(
    write, registry, read, monkeypatch
):
    runfile = read()
    assert runfile.crew.labeler_of("gas") is runfile.crew.labelers["gas"]
    path = write(study="cycles = 0")
    path.write_text(
        path.read_text()
        .replace("temperature = 300 }]", 'temperature = 300, kind = "gas" }]')
        .replace('[labelers.gas]\nuse = "needy"\ninputs = "gas"\n', "")
    )
    crew = read_run_file(path, registry).crew
    assert crew.labeler_of("gas") is crew.labelers["bulk"]
    assert "1 to be labelled first" in "".join(plan(path, registry).lines)
    monkeypatch.setattr(NeedyLabeler, "kinds", frozenset({"bulk"}))
    assert crew.labeler_of("gas") is None
    with pytest.raises(
        InputErrors, match=r"labelers\.gas: is required, because gas frames have no"
    ):
        plan(path, registry)


def test_nothing_is_asked_of_programs_where_no_job_will_run(write, registry):
    path = write(labelers__bulk='program = "no-such-vasp"')
    runfile = read_run_file(path, registry, cycles=0, ready=False)
    assert runfile.crew.labelers["bulk"].program == "no-such-vasp"


# ---------------------------------------------------------------- resources


def test_a_labeler_may_have_resources_of_its_own(read):
    plain = read()
    found = read(labelers__gas="resources = { ppn = 1, memory = '4GB', tasks_per_job = 5 }")
    own = attrs.evolve(found.resources["label"], ppn=1, memory="4096M", tasks_per_job=5)
    assert own.time == "01:00:00"
    assert found.label_resources == {"gas": own}
    assert found.all_resources()["labelers.gas.resources"] == own
    assert "labelers.bulk.resources" not in found.all_resources()
    assert found.identity() == plain.identity(), "which changes no result"
    assert found.values() == plain.values()


def test_they_are_those_of_its_tasks(read, registry):
    runfile = read(labelers__gas="resources = { ppn = 1 }")
    frames = [
        Frame(Atoms("Ar"), Origin(1, "a", step), kind=kind)
        for step, kind in enumerate(("bulk", "gas"))
    ]
    study = SimpleNamespace(crew=runfile.crew, registry=registry, runfile=runfile)
    bulk, gas = steps._label_tasks(study, frames)
    assert bulk.resources is None
    assert gas.resources == runfile.label_resources["gas"]
    plain = read()
    study = SimpleNamespace(crew=plain.crew, registry=registry, runfile=plain)
    assert [t.identity for t in steps._label_tasks(study, frames)] == [bulk.identity, gas.identity]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("resources = { pnp = 1 }", "line 22: labelers.bulk.resources.pnp: no such option; did you mean 'ppn'?"),
        ("resources = { ppn = 0 }", "line 22: labelers.bulk.resources.ppn: 'ppn' must be >= 1: 0"),
        ("resources = { time = 'long' }", "line 22: labelers.bulk.resources.time: 'long' is no time"),
        ("resources = 3", "line 22: labelers.bulk.resources: must be a table, [labelers.bulk.resources]"),
    ],
)  # fmt: skip
def test_mistakes_have_their_lines(problems, text, words):
    (said,) = problems(labelers__bulk=text)
    assert said.startswith(words)


def test_the_scheduler_is_asked_about_them(write, registry, monkeypatch):
    asked = {}

    def refuse(_, resources):
        asked.update(resources)
        return ["labelers.gas.resources: no such partition", "scheduler: sleepy"]

    monkeypatch.setattr(LocalScheduler, "check_resources", refuse)
    path = write(labelers__gas="resources.queue = 'fast'")
    with pytest.raises(InputErrors) as caught:
        plan(path, registry)
    assert asked["labelers.gas.resources"].queue == "fast"
    assert caught.value.problems == (
        f"{path}, line 24: labelers.gas.resources: no such partition",
        f"{path}: scheduler: sleepy",
    )


# ---------------------------------------------------------------- folders count by their content


def changed(runfile, change):
    """Sections of the identity that a change of files changes."""
    before = runfile.identity()
    change()
    after = runfile.identity()
    return [section for section in before if before[section] != after[section]]


def test_what_a_folder_holds_is_identity_and_its_place_is_not(read, tmp_path):
    runfile = read()
    qm = tmp_path / "qm"
    assert changed(runfile, lambda: (qm / "300.INCAR").write_text("300.INCAR")) == []
    assert changed(runfile, lambda: (qm / "300.INCAR").write_text("ISMEAR = 1")) == [
        "labelers.bulk"
    ]
    assert changed(runfile, lambda: (qm / "deeper" / "POTCAR").write_text("Ar")) == [
        "labelers.bulk"
    ]
    assert changed(runfile, (qm / "KPOINTS").touch) == ["labelers.bulk"]
    assert changed(runfile, lambda: (qm / "KPOINTS").rename(qm / "KPTS")) == ["labelers.bulk"]
    assert changed(runfile, (qm / "KPTS").unlink) == ["labelers.bulk"]
    assert changed(runfile, (qm / "empty").mkdir) == []
    assert changed(runfile, lambda: (qm / "300.INCAR").chmod(0o400)) == []
    digests = runfile.identity()
    (tmp_path / "elsewhere").mkdir()
    qm.rename(tmp_path / "elsewhere" / "inputs")
    moved = (tmp_path / "ald.toml").read_text().replace('"qm"', '"elsewhere/inputs"')
    (tmp_path / "ald.toml").write_text(moved)
    core = EntryPoint("core", "ald_core.plugin", "ald")
    registry = Registry([core, EntryPoint("needy", "needy_plugin", "ald")])
    assert read_run_file(tmp_path / "ald.toml", registry).identity() == digests


def test_what_editors_leave_is_none(read, tmp_path):
    runfile = read()
    for name in (".300.INCAR.swp", "300.INCAR~", "deeper/.DS_Store", ".git/HEAD"):
        path = tmp_path / "qm" / name
        path.parent.mkdir(exist_ok=True)
        assert changed(runfile, path.touch) == []


def test_links_count_by_what_they_lead_to(read, tmp_path):
    runfile = read()
    (tmp_path / "POTCAR").write_text("one")
    assert changed(runfile, lambda: (tmp_path / "qm" / "POTCAR").symlink_to(tmp_path / "POTCAR"))
    assert changed(runfile, lambda: (tmp_path / "POTCAR").write_text("two")) == ["labelers.bulk"]


def test_a_folder_that_is_gone_is_a_mistake(problems, tmp_path):
    shutil.rmtree(tmp_path / "qm")
    assert problems() == [f"line 23: labelers.bulk.inputs: there is no file {tmp_path}/qm"]


def test_what_is_shown_of_a_folder_changes_with_it(read, tmp_path):
    runfile = read()
    before = runfile.values()["labelers.bulk.inputs"]
    assert before.startswith("qm (")
    (tmp_path / "qm" / "300.INCAR").write_text("ISMEAR = 1")
    assert runfile.values()["labelers.bulk.inputs"] != before
