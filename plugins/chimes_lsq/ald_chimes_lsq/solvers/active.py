"""A growing and shrinking set of columns of a matrix, with their triangular factor."""

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.kernels.lasso import delete_row, solve_lower, solve_upper
from ald_chimes_lsq.solvers.factors import condition_number

Floats = NDArray[np.float64]


@attrs.define(eq=False)
class ActiveColumns:
    """The set: its columns are the rows of LQ, where L is lower triangular and Q has orthonormal rows."""

    matrix: Floats
    dependent: float
    """Sine of the angle between a column and the span of others, up to which it counts as dependent."""
    numbers: list[int]
    factor: Floats
    """L in its first rows."""
    basis: Floats
    """Q in its first rows."""

    @classmethod
    def none_of(cls, matrix: Floats, dependent: float) -> "ActiveColumns":
        """The empty set."""
        m, p = matrix.shape
        n = min(m, p) + 1
        return cls(matrix, dependent, [], np.zeros((n, n)), np.zeros((n, m)))

    def append(self, j: int) -> Floats | None:
        """Take column j into the set, unless it depends on it: then its coordinates in the set."""
        k = len(self.numbers)
        column = self.matrix[:, j].copy()
        limit = self.dependent * float(np.linalg.norm(column))
        along = np.zeros(k)
        # Twice is enough (Giraud, Langou, Rozložník, Comput. Math. Appl. 50, 1069, 2005).
        for _ in range(2):
            part = self.basis[:k] @ column
            column -= part @ self.basis[:k]
            along += part
        rest = float(np.linalg.norm(column))
        if rest <= limit or k + 1 == len(self.factor):
            return np.asarray(solve_upper(self.factor, k, along), dtype=np.float64)
        self.factor[k, :k] = along
        self.factor[k, k] = rest
        self.basis[k] = column / rest
        self.numbers.append(j)
        return None

    def drop(self, position: int) -> int:
        """Take a column out of the set; its number."""
        delete_row(self.factor, self.basis, len(self.numbers), position)
        return self.numbers.pop(position)

    def solve(self, right: Floats) -> Floats:
        """Solve with the normal matrix L Lᵀ."""
        k = len(self.numbers)
        return np.asarray(
            solve_upper(self.factor, k, solve_lower(self.factor, k, right)), dtype=np.float64
        )

    def fit(self, target: Floats, more: Floats) -> Floats:
        """Coefficients that fit the target best, with `more` added to the right-hand side of the normal equations."""
        k = len(self.numbers)
        right = self.basis[:k] @ target + solve_lower(self.factor, k, more)
        return np.asarray(solve_upper(self.factor, k, right), dtype=np.float64)

    def condition(self) -> float:
        """Condition number of the columns of the set; 1 if it is empty."""
        k = len(self.numbers)
        # Above the diagonal is what rotations have left.
        return condition_number(np.tril(self.factor[:k, :k]))
