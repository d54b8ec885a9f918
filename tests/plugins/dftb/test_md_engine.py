"""The MD engine `dftb`, with a stand-in for DFTB+: alone, started at each step, and behind a socket."""

import json
from pathlib import Path

import ase.io
import attrs
import numpy as np
import pytest
from ase.geometry import get_distances
from fakes.reference import reference

from ald_chimes_lsq.calculator import ChimesCalculator
from ald_core.errors import InputError
from ald_core.testing import compressed_cell, contents
from ald_core.types import Case, Failure, Model
from ald_core.units import KCAL_PER_MOL
from ald_dftb import md
from ald_dftb.md_engine import DftbMD, read_structure

PARAMETERS = (
    Path(__file__).parents[2]
    / "data"
    / "chimes_calculator"
    / "published_params.liqC.2+3b.cubic.txt"
)
MODEL = Model("chimes", PARAMETERS)
INNER = 1.0
"""Å, inner cutoff of these parameters"""
PENALTY = 0.35
"""Å, so that there are close contacts"""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    path = tmp_path_factory.mktemp("structures") / "start.gen"
    ase.io.write(path, compressed_cell())
    return Case("hot", 0, 3000.0, path)


@pytest.fixture(scope="module")
def engine(shared_folder, program):
    return DftbMD(
        inputs=shared_folder,
        program=program,
        steps=4,
        timestep=0.5,
        frame_interval=2,
        ensemble="NVE",
        penalty_distance=PENALTY,
        penalty_scaling=1.0,
    )


def run(engine, case, workdir, seed=7):
    """What the job does, here."""
    workdir.mkdir()
    assert engine.prepare(MODEL, case, seed, workdir).serial
    (workdir / "md.json").write_text(json.dumps(md.run(workdir)))
    return engine.collect(case, 3, workdir)


def statistics(workdir):
    return np.loadtxt(workdir / "md_statistics.out")


def contact_class(atoms):
    distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)[1]
    closest = distances[~np.eye(len(atoms), dtype=bool)].min()
    return int(closest < INNER) + int(closest < INNER + PENALTY)


# ---------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def long_run(engine, case, tmp_path_factory):
    """Only read it."""
    workdir = tmp_path_factory.mktemp("md") / "long"
    return run(attrs.evolve(engine, steps=14, socket=True), case, workdir), workdir


def test_energy_is_conserved_and_frames_are_classified(long_run):
    trajectory, workdir = long_run
    assert (trajectory.steps, trajectory.planned, trajectory.stable) == (14, 14, True)
    assert trajectory.drift < 3e-3
    table = statistics(workdir)
    assert np.ptp(table[:, 2]) > 1.0
    assert table[:, 4] == pytest.approx(table[0, 4], abs=0.05)
    frames = [(c.origin.step, c.contact_class, c.load()) for c in trajectory.candidates]
    assert {0, 1} <= {contact for _, contact, _ in frames}
    for step, contact, atoms in frames:
        assert contact == contact_class(atoms)
        assert contact or step % 2 == 0
    assert [step for step, _, _ in frames] == sorted({step for step, _, _ in frames})
    assert set(range(2, 15, 2)) <= {step for step, _, _ in frames}
    assert sum(trajectory.counts) == 14
    assert trajectory.counts[1] == sum(contact == 1 for _, contact, _ in frames)
    assert (workdir / "traj.gen").read_text().count("#Step") == 7


def test_forces_are_those_of_dftb_and_of_chimes(long_run, case):
    """The first energy and pressure, and the second potential energy from a step of velocity Verlet."""
    _, workdir = long_run
    atoms = read_structure(case.structure)
    energy, _, stress = reference(atoms.copy(), 3000.0)
    atoms.calc = ChimesCalculator(workdir / "params.txt.reduced")
    row = statistics(workdir)[0]
    total = energy + atoms.get_potential_energy()
    assert row[3] * KCAL_PER_MOL * len(atoms) == pytest.approx(total, rel=1e-7)
    pressure = -(stress + atoms.get_stress())[:3].mean() / ase.units.GPa
    assert row[-1] == pytest.approx(pressure, rel=1e-3)
    assert row[5] == pytest.approx(3000.0, rel=1e-6)


def test_a_run_for_each_step_gives_what_the_socket_gives(engine, case, tmp_path):
    one = run(engine, case, tmp_path / "one")
    other = run(attrs.evolve(engine, socket=True), case, tmp_path / "other")
    assert statistics(tmp_path / "one") == pytest.approx(statistics(tmp_path / "other"), rel=1e-5)
    assert one.steps == other.steps == 4
    assert one.candidates[-1].load().positions == pytest.approx(
        other.candidates[-1].load().positions, abs=2e-5
    )


def test_equal_seeds_give_equal_bytes(engine, case, tmp_path):
    engine = attrs.evolve(engine, socket=True, ensemble="NVT", thermostat_time=5.0, steps=5)
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        assert run(engine, case, tmp_path / name, seed).stable
    files = [
        {n: c for n, c in contents(tmp_path / name).items() if "dftb/" not in n} for name in "abc"
    ]
    assert files[0] == files[1]
    assert files[0]["traj.gen"] != files[2]["traj.gen"]
    table = statistics(tmp_path / "a")
    assert np.ptp(table[:, 4]) > 5.0 * np.ptp(table[:, 7]), (
        "the energy changes, not what is conserved"
    )


# ---------------------------------------------------------------- what goes wrong


def test_charges_that_do_not_converge_are_tried_with_another_mixer(
    engine, case, tmp_path, monkeypatch
):
    monkeypatch.setenv("FAKE_DFTB", "unconverged")
    engine = attrs.evolve(engine, steps=1)
    found = run(engine, case, tmp_path / "one")
    assert (found.steps, found.stable) == (1, True)


def test_a_run_that_cannot_go_on_is_a_result(engine, case, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_DFTB", "late")
    found = run(engine, case, tmp_path / "one")
    assert (found.steps, found.planned, found.stable) == (2, 4, False)
    assert found.reason.startswith("step 3: SCC is NOT converged")
    assert len(found.candidates) == 1 + (found.candidates[0].origin.step == 1)


@pytest.mark.parametrize(
    ("fault", "socket", "kind", "reason"),
    [
        ("stubborn", False, "numerical", "SCC is NOT converged"),
        ("killed", False, "infrastructure", "was killed"),
        ("tension", False, "invalid", "is not that of the pressure"),
        ("unconverged", True, "numerical", "SCC is NOT converged"),
        ("nosocket", True, "input", "compiled without socket support"),
    ],
)
def test_a_run_that_does_not_begin_is_a_failure(
    fault, socket, kind, reason, engine, case, tmp_path, monkeypatch
):
    monkeypatch.setenv("FAKE_DFTB", fault)
    found = run(attrs.evolve(engine, socket=socket), case, tmp_path / "one")
    assert isinstance(found, Failure)
    assert (found.kind, reason in found.reason) == (kind, True), found


def test_a_program_that_is_not_there_is_told(engine, case, tmp_path):
    for socket in (False, True):
        other = attrs.evolve(engine, program="/there/is/no/dftb+", socket=socket)
        found = run(other, case, tmp_path / str(socket))
        assert isinstance(found, Failure)
        assert found.kind == "input"
        assert "/there/is/no/dftb+ cannot be started" in found.reason


def test_a_run_that_was_cut_off_gives_nothing(engine, case, tmp_path):
    engine.prepare(MODEL, case, 1, tmp_path)
    assert isinstance(engine.collect(case, 1, tmp_path), Failure)


# ---------------------------------------------------------------- inputs


def test_nothing_is_missing(engine, case):
    assert engine.check(("C",)) == []
    assert engine.check_case(case, ("C",)) == []


def test_wrong_cases_are_told(engine, case, folder, tmp_path):
    (problem,) = engine.check_case(case, ("O",))
    assert problem.endswith("holds C, not among the study's elements")
    missing = attrs.evolve(case, structure=tmp_path / "none.gen")
    (problem,) = engine.check_case(missing, ("C",))
    assert problem.startswith(f"{tmp_path / 'none.gen'}: cannot be read as a structure")
    (problem,) = attrs.evolve(engine, inputs=None).check_case(case, ("C",))
    assert "case hot: the md engine 'dftb' needs a dftb_in.hsd; name its folder" in problem
    (folder / "dftb_in.hsd").write_text("Hamiltonian = xTB {}\n")
    (problem,) = attrs.evolve(engine, inputs=folder).check_case(case, ("C",))
    assert "forces are not asked for" in problem


@pytest.mark.parametrize("name", ["a.gen", "b.xyz", "c.extxyz", "d.xyzf"])
def test_structures_may_be_in_any_format(name, tmp_path):
    atoms = compressed_cell()
    path = tmp_path / name
    if name in ("b.xyz", "d.xyzf"):
        cell = " ".join(f"{x:.10f}" for x in atoms.cell[:].ravel())
        rows = "".join(f"C {x:.10f} {y:.10f} {z:.10f}\n" for x, y, z in atoms.positions)
        path.write_text(f"{len(atoms)}\nNON_ORTHO {cell}\n{rows}")
    else:
        ase.io.write(path, atoms)
    found = read_structure(path)
    assert np.allclose(found.cell, atoms.cell, atol=1e-7)
    assert np.allclose(
        found.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-6
    )


def test_a_case_may_have_an_input_of_its_own(engine, case, folder, tmp_path):
    engine = attrs.evolve(engine, inputs=None, steps=None, frame_interval=None)
    path = folder / "dftb_in.hsd"
    (folder / "case.hsd").write_text(path.read_text() + "Driver = VelocityVerlet { Steps = 1 }\n")
    path.unlink()
    found = run(engine, attrs.evolve(case, input=folder / "case.hsd"), tmp_path / "own")
    assert (found.steps, found.stable) == (1, True)
    assert "VelocityVerlet" not in (tmp_path / "own" / "dftb" / "dftb_in.hsd").read_text()


def test_fractional_coordinates_are_understood(tmp_path):
    atoms = compressed_cell()
    path = tmp_path / "a.gen"
    ase.io.write(path, atoms, fractional=True)
    assert path.read_text().split()[1] == "F"
    assert np.allclose(read_structure(path).positions, atoms.positions)


def test_a_molecule_is_refused(tmp_path):
    atoms = compressed_cell()
    atoms.pbc = False
    ase.io.write(tmp_path / "a.gen", atoms)
    with pytest.raises(InputError, match="is not periodic in all directions; give a cell"):
        read_structure(tmp_path / "a.gen")
