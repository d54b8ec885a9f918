"""`ald chimes lsq` against what the reference program makes of the same files."""

import hashlib
import shutil

import numpy as np
import pytest
from chimes_commands import CASES, DATA, GOLDEN, ald, case, files

from ald_chimes_lsq.design_files import selected_frames
from ald_chimes_lsq.formats.matrix_text import read_matrix
from ald_chimes_lsq.formats.setup import read_setup


@pytest.mark.parametrize(
    ("name", "frames"),
    [("nonorth2", None), ("one-file-three-trajs", 1), ("stress-and-ener-2b1", 2)],
)
def test_lsq_writes_the_files_of_the_reference(name, frames, tmp_path):
    folder = tmp_path / name
    setup = case(name, folder, frames)
    status, out, _ = ald("lsq", folder / "fm_setup.in")
    assert status == 0
    for file, digest in GOLDEN["digests"][name].items():
        if file != "force.txt":
            assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest, file
    for file in ("params.header", "ff_groups.map"):
        assert (folder / file).read_bytes() == (CASES / name / "expected" / file).read_bytes()
    columns, rows = map(int, (folder / "dim.txt").read_text().split())
    size, *closest = out.splitlines()
    assert size.split()[2:] == [str(rows), "rows,", str(columns), "columns"]
    assert len(closest) == len(setup.basis.pairs)
    matrix = read_matrix(folder / "A.txt", tmp_path / "A.bin")
    assert matrix.shape == (rows, columns)
    expected = np.concatenate(
        [
            f.fitted(setup).rows(setup.basis, offsets=setup.has_offsets)
            for f in selected_frames(setup)
        ]
    )
    np.testing.assert_array_equal(matrix[0:rows], expected)
    if name == "nonorth2":
        golden = np.load(CASES / name / "expected" / "A.npz")["A"]
        assert np.abs(expected - golden).max() < 1e-12 * np.abs(golden).max()
    assert not list(folder.glob(".*.new"))


@pytest.mark.parametrize("name", ["fitstrs3b", "h2o-invr", "special3b", "special4b", "test_4atoms"])
def test_lsq_writes_the_rows_of_the_reference(name, tmp_path):
    golden = np.load(DATA / "chimes_design" / f"{name}.npz")
    text = (CASES / name / "fm_setup.in").read_text()
    setup = read_setup(CASES / name / "fm_setup.in")
    text = text.replace(f"\t{setup.n_frames}\n", f"\t{len(golden['frames'])}\n", 1)
    text = text.replace(f" {setup.n_frames}\n", f" {len(golden['frames'])}\n", 1)
    (tmp_path / "fm_setup.in").write_text(text)
    frames = DATA / "chimes_design" / f"{name}.xyzf"
    shutil.copy(frames, tmp_path / setup.trajectory.name)
    assert ald("lsq", tmp_path / "fm_setup.in")[0] == 0
    right = (tmp_path / "b.txt").read_text().split()
    assert right == [f"{b:.16e}" for b in golden["b"].tolist()]
    matrix = np.loadtxt(tmp_path / "A.txt")
    if "A" in golden:
        difference = np.abs(matrix - golden["A"]).max(0)
        np.testing.assert_array_less(difference, 1e-12 * golden["maxima"] + 1e-300)
    # A·x with the seven digits of force.txt.
    np.testing.assert_allclose(matrix @ golden["x"], golden["force"], rtol=6e-7, atol=1e-9)
    dimensions = (tmp_path / "dim.txt").read_text().split()
    assert dimensions == [str(matrix.shape[1]), str(matrix.shape[0])]
    assert len((tmp_path / "natoms.txt").read_text().split()) == len(matrix)


def test_lines_of_the_matrix_have_the_separators_of_the_reference(tmp_path):
    case("stress-and-ener-2b1", tmp_path, 1)
    assert ald("lsq", tmp_path / "fm_setup.in")[0] == 0
    lines = (tmp_path / "A.txt").read_text().split("\n")
    force, stress, energy = lines[0], lines[3 * 132], lines[-2]
    assert force.count("   ") == 72
    assert force.endswith("    0.0 0.0 0.0")
    assert stress.endswith("  0.0 0.0 0.0")
    assert "   " not in stress
    assert [int(word) for word in energy.split()[-3:]] == [60, 60, 12] or energy.split()[
        -1
    ].isdigit()
    assert force.split()[0] == f"{float(force.split()[0]):.16e}"


def test_lsq_splits_as_processes_do(tmp_path):
    whole, split = tmp_path / "whole", tmp_path / "split"
    case("nonorth2", whole, 5)
    case("nonorth2", split, 5)
    text = (split / "fm_setup.in").read_text()
    (split / "fm_setup.in").write_text(f"# SPLITFI #\n true\n{text}")
    (split / "A.0009.txt").write_text("from an earlier run\n")
    assert ald("lsq", whole / "fm_setup.in")[0] == 0
    assert ald("lsq", split / "fm_setup.in", "--ranks", 3)[0] == 0
    parts = sorted(split.glob("A.*.txt"))
    assert [p.name for p in parts] == ["A.0000.txt", "A.0001.txt", "A.0002.txt"]
    assert b"".join(p.read_bytes() for p in parts) == (whole / "A.txt").read_bytes()
    dims = [p.read_text() for p in sorted(split.glob("dim.0*.txt"))]
    assert dims == ["12 0 1727 4320\n", "12 1728 3455 4320\n", "12 3456 4319 4320\n"]
    for name in ("b.txt", "b-labeled.txt", "natoms.txt", "dim.txt"):
        assert (split / name).read_bytes() == (whole / name).read_bytes()
    logs = [p.read_text().splitlines() for p in sorted(split.glob("frames.*.log"))]
    assert [len(log) for log in logs] == [2, 2, 1]
    assert [line.split()[:2] for log in logs for line in log] == [
        [str(i), "C288"] for i in range(5)
    ]
    assert all(0.0 < float(line.split()[2]) < 60.0 for log in logs for line in log)
    solved = ald("solve", *files(whole), "--folder", whole)
    again = ald("solve", *files(split), "--folder", split, "--split_files=true")
    assert (solved[0], again[0]) == (0, 0)
    assert solved[1].split("\n")[:11] == again[1].split("\n")[:11]
    np.testing.assert_allclose(np.loadtxt(split / "x.txt"), np.loadtxt(whole / "x.txt"), rtol=1e-9)


def test_lsq_takes_every_second_frame(tmp_path):
    setup = case("nonorth2", tmp_path, 5)
    text = (tmp_path / "fm_setup.in").read_text()
    (tmp_path / "fm_setup.in").write_text(f"# SKPFRMS #\n 2\n{text}")
    assert ald("lsq", tmp_path / "fm_setup.in", "--no-matrix")[0] == 0
    frames = selected_frames(setup)
    expected = np.concatenate([frames[i].fitted(setup).right for i in (0, 2, 4)])
    assert [float(line) for line in (tmp_path / "b.txt").read_text().split()] == expected.tolist()
    assert not (tmp_path / "A.txt").exists()


def test_lsq_without_frames_writes_the_header_and_dummies(tmp_path):
    case("nonorth2", tmp_path, 0)
    next(tmp_path.glob("*.xyzf")).unlink()
    assert ald("lsq", tmp_path / "fm_setup.in")[0] == 0
    assert (tmp_path / "x.txt").read_text() == "0\n" * 12
    assert (tmp_path / "Ax.txt").read_text() == (tmp_path / "b.txt").read_text() == "1\n" * 12
    assert not (tmp_path / "A.txt").exists()


def test_a_broken_frame_leaves_no_half_of_a_matrix(tmp_path):
    setup = case("nonorth2", tmp_path, 2)
    text = setup.trajectory.read_text().replace("C ", "Xx ", 300)
    setup.trajectory.write_text(text)
    status, _, sentence = ald("lsq", tmp_path / "fm_setup.in")
    assert status == 2
    assert f"{setup.trajectory}, line 3: element Xx is not among the atom types C" in sentence
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".new" or p.name in {"A.txt", "b.txt"}]


def small_fit(folder):
    """Three carbon atoms, with everything that `solve` and `calc` read."""
    lines = (DATA / "chimes_lsq" / "setups" / "molten_carbon.fm_setup.in").read_text()
    (folder / "fm_setup.in").write_text(lines)
    setup = read_setup(folder / "fm_setup.in")
    atoms = "".join(f"C {1.4 * i} {0.3 * i} 0.1 0.{i} 0.01 0.02\n" for i in range(6))
    frame = f"6\n9.0 9.0 9.0 1 1 1 1 1 1 -5.0\n{atoms}"
    setup.trajectory.parent.mkdir(exist_ok=True, parents=True)
    setup.trajectory.write_text(frame * max(setup.n_frames, 1))
    if setup.multi:
        setup.trajectory.write_text(f"1\n{setup.n_frames} frames.xyzf\n")
        (folder / "frames.xyzf").write_text(frame * setup.n_frames)
    (folder / "conf.xyz").write_text("2\n9.0 0 0 0 9.0 0 0 0 9.0\nC 0 0 0\nC 1.5 0 0\n")


def test_lsq_tells_the_closest_pairs(tmp_path):
    small_fit(tmp_path)
    _, out, _ = ald("lsq", tmp_path / "fm_setup.in")
    assert out.splitlines()[1:] == [f"closest C C: {np.hypot(1.4, 0.3):.5f} A"]
    for file in tmp_path.glob("**/*.xyzf"):
        file.write_text(file.read_text().replace("C 1.4 0.3", "C 0.7 0.2"))
    _, out, _ = ald("lsq", tmp_path / "fm_setup.in")
    (line,) = out.splitlines()[1:]
    assert line.startswith(f"closest C C: {np.hypot(0.7, 0.2):.5f} A, whose 2-body terms act in")
