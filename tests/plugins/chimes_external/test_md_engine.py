"""The MD engine `chimes_md`: with the embedded engine under that name it gives what the embedded engine gives."""

import re
import shutil
import subprocess
from pathlib import Path

import attrs
import numpy as np
import pytest
from chimes_stand_ins import install, script
from local_jobs import ONE_THREAD, run

from ald_chimes_external.contact_frames import scan_gen, scan_xyz, steps_of
from ald_chimes_external.md_engine import TRAJECTORY, ExternalMD, one_that_is_there
from ald_chimes_md.control import read_control
from ald_chimes_md.files import CONTACT_FILES, CONTACT_INDEX, FINAL, STATISTICS
from ald_chimes_md.keywords import read_keywords, with_values
from ald_chimes_md.md_engine import CONTROL, PARAMETERS, STRUCTURE, ChimesMD
from ald_core.types import Case, Failure, Model

DATA = Path(__file__).parents[2] / "data" / "chimes_md" / "special3b"
MODEL = Model("chimes", DATA / "params.txt")
CASE = Case("hot", 0, 2500.0, DATA / "input.xyzf", DATA / "run_md.in")
OPTIONS = {"steps": 24, "frame_interval": 4, "penalty_distance": 0.1, "penalty_scaling": 1.0}
"""The run begins inside the zone of a wide, weak penalty, and leaves it."""


@pytest.fixture(scope="module")
def engine(programs):
    return ExternalMD(program=programs / "chimes_md", **OPTIONS)


@pytest.fixture(scope="module")
def done(engine, tmp_path_factory):
    """A finished run; only read it."""
    workdir = tmp_path_factory.mktemp("outside")
    run(engine.prepare(MODEL, CASE, 7, workdir), workdir)
    # Only the embedded engine leaves these.
    for name in (CONTACT_INDEX, "md.json", "md_timing.json"):
        (workdir / name).unlink()
    return workdir


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("inside")
    spec = ChimesMD(**OPTIONS).prepare(MODEL, CASE, 7, workdir)
    subprocess.run(spec.command, cwd=workdir, env=ONE_THREAD, check=True)
    return ChimesMD(**OPTIONS).collect(CASE, 3, workdir)


@pytest.fixture
def copy(done, tmp_path):
    return Path(shutil.copytree(done, tmp_path / "job"))


def test_it_gives_what_the_embedded_engine_gives(engine, done, embedded):
    found = engine.collect(CASE, 3, done)
    for name in ("steps", "planned", "stable", "reason", "counts"):
        assert getattr(found, name) == getattr(embedded, name), name
    assert found.counts[1] > 3
    assert found.drift == pytest.approx(embedded.drift, abs=1e-6)
    assert len(found.candidates) == len(embedded.candidates)
    pairs = list(zip(found.candidates, embedded.candidates, strict=True))
    for one, other in pairs:
        assert (one.contact_class, one.temperature) == (other.contact_class, 2500.0)
        assert (one.origin.cycle, one.origin.source) == (3, "hot")
        ours, theirs = one.load(), other.load()
        assert ours == theirs
        assert np.array_equal(ours.cell[:], theirs.cell[:])
    exact = [(a.origin.step, b.origin.step) for a, b in pairs if b.origin.step % 4 == 0]
    assert len(exact) == 6
    assert all(a == b for a, b in exact)
    # Between frames of the trajectory the steps of close contacts are estimates; here all are there.
    steps = [a.origin.step for a, _ in pairs]
    assert steps == sorted(set(steps))
    assert steps == [b.origin.step for _, b in pairs]


def test_the_inputs_of_a_run(engine, done):
    control = read_control(done / CONTROL)
    assert (control.seed, control.temperature, control.steps) == (7, 2500.0, 24)
    assert (control.parameter_file, control.coordinate_file) == (PARAMETERS, STRUCTURE)
    assert control.contact_files
    assert control.trajectory_format == "GEN"
    assert read_keywords((done / CONTROL).read_text())["NLAYERS"].words == ("1",)
    assert engine.prepare(MODEL, CASE, 7, done).command == (str(engine.program), CONTROL)


def test_a_small_cell_gets_as_many_layers_as_it_needs(engine, tmp_path):
    lines = (DATA / "input.xyzf").read_text().splitlines()
    small = [lines[0], " ".join(str(0.3 * float(word)) for word in lines[1].split()[:3])]
    atoms = [line.split() for line in lines[2:] if line.strip()]
    small += [
        " ".join([name, *(str(0.3 * float(word)) for word in words[:3])]) for name, *words in atoms
    ]
    (structure := tmp_path / "small.xyz").write_text("\n".join(small) + "\n")
    engine.prepare(MODEL, attrs.evolve(CASE, structure=structure), 7, tmp_path)
    layers = read_keywords((tmp_path / CONTROL).read_text())["NLAYERS"].words
    assert int(layers[0]) > 1


def test_the_program_is_looked_at_before_any_job(engine, tmp_path):
    assert engine.check(["C"]) == []
    missing = tmp_path / "nowhere"
    [problem] = attrs.evolve(engine, program=missing).check(["C"])
    assert problem == f"md.program: {missing} is no program; name an executable file"
    assert engine.check_case(CASE, ["C", "O"]) == []
    assert len(engine.check_case(CASE, ["C"])) == 1


def test_the_program_of_an_old_study(tmp_path):
    (serial := tmp_path / "serial").touch()
    parallel = tmp_path / "parallel"
    assert one_that_is_there(str(parallel), str(serial)) == str(serial)
    assert one_that_is_there(str(parallel), None) == str(parallel)
    assert one_that_is_there(None, None) is None
    parallel.touch()
    assert one_that_is_there(str(parallel), str(serial)) == str(parallel)


# ---------------------------------------------------------------- runs that are not whole


def test_a_run_that_explodes_is_a_result(programs, tmp_path):
    wild = ExternalMD(program=programs / "chimes_md", steps=2000, frame_interval=1)
    text = with_values((DATA / "run_md.in").read_text(), {"TIMESTP": 4.0, "FRQENER": 1})
    (source := tmp_path / "run_md.in").write_text(text)
    case = attrs.evolve(CASE, input=source)
    (workdir := tmp_path / "job").mkdir()
    run(wild.prepare(MODEL, case, 7, workdir), workdir)
    inside = ChimesMD(steps=2000, frame_interval=1).collect(case, 1, workdir)
    (workdir / FINAL).unlink(missing_ok=True)
    found = wild.collect(case, 1, workdir)
    assert not isinstance(found, Failure), found
    assert (found.stable, found.steps) == (False, inside.steps)
    assert f"after step {found.steps}" in found.reason
    assert 0 < len(found.candidates) <= len(inside.candidates)


def test_statistics_that_are_no_numbers_end_a_run(engine, copy):
    lines = (copy / STATISTICS).read_text().splitlines()
    words = lines[-1].split()
    lines[-1] = " ".join([words[0], words[1], *["-nan"] * (len(words) - 2)])
    (copy / STATISTICS).write_text("\n".join(lines) + "\n")
    found = engine.collect(CASE, 1, copy)
    assert not found.stable
    assert found.steps == int(lines[-2].split()[0])
    assert max(c.origin.step for c in found.candidates) <= found.steps


FAULTS = {
    "no statistics": (f"rm {STATISTICS}", STATISTICS),
    "empty statistics": (f": > {STATISTICS}", "ends at step 0 of 24"),
    "cut statistics": (f"head -n 6 {STATISTICS} > s; mv s {STATISTICS}", "of 24"),
    "words in statistics": (f"sed -i '$s/$/ x/' {STATISTICS}", "line .*this is no row of statistics"),
    "no final frame": (f"rm {FINAL}", "and wrote no output.xyz"),
    "no trajectory": (f"rm {TRAJECTORY}", "traj.gen: cannot be read"),
    "cut trajectory": (f"head -c -20 {TRAJECTORY} > t; mv t {TRAJECTORY}", "traj.gen: its last frame is damaged"),
    "short trajectory": (f"tail -n 71 {TRAJECTORY} > t; mv t {TRAJECTORY}", "traj.gen"),
    "not a number": (f"sed -i '4s/[0-9][0-9.]*$/nan/' '{CONTACT_FILES[1]}'", "its last frame is damaged"),
    "no contacts": (f"rm '{CONTACT_FILES[2]}'", "cannot be read"),
    "no structure": (f"rm {STRUCTURE}", STRUCTURE),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_run_that_is_not_whole_is_a_failure(engine, copy, name):
    body, message = FAULTS[name]
    subprocess.run(["sh", "-c", body], cwd=copy, check=True)
    (copy / "stdout").write_text("bye\nERROR: bad binning\nx\n")
    found = engine.collect(CASE, 1, copy)
    assert isinstance(found, Failure), found
    assert found.reason.startswith("chimes_md left no complete result: ")
    assert found.reason.endswith("; the program said: ERROR: bad binning")
    assert re.search(message, found.reason), found.reason


def test_a_program_that_does_nothing(tmp_path, engine):
    lazy = attrs.evolve(engine, program=script(tmp_path / "lazy", "echo Error: no licence"))
    (workdir := tmp_path / "job").mkdir()
    run(lazy.prepare(MODEL, CASE, 7, workdir), workdir)
    found = lazy.collect(CASE, 1, workdir)
    assert found.kind == "invalid"
    assert found.reason.endswith("the program said: Error: no licence")


# ---------------------------------------------------------------- steps of frames


def write_frames(path, places, gen=False):
    """Frames of one atom that moves along x."""
    with path.open("w") as stream:
        for step, x in places:
            if gen:
                stream.write(f"1 S #Step {step} Time {step} (fs) Temp 300 (k)\nC\n")
                stream.write(f"    1   1 {x:.5f} 0.0 0.0\n0 0 0\n9 0 0\n0 9 0\n0 0 9\n")
            else:
                stream.write(f"1\n9.00000 9.00000 9.00000\nC {x:.5f} 0.0 0.0\n")


def test_steps_of_close_contacts_are_between_those_that_are_known(tmp_path):
    """Regular steps 10, 20, 30, 40; the atom is at 0.1 per step, once written as its image."""
    at = {step: 0.1 * step for step in range(1, 41)}
    files = {0: [10, 30], 1: [3, 4, 17, 20, 22, 40], 2: [18, 19]}
    for number, steps in files.items():
        write_frames(tmp_path / f"{number}", [(s, at[s]) for s in steps])
    write_frames(
        tmp_path / "gen",
        [(s, at[s] - (9.0 if s == 30 else 0.0)) for s in (10, 20, 30, 40)],
        gen=True,
    )
    frames = [scan_xyz(tmp_path / f"{number}", 1) for number in files]
    regular = scan_gen(tmp_path / "gen", 1)
    assert regular.steps.tolist() == [10, 20, 30, 40]
    clear, near, inside = (
        steps.tolist() for steps in steps_of(frames, regular, np.array([[0.1, 0.0, 0.0]]), 40)
    )
    assert clear == [10, 30]
    assert (near, inside) == ([3, 4, 17, 20, 22, 40], [18, 19])
    # Without the atoms of two of them between others, steps are still all different, and in order.
    frames[1].marks[[1, 2]] = 4.5
    _, near, inside = (steps.tolist() for steps in steps_of(frames, regular, np.zeros((1, 3)), 40))
    assert near == sorted(near)
    assert (near[3], near[5]) == (20, 40)
    assert len({*clear, *near, *inside}) == 10


def test_damaged_ends_are_noticed(tmp_path):
    path = tmp_path / "frames"
    write_frames(path, [(1, 0.1), (2, 0.2)])
    whole = path.read_bytes()
    assert (len(scan_xyz(path, 1)), scan_xyz(path, 1).complete) == (2, True)
    for cut in range(1, 35):
        path.write_bytes(whole[:-cut])
        assert (len(scan_xyz(path, 1)), scan_xyz(path, 1).complete) == (1, False), cut
    path.write_bytes(b"")
    assert (len(scan_xyz(path, 1)), scan_xyz(path, 1).complete) == (0, True)
    path.write_bytes(whole)
    assert (len(scan_xyz(path, 2)), scan_xyz(path, 2).complete) == (0, False)


def test_programs_are_found_where_they_are(tmp_path, monkeypatch, engine):
    folder = install(tmp_path / "bin")
    monkeypatch.chdir(tmp_path)
    relative = attrs.evolve(engine, program=Path("bin/chimes_md"))
    (workdir := tmp_path / "job").mkdir()
    assert relative.prepare(MODEL, CASE, 7, workdir).command[0] == str(folder / "chimes_md")
