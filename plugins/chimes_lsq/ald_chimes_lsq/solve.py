"""Regularised linear least squares without intercept: LASSO, ridge, truncated SVD; from A or from normal equations.

Objectives, with rows of A and b multiplied by their weights and n the number of rows:

- lasso: (1/2n) ‖Ax − b‖² + α ‖x‖₁, the exact minimiser;
- ridge: ‖Ax − b‖² + α ‖x‖²;
- svd: the shortest x that minimises ‖Ax − b‖ after singular values up to α times the largest are left out.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import attrs
import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.lasso import minimise_lasso
from ald_core.errors import InputError

Floats = NDArray[np.float64]
Algorithm = Literal["lasso", "ridge", "svd"]

FITTED = 1e-5
"""LASSO parameters above this size count as fitted."""


@attrs.frozen(eq=False)
class NormalEquations:
    """Sums over the rows of a weighted A and b; blocks of rows are added."""

    gram: Floats
    """AᵀA (p, p)"""
    moment: Floats
    """Aᵀb (p,)"""
    square: float
    """bᵀb"""
    n_rows: int

    @classmethod
    def of(cls, a: ArrayLike, b: ArrayLike, weights: ArrayLike | None = None) -> "NormalEquations":
        """Sums for one block of rows."""
        a, b = _weighted(*_checked(a, b, weights))
        return cls(a.T @ a, a.T @ b, float(b @ b), len(b))

    def __add__(self, other: "NormalEquations") -> "NormalEquations":
        return NormalEquations(
            self.gram + other.gram,
            self.moment + other.moment,
            self.square + other.square,
            self.n_rows + other.n_rows,
        )

    def squared_error(self, x: Floats) -> float:
        """‖Ax − b‖², to the rounding error of bᵀb."""
        return max(float(self.square + x @ (self.gram @ x - 2.0 * self.moment)), 0.0)


@attrs.frozen(eq=False)
class Solution:
    """A solution and how good it is."""

    x: Floats
    algorithm: Algorithm
    alpha: float
    n_equations: int
    rmse: float
    """Over all rows, without weights where these rows are known."""
    n_fitted: int
    """lasso: parameters above 1e-5; ridge: all; svd: singular values kept"""
    optimality: float
    """Largest violation of the optimality conditions; for lasso relative to α, else to ‖A‖ ‖b‖."""
    condition: float
    """svd: ratio of singular values; ridge, lasso: estimate for the regularised or active columns"""
    largest: float = 0.0
    """svd: the largest singular value"""
    weighted: bool = False


def solve(
    a: ArrayLike,
    b: ArrayLike,
    weights: ArrayLike | None = None,
    algorithm: Algorithm = "lasso",
    alpha: float = 1e-5,
) -> Solution:
    """Solve from the rows themselves.

    Args:
        a: design matrix (n, p).
        b: right-hand side (n,).
        weights: one per row; multiplies A and b, so that squared errors are weighted by its square.
        algorithm: lasso, ridge or svd.
        alpha: kcal/mol, see the objectives; for svd the relative cutoff.

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, an α that is not positive.
    """
    matrix, right, row_weights = _checked(a, b, weights)
    _check_alpha(algorithm, alpha)
    rows, target = _weighted(matrix, right, row_weights)
    # The triangular factor has the same least-squares problem in it, and loses no digits as AᵀA does.
    triangle = _triangle(np.column_stack((rows, target)))
    height = min(len(right), matrix.shape[1])
    reduced = np.ascontiguousarray(triangle[:height, :-1]), triangle[:height, -1].copy()
    del triangle

    def gradient(x: Floats) -> Floats:
        return np.asarray(rows.T @ (target - rows @ x), dtype=np.float64)

    size = float(np.linalg.norm(rows) * np.linalg.norm(target))
    if algorithm == "ridge":
        reduced = _ridge_rows(*reduced, alpha)
    solution = _solve(*reduced, algorithm, alpha, len(right), gradient, size)
    rmse = float(np.linalg.norm(matrix @ solution.x - right) / np.sqrt(len(right)))
    return attrs.evolve(solution, rmse=rmse, weighted=row_weights is not None)


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

    size = float(np.sqrt(max(np.trace(gram), 0.0) * equations.square))
    if algorithm == "ridge":
        reduced = _ridge_cholesky(gram, equations.moment, alpha)
    else:
        reduced = _square_root(gram, equations.moment)
    solution = _solve(*reduced, algorithm, alpha, equations.n_rows, gradient, size)
    plain = equations if unweighted is None else unweighted
    rmse = float(np.sqrt(plain.squared_error(solution.x) / plain.n_rows))
    return attrs.evolve(solution, rmse=rmse, weighted=unweighted is not None)


def comment_block(
    solution: Solution,
    residuals: ArrayLike | None = None,
    *,
    weights_file: str | None = None,
    date: str | None = None,
) -> tuple[str, ...]:
    """Comment lines that open a parameter file.

    Args:
        solution: the fit.
        residuals: unweighted Ax − b; if absent the RMSE of the solution is used.
        weights_file: name to mention.
        date: for a `Date` line; by default there is none, so that equal fits give equal files.
    """
    rmse = solution.rmse
    if residuals is not None:
        rmse = float(np.sqrt(np.mean(np.square(np.asarray(residuals, dtype=np.float64)))))
    n = solution.n_equations
    with np.errstate(divide="ignore"):
        criterion = n * np.log(rmse * rmse) + np.log(n) * solution.n_fitted
    lines = [f"! Date  {date}", "!"] if date else []
    lines += [
        f"! Number of variables            =  {len(solution.x)}",
        f"! Number of equations            =  {n}",
        *_algorithm_lines(solution),
        f"! RMSE                           = {rmse:11.4e}",
        f"! max abs variable               = {np.abs(solution.x).max(initial=0.0):11.4e}",
        f"! number of fitting vars         =  {solution.n_fitted}",
        f"! Bayesian Information Criterion = {criterion:11.4e}",
    ]
    if weights_file:
        lines.append(f"! Using weighting file:             {weights_file}")
    return (*lines, "!")


def _algorithm_lines(solution: Solution) -> Sequence[str]:
    alpha = solution.alpha
    if solution.algorithm == "svd":
        return (
            "! svd algorithm used",
            f"! eps (= args.eps*dmax)          =  {alpha * solution.largest:11.4e}",
            f"! SVD regularization factor      = {alpha:11.4e}",
        )
    if solution.algorithm == "ridge":
        return ("! ridge regression used", f"! Ridge alpha = {alpha:11.4e}")
    return ("! LASSO regression used", f"! LASSO alpha = {alpha:11.4e}")


def _solve(
    matrix: Floats,
    target: Floats,
    algorithm: Algorithm,
    alpha: float,
    n_rows: int,
    gradient: Callable[[Floats], Floats],
    size: float,
) -> Solution:
    """Solve min ‖Rx − q‖ with the algorithm; `gradient` is Aᵀ(b − Ax) and `size` is ‖A‖ ‖b‖.

    For ridge R is triangular and has the regularisation in it.
    """
    if algorithm == "lasso":
        result = minimise_lasso(matrix, target, n_rows * alpha, gradient)
        n_fitted = int(np.count_nonzero(np.abs(result.x) > FITTED))
        return Solution(
            x=result.x,
            algorithm=algorithm,
            alpha=alpha,
            n_equations=n_rows,
            rmse=np.nan,
            n_fitted=n_fitted,
            optimality=result.violation,
            condition=result.condition,
        )
    largest = 0.0
    if algorithm == "ridge":
        x, condition = _back_substitute(matrix, target)
        n_fitted = len(x)
        missing = gradient(x) - alpha * x
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


def _triangle(matrix: NDArray[np.floating[Any]]) -> Floats:
    """R of the QR factorisation; the matrix is overwritten."""
    (triangle,) = scipy.linalg.qr(matrix, mode="r", overwrite_a=True, check_finite=False)
    return np.asarray(triangle, dtype=np.float64)


def _ridge_rows(matrix: Floats, target: Floats, alpha: float) -> tuple[Floats, Floats]:
    """R and q of the rows with those of the regularisation below them."""
    n = matrix.shape[1]
    below = np.column_stack((np.sqrt(alpha) * np.eye(n), np.zeros(n)))
    triangle = _triangle(np.vstack((np.column_stack((matrix, target)), below)))
    return triangle[:n, :n], triangle[:n, n]


def _ridge_cholesky(gram: Floats, moment: Floats, alpha: float) -> tuple[Floats, Floats]:
    """R and q as `_ridge_rows` gives them, from the normal equations."""
    shifted = gram + alpha * np.eye(len(gram))
    try:
        triangle: Floats = scipy.linalg.cholesky(shifted, check_finite=False)
    except np.linalg.LinAlgError:
        raise InputError(
            f"alpha {alpha:g} is too small for ridge from normal equations; use a larger one"
        ) from None
    q: Floats = scipy.linalg.solve_triangular(triangle, moment, trans="T")
    return triangle, q


def _back_substitute(triangle: Floats, target: Floats) -> tuple[Floats, float]:
    """Solution, and the condition number of the upper triangular R (1-norm estimate)."""
    x: Floats = scipy.linalg.solve_triangular(triangle, target)
    reciprocal = float(scipy.linalg.lapack.dtrcon(triangle, norm="1", uplo="U", diag="N")[0])
    return x, 1.0 / reciprocal if reciprocal > 0.0 else np.inf


def _square_root(gram: Floats, moment: Floats) -> tuple[Floats, Floats]:
    """R and q with RᵀR = G and Rᵀq = c; without the directions in which G is zero up to rounding."""
    values, vectors = scipy.linalg.eigh(gram)
    kept = values > len(values) * np.finfo(np.float64).eps * values.max(initial=0.0)
    roots = np.sqrt(values[kept])
    matrix = roots[:, None] * vectors[:, kept].T
    # Largest first, as singular values are.
    return np.ascontiguousarray(matrix[::-1]), ((vectors[:, kept].T @ moment) / roots)[::-1].copy()


def _checked(
    a: ArrayLike, b: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, Floats, Floats | None]:
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
        return matrix, right, None
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != right.shape:
        raise InputError(
            f"{given.size} weights do not fit {right.size} rows; one per row is needed"
        )
    if not (np.isfinite(given).all() and (given >= 0.0).all()):
        raise InputError("weights must be finite and not negative")
    return matrix, right, given


def _weighted(matrix: Floats, right: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
    if weights is None:
        return matrix, right
    return matrix * weights[:, None], right * weights


def _check_alpha(algorithm: str, alpha: float) -> None:
    if algorithm not in get_args(Algorithm):
        raise InputError(
            f"there is no algorithm '{algorithm}'; there are {', '.join(get_args(Algorithm))}"
        )
    if not (np.isfinite(alpha) and alpha > 0.0) or (algorithm == "svd" and alpha >= 1.0):
        raise InputError(f"alpha must be positive (below 1 for svd), found {alpha}")
