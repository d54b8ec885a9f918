"""How a solver is called: the arguments of chimes_lsq.py."""

from __future__ import annotations

from itertools import starmap

import attrs

from ald_chimes_lsq.design_names import HEADER, MAP, RIGHT

WEIGHTS = "weights.dat"
UNWEIGHTED = ("ridge", "ridgecv", "lasso")
"""Algorithms with which chimes_lsq.py ignores weights, without a word"""


@attrs.frozen
class Solver:
    """How the user's solver is called."""

    command: tuple[str, ...]
    algorithm: str
    alpha: float
    normalize: bool
    more: tuple[str, ...]

    @property
    def is_path(self) -> bool:
        """Whether the program dlars does the work, which reads the matrix by itself."""
        return self.algorithm in {"dlars", "dlasso"}

    def arguments(self, matrix: str, *, weighted: bool) -> list[str]:
        """Arguments as chimes_lsq.py has them."""
        strength = "eps" if self.algorithm in {"svd", "fast_svd"} else "alpha"
        said = {
            "A": matrix,
            "b": RIGHT,
            "header": HEADER,
            "map": MAP,
            "algorithm": self.algorithm,
            strength: repr(self.alpha),
        }
        if weighted:
            said["weights"] = WEIGHTS
        if self.is_path:
            said |= {"normalize": str(self.normalize), "active": "True"}
        return [*starmap("--{}={}".format, said.items()), *self.more]
