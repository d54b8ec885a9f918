"""The exact minimiser of ½‖q − Rx‖² + λ‖x‖₁, by an active-set method.

Feature-sign search of Lee, Battle, Raina, Ng (NIPS 19, 801, 2006), which like least angle regression (Efron, Hastie,
Johnstone, Tibshirani, Ann. Statist. 32, 407, 2004) keeps a set of variables with their signs, but cannot end early:
it lowers the objective until the optimality conditions hold. A column that depends on those of the set replaces one of
them instead of being given up. At the end the gradient is taken with more digits than x can have, and each x becomes
the double that serves all conditions best.
"""

import attrs
import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ald_chimes_lsq.solvers.active import ActiveColumns
from ald_chimes_lsq.solvers.rounding import round_together
from ald_chimes_lsq.solvers.rows import Gradient, Rows
from ald_core.errors import AldError

Floats = NDArray[np.float64]

_DEPENDENT = 1e-12
"""Sine of the angle between a column and the span of others, below which it counts as dependent."""
_STAGE = 0.3
"""Ratio of successive penalties on the way to the wanted one."""
_OPTIMAL = 1e-10
"""Violation of the optimality conditions, divided by λ, that is small enough."""
_CLOSENESS = 1e-14
"""Violation, divided by λ, that is accepted in exchange for an x that is one step between doubles closer to exact."""
_EPS = float(np.finfo(np.float64).eps)


@attrs.frozen(eq=False)
class LassoResult:
    """A minimiser and how good it is."""

    x: Floats
    violation: float
    """Largest violation of the optimality conditions, divided by λ."""
    rounding: float
    """How large a violation, divided by λ, can be due to nothing but x being doubles."""
    condition: float
    """Condition number of the columns in use, scaled to equal length"""


def minimise_lasso(
    matrix: Floats, target: Floats, penalty: float, gradient: Gradient | None = None
) -> LassoResult:
    """Minimise ½‖q − Rx‖² + λ‖x‖₁.

    Args:
        matrix: R (m, p), for a long A its triangular factor.
        target: q (m,), for a long A the beginning of Qᵀb.
        penalty: λ > 0.
        gradient: Aᵀ(b − Ax), where that is known better than from R and q; the result then satisfies the optimality
            conditions with this gradient, which should have more correct digits than ordinary sums.

    Raises:
        AldError: the optimality conditions cannot be met, not even within rounding errors.
    """
    lengths = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
    used = np.flatnonzero(lengths > 0.0)
    x = np.zeros(matrix.shape[1])
    if not used.size:
        return LassoResult(x, 0.0, 0.0, 1.0)
    scale = lengths[used]
    # In the order of columns, because some of these are taken again and again.
    search = _Search.start(np.asfortranarray(matrix[:, used] / scale), target, scale)
    slope = Rows([matrix], target).gradient if gradient is None else gradient
    level = float(np.abs(search.slope() * scale).max())
    while level > penalty:
        level = max(level * _STAGE, penalty)
        search.run(level)
    x, violation, rounding = _finish(search, matrix, used, slope, penalty)
    noise = float((search.noise() * scale).max())
    if violation > 1e-6 * penalty + 100.0 * noise:
        raise AldError(
            f"the LASSO solution misses its optimality conditions by {violation / penalty:.1e} of alpha; "
            "the columns are too nearly dependent: use a larger alpha, or ridge"
        )
    return LassoResult(x, violation / penalty, rounding / penalty, search.columns.condition())


def _violations(x: Floats, slope: Floats, penalty: float) -> Floats:
    """Of: slope = λ sign(x) where x ≠ 0, |slope| ≤ λ elsewhere."""
    idle = np.maximum(np.abs(slope) - penalty, 0.0)
    return np.where(x != 0.0, np.abs(slope - penalty * np.sign(x)), idle)


def _finish(
    search: "_Search", matrix: Floats, used: NDArray[np.intp], gradient: Gradient, penalty: float
) -> tuple[Floats, float, float]:
    """Make the result of a search satisfy the conditions with the gradient: x, violation, rounding.

    As long as variables prove to be missing from the set, the search goes on, its slope shifted by what R and q miss of
    the gradient.
    """
    least = np.inf
    high = low = np.zeros(matrix.shape[1])
    for _ in range(6):
        x = np.zeros(matrix.shape[1])
        x[used] = search.x / search.scale
        x, rest, slope = _refine(matrix, x, gradient, penalty)
        off = _violations(x, slope, penalty)
        stuck = off.max() > 0.5 * least
        if off.max() < least:
            least, high, low = float(off.max()), x, rest
        if stuck or off[x == 0.0].max(initial=0.0) <= _OPTIMAL * penalty:
            break
        search.x = x[used] * search.scale
        search.shift = search.shift + slope[used] / search.scale - search.slope()
        search.run(penalty)
    active = np.flatnonzero(high)
    columns = matrix[:, active]
    rounded = round_together(high[active], low[active], columns.T @ columns, _CLOSENESS * penalty)
    high[active] = rounded.x
    return high, float(_violations(high, gradient(high), penalty).max()), rounded.coarseness


def _refine(
    matrix: Floats, x: Floats, gradient: Gradient, penalty: float
) -> tuple[Floats, Floats, Floats]:
    """Solve for the variables that are not zero, to more digits than doubles have: x, its rest, slope."""
    active = np.flatnonzero(x)
    signs = np.sign(x[active])
    (triangle,) = scipy.linalg.qr(matrix[:, active], mode="r", check_finite=False)
    triangle = triangle[: len(active)]
    rest = np.zeros_like(x)
    slope = gradient(x)
    missing = slope[active] - penalty * signs
    for _ in range(4):
        if np.abs(missing).max(initial=0.0) <= _OPTIMAL * penalty:
            break
        step = scipy.linalg.solve_triangular(triangle, missing, trans="T")
        step = rest[active] + scipy.linalg.solve_triangular(triangle, step)
        other, other_rest = x.copy(), rest.copy()
        other[active] += step
        other_rest[active] = step - (other[active] - x[active])
        other_slope = gradient(other, other_rest)
        other_missing = other_slope[active] - penalty * signs
        if not np.abs(other_missing).max() < 0.5 * np.abs(missing).max():
            break
        x, rest, slope, missing = other, other_rest, other_slope, other_missing
    return x, rest, slope


@attrs.define(eq=False)
class _Search:
    """The set of variables in use, with their columns (of unit length)."""

    matrix: Floats
    target: Floats
    scale: Floats
    shift: Floats
    """Added to the slope."""
    x: Floats
    columns: ActiveColumns
    signs: list[float]

    @classmethod
    def start(cls, matrix: Floats, target: Floats, scale: Floats) -> "_Search":
        p = matrix.shape[1]
        columns = ActiveColumns.none_of(matrix, _DEPENDENT)
        return cls(matrix, target, scale, np.zeros(p), np.zeros(p), columns, [])

    @property
    def active(self) -> list[int]:
        """Numbers of the variables in use."""
        return self.columns.numbers

    def slope(self) -> Floats:
        """Negative gradient of the smooth part."""
        return self.matrix.T @ (self.target - self.matrix @ self.x) + self.shift

    def noise(self) -> Floats:
        """Rounding error to be expected in the slope."""
        size = float(np.linalg.norm(self.target) + np.abs(self.x).sum())
        return np.full(len(self.x), 4.0 * _EPS * size)

    def run(self, penalty: float) -> None:
        """Go to the minimiser for a penalty, from wherever the search stands."""
        penalties = penalty / self.scale
        blocked: set[int] = set()
        batch = 8
        # Far more steps than are ever needed; each lowers the objective.
        for _ in range(200 + 20 * len(self.x)):
            moved, undone = self._settle(penalties)
            blocked = (set() if moved else blocked) | undone
            batch = max(1, batch // 2) if undone else min(64, 2 * batch)
            slope = self.slope()
            excess = np.abs(slope) - penalties
            excess[self.active] = 0.0
            excess[list(blocked)] = 0.0
            wanted = np.flatnonzero(excess > 1e-12 * penalties + self.noise())
            if not wanted.size:
                return
            order = wanted[np.argsort(-excess[wanted] / penalties[wanted], kind="stable")]
            self._extend(order[:batch].tolist(), np.sign(slope))

    def _settle(self, penalties: Floats) -> tuple[bool, set[int]]:
        """Go to the minimiser on the active set, dropping variables that change sign.

        Returns whether anything moved beyond rounding, and the new variables that were dropped unused.
        """
        before = self.x.copy()
        undone: set[int] = set()
        while self.active:
            signs = np.array(self.signs)
            here = self.x[self.active]
            there = self._minimum(penalties[self.active] * signs)
            wrong = np.flatnonzero(signs * there <= 0.0)
            if not wrong.size:
                self.x[self.active] = there
                break
            new = [int(i) for i in wrong if here[i] == 0.0]
            if new:
                undone |= {self.active[i] for i in new}
                for i in reversed(new):
                    self._drop(i)
                continue
            steps = here[wrong] / (here[wrong] - there[wrong])
            first = int(wrong[np.argmin(steps)])
            self.x[self.active] = here + float(steps.min()) * (there - here)
            self._drop(first)
        change, size = np.abs(self.x - before).max(), np.abs(self.x).max()
        return bool(change > 1e-12 * size), undone

    def _minimum(self, pull: Floats) -> Floats:
        """Minimiser on the active set for fixed signs, corrected once for rounding."""
        x = self.columns.fit(self.target, self.shift[self.active] - pull)
        own = self.matrix.T[self.active]
        missing = own @ (self.target - x @ own) + self.shift[self.active] - pull
        return x + self.columns.solve(missing)

    def _extend(self, new: list[int], signs: Floats) -> None:
        """Take variables into the set; one that depends on it replaces a variable of the set."""
        for position, j in enumerate(new):
            coordinates = self.columns.append(j)
            if coordinates is None:
                self.signs.append(float(signs[j]))
            elif position == 0:
                self._replace(j, float(signs[j]), coordinates)
                return

    def _replace(self, j: int, sign: float, coordinates: Floats) -> None:
        """Move along the direction that leaves Rx unchanged until a variable of the set is zero; j takes its place."""
        way = -sign * coordinates
        here = self.x[self.active]
        towards = np.flatnonzero(way * here < 0.0)
        if not towards.size:
            return
        steps = -here[towards] / way[towards]
        first = int(towards[np.argmin(steps)])
        step = float(steps.min())
        self.x[self.active] = here + step * way
        self._drop(first)
        if self.columns.append(j) is None:
            self.x[j] = sign * step
            self.signs.append(sign)

    def _drop(self, position: int) -> None:
        self.x[self.columns.drop(position)] = 0.0
        self.signs.pop(position)
