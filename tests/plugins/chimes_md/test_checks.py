"""Comparisons with files, finite differences, limits, and the output files that belong to them."""

import json
import shutil
from pathlib import Path

import ase
import numpy as np
import pytest

from ald_chimes_lsq.constants import GPA, HARTREE_FORCE
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_md.control import parse_control
from ald_chimes_md.keywords import with_values
from ald_chimes_md.run import main, run
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data"
CASE = DATA / "chimes_md" / "special3b"
FRAME = (CASE / "input.xyzf").read_text().splitlines()
NAMES = [line.split()[0] for line in FRAME[2:66]]
POSITIONS = np.array([line.split()[1:4] for line in FRAME[2:66]], dtype=float)
FORCES = np.array([line.split()[4:7] for line in FRAME[2:66]], dtype=float) * HARTREE_FORCE
LENGTH = float(FRAME[1].split()[0])
OFFSETS = "NO ENERGY OFFSETS:  2\nENERGY OFFSET 1  -1.0e+01\nENERGY OFFSET 2  -2.0e+01\n"
SCALING = 1e4
"""kcal/mol/Å³, as the file of parameters has it"""
CONTACTS = "2\n12.0 13.0 14.0\nC 5.9 0.1 0.0\nC 6.99 0.0 0.0\n"


@pytest.fixture
def go(tmp_path):
    """Run the golden case of 64 atoms with some values changed."""

    def start(files=None, report=None, **values):
        for name in ("params.txt", "input.xyzf"):
            shutil.copy(CASE / name, tmp_path)
        carbon = DATA / "chimes_md" / "carbon-penalty" / "published_params.liqC.2+3b.cubic.txt"
        shutil.copy(carbon, tmp_path / "carbon.txt")
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text)
        text = with_values((CASE / "run_md.in").read_text(), {"N_MDSTP": 3, **values})
        (tmp_path / "run_md.in").write_text(text)
        return run(parse_control(text), tmp_path, report=report)

    return start


def evaluation():
    atoms = ase.Atoms(NAMES, positions=POSITIONS, cell=[LENGTH] * 3, pbc=True)
    return ChimesModel.read(CASE / "params.txt").evaluate(atoms)


def lines_of(*arrays):
    return "\n".join(repr(float(x)) for array in arrays for x in np.ravel(array)) + "\n"


def rms(differences):
    return np.sqrt(np.mean(np.square(differences)))


def test_comparison_with_an_xyzf_file(go):
    result = go(CMPRFRC="true input.xyzf")
    assert result.errors.force == pytest.approx(rms(FORCES - evaluation().forces), rel=1e-9)
    assert result.errors.force > 1.0
    assert (result.errors.stress, result.errors.energy) == (None, None)
    assert result.steps_done == 0


@pytest.mark.parametrize(("setting", "places"), [("true", 3), ("ALL", 9)])
def test_comparison_with_a_list_of_numbers(go, setting, places):
    said = evaluation()
    stress = said.stress.ravel() if places == 9 else np.diag(said.stress)
    # Three times the energy, as a fit writes it.
    text = lines_of(said.forces + 0.25, stress + 0.01, [said.energy - 2.0] * 3)
    result = go({"force.txt": text}, CMPRFRC="true force.txt", FITSTRS=setting, FITENER="true")
    assert result.errors.force == pytest.approx(0.25, rel=1e-9)
    assert result.errors.stress == pytest.approx(0.01 * GPA, rel=1e-9)
    assert result.errors.energy == pytest.approx(2.0, rel=1e-9)


def test_a_fit_with_charges_and_its_md_model_have_the_same_forces(tmp_path):
    water = np.load(DATA / "chimes_md" / "h2o-3bcheby-charges.npz")
    shutil.copy(DATA / "chimes_lsq" / "h2o-3bcheby" / "expected" / "params.txt", tmp_path)
    rows = zip(water["elements"].tolist(), water["positions"].tolist(), strict=True)
    atoms = [" ".join([name, *map(repr, place)]) for name, place in rows]
    cell = " ".join(map(repr, water["cell"].tolist()))
    (tmp_path / "a.xyz").write_text("\n".join(["96", cell, *atoms, ""]))
    (tmp_path / "force.txt").write_text(lines_of(water["forces"]))
    values = {"CRDFILE": "a.xyz", "CMPRFRC": "true force.txt"}
    control = parse_control(with_values((CASE / "run_md.in").read_text(), values))
    errors = run(control, tmp_path).errors
    assert rms(water["forces"]) > 20.0
    assert errors.force < 2e-3  # of the Ewald sums


def test_subtracted_forces_stresses_and_energies(go, tmp_path):
    said = evaluation()
    stress = [5.0, 6.0, 7.0, 0.5, 0.6, 0.7]
    header = " ".join(map(str, [LENGTH, LENGTH, LENGTH, *stress, -12000.0]))
    text = "\n".join([FRAME[0], header, *FRAME[2:66], ""])
    values = {"SUBTFRC": "true full.xyzf SUBTR_ENERGY SUBTR_STRESS", "CRDFILE": "full.xyzf"}
    result = go({"full.xyzf": text}, FITSTRS="ALL", FITENER="true", **values)
    assert result.errors.written == "full.xyzf_forces_subtracted.xyz"
    lines = (tmp_path / result.errors.written).read_text().splitlines()
    assert (lines[0], len(lines)) == ("64", 66)
    numbers = np.array(lines[1].split(), dtype=float)
    np.testing.assert_allclose(numbers[:3], LENGTH)
    own = said.stress[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] * GPA
    np.testing.assert_allclose(numbers[3:9], stress - own, rtol=1e-10)
    assert numbers[9] == pytest.approx(-12000.0 - said.energy, rel=1e-12)
    forces = np.array([line.split()[4:7] for line in lines[2:]], dtype=float)
    np.testing.assert_allclose(forces * HARTREE_FORCE, FORCES - said.forces, atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "reference", "left"),
    [
        # What is not subtracted is kept, whether it was announced or not.
        ({}, "full.xyzf", (0, 0)),
        ({"FITENER": "true"}, "full.xyzf", (0, 0)),
        ({"FITSTRS": "true"}, "full.xyzf", (0, 0)),
        ({"FITSTRS": "true", "SUBTR": "SUBTR_STRESS"}, "full.xyzf", (1, 0)),
        ({"FITENER": "true", "SUBTR": "SUBTR_ENERGY"}, "full.xyzf", (0, 1)),
        ({"FITSTRS": "ALL", "SUBTR": "SUBTR_STRESS"}, "full.xyzf", (1, 0)),
        # The coordinate file has labels that the list of forces lacks.
        ({}, "force.txt", (0, 0)),
        ({}, "input.xyzf", (0, 0)),
    ],
)
def test_labels_of_the_header_after_a_subtraction(go, tmp_path, settings, reference, left):
    said = evaluation()
    labels = np.array([5.0, 6.0, 7.0, 0.5, 0.6, 0.7, -12000.0])
    header = " ".join(map(str, [LENGTH] * 3 + labels.tolist()))
    files = {
        "full.xyzf": "\n".join([FRAME[0], header, *FRAME[2:66], ""]),
        "force.txt": lines_of(FORCES),
        "input.xyzf": "\n".join([FRAME[0], " ".join([str(LENGTH)] * 3), *FRAME[2:66], ""]),
    }
    values = dict(settings)
    wanted = f"true {reference} {values.pop('SUBTR', '')}"
    result = go(files, SUBTFRC=wanted, CRDFILE="full.xyzf", **values)
    lines = (tmp_path / result.errors.written).read_text().splitlines()
    own = [*(said.stress[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] * GPA), said.energy]
    factors = np.array([left[0]] * 6 + [left[1]])
    numbers = np.array(lines[1].split()[3:], dtype=float)
    np.testing.assert_allclose(numbers, labels - factors * own, rtol=1e-10)


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("1.0\n2.0\n", {}, "64 atoms need 192 numbers"),
        ("x\n", {}, "finite number"),
        ("", {}, "ends with 0"),
        (lines_of(FORCES), {"FITENER": "true"}, "193 or 195"),
        (lines_of(FORCES), {"FITSTRS": "ALL"}, "need 201"),
        ("\n".join(FRAME[:66]), {"FITSTRS": "true"}, "FITSTRS announces"),
        ("\n".join(FRAME[:66]), {"FITENER": "true"}, "FITENER announces"),
        ("\n".join([*FRAME[:2], *(" ".join(x.split()[:4]) for x in FRAME[2:66])]), {}, "no forces"),
    ],
)
def test_files_that_do_not_fit_a_comparison_are_refused(go, text, values, said):
    if "FIT" in said and "announces" in said:
        text = text.replace(FRAME[1], " ".join(FRAME[1].split()[:3]))
    with pytest.raises(InputError, match=said) as raised:
        go({"force.txt": text}, CMPRFRC="true force.txt", **values)
    assert raised.value.line is not None
    assert raised.value.cure


def test_forces_of_another_number_of_atoms_are_refused(go):
    text = "\n".join(["63", *FRAME[1:65], ""])
    with pytest.raises(InputError, match=r"f\.xyzf, line 1: 63 atoms, but the run has 64; give"):
        go({"f.xyzf": text}, CMPRFRC="true f.xyzf")


def test_a_configuration_that_cannot_be_evaluated_is_refused(fluid):
    files = {"box.xyz": "2\n9 9 9\nO 0 0 0\nO 0.9 0 0\n", "f.txt": "0.0\n" * 6}
    said = r"box\.xyz, line 1: the model cannot be evaluated here: a pair is closer .*; move"
    for values in ({"CMPRFRC": "true f.txt"}, {"CHECKFRC": "true"}):
        with pytest.raises(InputError, match=said):
            fluid(files, N_MDSTP=1, **values)


def test_forces_against_finite_differences(fluid, fluid_text):
    checked = fluid({"params.txt": fluid_text.charged}, CHECKFRC="true", N_MDSTP=2)
    assert 0.0 < checked.force_check.largest < 1e-4
    assert checked.force_check.root_mean_square <= checked.force_check.largest
    assert checked.steps_done == 2


@pytest.mark.parametrize("key", ["CMPRFRC", "SUBTFRC"])
def test_a_comparison_may_go_with_the_check_of_forces(fluid, key):
    values = {key: "true f.txt", "N_MDSTP": 1}
    alone = fluid({"f.txt": "0.0\n" * 72}, **values)
    assert (alone.force_check, alone.errors.force > 0.0) == (None, True)
    both = fluid({"f.txt": "0.0\n" * 72}, CHECKFRC="true", **values)
    assert both.errors == alone.errors
    assert 0.0 < both.force_check.largest < 1e-4


@pytest.mark.parametrize("key", ["PRSCALC", "STRSCALC"])
def test_numerical_pressures_are_the_analytical_ones(water, tmp_path, key):
    values = {"CONSRNT": "NPT-BEREND 5 50", "PRESSUR": 1.0, "TEMPERA": 500, "N_MDSTP": 5}
    plain = water("plain", **values)
    numerical = water("numerical", **{key: "NUMERICAL"}, **values)
    rows, others = (np.loadtxt(tmp_path / f / "md_statistics.out") for f in ("plain", "numerical"))
    np.testing.assert_allclose(others, rows, rtol=1e-4)
    assert (rows[:, 7] != others[:, 7]).any()
    np.testing.assert_allclose(numerical.averages.stress, plain.averages.stress, atol=5e-3)


def test_the_penalty_limit_stops_a_run(go):
    values = {
        "PRMFILE": "carbon.txt", "CRDFILE": "pair.xyz", "CONSRNT": "NVE", "N_MDSTP": 5,
        "TEMPERA": 1, "TIMESTP": 0.01,
    }  # fmt: skip
    told = []
    result = go({"pair.xyz": CONTACTS}, lambda _, p: told.extend(p.tolist()), **values)
    assert result.stable
    assert [row[0] for row in told] == [1, 2, 3, 4, 5]
    distance = np.hypot(1.09, 0.1)
    assert told[0][1:4] == pytest.approx([0, 1, distance])
    energy = told[0][4]
    assert energy == pytest.approx(SCALING * (1.1 - distance) ** 3, rel=1e-6)
    per_atom = abs(result.conserved.first)
    limit = energy / per_atom
    assert go({"pair.xyz": CONTACTS}, PENTHRS=2 * limit, **values).stable
    stopped = go({"pair.xyz": CONTACTS}, PENTHRS=0.5 * limit, **values)
    assert (stopped.stable, stopped.steps_done) == (False, 1)
    assert "PENTHRS" in stopped.reason


def test_huge_forces_are_written_as_they_are(go, tmp_path):
    carbon = DATA / "chimes_md" / "carbon-penalty" / "published_params.liqC.2+3b.cubic.txt"
    huge = carbon.read_text().replace("PENALTY SCALING: 1E4", "PENALTY SCALING: 1E40")
    values = {"PRMFILE": "huge.txt", "CRDFILE": "pair.xyz", "N_MDSTP": 1, "PRNTFRC": "true 1"}
    go({"huge.txt": huge, "pair.xyz": CONTACTS}, **values)
    exact = np.loadtxt(tmp_path / "forceout.txt").reshape(2, 3)
    assert np.abs(exact).max() > 1e30
    rows = (tmp_path / "forceout.xyzf").read_text().splitlines()[2:]
    assert rows[0].startswith("C    5.90000    0.10000    0.00000 -")
    found = np.array([row.split()[4:] for row in rows], dtype=float)
    np.testing.assert_allclose(found * HARTREE_FORCE, exact, rtol=1e-6)


@pytest.mark.parametrize(("with_offsets", "shift"), [("true", 1.0), ("false", 0.0)])
def test_the_file_for_dftb(go, tmp_path, with_offsets, shift):
    text = (CASE / "params.txt").read_text().replace("ENDFILE", OFFSETS + "ENDFILE")
    (tmp_path / "offsets.txt").write_text(text)
    go(FORDFTB="true", ATMENER=with_offsets, N_MDSTP=1, PRMFILE="offsets.txt")
    said = evaluation()
    numbers = np.loadtxt(tmp_path / "dftbplus_data.dat")
    assert len(numbers) == 7 + 192
    offsets = sum({"C": -10.0, "O": -20.0}[name] for name in NAMES)
    assert numbers[0] == pytest.approx(said.energy + shift * offsets, rel=1e-12)
    order = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])
    np.testing.assert_allclose(numbers[1:7], said.stress[order], rtol=1e-10)
    np.testing.assert_allclose(numbers[7:], said.forces.ravel(), rtol=1e-9, atol=1e-9)


def test_energy_and_stress_in_force_headers(go, tmp_path):
    go(PRNTFRC="true ENERGY_STRESS 2", N_MDSTP=4, CONSRNT="NVE", TEMPERA=0)
    lines = (tmp_path / "forceout.xyzf").read_text().splitlines()
    assert len(lines) == 2 * 66
    header = np.array(lines[66 + 1].split(), dtype=float)
    assert len(header) == 10
    rows = np.loadtxt(tmp_path / "md_statistics.out")
    assert header[9] == pytest.approx(64 * rows[3, 3], rel=1e-7)
    assert header[3:6].mean() == pytest.approx(rows[3, 7], rel=1e-7)


def test_lammps_trajectories(go, tmp_path):
    go(TRAJEXT="LAMMPSTRJ", FRQDFTB=3, N_MDSTP=3, CONSRNT="NVE")
    lines = (tmp_path / "traj.lammpstrj").read_text().splitlines()
    assert lines[0:4] == ["ITEM: TIMESTEP", "0.3", "ITEM: NUMBER OF ATOMS", "64"]
    assert lines[4] == "ITEM: BOX BOUNDS xy xz yz pp pp pp"
    assert lines[5] == f"0.00000 {LENGTH:.5f} 0.00000"
    assert lines[8] == "ITEM: ATOMS id type element xu yu zu vx vy vz"
    words = [line.split() for line in lines[9:]]
    assert [row[:3] for row in words[:1]] == [["1", "1", "C"]]
    final = (tmp_path / "output.xyz").read_text().splitlines()[2:]
    expected = np.array([line.split()[1:] for line in final], dtype=float)
    np.testing.assert_allclose(np.array([r[3:] for r in words], float), expected, atol=6e-6)


def test_lammps_trajectories_of_skewed_cells(fluid, fluid_text, tmp_path):
    cell = "NON_ORTHO 5.4 0 0 2.0 6.6 0 -1.0 1.5 7.6"
    skewed = fluid_text.box.replace("5.4 6.6 7.6", cell)
    fluid({"box.xyz": skewed}, TRAJEXT="LAMMPSTRJ", N_MDSTP=1)
    lines = (tmp_path / "run" / "traj.lammpstrj").read_text().splitlines()
    bounds = np.array([line.split() for line in lines[5:8]], dtype=float)
    np.testing.assert_allclose(bounds, [[-1.0, 7.4, 2.0], [0.0, 8.1, -1.0], [0.0, 7.6, 1.5]])
    turned = fluid_text.box.replace("5.4 6.6 7.6", "NON_ORTHO 5.4 1 0 0 6.6 0 0 0 7.6")
    with pytest.raises(InputError, match="LAMMPSTRJ needs a cell"):
        fluid({"box.xyz": turned}, TRAJEXT="LAMMPSTRJ")


def test_frames_of_a_changing_cell_have_their_own_cell(fluid, tmp_path):
    values = {"CONSRNT": "NPT-BEREND 5 20", "PRESSUR": 30, "N_MDSTP": 12, "TIMESTP": 0.4}
    fluid(TRAJEXT="XYZ", FRQDFTB=4, WRPCRDS="true", **values)
    volumes = np.loadtxt(tmp_path / "run" / "md_statistics.out")[3::4, -1]
    lines = (tmp_path / "run" / "traj.xyz").read_text().splitlines()
    cells = np.array([line.split() for line in lines[1::26]], dtype=float)
    np.testing.assert_allclose(cells.prod(axis=1), volumes, rtol=1e-5)
    assert np.ptp(volumes) > 1.0


def test_npt_needs_a_box_and_freeze_needs_its_atoms(fluid, fluid_text):
    skewed = fluid_text.box.replace("5.4 6.6 7.6", "NON_ORTHO 5.4 0 0 2.0 6.6 0 -1.0 1.5 7.6")
    with pytest.raises(InputError, match="needs a box"):
        fluid({"box.xyz": skewed}, CONSRNT="NPT-BEREND 5 20", PRESSUR=1)
    with pytest.raises(InputError, match="beyond the last, 23"):
        fluid(CONSRNT="NVE FREEZE 4 24")


def test_results_of_checks_are_in_the_result_file(tmp_path, fluid, fluid_text):
    fluid(CHECKFRC="true", N_MDSTP=1)
    assert main([str(tmp_path / "run" / "run_md.in")]) == 0
    result = json.loads((tmp_path / "run" / "md.json").read_text())
    assert result["force_check"]["largest"] < 1e-4
    assert result["errors"] is None
