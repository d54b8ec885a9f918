"""Compiled rows of the design matrix."""

from numba import njit

from ald_chimes_lsq.kernels.columns import PackedColumns
from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.pairs import fill_slots, measure, prepare_edges
from ald_chimes_lsq.kernels.quad_rows import quad_rows
from ald_chimes_lsq.kernels.rows import pair_rows, triplet_rows


@njit(**OPTIONS)
def fill_rows(
    packed: PackedModel,
    columns: PackedColumns,
    lists: Lists,
    types: Integers,
    positions: Floats,
    cell: Floats,
    want_energy: bool,
    rows: Floats,
    virials: Floats,
    energies: Floats,
) -> None:
    """Add to force rows (3 n, width), virials (6, width; xx xy xz yy yz zz) and energies (width,).

    Width is the number of columns plus at least 8; virials of width 0 are not wanted.
    """
    measure(lists, positions, cell)
    prepare_edges(packed, lists)
    if packed.order2 > 0:
        pair_rows(packed, columns, lists, want_energy, rows, virials, energies)
    if lists.values.shape[0] > 0:
        fill_slots(packed, lists)
        if packed.order3 > 0:
            triplet_rows(packed, columns, lists, types, want_energy, rows, virials, energies)
        if packed.order4 > 0:
            quad_rows(packed, columns, lists, want_energy, rows, virials, energies)
