"""The exact minimiser of ½ xᵀGx − cᵀx + λ‖x‖₁, by an active-set method.

Feature-sign search of Lee, Battle, Raina, Ng (NIPS 19, 801, 2006), which like least angle regression (Efron, Hastie,
Johnstone, Tibshirani, Ann. Statist. 32, 407, 2004) keeps a set of variables with their signs, but cannot end early:
it lowers the objective until the optimality conditions hold. A column that depends on those of the set replaces one of
them instead of being given up.
"""

from collections.abc import Callable

import attrs
import numpy as np
from ald_core.errors import AldError
from numpy.typing import NDArray

from ald_chimes_lsq.lasso_kernels import append_row, delete_row, solve_factor

Floats = NDArray[np.float64]
Gradient = Callable[[Floats], Floats]

_DEPENDENT = 1e-12
"""Squared sine of the angle between a column and the span of others, below which it counts as dependent."""
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
    """Lower bound of the condition number of the columns in use."""


def minimise_lasso(
    gram: Floats, moment: Floats, penalty: float, gradient: Gradient | None = None
) -> LassoResult:
    """Minimise ½ xᵀGx − cᵀx + λ‖x‖₁.

    Args:
        gram: G = AᵀA (p, p).
        moment: c = Aᵀb (p,).
        penalty: λ > 0.
        gradient: x ↦ Aᵀ(b − Ax), more accurately than c − Gx gives it; the result then satisfies the conditions in it.

    Raises:
        AldError: the optimality conditions cannot be met, not even within rounding errors.
    """
    scale = np.sqrt(np.diag(gram))
    used = np.flatnonzero(scale > 0.0)
    x = np.zeros(len(moment))
    if not used.size:
        return LassoResult(x, 0.0, 1.0)
    own = scale[used]
    scaled = gram[np.ix_(used, used)] / np.outer(own, own)
    right = moment[used] / own
    search = _Search.start(scaled, right, own)
    level = float(np.abs(moment).max())
    while level > penalty:
        level = max(level * _STAGE, penalty)
        search.run(level)

    def accurate(scaled_x: Floats) -> Floats:
        full = np.zeros(len(moment))
        full[used] = scaled_x / own
        given = moment - gram @ full if gradient is None else gradient(full)
        return given[used] / own

    _correct(search, accurate, penalty)
    x[used] = search.x / own
    slope = moment - gram @ x if gradient is None else gradient(x)
    violation = _violation(x, slope, penalty)
    noise = float((search.noise() * own).max())
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
    """Repeat the search with the moment shifted by what c − Gx misses of the accurate gradient."""
    best, best_x = np.inf, search.x.copy()
    for _ in range(6):
        slope = accurate(search.x)
        violation = _violation(search.x, slope * search.scale, penalty)
        if violation < best:
            best, best_x = violation, search.x.copy()
        if violation <= 1e-11 * penalty:
            break
        search.right = search.right + slope - search.slope()
        search.run(penalty)
    search.x = best_x


@attrs.define(eq=False)
class _Search:
    """The set of variables in use, with the Cholesky factor of their block of G (unit diagonal)."""

    gram: Floats
    right: Floats
    scale: Floats
    x: Floats
    factor: Floats
    active: list[int]
    signs: list[float]

    @classmethod
    def start(cls, gram: Floats, right: Floats, scale: Floats) -> "_Search":
        n = len(right)
        return cls(gram, right, scale, np.zeros(n), np.zeros((n + 1, n + 1)), [], [])

    def slope(self) -> Floats:
        """c − Gx, negative gradient of the smooth part."""
        return self.right - self.gram @ self.x

    def noise(self) -> Floats:
        """Rounding error to be expected in the slope."""
        return 4.0 * _EPS * (np.abs(self.right) + np.abs(self.gram) @ np.abs(self.x))

    def condition(self) -> float:
        """Ratio of extreme diagonal entries of the factor."""
        diagonal = np.diag(self.factor)[: len(self.active)]
        return float(diagonal.max() / diagonal.min()) if diagonal.size else 1.0

    def run(self, penalty: float) -> None:
        """Go to the minimiser for a penalty, from wherever the search stands."""
        penalties = penalty / self.scale
        noise = self.noise()
        blocked: set[int] = set()
        batch = 8
        # Far more than is ever needed; each step lowers the objective.
        for _ in range(200 + 50 * len(self.right)):
            moved, undone = self._settle(penalties)
            blocked = (set() if moved else blocked) | undone
            batch = max(1, batch // 2) if undone else min(64, 2 * batch)
            excess = np.abs(self.slope()) - penalties
            excess[self.active] = 0.0
            excess[list(blocked)] = 0.0
            wanted = np.flatnonzero(excess > 1e-12 * penalties + noise)
            if not wanted.size:
                return
            order = wanted[np.argsort(-excess[wanted] / penalties[wanted], kind="stable")]
            self._extend(order[:batch].tolist(), penalties)

    def _settle(self, penalties: Floats) -> tuple[bool, set[int]]:
        """Go to the minimiser on the active set, dropping variables that change sign.

        Returns whether anything moved beyond rounding, and the new variables that were dropped unused.
        """
        before = self.x.copy()
        undone: set[int] = set()
        while self.active:
            signs = np.array(self.signs)
            here = self.x[self.active]
            there = self._solve(self.right[self.active] - penalties[self.active] * signs)
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
            step = float(steps.min())
            self.x[self.active] = here + step * (there - here)
            self._drop(first)
        change, size = np.abs(self.x - before).max(), np.abs(self.x).max()
        return bool(change > 1e-12 * size), undone

    def _solve(self, right: Floats) -> Floats:
        """Solve with the block of G, refined once."""
        k = len(self.active)
        block = self.gram[np.ix_(self.active, self.active)]
        x = solve_factor(self.factor, k, right)
        x += solve_factor(self.factor, k, right - block @ x)
        return np.asarray(x, dtype=np.float64)

    def _extend(self, new: list[int], penalties: Floats) -> None:
        """Take variables into the set; those that depend on it replace a variable, one at a time."""
        slope = self.slope()
        for position, j in enumerate(new):
            k = len(self.active)
            column = np.ascontiguousarray(self.gram[self.active, j])
            rest = append_row(self.factor, k, column, float(self.gram[j, j]))
            if rest > _DEPENDENT:
                self.factor[k, k] = np.sqrt(rest)
                self.active.append(j)
                self.signs.append(float(np.sign(slope[j])))
            elif position == 0:
                self._replace(j, float(np.sign(slope[j])), column)
                return

    def _replace(self, j: int, sign: float, column: Floats) -> None:
        """Move along the direction that leaves Ax unchanged, until a variable of the set is zero; j takes its place."""
        way = -sign * solve_factor(self.factor, len(self.active), column)
        here = self.x[self.active]
        towards = np.flatnonzero(way * here < 0.0)
        if not towards.size:
            return
        steps = -here[towards] / way[towards]
        first = int(towards[np.argmin(steps)])
        step = float(steps.min())
        self.x[self.active] = here + step * way
        self._drop(first)
        k = len(self.active)
        column = np.ascontiguousarray(self.gram[self.active, j])
        rest = append_row(self.factor, k, column, float(self.gram[j, j]))
        if rest > _DEPENDENT:
            self.factor[k, k] = np.sqrt(rest)
            self.x[j] = sign * step
            self.active.append(j)
            self.signs.append(sign)

    def _drop(self, position: int) -> None:
        delete_row(self.factor, len(self.active), position)
        self.x[self.active.pop(position)] = 0.0
        self.signs.pop(position)
