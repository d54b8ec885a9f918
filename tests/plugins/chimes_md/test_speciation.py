"""Molecules of hand-made trajectories."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ald_chimes_md.commands import app
from ald_chimes_md.speciation.bonds import close_pairs
from ald_chimes_md.speciation.criteria import read_bonds
from ald_chimes_md.speciation.gen import GenFrame, read_gen
from ald_chimes_md.speciation.molecules import analyse
from ald_chimes_md.speciation.species import SpeciesTally, species_text, table_text
from ald_core.errors import InputError

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
        ("1\n0\n1e-15\n0\nC C -1\n", "line 5: the bond length '-1' is not positive"),
        ("1\n0\n1e-15\n0\nC O 1\nO C 2\n", "line 6: the pair 'O C' is listed twice"),
        ("1\n0\n1e-15\n0\nC O\n", "line 5: 'C O' is not two elements and a number"),
        ("1\n0\n1e-15\n0\n", "no pair is listed"),
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
