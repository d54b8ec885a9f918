"""Molecules of the runs of a study: the options `bonds` and `species` of the MD engine."""

import json
import os
import re
import subprocess
from pathlib import Path

import attrs
import numpy as np
import pytest

from ald_chimes_md.files import RESULT
from ald_chimes_md.keywords import with_values
from ald_chimes_md.md_engine import ChimesMD
from ald_chimes_md.outputs import TRAJECTORIES
from ald_chimes_md.speciation.criteria import read_bonds
from ald_chimes_md.speciation.gen import read_gen
from ald_chimes_md.speciation.molecules import analyse
from ald_chimes_md.speciation.of_run import SPECIATION, TABLE, result_table, speciate
from ald_core.digests import digest
from ald_core.errors import InputError
from ald_core.options import build, identity
from ald_core.types import Case, Failure, Model

DATA = Path(__file__).parents[2] / "data" / "chimes_md" / "special3b"
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
MODEL = Model("chimes", DATA / "params.txt")
CASE = Case("hot", 0, 2500.0, DATA / "input.xyzf", DATA / "run_md.in")
TABLE_OF_BONDS = {"C-O": 1.8, "C-C": 1.9, "O-O": {"length": 1.7, "lifetime": 0.2}}
SPECIES = ("CO", "C1 O2 2(O-C)", "C9O9")
ENGINE = ChimesMD(steps=20, frame_interval=2, bonds=TABLE_OF_BONDS, species=SPECIES)


def run(engine, workdir, case=CASE):
    """The engine's job, done; what it is to leave is there."""
    workdir.mkdir()
    spec = engine.prepare(MODEL, case, 7, workdir)
    assert spec.serial
    subprocess.run(spec.command, cwd=workdir, env=ONE_THREAD, check=True)
    assert all((workdir / name).is_file() for name in spec.outputs)
    return workdir


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run with molecules; only read it."""
    return run(ENGINE, tmp_path_factory.mktemp("md") / "job")


def bonds_file(folder, text):
    path = folder / "bonds.dat"
    path.write_text(text)
    return path


def problems_of(**table):
    """What is wrong with a table `[md]`."""
    return build(ChimesMD, table, "md", Path("/"))[1]


def test_a_study_without_bonds_is_what_it_was(tmp_path):
    """The digest is that of the releases before there were such options."""
    parts = ("steps", None, "frame_interval", None)
    before = ("penalty_distance", 0.02, "penalty_scaling", 1e6)
    assert identity(ChimesMD()) == digest("ald_chimes_md.md_engine.ChimesMD", *parts, *before)
    assert identity(ChimesMD(bonds={"C-C": 1.9})) != identity(ChimesMD())
    assert identity(ChimesMD(bonds={"C-C": 1.9})) != identity(ChimesMD(bonds={"C-C": 1.8}))
    spec = ChimesMD(steps=2).prepare(MODEL, CASE, 7, tmp_path)
    assert "--bonds" not in spec.command
    assert SPECIATION not in spec.outputs
    assert not (tmp_path / "bonds.dat").exists()


def test_what_a_run_leaves(done):
    criteria = read_bonds(done / "bonds.dat")
    timestep = 0.1
    assert criteria.frame_time == pytest.approx(2 * timestep * 1e-3)
    assert criteria.lifetimes == {("C", "O"): 0, ("C", "C"): 0, ("O", "O"): 1}
    frames = list(analyse(done / "traj.gen", criteria))
    assert len(frames) == len(list(read_gen(done / "traj.gen"))) - 1 == 9
    found = [m for frame in frames for m in frame.molecules]
    monoxide = sum(m.name in {"C1 O1 1(O-C)", "O1 C1 1(C-O)"} for m in found) / len(found)
    dioxide = sum(sorted(m.name.split()) == sorted(["C1", "O2", "2(O-C)"]) for m in found)
    rows = [
        (done / f"speciation.species-{n}").read_text().splitlines() for n in range(len(SPECIES))
    ]
    assert [lines[0] for lines in rows] == [f"# {name}" for name in SPECIES]
    numbers = [[float(x) for line in lines[2:] for x in line.split()] for lines in rows]
    assert 0.0 < monoxide < 1.0
    assert numbers[0][0] == pytest.approx(monoxide, abs=5e-5)
    assert len(numbers[1]) == (2 if dioxide else 0)
    assert numbers[2] == []

    [table] = ENGINE.collect(CASE, 3, done).tables
    assert (table.name, table.columns[0]) == ("molecules", "molecule")
    assert [row[0] for row in table.rows] == list(SPECIES)
    assert table.rows[0][1] == pytest.approx(monoxide, rel=1e-5)
    assert table.rows[2][1:] == (0.0, None)
    text = (done / TABLE).read_text()
    assert text.startswith("Averages for molecules\n")


def test_equal_inputs_give_equal_bytes(done, tmp_path):
    again = run(ENGINE, tmp_path / "again")
    for name in (SPECIATION, TABLE, "speciation.species-0", "bonds.dat", RESULT):
        assert (again / name).read_bytes() == (done / name).read_bytes()


def test_bonds_change_nothing_else(done, tmp_path):
    plain = run(attrs.evolve(ENGINE, bonds=None, species=()), tmp_path / "plain")
    for path in plain.iterdir():
        if path.name != "md_timing.json":
            assert path.read_bytes() == (done / path.name).read_bytes()
    trajectory = ENGINE.collect(CASE, 1, done)
    bare = attrs.evolve(ENGINE, bonds=None, species=()).collect(CASE, 1, plain)
    assert bare.tables == ()
    assert (bare.steps, bare.drift, bare.counts) == (
        trajectory.steps,
        trajectory.drift,
        trajectory.counts,
    )


def test_views_show_the_molecules(done):
    seen = {path.name for pattern in ENGINE.views() for path in done.glob(pattern)}
    assert seen >= {SPECIATION, TABLE, "speciation.species-0", "bonds.dat", "bond_times.dat"}


def test_other_trajectories_and_a_file_of_bonds(done, tmp_path):
    text = with_values((DATA / "run_md.in").read_text(), {"TRAJEXT": "XYZ"})
    (control := tmp_path / "run_md.in").write_text(text)
    case = attrs.evolve(CASE, input=control)
    path = bonds_file(tmp_path, "-1\n0\n2e-16\n0\nC O 1.8\nC C 1.9\nO O 1.7\n")
    [problem] = problems_of(bonds=str(path))
    assert "bonds.dat, line 1: the lifetime '-1' is negative" in problem
    assert "table of bonds" in problem
    path.write_text(path.read_text().replace("-1\n", "0\n", 1))
    engine = attrs.evolve(ENGINE, bonds=path, species=("CO",))
    assert engine.check(["C", "O"]) == engine.check_case(case, ["C", "O"]) == []
    made = run(engine, tmp_path / "job", case)
    assert (made / TRAJECTORIES["XYZ"]).is_file()
    assert not (made / TRAJECTORIES["GEN"]).exists()
    assert (made / "bonds.dat").read_bytes() == path.read_bytes()
    [(_, fraction, lifetime)] = result_table(made, ["CO"]).rows
    frames = analyse(done / "traj.gen", read_bonds(path))
    found = [sorted(m.name.split()) for frame in frames for m in frame.molecules]
    same = [["1(C-O)", "C1", "O1"], ["1(O-C)", "C1", "O1"]]
    wanted = sum(words in same for words in found) / len(found)
    assert fraction == pytest.approx(wanted, rel=1e-5)
    assert lifetime > 0.0


def test_a_run_without_enough_frames_says_so_and_does_not_fail(tmp_path):
    engine = ChimesMD(steps=4, frame_interval=2, bonds={"C-O": 1.8, "lifetime": 50}, species=["CO"])
    [warning] = engine.case_warnings(CASE, ["C", "O"])
    assert "the longest lifetime is 250 frames, but the run writes 2" in warning
    made = run(engine, tmp_path / "job")
    [table] = engine.collect(CASE, 1, made).tables
    assert table.rows == (("CO", None, None),)
    assert len((made / "speciation.species-0").read_text().splitlines()) == 2
    (empty := tmp_path / "traj.gen").touch()
    criteria = read_bonds(made / "bonds.dat")
    speciate(empty, criteria, ["CO"], has_frames=False)
    assert json.loads((tmp_path / SPECIATION).read_text())["frames"] == 0
    with pytest.raises(InputError, match="holds no frame"):
        speciate(empty, criteria, ["CO"])


def test_a_run_without_its_molecules_is_a_failure(done, tmp_path):
    whole = (done / SPECIATION).read_text()
    name, lifetime = (
        re.sub('"name": ".*"', '"name": 1', whole),
        re.sub('"lifetime": .*,', '"lifetime": 0,', whole),
    )
    assert whole not in {name, lifetime}
    for content in (None, "{}", "[]", '{"frames": 3, "species": [{"name": 1}]}', name, lifetime):
        job = tmp_path / str(len(list(tmp_path.iterdir())))
        job.mkdir()
        for path in done.iterdir():
            (job / path.name).write_bytes(path.read_bytes())
        (job / SPECIATION).unlink()
        if content is not None:
            (job / SPECIATION).write_text(content)
        found = ENGINE.collect(CASE, 1, job)
        assert isinstance(found, Failure), content
        assert "no complete result" in found.reason


def test_without_names_the_frequent_are_shown_and_the_large_are_one(tmp_path):
    rng = np.random.default_rng(3)
    chain = [[0.7 * i + 0.5, 5.0, 5.0] for i in range(26)]
    pairs = [[1.0 + 2 * i + d, 1.0, 1.0] for i in range(5) for d in (0.0, 0.6)]
    atoms = np.array(chain + pairs) + rng.normal(0, 1e-3, (36, 3))
    rows = "".join(f"{i} 1 {x} {y} {z}\n" for i, (x, y, z) in enumerate(atoms, start=1))
    (path := tmp_path / "traj.gen").write_text(f"36 S\nH\n{rows}0 0 0\n25 0 0\n0 20 0\n0 0 20\n")
    file = bonds_file(tmp_path, "0\n0\n1e-15\n0\nH H 0.8\n")
    speciate(path, read_bonds(file), [])
    assert result_table(tmp_path, []).rows == (
        ("H2 1(H-H)", pytest.approx(5 / 6, rel=1e-5), 0.001),
        ("more than 24 atoms", pytest.approx(1 / 6, rel=1e-5), None),
    )
    assert result_table(tmp_path, ["H26"]).rows[0][1] == pytest.approx(1 / 6, rel=1e-5)


# ---------------------------------------------------------------- before any job


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x\n0\n1e-15\n0\nC C 1\n", ["line 1", "'x'", "write one there"]),
        ("1\n0\n1e-15\n0\nC Qq 1\n", ["line 5", "'Qq'", "write it as C or Cl"]),
        ("1\n0\n5\n0\nC C 1\n", ["line 3", "'5'", "give seconds"]),
        ("1\n0\n", ["ends before", "first four lines"]),
    ],
)
def test_a_wrong_file_of_bonds_is_named_with_line_value_and_cure(tmp_path, text, words):
    [problem] = problems_of(bonds=str(bonds_file(tmp_path, text)))
    assert problem.startswith(f"md.bonds: {tmp_path / 'bonds.dat'}")
    for word in words:
        assert word in problem


def test_problems_of_the_options(tmp_path):
    assert ENGINE.check(["C", "O"]) == ChimesMD().check(["C"]) == []
    [problem] = ChimesMD(species=["CO"]).check(["C"])
    assert "species are looked for by their bonds" in problem
    problems = problems_of(bonds={"CO": 1.8}, species=["carbon", "CO"])
    assert [p.partition(";")[0] for p in problems] == [
        "md.bonds: 'CO' is no pair of elements",
        "md.species: 'carbon' is no molecule",
    ]
    assert problems_of(species="CO") == ["md.species: a list is needed, not 'CO'"]
    missing = tmp_path / "bonds.dat"
    assert problems_of(bonds=str(missing)) == [f"md.bonds: there is no file {missing}"]
    assert problems_of(bonds=dict(TABLE_OF_BONDS), species=["C O2"]) == []


def test_problems_of_a_case(tmp_path):
    (control := tmp_path / "run_md.in").write_text(
        with_values((DATA / "run_md.in").read_text(), {"TRAJEXT": "LAMMPSTRJ"})
    )
    case = attrs.evolve(CASE, input=control)
    [problem] = ENGINE.check_case(case, ["C", "O"])
    assert problem.startswith(f"{control}, line ")
    assert "LAMMPSTRJ is not read" in problem
    assert "set it to GEN" in problem
    assert ChimesMD().check_case(case, ["C", "O"]) == []
    assert ENGINE.check_case(CASE, ["C", "O"]) == []


def test_warnings_of_a_case(tmp_path):
    assert ChimesMD().case_warnings(CASE, ["C", "O"]) == []
    assert ENGINE.case_warnings(CASE, ["C", "O"]) == []
    [warning] = attrs.evolve(ENGINE, bonds={"C-C": 1.9}).case_warnings(CASE, ["O"])
    assert "has no length for O-O" in warning
    assert attrs.evolve(ENGINE, bonds={"C-O": 1.9}).case_warnings(CASE, ["C", "O"]) == []
    file = bonds_file(tmp_path, "0\n0\n1e-15\n0\nC C 1.9\n")
    first, second = attrs.evolve(ENGINE, bonds=file).case_warnings(CASE, ["C", "O"])
    assert "has no length for C-O, O-O" in first
    assert "says 1 fs between frames" in second
    assert "a frame every 0.2 fs" in second
