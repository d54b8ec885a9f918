"""Jobs on a real Slurm: what they ask for arrives, and what they are called does no harm."""

import re

import pytest

from ald_core.errors import InputError
from ald_core.types import Failure, JobSpec, Resources, Task


def done(tasks):
    return [f"{task.name} done" for task in tasks]


def test_tasks_run_and_are_not_run_again(world):
    tasks = world.tasks(5)
    assert world.run(tasks) == done(tasks)
    world.check(tasks)
    assert [r["id"].isdecimal() for r in world.records("SUBMITTED")] == [True] * 5
    assert world.run(tasks[::-1]) == done(tasks[::-1])
    world.check(tasks)
    assert not list(world.study.parent.rglob("pwned"))


def test_many_tasks_in_one_job_run_at_the_same_time_and_fail_alone(world):
    marks = world.study.parent / "marks"
    marks.mkdir()
    # Each of three waits until all three are there; a job that ran them one by one would never end.
    meet = f"touch '{marks}'/$$; while [ $(ls '{marks}' | wc -l) -lt 3 ]; do sleep 0.05; done"
    tasks = [world.task(f"t {i}", meet) for i in range(3)]
    tasks += [world.task("bad", "exit 3"), world.task("last")]
    asked = Resources(tasks_per_job=5, concurrent=3)
    *good, bad, last = world.run(tasks, asked)
    assert [*good, last] == done([*tasks[:3], tasks[4]])
    assert isinstance(bad, Failure)
    assert bad.reason.startswith("no output (exit status 3)")
    assert len(world.records("INTENT")) == 2  # the pack, and the identical retry of one
    assert world.executed() == {t.name: 1 for t in tasks} | {"bad": 2}


def test_what_is_asked_for_arrives(world):
    names = (
        "NumNodes|NumTasks|CPUs/Task|TimeLimit|Partition|MinMemoryNode|Requeue|ExcNodeList|Features"
    )
    show = "scontrol -o show job $SLURM_JOB_ID >output; cp output input"
    asked = Resources(
        nodes=2, ppn=2, cores=2, concurrent=2, time="00:03:30", queue="short", memory="1GB",
        extra=("#SBATCH --comment=hello", "# a remark"), modules=("a b'c",),
        setup=('echo "$LOADED" >&2',),
    )  # fmt: skip
    module = world.study.parent / "init" / "sh"
    module.parent.mkdir()
    module.write_text('module() { LOADED="$LOADED $*"; export LOADED; }\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMOD_PKG", str(world.study.parent))
        patch.setenv("SBATCH_PARTITION", "closed")  # of a job that `ald run` would run in
        patch.setenv("SECRET", "x")
        (shown,) = world.run([world.task("t", show + "; env | grep -c SECRET >>input")], asked)
    fields = dict(re.findall(r"([\w/]+)=(\S*)", shown))
    assert {k: fields.get(k) for k in names.split("|")} == {
        "NumNodes": "2", "NumTasks": "8", "CPUs/Task": "2", "TimeLimit": "00:04:00", "Partition": "short",
        "MinMemoryNode": "1G", "Requeue": "0", "ExcNodeList": "(null)", "Features": "(null)",
    }  # fmt: skip
    assert fields["Comment"] == "hello"
    assert shown.endswith("\n0")  # no secret
    (output,) = world.study.glob("ALC-1/jobs/*/slurm.out")
    assert output.read_text() == " load a b'c\n"


def test_srun_starts_the_processes_of_each_task_also_side_by_side(world):
    def task(name):
        text = 'echo "$SLURM_NTASKS $SLURM_NNODES $1"; sleep 0.5'
        return Task(
            "label",
            name,
            name,
            lambda workdir, rung: JobSpec(("sh", "-c", text, "sh", "a 'b' $c\n;"), ("stdout",)),
            lambda workdir: (workdir / "stdout").read_text(),
        )

    tasks = [task(f"t{i}") for i in range(3)]
    asked = Resources(
        nodes=2, ppn=2, launcher="srun", launcher_options=("--quiet",), memory="600MB",
        tasks_per_job=3, concurrent=3,
    )  # fmt: skip
    assert world.run(tasks, asked) == ["4 2 a 'b' $c\n;\n" * 4] * 3
    (output,) = world.study.glob("ALC-1/jobs/*/slurm.out")
    assert output.read_text() == ""  # no step had to wait for another


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Resources(queue="no such"), r"[Ii]nvalid partition"),
        (Resources(memory="1TB"), r"[Mm]emory|node configuration is not available"),
        (Resources(constraint="x"), r"[Ii]nvalid feature"),
        (Resources(extra=("#SBATCH --array=0-9",)), r"extra: --array does not go with"),
        (Resources(extra=("#SBATCH --nonsense=3",)), r"unrecognized option '--nonsense=3'"),
    ],
    ids=lambda p: "",
)
def test_a_refusal_stops_the_stage_in_the_words_of_slurm(world, asked, words):
    tasks = world.tasks(2)
    with pytest.raises(InputError, match=words) as refusal:
        world.run(tasks, asked)
    assert "\n" not in str(refusal.value)
    assert len(world.records("VOID")) == 1
    (problem,) = world.scheduler().check_resources({"resources.label": asked})
    assert re.match(rf"resources\.label: (Slurm would refuse: )?.*({words})", problem)


def test_a_good_request_passes_the_check_and_a_dead_controller_does_not(world):
    good = {"resources.md": Resources(time="00:10:00"), "resources.fit": Resources(cores=8)}
    scheduler = world.scheduler(query_timeout=1.0)
    assert scheduler.check(["C"]) == []
    assert scheduler.check_resources(good) == []
    assert world.slurm_names() == {}
    world.slurm.stop_controller()
    (problem,) = scheduler.check_resources(good)
    assert problem.startswith("scheduler: Slurm does not answer (squeue: ")


def test_commands_that_are_missing_are_named(world, monkeypatch):
    monkeypatch.setenv("PATH", str(world.bin))
    (problem,) = world.scheduler().check(["C"])
    assert problem.startswith("sbatch, squeue, scancel cannot be found in PATH")
    with pytest.raises(InputError, match="sbatch cannot be started"):
        world.run(world.tasks(1))
