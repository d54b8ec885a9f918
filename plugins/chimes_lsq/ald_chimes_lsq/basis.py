"""What defines a ChIMES basis: types, pairs, clusters, orders, cutoffs.

A `Basis` holds no coefficients: the same object describes the columns of a design matrix, the header of a parameter
file and the model that a simulation evaluates. Lengths are in Å. Reference: Lindsey, Fried, Goldman,
J. Chem. Theory Comput. 13, 6222 (2017), and the ChIMES LSQ manual.
"""

from typing import Literal

import attrs
import numpy as np
from numpy.typing import NDArray

Transform = Literal["MORSE", "INVRSE_R", "NONE"]
EDGES = {
    2: ((0, 1),),
    3: ((0, 1), (0, 2), (1, 2)),
    4: ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)),
}
"""Edges of a cluster of n atoms, in the order in which powers, cutoffs and pair names are listed."""


@attrs.frozen
class AtomType:
    """One element (or any other word that names a kind of atom), in input order."""

    name: str
    mass: float
    """g/mol"""
    charge: float = 0.0
    """e; with fitted charges only the sign counts (±1.0)."""


@attrs.frozen
class PairType:
    """Two atom types with the interval in which they interact."""

    first: str
    second: str
    rmin: float
    rmax: float
    morse_lambda: float
    """Å; read for every transform, used by MORSE only."""

    @property
    def name(self) -> str:
        """Canonical pair name, for example `OH`."""
        return self.first + self.second


@attrs.frozen(eq=False)
class ClusterType:
    """A triplet or quadruplet type: its elements in alphabetical order and the power tuples of its terms.

    n_edges is 3 or 6; n_terms is the number of power tuples (TOTAL), n_parameters of orbits (UNIQUE).
    """

    index: int
    elements: tuple[str, ...]
    pairs: tuple[int, ...]
    """Pair type of each edge, edges as in `EDGES`."""
    excluded: bool
    rmin: tuple[float, ...]
    rmax: tuple[float, ...]
    special_rmin: bool
    """True if the inner cutoffs were set for this cluster, and not taken from the pairs."""
    special_rmax: bool
    powers: NDArray[np.int64]
    """(n_terms, n_edges)"""
    equivalents: NDArray[np.int64]
    """(n_terms,) position of the first tuple of the same orbit"""
    parameters: NDArray[np.int64]
    """(n_terms,) number of the unique parameter, from 0"""
    n_parameters: int


@attrs.frozen
class Cutoff:
    """Smoothing function: `CUBIC`, or `TERSOFF` with its fraction φ."""

    kind: Literal["CUBIC", "TERSOFF"] = "CUBIC"
    fraction: float = 0.0


@attrs.frozen
class InnerRule:
    """What the polynomials become inside the inner cutoff (CHEBYFIX)."""

    kind: Literal["SMOOTH", "ZERO_DERIV", "CONSTANT_DERIV"] = "SMOOTH"
    distance: float = 0.01
    """Å, used by SMOOTH"""


@attrs.frozen(eq=False)
class Basis:
    """Everything about a ChIMES model but its coefficients."""

    types: tuple[AtomType, ...]
    pairs: tuple[PairType, ...]
    """In canonical order: AA, BB, …, AB, AC, …, BC, …"""
    orders: tuple[int, int, int]
    """O2 counts T_1 … T_O2; O3 and O4 are one more than the highest power, 0 switches the body order off."""
    transform: Transform
    cutoff: Cutoff
    inner: InnerRule
    triplets: tuple[ClusterType, ...]
    quads: tuple[ClusterType, ...]
    excluded_types: tuple[int, ...] = ()
    """Types without an energy offset column (EXCLUDE 1B)."""
    excluded_pairs: tuple[int, ...] = ()
    """Pairs without columns (EXCLUDE 2B)."""
    fit_charges: bool = False

    @property
    def max_rmax(self) -> float:
        """The largest outer cutoff of any pair or cluster edge, Å."""
        clusters = [r for c in (*self.triplets, *self.quads) if not c.excluded for r in c.rmax]
        return max([p.rmax for p in self.pairs] + clusters)

    def type_index(self, name: str) -> int:
        """Position of an atom type; raises KeyError for a name that the basis does not know."""
        for i, t in enumerate(self.types):
            if t.name == name:
                return i
        raise KeyError(name)

    def pair_index(self, first: int, second: int) -> int:
        """Position of the pair type of two atom types, in either order."""
        names = {self.types[first].name, self.types[second].name}
        for i, p in enumerate(self.pairs):
            if {p.first, p.second} == names:
                return i
        raise KeyError((first, second))

    @property
    def n_short_range(self) -> int:
        """Number of 2-, 3- and 4-body columns."""
        pairs = (len(self.pairs) - len(self.excluded_pairs)) * self.orders[0]
        return pairs + sum(c.n_parameters for c in (*self.triplets, *self.quads) if not c.excluded)
