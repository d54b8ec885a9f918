"""Compiled evaluation of a packed model; see `engine`."""

from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.list_building import build_lists
from ald_chimes_lsq.kernels.lists import Lists
from ald_chimes_lsq.kernels.packing import PackedModel
from ald_chimes_lsq.kernels.pairs import (
    fill_slots,
    gather_forces,
    measure,
    pair_energy,
    prepare_edges,
)
from ald_chimes_lsq.kernels.quads import quad_energy
from ald_chimes_lsq.kernels.triplets import triplet_energy

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
