"""Training trajectories, lists of them, and the format for ASE."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from ald_chimes_lsq.constants import GPA, HARTREE_FORCE, KCAL_PER_MOL
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.formats.traj_list import TrajectoryEntry, iterate_trajectories, read_traj_list
from ald_chimes_lsq.formats.xyzf import XyzfFrame, read_xyzf, write_xyzf
from ald_core.errors import InputError
from ald_core.frames import FrameFile, read_frames

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq"
CARBON = DATA / "trajectories" / "molten_carbon.xyzf"
ATOMS = "C 1.0 1.0 1.0  0.01 0.0 0.0\nH 2.5 1.0 1.0 -1.0E-002 0.0 0.0\n"
CELL = "NON_ORTHO 9 0 0 1 8 0 0 2 7"


def read(tmp_path, text, n_frames=None):
    path = tmp_path / "a.xyzf"
    path.write_text(text)
    return read_xyzf(path, n_frames)


@pytest.mark.parametrize("cell", ["11 12.0 13.5", CELL])
@pytest.mark.parametrize("n_stress", [0, 3, 6])
@pytest.mark.parametrize("energy", [None, -100.5])
def test_every_layout_of_the_header(tmp_path, cell, n_stress, energy):
    stress = tuple(float(i + 1) for i in range(n_stress))
    words = [cell, *map(str, stress)] + ([] if energy is None else [str(energy)])
    [frame] = read(tmp_path, f"2\n{' '.join(words)}\n{ATOMS}")
    assert frame.stress == (stress or None)
    assert frame.energy == energy
    assert frame.elements == ("C", "H")
    expected = np.diag([11, 12, 13.5]) if cell != CELL else [[9, 0, 0], [1, 8, 0], [0, 2, 7]]
    assert np.array_equal(frame.cell, expected)
    assert frame.forces[1].tolist() == [-0.01, 0.0, 0.0]
    assert frame.positions[1].tolist() == [2.5, 1.0, 1.0]


def test_the_control_file_dictates_what_is_read(tmp_path):
    [frame] = read(tmp_path, f"2\n11 11 11 1 2 3 4 5 6 -100\n{ATOMS}")
    assert frame.fitted_labels("diagonal", True) == ((1.0, 2.0, 3.0), -100.0)
    assert frame.fitted_labels("full", False) == ((1.0, 2.0, 3.0, 4.0, 5.0, 6.0), None)
    assert frame.fitted_labels("none", False) == (None, None)
    [frame] = read(tmp_path, f"2\n11 11 11 1 2 3\n{ATOMS}")
    with pytest.raises(InputError, match=r"a\.xyzf, line 2: the fit asks for 6 stresses"):
        frame.fitted_labels("full", False)
    for numbers in ("1 2 3", "1 2 3 4 5 6"):
        [frame] = read(tmp_path, f"2\n11 11 11 {numbers}\n{ATOMS}")
        assert frame.fitted_labels("diagonal", False) == ((1.0, 2.0, 3.0), None)
        with pytest.raises(InputError, match=r"asks for an energy .* has . stresses and no energy"):
            frame.fitted_labels("none", True)


def test_a_real_trajectory():
    frames = read_xyzf(CARBON)
    assert [len(f.elements) for f in frames] == [64, 64]
    assert frames[0].energy == -65849.1
    assert frames[0].stress == (-63.3987, -61.4701, -60.9766, 0.888612, 1.21514, 3.18737)
    assert frames[0].forces[0, 0] == 1.029155622740328e-02
    assert frames[1].line == 68
    assert len(read_xyzf(CARBON, 1)) == 1
    assert read_xyzf(CARBON, 0) == []


@pytest.mark.parametrize("name", ["molten_carbon.xyzf", "four_atoms.xyzf"])
def test_writing_and_reading_gives_the_same_numbers(tmp_path, name):
    frames = read_xyzf(DATA / "trajectories" / name)
    write_xyzf(tmp_path / "b.xyzf", frames)
    for old, new in zip(frames, read_xyzf(tmp_path / "b.xyzf"), strict=True):
        assert np.array_equal(old.cell, new.cell)
        assert np.array_equal(old.positions, new.positions)
        assert np.array_equal(old.forces, new.forces)
        assert (old.elements, old.stress, old.energy) == (new.elements, new.stress, new.energy)


def test_one_oblique_cell_makes_all_headers_general(tmp_path):
    cells = [np.diag([9.0, 9.0, 9.0]), np.array([[9.0, 0, 0], [1.0, 9.0, 0], [0, 0, 9.0]])]
    frames = [XyzfFrame(("C",), cell, np.zeros((1, 3)), np.zeros((1, 3))) for cell in cells]
    write_xyzf(tmp_path / "b.xyzf", frames)
    assert (tmp_path / "b.xyzf").read_text().count("NON_ORTHO") == 2
    write_xyzf(tmp_path / "b.xyzf", frames[:1])
    assert "NON_ORTHO" not in (tmp_path / "b.xyzf").read_text()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "no frames"),
        ("\n\n", None, "no frames"),
        ("two\n", 1, "must be an integer"),
        ("0\n9 9 9\n", 1, "at least 1"),
        (f"3\n9 9 9\n{ATOMS}", 1, "the file ends after"),
        (f"2\n9 9 9\n{ATOMS}2\n9 9 9\n", 5, "the file ends after"),
        (f"1\n9 9 9\n{ATOMS}", 4, "expected the number of atoms"),
        (
            f"3\n9 9 9\n{ATOMS}2\n9 9 9\n{ATOMS}",
            5,
            "found 1: '2'; write these, or correct the number of atoms",
        ),
        (f"2\n9 9\n{ATOMS}", 2, "header with 2 words"),
        (f"2\n9 9 9 1 2\n{ATOMS}", 2, "header with 5 words"),
        (f"2\n9 9 9 Lattice\n{ATOMS}", 2, "finite number, found 'Lattice'"),
        (f"2\n9 9 0\n{ATOMS}", 2, "must be positive"),
        (f"2\nNON_ORTHO 9 0 0 9 0 0 0 0 9\n{ATOMS}", 2, "no volume"),
        (f"2\n9 9 9\n{ATOMS.replace('2.5', 'nan')}", 4, "a position must be a finite number"),
        (f"2\n9 9 9\n{ATOMS.replace('0.01', 'inf')}", 3, "a force must be a finite number"),
        (f"2\n9 9 9\n{ATOMS.replace('2.5', '2_5')}", 4, "found '2_5'"),
        (f"2\n9 9 9\n{ATOMS.replace('H', '1')}", 4, "name of an element"),
        ("2\n9 9 9\nC 1 1 1\nC 2 2 2\n", 3, "7 columns .* found 4"),
    ],
)
def test_malformed_trajectories(tmp_path, text, line, message):
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text)
    assert caught.value.line == line


def test_too_few_frames(tmp_path):
    with pytest.raises(InputError, match="5 frames are asked for, but the file has 2"):
        read_xyzf(CARBON, 5)


def test_lists_of_trajectories(tmp_path):
    path = tmp_path / "traj_list.dat"
    path.write_text(
        "5\n9 a.xyzf\n0 b.xyzf\n5 sub/c.xyzf 300\n1 d.xyzf F_ None E_\n2 /e.xyzf 6000 G_ S_ X_\n\n"
    )
    assert read_traj_list(path) == [
        TrajectoryEntry(9, tmp_path / "a.xyzf", line=2),
        TrajectoryEntry(5, tmp_path / "sub" / "c.xyzf", 300.0, line=4),
        TrajectoryEntry(1, tmp_path / "d.xyzf", None, "F_", "", "E_", line=5),
        TrajectoryEntry(2, Path("/e.xyzf"), 6000.0, "G_", "S_", "X_", line=6),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "the list is empty"),
        ("9 a.xyzf\n", 1, "must be the number of trajectories"),
        ("2\n9 a.xyzf\n", 1, "2 trajectories are announced, but 1 lines follow"),
        ("1\n9 a.xyzf\n9 b.xyzf\n", 1, "but 2 lines follow"),
        ("1\n9 a.xyzf F S\n", 2, "'9 a.xyzf F S' is no line of a list"),
        ("1\nnine a.xyzf\n", 2, "must be an integer"),
        ("1\n9 a.xyzf hot\n", 2, "the temperature must be a finite number"),
        ("1\n9 a.xyzf -3\n", 2, "must not be negative"),
        ("1\n0 a.xyzf\n", 1, "0 frames"),
    ],
)
def test_malformed_lists(tmp_path, text, line, message):
    path = tmp_path / "traj_list.dat"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_traj_list(path)
    assert caught.value.line == line


def test_frames_of_a_fit(tmp_path):
    setup_text = (DATA / "setups" / "molten_carbon.fm_setup.in").read_text()
    (tmp_path / "a.xyzf").write_text(CARBON.read_text())
    (tmp_path / "traj_list.dat").write_text("2\n1 a.xyzf 6000\n2 a.xyzf\n")
    path = tmp_path / "fm_setup.in"
    for n_frames, sizes in ((3, [1, 2]), (2, [1, 1]), (1, [1])):
        path.write_text(setup_text.replace("\t25\n", f"\t{n_frames}\n"))
        found = list(iterate_trajectories(read_setup(path)))
        assert [entry.n_frames for entry, _ in found] == [1, 2, 2][:n_frames]
        assert len(found) == sum(sizes)
        assert found[0][0].temperature == 6000.0
    path.write_text(setup_text.replace("\t25\n", "\t4\n"))
    with pytest.raises(InputError, match=r"NFRAMES is 4, but .* have 3 frames") as caught:
        list(iterate_trajectories(read_setup(path)))
    assert caught.value.line == path.read_text().split("\n").index("\t4") + 1
    (tmp_path / "traj_list.dat").write_text("2\n1 a.xyzf 6000\n3 a.xyzf\n")
    with pytest.raises(InputError, match=r"line 3: the list says 3, but a.xyzf has 2 frames"):
        list(iterate_trajectories(read_setup(path)))
    text = setup_text.replace("MULTI traj_list.dat", "a.xyzf")
    path.write_text(text.replace("\t25\n", "\t2\n"))
    assert len(list(iterate_trajectories(read_setup(path)))) == 2
    path.write_text(text.replace("\t25\n", "\t3\n"))
    with pytest.raises(InputError, match=r"NFRAMES is 3, but a.xyzf has 2 frames"):
        list(iterate_trajectories(read_setup(path)))


def test_ase_reads_labels_in_its_units():
    images = ase.io.read(CARBON, index=":")
    native = read_xyzf(CARBON)
    assert len(images) == 2
    atoms, frame = images[0], native[0]
    assert atoms.pbc.all()
    assert atoms.get_chemical_formula() == "C64"
    assert atoms.get_potential_energy() == pytest.approx(-65849.1 * 0.0433641153, rel=1e-6)
    assert np.array_equal(atoms.get_forces(), frame.forces * (HARTREE_FORCE * KCAL_PER_MOL))
    # 1 Ha/bohr is 51.42208619 eV/Å, 1 GPa is 0.0062415091 eV/Å³ (CODATA 2018).
    assert atoms.get_forces()[0, 0] == pytest.approx(1.029155622740328e-02 * 51.42208619, rel=1e-6)
    expected = np.array([-63.3987, -61.4701, -60.9766, 3.18737, 1.21514, 0.888612]) * -0.0062415091
    assert atoms.get_stress() == pytest.approx(expected, rel=1e-6)
    assert ase.io.read(CARBON).get_potential_energy() == images[1].get_potential_energy()


def test_ase_writes_what_it_read(tmp_path):
    images = ase.io.read(CARBON, index=":")
    ase.io.write(tmp_path / "b.xyzf", images)
    for old, new in zip(images, ase.io.read(tmp_path / "b.xyzf", index=":"), strict=True):
        assert np.array_equal(old.positions, new.positions)
        assert old.get_forces() == pytest.approx(new.get_forces(), rel=1e-14)
        assert old.get_stress() == pytest.approx(new.get_stress(), rel=1e-14)
        assert old.get_potential_energy() == pytest.approx(new.get_potential_energy(), rel=1e-14)


def test_diagonal_stress_is_no_stress_of_the_calculator(tmp_path):
    (tmp_path / "a.xyzf").write_text(f"2\n9 9 9 1 2 3\n{ATOMS}")
    atoms = ase.io.read(tmp_path / "a.xyzf")
    assert "stress" not in atoms.calc.results
    assert "energy" not in atoms.calc.results
    assert atoms.info["stress_diagonal"] == pytest.approx(np.array([1, 2, 3]) * -KCAL_PER_MOL / GPA)
    ase.io.write(tmp_path / "b.xyzf", atoms)
    assert read_xyzf(tmp_path / "b.xyzf")[0].stress == pytest.approx((1.0, 2.0, 3.0), rel=1e-14)


def test_ase_refuses_what_it_cannot_hold(tmp_path):
    (tmp_path / "a.xyzf").write_text(f"2\n9 9 9\n{ATOMS.replace('H', 'C1')}")
    with pytest.raises(InputError, match="line 4: 'C1' is not a chemical element"):
        ase.io.read(tmp_path / "a.xyzf")
    with pytest.raises(InputError, match="without forces"):
        ase.io.write(tmp_path / "b.xyzf", Atoms("H", cell=[9, 9, 9]))
    bare = Atoms("H", cell=[9, 9, 9], pbc=True)
    bare.calc = SinglePointCalculator(bare, energy=1.0)
    with pytest.raises(InputError, match="without forces"):
        ase.io.write(tmp_path / "b.xyzf", bare)


def test_the_name_of_a_trajectory_may_be_like_one_of_another_program(tmp_path):
    """ASE takes whatever has OUTCAR in its name for an output of VASP."""
    path = tmp_path / "OUTCAR300.xyzf"
    path.write_text("1\n9.0 9.0 9.0 -5.0\nC 1.0 2.0 3.0 0.1 0.2 0.3\n")
    ((frame, labels),) = read_frames([FrameFile(file=path)], ["C"])
    assert frame.origin.source == "OUTCAR300"
    assert labels.energy == pytest.approx(-5.0 * KCAL_PER_MOL)
