"""Least angle regression, stopped where the program `dlars` of the ChIMES distribution stops.

Efron, Hastie, Johnstone, Tibshirani, Ann. Statist. 32, 407 (2004). The path runs from zero through *knots*, at which a
variable joins or, in its LASSO form, leaves; `dlars` returns the first knot whose objective ½ SSE/n + λ‖x‖₁ is larger
than that of the knot before.
"""

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.kernels.lasso import delete_row, solve_lower, solve_upper

Floats = NDArray[np.float64]

_DEPENDENT = 1e-10
"""Sine of the angle between a column and the span of others, below which it is left out for good."""
_WORSE = 1e-10
"""By how much the objective has to rise."""


@attrs.frozen(eq=False)
class Knot:
    """A point of the path."""

    x: Floats
    iterations: int
    objective: float
    """½ SSE/n + λ‖x‖₁"""


def stop_like_dlars(
    matrix: Floats, target: Floats, rest: float, n_rows: int, alpha: float, *, drop: bool
) -> Knot:
    """Follow the path until the objective rises; from the triangular factor of (A, b).

    Args:
        matrix: R (m, p), rows of the factor without the last column.
        target: q (m,), the last column.
        rest: squared error that no x can change.
        n_rows: of A.
        alpha: λ of the objective.
        drop: let a variable go when it would change its sign (LASSO); else it never goes.
    """
    path = _Path.start(matrix, target)

    def objective(x: Floats) -> float:
        error = float(np.sum((target - matrix @ x) ** 2)) + rest
        return 0.5 * error / n_rows + alpha * float(np.abs(x).sum())

    best, iterations = objective(path.x), 0
    # Far more knots than any path has had.
    for _ in range(100 * (len(path.x) + 1)):
        if not path.advance(drop=drop):
            break
        iterations += 1
        now = objective(path.x)
        if now > best + _WORSE:
            return Knot(path.x, iterations, now)
        best = now
    return Knot(path.x, iterations, best)


@attrs.define(eq=False)
class _Path:
    """Where the path stands, with the triangular factor of the active columns."""

    matrix: Floats
    target: Floats
    x: Floats
    factor: Floats
    basis: Floats
    active: list[int]
    excluded: set[int]
    joining: int | None
    """The variable that ended the last step."""
    dropped: int | None = None

    @classmethod
    def start(cls, matrix: Floats, target: Floats) -> "_Path":
        m, p = matrix.shape
        n = min(m, p) + 1
        slope = np.abs(target @ matrix)
        first = int(np.argmax(slope)) if slope.size and slope.max() > 0.0 else None
        empty = np.zeros((n, n)), np.zeros((n, m))
        return cls(matrix, target, np.zeros(p), *empty, [], set(), first)

    def advance(self, *, drop: bool) -> bool:
        """Go to the next knot; False at the end of the path."""
        slope = (self.target - self.matrix @ self.x) @ self.matrix
        while self.joining is not None and not self._append(self.joining):
            self.excluded.add(self.joining)
            idle = np.abs(slope)
            idle[[*self.active, *self.excluded]] = -1.0
            self.joining = int(np.argmax(idle)) if idle.max() > 0.0 else None
            if self.active:
                break
        if not self.active:
            return False
        k = len(self.active)
        signs = np.sign(slope[self.active])
        way = solve_upper(self.factor, k, solve_lower(self.factor, k, signs))
        largest = float(np.abs(slope[self.active]).max())
        along = (self.matrix[:, self.active] @ way) @ self.matrix
        step, joining = self._next_joining(slope, along, largest)
        leaving = None
        if drop:
            here = self.x[self.active]
            with np.errstate(divide="ignore", invalid="ignore"):
                zeros = np.where(here * way < 0.0, -here / way, np.inf)
            if zeros.min() < step:
                leaving = int(np.argmin(zeros))
                step, joining = float(zeros[leaving]), None
        if step <= 0.0 or not np.isfinite(step):
            return False
        self.x[self.active] += step * way
        self.joining, self.dropped = joining, None
        if leaving is not None:
            delete_row(self.factor, self.basis, k, leaving)
            self.dropped = self.active.pop(leaving)
            self.x[self.dropped] = 0.0
            signs = np.delete(signs, leaving)
        self._correct(signs, largest - step)
        return joining is not None or leaving is not None

    def _correct(self, signs: Floats, level: float) -> None:
        """Make the correlations of all active variables equal, which rounding errors have changed."""
        k = len(self.active)
        slope = ((self.target - self.matrix @ self.x) @ self.matrix)[self.active]
        self.x[self.active] += solve_upper(
            self.factor, k, solve_lower(self.factor, k, slope - level * signs)
        )

    def _next_joining(
        self, slope: Floats, along: Floats, largest: float
    ) -> tuple[float, int | None]:
        """Length of the step until another variable is as much correlated, and that variable."""
        idle = np.ones(len(slope), dtype=bool)
        idle[[*self.active, *self.excluded]] = False
        with np.errstate(divide="ignore", invalid="ignore"):
            plus = (largest - slope) / (1.0 - along)
            minus = (largest + slope) / (1.0 + along)
        if self.dropped is not None:
            # It has just left with the largest correlation; only the opposite one can bring it back at once.
            (plus if slope[self.dropped] > 0.0 else minus)[self.dropped] = np.inf
        tiny = 1e-14 * largest
        steps = np.minimum(
            np.where(plus > tiny, plus, np.inf), np.where(minus > tiny, minus, np.inf)
        )
        steps[~idle] = np.inf
        joining = int(np.argmin(steps))
        if steps[joining] < largest:
            return float(steps[joining]), joining
        return largest, None

    def _append(self, j: int) -> bool:
        """Take column j into the factor; False if it depends on those that are there."""
        k = len(self.active)
        column = self.matrix[:, j].copy()
        length = float(np.linalg.norm(column))
        along = np.zeros(k)
        for _ in range(2):
            part = self.basis[:k] @ column
            column -= part @ self.basis[:k]
            along += part
        rest = float(np.linalg.norm(column))
        if rest <= _DEPENDENT * length or k + 1 == len(self.factor):
            return False
        self.factor[k, :k] = along
        self.factor[k, k] = rest
        self.basis[k] = column / rest
        self.active.append(j)
        return True
