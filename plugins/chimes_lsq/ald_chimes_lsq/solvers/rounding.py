"""Which doubles stand best for the solution of linear equations that is known to more digits.

The nearest double to each unknown is not the best choice: when columns are nearly dependent, the error of one can be
made up for by others. To find whole numbers of steps between doubles with the least effect is the problem of the
closest vector of a lattice; rounding one unknown after the other, the most harmful first, and solving for the rest each
time (Babai, Combinatorica 6, 1, 1986) gains several digits.
"""

import attrs
import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class Rounded:
    """Doubles, and what they leave."""

    x: Floats
    coarseness: float
    """How far off the components of Gx may be: half of the largest independent effect of a step to the next double."""


def round_together(high: Floats, low: Floats, gram: Floats, closeness: float) -> Rounded:
    """Doubles x near high + low that leave Gx where it is.

    Args:
        high: (k,) none of them zero.
        low: (k,) what the nearest doubles leave.
        gram: G (k, k).
        closeness: how much of an error in Gx is worth a step of one x to the next double.
    """
    spacing = np.spacing(np.abs(high))
    effects = gram * spacing
    order = np.argsort(np.linalg.norm(effects, axis=0), kind="stable")
    effects = np.vstack((effects[:, order], closeness * np.eye(len(order))))
    (triangle,) = scipy.linalg.qr(effects, mode="r", overwrite_a=True, check_finite=False)
    rest = (low / spacing)[order]
    steps = np.zeros_like(rest)
    for j in range(len(rest) - 1, -1, -1):
        steps[j] = np.round(rest[j] + triangle[j, j + 1 :] @ rest[j + 1 :] / triangle[j, j])
        rest[j] -= steps[j]
    x = high.copy()
    x[order] += steps * spacing[order]
    return Rounded(x, 0.5 * float(np.abs(np.diag(triangle)).max(initial=0.0)))
