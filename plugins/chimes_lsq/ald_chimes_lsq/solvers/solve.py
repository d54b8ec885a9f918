"""Regularised linear least squares without intercept: LASSO, ridge, truncated SVD.

Objectives, with rows of A and b multiplied by their weights and n the number of rows:

- lasso: (1/2n) ‖Ax − b‖² + α ‖x‖₁, the exact minimiser;
- ridge: ‖Ax − b‖² + α ‖x‖²;
- svd: the shortest x that minimises ‖Ax − b‖ after singular values up to α times the largest are left out.

The rows are reduced to normal equations where these have digits enough, which is seen from the gradient of the rows at
the solution; else, and for svd, to the triangular factor of a QR factorisation, which takes twice the work.
"""

from collections.abc import Callable

import attrs
import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.solvers.factors import (
    condition_number,
    pivoted_root,
    ridge_cholesky,
    ridge_triangle,
    square_root,
    triangle_condition,
)
from ald_chimes_lsq.solvers.lasso import minimise_lasso
from ald_chimes_lsq.solvers.normal import NormalEquations
from ald_chimes_lsq.solvers.rows import Gradient, Rows, checked_weights, not_finite
from ald_chimes_lsq.solvers.solution import (
    Algorithm,
    Solution,
    check_alpha,
    comment_block,
    count_fitted,
)
from ald_chimes_lsq.threads import one_blas_thread
from ald_core.errors import AldError, InputError

__all__ = [
    "Algorithm",
    "NormalEquations",
    "Solution",
    "comment_block",
    "solve",
    "solve_normal",
    "solve_rows",
    "solve_triangle",
]

Floats = NDArray[np.float64]

_LASSO_OPTIMAL = 1e-9
"""Violation of the optimality conditions, relative to α, up to which normal equations are good enough."""
_RIDGE_OPTIMAL = 1e-15
"""Likewise for ridge, relative to ‖A‖ ‖b‖."""
_MAX_CONDITION = 1e13
"""Condition number of normal equations beyond which they are not tried for ridge."""


@one_blas_thread
def solve(
    a: ArrayLike,
    b: ArrayLike,
    weights: ArrayLike | None = None,
    algorithm: Algorithm = "lasso",
    alpha: float = 1e-5,
) -> Solution:
    """Solve for a matrix in memory.

    Args:
        a: design matrix (n, p).
        b: right-hand side (n,).
        weights: one per row; multiplies A and b, so that squared errors are weighted by its square.
        algorithm: lasso, ridge or svd.
        alpha: kcal/mol, see the objectives; for svd the relative cutoff.

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, an α that is not positive.
    """
    rows = _checked_rows(a, b, weights)
    solution = solve_rows(rows, algorithm, alpha)
    rest = rows.product(solution.x) - rows.right
    return attrs.evolve(solution, rmse=float(np.linalg.norm(rest) / np.sqrt(len(rest))))


@one_blas_thread
def solve_rows(rows: Rows, algorithm: Algorithm = "lasso", alpha: float = 1e-5) -> Solution:
    """Solve for rows of any number; the RMSE is left open.

    Raises:
        InputError: as `solve`.
    """
    check_alpha(algorithm, alpha)
    solution = None
    if algorithm != "svd" and len(rows.right) >= rows.n_columns:
        solution = _solve_well_conditioned(rows, algorithm, alpha)
    if solution is None:
        solution = solve_triangle(
            rows.triangle(), len(rows.right), algorithm, alpha, gradient=rows.gradient
        )
    return solution


@one_blas_thread
def solve_triangle(
    triangle: Floats,
    n_rows: int,
    algorithm: Algorithm = "lasso",
    alpha: float = 1e-5,
    *,
    gradient: Gradient | None = None,
) -> Solution:
    """Solve from the triangular factor of the weighted (A, b); the RMSE is left open.

    Args:
        triangle: R (p + 1, p + 1).
        n_rows: that A has.
        algorithm: as in `solve`.
        alpha: as in `solve`.
        gradient: Aᵀ(b − Ax) of the weighted rows; by default it follows from R.
    """
    check_alpha(algorithm, alpha)
    # The factor has the same least-squares problem in it, and loses no digits as AᵀA does.
    matrix, target = np.ascontiguousarray(triangle[:-1, :-1]), triangle[:-1, -1].copy()
    size = float(np.linalg.norm(matrix) * np.linalg.norm(triangle[:, -1]))
    slope = Rows([matrix], target).gradient if gradient is None else gradient
    if algorithm == "ridge":
        matrix, target = ridge_triangle(triangle, alpha)
    return _SOLVERS[algorithm](_Problem(matrix, target, alpha, n_rows, slope, size))


@one_blas_thread
def solve_normal(
    equations: NormalEquations, algorithm: Algorithm = "lasso", alpha: float = 1e-5
) -> Solution:
    """Solve from sums over weighted rows alone; the RMSE is left open.

    Singular values below about 1e-8 of the largest cannot be told from zero.

    Args:
        equations: the sums.
        algorithm: as in `solve`.
        alpha: as in `solve`.

    Raises:
        InputError: an α that is impossible, or too small for ridge.
    """
    check_alpha(algorithm, alpha)
    problem = _reduced(equations, algorithm, alpha, equations.gradient)
    if problem is None:
        raise InputError(
            f"alpha {alpha:g} is too small for ridge from normal equations", cure="use a larger one"
        )
    return attrs.evolve(_SOLVERS[algorithm](problem), method="normal equations")


def _solve_well_conditioned(rows: Rows, algorithm: Algorithm, alpha: float) -> Solution | None:
    """The solution from normal equations, if it stands the test of the rows themselves."""
    problem = _reduced(rows.normal_equations(), algorithm, alpha, rows.gradient)
    if problem is None:
        return None
    if algorithm == "ridge" and triangle_condition(problem.matrix) ** 2 > _MAX_CONDITION:
        return None
    try:
        solution = _SOLVERS[algorithm](problem)
    except InputError:
        raise
    except AldError:  # the active columns are too nearly dependent for half of the digits
        return None
    limit = _LASSO_OPTIMAL if algorithm == "lasso" else _RIDGE_OPTIMAL
    if solution.optimality > limit + solution.rounding:
        return None
    return attrs.evolve(solution, method="normal equations")


@attrs.frozen(eq=False)
class _Problem:
    """Min ‖Rx − q‖, which has the solutions of the rows."""

    matrix: Floats
    """R; for ridge it is triangular, and has the regularisation in it"""
    target: Floats
    """q"""
    alpha: float
    n_rows: int
    gradient: Gradient
    size: float
    """‖A‖ ‖b‖"""


def _reduced(
    equations: NormalEquations, algorithm: Algorithm, alpha: float, gradient: Gradient
) -> _Problem | None:
    """From normal equations; None if they are too nearly singular for ridge."""
    gram, moment = equations.gram, equations.moment
    if algorithm == "ridge":
        root = ridge_cholesky(gram, moment, alpha)
    elif algorithm == "svd":
        root = square_root(gram, moment)
    else:
        root = pivoted_root(gram, moment)
    size = float(np.sqrt(max(np.trace(gram), 0.0) * equations.square))
    return None if root is None else _Problem(*root, alpha, equations.n_rows, gradient, size)


def _lasso(problem: _Problem) -> Solution:
    penalty = problem.n_rows * problem.alpha
    result = minimise_lasso(problem.matrix, problem.target, penalty, problem.gradient)
    return Solution(
        x=result.x,
        algorithm="lasso",
        alpha=problem.alpha,
        n_equations=problem.n_rows,
        n_fitted=count_fitted(result.x),
        optimality=result.violation,
        rounding=result.rounding,
        condition=result.condition,
    )


def _ridge(problem: _Problem) -> Solution:
    triangle, alpha = problem.matrix, problem.alpha
    x: Floats = scipy.linalg.solve_triangular(triangle, problem.target)
    missing = problem.gradient(x) - alpha * x
    for _ in range(4):
        step = scipy.linalg.solve_triangular(triangle, missing, trans="T")
        better = x + scipy.linalg.solve_triangular(triangle, step)
        rest = problem.gradient(better) - alpha * better
        if np.abs(rest).max() > 0.5 * np.abs(missing).max():
            break
        x, missing = better, rest
    return Solution(
        x=x,
        algorithm="ridge",
        alpha=alpha,
        n_equations=problem.n_rows,
        n_fitted=len(x),
        optimality=float(np.abs(missing).max() / (problem.size or 1.0)),
        condition=condition_number(triangle),
    )


def _svd(problem: _Problem) -> Solution:
    u, values, vt = scipy.linalg.svd(problem.matrix, full_matrices=False, check_finite=False)
    largest = float(values.max(initial=0.0))
    full = values.size == problem.matrix.shape[1]
    kept = int(np.count_nonzero(values > problem.alpha * largest))
    x = vt[:kept].T @ ((u[:, :kept].T @ problem.target) / values[:kept])
    missing = vt[:kept] @ problem.gradient(x)
    return Solution(
        x=x,
        algorithm="svd",
        alpha=problem.alpha,
        n_equations=problem.n_rows,
        n_fitted=kept,
        optimality=float(np.abs(missing).max(initial=0.0) / (problem.size or 1.0)),
        condition=float(largest / values[-1]) if full and values[-1] > 0.0 else np.inf,
        largest=largest,
    )


_SOLVERS: dict[Algorithm, Callable[[_Problem], Solution]] = {
    "lasso": _lasso,
    "ridge": _ridge,
    "svd": _svd,
}


def _checked_rows(a: ArrayLike, b: ArrayLike, weights: ArrayLike | None) -> Rows:
    matrix, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if matrix.ndim != 2 or right.shape != matrix.shape[:1] or not matrix.size:
        raise InputError(
            f"the matrix {matrix.shape} and the right-hand side {right.shape} do not fit together",
            cure="give a matrix (n, p) that is not empty, and n numbers",
        )
    if not (np.isfinite(matrix).all() and np.isfinite(right).all()):
        raise not_finite()
    return Rows((matrix,), right, None if weights is None else checked_weights(weights, len(right)))
