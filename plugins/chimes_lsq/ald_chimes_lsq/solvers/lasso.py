"""The exact minimiser of ½‖q − Rx‖² + λ‖x‖₁, by an active-set method.

Feature-sign search of Lee, Battle, Raina, Ng (NIPS 19, 801, 2006), which like least angle regression (Efron, Hastie,
Johnstone, Tibshirani, Ann. Statist. 32, 407, 2004) keeps a set of variables with their signs, but cannot end early:
it lowers the objective until the optimality conditions hold. A column that depends on those of the set replaces one of
them instead of being given up.
"""

from collections.abc import Callable

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.kernels.lasso import delete_row, solve_lower, solve_upper
from ald_core.errors import AldError

Floats = NDArray[np.float64]
Gradient = Callable[[Floats], Floats]

_DEPENDENT = 1e-12
"""Sine of the angle between a column and the span of others, below which it counts as dependent."""
_STAGE = 0.3
"""Ratio of successive penalties on the way to the wanted one."""
_EPS = float(np.finfo(np.float64).eps)


@attrs.frozen(eq=False)
class LassoResult:
    """A minimiser and how good it is."""

    x: Floats
    violation: float
    """Largest violation of the optimality conditions, divided by λ."""
    condition: float
    """Lower bound of the condition number of the columns in use, scaled to equal length."""


def minimise_lasso(
    matrix: Floats, target: Floats, penalty: float, gradient: Gradient | None = None
) -> LassoResult:
    """Minimise ½‖q − Rx‖² + λ‖x‖₁.

    Args:
        matrix: R (m, p), for a long A its triangular factor.
        target: q (m,), for a long A the beginning of Qᵀb.
        penalty: λ > 0.
        gradient: x ↦ Aᵀ(b − Ax), where that is known better than from R and q; the result then satisfies the
            optimality conditions with this gradient.

    Raises:
        AldError: the optimality conditions cannot be met, not even within rounding errors.
    """
    lengths = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
    used = np.flatnonzero(lengths > 0.0)
    x = np.zeros(matrix.shape[1])
    if not used.size:
        return LassoResult(x, 0.0, 1.0)
    scale = lengths[used]
    search = _Search.start(matrix[:, used] / scale, target, scale)

    def slope(full: Floats) -> Floats:
        return matrix.T @ (target - matrix @ full) if gradient is None else gradient(full)

    def accurate(scaled: Floats) -> Floats:
        full = np.zeros_like(x)
        full[used] = scaled / scale
        own: Floats = slope(full)[used] / scale
        return own

    level = float(np.abs(search.slope() * scale).max())
    while level > penalty:
        level = max(level * _STAGE, penalty)
        search.run(level)
    _correct(search, accurate, penalty)
    x[used] = search.x / scale
    violation = _violation(x, slope(x), penalty)
    noise = float((search.noise() * scale).max())
    if violation > 1e-6 * penalty + 100.0 * noise:
        raise AldError(
            f"the LASSO solution misses its optimality conditions by {violation / penalty:.1e} of alpha; "
            "the columns are too nearly dependent: use a larger alpha, or ridge"
        )
    return LassoResult(x, violation / penalty, search.condition())


def _violation(x: Floats, slope: Floats, penalty: float) -> float:
    """Largest violation of: slope = λ sign(x) where x ≠ 0, |slope| ≤ λ elsewhere."""
    off = np.where(x != 0.0, np.abs(slope - penalty * np.sign(x)), np.abs(slope) - penalty)
    return float(max(off.max(initial=0.0), 0.0))


def _correct(search: "_Search", accurate: Gradient, penalty: float) -> None:
    """Search again with the gradient shifted by what R and q miss of the accurate one."""
    best, best_x = np.inf, search.x.copy()
    for _ in range(6):
        slope = accurate(search.x)
        violation = _violation(search.x, slope * search.scale, penalty)
        stuck = violation > 0.5 * best
        if violation < best:
            best, best_x = violation, search.x.copy()
        if stuck or violation <= 1e-11 * penalty:
            break
        search.shift = search.shift + slope - search.slope()
        search.run(penalty)
    search.x = best_x


@attrs.define(eq=False)
class _Search:
    """The set of variables in use, with the triangular factor of their columns (of unit length)."""

    matrix: Floats
    target: Floats
    scale: Floats
    shift: Floats
    """Added to the slope."""
    x: Floats
    factor: Floats
    basis: Floats
    active: list[int]
    signs: list[float]

    @classmethod
    def start(cls, matrix: Floats, target: Floats, scale: Floats) -> "_Search":
        m, p = matrix.shape
        n = min(m, p) + 1
        empty = np.zeros((n, n)), np.zeros((n, m))
        return cls(matrix, target, scale, np.zeros(p), np.zeros(p), *empty, [], [])

    def slope(self) -> Floats:
        """Negative gradient of the smooth part."""
        return self.matrix.T @ (self.target - self.matrix @ self.x) + self.shift

    def noise(self) -> Floats:
        """Rounding error to be expected in the slope."""
        size = float(np.linalg.norm(self.target) + np.abs(self.x).sum())
        return np.full(len(self.x), 4.0 * _EPS * size)

    def condition(self) -> float:
        """Ratio of extreme diagonal entries of the factor."""
        diagonal = np.diag(self.factor)[: len(self.active)]
        return float(diagonal.max() / diagonal.min()) if diagonal.size else 1.0

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
        k = len(self.active)
        linear = solve_lower(self.factor, k, self.shift[self.active] - pull)
        x = solve_upper(self.factor, k, self.basis[:k] @ self.target + linear)
        full = np.zeros_like(self.x)
        full[self.active] = x
        rest = self.target - self.matrix @ full
        missing = (self.matrix.T @ rest + self.shift)[self.active] - pull
        x += solve_upper(self.factor, k, solve_lower(self.factor, k, missing))
        return np.asarray(x, dtype=np.float64)

    def _append(self, j: int) -> Floats | None:
        """Take column j into the factor; its coordinates in the set if it depends on the set, else None."""
        k = len(self.active)
        column = self.matrix[:, j].copy()
        along = np.zeros(k)
        # Twice is enough (Giraud, Langou, Rozložník, Comput. Math. Appl. 50, 1069, 2005).
        for _ in range(2):
            part = self.basis[:k] @ column
            column -= part @ self.basis[:k]
            along += part
        rest = float(np.linalg.norm(column))
        if rest <= _DEPENDENT or k + 1 == len(self.factor):
            return np.asarray(solve_upper(self.factor, k, along), dtype=np.float64)
        self.factor[k, :k] = along
        self.factor[k, k] = rest
        self.basis[k] = column / rest
        return None

    def _extend(self, new: list[int], signs: Floats) -> None:
        """Take variables into the set; one that depends on it replaces a variable of the set."""
        for position, j in enumerate(new):
            coordinates = self._append(j)
            if coordinates is None:
                self.active.append(j)
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
        if self._append(j) is None:
            self.x[j] = sign * step
            self.active.append(j)
            self.signs.append(sign)

    def _drop(self, position: int) -> None:
        delete_row(self.factor, self.basis, len(self.active), position)
        self.x[self.active.pop(position)] = 0.0
        self.signs.pop(position)
