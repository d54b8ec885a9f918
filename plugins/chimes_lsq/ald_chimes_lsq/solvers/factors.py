"""Small problems min ‖Rx − q‖ with the same solutions as a long one, from its normal equations or triangular factor."""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ridge_triangle(triangle: Floats, alpha: float) -> tuple[Floats, Floats]:
    """R and q of the rows with those of the regularisation below them."""
    n = len(triangle) - 1
    below = np.column_stack((np.sqrt(alpha) * np.eye(n), np.zeros(n)))
    (both,) = scipy.linalg.qr(
        np.vstack((triangle, below)), mode="r", overwrite_a=True, check_finite=False
    )
    return both[:n, :n], both[:n, n]


def ridge_cholesky(gram: Floats, moment: Floats, alpha: float) -> tuple[Floats, Floats] | None:
    """R and q as `ridge_triangle` gives them, from normal equations; None if these are singular."""
    shifted = gram + alpha * np.eye(len(gram))
    try:
        triangle: Floats = scipy.linalg.cholesky(shifted, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    q: Floats = scipy.linalg.solve_triangular(triangle, moment, trans="T")
    return triangle, q


def square_root(gram: Floats, moment: Floats) -> tuple[Floats, Floats]:
    """R and q with RᵀR = G and Rᵀq = c; without the directions in which G is zero up to rounding."""
    values, vectors = scipy.linalg.eigh(gram)
    kept = values > len(values) * np.finfo(np.float64).eps * values.max(initial=0.0)
    roots = np.sqrt(values[kept])
    matrix = roots[:, None] * vectors[:, kept].T
    # Largest first, as singular values are.
    return np.ascontiguousarray(matrix[::-1]), ((vectors[:, kept].T @ moment) / roots)[::-1].copy()


def pivoted_root(gram: Floats, moment: Floats) -> tuple[Floats, Floats]:
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


def condition_number(matrix: Floats) -> float:
    """Ratio of the extreme singular values; infinite if there are fewer rows than columns, or the least is zero."""
    if not matrix.size:
        return 1.0
    values = scipy.linalg.svdvals(matrix, check_finite=False)
    full = matrix.shape[0] >= matrix.shape[1] and values[-1] > 0.0
    return float(values[0] / values[-1]) if full else np.inf


def triangle_condition(triangle: Floats) -> float:
    """Estimate of the condition number of an upper triangular matrix in the 1-norm, in much less time."""
    reciprocal = float(scipy.linalg.lapack.dtrcon(triangle, norm="1", uplo="U", diag="N")[0])
    return 1.0 / reciprocal if reciprocal > 0.0 else np.inf
