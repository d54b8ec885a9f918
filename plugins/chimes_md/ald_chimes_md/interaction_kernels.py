"""Compiled sums of all that acts between the atoms: short-range terms, Lennard-Jones, charges."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from ald_chimes_lsq.constants import COULOMB
from ald_chimes_lsq.engine import Lists, PackedModel, build_lists, evaluate
from ald_chimes_lsq.kernels.ewald import PackedEwald, ewald_sums
from ald_chimes_md.dynamics import (
    ANALYTICAL,
    MAX_PENALTIES,
    NUMERICAL_PRESSURE,
    PENALTIES,
    Buffers,
    Floats,
    Integers,
)

COLLISION = 3
"""Instead of a contact class: a pair is closer than any Lennard-Jones fluid allows."""
COLLISION_RATIO = 2.2
"""of σ and the distance at which a run stops"""
STRAIN = 1e-4
"""of the cell, for numerical pressures"""


class Interactions(NamedTuple):
    """A model in the form that compiled code evaluates."""

    short_range: PackedModel
    """Has no terms if the model is a Lennard-Jones one."""
    epsilon: Floats
    sigma: Floats
    """(n_pairs,) of a Lennard-Jones model, kcal/mol and Å; empty for another"""
    charges: Floats
    """(n,) e; empty if there are none"""
    ewald: PackedEwald
    kinds: Integers
    """(n,) zeros: the only atom type that the Ewald sum knows; empty if there are no charges"""


class InteractionLists(NamedTuple):
    """Neighbours for the short range, and for the near part of the Ewald sum."""

    short_range: Lists
    near: Lists


@njit(error_model="numpy")
def build_interaction_lists(
    model: Interactions, types: Integers, positions: Floats, cell: Floats, skin: float
) -> InteractionLists:
    """Lists that hold while no atom moves by more than half the skin."""
    return InteractionLists(
        build_lists(model.short_range, types, positions, cell, skin),
        build_lists(model.ewald.neighbours, model.kinds, positions[: model.kinds.size], cell, skin),
    )


@njit(error_model="numpy")
def evaluate_interactions(
    model: Interactions,
    lists: InteractionLists,
    types: Integers,
    positions: Floats,
    cell: Floats,
    forces: Floats,
    virial: Floats,
) -> tuple[float, int]:
    """Energy without offsets and contact class (or `COLLISION`); writes forces and virial."""
    energy, contact = evaluate(
        model.short_range, lists.short_range, types, positions, cell, forces, virial
    )
    if model.epsilon.size > 0:
        more, closest = add_lennard_jones(model, lists.short_range, positions, cell, forces, virial)
        energy += more
        if closest < 1.0:
            contact = COLLISION
    if model.charges.size > 0:
        energy += add_coulomb(model, lists.near, positions, cell, forces, virial)
    return energy, contact


@njit(error_model="numpy")
def add_lennard_jones(
    model: Interactions,
    lists: Lists,
    positions: Floats,
    cell: Floats,
    forces: Floats,
    virial: Floats,
) -> tuple[float, float]:
    """Energy, and the smallest of all distances over that of a collision; adds forces and virial."""
    energy, closest = 0.0, np.inf
    d = np.empty(3)
    for p in range(model.epsilon.size):
        rmax = model.short_range.pair_rmax[p]
        for e in range(lists.pair_start[p], lists.pair_start[p + 1]):
            i, j = lists.first[e], lists.second[e]
            r2 = edge(lists, e, positions, cell, d)
            if not r2 < rmax * rmax:
                continue
            closest = min(closest, math.sqrt(r2) * COLLISION_RATIO / model.sigma[p])
            sixth = (model.sigma[p] * model.sigma[p] / r2) ** 3
            energy += 4.0 * model.epsilon[p] * sixth * (sixth - 1.0)
            slope = 24.0 * model.epsilon[p] * sixth * (1.0 - 2.0 * sixth) / r2
            for a in range(3):
                forces[i, a] += slope * d[a]
                forces[j, a] -= slope * d[a]
                for b in range(3):
                    virial[a, b] -= slope * d[a] * d[b]
    return energy, closest


@njit(error_model="numpy")
def edge(lists: Lists, e: int, positions: Floats, cell: Floats, vector: Floats) -> float:
    """Write the vector of an edge; returns its square."""
    i, j = lists.first[e], lists.second[e]
    square = 0.0
    for a in range(3):
        vector[a] = positions[j, a] - positions[i, a]
        for b in range(3):
            vector[a] += float(lists.shift[e, b]) * cell[b, a]
        square += vector[a] * vector[a]
    return square


@njit(error_model="numpy")
def add_coulomb(
    model: Interactions,
    near: Lists,
    positions: Floats,
    cell: Floats,
    forces: Floats,
    virial: Floats,
) -> float:
    """Energy of the charges; adds forces and virial."""
    n = model.charges.size
    fields, virials, energies = np.empty((1, n, 3)), np.empty((1, 3, 3)), np.empty(1)
    sources = model.charges.reshape(1, n)
    ewald_sums(model.ewald, near, sources, positions, cell, fields, virials, energies)
    for i in range(n):
        for a in range(3):
            forces[i, a] += COULOMB * model.charges[i] * fields[0, i, a]
    for a in range(3):
        for b in range(3):
            virial[a, b] += COULOMB * virials[0, a, b]
    energy: float = COULOMB * energies[0]
    return energy


@njit(error_model="numpy")
def replace_virial(
    model: Interactions,
    lists: InteractionLists,
    types: Integers,
    positions: Floats,
    cell: Floats,
    kind: int,
    virial: Floats,
) -> None:
    """Put finite differences of the energy in place of the virial, or of its trace alone."""
    if kind == ANALYTICAL:
        return
    forces, unused = np.empty_like(positions), np.empty((3, 3))
    energies = np.empty(2)
    for a in range(3):
        for b in range(a, 3):
            if kind == NUMERICAL_PRESSURE and (a, b) != (0, 0):
                continue
            for side in range(2):
                strain = np.zeros((3, 3))
                strain[a, b] = STRAIN if side == 1 else -STRAIN
                for c in range(3):
                    strain[c, c] = strain[a, b] if kind == NUMERICAL_PRESSURE else strain[c, c]
                energies[side], _ = evaluate_interactions(
                    model,
                    lists,
                    types,
                    positions + dot(positions, strain),
                    cell + dot(cell, strain),
                    forces,
                    unused,
                )
            derivative = (energies[1] - energies[0]) / (2.0 * STRAIN)
            if kind == NUMERICAL_PRESSURE:
                trace = virial[0, 0] + virial[1, 1] + virial[2, 2]
                for c in range(3):
                    virial[c, c] -= (derivative + trace) / 3.0
            else:
                virial[a, b] = virial[b, a] = -derivative


@njit(error_model="numpy")
def dot(rows: Floats, matrix: Floats) -> Floats:
    """Product of rows (n, 3) with a matrix (3, 3), summed in a fixed order."""
    product = np.zeros_like(rows)
    for i in range(rows.shape[0]):
        for a in range(3):
            for b in range(3):
                product[i, a] += rows[i, b] * matrix[b, a]
    return product


@njit(error_model="numpy")
def tell_penalties(
    model: Interactions,
    lists: Lists,
    positions: Floats,
    cell: Floats,
    step: int,
    buffers: Buffers,
) -> float:
    """Add the pairs of a step that are penalised to the buffers; returns the largest penalty."""
    packed = model.short_range
    largest, told = 0.0, 0
    if packed.penalty_scaling == 0.0:
        return largest
    d = np.empty(3)
    for p in range(packed.pair_rmin.size):
        outer = packed.pair_rmin[p] + packed.penalty_distance
        for e in range(lists.pair_start[p], lists.pair_start[p + 1]):
            r = math.sqrt(edge(lists, e, positions, cell, d))
            if not r < outer:
                continue
            energy = packed.penalty_scaling * (outer - r) ** 3
            largest = max(largest, energy)
            if told < MAX_PENALTIES:
                row = buffers.penalties[buffers.filled[PENALTIES]]
                row[0], row[1], row[2] = step, lists.first[e], lists.second[e]
                row[3], row[4] = r, energy
                buffers.filled[PENALTIES] += 1
                told += 1
    return largest
