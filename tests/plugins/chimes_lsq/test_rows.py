"""Rows in files: sums in chunks, triangular factors, bounded memory."""

import itertools
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from ald_chimes_lsq.solvers.algorithms import Choice, run_algorithm
from ald_chimes_lsq.solvers.lars import stop_like_dlars
from ald_chimes_lsq.solvers.ridge_cv import choose_strength
from ald_chimes_lsq.solvers.rounding import round_together
from ald_chimes_lsq.solvers.rows import RowFile, Rows
from ald_chimes_lsq.solvers.solve import solve_rows, solve_triangle
from ald_core.errors import AldError, InputError


@pytest.fixture
def problem(tmp_path, monkeypatch):
    """Rows in two files and an array, read 64 at a time, and the same in memory."""
    monkeypatch.setattr("ald_chimes_lsq.solvers.rows._CHUNK", 0)
    rng = np.random.default_rng(0)
    a = rng.normal(size=(500, 12)) * np.geomspace(1.0, 1e-3, 12)
    b = a @ rng.normal(size=12) + 0.1 * rng.normal(size=500)
    w = rng.uniform(0.1, 3.0, 500)
    np.save(tmp_path / "0.npy", a[:200])
    np.save(tmp_path / "1.npy", a[200:490])
    parts = [RowFile.open(tmp_path / "0.npy"), RowFile.open(tmp_path / "1.npy"), a[490:]]
    return Rows(parts, b, w), a, b, w


def test_sums_of_chunks(problem):
    rows, a, b, w = problem
    assert [own.stop - own.start for _, own in rows.chunks()] == [64] * 7 + [52]
    aw, bw = a * w[:, None], b * w
    normal = rows.normal_equations()
    np.testing.assert_allclose(normal.gram, aw.T @ aw, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(normal.moment, aw.T @ bw, rtol=1e-11)
    assert normal.square == pytest.approx(bw @ bw)
    assert normal.n_rows == 500
    x = np.ones(12)
    np.testing.assert_allclose(rows.gradient(x), aw.T @ (bw - aw @ x), rtol=1e-11)
    np.testing.assert_allclose(rows.product(x), a @ x, rtol=1e-13, atol=1e-15)


def test_the_gradient_is_right_to_the_last_digit():
    """Against exact fractions, where each term is 1e20 times the sum."""
    rng = np.random.default_rng(4)
    a = rng.normal(size=(70, 3)) * 10.0 ** rng.integers(-10, 10, (70, 3))
    x = rng.normal(size=3) * 10.0 ** rng.integers(-3, 3, 3)
    rest = x * rng.uniform(-1e-17, 1e-17, 3)
    b, w = a @ x, rng.uniform(0.1, 3.0, 70)
    slope = Rows([a[:30], a[30:]], b, w).gradient(x, rest)
    exact = [Fraction(0)] * 3
    for row, right, weight in zip(a.tolist(), b.tolist(), w.tolist(), strict=True):
        said = sum(
            Fraction(v) * (Fraction(y) + Fraction(z))
            for v, y, z in zip(row, x.tolist(), rest.tolist(), strict=True)
        )
        missing = (Fraction(right) - said) * Fraction(weight) ** 2
        exact = [e + missing * Fraction(v) for e, v in zip(exact, row, strict=True)]
    size = np.abs(a * w[:, None]).T @ np.abs(b * w)
    wanted = np.array([float(e) for e in exact])
    assert (np.abs(wanted) < 1e-14 * size).all()
    np.testing.assert_allclose(slope, wanted, rtol=1e-9, atol=1e-29 * size.max())
    # Ordinary sums know nothing of it.
    plain = (a * w[:, None]).T @ (w * (b - a @ x))
    assert (np.abs(plain - wanted) > 0.01 * np.abs(wanted)).any()


def test_doubles_are_chosen_together():
    """The best of all whole steps within reach, for columns of which the difference hardly counts."""
    gram = np.array([[1.0, 1.0, 0.0], [1.0, 1.0 + 1e-6, 0.0], [0.0, 0.0, 1e-8]])
    high, low = np.array([1.5, -1.25, 3.0]), np.array([0.45, 0.45, -0.2]) * np.spacing(1.0)
    found = round_together(high, low, gram, 1e-26)
    left = gram @ (high - found.x + low)
    steps = np.array(list(itertools.product(range(-3, 4), repeat=3))) * np.spacing(np.abs(high))
    every = np.linalg.norm((low - steps) @ gram, axis=1)
    assert np.linalg.norm(left) == pytest.approx(every.min(), rel=1e-4, abs=0.0)
    assert np.linalg.norm(left) < 0.2 * np.linalg.norm(gram @ low)
    assert np.abs(left).max() < found.coarseness
    # With much weight on being close, each goes to its nearest.
    np.testing.assert_array_equal(round_together(high, low, gram, 1e-6).x, high)


@pytest.mark.parametrize("centred", [False, True])
def test_triangle_of_chunks(problem, centred):
    rows, a, b, w = problem
    both = np.column_stack((a, b)) * w[:, None]
    if centred:
        both -= both.mean(axis=0)
    triangle = rows.triangle(centred=centred)
    assert triangle.shape == (13, 13)
    np.testing.assert_array_equal(triangle, np.triu(triangle))
    np.testing.assert_allclose(triangle.T @ triangle, both.T @ both, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("algorithm", "alpha"), [("lasso", 1e-4), ("ridge", 1e-3), ("svd", 1e-6)])
def test_parts_do_not_change_a_bit(problem, algorithm, alpha):
    _, a, b, w = problem
    found = set()
    for cuts in ([], [250], [64, 128], [1, 2, 77, 499]):
        rows = Rows(np.split(a, cuts), b, w)
        x = solve_rows(rows, algorithm, alpha).x
        found.add(x.tobytes() + rows.product(x).tobytes() + rows.triangle().tobytes())
    assert len(found) == 1


@pytest.mark.parametrize(
    ("shapes", "words"),
    [([(3, 2), (2, 2)], "5 rows of 2 numbers"), ([(3, 2), (3, 4)], "6 rows of 2 or 4 numbers")],
)
def test_parts_that_do_not_fit_are_refused(shapes, words):
    with pytest.raises(InputError, match=f"{words} do not fit 6 right-hand sides"):
        Rows([np.ones(shape) for shape in shapes], np.ones(6))


@pytest.mark.parametrize("n", [20, 20_000])
def test_a_constant_column_is_zero_when_it_is_centred(n):
    rng = np.random.default_rng(6)
    a = rng.normal(size=(n, 5)) * [1.0, 1e-6, 1.0, 1e6, 1.0] + [0.0, 7.3, 1e8, 1e-3, 0.0]
    a[:, 4] = 7.3
    b = a[:, 3] + rng.normal(size=n)
    columns = Rows([a], b).triangle(centred=True)[:, :5]
    assert not columns[:, 4].any()
    spread = np.linalg.norm(a[:, :4] - a[:, :4].mean(axis=0), axis=0)
    np.testing.assert_allclose(np.linalg.norm(columns[:, :4], axis=0), spread, rtol=1e-6)
    for name in ("dlasso", "dlars"):
        choice = Choice(algorithm=name, normalize=True)
        x = run_algorithm(Rows([a], b), choice).solution.x
        assert x[4] == 0.0
        assert x[3] == pytest.approx(1.0, rel=1e-3)


def test_a_section_of_the_rows(problem):
    rows, a, b, w = problem
    part = rows.section(slice(150, 495))
    np.testing.assert_array_equal(np.concatenate([c for c, _ in part.chunks()]), a[150:495])
    np.testing.assert_array_equal(part.right, b[150:495])
    np.testing.assert_array_equal(part.weights, w[150:495])


@pytest.mark.parametrize(("algorithm", "alpha"), [("lasso", 1e-4), ("ridge", 1e-3), ("svd", 1e-6)])
def test_rows_and_their_triangle_have_the_same_solution(problem, algorithm, alpha):
    rows, *_ = problem
    first = solve_rows(rows, algorithm, alpha)
    second = solve_triangle(rows.triangle(), 500, algorithm, alpha)
    np.testing.assert_allclose(first.x, second.x, rtol=1e-8, atol=1e-10)
    assert first.method == ("QR" if algorithm == "svd" else "normal equations")
    assert second.method == "QR"


def test_ill_conditioned_rows_are_solved_by_qr():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(300, 10))
    a = np.hstack((a, a + 1e-9 * rng.normal(size=(300, 10))))
    b = rng.normal(size=300)
    solution = solve_rows(Rows([a], b), "ridge", 1e-14)
    assert solution.method == "QR"
    assert solution.condition > 1e6
    expected = np.linalg.lstsq(np.vstack((a, 1e-7 * np.eye(20))), np.append(b, np.zeros(20)))[0]
    np.testing.assert_allclose(a @ solution.x, a @ expected, atol=1e-6)


def test_numbers_that_are_not_finite_are_refused():
    a, b = np.ones((5, 2)), np.array([1.0, 2.0, np.nan, 0.0, 0.0])
    for algorithm in ("lasso", "svd"):
        with pytest.raises(InputError, match="not finite"):
            solve_rows(Rows([a], b), algorithm, 1e-3)


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_file_that_is_no_matrix_is_refused(tmp_path, content):
    path = tmp_path / "rows.npy"
    if content is None:
        np.save(path, np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"rows\.npy"):
        RowFile.open(path)


# ---------------------------------------------------------------- path algorithms


def test_least_angle_regression_stops_one_knot_after_the_best():
    from sklearn.linear_model import lars_path

    rng = np.random.default_rng(2)
    a = rng.normal(size=(80, 15)) @ (np.eye(15) + 0.7 * rng.normal(size=(15, 15)))
    b = a @ (rng.normal(size=15) * (rng.random(15) < 0.5)) + rng.normal(size=80)
    triangle = Rows([a], b).triangle()
    for method in ("lar", "lasso"):
        _, _, path = lars_path(a, b, method=method)
        for alpha in (1e-1, 1e-2, 1e-3):
            values = [np.sum((a @ x - b) ** 2) / 160 + alpha * np.abs(x).sum() for x in path.T]
            rises = [i for i in range(1, len(values)) if values[i] > values[i - 1] + 1e-10]
            expected = path.T[rises[0] if rises else -1]
            drop = method == "lasso"
            rest = triangle[-1, -1] ** 2
            matrix, target = triangle[:-1, :-1].copy(), triangle[:-1, -1].copy()
            knot = stop_like_dlars(matrix, target, rest, 80, alpha, drop=drop)
            np.testing.assert_allclose(knot.x, expected, rtol=1e-9, atol=1e-10)


def test_a_column_that_depends_on_others_never_joins_the_path():
    rng = np.random.default_rng(3)
    a = rng.normal(size=(40, 6))
    a = np.column_stack((a, a[:, 0] + a[:, 1], a[:, 2]))
    b = a[:, :6] @ rng.normal(size=6)
    triangle = Rows([a], b).triangle()
    knot = stop_like_dlars(triangle[:-1, :-1].copy(), triangle[:-1, -1].copy(), 0.0, 40, 1e-12, drop=False)  # fmt: skip
    assert np.count_nonzero(knot.x) <= 6
    np.testing.assert_allclose(a @ knot.x, b, atol=1e-6)


def test_a_path_of_columns_too_short_to_be_squared_is_refused():
    a = 1e-160 * np.random.default_rng(1).normal(size=(20, 3))
    with pytest.raises(AldError, match="too short to be squared"):
        run_algorithm(Rows([a], np.arange(20.0)), Choice(algorithm="dlars"))


def test_cross_validation_agrees_with_scikit_learn(problem):
    from sklearn.linear_model import RidgeCV

    rows, a, b, w = problem
    strengths = (1e-3, 1e-1, 10.0, 1e3)
    for weights in (None, w):
        own = Rows(rows.parts, b, weights)
        factors = np.ones(500) if weights is None else weights
        other = RidgeCV(strengths, fit_intercept=False, cv=4).fit(a * factors[:, None], b * factors)
        assert choose_strength(own, 4, strengths) == other.alpha_


# ---------------------------------------------------------------- memory

MEASURE = """\
import resource, sys
from pathlib import Path
import numpy as np
from ald_chimes_lsq.solvers import rows as module
from ald_chimes_lsq.solvers.rows import RowFile, Rows
from ald_chimes_lsq.solvers.solve import solve_rows

n, p = 24_000, 400
module._CHUNK = 4_000_000
header = {"descr": "<f8", "fortran_order": False, "shape": (n, p)}
rng = np.random.default_rng(0)
with open("rows.npy", "wb") as stream:
    np.lib.format.write_array_header_1_0(stream, header)
    for _ in range(24):
        stream.write(rng.normal(size=(1000, p)).data)
rows = Rows([RowFile.open(Path("rows.npy"))], rng.normal(size=n), np.full(n, 2.0))
solve_rows(Rows([np.eye(50)], np.ones(50)), "ridge", 1e-3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
solution = solve_rows(rows, "ridge", 1.0)
rows.triangle()
rows.product(solution.x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_matrix_of_77_megabytes_is_solved_in_less_than_40(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        cwd=tmp_path,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 40_000
    (tmp_path / "rows.npy").unlink()
