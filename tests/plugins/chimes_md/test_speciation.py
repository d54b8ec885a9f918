"""Molecules of hand-made trajectories."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ald_chimes_md.commands import app
from ald_chimes_md.speciation.bond_table import read_table
from ald_chimes_md.speciation.bonds import close_pairs
from ald_chimes_md.speciation.criteria import read_bonds, write_bonds
from ald_chimes_md.speciation.gen import GenFrame, read_gen
from ald_chimes_md.speciation.molecules import analyse
from ald_chimes_md.speciation.names import parse_name
from ald_chimes_md.speciation.species import (
    Species,
    SpeciesTally,
    share_of,
    species_text,
    table_text,
)
from ald_chimes_md.speciation.xyz import read_xyz
from ald_core.errors import InputError

OLD = Path(__file__).parents[2] / "data" / "legacy" / "studies"
BOX = np.eye(3) * 10.0
WATER = [[0.1, 5.0, 5.0], [9.2, 5.0, 5.0], [0.1, 5.9, 5.0]]  # O, H beyond the cell's side, H
APART = [[0.1, 5.0, 5.0], [7.0, 5.0, 5.0], [0.1, 5.9, 5.0]]


def gen(path, elements, kinds, frames, cell=BOX):
    lines = []
    for frame in frames:
        lines += [f"{len(kinds)} S #Step 20 Time 2 (fs) Temp 3276.64 (k)", " ".join(elements)]
        lines += [
            f"{i} {kind} " + " ".join(map(str, xyz))
            for i, (kind, xyz) in enumerate(zip(kinds, frame, strict=True), start=1)
        ]
        lines += ["0 0 0", *(" ".join(map(str, row)) for row in cell)]
    path.write_text("\n".join(lines) + "\n")
    return path


def bonds(folder, lifetime=0, pairs="H O 1.2\nH H 0.9\nC O 1.8\nC H 1.4\n", step="2.0e-14"):
    path = folder / "bonds.dat"
    path.write_text(f"{lifetime}\n0\t\t\n{step}\n0\n{pairs}")
    return path


def names(trajectory, criteria):
    return [[m.name for m in f.molecules] for f in analyse(trajectory, criteria)]


def test_water_across_the_side_of_the_cell(tmp_path):
    path = gen(tmp_path / "traj.gen", ["O", "H"], [1, 2, 2], [WATER])
    (frame,) = analyse(path, read_bonds(bonds(tmp_path)))
    (water,) = frame.molecules
    assert (water.name, water.atoms, water.weight) == ("O1 H2 2(H-O)", (0, 1, 2), 18.0)
    # O at 0, H at (-0.9, 0) and (0, 0.9); centre (-0.05, 0.05)
    squares = 2 * 0.05**2 + 2 * (0.85**2 + 0.05**2)
    assert water.radius == pytest.approx((squares / 3) ** 0.5)


def test_bond_needs_more_frames_than_its_lifetime_and_breaks_in_one(tmp_path):
    frames = [WATER] * 3 + [APART] + [WATER] * 3
    path = gen(tmp_path / "traj.gen", ["O", "H"], [1, 2, 2], frames)
    criteria = read_bonds(bonds(tmp_path, lifetime=2))
    whole, split = ["O1 H2 2(H-O)"], ["O1 H1 1(H-O)", "H1"]
    assert names(path, criteria) == [whole, split, split, split, whole]
    assert [f.frame for f in analyse(path, criteria)] == [3, 4, 5, 6, 7]


def test_names_follow_the_type_line(tmp_path):
    place = [[1, 1, 1], [2, 1, 1], [1, 2.2, 1], [1, 1, 2.2]]
    path = gen(tmp_path / "traj.gen", ["C", "H", "O"], [1, 2, 3, 3], [place])
    assert names(path, read_bonds(bonds(tmp_path))) == [["C1 H1 O2 1(H-C) 2(O-C)"]]
    path = gen(tmp_path / "traj.gen", ["O", "H", "C"], [3, 2, 1, 1], [place])
    assert names(path, read_bonds(bonds(tmp_path))) == [["O2 H1 C1 2(C-O) 1(C-H)"]]


def test_unlisted_pairs_never_bond(tmp_path):
    path = gen(tmp_path / "traj.gen", ["N"], [1, 1], [[[1, 1, 1], [1.9, 1, 1]]])
    assert names(path, read_bonds(bonds(tmp_path))) == [["N1", "N1"]]


def test_overlap_counts_neither_up_nor_back(tmp_path):
    near, overlap = [[1, 1, 1], [1.8, 1, 1]], [[1, 1, 1], [1.1, 1, 1]]
    path = gen(tmp_path / "traj.gen", ["H"], [1, 1], [near, overlap, near])
    assert names(path, read_bonds(bonds(tmp_path, lifetime=1))) == [["H1", "H1"], ["H2 1(H-H)"]]


def test_lifetimes_of_each_pair(tmp_path):
    path = gen(tmp_path / "traj.gen", ["O", "H"], [1, 2, 2], [WATER] * 3)
    criteria = bonds(tmp_path, lifetime=-1, pairs="H O 1.2\nH H 0.9\n")
    (tmp_path / "bond_times.dat").write_text("O H 0\nH H 2\n")
    assert names(path, read_bonds(criteria)) == [["O1 H2 2(H-O)"]]
    (tmp_path / "bond_times.dat").write_text("O H 0\n")
    with pytest.raises(InputError, match=r"bond_times\.dat: the pair 'H H' has no lifetime"):
        read_bonds(criteria)


@pytest.mark.parametrize("cell", [BOX, [[10, 0, 0], [3, 9, 0], [-2, 1, 8]], None])
def test_pairs_are_those_of_all_images(cell):
    cell = None if cell is None else np.array(cell, float)
    place = np.random.default_rng(1).uniform(-15, 15, (60, 3))
    images = [np.zeros(3)]
    if cell is not None:
        steps = np.array(np.meshgrid(*[range(-7, 8)] * 3)).reshape(3, -1).T
        images = list(steps @ cell)
    best = {}
    for shift in images:
        distance = np.linalg.norm(place[None] + shift - place[:, None], axis=2)
        for i, j in np.argwhere(np.triu(distance < 3.0, 1)):
            best[int(i), int(j)] = min(best.get((int(i), int(j)), 9.0), distance[i, j])
    frame = GenFrame(("C",), np.zeros(60, np.int64), place, cell)
    first, second, vectors = close_pairs(frame, 3.0)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == sorted(best)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([best[key] for key in sorted(best)])


def test_fractions_and_lifetimes(tmp_path):
    frames = [WATER] * 6 + [APART] * 2 + [WATER] * 2
    path = gen(tmp_path / "traj.gen", ["O", "H"], [1, 2, 2], frames)
    tally = SpeciesTally(0.02)
    for frame in analyse(path, read_bonds(bonds(tmp_path))):
        tally.add(frame.molecules)
    water, hydrogen, hydroxyl = tally.species()
    # 8 waters in 2 appearances; 2 hydrogen atoms and 2 hydroxyls in 1
    assert (water.name, hydrogen.name, hydroxyl.name) == ("O1 H2 2(H-O)", "H1", "O1 H1 1(H-O)")
    assert water.mole_fraction == pytest.approx(8 / 12)
    assert water.mass_fraction == pytest.approx(0.8)
    assert [one.lifetime for one in tally.species()] == pytest.approx([0.08, 0.04, 0.04])
    assert hydroxyl.mass_fraction == pytest.approx(2 * 17 / 180)
    table = table_text(tally.species())
    long, short = table.split("Averages for transition states\n")
    assert long.splitlines()[-1].split()[-5:] == ["0.6667", "0.8000", "18.00", "0.0800", "0.6964"]
    assert long.splitlines()[-1][:70].strip() == "O1 H2 2(H-O)"
    assert "H1  0.1667" in short
    assert "mole fraction = 0.3333" in short
    assert species_text("O1 H2 2(H-O)", tally.species()).splitlines()[2:] == ["0.6667 0.0800"]
    assert len(species_text("O2 1(O-O)", tally.species()).splitlines()) == 2


def test_names_in_any_order_and_formulae():
    water = parse_name("O1 H2 2(H-O)")
    assert parse_name("H2 O1 2(O-H)").covers(water)
    assert parse_name("H2O").covers(water)
    assert parse_name("O1 H2").covers(water)
    assert not parse_name("H2O2").covers(water)
    assert not parse_name("O1 H2 1(H-O) 1(H-H)").covers(water)
    assert not water.covers(parse_name("O1 H2 1(H-O) 1(H-H)"))
    assert parse_name("C1").covers(parse_name("C1"))
    assert parse_name("Cl1 C1 1(Cl-C)") != parse_name("C1 C1 1(C-C)")
    assert parse_name("N").covers(parse_name("N1"))


@pytest.mark.parametrize(
    "text", ["", "water", "Qq2", "H0", "H2O+", "2(H-O)", "O1 2(H-Q)", "H2 O1 2(O-H", "../H2O", "-n"]
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(ValueError, match="is no molecule; write a formula such as H2O"):
        parse_name(text)


def test_a_formula_stands_for_all_isomers():
    rows = [
        Species("H2 O1 2(O-H)", 0.4, 0.4, 18.0, 0.2, 1.0),
        Species("H2 O1 1(O-H) 1(H-H)", 0.1, 0.1, 18.0, 0.05, 1.0),
        Species("H1 O1 1(O-H)", 0.2, 1e-5, 17.0, 0.05, 1.0),
    ]
    # 4 in 2 appearances of 0.2 ps to 1 in 2 of 0.05 ps: lifetime 0.5 / (0.4 / 0.2 + 0.1 / 0.05)
    share = share_of("H2O", rows)
    assert (share.mole_fraction, share.lifetime) == pytest.approx((0.5, 0.125))
    assert share_of("O1 H2 2(H-O)", rows).lifetime == pytest.approx(0.2)
    assert share_of("OH", rows) is None  # too rare to be printed


def test_molecules_of_many_kinds_at_once(tmp_path):
    methane = [[2, 2, 2], [3, 2, 2], [1, 2, 2], [2, 3, 2], [2, 1, 2]]
    dioxide = [[6, 6, 6], [7.2, 6, 6], [4.8, 6, 6]]
    hydrogen = [[8, 2, 2], [8.7, 2, 2]]
    lonely = [[2, 8, 8]]
    kinds = [1, 2, 2, 2, 2, 1, 3, 3, 2, 2, 3]
    place = methane + dioxide + hydrogen + lonely
    path = gen(tmp_path / "traj.gen", ["C", "H", "O"], kinds, [place])
    (frame,) = analyse(path, read_bonds(bonds(tmp_path)))
    found = {m.name: (m.atoms, m.weight, m.radius) for m in frame.molecules}
    assert [m.atoms[0] for m in frame.molecules] == [0, 5, 8, 10]
    assert found == {
        "C1 H4 4(H-C)": ((0, 1, 2, 3, 4), 16.0, pytest.approx((4 / 5) ** 0.5)),
        "C1 O2 2(O-C)": ((5, 6, 7), 44.0, pytest.approx((2 * 1.2**2 / 3) ** 0.5)),
        "H2 1(H-H)": ((8, 9), 2.0, pytest.approx(0.35)),
        "O1": ((10,), 16.0, 0.0),
    }


def test_fractional_coordinates(tmp_path):
    path = tmp_path / "traj.gen"
    cell = "0 0 0\n10 0 0\n2 8 0\n0 0 5\n"
    path.write_text(f"2 F\nH\n1 1 0.95 0.5 0.0\n2 1 0.02 0.5 0.02\n{cell}")
    (frame,) = read_gen(path)
    assert frame.positions.ravel() == pytest.approx([10.5, 4, 0, 1.2, 4, 0.1])
    (hydrogen,) = next(analyse(path, read_bonds(bonds(tmp_path)))).molecules
    assert hydrogen.name == "H2 1(H-H)"
    assert hydrogen.radius == pytest.approx((0.7**2 + 0.1**2) ** 0.5 / 2)


def test_frames_of_xyz_files_are_those_of_gen_files(tmp_path):
    for name, cell in (("a", BOX), ("b", np.array([[10, 0, 0], [3, 9, 0], [-2, 1, 8]]))):
        path = gen(tmp_path / f"{name}.gen", ["O", "H"], [1, 2, 2], [WATER, APART], cell)
        box = "10 10 10" if name == "a" else "NON_ORTHO 10 0 0 3 9 0 -2 1 8"
        rows = [
            "".join(f"{e} {x} {y} {z} 0 0 0\n" for e, (x, y, z) in zip("OHH", frame, strict=True))
            for frame in (WATER, APART)
        ]
        text = "".join(f"3\n{box} -1.5\n{atoms}" for atoms in rows)
        (tmp_path / f"{name}.xyz").write_text(text)
        criteria = read_bonds(bonds(tmp_path))
        assert list(analyse(tmp_path / f"{name}.xyz", criteria)) == list(analyse(path, criteria))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3 S\n", "line 1: '3 S' is not the first line"),
        ("٣\n", "line 1: '٣' is not the first line"),
        ("9" * 5000 + "\n", "is not the first line"),
        ("1\n1 1\nC 0 0 0\n", "line 2: '1 1' does not hold the 3 numbers"),
        ("1\n1 1 0\nC 0 0 0\n", "line 2: the cell has no volume"),
        ("1\n9 9 9\nQq 0 0 0\n", "line 3: 'Qq' is not an element"),
        ("1\n9 9 9\nC 0 0 nan\n", "line 3: 'C 0 0 nan' does not hold the 3 numbers"),
        ("2\n9 9 9\nC 0 0 0\n", "line 4: the last frame is cut short"),
        ("1\n9 9 9\nC 0 0 0\n1\n9 9 9\nO 0 0 0\n", "line 4: frame 2 has other atoms"),
    ],
)
def test_faults_of_xyz_files_are_named(tmp_path, text, message):
    path = tmp_path / "traj.xyz"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        list(read_xyz(path))
    assert message in str(caught.value)


def test_bonds_of_old_studies():
    criteria = {p.parents[2].name: read_bonds(p) for p in OLD.glob("*/*/*/bonds.dat")}
    assert len(criteria) == 6
    water, propane = criteria["cluster_water"], criteria["turbo_propane"]
    assert (water.longest_lifetime, water.frame_time) == (100, 5e-4)
    assert water.length("O", "H") == water.length("H", "O") == 1.35
    assert water.unlisted(["H", "O", "Si"]) == [("H", "Si"), ("O", "Si"), ("Si", "Si")]
    # Its file lacks the line of copies, and LAMMPS calls kinds of one element C1 and C2.
    assert (propane.longest_lifetime, propane.frame_time) == (0, pytest.approx(1e-3))
    assert len(propane.lengths) == 11
    assert propane.length("C1", "C2") == 1.9
    assert propane.length("C1", "C1") == 0.0


def test_labels_count_as_elements_of_their_own(tmp_path):
    place = [[1, 1, 1], [2.5, 1, 1], [4, 1, 1]]
    path = gen(tmp_path / "traj.gen", ["C1", "C2"], [1, 2, 1], [place])
    criteria = read_bonds(bonds(tmp_path, pairs="C2 C1 1.9\n"))
    (frame,) = analyse(path, criteria)
    (propane,) = frame.molecules
    assert (propane.name, propane.weight) == ("C12 C21 2(C2-C1)", 36.0)


def test_a_table_of_bonds_becomes_a_file(tmp_path):
    table = read_table({"lifetime": 20, "O-H": 1.35, "H-H": {"length": 0.9, "lifetime": 50.5}})
    criteria = table.criteria(5.0)
    assert criteria.lengths == {("H", "O"): 1.35, ("H", "H"): 0.9}
    assert criteria.lifetimes == {("H", "O"): 4, ("H", "H"): 11}
    assert criteria.frame_time == 5e-3
    assert write_bonds(criteria, tmp_path) == ("bonds.dat", "bond_times.dat")
    assert read_bonds(tmp_path / "bonds.dat") == criteria
    one = read_table({"O-H": 1.35, "lifetime": 0.3}).criteria(0.1)
    assert one.lifetimes == {("H", "O"): 3}  # and not 4, because 0.3 / 0.1 is a little more than 3
    (tmp_path / "bond_times.dat").unlink()
    assert write_bonds(one, tmp_path) == ("bonds.dat",)
    again = read_bonds(tmp_path / "bonds.dat")
    assert (again.lengths, again.lifetimes) == (one.lengths, one.lifetimes)
    assert again.frame_time == pytest.approx(one.frame_time)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "no pair is listed"),
        ({"lifetime": 3}, "no pair is listed"),
        ({"OH": 1.3}, "'OH' is no pair of elements"),
        ({"O-Qq": 1.3}, "O-Qq: 'Qq' is not an element"),
        ({"O-H": "1.3"}, "O-H: '1.3' is not a number"),
        ({"O-H": True}, "O-H: True is not a number"),
        ({"O-H": float("nan")}, "O-H: nan is not a number"),
        ({"O-H": 0.0}, "O-H: the bond length 0.0 is not above 0"),
        ({"O-H": 130}, "O-H: the bond length 130 is not above 0 and at most 10 Å"),
        ({"O-H": 1.3, "H-O": 1.2}, "H-O: the pair is given twice"),
        ({"O-H": 1.3, "lifetime": -1}, "lifetime: the lifetime -1 is negative"),
        ({"O-H": {"length": 1.3, "time": 1}}, "is no bond"),
        ({"O-H": {"lifetime": 1}}, "is no bond"),
    ],
)
def test_faults_of_a_table_are_named(table, message):
    with pytest.raises(ValueError, match=r"write O-H = 1\.35|remove one") as caught:
        read_table(table)
    assert message in str(caught.value)


def test_command(tmp_path):
    path = gen(tmp_path / "traj.gen", ["O", "H"], [1, 2, 2], [WATER] * 2)
    words = ["species", str(path), "--bonds", str(bonds(tmp_path, 1))]
    result = CliRunner().invoke(app, [*words, "--name", "H2 1(H-H)", "--name", "O1 H2 2(H-O)"])
    assert result.exit_code == 0
    assert (tmp_path / "speciation.species-0").read_text().splitlines()[2:] == []
    assert (tmp_path / "speciation.species-1").read_text().splitlines()[2:] == ["1.0000 0.0200"]
    assert result.output.splitlines()[:6] == [
        "Beginning frame 2",
        "The box volume = 1.0000000e+03",
        "The number of molecules found = 1",
        "Beginning molecule 1",
        "Name: O1 H2 2(H-O) ",
        "   Atom list:   0   1   2",
    ]
    wrong = CliRunner().invoke(app, [*words, "--name", "water"])
    assert isinstance(wrong.exception, InputError)
    assert "--name: 'water' is no molecule" in str(wrong.exception)
    short = CliRunner().invoke(app, ["species", str(path), "--bonds", str(bonds(tmp_path, 5))])
    assert isinstance(short.exception, InputError)
    assert "no more frames than the bond lifetime, 5" in str(short.exception)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n0\n", "ends before the line with the time between frames"),
        ("x\n0\n1e-15\n0\nC C 1\n", "line 1: 'x' is not a whole number"),
        ("1\n0\n1.0\n0\nC C 1\n", "line 3: the time between frames is '1.0'"),
        ("1\n0\n1e-15\n0\nC Qq 1\n", "line 5: 'Qq' is not an element"),
        ("1\n0\n1e-15\n0\nC C nan\n", "line 5: 'nan' is not a number"),
        (
            "1\n0\n1e-15\n0\nC C -1\n",
            "line 5: the bond length '-1' is not above 0 and at most 10 Å",
        ),
        (
            "1\n0\n1e-15\n0\nC C 190\n",
            "line 5: the bond length '190' is not above 0 and at most 10 Å",
        ),
        ("9999999999\n0\n1e-15\n0\nC C 1\n", "line 1: '9999999999' frames are more than"),
        (f"{'9' * 5000}\n0\n1e-15\n0\nC C 1\n", "line 1: '9999999999"),
        ("1\n0\n1e-15\n0\nC C 1\n" + "\n" * 1_000_000, "is larger than 1000000 bytes"),
        ("1\n0\n1e-15\n0\nC O 1\nO C 2\n", "line 6: the pair 'O C' is listed twice"),
        ("1\n0\n1e-15\n0\nC O\n", "line 5: 'C O' is not two elements and a number"),
        ("1\n0\n1e-15\n0\n", "no pair is listed"),
        ("1\n1e-15\nC C 1\n", "the file ends before the line with the switch of files"),
        ("1\n1e-15\n1\nC Qq 1\n", "line 4: 'Qq' is not an element"),
    ],
)
def test_faults_of_bonds_are_named(tmp_path: Path, text, message):
    path = tmp_path / "bonds.dat"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bonds\.dat") as caught:
        read_bonds(path)
    assert message in str(caught.value)
    assert caught.value.cure


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no frame"),
        ("9" * 5000 + " S\nC\n", "is not the first line"),
        ("0 S\nC\n", "line 1: '0 S' is not the first line"),
        ("1 C\nQq\n1 1 0 0 0\n", "line 2: 'Qq' is not an element"),
        ("1 C\nC\n1 2 0 0 0\n", "line 3: the type '2'"),
        ("1 C\nC\n1 1 0 0\n", "line 3: '1 1 0 0' is not 5 numbers"),
        ("2 C\nC\n1 1 0 0 0\n", "line 4: the last frame is cut short"),
        ("1 S\nC\n1 1 0 0 0\n0 0 0\n1 0 0\n1 0 0\n0 0 1\n", "no volume"),
        ("1 C\nC\n1 1 0 0 0\n1 C\nO\n1 1 0 0 0\n", "line 4: frame 2 has other atoms"),
    ],
)
def test_faults_of_trajectories_are_named(tmp_path, text, message):
    path = tmp_path / "traj.gen"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        list(read_gen(path))
    assert message in str(caught.value)


SOUND = {
    "bonds.dat": "2\n0\n1.0e-15\n0\nC O 1.8\nO O 1.7\n",
    "traj.gen": "2 S\nC O\n1 1 0.1 0.2 0.3\n2 2 1.2 0.2 0.3\n0 0 0\n9 0 0\n0 9 0\n0 0 9\n" * 2,
    "traj.xyz": "2\nNON_ORTHO 9 0 0 0 9 0 0 0 9 1 2\nC 0.1 0.2 0.3\nO 1.2 0.2 0.3\n" * 2,
}
PIECES = ["", "\n", " ", "-1", "1e400", "nan", "C", "99999999", "٣", "x" * 100, "0", "\t9", "\x00"]


@pytest.mark.parametrize("name", SOUND)
def test_damaged_files_are_used_or_refused(tmp_path, name):
    for file, text in SOUND.items():
        (tmp_path / file).write_text(text)
    trajectory = tmp_path / (name if name.startswith("traj") else "traj.gen")
    rng, refused = np.random.default_rng(5), []
    for _ in range(400):
        text = SOUND[name]
        at = sorted(rng.integers(0, len(text), 2).tolist())
        piece = PIECES[int(rng.integers(len(PIECES)))]
        (tmp_path / name).write_text(text[: at[0]] + piece + text[min(at[1], at[0] + 3) :])
        try:
            frames = list(analyse(trajectory, read_bonds(tmp_path / "bonds.dat")))
        except InputError as error:
            refused.append(error)
        else:
            assert all(sum(len(m.atoms) for m in frame.molecules) == 2 for frame in frames)
    assert {error.path.name for error in refused} <= {name, name.replace("bonds", "bond_times")}
    assert max(len(str(error)) for error in refused) < 600
    assert 100 < len(refused) < 400
