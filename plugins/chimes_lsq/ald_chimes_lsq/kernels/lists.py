"""What a neighbour search produces, as arrays that compiled code can pass along.

An edge is an unordered pair of atoms, one of them possibly an image; each occurs once, modulo lattice translations.
Which of its atoms is the first follows from an order of all atoms and images in space (`neighbours.find_edges`) that
does not change under lattice translations, so that every set of 3 or 4 atoms has one order, too.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


class Lists(NamedTuple):
    """Edges, triangles and quadruplets of one configuration, with room for what is computed on them.

    Edges are sorted by pair type; within a pair type those that can belong to a cluster come first (*bonds*), and
    are numbered from 0 on over all pair types. A *slot* is a bond together with one of the pair type's sets of
    cluster cutoffs; the slots of one (pair type, set) are contiguous.
    """

    first: Ints
    """(n_edges,)"""
    second: Ints
    """(n_edges,)"""
    shift: Ints
    """(n_edges, 3): the edge goes from positions[first] to positions[second] + shift @ cell."""
    pair_start: Ints
    """(n_pairs + 1,) first edge of each pair type"""
    bond_start: Ints
    """(n_pairs + 1,) first bond of each pair type"""
    slot_start: Ints
    """(n_sets,) first slot of each set"""
    row_start: Ints
    """(n_bonds × n_types + 1,) row bond × n_types + type of the third atom: its first entry in `partners`"""
    partners: Ints
    """(n, 2): slot of the edge from the bond's first atom to the third atom, and of that from its second atom"""
    triangle_bonds: Ints
    """(n_triangles, 3): bonds xy, xz, yz of triangles that are part of quadruplets"""
    triangle_types: Ints
    """(n_triangles, 3): types of the corners x, y, z, in ascending order"""
    apex_start: Ints
    """(n_triangles × n_types + 1,) row triangle × n_types + type of the fourth atom: its first entry in `apexes`"""
    apexes: Ints
    """(n, 3): slots of the edges from the corners x, y, z to the fourth atom"""

    vectors: Floats
    """(3, n_edges) scratch: from the first to the second atom"""
    distances: Floats
    """(n_edges,) scratch"""
    transformed: Floats
    """(n_edges,) scratch: the variable x(r) of the distance transform"""
    cutoffs: Floats
    """(2, n_edges) scratch: cutoff function of the pair, and its derivative"""
    slopes: Floats
    """(n_edges,) scratch: dE/dr"""
    values: Floats
    """(n_slots, stride) scratch: cutoff function times T_0 … T_n, zero beyond the order"""
    derivatives: Floats
    """(n_slots, stride) scratch: the derivatives of `values`"""
