"""The algorithms of the script `chimes_lsq.py`, under their names there."""

from collections.abc import Callable, Sequence
from typing import Literal, cast, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.solvers.lars import stop_like_dlars
from ald_chimes_lsq.solvers.lasso import minimise_lasso
from ald_chimes_lsq.solvers.ridge_cv import check_folds, choose_strength
from ald_chimes_lsq.solvers.rows import Rows
from ald_chimes_lsq.solvers.solution import Solution, check_alpha, count_fitted
from ald_chimes_lsq.solvers.solve import solve_normal, solve_rows
from ald_chimes_lsq.threads import one_blas_thread
from ald_core.errors import InputError

Floats = NDArray[np.float64]
Name = Literal["svd", "fast_svd", "ridge", "ridgecv", "lasso", "lassolars", "dlars", "dlasso"]


PATHS: tuple[Name, ...] = ("dlars", "dlasso")
"""The algorithms of the program dlars"""


@attrs.frozen(kw_only=True)
class Choice:
    """An algorithm and its parameters."""

    algorithm: Name = "svd"
    eps: float = 1e-5
    """Relative cutoff of singular values (svd, fast_svd)"""
    alpha: float = 1e-4
    """Strength of ridge, lasso, lassolars, dlars, dlasso"""
    folds: int = 4
    normalize: bool = False
    """dlars, dlasso: columns are centred and scaled to length 1, b is centred"""
    stop_like_dlars: bool = False
    """dlasso: the knot of the path that dlars returns, instead of the minimiser"""


@attrs.frozen(eq=False)
class Outcome:
    """A solution, and what `chimes_lsq.py` says about it."""

    solution: Solution
    heading: Sequence[str] | None
    """Lines about the algorithm; None: those that follow from the solution"""
    said: Floats
    """Ax without weights; with `normalize` plus the constant that centring implies"""


def parse_algorithm(word: str) -> Name:
    """Check the name of an algorithm."""
    if word not in get_args(Name):
        raise InputError(
            f"there is no algorithm '{word}'", cure=f"choose one of {', '.join(get_args(Name))}"
        )
    return cast("Name", word)


def check_choice(choice: Choice, n_rows: int | None = None) -> None:
    """Refuse parameters that are impossible, before any work.

    Args:
        choice: what to check.
        n_rows: of the problem, once it is known.

    Raises:
        InputError: naming the option, its value, and the cure.
    """
    name, alpha = choice.algorithm, choice.alpha
    if name == "ridgecv":
        check_folds(choice.folds, n_rows)
    if choice.normalize and name not in PATHS:
        raise InputError(
            f"columns are normalised for dlars and dlasso only, not {name}",
            cure="leave --normalize out",
        )
    if choice.stop_like_dlars and name not in PATHS:
        raise InputError(f"{name} cannot stop like dlars", cure="leave --stop-like-dlars out")
    if name in {"svd", "fast_svd"}:
        if not 0.0 < choice.eps < 1.0:
            raise InputError(
                f"eps must be above 0 and below 1, found {choice.eps}", cure="give for example 1e-5"
            )
    elif name != "ridgecv":
        check_alpha("ridge" if name == "ridge" else "lasso", alpha)


@one_blas_thread
def run_algorithm(rows: Rows, choice: Choice) -> Outcome:
    """Solve.

    Raises:
        InputError: numbers that are not finite, or a parameter that is impossible.
    """
    check_choice(choice, len(rows.right))
    solution, heading = _SOLVERS[choice.algorithm](rows, choice)
    said = rows.product(solution.x)
    if choice.normalize:
        said += _constant(rows, said)
    return Outcome(solution, heading, said)


Solved = tuple[Solution, Sequence[str] | None]


def _svd(rows: Rows, choice: Choice) -> Solved:
    return solve_rows(rows, "svd", choice.eps), None


def _fast_svd(rows: Rows, choice: Choice) -> Solved:
    solution = solve_normal(rows.normal_equations(), "svd", choice.eps)
    heading = (
        "! fast_svd algorithm used",
        f"! eps (= args.eps*dmax)          =  {choice.eps * solution.largest:11.4e}",
        f"! SVD regularization factor      = {choice.eps:11.4e}",
    )
    return solution, heading


def _ridge(rows: Rows, choice: Choice) -> Solved:
    return solve_rows(rows, "ridge", choice.alpha), None


def _ridge_cv(rows: Rows, choice: Choice) -> Solved:
    alpha = choose_strength(rows, choice.folds)
    heading = ("! ridge CV regression used", f"! ridge CV alpha = {alpha:11.4e}")
    return solve_rows(rows, "ridge", alpha), heading


def _lasso(rows: Rows, choice: Choice) -> Solved:
    return solve_rows(rows, "lasso", choice.alpha), None


def _lasso_lars(rows: Rows, choice: Choice) -> Solved:
    heading = (
        "! LARS implementation of LASSO used",
        f"! LASSO alpha = {choice.alpha:11.4e}",
    )
    return solve_rows(rows, "lasso", choice.alpha), heading


def dlars_heading(choice: Choice) -> tuple[str, ...]:
    """Lines about dlars and dlasso."""
    return (
        f"! DLARS code for {'LARS' if choice.algorithm == 'dlars' else 'LASSO'} used",
        f"! DLARS alpha = {choice.alpha:10.4e}",
        *(["! columns normalized"] if choice.normalize else []),
    )


def _dlars(rows: Rows, choice: Choice) -> Solved:
    heading = dlars_heading(choice)
    exact = choice.algorithm == "dlasso" and not choice.stop_like_dlars
    if exact and not choice.normalize:
        return solve_rows(rows, "lasso", choice.alpha), heading
    n = len(rows.right)
    triangle = rows.triangle(centred=choice.normalize)
    matrix, target = np.ascontiguousarray(triangle[:-1, :-1]), triangle[:-1, -1].copy()
    scale = np.ones(matrix.shape[1])
    if choice.normalize:
        lengths = np.linalg.norm(matrix, axis=0)
        scale = np.where(lengths > 0.0, lengths, 1.0)
    matrix /= scale
    if exact:
        result = minimise_lasso(matrix, target, n * choice.alpha)
        x, condition = result.x / scale, result.condition
        optimality, rounding = result.violation, result.rounding
    else:
        rest = float(triangle[-1, -1] ** 2)
        gradient = None if choice.normalize else rows.gradient
        drop = choice.algorithm == "dlasso"
        knot = stop_like_dlars(matrix, target, rest, n, choice.alpha, drop=drop, gradient=gradient)
        x, condition = knot.x / scale, knot.condition
        optimality, rounding = np.nan, 0.0
    solution = Solution(
        x=x,
        algorithm="lasso",
        alpha=choice.alpha,
        n_equations=n,
        n_fitted=count_fitted(x),
        optimality=optimality,
        rounding=rounding,
        condition=condition,
    )
    return solution, heading


def _constant(rows: Rows, said: Floats) -> float:
    """Mean of b − Ax over the weighted rows: what centring adds to Ax."""
    factors = np.ones(len(rows.right)) if rows.weights is None else rows.weights
    return float(np.mean(factors * (rows.right - said)))


_SOLVERS: dict[str, Callable[[Rows, Choice], Solved]] = {
    "svd": _svd,
    "fast_svd": _fast_svd,
    "ridge": _ridge,
    "ridgecv": _ridge_cv,
    "lasso": _lasso,
    "lassolars": _lasso_lars,
    "dlars": _dlars,
    "dlasso": _dlars,
}
