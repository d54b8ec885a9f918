"""The program that runs one Gaussian after the other: time, scratch folders, processors, requests to stop."""

import json
import signal
import subprocess
import time
from pathlib import Path

import attrs
import pytest

from ald_core.testing import label, run
from ald_core.types import Failure, Labels


@pytest.fixture
def shell(tmp_path):
    """A Gaussian that is a shell script."""

    def make(*lines):
        path = tmp_path / "g16.sh"
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        return str(path)

    return make


def ends(folder):
    return {
        n: e["end"]
        for n, e in json.loads((folder / "ends.json").read_text())["calculations"].items()
    }


@pytest.fixture
def oxygen(make, gas, quick, shell, tmp_path):
    """A labeler whose Gaussian knows O2 only; one spin state may take too long."""
    frame = gas("O2")
    assert isinstance(quick(make(), frame, tmp_path / "known"), Labels)

    def labeler(slow=0, **options):
        program = shell(
            "input=$(cat)",
            f'case $input in *"0 {slow}"*) exec sleep 50 ;; *"0 1"*) name=R.1 ;; *) name=U.3 ;; esac',
            f"cat '{tmp_path}/known/'$name.log",
        )
        return attrs.evolve(make(time_limit=0.02, **options), program=program)

    return labeler


def test_one_that_takes_too_long_does_not_lose_the_others(oxygen, gas, tmp_path):
    begin = time.monotonic()
    found = label(oxygen(slow=1), gas("O2"), tmp_path / "first")
    assert time.monotonic() - begin < 30.0
    assert found == Failure(
        "R.1: the time_limit of 0.02 minutes was too short; 1 of 2 spin states converged", "time"
    )
    assert ends(tmp_path / "first") == {"R.1": "time", "U.3": "exit 0"}


def test_what_is_finished_is_kept_for_the_next_attempt(oxygen, gas, tmp_path):
    scratch = tmp_path / "scratch"
    assert label(oxygen(slow=3, scratch=str(scratch)), gas("O2"), tmp_path / "1").kind == "time"
    [kept] = scratch.rglob("*.log")
    assert kept.read_bytes() == (tmp_path / "1" / "R.1.log").read_bytes()
    # as if the next attempt had more time; of the other state it would have too little
    found = label(oxygen(slow=1, scratch=str(scratch)), gas("O2"), tmp_path / "2")
    assert isinstance(found, Labels), found
    assert ends(tmp_path / "2") == {"R.1": "kept", "U.3": "exit 0"}
    assert not [path for path in scratch.rglob("*") if path.is_file()]


def test_what_is_kept_is_for_equal_calculations_only(oxygen, gas, tmp_path):
    slow = oxygen(slow=3, scratch=str(tmp_path / "scratch"))
    assert label(slow, gas("O2"), tmp_path / "1").kind == "time"
    moved = gas("O2")
    moved.atoms.positions[0, 0] += 1e-9
    for name, frame, rung in (("moved", moved, 0), ("rung", gas("O2"), 1)):
        label(slow, frame, tmp_path / name, rung)
        assert ends(tmp_path / name) == {"R.1": "exit 0", "U.3": "time"}


def test_what_gaussian_is_given(gas, make, shell, tmp_path, monkeypatch):
    """Number of processors as the job has them, scratch folders of its own which are gone afterwards."""
    program = shell("cat", 'echo "scratch: $GAUSS_SCRDIR"', 'touch "$GAUSS_SCRDIR/Gau-1.rwf"')
    labeler = make(multiplicities=(1,), scratch="$PLACE/deep")
    monkeypatch.setenv("PLACE", str(tmp_path / "place"))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    labeler = attrs.evolve(labeler, program=program)
    (tmp_path / "one").mkdir()
    spec = labeler.prepare(gas("H2O"), tmp_path / "one", 0)
    assert spec.serial
    spec = attrs.evolve(spec, environment={"OMP_NUM_THREADS": "7"})
    assert run(spec, tmp_path / "one") == 0
    lines = (tmp_path / "one" / "R.1.log").read_text().split("\n")
    scratch = lines[-2].removeprefix("scratch: ")
    assert scratch.startswith(f"{tmp_path}/place/deep/ald-gaussian-")
    assert lines[:3] == ["%nprocshared=7", f"%chk={scratch}/R.1.chk", "%mem=24GB"]
    assert not Path(scratch).exists()
    labeler = attrs.evolve(labeler, processors=3, scratch=None)
    (tmp_path / "two").mkdir()
    assert run(labeler.prepare(gas("H2O"), tmp_path / "two", 0), tmp_path / "two") == 0
    assert (
        (tmp_path / "two" / "R.1.log")
        .read_text()
        .startswith(f"%nprocshared=3\n%chk={tmp_path}/two/ald-gau")
    )
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == [
        "R.1.com", "R.1.log", "ends.json", "job.json", "stderr", "stdout",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scratch", "kind", "words"),
    [
        ("/dev/null/scratch", "input", "Not a directory: /dev/null"),
        ("$NO_SUCH_VARIABLE/x", "input", "a variable is not set: $NO_SUCH_VARIABLE/x"),
    ],
)
def test_scratch_folders_that_cannot_be(make, gas, tmp_path, scratch, kind, words):
    found = label(make(scratch=scratch), gas("H2O"), tmp_path)
    assert isinstance(found, Failure)
    assert found.kind == kind
    assert words in found.reason
    assert "correct the option scratch" in found.reason


def test_a_request_to_stop_ends_gaussian_and_its_links(gas, make, shell, tmp_path):
    """As a scheduler does when time is over; nothing stays behind."""
    links = tmp_path / "links"
    program = shell(
        "cat >/dev/null",
        f"sleep 50 & echo $$ $! >'{links}.new'; mv '{links}.new' '{links}'",
        "wait",
    )
    labeler = attrs.evolve(make(scratch=str(tmp_path / "scratch")), program=program)
    spec = labeler.prepare(gas("H2O"), tmp_path, 0)
    job = subprocess.Popen(spec.command, cwd=tmp_path)
    end = time.monotonic() + 20.0
    while not links.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    job.send_signal(signal.SIGTERM)
    assert job.wait(20) == 128 + signal.SIGTERM
    for pid in map(int, links.read_text().split()):
        assert not is_alive(pid)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not (tmp_path / "ends.json").exists()
    assert isinstance(labeler.collect(gas("H2O"), tmp_path), Failure)


def is_alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
