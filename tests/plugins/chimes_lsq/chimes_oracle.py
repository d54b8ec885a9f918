"""Brute force over all images, term by term: the oracle of the compiled ChIMES code.

Written from the formulas alone: no neighbour lists, no factorization, nothing shared with the tested code but the
data class of the basis. Slow.
"""

import itertools
import math

import numpy as np

EDGES = {2: [(0, 1)], 3: [(0, 1), (0, 2), (1, 2)], 4: [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]}


def edge_function(basis, power, r, rmin, rmax, morse_lambda):
    """f(r) T_power(s(r)) and its derivative."""
    if r >= rmax:
        return 0.0, 0.0
    x, slope = {
        "MORSE": (lambda d: math.exp(-d / morse_lambda), lambda d: -math.exp(-d / morse_lambda) / morse_lambda),
        "INVRSE_R": (lambda d: 1 / d, lambda d: -1 / d**2),
        "NONE": (lambda d: d, lambda d: 1.0),
    }[basis.transform]
    low, high = sorted((x(rmin), x(rmax)))
    if basis.cutoff.kind == "CUBIC":
        f, df = (1 - r / rmax) ** 3, -3 / rmax * (1 - r / rmax) ** 2
    else:
        pi = 3.14159265359
        d = rmax * (1 - basis.cutoff.fraction)
        angle = pi * (r - d) / (rmax - d) + pi / 2
        f = 1.0 if r < d else 0.5 + 0.5 * math.sin(angle)
        df = 0.0 if r < d else 0.5 * pi / (rmax - d) * math.cos(angle)

    def chebyshev(d):
        series = np.polynomial.chebyshev.Chebyshev.basis(power)
        s = (x(d) - (high + low) / 2) / ((high - low) / 2)
        return series(s), series.deriv()(s) * slope(d) / ((high - low) / 2) if power else 0.0

    t, dt = chebyshev(max(r, rmin))
    if r < rmin:
        width = basis.inner.distance
        growth = math.exp((r - rmin) / width)
        t, dt = {
            "SMOOTH": (t + width * (growth - 1) * dt, growth * dt),
            "ZERO_DERIV": (t, 0.0),
            "CONSTANT_DERIV": (t + (r - rmin) * dt, dt),
        }[basis.inner.kind]
    return f * t, f * dt + df * t


def clusters(positions, cell, size, reach):
    """Index tuples and coordinates of all sets of atoms within reach of each other, modulo translation once."""
    n = len(positions)
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    spread = np.ptp(positions @ np.linalg.inv(cell), axis=0)
    counts = np.ceil(reach / heights + spread).astype(int)
    shifts = list(itertools.product(*(range(-c, c + 1) for c in counts)))
    atoms = [(j, s, positions[j] + np.array(s) @ cell) for j in range(n) for s in shifts]
    for i in range(n):
        home = (i, (0, 0, 0))
        near = [a for a in atoms if (a[0], a[1]) > home and np.linalg.norm(a[2] - positions[i]) < reach]
        for others in itertools.combinations(near, size - 1):
            points = np.array([positions[i], *(a[2] for a in others)])
            lengths = [np.linalg.norm(points[b] - points[a]) for a, b in EDGES[size]]
            if max(lengths) < reach:
                yield (i, *(a[0] for a in others)), points, lengths


def columns(basis, names, positions, cell, *, design):
    """Energy, forces (n, 3) and virial (3, 3) = -Σ g r_a r_b / r of every column; no offsets.

    design: leave out two-body terms with r <= rmin, as the fit does.
    """
    n = len(names)
    fitted = [p for p in range(len(basis.pairs)) if p not in basis.excluded_pairs]
    total = basis.n_short_range
    energy, forces, virial = np.zeros(total), np.zeros((total, n, 3)), np.zeros((total, 3, 3))

    def add(column, members, points, values):
        """values: (value, derivative) of each edge."""
        product = [v for v, _ in values]
        energy[column] += math.prod(product)
        for e, (a, b) in enumerate(EDGES[len(members)]):
            g = values[e][1] * math.prod(product[:e] + product[e + 1 :])
            vector = points[b] - points[a]
            r = np.linalg.norm(vector)
            forces[column, members[a]] += g * vector / r
            forces[column, members[b]] -= g * vector / r
            virial[column] -= g * np.outer(vector, vector) / r

    def pair_number(a, b):
        return next(i for i, p in enumerate(basis.pairs) if {p.first, p.second} == {a, b})

    for members, points, (r,) in clusters(positions, cell, 2, max(p.rmax for p in basis.pairs)):
        number = pair_number(*(names[m] for m in members))
        pair = basis.pairs[number]
        if number not in fitted or r >= pair.rmax or (design and r <= pair.rmin):
            continue
        for power in range(1, basis.orders[0] + 1):
            value = edge_function(basis, power, r, pair.rmin, pair.rmax, pair.morse_lambda)
            add(fitted.index(number) * basis.orders[0] + power - 1, members, points, [value])

    column = len(fitted) * basis.orders[0]
    for size, kinds in ((3, basis.triplets), (4, basis.quads)):
        starts = {}
        for kind in kinds:
            if not kind.excluded:
                starts[kind.elements] = (kind, column)
                column += kind.n_parameters
        if not starts:
            continue
        reach = max(max(kind.rmax) for kind, _ in starts.values())
        for members, points, _ in clusters(positions, cell, size, reach):
            order = sorted(range(size), key=lambda m: names[members[m]])
            members = tuple(members[m] for m in order)
            points = points[order]
            found = starts.get(tuple(names[m] for m in members))
            if found is None:
                continue
            kind, start = found
            tables = []
            for e, (a, b) in enumerate(EDGES[size]):
                r = np.linalg.norm(points[b] - points[a])
                pair = basis.pairs[pair_number(names[members[a]], names[members[b]])]
                tables.append(
                    [
                        edge_function(basis, p, r, kind.rmin[e], kind.rmax[e], pair.morse_lambda)
                        for p in range(basis.orders[size - 2])
                    ]
                    if r < kind.rmax[e]
                    else None
                )
            if None in tables:
                continue
            for powers, parameter in zip(kind.powers, kind.parameters, strict=True):
                add(start + parameter, members, points, [t[p] for t, p in zip(tables, powers, strict=True)])
    return energy, forces, virial


def penalty(basis, names, positions, cell, distance, scaling):
    """Energy, forces and virial of the penalty, and the contact class."""
    energy, contact = 0.0, 0
    forces, virial = np.zeros((len(names), 3)), np.zeros((3, 3))
    reach = max(p.rmin for p in basis.pairs) + distance
    for (i, j), points, (r,) in clusters(positions, cell, 2, reach):
        pair = basis.pairs[basis.pair_index(basis.type_index(names[i]), basis.type_index(names[j]))]
        depth = pair.rmin + distance - r
        if depth <= 0:
            continue
        contact = max(contact, 2 if r < pair.rmin else 1)
        energy += scaling * depth**3
        vector = points[1] - points[0]
        g = -3 * scaling * depth**2
        forces[i] += g * vector / r
        forces[j] -= g * vector / r
        virial -= g * np.outer(vector, vector) / r
    return energy, forces, virial, contact
