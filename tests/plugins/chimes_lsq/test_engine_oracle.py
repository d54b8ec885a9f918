"""The compiled ChIMES code against brute force over all images, term by term.

The brute force is written from the formulas alone: no neighbour lists, no factorization, nothing shared with the
tested code but the data class of the basis. It is slow.
"""

import itertools
import math
from functools import cache

import attrs
import numpy as np
import pytest

from ald_chimes_lsq.basis import AtomType, Cutoff, InnerRule, PairType
from ald_chimes_lsq.design import design_matrix
from ald_chimes_lsq.engine import build_lists, evaluate, pack
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.topology import EdgeCutoffs, Exclusion, SpecialCutoffs, build_basis

EDGES = {
    2: [(0, 1)],
    3: [(0, 1), (0, 2), (1, 2)],
    4: [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)],
}


def edge_function(basis, power, r, rmin, rmax, morse_lambda):
    """f(r) T_power(s(r)) and its derivative."""
    if r >= rmax:
        return 0.0, 0.0
    x, slope = {
        "MORSE": (
            lambda d: math.exp(-d / morse_lambda),
            lambda d: -math.exp(-d / morse_lambda) / morse_lambda,
        ),
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
        near = [
            a for a in atoms if (a[0], a[1]) > home and np.linalg.norm(a[2] - positions[i]) < reach
        ]
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
        for found_members, found_points, _ in clusters(positions, cell, size, reach):
            order = sorted(range(size), key=lambda m: names[found_members[m]])
            members = tuple(found_members[m] for m in order)
            points = found_points[order]
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
                add(
                    start + parameter,
                    members,
                    points,
                    [t[p] for t, p in zip(tables, powers, strict=True)],
                )
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


TYPES = {"O": AtomType("O", 16.0), "C": AtomType("C", 12.0), "H": AtomType("H", 1.0)}
PAIRS = {
    "OO": PairType("O", "O", 1.1, 3.0, 1.2),
    "CC": PairType("C", "C", 0.9, 3.2, 1.3),
    "HH": PairType("H", "H", 0.6, 2.6, 0.9),
    "OC": PairType("O", "C", 0.8, 2.8, 1.1),
    "OH": PairType("O", "H", 0.7, 2.9, 1.0),
    "CH": PairType("C", "H", 0.7, 2.7, 1.0),
}
SKEWED = np.array([[3.6, 0.4, -0.3], [1.4, 3.3, 0.5], [-0.8, 1.1, 3.9]])
LEFT_HANDED = SKEWED[[1, 0, 2]]
TINY = np.array([[1.7, 0.0, 0.2], [0.5, 1.9, 0.0], [0.0, -0.6, 1.8]])
BOX = np.diag([9.0, 8.5, 9.5])
SPECIALS = (
    SpecialCutoffs(
        3, "S_MAXIM", None, (EdgeCutoffs("OCOCCC", ("OC", "OC", "CC"), (3.5, 3.5, 2.5)),)
    ),
    SpecialCutoffs(3, "S_MINIM", None, (EdgeCutoffs("OOOOOO", ("OO",) * 3, (1.4,) * 3),)),
    SpecialCutoffs(4, "S_MAXIM", 2.6),
)
CASES = {
    "one type": ("C", (5, 4, 0), {}, SKEWED, 5),
    "tiny cell": ("C", (4, 3, 0), {}, TINY, 2),
    "one atom": ("O", (3, 3, 2), {}, 1.25 * TINY, 1),
    "left-handed cell": ("OC", (4, 3, 2), {}, LEFT_HANDED, 5),
    "isolated": ("OC", (4, 4, 3), {}, BOX, 6),
    "tersoff": ("OC", (4, 3, 0), {"cutoff": Cutoff("TERSOFF", 0.5)}, SKEWED, 5),
    "wide tersoff": ("CO", (4, 3, 2), {"cutoff": Cutoff("TERSOFF", 0.75)}, SKEWED, 4),
    "inverse distance": ("OC", (4, 3, 2), {"transform": "INVRSE_R"}, SKEWED, 5),
    "no transform": ("OC", (4, 3, 2), {"transform": "NONE"}, SKEWED, 5),
    "zero derivative": ("OC", (4, 3, 2), {"inner": InnerRule("ZERO_DERIV")}, SKEWED, 7),
    "constant derivative": ("OC", (4, 3, 2), {"inner": InnerRule("CONSTANT_DERIV")}, SKEWED, 7),
    "smooth": ("OC", (4, 3, 2), {"inner": InnerRule("SMOOTH", 0.05)}, SKEWED, 7),
    "three types": ("OCH", (3, 3, 2), {}, SKEWED, 6),
    "special cutoffs": ("OC", (3, 3, 2), {"specials": SPECIALS}, SKEWED, 6),
    "exclusions": (
        "HOC",
        (3, 3, 2),
        {"exclusions": tuple(Exclusion(tuple(w)) for w in ("OC", "OCO", "HHH", "OOCC", "HHHO"))},
        SKEWED,
        6,
    ),
    "order above eight": ("C", (3, 10, 0), {}, SKEWED, 4),
    "fourth order four": ("OC", (2, 0, 4), {}, SKEWED, 4),
}


@cache
def random_case(name):
    """Basis, coefficients as a vector, element names, positions (also outside the cell), cell."""
    words, orders, options, cell, n = CASES[name]
    rng = np.random.default_rng(sum(map(ord, name)))
    pairs = [p for p in PAIRS.values() if {p.first, p.second} <= set(words)]
    basis = build_basis(
        [TYPES[w] for w in words], pairs, orders, **{"transform": "MORSE", **options}
    )
    names = [words[i % len(words)] for i in range(n)]
    shortest, longest = (0.5, 0.65) if "inner" in options else (0.95, 99.0)
    while True:
        if name == "isolated":
            positions = np.array([4.0, 4.0, 4.0]) + rng.uniform(-1.6, 1.6, (n, 3))
        else:
            positions = rng.random((n, 3)) @ cell
        lengths = [r for *_, (r,) in clusters(positions, cell, 2, 1.5)]
        if shortest < min(lengths, default=9.0) < longest:
            break
    positions = positions + rng.integers(-2, 3, (n, 3)) @ cell
    return basis, rng.normal(size=basis.n_short_range), names, positions, cell


@cache
def brute_force(name, *, design):
    basis, _, names, positions, cell = random_case(name)
    return columns(basis, names, positions, cell, design=design)


@pytest.mark.parametrize("name", CASES)
def test_design_matrix_equals_brute_force(name):
    basis, _, names, positions, cell = random_case(name)
    energy, forces, virial = brute_force(name, design=True)
    n = len(energy)
    volume = abs(np.linalg.det(cell))
    want = np.vstack(
        [forces.reshape(n, -1).T, virial.reshape(n, 9).T / volume, energy, energy, energy]
    )

    got = design_matrix(basis, names, positions, cell, stress="full", energy=True)

    assert got.shape == want.shape
    assert np.max(np.abs(want)) > 1e-3
    np.testing.assert_array_less(np.abs(got - want).max(0), 2e-12 * np.abs(want).max(0) + 1e-14)


@pytest.mark.parametrize("skin", [0.0, 0.6])
@pytest.mark.parametrize("name", CASES)
def test_model_equals_brute_force(name, skin):
    basis, x, names, positions, cell = random_case(name)
    types = np.array([basis.type_index(w) for w in names])
    model = ChimesModel(basis, expand(basis, x), penalty_distance=0.08, penalty_scaling=300.0)
    energy, forces, virial = brute_force(name, design=False)
    penalty_energy, penalty_forces, penalty_virial, contact = penalty(
        basis, names, positions, cell, 0.08, 300.0
    )

    packed = pack(model)
    # The lists hold while atoms move by up to half the skin.
    rng = np.random.default_rng(7)
    displaced = positions + rng.uniform(-0.5, 0.5, positions.shape) * skin / math.sqrt(3.0)
    lists = build_lists(packed, types, displaced, cell, skin)
    got_forces, got_virial = np.empty_like(positions), np.empty((3, 3))
    got = evaluate(packed, lists, types, positions, cell, got_forces, got_virial)

    want = np.tensordot(x, forces, 1) + penalty_forces
    assert got[1] == contact
    assert got[0] == pytest.approx(energy @ x + penalty_energy, rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(got_forces, want, rtol=0, atol=1e-11 * max(1.0, np.abs(want).max()))
    want = np.tensordot(x, virial, 1) + penalty_virial
    np.testing.assert_allclose(got_virial, want, rtol=0, atol=1e-11 * max(1.0, np.abs(want).max()))


def test_inner_cases_have_close_pairs():
    for name in ("zero derivative", "constant derivative", "smooth"):
        basis, _, names, positions, cell = random_case(name)
        assert penalty(basis, names, positions, cell, 0.08, 300.0)[3] == 2


def test_penalty_can_be_left_out():
    basis, x, names, positions, cell = random_case("smooth")
    types = np.array([basis.type_index(w) for w in names])
    model = ChimesModel(basis, expand(basis, x))
    packed = pack(model, penalty=False)
    forces, virial = np.empty_like(positions), np.empty((3, 3))
    lists = build_lists(packed, types, positions, cell, 0.0)
    energy, contact = evaluate(packed, lists, types, positions, cell, forces, virial)
    assert contact == 2
    assert energy == pytest.approx(brute_force("smooth", design=False)[0] @ x, rel=1e-11)


def test_terms_left_out_of_a_cluster_are_zero():
    basis, x, names, positions, cell = random_case("left-handed cell")
    model = ChimesModel(basis, expand(basis, x))
    kept = [np.flatnonzero(np.abs(v) > 0.7) for v in model.coefficients.triplets]
    reduced = attrs.evolve(
        basis,
        triplets=tuple(
            attrs.evolve(
                c, powers=c.powers[k], equivalents=c.equivalents[k], parameters=c.parameters[k]
            )
            for c, k in zip(basis.triplets, kept, strict=True)
        ),
    )
    shorter = attrs.evolve(
        model.coefficients,
        triplets=tuple(v[k] for v, k in zip(model.coefficients.triplets, kept, strict=True)),
    )
    zeroed = attrs.evolve(
        model.coefficients,
        triplets=tuple(np.where(np.abs(v) > 0.7, v, 0.0) for v in model.coefficients.triplets),
    )
    types = np.array([basis.type_index(w) for w in names])
    energies = []
    for either in (ChimesModel(reduced, shorter), ChimesModel(basis, zeroed)):
        packed = pack(either)
        lists = build_lists(packed, types, positions, cell, 0.0)
        forces, virial = np.empty_like(positions), np.empty((3, 3))
        energies.append(evaluate(packed, lists, types, positions, cell, forces, virial)[0])
    assert energies[0] == energies[1]
