"""Regularised linear least squares without intercept: LASSO, ridge, truncated SVD.

Objectives, with rows of A and b multiplied by their weights and n the number of rows:

- lasso: (1/2n) ‖Ax − b‖² + α ‖x‖₁, the exact minimiser;
- ridge: ‖Ax − b‖² + α ‖x‖²;
- svd: the shortest x that minimises ‖Ax − b‖ after singular values up to α times the largest are left out.

The rows are reduced to normal equations where these have digits enough, which is seen from the gradient of the rows at
the solution; else, and for svd, to the triangular factor of a QR factorisation, which takes twice the work.
"""

from collections.abc import Callable
from typing import get_args

import attrs
import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.solvers.lasso import minimise_lasso
from ald_chimes_lsq.solvers.normal import NormalEquations
from ald_chimes_lsq.solvers.rows import Rows
from ald_chimes_lsq.solvers.solution import Algorithm, Solution, comment_block, count_fitted
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
Gradient = Callable[[Floats], Floats]

_LASSO_OPTIMAL = 1e-9
"""Violation of the optimality conditions, relative to α, up to which normal equations are good enough."""
_RIDGE_OPTIMAL = 1e-15
"""Likewise for ridge, relative to ‖A‖ ‖b‖."""
_MAX_CONDITION = 1e13
"""Condition number of normal equations beyond which they are not tried for ridge."""


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
    rows = _checked(a, b, weights)
    solution = solve_rows(rows, algorithm, alpha)
    rest = rows.product(solution.x) - rows.right
    return attrs.evolve(solution, rmse=float(np.linalg.norm(rest) / np.sqrt(len(rest))))


def solve_rows(rows: Rows, algorithm: Algorithm = "lasso", alpha: float = 1e-5) -> Solution:
    """Solve for rows of any number; the RMSE is left open.

    Raises:
        InputError: as `solve`.
    """
    _check_alpha(algorithm, alpha)
    solution = None
    if algorithm != "svd" and len(rows.right) >= rows.n_columns:
        solution = _solve_well_conditioned(rows, algorithm, alpha)
    if solution is None:
        solution = solve_triangle(
            rows.triangle(), len(rows.right), algorithm, alpha, gradient=rows.gradient
        )
    return attrs.evolve(solution, weighted=rows.weights is not None)


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
        gradient: x ↦ Aᵀ(b − Ax) of the weighted rows; by default it follows from R.
    """
    _check_alpha(algorithm, alpha)
    # The factor has the same least-squares problem in it, and loses no digits as AᵀA does.
    matrix, target = np.ascontiguousarray(triangle[:-1, :-1]), triangle[:-1, -1].copy()
    size = float(np.linalg.norm(matrix) * np.linalg.norm(triangle[:, -1]))

    def own_gradient(x: Floats) -> Floats:
        return (target - matrix @ x) @ matrix

    slope = own_gradient if gradient is None else gradient
    reduced = _ridge_triangle(triangle, alpha) if algorithm == "ridge" else (matrix, target)
    return _solve(*reduced, algorithm, alpha, n_rows, slope, size)


def solve_normal(
    equations: NormalEquations,
    algorithm: Algorithm = "lasso",
    alpha: float = 1e-5,
    unweighted: NormalEquations | None = None,
) -> Solution:
    """Solve from sums over rows; singular values below about 1e-8 of the largest cannot be told from zero.

    Args:
        equations: of the weighted rows.
        algorithm: lasso, ridge or svd.
        alpha: as in `solve`.
        unweighted: sums of the rows without weights, for the RMSE.
    """
    _check_alpha(algorithm, alpha)
    gram = equations.gram

    def gradient(x: Floats) -> Floats:
        return equations.moment - gram @ x

    if algorithm == "ridge":
        reduced = _ridge_cholesky(gram, equations.moment, alpha)
        if reduced is None:
            raise InputError(
                f"alpha {alpha:g} is too small for ridge from normal equations; use a larger one"
            )
    elif algorithm == "svd":
        reduced = _square_root(gram, equations.moment)
    else:
        reduced = _pivoted_root(gram, equations.moment)
    solution = _solve(*reduced, algorithm, alpha, equations.n_rows, gradient, _size(equations))
    plain = equations if unweighted is None else unweighted
    rmse = float(np.sqrt(plain.squared_error(solution.x) / plain.n_rows))
    return attrs.evolve(
        solution, rmse=rmse, weighted=unweighted is not None, method="normal equations"
    )


def _solve_well_conditioned(rows: Rows, algorithm: Algorithm, alpha: float) -> Solution | None:
    """The solution from normal equations, if it stands the test of the rows themselves."""
    equations = rows.normal_equations()
    if algorithm == "ridge":
        reduced = _ridge_cholesky(equations.gram, equations.moment, alpha)
        if reduced is None or _condition(reduced[0]) ** 2 > _MAX_CONDITION:
            return None
    else:
        reduced = _pivoted_root(equations.gram, equations.moment)
    size = _size(equations)
    try:
        solution = _solve(*reduced, algorithm, alpha, equations.n_rows, rows.gradient, size)
    except InputError:
        raise
    except AldError:  # the active columns are too nearly dependent for half of the digits
        return None
    limit = _RIDGE_OPTIMAL
    if algorithm == "lasso":
        # No x can do better than the last digit of its numbers allows.
        last = np.finfo(np.float64).eps * np.abs(np.diag(equations.gram) * solution.x).max()
        limit = _LASSO_OPTIMAL + 4.0 * float(last) / (alpha * equations.n_rows)
    if solution.optimality > limit:
        return None
    return attrs.evolve(solution, method="normal equations")


def _size(equations: NormalEquations) -> float:
    """Size ‖A‖ ‖b‖ of a problem."""
    return float(np.sqrt(max(np.trace(equations.gram), 0.0) * equations.square))


def _solve(
    matrix: Floats,
    target: Floats,
    algorithm: Algorithm,
    alpha: float,
    n_rows: int,
    gradient: Gradient,
    size: float,
) -> Solution:
    """Solve min ‖Rx − q‖ with the algorithm; `gradient` is Aᵀ(b − Ax) and `size` is ‖A‖ ‖b‖.

    For ridge R is triangular and has the regularisation in it.
    """
    if algorithm == "lasso":
        result = minimise_lasso(matrix, target, n_rows * alpha, gradient)
        return Solution(
            x=result.x,
            algorithm=algorithm,
            alpha=alpha,
            n_equations=n_rows,
            rmse=np.nan,
            n_fitted=count_fitted(result.x),
            optimality=result.violation,
            condition=result.condition,
        )
    largest = 0.0
    if algorithm == "ridge":
        x, missing = _refined(matrix, target, alpha, gradient)
        n_fitted, condition = len(x), _condition(matrix)
    else:
        u, values, vt = scipy.linalg.svd(matrix, full_matrices=False, check_finite=False)
        largest = float(values.max(initial=0.0))
        n_fitted = int(np.count_nonzero(values > alpha * largest))
        x = vt[:n_fitted].T @ ((u[:, :n_fitted].T @ target) / values[:n_fitted])
        condition = float(largest / values[-1]) if values.size and values[-1] > 0.0 else np.inf
        missing = vt[:n_fitted] @ gradient(x)
    return Solution(
        x=x,
        algorithm=algorithm,
        alpha=alpha,
        n_equations=n_rows,
        rmse=np.nan,
        n_fitted=n_fitted,
        optimality=float(np.abs(missing).max(initial=0.0) / (size or 1.0)),
        condition=condition,
        largest=largest,
    )


def _refined(
    triangle: Floats, target: Floats, alpha: float, gradient: Gradient
) -> tuple[Floats, Floats]:
    """Solve Rx = q, corrected while that makes Aᵀ(b − Ax) − αx smaller, which is returned too."""
    x: Floats = scipy.linalg.solve_triangular(triangle, target)
    missing = gradient(x) - alpha * x
    for _ in range(4):
        step = scipy.linalg.solve_triangular(triangle, missing, trans="T")
        better = x + scipy.linalg.solve_triangular(triangle, step)
        rest = gradient(better) - alpha * better
        if np.abs(rest).max() > 0.5 * np.abs(missing).max():
            break
        x, missing = better, rest
    return x, missing


def _ridge_triangle(triangle: Floats, alpha: float) -> tuple[Floats, Floats]:
    """R and q of the rows with those of the regularisation below them."""
    n = len(triangle) - 1
    below = np.column_stack((np.sqrt(alpha) * np.eye(n), np.zeros(n)))
    (both,) = scipy.linalg.qr(
        np.vstack((triangle, below)), mode="r", overwrite_a=True, check_finite=False
    )
    return both[:n, :n], both[:n, n]


def _ridge_cholesky(gram: Floats, moment: Floats, alpha: float) -> tuple[Floats, Floats] | None:
    """R and q as `_ridge_triangle` gives them, from normal equations; None if these are singular."""
    shifted = gram + alpha * np.eye(len(gram))
    try:
        triangle: Floats = scipy.linalg.cholesky(shifted, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    q: Floats = scipy.linalg.solve_triangular(triangle, moment, trans="T")
    return triangle, q


def _condition(triangle: Floats) -> float:
    """Condition number of an upper triangular matrix (1-norm estimate)."""
    reciprocal = float(scipy.linalg.lapack.dtrcon(triangle, norm="1", uplo="U", diag="N")[0])
    return 1.0 / reciprocal if reciprocal > 0.0 else np.inf


def _square_root(gram: Floats, moment: Floats) -> tuple[Floats, Floats]:
    """R and q with RᵀR = G and Rᵀq = c; without the directions in which G is zero up to rounding."""
    values, vectors = scipy.linalg.eigh(gram)
    kept = values > len(values) * np.finfo(np.float64).eps * values.max(initial=0.0)
    roots = np.sqrt(values[kept])
    matrix = roots[:, None] * vectors[:, kept].T
    # Largest first, as singular values are.
    return np.ascontiguousarray(matrix[::-1]), ((vectors[:, kept].T @ moment) / roots)[::-1].copy()


def _pivoted_root(gram: Floats, moment: Floats) -> tuple[Floats, Floats]:
    """R and q likewise, by a Cholesky factorisation that leaves out columns dependent on those before."""
    diagonal = np.diag(gram)
    scale = np.where(diagonal > 0.0, np.sqrt(np.maximum(diagonal, 0.0)), 1.0)
    scaled = np.asfortranarray(gram / scale[:, None] / scale)
    factor, pivots, rank, _ = scipy.linalg.lapack.dpstrf(scaled, lower=0, overwrite_a=1)
    order = pivots - 1
    matrix = np.zeros((rank, len(gram)))
    matrix[:, order] = np.triu(factor)[:rank]
    q = scipy.linalg.solve_triangular(
        factor[:rank, :rank], (moment / scale)[order[:rank]], trans="T"
    )
    matrix *= scale
    return matrix, q


def _checked(a: ArrayLike, b: ArrayLike, weights: ArrayLike | None) -> Rows:
    matrix, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if matrix.ndim != 2 or right.shape != matrix.shape[:1] or not matrix.size:
        raise InputError(
            f"the matrix {matrix.shape} and the right-hand side {right.shape} do not fit together"
        )
    if not (np.isfinite(matrix).all() and np.isfinite(right).all()):
        raise InputError(
            "the design matrix or the right-hand side holds a number that is not finite"
        )
    if weights is None:
        return Rows((matrix,), right)
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != right.shape:
        raise InputError(
            f"{given.size} weights do not fit {right.size} rows; one per row is needed"
        )
    if not (np.isfinite(given).all() and (given >= 0.0).all()):
        raise InputError("weights must be finite and not negative")
    return Rows((matrix,), right, given)


def _check_alpha(algorithm: str, alpha: float) -> None:
    if algorithm not in get_args(Algorithm):
        raise InputError(
            f"there is no algorithm '{algorithm}'; there are {', '.join(get_args(Algorithm))}"
        )
    if not (np.isfinite(alpha) and alpha > 0.0) or (algorithm == "svd" and alpha >= 1.0):
        raise InputError(f"alpha must be positive (below 1 for svd), found {alpha}")
