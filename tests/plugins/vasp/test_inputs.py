"""What VASP is given for a frame."""

import re

import numpy as np
import pytest
from ase.io import read
from ase.units import kB

from ald_core.testing import compressed_cell, contents, frame_of, mixed_cell, water
from ald_vasp.incar import parse_incar, read_incar
from ald_vasp.labeler import VaspLabeler

ELEMENTS = ("Al", "C", "O")


def prepared(labeler, frame, path, rung=0):
    path.mkdir()
    return labeler.prepare(frame, path, rung)


# ---------------------------------------------------------------- what VASP is given


def test_files_of_a_frame(labeler, program, tmp_path):
    spec = prepared(labeler, frame_of(mixed_cell()), tmp_path / "task")
    assert spec.command == (program,)
    assert spec.outputs == ("OUTCAR",)
    files = contents(tmp_path / "task")
    assert sorted(files) == ["INCAR", "KPOINTS", "POSCAR", "POTCAR"]
    given = (labeler.inputs / "3000.INCAR").read_text()
    assert files["INCAR"].decode() == given + "LWAVE = .FALSE.\nLCHARG = .FALSE.\n"
    lines = files["POSCAR"].decode().splitlines()
    assert lines[0] == "001-case-000000010: Al O ( 3000 K)"
    assert lines[5].split() == ["Al", "O"]
    assert lines[6].split() == ["2", "2"]
    assert re.findall(rb"TITEL  = (.*)", files["POTCAR"]) == [
        b"PAW_PBE Al 08Apr2002",
        b"PAW_PBE O 08Apr2002",
    ]


@pytest.mark.parametrize("symbols", ["OAlOAl", "SSiSSi", "ClCCCl", "HHeHeH", "SiOSiO", "BaOOBa"])
def test_atoms_go_with_their_elements(program, fill, tmp_path, symbols):
    atoms = mixed_cell(symbols)
    elements = sorted(set(atoms.get_chemical_symbols()))
    fill(tmp_path / "inputs", elements)
    labeler = VaspLabeler(inputs=tmp_path / "inputs", program=program)
    prepared(labeler, frame_of(atoms), tmp_path / "task")
    found = read(tmp_path / "task" / "POSCAR")
    order = [atoms.get_chemical_symbols().index(e) for e in elements]
    assert found.get_chemical_symbols() == [e for e in elements for _ in range(2)]
    first = [found.get_chemical_symbols().index(e) for e in elements]
    assert found.positions[first] == pytest.approx(atoms.positions[order], abs=1e-14)
    assert found.cell[:] == pytest.approx(atoms.cell[:], abs=1e-14)
    titles = re.findall(r"TITEL  = PAW_PBE (\S+)", (tmp_path / "task" / "POTCAR").read_text())
    assert titles == elements


def test_each_temperature_has_its_own_files(program, fill, tmp_path):
    folder = tmp_path / "inputs"
    for kelvin in (300, 6000):
        fill(folder, ELEMENTS, f"{kelvin}.INCAR", f"{kelvin * kB:.6f}")
    (folder / "300.KPOINTS").write_text("cold\n")
    labeler = VaspLabeler(inputs=folder, program=program)
    for kelvin, kpoints in ((300.0, "cold"), (6000.0, "Automatic")):
        assert labeler.check_temperature(kelvin, ELEMENTS) == []
        frame = frame_of(compressed_cell(), temperature=kelvin)
        prepared(labeler, frame, tmp_path / f"{kelvin:g}")
        incar = read_incar(tmp_path / f"{kelvin:g}" / "INCAR")
        assert incar.get("SIGMA").number == pytest.approx(kelvin * kB, abs=1e-6)
        text = (tmp_path / f"{kelvin:g}" / "KPOINTS").read_text()
        assert text.startswith(kpoints)
    (said,) = labeler.check_temperature(500.0, ELEMENTS)
    assert said.endswith("inputs: there is no 500.INCAR or INCAR; add it, or correct the folder")
    fixed = VaspLabeler(inputs=folder, program=program, temperature=6000.0)
    assert fixed.check_temperature(500.0, ELEMENTS) == []
    prepared(fixed, frame_of(compressed_cell(), temperature=500.0), tmp_path / "fixed")
    assert (tmp_path / "fixed/INCAR").read_bytes() == (tmp_path / "6000/INCAR").read_bytes()


def test_rungs_change_the_algorithm_and_nothing_else(labeler, tmp_path):
    frame = frame_of(compressed_cell())
    files = []
    for rung in range(5):
        prepared(labeler, frame, tmp_path / str(rung), rung)
        files.append(contents(tmp_path / str(rung)))
    assert [parse_incar(f["INCAR"].decode()).get("ALGO") for f in files[:1]] == [None]
    algorithms = [parse_incar(f["INCAR"].decode()).get("ALGO").word for f in files[1:]]
    assert algorithms == ["Normal", "All", "Damped", "Damped"]
    told = []
    for found in files:
        incar = parse_incar(found.pop("INCAR").decode())
        told.append({s.tag: s.value for s in incar.statements} | {"ALGO": 0, "IALGO": 0, "NELM": 0})
    assert all(found == files[0] for found in files)
    assert all(one == told[0] for one in told)


@pytest.mark.parametrize("cell", [None, np.eye(3) * 5.0])
def test_a_molecule_gets_a_box(labeler, fill, tmp_path, cell):
    fill(labeler.inputs, ["H"])
    atoms = water()
    atoms.cell = cell
    prepared(labeler, frame_of(atoms, "gas"), tmp_path / "task")
    found = read(tmp_path / "task" / "POSCAR")
    extent = np.ptp(atoms.positions, axis=0)
    assert found.cell.lengths() == pytest.approx(extent + 12.0)
    assert found.get_all_distances()[0, 2] == pytest.approx(atoms.get_distance(1, 0))
    assert found.positions.min() == pytest.approx(6.0)


def test_a_molecule_in_a_periodic_cell_keeps_it(labeler, fill, tmp_path):
    fill(labeler.inputs, ["H"])
    atoms = water()
    atoms.set_cell([9.0, 10.0, 11.0])
    atoms.pbc = True
    prepared(labeler, frame_of(atoms, "gas"), tmp_path / "task")
    found = read(tmp_path / "task" / "POSCAR")
    assert found.cell.lengths().tolist() == [9.0, 10.0, 11.0]
    assert sorted(found.positions[:, 2]) == pytest.approx(sorted(atoms.positions[:, 2]))


def test_a_surface_gets_space_above_it(labeler, tmp_path):
    atoms = compressed_cell()
    atoms.pbc = (True, True, False)
    prepared(labeler, frame_of(atoms), tmp_path / "task")
    found = read(tmp_path / "task" / "POSCAR")
    assert found.cell[:2] == pytest.approx(atoms.cell[:2], abs=1e-14)
    normal = np.cross(*found.cell[:2])
    height = found.cell[2] @ normal / np.linalg.norm(normal)
    heights = atoms.positions @ normal / np.linalg.norm(normal)
    assert height == pytest.approx(12.0 + np.ptp(heights))


def test_left_handed_cells_are_turned_into_the_same_lattice(labeler, tmp_path):
    atoms = compressed_cell()
    atoms.set_cell(atoms.cell[:][[1, 0, 2]])
    assert atoms.cell.handedness == -1
    prepared(labeler, frame_of(atoms), tmp_path / "task")
    found = read(tmp_path / "task" / "POSCAR")
    assert found.cell[:] == pytest.approx(-atoms.cell[:], abs=1e-14)
    assert found.positions == pytest.approx(atoms.positions, abs=1e-14)


def test_velocities_and_constraints_stay_out(labeler, tmp_path):
    atoms = compressed_cell()
    prepared(labeler, frame_of(atoms.copy()), tmp_path / "bare")
    atoms.set_momenta(np.ones((len(atoms), 3)))
    prepared(labeler, frame_of(atoms), tmp_path / "moving")
    assert contents(tmp_path / "bare") == contents(tmp_path / "moving")
