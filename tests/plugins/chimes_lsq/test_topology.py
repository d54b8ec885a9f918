"""Pair order, cluster types, power tuples, special cutoffs, exclusions, map keys."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald_chimes_lsq.basis import EDGES, AtomType, Basis, Cutoff, InnerRule, PairType
from ald_chimes_lsq.powers import enumerate_powers
from ald_chimes_lsq.topology import (
    EdgeCutoffs,
    Exclusion,
    SpecialCutoffs,
    build_basis,
    cluster_map,
    pair_map,
)
from ald_core.errors import InputError


def make_basis(names=("O", "C", "H"), orders=(4, 3, 2), **options) -> Basis:
    types = [AtomType(name, 1.0) for name in names]
    # Against the canonical order, and with reversed names.
    ends = reversed(list(itertools.combinations_with_replacement(range(len(names)), 2)))
    pairs = [
        PairType(names[j], names[i], 1.0 + 0.1 * i, 5.0 + 0.1 * j, 1.2 + 0.01 * (i + j))
        for i, j in ends
    ]
    return build_basis(types, pairs, orders, "MORSE", **options)


TRIPLET_COUNTS = {
    (0, 0, 0): [(2, 2, 4), (3, 7, 20), (4, 16, 54), (5, 30, 112), (6, 50, 200), (8, 112, 490)],
    (0, 0, 2): [(2, 3, 4), (3, 13, 20), (4, 33, 54), (5, 66, 112), (6, 115, 200), (8, 273, 490)],
    (0, 1, 1): [(2, 3, 4), (3, 13, 20), (4, 33, 54), (5, 66, 112), (6, 115, 200), (8, 273, 490)],
    (0, 1, 2): [(2, 4, 4), (3, 20, 20), (4, 54, 54), (5, 112, 112), (6, 200, 200), (8, 490, 490)],
}
QUAD_COUNTS = {
    (0, 0, 0, 0): [(2, 7, 41), (3, 56, 636), (4, 256, 3861)],
    (0, 0, 0, 3): [(2, 12, 41), (3, 140, 636), (4, 760, 3861)],
    (0, 1, 1, 1): [(2, 12, 41), (3, 140, 636), (4, 760, 3861)],
    (0, 0, 2, 2): [(2, 18, 41), (3, 210, 636), (4, 1140, 3861)],
    (0, 0, 2, 3): [(2, 25, 41), (3, 350, 636), (4, 2043, 3861)],
    (0, 1, 1, 3): [(2, 25, 41), (3, 350, 636), (4, 2043, 3861)],
    (0, 1, 2, 2): [(2, 25, 41), (3, 350, 636), (4, 2043, 3861)],
    (0, 1, 2, 3): [(2, 41, 41), (3, 636, 636), (4, 3861, 3861)],
}


@pytest.mark.parametrize(("groups", "counts"), [*TRIPLET_COUNTS.items(), *QUAD_COUNTS.items()])
def test_numbers_of_parameters_and_terms(groups, counts):
    for order, unique, total in counts:
        listed = enumerate_powers(groups, order)
        assert (listed.n_parameters, len(listed.powers)) == (unique, total)


def test_order_of_terms_of_like_atoms():
    listed = enumerate_powers((0, 0, 0), 3)
    start = [(0, 1, 1), (1, 0, 1), (1, 1, 0)]
    start += [(0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0)]
    start += [(0, 2, 2), (2, 0, 2), (2, 2, 0), (1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1)]
    start += [(1, 2, 2), (2, 1, 2), (2, 2, 1), (2, 2, 2)]
    assert [tuple(p) for p in listed.powers.tolist()] == start
    assert listed.parameters.tolist() == [0] * 3 + [1] * 6 + [2] * 3 + [3] + [4] * 3 + [5] * 3 + [6]
    assert listed.equivalents.tolist() == (
        [0] * 3 + [3] * 6 + [9] * 3 + [12] + [13] * 3 + [16] * 3 + [19]
    )


def test_order_of_terms_of_two_like_atoms():
    listed = enumerate_powers((0, 0, 2), 3)
    expected = [
        (0, 1, 1),
        (0, 1, 2),
        (0, 2, 1),
        (0, 2, 2),
        (1, 0, 1),
        (1, 1, 0),
        (1, 0, 2),
        (1, 2, 0),
    ]
    assert [tuple(p) for p in listed.powers[:8].tolist()] == expected
    assert listed.parameters[:8].tolist() == [0, 1, 1, 2, 3, 3, 4, 4]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(groups=st.sampled_from([*TRIPLET_COUNTS, *QUAD_COUNTS]), order=st.integers(2, 3))
def test_orbits_are_those_of_the_group_of_like_atoms(groups, order):
    listed = enumerate_powers(groups, order)
    edges = EDGES[len(groups)]
    orbits: dict[int, set[tuple[int, ...]]] = {}
    for powers, parameter in zip(listed.powers.tolist(), listed.parameters.tolist(), strict=True):
        orbits.setdefault(parameter, set()).add(tuple(powers))
    permutations = [
        p
        for p in itertools.permutations(range(len(groups)))
        if all(groups[a] == groups[b] for a, b in enumerate(p))
    ]
    seen = set()
    for powers in itertools.product(range(order), repeat=len(edges)):
        touched = {atom for edge, p in zip(edges, powers, strict=True) if p for atom in edge}
        if len(touched) < len(groups) or powers in seen:
            continue
        by_edge = dict(zip(edges, powers, strict=True))
        orbit = {
            tuple(by_edge[tuple(sorted((p[a], p[b])))] for a, b in edges) for p in permutations
        }
        seen |= orbit
        assert orbits.pop(min(orbits)) == orbit
    assert not orbits


def test_pairs_are_put_in_canonical_order():
    basis = make_basis()
    assert [p.name for p in basis.pairs] == ["OO", "CC", "HH", "OC", "OH", "CH"]
    assert basis.pairs[5].rmin == pytest.approx(1.1)
    assert basis.pairs[5].rmax == pytest.approx(5.2)
    assert pair_map(basis)["HC"] == pair_map(basis)["CH"] == 5
    assert basis.inner == InnerRule("SMOOTH", 0.01)
    assert basis.cutoff == Cutoff("CUBIC")


def test_triplet_types_in_type_order_with_sorted_atoms():
    basis = make_basis()
    names = ["OOO", "COO", "HOO", "CCO", "CHO", "HHO", "CCC", "CCH", "CHH", "HHH"]
    assert ["".join(t.elements) for t in basis.triplets] == names
    assert [basis.pairs[p].name for p in basis.triplets[1].pairs] == ["OC", "OC", "OO"]
    assert [basis.pairs[p].name for p in basis.triplets[4].pairs] == ["CH", "OC", "OH"]
    assert len(basis.quads) == 15


def test_map_keys():
    triplets = cluster_map(make_basis(), 3)
    assert len(triplets) == 27
    assert triplets["OCOCCC"] == triplets["OCCCOC"] == triplets["CCOCOC"] == 3
    assert list(triplets) == sorted(triplets)
    assert len(cluster_map(make_basis(), 4)) == 81


def test_number_of_columns():
    basis = make_basis(("A", "B"), (4, 3, 2))
    # 3 pairs; AAA, AAB, ABB, BBB; AAAA, AAAB, AABB, ABBB, BBBB
    assert basis.n_short_range == 3 * 4 + (7 + 13 + 13 + 7) + (7 + 12 + 18 + 12 + 7)


def test_special_cutoff_for_all_clusters():
    basis = make_basis(specials=[SpecialCutoffs(3, "S_MAXIM", 3.5)])
    assert all(t.rmax == (3.5,) * 3 and t.special_rmax for t in basis.triplets)
    assert not any(t.special_rmin for t in basis.triplets)
    assert not any(q.special_rmax for q in basis.quads)
    assert basis.quads[0].rmax == (5.0,) * 6


def test_special_cutoffs_of_one_cluster_the_last_of_equal_names_wins():
    entry = EdgeCutoffs("CCOCOC", ("OC", "CC", "CO"), (3.0, 4.0, 4.5))
    specials = [
        SpecialCutoffs(3, "S_MAXIM", clusters=(entry,)),
        SpecialCutoffs(3, "S_MINIM", clusters=(EdgeCutoffs("OOOOOO", ("OO",) * 3, (0.5,) * 3),)),
    ]
    basis = make_basis(specials=specials)
    changed = basis.triplets[3]
    assert [basis.pairs[p].name for p in changed.pairs] == ["CC", "OC", "OC"]
    assert changed.rmax == (4.0, 4.5, 4.5)
    assert basis.triplets[0].rmin == (0.5,) * 3
    assert [t.index for t in basis.triplets if t.special_rmax] == [3]
    assert [t.index for t in basis.triplets if t.special_rmin] == [0]


def test_exclusions():
    names = [("O",), ("H", "O"), ("H", "C", "O"), ("H", "H", "H", "O")]
    basis = make_basis(exclusions=[Exclusion(n) for n in names])
    assert basis.excluded_types == (0,)
    assert basis.excluded_pairs == (4,)
    assert [t.index for t in basis.triplets if t.excluded] == [4]
    assert ["".join(q.elements) for q in basis.quads if q.excluded] == ["HHHO"]
    keys = [key for key, index in cluster_map(basis, 3).items() if index == -1]
    assert keys == sorted("".join(p) for p in itertools.permutations(("OC", "OH", "CH")))
    excluded = basis.triplets[4]
    assert excluded.n_parameters == 0
    assert excluded.powers.shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"orders": (4, 1, 0)}, "order 1 has no terms"),
        ({"orders": (0, 0, 0)}, "at least 1"),
        ({"orders": (4, 400, 0)}, "between 0 and"),
        ({"names": ("O", "O")}, "given twice"),
        ({"names": ("A", "BA", "AB")}, "ambiguous"),
        ({"specials": [SpecialCutoffs(3, "S_MAXIM", 0.5)]}, "must be smaller"),
        ({"exclusions": [Exclusion(("O", "O", "N"), 7)]}, "'N' is not an atom type"),
        ({"exclusions": [Exclusion(("O", "C", "H")), Exclusion(("H", "C", "O"))]}, "twice"),
        (
            {"specials": [SpecialCutoffs(3, "S_MAXIM", clusters=(EdgeCutoffs("XY", (), ()),))]},
            "is not a cluster",
        ),
        (
            {
                "specials": [
                    SpecialCutoffs(
                        3,
                        "S_MAXIM",
                        clusters=(EdgeCutoffs("OOOOOO", ("OO", "OC", "OO"), (3.0,) * 3),),
                    )
                ]
            },
            "are not the edges of",
        ),
    ],
)
def test_mistakes_are_reported(arguments, message):
    with pytest.raises(InputError, match=message):
        make_basis(**arguments)


def test_a_missing_pair_is_named():
    types = [AtomType("O", 16.0), AtomType("H", 1.0)]
    pairs = [PairType("O", "O", 1.0, 2.0, 1.0), PairType("H", "H", 1.0, 2.0, 1.0)]
    with pytest.raises(InputError, match="pair O H is missing"):
        build_basis(types, pairs, (2, 0, 0))


def test_shared_lists_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        make_basis().triplets[0].powers[0, 0] = 3
    assert np.shares_memory(make_basis().triplets[0].powers, make_basis().triplets[6].powers)
