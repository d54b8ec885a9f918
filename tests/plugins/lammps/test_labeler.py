"""The labeler `lammps` with the real program: any cell, templates, wrong inputs, failed runs."""

import json
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ald_core.errors import InputError
from ald_core.testing import VOIGT, compressed_cell, frame_of, label, mixed_cell
from ald_core.types import Failure, Labels
from ald_lammps.labeler import LammpsLabeler

from .conftest import MIXED, SINGLE

PROPANE = Path(__file__).parents[2] / "data" / "legacy" / "studies" / "turbo_propane"
TURN = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]


def labels(labeler, atoms, workdir):
    found = label(labeler, frame_of(atoms), workdir)
    assert isinstance(found, Labels), found
    return found


# ---------------------------------------------------------------- any cell


def turned(atoms, rotation):
    other = atoms.copy()
    other.set_cell(atoms.cell[:] @ rotation.T, scale_atoms=True)
    return other


def in_other_vectors(atoms, whole):
    """The same crystal, described by other cell vectors."""
    other = atoms.copy()
    other.set_cell(np.array(whole) @ atoms.cell[:], scale_atoms=False)
    return other


@pytest.mark.parametrize("rotation", [TURN, -TURN], ids=["one hand", "the other hand"])
def test_turned_cells_have_turned_labels(single, tmp_path, rotation):
    labeler = LammpsLabeler(inputs=single)
    atoms = compressed_cell()
    one = labels(labeler, atoms, tmp_path / "0")
    two = labels(labeler, turned(atoms, rotation), tmp_path / "1")
    assert two.energy == pytest.approx(one.energy, rel=1e-13)
    assert np.allclose(two.forces, one.forces @ rotation.T, rtol=0, atol=1e-11)
    tensor = np.zeros((3, 3))
    for value, (a, b) in zip(one.stress, VOIGT, strict=True):
        tensor[a, b] = tensor[b, a] = value
    tensor = rotation @ tensor @ rotation.T
    assert np.allclose(two.stress, [tensor[a, b] for a, b in VOIGT], rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "whole", [[[1, 0, 0], [2, 1, 0], [-3, 2, 1]], [[0, 1, 0], [1, 0, 0], [0, 0, 1]]]
)
def test_oblique_cells_and_other_orders_of_vectors_mean_the_same(single, tmp_path, whole):
    labeler = LammpsLabeler(inputs=single)
    atoms = compressed_cell()
    one = labels(labeler, atoms, tmp_path / "0")
    two = labels(labeler, in_other_vectors(atoms, whole), tmp_path / "1")
    assert two.energy == pytest.approx(one.energy, rel=1e-13)
    assert np.allclose(two.forces, one.forces, rtol=0, atol=1e-11)
    assert np.allclose(two.stress, one.stress, rtol=0, atol=1e-13)


def test_the_smallest_tilt_counts(single, tmp_path):
    """A box that is a thousandth of an Å out of square is not square."""
    labeler = LammpsLabeler(inputs=single)
    atoms = bulk("C", "diamond", a=3.5, cubic=True).repeat(3)
    atoms.rattle(0.05, seed=2)
    atoms.set_cell(atoms.cell[:] + np.diag([1e-3, 5e-4], -1), scale_atoms=True)
    labels(labeler, atoms, tmp_path / "0")
    assert "xy xz yz" in (tmp_path / "0" / "data.in").read_text()
    atoms.set_cell(np.diag(atoms.cell.lengths()), scale_atoms=True)
    labels(labeler, atoms, tmp_path / "1")
    assert "xy xz yz" not in (tmp_path / "1" / "data.in").read_text()


def test_atoms_outside_the_cell_are_those_inside(single, tmp_path):
    labeler = LammpsLabeler(inputs=single)
    atoms = compressed_cell()
    one = labels(labeler, atoms, tmp_path / "0")
    atoms.positions += np.array([[3, -2, 1], *[[0, 0, 0]] * 6, [-7, 5, 0]]) @ atoms.cell[:]
    two = labels(labeler, atoms, tmp_path / "1")
    assert np.allclose(two.forces, one.forces, rtol=0, atol=1e-10)


def test_all_derivatives(new_inputs, tmp_path):
    """Every stress component and a force, with its sign, to the precision of the differences."""
    text = SINGLE.replace("metal", "real").replace("1.5 1.6", "35 1.6")
    labeler = LammpsLabeler(inputs=new_inputs(**{"in.lammps": text}))
    atoms = turned(compressed_cell(), TURN)
    found = labels(labeler, atoms, tmp_path / "0")
    h = 1e-4

    def energy(change, sign, name):
        other = atoms.copy()
        change(other, sign * h)
        return labels(labeler, other, tmp_path / f"{name}{sign}").energy

    def slope(change, name):
        return (energy(change, 1, name) - energy(change, -1, name)) / (2 * h)

    for k, (a, b) in enumerate(VOIGT):

        def strain(other, size, a=a, b=b):
            matrix = np.eye(3)
            matrix[a, b] += size / 2
            matrix[b, a] += size / 2
            other.set_cell(other.cell[:] @ matrix, scale_atoms=True)

        expected = slope(strain, f"s{k}") / atoms.get_volume()
        assert found.stress[k] == pytest.approx(expected, rel=1e-6, abs=1e-8)

    def move(other, size):
        other.positions[5, 1] += size

    assert found.forces[5, 1] == pytest.approx(-slope(move, "f"), rel=1e-6)


def test_hot_atoms_have_no_kinetic_energy_in_their_stress(new_inputs, tmp_path):
    cold = new_inputs(**{"in.lammps": SINGLE})
    hot = new_inputs(**{"in.lammps": SINGLE + "velocity all create 9000 3\nfix 1 all nve\n"})
    one = labels(LammpsLabeler(inputs=cold), compressed_cell(), tmp_path / "0")
    two = labels(LammpsLabeler(inputs=hot), compressed_cell(), tmp_path / "1")
    assert two.energy == one.energy
    assert np.array_equal(two.stress, one.stress)


# ---------------------------------------------------------------- templates


@pytest.fixture
def propane(tmp_path):
    """Base files as users have them, and their molecules."""
    folder = shutil.copytree(PROPANE / "ALL_BASE_FILES" / "LMP_BASEFILES", tmp_path / "propane")
    rows = [line.split() for line in (folder / "1.data.in").read_text().splitlines()]
    rows = [row for row in rows if len(row) == 6]
    assert len(rows) == 72
    positions = [[float(x) for x in row[3:]] for row in rows]
    atoms = Atoms("C72", positions, cell=[15.0, 15.0, 15.0], pbc=True)
    return LammpsLabeler(inputs=folder, temperature=1.0, units="real"), atoms


def test_a_template_gets_the_coordinates_and_the_cell_of_the_frame(propane, tmp_path):
    labeler, atoms = propane
    assert labeler.check(["C"]) == []
    assert labeler.check_temperature(500.0, ["C"]) == []
    atoms.rattle(0.03, seed=1)
    atoms.set_cell([[15.1, 0, 0], [0.3, 14.9, 0], [0, -0.2, 15.0]], scale_atoms=True)
    found = labels(labeler, atoms, tmp_path / "0")
    h = 1e-4
    energies = []
    for sign in (1, -1):
        other = atoms.copy()
        other.positions[4, 2] += sign * h
        energies.append(labels(labeler, other, tmp_path / f"{sign}").energy)
    assert found.forces[4, 2] == pytest.approx(-(energies[0] - energies[1]) / (2 * h), rel=1e-6)


def test_the_order_of_a_template_is_that_of_its_lines(new_inputs, tmp_path):
    """And not that of the atoms' numbers, in which the program writes."""
    text = """title with Atoms in it

3 atoms
2 atom types
0 9 xlo xhi
-1 8 ylo yhi
0 9 zlo zhi
Masses

1 15.999 # O
2 1.008
Atoms # atomic

7 2 0 0 0 1 0 0
3 1 1 0 0 0 0 0
5 2 1 1 0 0 0 0
"""
    script = "units metal\nread_data data.in\npair_style morse 4\npair_coeff * * 1 2 1\npair_coeff 1 2 4 2 1\n"
    atoms = Atoms("HOH", [[0, 0, 0.3], [1, 0, 0], [1, 1, 0.1]], cell=[9.0, 9.0, 9.0], pbc=True)
    templated = LammpsLabeler(inputs=new_inputs(**{"in.lammps": script, "data.in": text}))
    plain = LammpsLabeler(inputs=new_inputs(**{"in.lammps": script}), types=("O", "H"))
    assert templated.check(["H", "O"]) == []
    one, two = (labels(x, atoms, tmp_path / n) for x, n in ((templated, "a"), (plain, "b")))
    assert one.energy == pytest.approx(two.energy, rel=1e-14)
    assert np.allclose(one.forces, two.forces, rtol=0, atol=1e-13)

    for other, words in ((atoms[[1, 0, 2]], "is H by its type, but O"), (atoms[:2], "has 3 atoms")):
        with pytest.raises(InputError, match=words):
            templated.prepare(frame_of(other), tmp_path, 0)


# ---------------------------------------------------------------- inputs by temperature


def test_inputs_of_the_temperature_are_taken(new_inputs, tmp_path):
    weak = SINGLE.replace("1.5 1.6", "0.5 1.6")
    folder = new_inputs(**{"in.lammps": SINGLE, "3000.in.lammps": weak, "weak.table": "1\n"})
    labeler = LammpsLabeler(inputs=folder)
    warm = labels(labeler, compressed_cell(), tmp_path / "warm")
    cold = label(labeler, frame_of(compressed_cell(), temperature=300.0), tmp_path / "cold")
    fixed = labels(attrs.evolve(labeler, temperature=300.0), compressed_cell(), tmp_path / "fixed")
    assert fixed.energy == cold.energy == pytest.approx(3 * warm.energy, rel=1e-12)
    assert (tmp_path / "warm" / "weak.table").is_file()


def test_a_missing_input_is_told(new_inputs):
    labeler = LammpsLabeler(inputs=new_inputs(**{"300.in.lammps": SINGLE}))
    [problem] = labeler.check_temperature(3000.0, ["C"])
    assert problem.endswith(
        "there is no 3000.in.lammps or in.lammps; add it, or correct the folder"
    )
    assert labeler.check_temperature(300.0, ["C"]) == []


# ---------------------------------------------------------------- wrong inputs


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("units metal\n", "", "has no units, and would take lj"),
        ("units metal", "units lj", "line 1: units lj cannot be used; write metal or real"),
        ("units metal", "units real", "line 1: has units real, but the labeler was told metal"),
        ("atomic", "sphere", "line 2: atom_style sphere is not possible here"),
        ("atomic", "molecular", "or give a template data.in"),
        ("read_data data.in\n", "", "reads no atoms; add the line 'read_data data.in'"),
        ("data.in", "other.in", "line 3: reads 'other.in', which does not hold the atoms"),
        ("yes\n", "yes\nvariable n equal 10\nrun ${n}\n", "line 8: moves the atoms"),
        ("yes\n", "yes\nminimize 0 0 1 1\n", "line 7: moves the atoms"),
        ("yes\n", "yes\nquit\n", "line 7: ends LAMMPS"),
        ("atomic\n", "atomic\nboundary p p f\n", "line 3: frames are periodic"),
        ("yes\n", "yes\nfix 1 all langevin 1 1 1 1\n", "the forces of fix langevin"),
        ("yes\n", "yes\ninclude more.in\n", "line 7: there is no file"),
    ],
)
def test_wrong_scripts_are_refused_in_one_sentence(new_inputs, old, new, words):
    text = SINGLE.replace(old, new, 1)
    labeler = LammpsLabeler(inputs=new_inputs(**{"in.lammps": text}), units="metal")
    [problem] = labeler.check(["C"])
    assert words in problem
    assert "in.lammps" in problem
    assert "\n" not in problem


def test_several_elements_need_the_types(mixed, tmp_path):
    [problem] = LammpsLabeler(inputs=mixed).check(["O", "Al"])
    assert problem.endswith('for example ["Al", "O"]')
    [problem] = LammpsLabeler(inputs=mixed, types=("Al",)).check(["O", "Al"])
    assert "types: O of the study is missing" in problem
    with pytest.raises(ValueError, match="'C1' is no chemical element"):
        LammpsLabeler(inputs=mixed, types=("C1",))
    with pytest.raises(InputError, match="types: name the elements"):
        LammpsLabeler(inputs=mixed).prepare(frame_of(mixed_cell()), tmp_path, 0)


def test_frames_without_a_cell_are_refused(single, tmp_path):
    with pytest.raises(InputError, match="has no periodic cell"):
        LammpsLabeler(inputs=single).prepare(frame_of(Atoms("C")), tmp_path, 0)


# ---------------------------------------------------------------- failed runs


@pytest.mark.parametrize(
    ("old", "new", "kind", "words"),
    [
        ("pair_coeff", "pair_coef", "input", "Unknown command: pair_coef"),
        ("morse 4.0", "mors 4.0", "input", "Unrecognized pair style 'mors'"),
        ("pair_coeff * * 1.5 1.6 1.9\n", "", "input", "All pair coeffs are not set"),
        ("morse 4.0", "table linear 10 x", "input", "ERROR"),
        ("units metal", "units metal\nif 1 then 'units lj'", "input", "has units lj"),
        ("yes\n", "yes\nif 1 then quit\n", "invalid", "no complete result"),
        ("yes\n", "yes\ndisplace_atoms all move 0.1 0 0\n", "invalid", "is 0.1 Å from where"),
        ("yes\n", "yes\nchange_box all x scale 1.1 remap\n", "invalid", "another configuration"),
        ("yes\n", "yes\ndelete_atoms group all\n", "invalid", ""),
        ("1.5 1.6", "1e308 60", "invalid", "not finite"),
        ("yes\n", "yes\ngroup g id 1\ndelete_atoms group g compress no\n", "invalid", "7 atoms, not 8"),
        ("yes\n", "yes\nvelocity all create 1e9 1\nfix 1 all nve\nvariable n equal 5*4\nrun $n\n", "invalid", "Lost"),
    ],
)  # fmt: skip
def test_failed_runs_are_failures_with_their_reason(new_inputs, tmp_path, old, new, kind, words):
    folder = new_inputs(**{"in.lammps": SINGLE.replace(old, new, 1)})
    found = label(LammpsLabeler(inputs=folder), frame_of(compressed_cell()), tmp_path)
    assert isinstance(found, Failure)
    assert words in found.reason
    assert found.kind == kind, found


@pytest.fixture
def finished(single, tmp_path):
    """A labelled frame, its folder, its labels."""
    labeler, frame = LammpsLabeler(inputs=single), frame_of(compressed_cell())
    found = label(labeler, frame, tmp_path / "finished")
    assert isinstance(found, Labels)
    return labeler, frame, tmp_path / "finished"


def test_every_line_of_the_outputs_counts(finished):
    """A lost line of the dump, or of the table in the log, is noticed."""
    labeler, frame, folder = finished
    table = (folder / "label.log").read_text().splitlines()
    head = next(i for i, line in enumerate(table) if "PotEng" in line)
    for name, places in (("label.lammpstrj", range(17)), ("label.log", range(head, head + 3))):
        lines = (folder / name).read_text().splitlines(keepends=True)
        for i in places:
            (folder / name).write_text("".join(lines[:i] + lines[i + 1 :]))
            assert isinstance(labeler.collect(frame, folder), Failure), lines[i]
        (folder / name).write_text("".join(lines))
    assert isinstance(labeler.collect(frame, folder), Labels)


def test_a_frame_of_another_temperature_does_not_take_these_outputs(finished):
    labeler, frame, folder = finished
    found = labeler.collect(attrs.evolve(frame, temperature=1.0), folder)
    assert isinstance(found, Failure)
    assert "another frame" in found.reason


def test_a_library_that_is_missing_is_told(finished):
    labeler, frame, folder = finished
    (folder / "label.log").unlink()
    (folder / "stdout").write_text("")
    said = (
        "lmp: error while loading shared libraries: libmpi.so.12: cannot open shared object file\n"
    )
    (folder / "stderr").write_text(said)
    found = labeler.collect(frame, folder)
    assert (found.kind, "libmpi.so.12" in found.reason) == ("input", True)


def test_the_log_tells_the_version(finished):
    _, _, folder = finished
    assert (folder / "log.lammps").read_text().startswith("LAMMPS (")
    assert json.loads((folder / "label.json").read_text())["units"] == "metal"


def test_mixed_inputs_are_read_whatever_their_layout(new_inputs):
    text = MIXED.replace("\n", "\r\n")
    assert (
        LammpsLabeler(inputs=new_inputs(**{"in.lammps": text}), types=("Al", "C", "O")).check(
            ["C", "O"]
        )
        == []
    )
