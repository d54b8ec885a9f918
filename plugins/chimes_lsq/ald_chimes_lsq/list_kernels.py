"""Compiled neighbour search: all images, any cell, linear in the number of atoms."""

import math

import numpy as np
from numba import njit

from ald_chimes_lsq.lists import Lists
from ald_chimes_lsq.quad_list_kernels import find_apexes

OPTIONS = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy"}


@njit(**OPTIONS)
def build_lists(packed, types, positions, cell, r_list_extra):
    """All edges, triangles and quadruplets within their cutoffs plus `r_list_extra`; see `engine`."""
    n_pairs = packed.pair_rmin.size
    first, second, shift, offset, distance, pair = find_edges(
        packed, types, positions, cell, r_list_extra
    )
    # Edges by pair type, bonds first; those that are no bonds have odd keys.
    n_edges = first.size
    start = np.zeros(2 * n_pairs + 1, np.int32)
    key = np.empty(n_edges, np.int32)
    for e in range(n_edges):
        p = pair[e]
        key[e] = 2 * p + (0 if distance[e] < packed.bond_range[p] + r_list_extra else 1)
        if packed.bond_range[p] == 0.0:
            key[e] = 2 * p + 1
        start[key[e] + 1] += 1
    for k in range(2 * n_pairs):
        start[k + 1] += start[k]
    pair_start = np.empty(n_pairs + 1, np.int32)
    for p in range(n_pairs + 1):
        pair_start[p] = start[2 * p]
    bond_start = np.zeros(n_pairs + 1, np.int32)
    for p in range(n_pairs):
        bond_start[p + 1] = bond_start[p] + start[2 * p + 1] - start[2 * p]
    sorted_first = np.empty(n_edges, np.int32)
    sorted_second = np.empty(n_edges, np.int32)
    sorted_shift = np.empty((n_edges, 3), np.int32)
    bond = np.empty(n_edges, np.int32)
    for e in range(n_edges):
        place = start[key[e]]
        start[key[e]] += 1
        i, j, p = first[e], second[e], pair[e]
        sorted_first[place] = i
        sorted_second[place] = j
        for a in range(3):
            sorted_shift[place, a] = shift[e, a] - offset[j, a] + offset[i, a]
        bond[e] = -1 if key[e] & 1 else bond_start[p] + place - pair_start[p]

    n_sets = packed.set_rmin.size
    slot_start = np.zeros(n_sets, np.int32)
    n_slots = 0
    for p in range(n_pairs):
        for s in range(packed.set_start[p], packed.set_start[p + 1]):
            slot_start[s] = n_slots
            n_slots += bond_start[p + 1] - bond_start[p]
    n_types = packed.pair_of.shape[0]
    n_bonds = bond_start[n_pairs]
    row_start = np.zeros(n_bonds * n_types + 1, np.int32)
    partners = np.empty((0, 2), np.int32)
    triangle_bonds = np.empty((0, 3), np.int32)
    triangle_types = np.empty((0, 3), np.int32)
    apex_start = np.zeros(1, np.int32)
    apexes = np.empty((0, 3), np.int32)
    if n_bonds > 0:
        triangles = find_triangles(types.size, first, second, shift, bond)
        ends, lengths = bond_ends(n_bonds, first, second, distance, bond)
        slot_shift = np.empty(n_sets, np.int32)  # slot of bond m in set s: slot_shift[s] + m
        for p in range(n_pairs):
            for s in range(packed.set_start[p], packed.set_start[p + 1]):
                slot_shift[s] = slot_start[s] - bond_start[p]
        if packed.order3 > 0:
            partners = sort_partners(
                packed, types, triangles, ends, lengths, slot_shift, r_list_extra, row_start
            )
        if packed.order4 > 0:
            triangle_bonds, triangle_types, apex_start, apexes = find_apexes(
                packed, types, triangles, ends, lengths, slot_shift, r_list_extra
            )
    return Lists(
        sorted_first,
        sorted_second,
        sorted_shift,
        pair_start,
        bond_start,
        slot_start,
        row_start,
        partners,
        triangle_bonds,
        triangle_types,
        apex_start,
        apexes,
        np.empty((3, n_edges)),
        np.empty(n_edges),
        np.empty(n_edges),
        np.empty(n_edges),
        np.zeros((n_slots, packed.stride)),
        np.zeros((n_slots, packed.stride)),
    )


@njit(**OPTIONS)
def find_edges(packed, types, positions, cell, extra):
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
def sort_into_bins(positions, cell, inverse, bins):
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
def copy_into_neighbour_cells(wrapped, cell, bins, steps, bin_start, atoms):
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
def invert(cell):
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


@njit(**OPTIONS)
def grow(array, capacity):
    """A longer copy of a vector."""
    longer = np.empty(capacity, array.dtype)
    for k in range(array.size):
        longer[k] = array[k]
    return longer


@njit(**OPTIONS)
def grow_rows(array, capacity):
    """A longer copy of a matrix."""
    longer = np.empty((capacity, array.shape[1]), array.dtype)
    for k in range(array.shape[0]):
        for a in range(array.shape[1]):
            longer[k, a] = array[k, a]
    return longer


@njit(**OPTIONS)
def find_triangles(n, first, second, shift, bond):
    """Each three mutually bonded atoms i, j, k, in the order of edges, once: (n_triangles, 3) bonds ij, ik, jk."""
    start = np.zeros(n, np.int64)
    stop = np.zeros(n, np.int64)
    extent = np.zeros(3, np.int64)
    n_bonds = 0
    for e in range(first.size):
        if bond[e] >= 0:
            if stop[first[e]] == 0:
                start[first[e]] = n_bonds
            n_bonds += 1
            stop[first[e]] = n_bonds
            for a in range(3):
                extent[a] = max(extent[a], abs(shift[e, a]))
    # `mark` has a place for every atom in every cell that a walk of two edges can reach.
    ny, nz = 4 * extent[1] + 1, 4 * extent[2] + 1
    centre = (2 * extent[0] * ny + 2 * extent[1]) * nz + 2 * extent[2]
    mark = np.zeros((4 * extent[0] + 1) * ny * nz * n, np.int32)
    atom = np.empty(n_bonds, np.int32)
    step = np.empty(n_bonds, np.int64)
    name = np.empty(n_bonds, np.int32)
    k = 0
    for e in range(first.size):
        if bond[e] >= 0:
            atom[k] = second[e]
            step[k] = ((shift[e, 0] * ny + shift[e, 1]) * nz + shift[e, 2]) * n + second[e]
            name[k] = bond[e]
            k += 1
    capacity = 8 * n_bonds + 64
    triangles = np.empty((capacity, 3), np.int32)
    count = 0
    for i in range(n):
        for q in range(start[i], stop[i]):
            mark[centre * n + step[q]] = name[q] + 1
        for q in range(start[i], stop[i]):
            j = atom[q]
            corner = centre * n + step[q] - j
            if count + stop[j] - start[j] >= capacity:
                capacity = 2 * capacity + stop[j] - start[j]
                triangles = grow_rows(triangles, capacity)
            for s in range(start[j], stop[j]):
                # Without a branch, which could not be predicted.
                other = mark[corner + step[s]]
                triangles[count, 0] = name[q]
                triangles[count, 1] = other - 1
                triangles[count, 2] = name[s]
                count += int(other > 0)
        for q in range(start[i], stop[i]):
            mark[centre * n + step[q]] = 0
    return triangles[:count]


@njit(**OPTIONS)
def bond_ends(n_bonds, first, second, distance, bond):
    """Atoms (n_bonds, 2) and length (n_bonds,) of each bond."""
    ends = np.empty((n_bonds, 2), np.int32)
    lengths = np.empty(n_bonds)
    for e in range(first.size):
        m = bond[e]
        if m >= 0:
            ends[m, 0] = first[e]
            ends[m, 1] = second[e]
            lengths[m] = distance[e]
    return ends, lengths


@njit(**OPTIONS)
def sort_partners(packed, types, triangles, ends, lengths, slot_shift, extra, row_start):
    """Fill `Lists.row_start` and return `Lists.partners`."""
    n_types = packed.pair_of.shape[0]
    n_triangles = triangles.shape[0]
    slots = np.empty((n_triangles, 3), np.int32)
    rows = np.empty((n_triangles, 3), np.int32)
    kept = 0
    for t in range(n_triangles):
        ij, ik, jk = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        a, b, c = types[ends[ij, 0]], types[ends[ij, 1]], types[ends[ik, 1]]
        set_ij = packed.triplet_set[a, b, c]
        if set_ij < 0:
            continue
        set_ik = packed.triplet_set[a, c, b]
        set_jk = packed.triplet_set[b, c, a]
        slots[kept, 0] = slot_shift[set_ij] + ij
        slots[kept, 1] = slot_shift[set_ik] + ik
        slots[kept, 2] = slot_shift[set_jk] + jk
        rows[kept, 0] = ij * n_types + c
        rows[kept, 1] = ik * n_types + b
        rows[kept, 2] = jk * n_types + a
        inside = int(
            (lengths[ij] < packed.set_rmax[set_ij] + extra)
            & (lengths[ik] < packed.set_rmax[set_ik] + extra)
            & (lengths[jk] < packed.set_rmax[set_jk] + extra)
        )
        for x in range(3):
            row_start[rows[kept, x] + 1] += inside
        kept += inside
    for row in range(row_start.size - 1):
        row_start[row + 1] += row_start[row]
    cursor = grow(row_start, row_start.size)
    partners = np.empty((row_start[-1], 2), np.int32)
    for t in range(kept):
        ij, ik, jk = slots[t, 0], slots[t, 1], slots[t, 2]
        place = cursor[rows[t, 0]]
        cursor[rows[t, 0]] = place + 1
        partners[place, 0] = ik
        partners[place, 1] = jk
        place = cursor[rows[t, 1]]
        cursor[rows[t, 1]] = place + 1
        partners[place, 0] = ij
        partners[place, 1] = jk
        place = cursor[rows[t, 2]]
        cursor[rows[t, 2]] = place + 1
        partners[place, 0] = ij
        partners[place, 1] = ik
    return partners
