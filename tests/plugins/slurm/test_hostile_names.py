"""Names that a shell or Slurm could misunderstand: a job runs right, or is refused before it does any work."""

import gzip
import re
import subprocess
from pathlib import Path

import attrs
import pytest

from ald_core.errors import InputError, Stopped, SubmitRefused
from ald_core.options import build
from ald_core.types import Job, Resources
from ald_slurm import words

NAMES = {
    "blanks": "a  b ",
    "quotes": "a'b\"c`d",
    "shell": "a; touch pwned; $(touch pwned) | & > pwned",
    "line end": "a\ntouch pwned\n#SBATCH --hold",
    "unicode": "Übergangsmetall 碳 \u202e",
    "dash": "--hold",
    "percent": "%j%A%%",
    "long": "x" * 3000,
    "bars": "a|RUNNING|None|n1|ald-0-label-1-1",
}
WORDS = ("queue", "account", "qos", "constraint", "mail")


@pytest.fixture(params=NAMES.values(), ids=NAMES.keys())
def name(request):
    return request.param


def test_in_names_of_tasks(world, name):
    tasks = [world.task(name.replace("\n", " "))]
    assert world.run(tasks) == [" ".join(f"{tasks[0].name} done".split("\n")).strip()]
    world.check(tasks)
    assert not list(world.study.parent.rglob("pwned"))


def test_in_names_of_modules(world, name):
    """`module` sees one argument, whatever is in it."""
    module = world.study.parent / "init" / "sh"
    module.parent.mkdir()
    module.write_text(
        "module() { [ $# = 2 ] || return 1; LOADED=$2; export LOADED; }\n", encoding="utf-8"
    )
    made, problems = build(Resources, {"modules": [name]}, "resources", Path())
    if problems:
        assert re.match(r"resources\.modules: .* cannot stand for modules: one line", problems[0])
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMOD_PKG", str(world.study.parent))
        result = world.run([world.task("t", 'printf %s "$LOADED" >input')], made)
    assert result == [name.strip()]
    assert not list(world.study.parent.rglob("pwned"))


def attempt(world, asked):
    """The result of a task, or the words of the refusal, after which nothing was executed."""
    try:
        (result,) = world.run([world.task("t")], asked)
    except InputError as error:
        result = str(error)
    assert "\n" not in result
    assert world.executed() == ({"t": 1} if result == "t done" else {})
    assert result == "t done" or "refuses" in result
    assert not list(world.study.parent.rglob("pwned"))
    return result


@pytest.mark.parametrize("field", WORDS)
def test_in_what_is_asked_of_slurm(world, name, field):
    """Such accounts are taken by a Slurm without accounting; the rest it refuses, or the run file did."""
    made, problems = build(Resources, {field: name, "time": "1"}, "resources", Path())
    if problems:
        assert problems[0].startswith(f"resources.{field}: ")
        assert "\n" not in problems[0]
        return
    (problem, *_) = world.scheduler().check_resources({"resources.label": made}) or [""]
    assert "\n" not in problem
    assert bool(problem) == (attempt(world, made) != "t done")


def test_in_lines_for_slurm(world, name):
    line = f"#SBATCH --comment={name}"
    made, problems = build(Resources, {"extra": [line]}, "resources", Path())
    if problems:
        assert "is no line for a scheduler" in problems[0]
        return
    attempt(world, made)


@pytest.mark.parametrize("length", [1500, 4200])
def test_in_the_path_of_a_study(world, length):
    """What no file system can hold stops with a sentence, and nothing is submitted."""
    study = world.study
    while len(str(study)) < length:
        study /= "y" * 200
    deep = attrs.evolve(world, study=study)
    tasks = deep.tasks(2)
    if length > 4096:
        with pytest.raises(Stopped, match="File name too long"):
            deep.run(tasks)
    else:
        assert deep.run(tasks) == ["frame 0 done", "frame 1 done"]
        deep.check(tasks)


def test_every_state_that_squeue_knows_is_mapped(slurm):
    """Those that the program itself names, and those of its manual page where that is installed."""
    said = (
        slurm.run("squeue", "--states=nonsense", check=False)
        or subprocess.run(
            ["squeue", "--states=nonsense"], capture_output=True, text=True, check=False
        ).stderr
    )
    known = said.partition("include:")[2].strip().split(",")
    assert len(known) > 20
    page = Path("/usr/share/man/man1/squeue.1.gz")
    if page.is_file():
        text = gzip.decompress(page.read_bytes()).decode()
        codes = text.partition('.SH "JOB STATE CODES"')[2].partition("\n.SH")[0]
        documented = re.findall(r"^\\fB[A-Z]+ +([A-Z_]+)\\fR", codes, re.MULTILINE)
        assert len(documented) > 20
        known += documented
    for state in known:
        assert words.status("1", state, "None", "").state != "unknown", state


USERS = {
    "SQUEUE_FORMAT": "%i", "SQUEUE_FORMAT2": "jobid", "SQUEUE_STATES": "FAILED", "SQUEUE_PARTITION": "closed",
    "SQUEUE_USERS": "nobody", "SQUEUE_NAMES": "x", "SQUEUE_ARRAY": "1", "SLURM_TIME_FORMAT": "%d.%m.",
    "SLURM_CLUSTERS": "far", "SBATCH_CLUSTERS": "far", "SACCT_FORMAT": "jobid", "SBATCH_HOLD": "1",
    "SBATCH_TEST_ONLY": "1", "SBATCH_ARRAY_INX": "0-3", "SCANCEL_STATE": "PENDING", "LC_ALL": "de_DE.UTF-8",
    "LANGUAGE": "de",
}  # fmt: skip


def test_what_the_user_has_set_for_slurm_changes_no_answer(world):
    tasks = world.tasks(2)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in USERS.items():
            patch.setenv(variable, value)
        assert world.run(tasks) == ["frame 0 done", "frame 1 done"]
    world.check(tasks)


LINES = (
    "--comment=a  b", "--comment=a'b", "--nonsense", "-n", "--ntasks=-1", "--nodes=a", "--time=xx", "--mail-type=x",
    "--gres=gpu:x:2", "--dependency=x:1", "--licenses=x", "--reservation=x", "--nodelist=zz", "--priority=-1",
    "--nice=9999999999", "--hint=x", "--threads-per-core=x", "--profile=x", "--begin=xx",
)  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_lines_that_slurm_cannot_read_are_refused_in_its_words(world, line):
    """And not taken for an answer that was lost."""
    job = Job(f"ald-{world.run_id}-x", world.bin, world.bin / "job.sh", Resources())
    job.script.write_text(f"#!/bin/sh\n#SBATCH {line}\ntrue\n")
    with pytest.raises(SubmitRefused) as refusal:
        world.scheduler().submit(job)
    assert not refusal.value.retry_later
    assert len(str(refusal.value)) > 10
    assert not world.slurm_names()
