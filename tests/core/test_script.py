import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from ald_core import durable, script
from ald_core.errors import PluginError
from ald_core.types import JobSpec, Resources

NAME = "ald-0a1b-label-0123456789ab-1"
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


def make(folder: Path, specs: Sequence[JobSpec], resources: Resources | None = None) -> list[Path]:
    """A job folder with a task folder per spec."""
    tasks = [(f"{i:03d}-t", spec) for i, spec in enumerate(specs)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, _ in tasks:
        (folder / name).mkdir()
    (folder / "job.sh").write_bytes(
        script.job_script(NAME, folder, tasks, resources or Resources())
    )
    return [folder / name for name, _ in tasks]


def run(folder: Path, shell: str = "sh") -> int:
    command = [shell, "sh"] if shell == "busybox" else [shell]
    with (folder / "job.out").open("ab") as log:
        done = subprocess.run(
            [*command, str(folder / "job.sh")], cwd="/", stdout=log, stderr=log, check=False
        )
    return done.returncode


def sh(text: str, *outputs: str, **environment: str) -> JobSpec:
    return JobSpec(("sh", "-c", text), outputs, environment)


@pytest.mark.parametrize("shell", SHELLS)
def test_tasks_run_in_their_folders_and_report(tmp_path: Path, shell: str) -> None:
    folder = tmp_path / "job"
    good, bad, killed = make(
        folder,
        [
            sh("echo 1 >a; mkdir s; printf 22 >s/b; echo out; echo err >&2", "a", "s/b", "none"),
            sh("cat; exit 3", "stdout"),
            sh("kill -9 $$", "x"),
        ],
    )
    assert run(folder, shell) == 0
    holder = script.read_claim(folder)
    assert holder is not None
    assert script.read_job_exit(folder, NAME, holder) == 0
    report = script.read_task_exit(good, holder)
    digests = [(hashlib.sha256(d).hexdigest(), len(d)) for d in (b"1\n", b"22")]
    assert report == script.TaskExit(0, (*digests, None))
    assert (good / "stdout").read_text() == "out\n"
    assert (good / "stderr").read_text() == "err\n"
    empty = (hashlib.sha256().hexdigest(), 0)
    assert script.read_task_exit(bad, holder) == script.TaskExit(3, (empty,))
    assert script.read_task_exit(killed, holder) == script.TaskExit(137, (None,))
    left = {p.name for p in folder.iterdir()}
    assert left == {"000-t", "001-t", "002-t", "claim", "job.exit", "job.out", "job.sh"}


@pytest.mark.parametrize("shell", SHELLS)
def test_second_start_exits_76_and_does_nothing(tmp_path: Path, shell: str) -> None:
    folder = tmp_path / "job"
    ledger = tmp_path / "ledger"
    make(folder, [sh(f"echo x >>{ledger}", "a")])
    assert run(folder, shell) == 0
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert run(folder, shell) == 76
    assert ledger.read_text() == "x\n"
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_starts_at_the_same_moment_work_once(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    ledger = tmp_path / "ledger"
    make(folder, [sh(f"echo x >>{ledger}", "a")])
    command = ["sh", str(folder / "job.sh")]
    processes = [subprocess.Popen(command, cwd="/") for _ in range(8)]
    assert sorted(p.wait() for p in processes) == [0] + [76] * 7
    assert ledger.read_text() == "x\n"


def test_a_voided_job_never_works(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    (task,) = make(folder, [sh("echo 1 >a", "a")])
    assert durable.claim(folder / "claim", b"void host 1\n")
    assert run(folder) == 76
    assert list(task.iterdir()) == []


HOSTILE = [
    "plain",
    "a blank",
    "quote ' and \" quote",
    "$(touch pwned) `touch pwned`",
    "new\nline",
    "-n",
    "",
    "*",
    "back\\slash",
    "${IFS};&|<>",
    "é\udcff",
    "trailing\n",
]


@pytest.mark.parametrize("shell", SHELLS)
def test_hostile_words_arrive_as_they_are(tmp_path: Path, shell: str) -> None:
    folder = tmp_path / "a 'blank' $(touch pwned) \n `x`"
    outputs = ["o ut", "o'ut", "$(touch pwned)", "new\nline", "*", "\\"]
    text = 'for f in "$@"; do printf "%s\\0" "$f"; done; printf "%s\\0" "$V"; '
    text += "".join(f"echo {i} >{_quoted(o)};" for i, o in enumerate(outputs))
    spec = JobSpec(
        ("sh", "-c", text, "sh", *HOSTILE), tuple(outputs), {"V": "a 'b' $(touch pwned)\n"}
    )
    (task,) = make(folder, [spec])
    assert run(folder, shell) == 0
    words = (task / "stdout").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    assert words[:-1] == [*HOSTILE, "a 'b' $(touch pwned)\n"]
    holder = script.read_claim(folder)
    assert holder is not None
    report = script.read_task_exit(task, holder)
    assert report is not None
    assert [seen and seen[1] for seen in report.outputs] == [2] * len(outputs)
    assert script.outputs_agree(task, outputs, report)
    assert not list(tmp_path.rglob("pwned"))


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec((), ()),
        JobSpec(("",), ()),
        JobSpec(("-c",), ()),
        JobSpec(("a", "\0"), ()),
        JobSpec(("a",), ("../b",)),
        JobSpec(("a",), ("/etc/b",)),
        JobSpec(("a",), ("b/../../c",)),
        JobSpec(("a",), ("",)),
        JobSpec(("a",), ("-f",)),
        JobSpec(("a",), (), {"A B": "c"}),
        JobSpec(("a",), (), {"A;x": "c"}),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, spec: JobSpec) -> None:
    with pytest.raises(PluginError):
        script.job_script(NAME, tmp_path, [("t", spec)], Resources())


def test_threads_follow_the_cores_and_a_task_may_differ(tmp_path: Path) -> None:
    show = "echo $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS $MKL_NUM_THREADS $NUMBA_NUM_THREADS"
    first, second = make(
        tmp_path / "job", [sh(show), sh(show, OMP_NUM_THREADS="1")], Resources(cores=3)
    )
    assert run(tmp_path / "job") == 0
    assert (first / "stdout").read_text() == "3 3 3 3\n"
    assert (second / "stdout").read_text() == "1 3 3 3\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_setup_lines_prepare_the_tasks(tmp_path: Path, shell: str) -> None:
    lines = (
        "export A=1  # a comment",
        "for i in 1 2; do\n  B=$B$i\ndone",
        "export B",
        "cd /; umask 077; set -eu; IFS=x",
        "# only a comment",
        "",
    )
    (task,) = make(tmp_path / "job", [sh("echo $A $B", "stdout")], Resources(setup=lines))
    assert run(tmp_path / "job", shell) == 0
    assert (task / "stdout").read_text() == "1 12\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("line", ["false", "no-such-module load x", "exit 0", "cd /nowhere # x"])
def test_a_failing_setup_line_is_reported_as_such(tmp_path: Path, shell: str, line: str) -> None:
    folder = tmp_path / "job"
    (task,) = make(folder, [sh("echo 1", "stdout")], Resources(setup=("true", line, "true")))
    assert run(folder, shell) == 77
    holder = script.read_claim(folder)
    assert holder is not None
    assert script.read_job_exit(folder, NAME, holder) == script.SETUP_FAILED
    assert list(task.iterdir()) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_missing_program_says_so_in_stderr(tmp_path: Path, shell: str) -> None:
    (task,) = make(tmp_path / "job", [JobSpec(("no-such-program",), ("a",))])
    assert run(tmp_path / "job", shell) == 0
    holder = script.read_claim(tmp_path / "job")
    assert holder is not None
    assert script.read_task_exit(task, holder) == script.TaskExit(127, (None,))
    assert "no-such-program" in (task / "stderr").read_text()


def test_reports_cut_anywhere_or_of_others_are_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    (task,) = make(folder, [sh("echo 1 >a", "a")])
    assert run(folder) == 0
    holder = script.read_claim(folder)
    assert holder is not None
    for path, read in (
        (task / "task.exit", lambda: script.read_task_exit(task, holder)),
        (folder / "job.exit", lambda: script.read_job_exit(folder, NAME, holder)),
    ):
        whole = path.read_bytes()
        assert read() is not None
        for cut in range(len(whole)):
            path.write_bytes(whole[:cut])
            assert read() is None
        path.write_bytes(whole)
    assert script.read_task_exit(task, holder + "x") is None
    assert script.read_job_exit(folder, NAME, holder + "x") is None
    assert script.read_job_exit(folder, NAME[:-1] + "2", holder) is None


def test_outputs_must_be_those_of_the_report(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    (task,) = make(folder, [sh("echo 1 >a", "a", "b")])
    assert run(folder) == 0
    report = script.read_task_exit(task, script.read_claim(folder) or "")
    assert report is not None
    assert script.outputs_agree(task, ("a", "b"), report)
    assert not script.outputs_agree(task, ("a",), report)
    for content in ("2\n", "1", ""):
        (task / "a").write_text(content)
        assert not script.outputs_agree(task, ("a", "b"), report)
    (task / "a").unlink()
    assert not script.outputs_agree(task, ("a", "b"), report)


# ---------------------------------------------------------------- several tasks at the same time


@pytest.mark.parametrize("shell", SHELLS)
def test_so_many_tasks_run_at_the_same_time_and_no_more(tmp_path: Path, shell: str) -> None:
    folder, log = tmp_path / "job", tmp_path / "log"
    text = f'echo + >>"{log}"; sleep 0.15; echo - >>"{log}"; echo $0 >a'
    tasks = make(folder, [sh(text, "a")] * 7, Resources(tasks_per_job=7, concurrent=3))
    assert run(folder, shell) == 0
    running, most = 0, 0
    for line in log.read_text().splitlines():
        running += 1 if line == "+" else -1
        most = max(most, running)
    assert (most, running) == (3, 0)
    holder = script.read_claim(folder)
    assert holder is not None
    assert script.read_job_exit(folder, NAME, holder) == 0
    for task in tasks:
        report = script.read_task_exit(task, holder)
        assert report is not None
        assert report.status == 0
        assert script.outputs_agree(task, ("a",), report)
    assert not list(folder.glob(".begun*"))


def test_a_lane_that_dies_takes_no_other_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    bad, *good = make(
        folder,
        [sh("kill -9 $PPID"), *[sh("sleep 0.1; echo 1 >a", "a")] * 3],
        Resources(concurrent=2),
    )
    assert run(folder) == 0
    holder = script.read_claim(folder)
    assert holder is not None
    assert script.read_job_exit(folder, NAME, holder) == 0
    assert script.read_task_exit(bad, holder) is None
    assert all(script.read_task_exit(task, holder) for task in good)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_request_to_end_goes_on_to_the_programs_and_nothing_is_reported(
    tmp_path: Path, shell: str
) -> None:
    folder = tmp_path / "job"
    text = "trap 'echo ended >end; exit 0' TERM; echo 1 >begun; sleep 30 & wait"
    tasks = make(folder, [sh(text, "end")] * 3, Resources(concurrent=2))
    command = [shell, "sh"] if shell == "busybox" else [shell]
    process = subprocess.Popen([*command, str(folder / "job.sh")], cwd="/", start_new_session=True)
    while not all((task / "begun").exists() for task in tasks[:2]):
        time.sleep(0.01)
    process.terminate()
    assert process.wait(10) == 143
    assert [(task / "end").exists() for task in tasks] == [True, True, False]
    assert not list(folder.rglob("*.exit"))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


# ---------------------------------------------------------------- launchers, modules, lines for the scheduler


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (Resources(nodes=2, ppn=3), []),
        (
            Resources(nodes=2, ppn=3, cores=4, launcher="srun", launcher_options=("--mpi=a b",)),
            ["srun", "--nodes=2", "--ntasks=6", "--ntasks-per-node=3", "--cpus-per-task=4", "--mpi=a b"],
        ),
        (
            Resources(launcher="srun", concurrent=4, memory="2GB"),
            ["srun", "--nodes=1", "--ntasks=1", "--ntasks-per-node=1", "--cpus-per-task=1", "--exact", "--mem=512M"],
        ),
        (
            Resources(nodes=2, ppn=3, launcher="mpirun", launcher_options=("--map-by", "ppr:1:node")),
            ["mpirun", "-np", "6", "--map-by", "ppr:1:node"],
        ),
        (Resources(nodes=2, ppn=3, launcher="ibrun"), ["ibrun", "-n", "6", "-o", "0"]),
    ],
    ids=["none", "srun", "shared", "mpirun", "ibrun"],
)  # fmt: skip
def test_launchers_stand_before_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resources: Resources, words: list[str]
) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in ("srun", "mpirun", "ibrun"):
        launcher = bin_folder / name
        launcher.write_text('#!/bin/sh\nprintf "%s\\n" "${0##*/}" "$@"\n')
        launcher.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    spec = JobSpec(("echo", "a 'b'\n$c"), ("stdout",))
    (task,) = make(tmp_path / "job", [spec], resources)
    assert run(tmp_path / "job") == 0
    expected = [*words, *(["echo"] if words else []), "a 'b'\n$c"]
    assert (task / "stdout").read_text() == "\n".join(expected) + "\n"
    # A single process has none.
    (task,) = make(tmp_path / "serial", [attrs.evolve(spec, serial=True)], resources)
    assert run(tmp_path / "serial") == 0
    assert (task / "stdout").read_text() == "a 'b'\n$c\n"


def test_ibrun_gives_each_of_several_tasks_its_own_processes(tmp_path: Path) -> None:
    asked = Resources(ppn=4, launcher="ibrun", concurrent=3)
    folder = tmp_path / "job"
    make(folder, [sh(":")] * 5, asked)
    text = (folder / "job.sh").read_text()
    assert re.findall(r"^ald_offset=(\d+)$", text, re.MULTILINE) == ["0", "4", "8"]


@pytest.mark.parametrize("shell", SHELLS)
def test_modules_are_loaded_and_a_missing_one_stops_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    init = tmp_path / "init" / "sh"
    init.parent.mkdir()
    init.write_text(
        'module() { [ "$2" = missing ] && { echo no such module >&2; return 1; }\nM="$M<$*>"; export M; }\n'
    )
    monkeypatch.setenv("MODULESHOME", str(tmp_path))
    names = ("intel/2023", "a 'b' $(touch pwned);\"x\"")
    (task,) = make(tmp_path / "job", [sh("echo $M", "stdout")], Resources(modules=names))
    assert run(tmp_path / "job", shell) == 0
    assert (task / "stdout").read_text() == "".join(f"<load {name}>" for name in names) + "\n"
    make(tmp_path / "bad", [sh(":")], Resources(modules=("missing",)))
    assert run(tmp_path / "bad", shell) == 77
    assert "no such module" in (tmp_path / "bad" / "job.out").read_text()
    assert not list(tmp_path.rglob("pwned"))


def test_lines_for_the_scheduler_stand_where_it_looks_for_them(tmp_path: Path) -> None:
    make(tmp_path / "job", [sh(":")], Resources(extra=("#SBATCH --gres=gpu:a100:2", "# x")))
    lines = (tmp_path / "job" / "job.sh").read_text().splitlines()
    assert lines[:3] == ["#!/bin/sh", "#SBATCH --gres=gpu:a100:2", "# x"]
