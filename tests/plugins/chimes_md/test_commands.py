"""The command `ald chimes md`."""

import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ald_chimes_md import commands
from ald_chimes_md.plugin import ald_commands
from ald_core.errors import InputError, Stopped

DATA = Path(__file__).parents[2] / "data" / "chimes_md"


@pytest.fixture
def call(tmp_path):
    """Run the command on the box of `fluid`; returns what typer's runner does."""

    def start(*arguments):
        app = typer.Typer()
        app.add_typer(commands.app)
        words = ["chimes", "md", str(tmp_path / "run" / "run_md.in"), *arguments]
        return CliRunner().invoke(app, words)

    return start


def test_the_plugin_offers_the_group():
    (group,) = ald_commands()
    assert group.info.name == "chimes"


def test_statistics_and_averages_are_shown(fluid, call, tmp_path):
    result = fluid(N_MDSTP=5)
    shown = call()
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[0].split() == ["Step", "Time", "Ktot/N", "Vtot/N", "Etot/N", "T", "P"]
    assert [line.split()[0] for line in lines[2:7]] == ["1", "2", "3", "4", "5"]
    first = [float(word) for word in lines[2].split()]
    row = (tmp_path / "run" / "md_statistics.out").read_text().splitlines()[2].split()
    assert first == pytest.approx([float(word) for word in row[:7]], abs=6e-2)
    assert f"Average temperature over run = {result.averages.temperature:.6g} K" in lines
    assert lines[-1] == "Completed 5 steps"
    assert (tmp_path / "run" / "md.json").exists()


def test_penalties_are_warned_of_before_their_step(call, tmp_path):
    shutil.copytree(DATA / "carbon-penalty", tmp_path / "run")
    shown = call()
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert "Adding penalty in 2B Cheby calc" in lines[2]
    assert "Penalty potential" in lines[3]
    steps = [i for i, line in enumerate(lines) if line.split()[0] == "1"]
    assert steps[0] > 3


def test_an_unstable_run_and_bad_input_have_their_status(fluid, call, tmp_path):
    fluid({"box.xyz": "2\n9 9 9\nO 0 0 0\nO 0.9 0 0\n"})
    shown = call()
    assert shown.exit_code == 4
    assert shown.output.splitlines()[-1].startswith("Stopped at step 1: a pair is closer")
    (tmp_path / "run" / "box.xyz").unlink()
    assert isinstance(call().exception, InputError)
    fluid()
    (tmp_path / "run" / "traj.gen").unlink()
    (tmp_path / "run" / "traj.gen").mkdir()
    assert isinstance(call().exception, Stopped)


def test_comparisons_and_checks_are_shown(fluid, call, tmp_path):
    fluid(CHECKFRC="true", N_MDSTP=1)
    assert "Forces and finite differences: largest difference" in call().output
    text = (tmp_path / "run" / "run_md.in").read_text()
    with_file = text.replace(
        "# ENDFILE #", "# SUBTFRC #\n true f.txt\n# FITENER #\n true\n# ENDFILE #"
    )
    (tmp_path / "run" / "run_md.in").write_text(with_file)
    (tmp_path / "run" / "f.txt").write_text("0.0\n" * 73)
    lines = call().output.splitlines()
    assert lines[0].startswith("RMS force error = ")
    assert lines[1].startswith("Absolute energy error = ")
    assert lines[2] == "Wrote box.xyz_forces_subtracted.xyz"
    assert lines[3].startswith("Forces and finite differences: largest difference")
