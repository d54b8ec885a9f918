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

__all__ = ["atom_energies", "build_lists", "evaluate"]


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
    nothing = lists.slopes[:0]
    energy, contact = sum_terms(packed, lists, types, positions, cell, nothing)
    gather_forces(lists, forces_out, virial_out)
    return energy, contact


@njit(**OPTIONS)
def atom_energies(
    packed: PackedModel,
    lists: Lists,
    types: Integers,
    positions: Floats,
    cell: Floats,
    energies: Floats,
) -> None:
    """Write (n,) energies in kcal/mol without offsets, which add up to that of `evaluate`; see `engine`."""
    energies[:] = 0.0
    sum_terms(packed, lists, types, positions, cell, energies)


@njit(**OPTIONS)
def sum_terms(
    packed: PackedModel,
    lists: Lists,
    types: Integers,
    positions: Floats,
    cell: Floats,
    shares: Floats,
) -> tuple[float, int]:
    """Energy and contact class; sets `slopes`. Adds each term in equal parts to `shares` of its atoms, unless empty."""
    measure(lists, positions, cell)
    prepare_edges(packed, lists)
    energy, contact = pair_energy(packed, lists, shares)
    if lists.values.shape[0] > 0:
        fill_slots(packed, lists)
        if packed.order3 > 0:
            energy += triplet_energy(packed, lists, types, shares)
        if packed.order4 > 0:
            energy += quad_energy(packed, lists, shares)
    return energy, contact
