"""Solvers: golden solutions, optimality conditions, comparison with numpy and scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from ald_chimes_lsq.formats.params_write import params_text
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.solvers.lasso import minimise_lasso
from ald_chimes_lsq.solvers.rows import Rows
from ald_chimes_lsq.solvers.solution import describe
from ald_chimes_lsq.solvers.solve import comment_block, solve, solve_normal
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq"


def golden(name):
    folder = DATA / name / "expected"
    with np.load(folder / "A.npz") as arrays:
        a = arrays["A"]
    return a, np.loadtxt(folder / "b.txt"), np.loadtxt(folder / "test_suite_params.txt")[:, 1]


def problem(seed, n, p, condition=1.0):
    """Columns of very different length, and nearly dependent ones, as those of a ChIMES fit."""
    rng = np.random.default_rng(seed)
    u = np.linalg.qr(rng.normal(size=(n, p)))[0]
    v = np.linalg.qr(rng.normal(size=(p, p)))[0]
    a = u * np.geomspace(1.0, 1.0 / condition, p) @ v.T * np.sqrt(n)
    x = rng.normal(size=p) * (rng.random(p) < 0.5)
    return a, a @ x + 0.1 * rng.normal(size=n)


def violation(a, b, x, alpha):
    """Of the optimality conditions of (1/2n)‖Ax − b‖² + α‖x‖₁, relative to α."""
    slope = a.T @ (b - a @ x) / len(b)
    off = np.where(x != 0, np.abs(slope - alpha * np.sign(x)), np.abs(slope) - alpha)
    return max(off.max(), 0.0) / alpha


def objective(a, b, x, alpha):
    return np.sum((a @ x - b) ** 2) / (2 * len(b)) + alpha * np.abs(x).sum()


@pytest.mark.parametrize("name", ["nonorth2", "fitstrs3b"])
def test_svd_gives_the_golden_solution(name):
    a, b, expected = golden(name)
    solution = solve(a, b, None, "svd", 1e-5)
    assert np.abs(solution.x - expected).max() < 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["nonorth2", "fitstrs3b"])
def test_fit_reproduces_the_golden_parameter_file(name):
    a, b, _ = golden(name)
    solution = solve(a, b, None, "svd", 1e-5)
    basis = read_setup(DATA / name / "fm_setup.in").basis
    comments = comment_block(solution, a @ solution.x - b, date="2025-04-13")
    lines = params_text(basis, expand(basis, solution.x), comments).split("\n")
    expected = (DATA / name / "expected" / "params.txt").read_text().split("\n")
    assert len(lines) == len(expected)
    for line, want in zip(lines, expected, strict=True):
        if line != want:
            # Only the last digits of coefficients may differ.
            assert line.split()[:-1] == want.split()[:-1]
            assert float(line.split()[-1]) == pytest.approx(
                float(want.split()[-1]), rel=1e-9, abs=1e-9
            )


def test_comments_have_no_date_and_name_the_weights():
    a, b = problem(0, 60, 10)
    solution = solve(a, b, None, "lasso", 1e-3)
    lines = comment_block(solution, weights_file="weights.dat")
    assert lines[0] == "! Number of variables            =  10"
    assert lines[1] == "! Number of equations            =  60"
    assert lines[3] == "! LASSO alpha =  1.0000e-03"
    assert lines[-2:] == ("! Using weighting file:             weights.dat", "!")
    assert not any("Date" in line for line in lines)
    rmse = np.sqrt(np.mean((a @ solution.x - b) ** 2))
    n_fitted = np.count_nonzero(np.abs(solution.x) > 1e-5)
    assert lines[4] == f"! RMSE                           = {rmse:11.4e}"
    assert lines[6] == f"! number of fitting vars         =  {n_fitted}"
    bic = 60 * np.log(rmse**2) + n_fitted * np.log(60)
    assert lines[7] == f"! Bayesian Information Criterion = {bic:11.4e}"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    p=st.integers(1, 40),
    condition=st.sampled_from([1.0, 1e3, 1e6, 1e9]),
    alpha=st.sampled_from([1.0, 1e-2, 1e-4]),
)
def test_lasso_satisfies_its_optimality_conditions(seed, p, condition, alpha):
    a, b = problem(seed, 3 * p + 5, p, condition)
    solution = solve(a, b, None, "lasso", alpha)
    assert violation(a, b, solution.x, alpha) < 1e-8
    assert solution.optimality == pytest.approx(violation(a, b, solution.x, alpha), abs=1e-9)


@pytest.mark.parametrize("alpha", [1e-1, 1e-3, 1e-5])
def test_lasso_of_many_nearly_dependent_columns(alpha):
    rng = np.random.default_rng(3)
    a, b = problem(3, 400, 60, 1e4)
    a = np.hstack((a, a + 1e-7 * rng.normal(size=a.shape)))
    solution = solve(a, b, None, "lasso", alpha)
    assert violation(a, b, solution.x, alpha) < 1e-8


def test_lasso_with_equal_zero_and_too_many_columns():
    a, b = problem(4, 30, 20)
    a = np.hstack(
        (
            a,
            a[:, :7],
            -2 * a[:, :3],
            np.zeros((30, 2)),
            np.random.default_rng(0).normal(size=(30, 40)),
        )
    )
    solution = solve(a, b, None, "lasso", 1e-4)
    assert violation(a, b, solution.x, 1e-4) < 1e-8
    assert not solution.x[30:32].any()


@pytest.mark.parametrize("alpha", [1.0, 0.1, 1e-2, 1e-3])
def test_lasso_agrees_with_coordinate_descent(alpha):
    a, b = problem(5, 200, 30, 30.0)
    other = Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(a, b).coef_
    solution = solve(a, b, None, "lasso", alpha)
    assert solution.x == pytest.approx(other, abs=1e-6)
    assert np.array_equal(solution.x != 0, other != 0)
    assert objective(a, b, solution.x, alpha) <= objective(a, b, other, alpha) * (1 + 1e-14)


def test_lasso_of_a_real_fit_at_several_strengths():
    a, b, _ = golden("fitstrs3b")
    last = 0
    for alpha in (10.0, 1e-1, 1e-3, 1e-5):
        solution = solve(a, b, None, "lasso", alpha)
        # At the smallest strength rounding errors of Ax, about 1e3 kcal/mol/Å, are seen.
        assert violation(a, b, solution.x, alpha) < max(1e-8, 1e-13 / alpha)
        assert solution.n_fitted >= last
        last = solution.n_fitted


def test_lasso_is_zero_beyond_the_largest_gradient():
    a, b = problem(6, 50, 8)
    top = np.abs(a.T @ b).max() / 50
    assert not solve(a, b, None, "lasso", 1.0001 * top).x.any()
    assert np.count_nonzero(solve(a, b, None, "lasso", 0.9999 * top).x) == 1


def test_lasso_kernel_with_a_better_gradient():
    # The factor is only known to six digits; the gradient of the caller decides.
    a, b = problem(7, 80, 20, 10.0)
    triangle = np.linalg.qr(np.column_stack((a, b)))[1]
    rough = np.round(triangle[:20], 6)
    result = minimise_lasso(
        rough[:, :20].copy(), rough[:, 20].copy(), 80 * 1e-3, Rows([a], b).gradient
    )
    assert violation(a, b, result.x, 1e-3) < 1e-8


@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 10.0])
def test_ridge(alpha):
    a, b = problem(8, 90, 25, 1e3)
    expected = np.linalg.solve(a.T @ a + alpha * np.eye(25), a.T @ b)
    solution = solve(a, b, None, "ridge", alpha)
    assert solution.x == pytest.approx(expected, rel=1e-6, abs=1e-8)
    assert solution.n_fitted == 25
    assert solution.optimality < 1e-14


@pytest.mark.parametrize("eps", [1e-9, 1e-3, 0.1])
def test_svd_is_the_truncated_pseudo_inverse(eps):
    a, b = problem(9, 70, 20, 1e4)
    solution = solve(a, b, None, "svd", eps)
    expected = np.linalg.pinv(a, rcond=eps) @ b
    assert np.linalg.norm(solution.x - expected) < 1e-9 * np.linalg.norm(expected)
    assert solution.n_fitted == np.linalg.matrix_rank(a, tol=eps * np.linalg.norm(a, 2))
    assert solution.condition == pytest.approx(1e4, rel=1e-6)


@pytest.mark.parametrize(("algorithm", "alpha"), [("lasso", 1e-3), ("ridge", 1e-2), ("svd", 1e-5)])
def test_weights_multiply_rows(algorithm, alpha):
    a, b = problem(10, 60, 12, 10.0)
    w = np.random.default_rng(1).uniform(0.1, 3.0, 60)
    weighted = solve(a, b, w, algorithm, alpha)
    assert weighted.x == pytest.approx(
        solve(a * w[:, None], b * w, None, algorithm, alpha).x, abs=1e-12
    )
    # The error that is reported is that of the rows without weights.
    assert weighted.rmse == pytest.approx(np.sqrt(np.mean((a @ weighted.x - b) ** 2)))


@pytest.mark.parametrize(("algorithm", "alpha"), [("lasso", 1e-3), ("ridge", 1e-2), ("svd", 1e-5)])
def test_normal_equations_of_blocks_give_the_same_solution(algorithm, alpha):
    a, b = problem(11, 100, 15, 1e2)
    w = np.random.default_rng(1).uniform(0.1, 3.0, 100)
    rows = Rows(np.split(a, [30, 35]), b, w)
    solution = solve_normal(rows.normal_equations(), algorithm, alpha)
    expected = solve(a, b, w, algorithm, alpha)
    assert solution.x == pytest.approx(expected.x, rel=1e-8, abs=1e-9)
    assert (solution.n_equations, solution.n_fitted) == (100, expected.n_fitted)


@pytest.mark.parametrize("condition", [10.0, 1e5, 1e11])
def test_the_condition_number_is_true(condition):
    a, b = problem(16, 90, 25, condition)
    a *= np.random.default_rng(0).uniform(0.1, 10.0, 25)
    w = np.random.default_rng(1).uniform(0.1, 3.0, 90)
    aw = a * w[:, None]
    singular = solve(a, b, w, "svd", 1e-5)
    assert singular.condition == pytest.approx(np.linalg.cond(aw), rel=1e-3)
    ridge = solve(a, b, w, "ridge", 1e-4)
    both = np.vstack((aw, 1e-2 * np.eye(25)))
    assert ridge.condition == pytest.approx(np.linalg.cond(both), rel=1e-6)
    lasso = solve(a, b, w, "lasso", 1e-3)
    own = aw[:, lasso.x != 0]
    own = own / np.linalg.norm(own, axis=0)
    assert lasso.condition == pytest.approx(np.linalg.cond(own), rel=1e-3)
    assert f"condition number {lasso.condition:.1e}" in describe(lasso)


def test_what_normal_equations_cannot_tell_is_not_told():
    a, b = problem(17, 90, 25, 1e12)
    solution = solve_normal(Rows([a], b).normal_equations(), "svd", 1e-5)
    assert np.isinf(solution.condition)
    assert "condition number too large to be told" in describe(solution)
    wide = solve(a[:10], b[:10], None, "svd", 1e-5)
    assert not wide.condition < 1e14


def test_lasso_from_singular_normal_equations():
    a, b = problem(12, 40, 10)
    a = np.hstack((a, a[:, :4]))
    solution = solve_normal(Rows([a], b).normal_equations(), "lasso", 1e-3)
    assert violation(a, b, solution.x, 1e-3) < 1e-8


@pytest.mark.parametrize("algorithm", ["lasso", "ridge", "svd"])
def test_equal_inputs_give_equal_bytes(algorithm):
    a, b = problem(13, 120, 30, 1e5)
    first, second = (solve(a, b, None, algorithm, 1e-4).x.tobytes() for _ in range(2))
    assert first == second


def test_doubling_all_rows_does_not_change_lasso():
    a, b = problem(14, 60, 12, 10.0)
    twice = solve(np.vstack((a, a)), np.concatenate((b, b)), None, "lasso", 1e-2)
    assert twice.x == pytest.approx(solve(a, b, None, "lasso", 1e-2).x, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": np.zeros(4)}, "do not fit together"),
        ({"a": np.full((5, 2), np.nan)}, "not finite"),
        ({"b": np.array([1, 2, 3, 4, np.inf])}, "not finite"),
        ({"weights": np.ones(4)}, "4 weights do not fit 5 rows"),
        ({"weights": -np.ones(5)}, "not negative"),
        ({"algorithm": "ols"}, "there is no algorithm 'ols'"),
        ({"alpha": 0.0}, "alpha must be positive"),
        ({"alpha": np.nan}, "alpha must be positive"),
        ({"alpha": np.inf}, "alpha must be positive and finite, found inf; give for example"),
        ({"weights": np.zeros(5)}, "all weights are zero"),
        ({"b": np.array([1, 2, 3, 4, 1e300])}, "not finite, or too large to be squared"),
        ({"algorithm": "svd", "alpha": 1.0}, "above 0 and below 1"),
        ({"a": np.zeros((5, 0))}, "do not fit together"),
    ],
)
def test_wrong_input_is_refused(change, message):
    arguments = {
        "a": np.ones((5, 2)),
        "b": np.ones(5),
        "weights": None,
        "algorithm": "lasso",
        "alpha": 1e-3,
    }
    with pytest.raises(InputError, match=message):
        solve(**(arguments | change))
