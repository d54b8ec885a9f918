"""Every algorithm on the matrix of the reference's solver tests: 9506 rows, 419 nearly dependent columns."""

import gzip
import hashlib
import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from scipy.linalg import solve_triangular

from ald_chimes_lsq.design_files import selected_frames
from ald_chimes_lsq.design_rows import constraint_rows
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.solvers.algorithms import Choice, run_algorithm
from ald_chimes_lsq.solvers.rows import Rows
from ald_chimes_lsq.solvers.solution import comment_block

DATA = Path(__file__).parents[2] / "data"
RUNS = DATA / "chimes_programs"
GOLDEN = json.loads((RUNS / "golden.json").read_text())


@pytest.fixture(scope="module")
def water(tmp_path_factory):
    """The rows."""
    folder = tmp_path_factory.mktemp("water")
    (folder / "fm_setup.in").write_text((DATA / "chimes_lsq/h2o-4bcheby/fm_setup.in").read_text())
    setup = read_setup(folder / "fm_setup.in")
    setup.trajectory.write_bytes(gzip.decompress((RUNS / "h2o-4bcheby.xyzf.gz").read_bytes()))
    frames = [f.fitted(setup) for f in selected_frames(setup)]
    tied, values = constraint_rows(setup.basis, setup.charge_constraints)
    right = np.concatenate([*[f.right for f in frames], values])
    text = "".join(f"{b:.16e}\n" for b in right.tolist())
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN["digests"]["h2o-4bcheby"]["b.txt"]
    rows = [f.rows(setup.basis, offsets=setup.has_offsets) for f in frames]
    return Rows([np.concatenate([*rows, tied])], right)


@pytest.mark.parametrize(
    ("run", "choice", "tolerance"),
    [
        ("svd.1.0e-04", Choice(algorithm="svd", eps=1e-4), 1e-9),
        ("svd.weight", Choice(algorithm="svd"), 1e-8),
        ("ridge.1.0e-03", Choice(algorithm="ridge", alpha=1e-3), 2e-5),
        ("ridgecv", Choice(algorithm="ridgecv"), 1e-3),
        ("lassolars.1.0e-04", Choice(algorithm="lassolars"), 2e-4),
        ("lassolars.1.0e-04", Choice(algorithm="dlasso"), 2e-4),
        ("dlars.1.0e-04", Choice(algorithm="dlars"), 5e-3),
        ("dlasso.1.0e-04", Choice(algorithm="dlasso", stop_like_dlars=True), 0.1),
        ("dlasso.norm", Choice(algorithm="dlasso", stop_like_dlars=True, normalize=True), 1e-5),
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


# ---------------------------------------------------------------- against the exact solutions


def exact_gradient(a, b, x):
    """Aᵀ(b − Ax) in numbers of 64 bits of mantissa."""
    total, many = 0, x.astype(np.longdouble)
    for start in range(0, len(b), 500):
        block = a[start : start + 500].astype(np.longdouble)
        total = total + (b[start : start + 500] - block @ many) @ block
    return total


def violation(a, b, x, alpha):
    """Of the optimality conditions of (1/2n)‖Ax − b‖² + α‖x‖₁, relative to α."""
    slope = exact_gradient(a, b, x) / len(b)
    off = np.where(x != 0, np.abs(slope - alpha * np.sign(x)), np.abs(slope) - alpha)
    return float(off.max()) / alpha


def normal_solve(triangle, right):
    """Solve RᵀRx = right."""
    step = solve_triangular(triangle, np.asarray(right, dtype=np.float64), trans="T")
    return solve_triangular(triangle, step)


def ridge_error(a, b, x, alpha):
    """Distance of x from the exact solution: the step of Newton's method."""
    missing = exact_gradient(a, b, x) - np.longdouble(alpha) * x
    below = np.sqrt(alpha) * np.eye(a.shape[1])
    return np.abs(normal_solve(np.linalg.qr(np.vstack((a, below)), mode="r"), missing)).max()


def lasso_error(a, b, x, alpha):
    """Likewise, for the variables that are not zero."""
    active = np.flatnonzero(x)
    missing = exact_gradient(a, b, x)[active] - alpha * len(b) * np.sign(x[active])
    return np.abs(normal_solve(np.linalg.qr(a[:, active], mode="r"), missing)).max()


def knot_error(a, b, x, _):
    """Likewise, of a point of the path where one more variable is as much correlated as those that are not zero."""
    active = np.flatnonzero(x)
    slope = exact_gradient(a, b, x)
    idle = np.abs(slope)
    idle[active] = 0
    event = int(np.argmax(idle))
    triangle = np.linalg.qr(a[:, active], mode="r")
    signs, sign = np.sign(slope[active]), np.sign(slope[event])
    level = np.abs(slope[active]).mean()
    step = normal_solve(triangle, slope[active] - level * signs)
    along = normal_solve(triangle, signs)
    coupling = a[:, event] @ a[:, active]
    change = (slope[event] - level * sign - coupling @ step) / (sign - coupling @ along)
    return float(np.abs(step - change * along).max())


@pytest.mark.parametrize(
    ("run", "choice", "error", "alpha", "tolerance"),
    [
        ("ridge.1.0e-03", Choice(algorithm="ridge", alpha=1e-3), ridge_error, 1e-3, 1e-11),
        ("ridgecv", Choice(algorithm="ridgecv"), ridge_error, 1e-6, 1e-9),
        ("lassolars.1.0e-04", Choice(algorithm="lassolars"), lasso_error, 1e-4, 1e-5),
        ("dlars.1.0e-04", Choice(algorithm="dlars"), knot_error, 0.0, 1e-10),
        ("dlasso.1.0e-04", Choice(algorithm="dlasso", stop_like_dlars=True), knot_error, 0.0, 1e-9),
    ],
)
def test_solutions_are_closer_to_exact_than_those_of_the_reference(
    water, run, choice, error, alpha, tolerance
):
    """Stored parameters differ from ours because of their own errors, which ours are far below.

    Ridge by its normal equations is off by 1e-5 at parameters of 1e3, with the strength of cross-validation by 7e-4 at
    3e4, the path algorithms by 1e-4 (lassolars), 3e-3 (dlars) and 7e-2 (dlasso).
    """
    a, b = water.parts[0], water.right
    x = run_algorithm(water, choice).solution.x
    golden = np.load(RUNS / "lsq2.npz")[run]
    assert error(a, b, x, alpha) < tolerance
    own, theirs = error(a, b, x, alpha), np.abs(golden - x).max()
    assert own < 0.05 * theirs


# ---------------------------------------------------------------- optimality of LASSO


@pytest.mark.parametrize("alpha", [1e-2, 1e-4, 1e-5])
def test_lasso_of_a_four_body_fit_is_optimal(water, alpha):
    """Without charges."""
    a, b = np.ascontiguousarray(water.parts[0][:-2, :-3]), water.right[:-2]
    solution = run_algorithm(Rows([a], b), Choice(algorithm="lasso", alpha=alpha)).solution
    found = violation(a, b, solution.x, alpha)
    assert found < 1e-9
    assert solution.optimality == pytest.approx(found, rel=1e-3, abs=1e-11)


@pytest.fixture(scope="module")
def phenolic(tmp_path_factory):
    """Four-body rows of two frames with stress and energies."""
    folder = tmp_path_factory.mktemp("phenolic")
    name = "stress-and-ener-2b1"
    text = (DATA / "chimes_lsq" / name / "fm_setup.in").read_text()
    text = text.replace("CHEBYSHEV 12 0 0", "CHEBYSHEV 12 3 2").replace("36", "2")
    (folder / "fm_setup.in").write_text(text)
    setup = read_setup(folder / "fm_setup.in")
    setup.trajectory.write_bytes(gzip.decompress((RUNS / f"{name}.xyzf.gz").read_bytes()))
    frames = [f.fitted(setup) for f in selected_frames(setup)]
    a = np.concatenate([f.rows(setup.basis, offsets=setup.has_offsets) for f in frames])
    assert a.shape == (2 * (396 + 9 + 3), 416)
    return a, np.concatenate([f.right for f in frames])


@pytest.mark.parametrize("alpha", [1e-1, 1e-3, 1e-4])
def test_lasso_of_a_four_body_fit_with_energies_and_stress_is_optimal(phenolic, alpha):
    a, b = phenolic
    assert np.abs(b).max() > 1e4
    solution = run_algorithm(Rows([a], b), Choice(algorithm="lasso", alpha=alpha)).solution
    assert violation(a, b, solution.x, alpha) < 1e-9


@pytest.mark.parametrize("alpha", [1e-2, 1e-4])
def test_lasso_with_charges_is_as_optimal_as_doubles_can_be(water, alpha):
    """Rows that tie charges together have numbers of 4e4: the last digit of a charge moves the conditions by 1e-5 α."""
    a, b = water.parts[0], water.right
    solution = run_algorithm(water, Choice(algorithm="lasso", alpha=alpha)).solution
    found = violation(a, b, solution.x, alpha)
    assert solution.optimality == pytest.approx(found, rel=1e-3)
    assert found < solution.rounding < 0.1 / alpha * 1e-8
    digit = np.spacing(np.abs(solution.x)) * np.einsum("ij,ij->j", a, a) / (alpha * len(b))
    assert solution.rounding < digit.max()
    # The exact solution, each number rounded for itself, is worse.
    active = np.flatnonzero(solution.x)
    missing = exact_gradient(a, b, solution.x)[active]
    missing -= alpha * len(b) * np.sign(solution.x[active])
    nearest = solution.x.copy()
    nearest[active] += normal_solve(np.linalg.qr(a[:, active], mode="r"), missing)
    assert found < violation(a, b, nearest, alpha)
