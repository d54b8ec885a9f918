"""What a solver is asked for, what it found, and how a parameter file tells it."""

from collections.abc import Sequence
from typing import Literal, get_args

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ald_core.errors import InputError

Floats = NDArray[np.float64]
Algorithm = Literal["lasso", "ridge", "svd"]

_OPTIMAL = 1e-8
FITTED = 1e-5
"""LASSO parameters above this size count as fitted."""


@attrs.frozen(eq=False, kw_only=True)
class Solution:
    """A solution and how good it is."""

    x: Floats
    algorithm: Algorithm
    alpha: float
    n_equations: int
    rmse: float = np.nan
    """Over all rows, without weights where these rows are known; else nan."""
    n_fitted: int
    """lasso: parameters above 1e-5; ridge: all; svd: singular values kept"""
    optimality: float
    """Largest violation of the optimality conditions; for lasso relative to α, else to ‖A‖ ‖b‖."""
    rounding: float = 0.0
    """lasso: how much of `optimality` can be due to nothing but x being doubles"""
    condition: float
    """Ratio of extreme singular values. svd: of the weighted A; ridge: with the regularisation as rows below it; lasso:
    of the columns of parameters that are not zero, scaled to equal length unless the path of dlars was followed.
    Infinite if it is beyond what the method can tell; nan if it is not known."""
    largest: float = 0.0
    """svd: the largest singular value"""
    method: Literal["normal equations", "QR", "existing files"] = "QR"
    """What the rows were reduced to."""


def check_alpha(algorithm: str, alpha: float) -> None:
    """Refuse what is impossible, before any work.

    Raises:
        InputError: an unknown algorithm, or an α that is not positive and finite, for svd below 1.
    """
    if algorithm not in get_args(Algorithm):
        raise InputError(
            f"there is no algorithm '{algorithm}'",
            cure=f"choose one of {', '.join(get_args(Algorithm))}",
        )
    if algorithm == "svd" and not 0.0 < alpha < 1.0:
        raise InputError(
            f"alpha, the cutoff of svd, must be above 0 and below 1, found {alpha}",
            cure="give for example 1e-5",
        )
    if not (np.isfinite(alpha) and alpha > 0.0):
        raise InputError(
            f"alpha must be positive and finite, found {alpha}",
            cure="give for example 1e-4; svd fits without a penalty",
        )


def count_fitted(x: Floats) -> int:
    """Number of parameters that are not zero, by the measure of the ChIMES programs."""
    return int(np.count_nonzero(np.abs(x) > FITTED))


def describe(solution: Solution) -> str:
    """What was solved and how well, in one line."""
    words = f"{solution.algorithm} from {solution.method}"
    if np.isfinite(solution.condition):
        words += f", condition number {solution.condition:.1e}"
    elif not np.isnan(solution.condition):
        words += ", condition number too large to be told"
    if not np.isfinite(solution.optimality):
        return words
    unit = "alpha" if solution.algorithm == "lasso" else "the size of A times that of b"
    words += f"; optimality conditions hold to {solution.optimality:.1e} of {unit}"
    if solution.algorithm == "lasso" and solution.optimality > _OPTIMAL:
        words += f", {solution.rounding:.1e} being the limit of double precision"
    return words


def comment_block(
    solution: Solution,
    residuals: ArrayLike | None = None,
    *,
    weights_file: str | None = None,
    date: str | None = None,
    heading: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Comment lines that open a parameter file.

    Args:
        solution: the fit.
        residuals: unweighted Ax − b; if absent the RMSE of the solution is used.
        weights_file: name to mention.
        date: for a `Date` line; by default there is none, so that equal fits give equal files.
        heading: lines about the algorithm, instead of those that follow from the solution.
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
        *(_algorithm_lines(solution) if heading is None else heading),
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
