"""`ald chimes lsq`, `solve` and `reduce` against what the reference programs make of the same files."""

import gzip
import hashlib
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
from typer.testing import CliRunner

from ald_chimes_lsq.commands import app
from ald_chimes_lsq.design_files import selected_frames, write_design
from ald_chimes_lsq.formats.matrix_text import read_matrix
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.setup import read_setup
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data"
CASES = DATA / "chimes_lsq"
RUNS = DATA / "chimes_programs"
GOLDEN = json.loads((RUNS / "golden.json").read_text())


def case(name, folder, frames=None):
    """Control file and trajectory of a case in a folder of their own; the set-up."""
    folder.mkdir(exist_ok=True)
    text = (CASES / name / "fm_setup.in").read_text()
    setup = read_setup(CASES / name / "fm_setup.in")
    if frames is not None:
        lines = text.split("\n")
        at = next(i for i, line in enumerate(lines) if line.startswith("# NFRAMES"))
        lines[at + 1] = str(frames)
        text = "\n".join(lines)
    (folder / "fm_setup.in").write_text(text)
    trajectory = gzip.decompress((RUNS / f"{name}.xyzf.gz").read_bytes())
    (folder / setup.trajectory.name).write_bytes(trajectory)
    return read_setup(folder / "fm_setup.in")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ald(*arguments):
    """Run a command; exit status, standard output, and the sentence of an InputError."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, InputError):
        return 2, result.stdout, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


# ---------------------------------------------------------------- lsq


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
            assert sha256(folder / file) == digest, file
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


# ---------------------------------------------------------------- solve


def files(folder):
    names = {"A": "A.txt", "b": "b.txt", "header": "params.header", "map": "ff_groups.map"}
    return [word for key, name in names.items() for word in (f"--{key}", folder / name)]


@pytest.fixture(scope="module")
def carbon(tmp_path_factory):
    """Files of a small fit."""
    folder = tmp_path_factory.mktemp("carbon")
    setup = case("nonorth2", folder)
    write_design(setup, folder)
    (folder / "one.txt").write_text("1.0\n")
    return folder


def test_solve_prints_the_parameter_file_and_writes_the_forces(carbon, tmp_path):
    arguments = ["solve", *files(carbon), "--folder", tmp_path, "--test_suite", "yes"]
    status, out, _ = ald(*arguments)
    assert status == 0
    lines = out.split("\n")
    expected = (CASES / "nonorth2" / "expected" / "params.txt").read_text().split("\n")
    assert len(lines) == len(expected)
    for line, want in zip(lines[1:], expected[1:], strict=True):
        if line != want and not line.startswith("! RMS"):
            assert line.split()[:-1] == want.split()[:-1]
            assert float(line.split()[-1]) == pytest.approx(float(want.split()[-1]), rel=1e-11, abs=1e-11)  # fmt: skip
    assert lines[0].startswith("! Date  20")
    assert sha256(tmp_path / "force.txt") == GOLDEN["digests"]["nonorth2"]["force.txt"]
    x = np.loadtxt(tmp_path / "x.txt")
    table = np.loadtxt(tmp_path / "test_suite_params.txt")
    np.testing.assert_array_equal(table[:, 0], np.arange(12))
    np.testing.assert_array_equal(table[:, 1], x)
    assert (tmp_path / "params.txt").read_text() == out
    status, nothing, said = ald(*arguments, "--output", tmp_path / "other.txt")
    assert (status, nothing) == (0, "")
    assert (tmp_path / "other.txt").read_text() == out
    assert said.startswith("svd from QR, condition number ")
    status, _, _ = ald("reduce", tmp_path / "params.txt")
    assert status == 0
    assert read_params(tmp_path / "params.txt.reduced").basis.orders == (12, 0, 0)


@pytest.fixture(scope="module")
def split_carbon(tmp_path_factory):
    """The same, with A in three files."""
    folder = tmp_path_factory.mktemp("split")
    setup = case("nonorth2", folder)
    write_design(attrs.evolve(setup, split_files=True), folder, ranks=3)
    (folder / "w.txt").write_text("0.5 2.0\n" * 4320)
    return folder


ALGORITHMS = ("svd", "fast_svd", "ridge", "ridgecv", "lasso", "lassolars", "dlars", "dlasso")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_plain_weighted_and_split(carbon, split_carbon, tmp_path, name):
    arguments = ["--folder", tmp_path, f"--algorithm={name}", "--alpha=1e-3"]
    plain = ald("solve", *files(carbon), *arguments)
    weights = f"--weights={split_carbon / 'w.txt'}"
    weighted = ald("solve", *files(carbon), *arguments, weights)
    x = np.loadtxt(tmp_path / "x.txt")
    split = ald("solve", *files(split_carbon), *arguments, weights, "--split_files", "T")
    assert (plain[0], weighted[0], split[0]) == (0, 0, 0)
    assert weighted[1].split("\n")[1:12] == split[1].split("\n")[1:12]
    # From normal equations alone, half of the digits are lost.
    tolerance = 1e-5 if name == "fast_svd" else 1e-9
    again = np.loadtxt(tmp_path / "x.txt")
    np.testing.assert_allclose(again, x, rtol=tolerance, atol=tolerance)
    assert "weighting" not in plain[1]
    assert f"! Using weighting file:             {split_carbon / 'w.txt'}" in weighted[1]
    assert not np.allclose(solved_parameters(plain[1]), solved_parameters(weighted[1]), rtol=1e-6)
    method = "normal equations" if name != "svd" else "QR"
    assert f" from {method}, condition number" in plain[2] or name == "dlars"
    assert (tmp_path / "Ax.txt").exists() == (name in {"dlars", "dlasso"})


def solved_parameters(text):
    """Pair parameters of a parameter file."""
    lines = [line.split() for line in text.split("\n")]
    rows = [words for words in lines if len(words) == 2 and words[0].isdigit()]
    return [float(number) for _, number in rows if "." in number]


def test_options_for_clusters_are_not_needed(carbon, tmp_path):
    arguments = [*files(carbon), "--folder", tmp_path, "--algorithm", "dlasso", "--alpha", "1e-2"]
    plain = ald("solve", *arguments)
    more = ["--nodes=4", "--cores", "36", "--mpistyle", "ibrun", "--dlasso_dlars_path", "/some/"]
    more += ["--restart_dlasso_dlars=restart.txt", "--active", "True", "--weights", "None"]
    more += ["--normalize=n", "--split_files", "No", "--test_suite=f", "--read_output", "FALSE"]
    more += ["--folds", "3", "--eps=1e-7"]
    same = ald("solve", *arguments, *more)
    assert same[:2] == plain[:2]
    assert same[2].startswith("not needed, because no other program is run: --restart_dlasso_dlars")
    assert same[2].endswith(plain[2])
    assert "optimality conditions hold to" in plain[2]


@pytest.mark.parametrize("name", ["dlars", "dlasso"])
def test_output_of_an_earlier_run_is_read(carbon, tmp_path, name):
    arguments = [*files(carbon), "--folder", tmp_path, "--algorithm", name, "--alpha", "1e-2"]
    first = ald("solve", *arguments)
    x, forces = (tmp_path / "x.txt").read_text(), (tmp_path / "force.txt").read_text()
    arguments[arguments.index("--A") + 1] = tmp_path / "nothing.txt"
    again = ald("solve", *arguments, "--read_output=true")
    assert first[1].split("\n")[:30] == again[1].split("\n")[:30]
    np.testing.assert_allclose(
        solved_parameters(again[1]), solved_parameters(first[1]), rtol=1e-12, atol=1e-12
    )
    assert (tmp_path / "x.txt").read_text() == x
    assert (tmp_path / "force.txt").read_text() == forces
    assert again[2] == "lasso from existing files\n"
    (tmp_path / "Ax.txt").write_text("1.0\n")
    status, _, sentence = ald("solve", *arguments, "--read_output=true")
    assert (status, "Ax.txt: 1 numbers for 8640 rows" in sentence) == (2, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--A", "nothing.txt"], ["nothing.txt: no such file"]),
        (["--A", "."], ["cannot be read"]),
        (["--b", "{}/dim.txt"], ["dim.txt: 2 numbers, but A.txt has 8640 rows"]),
        (["--weights", "{}/dim.txt"], ["dim.txt: 2 weights, but A.txt has 8640 rows"]),
        (["--A", "{}/dim.txt", "--b", "{}/one.txt"], ["params.header", "2", "12"]),
        (["--header", "{}/ff_groups.map"], ["ff_groups.map", "no complete header"]),
        (["--map", "{}/dim.txt"], ["dim.txt: does not belong to params.header"]),
        (["--algorithm", "ols"], ["there is no algorithm 'ols'", "fast_svd"]),
        (["--eps", "2"], ["eps must be above 0 and below 1, found 2.0"]),
        (["--algorithm", "dlars", "--alpha", "nan"], ["alpha must be positive, found nan"]),
        (["--algorithm", "ridgecv", "--folds", "1"], ["1 folds of 8640 rows are impossible"]),
        (["--normalize", "true"], ["for dlars and dlasso only"]),
        (["--normalize", "perhaps"], ["--normalize must be true or false, found 'perhaps'"]),
        (["--read_output", "true"], ["svd does not read output; dlars and dlasso do"]),
        (["--read_output", "y", "--algorithm", "dlars"], ["x.txt: no such file"]),
        (["--split_files", "true"], ["there are no files A.0000.txt"]),
        (["--folder", "/nowhere"], ["/nowhere: there is no such folder"]),
    ],
)
def test_solve_says_what_is_wrong(carbon, tmp_path, change, words):
    arguments = [*files(carbon), "--folder", tmp_path, *[c.format(carbon) for c in change]]
    status, out, sentence = ald("solve", *arguments)
    assert (status, out) == (2, "")
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("7 8\n", "7 x8\n", "line 3: a word of this file must be a finite number, found 'x8'"),
        ("7 8\n", "7 nan\n", "line 3: a word of this file must be a finite number, found 'nan'"),
        ("7 8\n", "7 8 9\n", "line 3: 3 numbers in this line, 2 in the lines before"),
        ("7 8\n", "7\n", "line 3: 1 numbers in this line, 2 in the lines before"),
        ("1 2\n\n7 8\n3 4", "\n", "there are no numbers in this file"),
        ("7 8\n", "7 8é\n", "line 3: a word of this file must be a finite number, found '8é'"),
    ],
)
def test_mistakes_in_a_matrix_are_named_with_their_line(tmp_path, monkeypatch, old, new, words):
    monkeypatch.setattr("ald_chimes_lsq.formats.matrix_text._PIECE", 3)
    path = tmp_path / "A.txt"
    text = "1 2\n\n7 8\n3 4"
    path.write_text(text)
    assert read_matrix(path, tmp_path / "A.bin")[0:3].tolist() == [[1, 2], [7, 8], [3, 4]]
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=words):
        read_matrix(path, tmp_path / "A.bin")


# ---------------------------------------------------------------- whatever is done to the files


JUNK = [
    "nan",
    "-1",
    "0",
    "999999999",
    "1e400",
    "abc",
    "#",
    "!",
    "\x00",
    "é",
    "1_0",
    "C",
    "EXCLUDED:",
]


def damage(text, rng):
    lines = text.split("\n")
    for _ in range(rng.randint(1, 2)):
        i = rng.randrange(len(lines))
        words = lines[i].split()
        kind = rng.randrange(5)
        if kind == 0 and len(lines) > 1:
            del lines[i]
        elif kind == 1:
            lines.insert(rng.randrange(len(lines)), lines[i])
        elif kind == 2 and words:
            words[rng.randrange(len(words))] = rng.choice(JUNK)
            lines[i] = " ".join(words)
        elif kind == 3:
            lines.insert(i, rng.choice(JUNK))
        else:
            lines = lines[: i + 1]
    return "\n".join(lines)


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


@pytest.mark.parametrize(
    "victim",
    ["fm_setup.in", "A.txt", "b.txt", "params.header", "ff_groups.map", "params.txt", "conf.xyz"],
)
def test_damaged_files_give_one_sentence_or_a_result(victim, tmp_path):
    small_fit(tmp_path)
    assert ald("lsq", tmp_path / "fm_setup.in")[0] == 0
    solved = ["solve", *files(tmp_path), "--folder", tmp_path, "--algorithm", "ridge"]
    assert ald(*solved, "--output", tmp_path / "params.txt")[0] == 0
    text = (tmp_path / victim).read_text()
    rng = random.Random(victim)
    seen = set()
    for _ in range(25):
        (tmp_path / victim).write_text(damage(text, rng))
        if victim == "fm_setup.in":
            status, _, sentence = ald("lsq", tmp_path / victim, "--no-matrix")
        elif victim in {"params.txt", "conf.xyz"}:
            status, _, sentence = ald("calc", tmp_path / "params.txt", tmp_path / "conf.xyz")
        else:
            status, _, sentence = ald(*solved)
        assert status in {0, 2}
        complaint = sentence if not sentence.startswith("ridge from ") else ""
        assert (status == 2) == bool(complaint.strip())
        assert "\n" not in sentence.strip()
        seen.add(status)
    assert 2 in seen


def test_the_program_itself_ends_with_status_2_and_without_a_traceback(tmp_path):
    command = [sys.executable, "-m", "ald_core", "chimes", "calc", "params.txt", "conf.xyz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "ald: params.txt: no such file\n"
    listing = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ald_core", "plugins"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "numba" not in listing.stderr
    assert "BROKEN" not in listing.stdout
    shutil.rmtree(tmp_path)
