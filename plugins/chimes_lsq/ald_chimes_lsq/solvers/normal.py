"""Normal equations of a least-squares problem: sums over its rows."""

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


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
        matrix, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        if weights is not None:
            factors = np.asarray(weights, dtype=np.float64)
            matrix, right = matrix * factors[:, None], right * factors
        return cls(matrix.T @ matrix, matrix.T @ right, float(right @ right), len(right))

    def __add__(self, other: "NormalEquations") -> "NormalEquations":
        return NormalEquations(
            self.gram + other.gram,
            self.moment + other.moment,
            self.square + other.square,
            self.n_rows + other.n_rows,
        )

    def gradient(self, x: Floats, rest: Floats | None = None, /) -> Floats:
        """Aᵀ(b − Ax) at x + rest, to the rounding errors of AᵀA."""
        slope = self.moment - self.gram @ x
        return slope if rest is None else slope - self.gram @ rest

    def squared_error(self, x: Floats) -> float:
        """‖Ax − b‖², to the rounding error of bᵀb."""
        return max(float(self.square + x @ (self.gram @ x - 2.0 * self.moment)), 0.0)
