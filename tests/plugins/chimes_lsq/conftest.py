"""Brute force over all images, term by term, for the tests of the compiled ChIMES code.

It is written from the formulas alone: no neighbour lists, no factorization, nothing shared with the tested code but the
data classes of the basis.
"""

import itertools
import math

import attrs
import numpy as np
import pytest

EDGES = {
    2: [(0, 1)],
    3: [(0, 1), (0, 2), (1, 2)],
    4: [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)],
}
CHUNK = 400


@attrs.define
class Sums:
    """Sums over clusters, for each of some columns."""

    energy: np.ndarray
    """(m,)"""
    forces: np.ndarray
    """(m, n, 3)"""
    virial: np.ndarray
    """(m, 3, 3) -Σ g r_a r_b / r"""
    atoms: np.ndarray
    """(m, n): each term in equal parts"""
    energy_scale: np.ndarray
    """(m,) sums of the magnitudes of the terms"""
    force_scale: np.ndarray
    """(m,) likewise of their derivatives"""

    @classmethod
    def zeros(cls, m, n):
        return cls(
            np.zeros(m),
            np.zeros((m, n, 3)),
            np.zeros((m, 3, 3)),
            np.zeros((m, n)),
            np.zeros(m),
            np.zeros(m),
        )

    def add(self, start, members, points, values, slopes, scales=None):
        """Add clusters: values (k, p) of p columns from `start` on, slopes (edges, k, p) by the lengths of edges."""
        size, p = members.shape[1], values.shape[1]
        own = slice(start, start + p)
        energy_scale, force_scale = scales or (np.abs(values), np.abs(slopes).sum(0))
        self.energy[own] += values.sum(0)
        self.energy_scale[own] += energy_scale.sum(0)
        self.force_scale[own] += force_scale.sum(0)
        for place in range(size):
            np.add.at(self.atoms[own].T, members[:, place], values / size)
        for (a, b), slope in zip(EDGES[size], slopes, strict=True):
            vectors = points[:, b] - points[:, a]
            units = vectors / np.linalg.norm(vectors, axis=1)[:, None]
            pulls = slope[:, :, None] * units[:, None, :]
            forces = self.forces[own].transpose(1, 0, 2)
            np.add.at(forces, members[:, a], pulls)
            np.add.at(forces, members[:, b], -pulls)
            self.virial[own] -= np.einsum("kpa,kb->pab", pulls, vectors)


def edge_functions(basis, order, r, rmin, rmax, morse_lambda):
    """f(r) T_k(s(r)) for k < order, and the derivatives: (len(r), order); all r < rmax."""
    x, slope = {
        "MORSE": (
            lambda d: np.exp(-d / morse_lambda),
            lambda d: -np.exp(-d / morse_lambda) / morse_lambda,
        ),
        "INVRSE_R": (lambda d: 1 / d, lambda d: -1 / d**2),
        "NONE": (lambda d: d, lambda d: 1.0 + 0.0 * d),
    }[basis.transform]
    low, high = sorted((x(rmin), x(rmax)))
    if basis.cutoff.kind == "CUBIC":
        f, df = (1 - r / rmax) ** 3, -3 / rmax * (1 - r / rmax) ** 2
    else:
        pi = 3.14159265359
        d = rmax * (1 - basis.cutoff.fraction)
        angle = pi * (r - d) / (rmax - d) + pi / 2
        f = np.where(r < d, 1.0, 0.5 + 0.5 * np.sin(angle))
        df = np.where(r < d, 0.0, 0.5 * pi / (rmax - d) * np.cos(angle))
    chebyshev = np.polynomial.chebyshev
    at = np.maximum(r, rmin)
    s = (x(at) - (high + low) / 2) / ((high - low) / 2)
    t = chebyshev.chebvander(s, order - 1)
    # Of T_0 … T_{order-1} as columns, so that T' = vander @ derivatives.
    derivatives = chebyshev.chebder(np.eye(order)) if order > 1 else np.zeros((1, 1))
    dt = chebyshev.chebvander(s, len(derivatives) - 1) @ derivatives
    dt *= (slope(at) / ((high - low) / 2))[:, None]
    below, depth = (r < rmin)[:, None], (r - rmin)[:, None]
    width = basis.inner.distance
    growth = np.exp(np.minimum(depth, 0.0) / width)
    inside, d_inside = {
        "SMOOTH": (t + width * (growth - 1) * dt, growth * dt),
        "ZERO_DERIV": (t, 0.0 * dt),
        "CONSTANT_DERIV": (t + depth * dt, dt),
    }[basis.inner.kind]
    t, dt = np.where(below, inside, t), np.where(below, d_inside, dt)
    f, df = f[:, None], df[:, None]
    return f * t, f * dt + df * t


def clusters(positions, cell, size, reach):
    """Numbers (k, size) and points (k, size, 3) of all sets of atoms within reach of each other, modulo translation."""
    n = len(positions)
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    spread = np.ptp(positions @ np.linalg.inv(cell), axis=0)
    counts = np.ceil(reach / heights + spread).astype(int)
    shifts = np.array(list(itertools.product(*(range(-c, c + 1) for c in counts))))
    later = np.array([tuple(s) > (0, 0, 0) for s in shifts])
    numbers = np.repeat(np.arange(n), len(shifts))
    places = (positions[:, None] + shifts @ cell).reshape(-1, 3)
    members, points = [], []
    for i in range(n):
        # Of each set, the smallest of its atoms by number and shift is at home.
        mine = (numbers > i) | ((numbers == i) & np.tile(later, n))
        near = np.flatnonzero(mine & (np.linalg.norm(places - positions[i], axis=1) < reach))
        own, where = numbers[near], places[near]
        apart = np.linalg.norm(where[:, None] - where, axis=2)
        joined = np.triu(apart < reach, 1)
        if size == 2:
            found = np.arange(len(near))[:, None]
        elif size == 3:
            found = np.argwhere(joined)
        else:
            couples = np.argwhere(joined)
            row, third = np.nonzero(joined[couples[:, 0]] & joined[couples[:, 1]])
            found = np.column_stack((couples[row], third))
        home = np.full((len(found), 1), i)
        members.append(np.hstack((home, own[found])))
        points.append(np.hstack((np.broadcast_to(positions[i], (len(found), 1, 3)), where[found])))
    return np.concatenate(members), np.concatenate(points)


def pair_number(basis, a, b):
    return next(i for i, p in enumerate(basis.pairs) if {p.first, p.second} == {a, b})


def columns(basis, names, positions, cell, *, design):
    """Sums of every column, without offsets.

    design: leave out two-body terms with r <= rmin, as the fit does.
    """
    names = np.array(names)
    fitted = [p for p in range(len(basis.pairs)) if p not in basis.excluded_pairs]
    sums = Sums.zeros(basis.n_short_range, len(names))
    order = basis.orders[0]
    members, points = clusters(positions, cell, 2, max(p.rmax for p in basis.pairs))
    lengths = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    for place, number in enumerate(fitted):
        pair = basis.pairs[number]
        ends = np.sort(names[members], axis=1)
        own = (ends == sorted((pair.first, pair.second))).all(axis=1) & (lengths < pair.rmax)
        if design:
            own &= lengths > pair.rmin
        values, slopes = edge_functions(
            basis, order + 1, lengths[own], pair.rmin, pair.rmax, pair.morse_lambda
        )
        sums.add(place * order, members[own], points[own], values[:, 1:], slopes[None, :, 1:])
    column = len(fitted) * order
    for size, kinds in ((3, basis.triplets), (4, basis.quads)):
        kept = [kind for kind in kinds if not kind.excluded]
        if not kept:
            continue
        members, points = clusters(positions, cell, size, max(max(kind.rmax) for kind in kept))
        sorting = np.argsort(names[members], axis=1, kind="stable")
        members = np.take_along_axis(members, sorting, axis=1)
        points = np.take_along_axis(points, sorting[:, :, None], axis=1)
        for kind in kept:
            own = (names[members] == kind.elements).all(axis=1)
            add_clusters(sums, column, basis, kind, members[own], points[own])
            column += kind.n_parameters
    return sums


def add_clusters(sums, column, basis, kind, members, points):
    """Add all terms of one kind of clusters."""
    size = len(kind.elements)
    order = basis.orders[size - 2]
    ends = EDGES[size]
    lengths = np.array([np.linalg.norm(points[:, b] - points[:, a], axis=1) for a, b in ends])
    within = (lengths < np.array(kind.rmax)[:, None]).all(axis=0)
    belongs = np.zeros((len(kind.powers), kind.n_parameters))
    belongs[np.arange(len(kind.powers)), kind.parameters] = 1.0
    for chunk in np.array_split(np.flatnonzero(within), within.sum() // CHUNK + 1):
        factors, slopes = [], []
        for e, (a, b) in enumerate(ends):
            pair = basis.pairs[pair_number(basis, kind.elements[a], kind.elements[b])]
            value, slope = edge_functions(
                basis, order, lengths[e, chunk], kind.rmin[e], kind.rmax[e], pair.morse_lambda
            )
            factors.append(value[:, kind.powers[:, e]])
            slopes.append(slope[:, kind.powers[:, e]])
        product = np.prod(factors, axis=0)
        gradients = [
            slopes[e] * np.prod(factors[:e] + factors[e + 1 :], axis=0) for e in range(len(ends))
        ]
        scales = np.abs(product) @ belongs, np.abs(gradients).sum(0) @ belongs
        gradients = np.array([g @ belongs for g in gradients])
        sums.add(column, members[chunk], points[chunk], product @ belongs, gradients, scales)


def penalty(basis, names, positions, cell, distance, scaling):
    """Sums of the penalty (one column), and the contact class."""
    sums = Sums.zeros(1, len(names))
    contact = 0
    members, points = clusters(positions, cell, 2, max(p.rmin for p in basis.pairs) + distance)
    for ends, places in zip(members, points, strict=True):
        r = math.dist(*places)
        pair = basis.pairs[pair_number(basis, *(names[m] for m in ends))]
        depth = pair.rmin + distance - r
        if depth > 0:
            contact = max(contact, 2 if r < pair.rmin else 1)
            value, slope = scaling * depth**3, -3 * scaling * depth**2
            sums.add(0, ends[None], places[None], np.array([[value]]), np.array([[[slope]]]))
    return sums, contact


@attrs.frozen
class Oracle:
    """What the tests call."""

    clusters = staticmethod(clusters)
    columns = staticmethod(columns)
    penalty = staticmethod(penalty)


@pytest.fixture(scope="session")
def oracle():
    """The brute force."""
    return Oracle()
