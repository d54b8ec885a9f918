"""Compiled functions of one distance: transforms, cutoff functions, Chebyshev polynomials, two-body terms."""

import math

from numba import njit

OPTIONS = {"cache": True, "fastmath": {"contract"}, "error_model": "numpy"}


@njit(**OPTIONS)
def measure(lists, positions, cell):
    """Write vectors and distances of all edges."""
    vectors = lists.vectors
    for e in range(lists.first.size):
        i, j = lists.first[e], lists.second[e]
        u, v, w = float(lists.shift[e, 0]), float(lists.shift[e, 1]), float(lists.shift[e, 2])
        x = positions[j, 0] - positions[i, 0] + u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
        y = positions[j, 1] - positions[i, 1] + u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
        z = positions[j, 2] - positions[i, 2] + u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
        vectors[0, e] = x
        vectors[1, e] = y
        vectors[2, e] = z
        lists.distances[e] = math.sqrt(x * x + y * y + z * z)


@njit(**OPTIONS)
def transform(rules, r, morse_lambda):
    """x(r), the variable in which the polynomials are expanded."""
    if rules.transform == 0:
        return math.exp(-r / morse_lambda)
    if rules.transform == 1:
        return 1.0 / r
    return r


@njit(**OPTIONS)
def transform_slope(rules, x, morse_lambda):
    """dx/dr, given x."""
    if rules.transform == 0:
        return -x / morse_lambda
    if rules.transform == 1:
        return -x * x
    return 1.0


@njit(**OPTIONS)
def transform_edges(packed, lists):
    """Write x(r) of all edges."""
    for p in range(packed.pair_rmin.size):
        for e in range(lists.pair_start[p], lists.pair_start[p + 1]):
            lists.transformed[e] = transform(packed.rules, lists.distances[e], packed.pair_lambda[p])


@njit(**OPTIONS)
def cutoff_function(rules, r, rmax):
    """f(r) and f'(r); zero from rmax on."""
    if r >= rmax:
        return 0.0, 0.0
    if rules.cutoff == 0:
        q = 1.0 - r / rmax
        return q * q * q, -3.0 / rmax * q * q
    width = rmax * rules.fraction
    begin = rmax - width
    if r < begin:
        return 1.0, 0.0
    angle = rules.pi * (r - begin) / width + 0.5 * rules.pi
    return 0.5 + 0.5 * math.sin(angle), 0.5 * rules.pi / width * math.cos(angle)


@njit(**OPTIONS)
def inner_rule(rules, r, rmin):
    """Factors u, v such that inside the inner cutoff T(r) = T(rmin) + u T'(rmin) and T'(r) = v T'(rmin)."""
    if rules.inner == 0:
        growth = math.exp((r - rmin) / rules.inner_distance)
        return rules.inner_distance * (growth - 1.0), growth
    if rules.inner == 1:
        return 0.0, 0.0
    return r - rmin, 1.0


@njit(**OPTIONS)
def fill_slots(packed, lists):
    """Write `values` and `derivatives` of all slots."""
    n = max(packed.order3, packed.order4)
    for p in range(packed.pair_rmin.size):
        morse_lambda = packed.pair_lambda[p]
        n_bonds = lists.bond_start[p + 1] - lists.bond_start[p]
        for s in range(packed.set_start[p], packed.set_start[p + 1]):
            rmin, rmax = packed.set_rmin[s], packed.set_rmax[s]
            middle, scale = packed.set_middle[s], packed.set_scale[s]
            for m in range(n_bonds):
                e = lists.pair_start[p] + m
                fill_row(
                    packed.rules,
                    lists.distances[e],
                    lists.transformed[e],
                    morse_lambda,
                    rmin,
                    rmax,
                    middle,
                    scale,
                    n,
                    lists.values[lists.slot_start[s] + m],
                    lists.derivatives[lists.slot_start[s] + m],
                )


@njit(**OPTIONS)
def fill_row(rules, r, x, morse_lambda, rmin, rmax, middle, scale, n, values, derivatives):
    """Cutoff function times T_0 … T_{n-1}, and derivatives, at one distance."""
    f, df = cutoff_function(rules, r, rmax)
    if r >= rmax:
        for k in range(n):
            values[k] = 0.0
            derivatives[k] = 0.0
        return
    u, v = 0.0, 1.0
    if r < rmin:
        u, v = inner_rule(rules, r, rmin)
        x = transform(rules, rmin, morse_lambda)
    s = (x - middle) * scale
    ds = transform_slope(rules, x, morse_lambda) * scale
    previous, current = 1.0, s
    d_previous, d_current = 0.0, ds
    values[0] = f
    derivatives[0] = df
    for k in range(1, n):
        value = current + u * d_current
        values[k] = f * value
        derivatives[k] = f * v * d_current + df * value
        following = 2.0 * s * current - previous
        d_following = 2.0 * (ds * current + s * d_current) - d_previous
        previous, current = current, following
        d_previous, d_current = d_current, d_following


@njit(**OPTIONS)
def pair_energy(packed, lists):
    """Two-body energy with the penalty, and the contact class; sets `slopes`."""
    energy = 0.0
    contact = 0
    n = packed.order2
    coefficients = packed.pair_coefficients
    for p in range(packed.pair_rmin.size):
        rmin, rmax, morse_lambda = packed.pair_rmin[p], packed.pair_rmax[p], packed.pair_lambda[p]
        middle, scale = packed.pair_middle[p], packed.pair_scale[p]
        for e in range(lists.pair_start[p], lists.pair_start[p + 1]):
            r = lists.distances[e]
            slope = 0.0
            if r < rmax and n > 0:
                f, df = cutoff_function(packed.rules, r, rmax)
                x = lists.transformed[e]
                u, v = 0.0, 1.0
                if r < rmin:
                    u, v = inner_rule(packed.rules, r, rmin)
                    x = transform(packed.rules, rmin, morse_lambda)
                s = (x - middle) * scale
                # Clenshaw's recurrences for the sum and its derivative by s.
                b1, b2, d1, d2 = 0.0, 0.0, 0.0, 0.0
                for k in range(n - 1, -1, -1):
                    d1, d2 = 2.0 * b1 + 2.0 * s * d1 - d2, d1
                    b1, b2 = 2.0 * s * b1 - b2 + coefficients[p, k], b1
                gradient = (b1 + s * d1 - d2) * transform_slope(packed.rules, x, morse_lambda) * scale
                value = s * b1 - b2 + u * gradient
                energy += f * value
                slope = f * v * gradient + df * value
            depth = rmin + packed.penalty_distance - r
            if depth > 0.0:
                contact = max(contact, 2 if r < rmin else 1)
                energy += packed.penalty_scaling * depth * depth * depth
                slope -= 3.0 * packed.penalty_scaling * depth * depth
            lists.slopes[e] = slope
    return energy, contact


@njit(**OPTIONS)
def pair_row(packed, r, x, p, values, derivatives):
    """Cutoff function times T_1 … T_n of a pair as the design matrix has them; zero for r <= rmin.

    The arrays have length order2 + 1, entry 0 is not used.
    """
    rmin, rmax = packed.pair_rmin[p], packed.pair_rmax[p]
    if r <= rmin or r >= rmax:
        return False
    fill_row(
        packed.rules,
        r,
        x,
        packed.pair_lambda[p],
        rmin,
        rmax,
        packed.pair_middle[p],
        packed.pair_scale[p],
        packed.order2 + 1,
        values,
        derivatives,
    )
    return True


@njit(**OPTIONS)
def gather_forces(lists, forces, virial):
    """Turn the slopes of the edges into forces and -Σ dE/dr r_a r_b / r."""
    forces[:] = 0.0
    xx, xy, xz, yy, yz, zz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for e in range(lists.first.size):
        slope = lists.slopes[e]
        if slope == 0.0:
            continue
        i, j = lists.first[e], lists.second[e]
        x, y, z = lists.vectors[0, e], lists.vectors[1, e], lists.vectors[2, e]
        scaled = slope / lists.distances[e]
        fx, fy, fz = scaled * x, scaled * y, scaled * z
        forces[i, 0] += fx
        forces[i, 1] += fy
        forces[i, 2] += fz
        forces[j, 0] -= fx
        forces[j, 1] -= fy
        forces[j, 2] -= fz
        xx -= fx * x
        xy -= fx * y
        xz -= fx * z
        yy -= fy * y
        yz -= fy * z
        zz -= fz * z
    virial[0, 0], virial[1, 1], virial[2, 2] = xx, yy, zz
    virial[0, 1] = virial[1, 0] = xy
    virial[0, 2] = virial[2, 0] = xz
    virial[1, 2] = virial[2, 1] = yz
