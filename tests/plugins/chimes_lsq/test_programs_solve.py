"""`ald chimes solve` and `reduce` against what the reference script makes of the same files."""

import hashlib

import attrs
import numpy as np
import pytest
from chimes_commands import CASES, GOLDEN, ald, case, files

from ald_chimes_lsq.design_files import write_design
from ald_chimes_lsq.formats.params_read import read_params


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
    assert (
        hashlib.sha256((tmp_path / "force.txt").read_bytes()).hexdigest()
        == GOLDEN["digests"]["nonorth2"]["force.txt"]
    )
    x = np.loadtxt(tmp_path / "x.txt")
    table = np.loadtxt(tmp_path / "test_suite_params.txt")
    np.testing.assert_array_equal(table[:, 0], np.arange(12))
    np.testing.assert_allclose(table[:, 1], x, rtol=1e-13)
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
        (["--weights", "{}/dim.txt"], ["dim.txt: 2 weights, but b.txt has 8640 numbers"]),
        (["--A", "{}/dim.txt", "--b", "{}/one.txt"], ["params.header", "2", "12"]),
        (["--header", "{}/ff_groups.map"], ["ff_groups.map", "no complete header"]),
        (
            ["--map", "{}/dim.txt"],
            ["dim.txt, line 1: expected 'PAIRMAPS: 1', found '12 8640'; write it"],
        ),
        (["--algorithm", "ols"], ["there is no algorithm 'ols'", "fast_svd"]),
        (["--eps", "2"], ["eps must be above 0 and below 1, found 2.0"]),
        (
            ["--algorithm", "dlars", "--alpha", "nan"],
            ["alpha must be positive and finite, found nan"],
        ),
        (["--algorithm", "ridgecv", "--folds", "1"], ["folds must be 2 or more, found 1"]),
        (["--normalize", "true"], ["for dlars and dlasso only"]),
        (["--normalize", "perhaps"], ["--normalize is neither true nor false: 'perhaps'"]),
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
