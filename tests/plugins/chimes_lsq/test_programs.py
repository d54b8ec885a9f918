"""`ald chimes lsq`, `solve`, `reduce` and `calc` against what the reference programs make of the same files."""

import contextlib
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
from ald_chimes_lsq.constants import GPA, GPA_PRINTED
from ald_chimes_lsq.design_files import frame_rows, frame_targets, selected_frames, write_design
from ald_chimes_lsq.design_rows import constraint_rows
from ald_chimes_lsq.formats.matrix_text import read_matrix
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.solve_files import SolveRequest, solve_files
from ald_chimes_lsq.solvers.algorithms import Choice, run_algorithm
from ald_chimes_lsq.solvers.rows import Rows
from ald_chimes_lsq.solvers.solution import comment_block
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data"
CASES = DATA / "chimes_lsq"
RUNS = DATA / "chimes_programs"
GOLDEN = json.loads((RUNS / "golden.json").read_text())
CALCULATOR = DATA / "chimes_calculator"


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
    assert out.split()[2:] == [str(rows), "rows,", str(columns), "columns"]
    matrix = read_matrix(folder / "A.txt", tmp_path / "A.bin")
    assert matrix.shape == (rows, columns)
    expected = np.concatenate([frame_rows(setup, f) for f in selected_frames(setup)])
    np.testing.assert_array_equal(matrix[0:rows], expected)
    if name == "nonorth2":
        golden = np.load(CASES / name / "expected" / "A.npz")["A"]
        assert np.abs(expected - golden).max() < 1e-12 * np.abs(golden).max()
    assert not list(folder.glob("*.new"))


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
    expected = np.concatenate([frame_targets(setup, frames[i])[0] for i in (0, 2, 4)])
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
    assert f"{setup.trajectory}, line 2: element Xx is not among the atom types C" in sentence
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".new" or p.name in {"A.txt", "b.txt"}]


# ---------------------------------------------------------------- solve


def files(folder):
    names = {"A": "A.txt", "b": "b.txt", "header": "params.header", "map": "ff_groups.map"}
    return [word for key, name in names.items() for word in (f"--{key}", folder / name)]


@pytest.fixture(scope="module")
def water(tmp_path_factory):
    """The matrix of the reference's solver tests."""
    setup = case("h2o-4bcheby", tmp_path_factory.mktemp("water"))
    frames = selected_frames(setup)
    tied, values = constraint_rows(setup.basis, setup.charge_constraints)
    right = np.concatenate([*[frame_targets(setup, f)[0] for f in frames], values])
    text = "".join(f"{b:.16e}\n" for b in right.tolist())
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN["digests"]["h2o-4bcheby"]["b.txt"]
    return Rows([*[frame_rows(setup, f) for f in frames], tied], right)


@pytest.mark.parametrize(
    ("run", "choice", "tolerance"),
    [
        ("svd.1.0e-04", Choice(algorithm="svd", eps=1e-4), 1e-9),
        ("svd.weight", Choice(algorithm="svd"), 1e-8),
        ("ridge.1.0e-03", Choice(algorithm="ridge", alpha=1e-3), 1e-4),
        ("ridgecv", Choice(algorithm="ridgecv"), 1e-2),
        ("lassolars.1.0e-04", Choice(algorithm="lassolars"), 2e-3),
        ("lassolars.1.0e-04", Choice(algorithm="dlasso"), 2e-3),
        ("dlars.1.0e-04", Choice(algorithm="dlars"), 5e-2),
        ("dlasso.1.0e-04", Choice(algorithm="dlasso", stop_like_dlars=True), 0.2),
        ("dlasso.norm", Choice(algorithm="dlasso", stop_like_dlars=True, normalize=True), 1e-3),
        ("svd.1.0e-04", Choice(algorithm="fast_svd", eps=1e-4), 1e-5),
    ],
)
def test_solvers_give_the_parameters_of_the_reference(water, run, choice, tolerance):
    expected = np.load(RUNS / "lsq2.npz")
    rows = attrs.evolve(water, weights=expected["weights"]) if run == "svd.weight" else water
    outcome = run_algorithm(rows, choice)
    assert np.abs(outcome.solution.x - expected[run]).max() < tolerance
    weights_file = "weights.txt" if run == "svd.weight" else None
    lines = comment_block(
        outcome.solution,
        outcome.said - rows.right,
        heading=outcome.heading,
        weights_file=weights_file,
    )
    numbers = [line.split("=")[-1].split() for line in lines if "=" in line]
    golden = [line.split("=")[-1].split() for line in GOLDEN["comments"][run] if "=" in line]
    if choice.normalize:
        lines = [line for line in lines if line != "! columns normalized"]
    assert numbers == golden
    if run.split(".")[0] == choice.algorithm:
        own = [line.replace("RMSE           ", "RMS force error") for line in lines[:-1]]
        assert [" ".join(s.split()) for s in own] == [
            " ".join(s.split()) for s in GOLDEN["comments"][run]
        ]


def test_exact_lasso_of_normalised_columns(water):
    # Of a tenth of the rows, by its optimality conditions.
    rows = water.section(slice(0, 950))
    alpha = 1e-2
    outcome = run_algorithm(rows, Choice(algorithm="dlasso", alpha=alpha, normalize=True))
    a = np.concatenate([chunk for chunk, _ in rows.chunks()])
    centred = a - a.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=0)
    used = lengths > 1e-12
    scaled = centred[:, used] / lengths[used]
    beta = outcome.solution.x[used] * lengths[used]
    rest = rows.right - rows.right.mean() - scaled @ beta
    slope = scaled.T @ rest / len(rest)
    off = np.where(beta != 0, np.abs(slope - alpha * np.sign(beta)), np.abs(slope) - alpha)
    assert off.max() < 1e-8 * alpha
    np.testing.assert_allclose(outcome.said, rows.right - rest, atol=1e-8)


@pytest.fixture(scope="module")
def carbon(tmp_path_factory):
    """Files of a small fit."""
    folder = tmp_path_factory.mktemp("carbon")
    setup = case("nonorth2", folder)
    write_design(setup, folder)
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
    status, nothing, _ = ald(*arguments, "--output", tmp_path / "params.txt")
    assert (status, nothing) == (0, "")
    assert (tmp_path / "params.txt").read_text() == out
    status, _, _ = ald("reduce", tmp_path / "params.txt")
    assert status == 0
    assert read_params(tmp_path / "params.txt.reduced").basis.orders == (12, 0, 0)


def test_weights_count_for_every_algorithm(carbon, tmp_path):
    weights = tmp_path / "w.txt"
    weights.write_text("0.5 2.0\n" * 4320)
    found = {}
    for name in ("svd", "ridge", "lasso", "lassolars", "dlars", "dlasso", "ridgecv", "fast_svd"):
        for own in (None, weights):
            request = SolveRequest(
                matrix=carbon / "A.txt",
                right=carbon / "b.txt",
                header=carbon / "params.header",
                map=carbon / "ff_groups.map",
                weights=own,
                choice=Choice(algorithm=name, alpha=1e-3),
            )
            found[name, own] = solve_files(request)
        assert not np.array_equal(found[name, None].x, found[name, weights].x), name
        assert f"weights file:             {weights}" not in found[name, None].params
        assert f"! Using weighting file:             {weights}" in found[name, weights].params
        assert "Date" not in found[name, None].params


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--A", "nothing.txt"], ["nothing.txt: cannot be read"]),
        (["--A", "."], ["cannot be read"]),
        (["--b", "{}/dim.txt"], ["dim.txt: 2 numbers, but A.txt has 8640 rows"]),
        (["--weights", "{}/dim.txt"], ["dim.txt: 2 weights, but A.txt has 8640 rows"]),
        (["--header", "{}/ff_groups.map"], ["ff_groups.map", "no complete header"]),
        (["--map", "{}/dim.txt"], ["dim.txt: does not belong to params.header"]),
        (["--algorithm", "ols"], ["there is no algorithm 'ols'", "fast_svd"]),
        (["--eps", "2"], ["alpha must be positive (below 1 for svd), found 2.0"]),
        (["--algorithm", "dlars", "--alpha", "nan"], ["alpha must be positive, found nan"]),
        (["--algorithm", "ridgecv", "--folds", "1"], ["1 folds of 8640 rows are impossible"]),
        (["--normalize", "true"], ["for dlars and dlasso only"]),
        (["--normalize", "perhaps"], ["--normalize must be true or false, found 'perhaps'"]),
        (["--read_output", "true"], ["--read_output takes up what the program dlars has left"]),
        (["--split_files", "true"], ["there are no files A.0000.txt"]),
        (["--folder", "/nowhere"], ["/nowhere/force.txt: cannot be written"]),
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


# ---------------------------------------------------------------- calc


SMALL_CASES = [p.name for p in CALCULATOR.glob("*.dat") if "HN3" not in p.name]


@pytest.mark.parametrize("name", sorted(name.removesuffix(".dat") for name in SMALL_CASES))
def test_calc_prints_the_numbers_of_the_reference(name):
    parameters, configuration = name.split(".txt.", 1)
    path = CALCULATOR / f"{parameters}.txt"
    path = path if path.exists() else CASES / "parameters" / path.name
    want = np.array((CALCULATOR / f"{name}.dat").read_text().split(), float)
    copies = (
        8 if "liqCO" in name else 1
    )  # the program multiplies forces by its copies of a small cell
    tolerance = 3e-4 if "2b.cubic" in name else 8 * 6e-6 if copies == 8 else 7e-5

    status, out, _ = ald("calc", path, CALCULATOR / configuration, "1", "--json")
    assert status == 0
    said = json.loads(out)
    assert said["energy"] == pytest.approx(want[0], rel=1e-7)
    np.testing.assert_allclose(np.array(said["stress"]) * GPA_PRINTED / GPA, want[1:7], atol=6e-5)
    np.testing.assert_allclose(copies * np.ravel(said["forces"]), want[7:], atol=tolerance)

    status, out, _ = ald("calc", path, CALCULATOR / configuration)
    numbers = [float(word) for line in out.split("\n") for word in line.split() if _is_number(word)]
    assert status == 0
    np.testing.assert_allclose(numbers[:7], want[:7], rtol=1e-7, atol=6e-5)
    assert numbers[7:] == pytest.approx(np.ravel(said["forces"]).tolist(), abs=5.1e-6)


def _is_number(word):
    with contextlib.suppress(ValueError):
        float(word)
        return True
    return False


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
        assert (status == 2) == bool(sentence.strip())
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
