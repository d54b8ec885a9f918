"""Compiled rows of the design matrix."""

from numba import njit

from ald_chimes_lsq.pair_kernels import fill_slots, measure, transform_edges
from ald_chimes_lsq.quad_design_kernels import quad_rows
from ald_chimes_lsq.row_kernels import pair_rows, triplet_rows

OPTIONS = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy"}


@njit(**OPTIONS)
def fill_rows(packed, columns, lists, types, positions, cell, want_energy, rows, virials, energies):
    """Add to force rows (3 n, width), virials (6, width; xx xy xz yy yz zz) and energies (width,).

    Width is the number of columns plus at least 8; virials of width 0 are not wanted.
    """
    measure(lists, positions, cell)
    transform_edges(packed, lists)
    if packed.order2 > 0:
        pair_rows(packed, columns, lists, want_energy, rows, virials, energies)
    if lists.values.shape[0] > 0:
        fill_slots(packed, lists)
        if packed.order3 > 0:
            triplet_rows(packed, columns, lists, types, want_energy, rows, virials, energies)
        if packed.order4 > 0:
            quad_rows(packed, columns, lists, types, want_energy, rows, virials, energies)
