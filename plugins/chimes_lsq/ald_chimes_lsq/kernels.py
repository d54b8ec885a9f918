"""Compiled evaluation of a packed model; see `engine`."""

from numba import njit

from ald_chimes_lsq.list_kernels import build_lists
from ald_chimes_lsq.pair_kernels import (
    fill_slots,
    gather_forces,
    measure,
    pair_energy,
    transform_edges,
)
from ald_chimes_lsq.quad_kernels import quad_energy
from ald_chimes_lsq.triplet_kernels import triplet_energy

__all__ = ["build_lists", "evaluate"]

OPTIONS = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy"}


@njit(**OPTIONS)
def evaluate(packed, lists, types, positions, cell, forces_out, virial_out):
    """Energy without offsets and contact class; writes forces and virial. See `engine`."""
    measure(lists, positions, cell)
    transform_edges(packed, lists)
    energy, contact = pair_energy(packed, lists)
    if lists.values.shape[0] > 0:
        fill_slots(packed, lists)
        if packed.order3 > 0:
            energy += triplet_energy(packed, lists, types)
        if packed.order4 > 0:
            energy += quad_energy(packed, lists)
    gather_forces(lists, forces_out, virial_out)
    return energy, contact
