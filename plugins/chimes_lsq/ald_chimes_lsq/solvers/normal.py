"""Normal equations of a least-squares problem: sums over its rows."""

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class NormalEquations:
    """Sums over the rows of a weighted A and b."""

    gram: Floats
    """AᵀA (p, p)"""
    moment: Floats
    """Aᵀb (p,)"""
    square: float
    """bᵀb"""
    n_rows: int

    def gradient(self, x: Floats, rest: Floats | None = None, /) -> Floats:
        """Aᵀ(b − Ax) at x + rest, to the rounding errors of AᵀA."""
        slope = self.moment - self.gram @ x
        return slope if rest is None else slope - self.gram @ rest
