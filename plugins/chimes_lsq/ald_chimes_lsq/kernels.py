"""Compiled evaluation of a packed model; see `engine`."""

from numba import njit

from ald_chimes_lsq.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.list_kernels import build_lists
from ald_chimes_lsq.lists import Lists
from ald_chimes_lsq.packing import PackedModel
from ald_chimes_lsq.pair_kernels import (
    fill_slots,
    gather_forces,
    measure,
    pair_energy,
    prepare_edges,
)
from ald_chimes_lsq.quad_kernels import quad_energy
from ald_chimes_lsq.triplet_kernels import triplet_energy

__all__ = ["build_lists", "evaluate"]


@njit(**OPTIONS)
def evaluate(
    packed: PackedModel,
    lists: Lists,
    types: Integers,
    positions: Floats,
    cell: Floats,
    forces_out: Floats,
    virial_out: Floats,
) -> tuple[float, int]:
    """Energy without offsets and contact class; writes forces and virial. See `engine`."""
    measure(lists, positions, cell)
    prepare_edges(packed, lists)
    energy, contact = pair_energy(packed, lists)
    if lists.values.shape[0] > 0:
        fill_slots(packed, lists)
        if packed.order3 > 0:
            energy += triplet_energy(packed, lists, types)
        if packed.order4 > 0:
            energy += quad_energy(packed, lists)
    gather_forces(lists, forces_out, virial_out)
    return energy, contact
