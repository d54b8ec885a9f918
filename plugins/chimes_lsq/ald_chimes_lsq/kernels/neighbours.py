"""Compiled neighbour search: all images, any cell, linear in the number of atoms."""

import math

import numpy as np
from numba import njit

from ald_chimes_lsq.kernels.compilation import OPTIONS, Floats, Integers
from ald_chimes_lsq.kernels.growth import grow, grow_rows
from ald_chimes_lsq.kernels.packing import PackedModel


@njit(**OPTIONS)
def find_edges(
    packed: PackedModel, types: Integers, positions: Floats, cell: Floats, extra: float
) -> tuple[Integers, Integers, Integers, Integers, Floats, Integers]:
    """All edges, grouped by their first atom, with shifts between atoms wrapped into the cell.

    Each is found from the atom that comes first in the order of bins (x, y, z, then as sorted) of the endless
    crystal. Returns first, second, shift, offset (of every atom from its wrapped place, in lattice vectors), distance
    and pair type.
    """
    n = types.size
    reach = extra
    for p in range(packed.pair_range.size):
        reach = max(reach, packed.pair_range[p] + extra)
    inverse, volume = invert(cell)
    bins = np.empty(3, np.int64)
    steps = np.empty(3, np.int64)
    width = max(0.5 * reach, (volume / max(n, 1)) ** (1.0 / 3.0))
    for a in range(3):
        # The columns of the inverse are the reciprocal vectors; heights are the inverse lengths.
        height = 1.0 / math.sqrt(inverse[0, a] ** 2 + inverse[1, a] ** 2 + inverse[2, a] ** 2)
        bins[a] = max(1, int(height / width))
        # A hair more than needed, since positions in bins are rounded.
        steps[a] = math.ceil(reach * bins[a] / height + 1.0e-9)
    place, offset, wrapped, bin_start, atoms = sort_into_bins(positions, cell, inverse, bins)
    ghost_start, ghost_atom, ghost_shift, ghosts = copy_into_neighbour_cells(
        wrapped, cell, bins, steps, bin_start, atoms
    )
    rows, row = bins[1] + 2 * steps[1], bins[2] + 2 * steps[2]

    capacity = int(1.2 * n * 0.5 * 4.2 * reach**3 * n / volume) + 4 * n + 16
    first = np.empty(capacity, np.int32)
    second = np.empty(capacity, np.int32)
    shift = np.empty((capacity, 3), np.int32)
    distance = np.empty(capacity)
    pair = np.empty(capacity, np.int32)
    count = 0
    reach2 = reach * reach
    hits = np.empty(ghost_atom.size, np.int64)
    for q in range(n):
        i = atoms[q]
        x0, y0, z0 = wrapped[i, 0], wrapped[i, 1], wrapped[i, 2]
        n_hits = 0
        for dx in range(steps[0] + 1):
            for dy in range(-steps[1] if dx > 0 else 0, steps[1] + 1):
                # Bins along z are neighbours in memory: one run of atoms per row.
                base = ((place[i, 0] + dx) * rows + place[i, 1] + steps[1] + dy) * row + place[i, 2]
                begin, end = ghost_start[base], ghost_start[base + 2 * steps[2] + 1]
                if dx == 0 and dy == 0:
                    home = (place[i, 0] * bins[1] + place[i, 1]) * bins[2] + place[i, 2]
                    begin = ghost_start[base + steps[2]] + q - bin_start[home] + 1
                for g in range(begin, end):
                    x, y, z = ghosts[0, g] - x0, ghosts[1, g] - y0, ghosts[2, g] - z0
                    # Without a branch, which could not be predicted.
                    hits[n_hits] = g
                    n_hits += int(x * x + y * y + z * z < reach2)
        if count + n_hits > capacity:
            capacity = 2 * capacity + n_hits
            first = grow(first, capacity)
            second = grow(second, capacity)
            shift = grow_rows(shift, capacity)
            distance = grow(distance, capacity)
            pair = grow(pair, capacity)
        for h in range(n_hits):
            g = hits[h]
            x, y, z = ghosts[0, g] - x0, ghosts[1, g] - y0, ghosts[2, g] - z0
            r = math.sqrt(x * x + y * y + z * z)
            j = ghost_atom[g]
            p = packed.pair_of[types[i], types[j]]
            if r < packed.pair_range[p] + extra:
                first[count] = i
                second[count] = j
                shift[count, 0] = ghost_shift[g, 0]
                shift[count, 1] = ghost_shift[g, 1]
                shift[count, 2] = ghost_shift[g, 2]
                distance[count] = r
                pair[count] = p
                count += 1
    return (
        first[:count],
        second[:count],
        shift[:count],
        offset,
        distance[:count],
        pair[:count],
    )


@njit(**OPTIONS)
def sort_into_bins(
    positions: Floats, cell: Floats, inverse: Floats, bins: Integers
) -> tuple[Integers, Integers, Floats, Integers, Integers]:
    """Wrap atoms into the cell and sort them by bin.

    Returns place (n, 3) bin of each atom, offset (n, 3), wrapped (n, 3), first place in `atoms` of each bin, atoms.
    """
    n = positions.shape[0]
    wrapped = np.empty((n, 3))
    offset = np.empty((n, 3), np.int32)
    place = np.empty((n, 3), np.int64)
    n_bins = bins[0] * bins[1] * bins[2]
    bin_start = np.zeros(n_bins + 1, np.int64)
    for i in range(n):
        for a in range(3):
            fraction = 0.0
            for b in range(3):
                fraction += positions[i, b] * inverse[b, a]
            whole = math.floor(fraction)
            offset[i, a] = int(whole)
            place[i, a] = min(int((fraction - whole) * bins[a]), bins[a] - 1)
        for b in range(3):
            wrapped[i, b] = positions[i, b] - (
                offset[i, 0] * cell[0, b] + offset[i, 1] * cell[1, b] + offset[i, 2] * cell[2, b]
            )
        bin_start[(place[i, 0] * bins[1] + place[i, 1]) * bins[2] + place[i, 2] + 1] += 1
    for k in range(n_bins):
        bin_start[k + 1] += bin_start[k]
    atoms = np.empty(n, np.int64)
    cursor = np.zeros(n_bins, np.int64)
    for i in range(n):
        home = (place[i, 0] * bins[1] + place[i, 1]) * bins[2] + place[i, 2]
        atoms[bin_start[home] + cursor[home]] = i
        cursor[home] += 1
    return place, offset, wrapped, bin_start, atoms


@njit(**OPTIONS)
def copy_into_neighbour_cells(
    wrapped: Floats,
    cell: Floats,
    bins: Integers,
    steps: Integers,
    bin_start: Integers,
    atoms: Integers,
) -> tuple[Integers, Integers, Integers, Floats]:
    """Atoms of the cell and of as many bins around it as an atom can reach (along x only upwards).

    Returns the first place of each bin, and atom, shift (n, 3), coordinates (3, n) in the order of these bins.
    """
    nx, ny, nz = bins[0] + steps[0], bins[1] + 2 * steps[1], bins[2] + 2 * steps[2]
    start = np.empty(nx * ny * nz + 1, np.int64)
    count = 0
    k = 0
    for bx in range(nx):
        x = bx % bins[0]
        for by in range(-steps[1], ny - steps[1]):
            y = by % bins[1]
            for bz in range(-steps[2], nz - steps[2]):
                start[k] = count
                k += 1
                home = (x * bins[1] + y) * bins[2] + bz % bins[2]
                count += bin_start[home + 1] - bin_start[home]
    start[k] = count
    ghost_atom = np.empty(count, np.int64)
    ghost_shift = np.empty((count, 3), np.int32)
    ghosts = np.empty((3, count))
    g = 0
    for bx in range(nx):
        sx = bx // bins[0]
        for by in range(-steps[1], ny - steps[1]):
            sy = by // bins[1]
            for bz in range(-steps[2], nz - steps[2]):
                sz = bz // bins[2]
                home = ((bx - sx * bins[0]) * bins[1] + by - sy * bins[1]) * bins[2]
                home += bz - sz * bins[2]
                for q in range(bin_start[home], bin_start[home + 1]):
                    i = atoms[q]
                    ghost_atom[g] = i
                    ghost_shift[g, 0] = sx
                    ghost_shift[g, 1] = sy
                    ghost_shift[g, 2] = sz
                    for b in range(3):
                        ghosts[b, g] = wrapped[i, b] + (
                            sx * cell[0, b] + sy * cell[1, b] + sz * cell[2, b]
                        )
                    g += 1
    return start, ghost_atom, ghost_shift, ghosts


@njit(**OPTIONS)
def invert(cell: Floats) -> tuple[Floats, float]:
    """Inverse and volume of a cell."""
    inverse = np.empty((3, 3))
    for a in range(3):
        b, c = (a + 1) % 3, (a + 2) % 3
        for x in range(3):
            y, z = (x + 1) % 3, (x + 2) % 3
            inverse[x, a] = cell[b, y] * cell[c, z] - cell[b, z] * cell[c, y]
    determinant = (
        cell[0, 0] * inverse[0, 0] + cell[0, 1] * inverse[1, 0] + cell[0, 2] * inverse[2, 0]
    )
    for a in range(3):
        for x in range(3):
            inverse[x, a] /= determinant
    return inverse, abs(determinant)
