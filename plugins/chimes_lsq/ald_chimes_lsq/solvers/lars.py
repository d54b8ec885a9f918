"""Least angle regression, stopped where the program `dlars` of the ChIMES distribution stops.

Efron, Hastie, Johnstone, Tibshirani, Ann. Statist. 32, 407 (2004). The path runs from zero through *knots*, at which a
variable joins or, in its LASSO form, leaves; `dlars` returns the first knot whose objective ½ SSE/n + λ‖x‖₁ is larger
than that of the knot before.
"""

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.solvers.active import ActiveColumns
from ald_chimes_lsq.solvers.rows import Gradient, Rows
from ald_core.errors import AldError

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
    condition: float
    """Condition number of the columns in use."""


def stop_like_dlars(
    matrix: Floats,
    target: Floats,
    rest: float,
    n_rows: int,
    alpha: float,
    *,
    drop: bool,
    gradient: Gradient | None = None,
) -> Knot:
    """Follow the path until the objective rises; from the triangular factor of (A, b).

    Args:
        matrix: R (m, p), rows of the factor without the last column.
        target: q (m,), the last column.
        rest: squared error that no x can change.
        n_rows: of A.
        alpha: λ of the objective.
        drop: let a variable go when it would change its sign (LASSO); else it never goes.
        gradient: Aᵀ(b − Ax), where that is known better than from R and q: the knot is then one of this gradient.

    Raises:
        AldError: the columns are so short that their squares are zero.
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
            path.sharpen(Rows([matrix], target).gradient if gradient is None else gradient)
            return Knot(path.x, iterations, now, path.columns.condition())
        best = now
    return Knot(path.x, iterations, best, path.columns.condition())


@attrs.define(eq=False)
class _Path:
    """Where the path stands, with the columns of the active variables."""

    matrix: Floats
    target: Floats
    x: Floats
    columns: ActiveColumns
    excluded: set[int]
    joining: int | None
    """The variable that ended the last step."""
    dropped: int | None = None

    @classmethod
    def start(cls, matrix: Floats, target: Floats) -> "_Path":
        slope = np.abs(target @ matrix)
        first = int(np.argmax(slope)) if slope.size and slope.max() > 0.0 else None
        columns = ActiveColumns.none_of(matrix, _DEPENDENT)
        return cls(matrix, target, np.zeros(matrix.shape[1]), columns, set(), first)

    @property
    def active(self) -> list[int]:
        """Numbers of the active variables."""
        return self.columns.numbers

    def sharpen(self, gradient: Gradient) -> None:
        """Make the correlations of the active variables and the one that ended the last step equal, by Newton steps."""
        event = self.dropped if self.joining is None else self.joining
        if event is None:
            return
        coupling = self.matrix[:, event] @ self.matrix[:, self.active]
        size = np.inf
        for _ in range(4):
            slope = gradient(self.x)
            own, signs = slope[self.active], np.sign(slope[self.active])
            level = float(np.abs(own).mean())
            step = self.columns.solve(own - level * signs)
            along = self.columns.solve(signs)
            missing = slope[event] - level * np.sign(slope[event]) - coupling @ step
            step -= missing / (np.sign(slope[event]) - coupling @ along) * along
            if not np.abs(step).max() < 0.5 * size:
                break
            size = float(np.abs(step).max())
            self.x[self.active] += step

    def advance(self, *, drop: bool) -> bool:
        """Go to the next knot; False at the end of the path."""
        slope = (self.target - self.matrix @ self.x) @ self.matrix
        while self.joining is not None and self.columns.append(self.joining) is not None:
            self.excluded.add(self.joining)
            idle = np.abs(slope)
            idle[[*self.active, *self.excluded]] = -1.0
            self.joining = int(np.argmax(idle)) if idle.max() > 0.0 else None
            if self.active:
                break
        if not self.active:
            return False
        signs = np.sign(slope[self.active])
        way = self.columns.solve(signs)
        if not np.isfinite(way).all():
            raise AldError(
                "the columns are too short to be squared; use dlasso without a stop, or larger units"
            )
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
            self.dropped = self.columns.drop(leaving)
            self.x[self.dropped] = 0.0
            signs = np.delete(signs, leaving)
        self._correct(signs, largest - step)
        return joining is not None or leaving is not None

    def _correct(self, signs: Floats, level: float) -> None:
        """Make the correlations of all active variables equal, which rounding errors have changed."""
        slope = ((self.target - self.matrix @ self.x) @ self.matrix)[self.active]
        self.x[self.active] += self.columns.solve(slope - level * signs)

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
