"""The folder of a run: inputs that are outputs, leftovers, resuming, stopping, a disk that is full."""

import os
import re
import resource
import signal
import subprocess
import sys
import time

import attrs
import pytest
import typer
from typer.testing import CliRunner

from ald_chimes_md import commands, loop, restart
from ald_chimes_md import run as run_module
from ald_chimes_md.checkpoint import CHECKPOINT
from ald_chimes_md.control import read_control
from ald_chimes_md.keywords import with_values
from ald_chimes_md.outputs import Outputs
from ald_chimes_md.preparation import prepare
from ald_chimes_md.replacement import reason, replace_file
from ald_chimes_md.restart import BACKUP, RESTART, RestartFiles
from ald_chimes_md.run import main
from ald_chimes_md.run_folder import START
from ald_core.errors import InputError, Stopped

VALUES = {
    "PRESSUR": 2.0, "FRQRSTR": 10, "TEMPERA": 900, "TIMESTP": 0.4, "CONSRNT": "NPT-MTK HOOVER 5 20",
}  # fmt: skip
CONTINUED = {"VELINIT": "RESTART", "CRDFILE": RESTART, "N_MDSTP": 60, **VALUES}
INPUTS = {"params.txt", "box.xyz", "run_md.in"}


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def untimed(result):
    return attrs.evolve(result, seconds_per_step=0.0)


@pytest.fixture
def call(tmp_path):
    """Run the command in the folder of `fluid`."""

    def start(*arguments, folder="run"):
        app = typer.Typer()
        app.add_typer(commands.app)
        words = ["chimes", "md", str(tmp_path / folder / "run_md.in"), *arguments]
        return CliRunner().invoke(app, words)

    return start


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("traj.xyz", {"TRAJEXT": "XYZ"}),
        ("./traj.xyz", {"TRAJEXT": "XYZ"}),
        ("traj.gen", {}),
        ("forceout.xyzf", {"PRNTFRC": "true 5"}),
        ("traj_bad_r.lt.rin.xyz", {}),
        ("md_statistics.out", {}),
        ("dftbplus_data.dat", {"FORDFTB": "true"}),
        ("md.json", {}),
        ("restart.xyzv.new", {}),
    ],
)
@pytest.mark.parametrize("key", ["CRDFILE", "PRMFILE"])
def test_files_of_the_user_are_not_written_over(fluid, fluid_text, tmp_path, key, name, values):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "output.xyz").write_text("of an earlier run")
    text = fluid_text.box if key == "CRDFILE" else fluid_text.neutral
    said = f"{key} is a file that this run writes, {name.removeprefix('./')}; give the input"
    with pytest.raises(InputError, match=re.escape(said)):
        fluid({name: text}, **{key: name}, **values)
    left = contents(tmp_path / "run")
    assert set(left) == INPUTS | {name.removeprefix("./"), "output.xyz"}
    assert left[name.removeprefix("./")].decode() == text


def test_links_to_files_of_the_user_are_noticed(fluid, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "traj.gen").symlink_to("box.xyz")
    with pytest.raises(InputError, match=r"this run writes, traj\.gen"):
        fluid()


def test_a_subtraction_does_not_replace_what_it_reads(fluid):
    name = "box.xyz_forces_subtracted.xyz"
    with pytest.raises(InputError, match="SUBTFRC is a file that this run writes"):
        fluid({name: "0.0\n" * 72}, SUBTFRC=f"true {name}")
    assert fluid({name: "0.0\n" * 72}, CMPRFRC=f"true {name}").errors is not None


@pytest.mark.parametrize("name", ["output.xyz", "restart.xyzv", "restart.bak", "traj.xyz"])
def test_some_outputs_may_be_inputs(fluid, fluid_text, tmp_path, name):
    assert fluid({name: fluid_text.box}, CRDFILE=name, N_MDSTP=5).stable
    kept = (tmp_path / "run" / name).read_text() == fluid_text.box
    assert kept == (name != "output.xyz")
    assert not (tmp_path / "run" / START).exists()


def test_nothing_of_an_earlier_run_is_left(fluid, tmp_path):
    everything = {
        "FORDFTB": "true", "PRNTFRC": "true 1", "PRNTVEL": "true 1", "PRNTBAD": "true",
        "TRAJEXT": "XYZF_FORCE",
    }  # fmt: skip
    fluid(**{**VALUES, **everything}, N_MDSTP=30)
    assert main([str(tmp_path / "run" / "run_md.in")]) == 0
    fluid(**VALUES, N_MDSTP=30, last_step=15)
    (tmp_path / "run" / "own.txt").write_text("of the user")
    (tmp_path / "run" / "traj.xyz").write_text("of an earlier run")
    early = fluid(**{**VALUES, "CONSRNT": "NVE", "TIMESTP": 30.0}, N_MDSTP=30)
    assert not early.stable
    assert early.steps_done < 10  # too early for a restart file
    left = set(contents(tmp_path / "run")) - INPUTS
    assert left == {
        "md_statistics.out", "traj.gen", "traj_bad_r.ge.rin+dp_dftbfrq.xyz",
        "traj_bad_r.lt.rin+dp.xyz", "traj_bad_r.lt.rin.xyz", "traj_bad.index", "own.txt",
    }  # fmt: skip


def test_a_refused_run_and_a_comparison_leave_everything(fluid, tmp_path):
    fluid(**VALUES, N_MDSTP=30)
    before = contents(tmp_path / "run")
    with pytest.raises(InputError):
        fluid(**VALUES, N_MDSTP=30, CRDFILE="missing.xyz")
    with pytest.raises(InputError, match=rf"{RESTART} with VELINIT RESTART and CRDFILE {RESTART}"):
        fluid(**VALUES, N_MDSTP=30, resume=True)
    fluid({"f.txt": "0.0\n" * 72}, **VALUES, N_MDSTP=30, CMPRFRC="true f.txt")
    after = contents(tmp_path / "run")
    for name in set(before) - INPUTS:
        assert after[name] == before[name]


@pytest.mark.parametrize("start", [RESTART, BACKUP])
def test_a_restarted_run_that_was_killed_is_resumed(fluid, tmp_path, start):
    values = {**CONTINUED, "CRDFILE": start}
    for folder in ("whole", "parts"):
        fluid(folder=folder, N_MDSTP=20, **VALUES)
    whole = fluid(folder="whole", **values)
    begun = (tmp_path / "parts" / start).read_bytes()
    fluid(folder="parts", last_step=35, **values)
    assert (tmp_path / "parts" / START).read_bytes() == begun
    assert (tmp_path / "parts" / RESTART).read_bytes() != begun
    parts = fluid(folder="parts", resume=True, **values)
    assert untimed(parts) == untimed(whole)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert not (tmp_path / "parts" / START).exists()


KILLED = """
import os, sys
from pathlib import Path
from ald_chimes_md import run
from ald_chimes_md.outputs import Outputs

run.SECONDS_PER_CHECKPOINT = -1.0
run.Loop.advance = lambda self, end, advance=run.Loop.advance: (setattr(self, "_stretch", 7), advance(self, end))[1]
write, calls = Outputs.write, []

def die(self, buffers):
    write(self, buffers)
    calls.append(1)
    if len(calls) == 5:
        for file in self._files.values():
            file.flush()
        os.kill(os.getpid(), 9)

Outputs.write = die
run.run_file(Path(sys.argv[1]))
"""


def test_a_restarted_run_after_kill_9(fluid, call, tmp_path):
    for folder in ("whole", "run"):
        fluid(folder=folder, N_MDSTP=20, **VALUES)
    for folder in ("whole", "run"):
        control = (tmp_path / folder / "run_md.in").read_text().replace("\t20\n", "\t60\n")
        control = control.replace("GEN", "RESTART").replace("box.xyz", RESTART)
        (tmp_path / folder / "run_md.in").write_text(control)
    assert call(folder="whole").exit_code == 0
    words = [sys.executable, "-c", KILLED, str(tmp_path / "run" / "run_md.in")]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert (tmp_path / "run" / CHECKPOINT).exists()
    shown = call("--resume")
    assert shown.exit_code == 0
    assert shown.output.splitlines()[-1] == "Completed 60 steps"
    left, right = contents(tmp_path / "run"), contents(tmp_path / "whole")
    assert left.pop("md_timing.json") != right.pop("md_timing.json")
    assert left == right


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_a_checkpoint_and_says_how_to_go_on(
    fluid, call, tmp_path, monkeypatch, number
):
    values = {**VALUES, "N_MDSTP": 40}
    for folder in ("run", "whole"):
        fluid(folder=folder, **values)
    assert call(folder="whole").exit_code == 0
    monkeypatch.setattr(loop, "SECONDS_PER_STRETCH", 0.0)

    def tell(self, rows, penalties):
        del penalties
        if len(rows) and rows[-1, 0] == 13:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as context:
        context.setattr(commands._Screen, "tell", tell)
        shown = call()
    path = tmp_path / "run" / "run_md.in"
    assert isinstance(shown.exception, Stopped)
    said = f"stopped on request after step 13; go on with `ald chimes md {path} --resume`"
    assert str(shown.exception) == said
    assert (tmp_path / "run" / CHECKPOINT).exists()
    assert not (tmp_path / "run" / "md.json").exists()
    assert call("--resume").exit_code == 0
    left, right = contents(tmp_path / "run"), contents(tmp_path / "whole")
    for one in (left, right):
        one.pop("md_timing.json")
    assert left == right


def test_a_job_that_the_scheduler_ends_goes_on_from_its_checkpoint(fluid, tmp_path):
    values = {
        "N_MDSTP": 20_000, "FRQENER": 500, "FRQDFTB": 500, "PRNTBAD": "true", "TIMESTP": 0.2,
        "CONSRNT": "NVT-MTK HOOVER 5", "FRQRSTR": 200,
    }  # fmt: skip
    for folder in ("run", "whole"):
        fluid(folder=folder, **{**values, "N_MDSTP": 1})
        control = (tmp_path / folder / "run_md.in").read_text()
        (tmp_path / folder / "run_md.in").write_text(with_values(control, values))
    words = [sys.executable, "-m", "ald_chimes_md.run", "run_md.in"]
    subprocess.run(words, cwd=tmp_path / "whole", check=True)

    place = tmp_path / "run"
    with subprocess.Popen(words, cwd=place, stderr=subprocess.PIPE, text=True) as job:
        while not (place / RESTART).exists():
            assert job.poll() is None
            time.sleep(0.01)
        job.terminate()
        said = job.communicate()[1]
    assert job.returncode == 143  # as of a program that did not catch it
    found = re.fullmatch(
        r"stopped on request after step (\d+); --resume goes on from a checkpoint\n", said
    )
    assert found
    assert 200 <= int(found[1]) < 20_000
    assert (place / CHECKPOINT).exists()
    assert not (place / "md.json").exists()
    subprocess.run([*words, "--resume"], cwd=place, check=True)
    left, right = contents(place), contents(tmp_path / "whole")
    for one in (left, right):
        one.pop("md_timing.json")
    assert left == right


def test_a_second_signal_stops_at_once(fluid, call, tmp_path, monkeypatch):
    fluid(N_MDSTP=5)

    def tell(self, rows, penalties):
        del self, rows, penalties
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(commands._Screen, "tell", tell)
    said = str(call().exception)
    assert said == (
        f"stopped at once; start again with `ald chimes md {tmp_path / 'run' / 'run_md.in'}`"
    )


def test_a_signal_during_the_last_steps_changes_nothing(fluid, call, tmp_path, monkeypatch):
    fluid(N_MDSTP=1)
    tell = commands._Screen.tell

    def signalled(self, rows, penalties):
        tell(self, rows, penalties)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(commands._Screen, "tell", signalled)
    shown = call()
    assert shown.exit_code == 0
    assert shown.output.splitlines()[-1] == "Completed 1 steps"


def test_the_first_checkpoint_comes_after_seconds(fluid, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(run_module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(loop, "SECONDS_PER_STRETCH", 0.0)
    saved = []
    save = run_module.save_checkpoint
    monkeypatch.setattr(
        run_module, "save_checkpoint", lambda *words: (saved.append(clock[0]), save(*words))
    )

    def report(rows, penalties):
        del rows, penalties
        clock[0] += 2.0

    fluid(N_MDSTP=70, report=report)
    assert saved == [4.0, 66.0, 128.0]


@pytest.fixture
def small_files(fluid):
    """No file can grow beyond 20 kB, as if the disk was full."""
    fluid(folder="compiled", N_MDSTP=1)  # Numba's cache needs larger ones.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_with_the_name_of_the_file(fluid, call, tmp_path, small_files):
    del small_files
    with pytest.raises(OSError, match="too large") as caught:
        fluid(N_MDSTP=100)
    assert reason(caught.value) == f"{tmp_path / 'run' / 'traj.gen'}: File too large"
    path = tmp_path / "run" / "run_md.in"
    said = str(call().exception)
    assert said == (
        f"{tmp_path / 'run' / 'traj.gen'}: File too large; put it right, then start again with "
        f"`ald chimes md {path}`"
    )
    assert main([str(path)]) == 3


def test_a_disk_that_is_full_at_the_end_is_told_with_the_name_of_the_file(fluid, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "velocout.txt").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        fluid(PRNTVEL="true", N_MDSTP=1)
    assert caught.value.filename == str(tmp_path / "run" / "velocout.txt")


def test_outputs_that_cannot_be_closed_are_told(fluid, tmp_path):
    fluid(N_MDSTP=1)
    folder = tmp_path / "run"
    control = read_control(folder / "run_md.in")
    prepared = prepare(control, folder)
    (folder / "md_statistics.out").unlink()
    (folder / "md_statistics.out").symlink_to("/dev/full")
    with (
        pytest.raises(OSError, match="No space left") as caught,
        Outputs(folder, control, prepared.system, prepared.type_names),
    ):
        pass
    assert caught.value.filename == str(folder / "md_statistics.out")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, small_files):
    del small_files
    path = tmp_path / "a.txt"
    replace_file(path, b"old")
    with pytest.raises(OSError, match="too large") as caught:
        replace_file(path, b"x" * 30_000)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.glob("a.*")] == ["a.txt"]
    replace_file(path, b"new", durable=False)
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.glob("a.*")] == ["a.txt"]


def text_of(step):
    return f"1\n9 9 9\nC 0 0 0 0 0 0 0 0 0\n{step + 1}\n".encode()


def test_restart_files_are_durable_and_never_missing(tmp_path, monkeypatch):
    clock, events = [0.0], []
    monkeypatch.setattr(restart.time, "monotonic", lambda: clock[0])
    fsync, replace = os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", lambda file: (events.append("fsync"), fsync(file)))

    def replaced(self, target):
        existed = (tmp_path / RESTART).exists()
        replace(self, target)
        assert (tmp_path / RESTART).exists() or not existed
        events.append(target.name)

    monkeypatch.setattr(type(tmp_path), "replace", replaced)
    files = RestartFiles(tmp_path)
    files.keep(10, text_of(10))
    assert events == ["fsync", RESTART, "fsync"]
    # Within the same second nothing goes to the disk.
    for step in (20, 30, 40):
        files.keep(step, text_of(step))
    assert contents(tmp_path) == {RESTART: text_of(10)}
    files.write()
    assert contents(tmp_path) == {RESTART: text_of(40), BACKUP: text_of(30)}
    assert events[3:] == ["fsync", BACKUP, "fsync", "fsync", RESTART, "fsync"]
    clock[0] = 1.5
    files.keep(50, text_of(50))
    assert contents(tmp_path) == {RESTART: text_of(50), BACKUP: text_of(40)}
    files.write()
    assert contents(tmp_path) == {RESTART: text_of(50), BACKUP: text_of(40)}
    # What a killed run left of a later step is no backup of an earlier one.
    clock[0] = 3.0
    files.keep(45, text_of(45))
    assert contents(tmp_path) == {RESTART: text_of(45), BACKUP: text_of(40)}


def test_a_pause_leaves_the_last_restart_file(fluid, tmp_path):
    fluid(folder="short", N_MDSTP=45, **VALUES)
    fluid(folder="paused", N_MDSTP=60, last_step=45, **VALUES)
    short, paused = (contents(tmp_path / folder) for folder in ("short", "paused"))
    assert [short[n] for n in (RESTART, BACKUP)] == [paused[n] for n in (RESTART, BACKUP)]


def test_the_time_of_writing_does_not_show_in_the_restart_files(fluid, tmp_path, monkeypatch):
    fluid(folder="seldom", N_MDSTP=45, **VALUES)
    monkeypatch.setattr(restart, "SECONDS_PER_RESTART", 0.0)
    fluid(folder="often", N_MDSTP=45, **VALUES)
    assert contents(tmp_path / "seldom") == contents(tmp_path / "often")
