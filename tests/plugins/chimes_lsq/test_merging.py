"""Merged models evaluate to the sum of their parts; what has no such sum is refused."""

import re
from pathlib import Path

import attrs
import numpy as np
import pytest
from ase import Atoms
from chimes_commands import ald
from chimes_tiles import MASSES, assert_sum, frame, numbers, subsets, tile, world
from hypothesis import given, settings
from hypothesis import strategies as st

from ald_chimes_lsq.basis import AtomType, Cutoff, InnerRule
from ald_chimes_lsq.merging import merge_files, merge_models
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import Coefficients
from ald_chimes_lsq.topology import (
    pair_order,
)
from ald_core.errors import InputError


@st.composite
def hierarchies(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    words = draw(st.permutations(sorted(MASSES)))[: draw(st.integers(1, 4))]
    kinds = [(body, bound) for body in (3, 4) for bound in ("S_MINIM", "S_MAXIM")]
    shared = world(
        rng,
        draw(st.sampled_from(["MORSE", "MORSE", "INVRSE_R", "NONE"])),
        draw(st.lists(st.sampled_from(kinds), unique=True, max_size=4)),
    )
    names = st.lists(st.sampled_from(words), min_size=1, max_size=4).map(lambda w: tuple(sorted(w)))
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        mine = draw(st.lists(st.sampled_from(words), min_size=1, max_size=4, unique=True))
        left_out = draw(st.lists(names, max_size=4, unique=True))
        orders = (
            draw(st.sampled_from([1, 3, 8])),
            draw(st.sampled_from([0, 2, 3])),
            draw(st.sampled_from([0, 0, 2])),
        )
        model = tile(
            shared,
            mine,
            orders,
            rng,
            excluded=[term for term in left_out if set(term) <= set(mine)],
            offsets=draw(st.booleans()),
            pruned=draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])),
        )
        parts.append(model)
    return parts, frame(words, rng)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(case=hierarchies())
def test_a_merged_model_is_the_sum_of_its_parts(tmp_path_factory, case):
    parts, atoms = case
    known = {t.name for part in parts for t in part.basis.types}
    atoms = atoms[[name in known for name in atoms.get_chemical_symbols()]]
    merged = merge_models(parts)
    assert {t.name for t in merged.basis.types} == known
    assert_sum(merged, parts, atoms)

    path = tmp_path_factory.mktemp("merged") / "params.txt"
    merged.write(path)
    read = ChimesModel.read(path)
    for one, other in zip(numbers(read, atoms), numbers(merged, atoms), strict=True):
        np.testing.assert_array_equal(one, other)
    again = merge_models([read])
    again.write(path.with_name("again.txt"))
    assert path.with_name("again.txt").read_text() == path.read_text()


@pytest.mark.parametrize(
    ("words", "orders"), [(["H", "N", "C"], (6, 4, 3)), (["Si", "O", "H", "N"], (4, 3, 2))]
)
def test_the_tiles_of_a_hierarchy_merge_in_one_go(tmp_path, words, orders):
    """Seven tiles of three elements, fifteen of four; each has the terms of all its elements together."""
    rng = np.random.default_rng(5)
    shared = world(rng, special=[(3, "S_MAXIM"), (4, "S_MAXIM")])
    paths, parts = [], []
    for i, elements in enumerate(subsets(words)):
        mine = sorted(elements, reverse=i % 2 == 0)
        fewer = (
            orders if len(mine) > 1 else (orders[0] - 1, orders[1], orders[2] - i % 2 * orders[2])
        )
        parts.append(tile(shared, mine, fewer, rng, own=[elements], offsets=len(mine) < 3))
        paths.append(tmp_path / f"{''.join(mine)}.txt")
        parts[-1].write(paths[-1])
    out = tmp_path / "merged.txt"
    code, _, said = ald("merge", *paths, "-o", out)
    assert (code, said) == (0, "")
    merged = ChimesModel.read(out)
    assert merged.basis.orders == orders
    assert not merged.basis.excluded_pairs
    assert not merged.basis.excluded_types
    for side in (4.5, 5.5):
        assert_sum(merged, parts, frame(words, rng, n=12, side=side))
    # In another order of tiles, another order of types, but the same model.
    atoms = frame(words, rng)
    for one, other in zip(
        numbers(merged, atoms), numbers(merge_files(paths[::-1]), atoms), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-11)


def test_exclusions_with_large_indices(tmp_path):
    rng = np.random.default_rng(2)
    shared = world(rng)
    words = ["C", "H", "N", "O", "Si"]
    unlike = [(words[i], words[j]) for i, j in pair_order(5)][10:]
    one = tile(shared, words, (4, 0, 0), rng, excluded=[*unlike, ("C", "C")])
    two = tile(shared, words, (3, 0, 0), rng, excluded=[*unlike[1:], ("H", "H")])
    merged = merge_models([one, two])
    assert merged.basis.excluded_pairs == (11, 12, 13, 14)
    merged.write(tmp_path / "params.txt")
    assert "EXCLD2B: 11 12 13 14 \n" in (tmp_path / "params.txt").read_text()
    assert ChimesModel.read(tmp_path / "params.txt").basis.excluded_pairs == (11, 12, 13, 14)
    assert_sum(merged, [one, two], frame(words, rng, n=12))


def test_a_pair_that_no_file_describes_does_not_act(tmp_path):
    rng = np.random.default_rng(3)
    shared = world(rng, "INVRSE_R")
    parts = [tile(shared, [w], (4, 3, 2), rng, offsets=True) for w in ("C", "N")]
    for part, name in zip(parts, ("C", "N"), strict=True):
        part.write(tmp_path / name)
    out = tmp_path / "out"
    code, _, said = ald("merge", tmp_path / "C", tmp_path / "N", "-o", out)
    assert code == 0
    assert said == "no file describes the pair C N\n"
    assert_sum(ChimesModel.read(out), parts, frame(["C", "N"], rng))


def test_clusters_keep_cutoffs_that_differ_from_those_of_the_pair_elsewhere(tmp_path):
    """The pair C C is in one file only, but edges of C C N in the other have their own inner cutoff."""
    rng = np.random.default_rng(4)
    shared = world(rng)
    carbon = tile(shared, ["C"], (4, 3, 2), rng)
    rmin, rmax, scale = shared[1]["C", "C"]
    shared[1]["C", "C"] = (rmin + 0.05, rmax - 0.1, scale)
    mixed = tile(shared, ["N", "C"], (4, 3, 2), rng, own=[{"C", "N"}, {"N"}])
    merged = merge_models([mixed, carbon])
    merged.write(tmp_path / "params.txt")
    for model in (merged, ChimesModel.read(tmp_path / "params.txt")):
        assert_sum(model, [mixed, carbon], frame(["C", "N"], rng))
    text = (tmp_path / "params.txt").read_text()
    # Those of all five quadruplets, as the reference calculator forgets the others.
    assert "SPECIAL 4B S_MINIM: SPECIFIC 5" in text


@pytest.mark.parametrize("order", [1, -1])
def test_special_cutoffs_that_only_one_file_has(tmp_path, order):
    rng = np.random.default_rng(8)
    plain = world(rng)
    transform, pairs, _ = plain
    _, _, bounds = world(rng, special=[(b, s) for b in (3, 4) for s in ("S_MINIM", "S_MAXIM")])
    carbon = tile(plain, ["C"], (4, 3, 2), rng)
    mixed = tile((transform, pairs, bounds), ["N", "C"], (4, 3, 2), rng, own=[{"C", "N"}, {"N"}])
    parts = [carbon, mixed][::order]
    merged = merge_models(parts)
    assert_sum(merged, parts, frame(["C", "N"], rng))
    merged.write(tmp_path / "params.txt")
    found = re.findall(r"SPECIAL (.*)", (tmp_path / "params.txt").read_text())
    # Quadruplets as above, those of C with the values of their pair.
    wanted = {"3B S_MINIM": 3, "3B S_MAXIM": 3, "4B S_MINIM": 5, "4B S_MAXIM": 4}
    assert found == [f"{title}: SPECIFIC {n}" for title, n in wanted.items()]
    assert_sum(ChimesModel.read(tmp_path / "params.txt"), parts, frame(["C", "N"], rng))


def test_names_of_files_stay_in_comments(tmp_path):
    rng = np.random.default_rng(8)
    path = written(tmp_path, "A\nFITCOUL: true", tile(world(rng), ["C"], (4, 0, 0), rng))
    out = tmp_path / "out.txt"
    assert ald("merge", path, "-o", out)[0] == 0
    assert out.read_text().split("\n")[2] == "USECOUL: false"
    ChimesModel.read(out)


def test_charges_of_one_part_stay(tmp_path):
    rng = np.random.default_rng(6)
    shared = world(rng)
    plain = tile(shared, ["H"], (4, 3, 0), rng)
    water = tile(shared, ["O", "H"], (3, 2, 0), rng)
    types = (AtomType("O", 15.999, -1.0), AtomType("H", 1.008, 1.0))
    charged = ChimesModel(
        attrs.evolve(water.basis, types=types, fit_charges=True),
        attrs.evolve(water.coefficients, charges=np.array([100.0, 25.0, -50.0])),
    )
    merged = merge_models([plain, charged], names=["H.txt", "OH.txt"])
    assert merged.coefficients.charges.tolist() == [25.0, 100.0, -50.0]
    atoms = Atoms("OHHOHH", rng.random((6, 3)) * 4.0, cell=[6.0] * 3, pbc=True)
    assert_sum(merged, [plain, charged], atoms)
    with pytest.raises(InputError, match=r"OH2: there are charges here and in OH"):
        merge_models([charged, charged], names=["OH", "OH2"])
    with pytest.raises(InputError, match=r"OH: there are charges, but none of C, which is in C: "):
        merge_models([tile(shared, ["C"], (2, 0, 0), rng), charged], names=["C", "OH"])


def written(tmp_path, name, model):
    model.write(tmp_path / name)
    return tmp_path / name


def refusal(tmp_path, one, other):
    paths = [written(tmp_path, "A.txt", one), written(tmp_path, "B.txt", other)]
    code, _, said = ald("merge", *paths, "-o", tmp_path / "out.txt")
    assert code == 2
    assert not (tmp_path / "out.txt").exists()
    return said.replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("at", [0, 1, 2])
def test_other_cutoffs_of_a_pair_are_refused(tmp_path, at):
    rng = np.random.default_rng(1)
    shared = world(rng)
    one = tile(shared, ["C"], (4, 0, 0), rng)
    old = list(shared[1]["C", "C"])
    new = [*old]
    new[at] = old[at] + 0.25
    shared[1]["C", "C"] = tuple(new)
    other = tile(shared, ["N", "C"], (4, 0, 0), rng)
    word = ("S_MINIM", "S_MAXIM", "MORSE_LAMBDA")[at]
    assert refusal(tmp_path, one, other).startswith(
        f"B.txt, line 20: {word} of the pair C C is {new[at]!r}, but {old[at]!r} in A.txt, line 18; fit"
    )


def test_other_cutoffs_of_a_cluster_are_refused(tmp_path):
    rng = np.random.default_rng(1)
    shared = world(rng, special=[(4, "S_MAXIM")])
    one = tile(shared, ["C"], (4, 3, 2), rng)
    shared[2][4, "S_MAXIM"]["C", "C"] = 3.5
    other = tile(shared, ["N", "C"], (4, 3, 2), rng)
    said = refusal(tmp_path, one, other)
    text = (tmp_path / "B.txt").read_text().split("\n")
    assert said.startswith("B.txt, line 30: S_MAXIM of the edges of C C C C are 3.5 3.5 3.5")
    assert text[29].startswith("CCCCCCCCCCCC ")
    assert "in A.txt, line 23; fit" in said


def other_lambda(rng, orders):
    """A tile of C, and one of C and N without C C that has another λ for it."""
    shared = world(rng)
    carbon = tile(shared, ["C"], (4, 0, 0), rng)
    rmin, rmax, scale = shared[1]["C", "C"]
    shared[1]["C", "C"] = (rmin, rmax, scale + 0.25)
    return carbon, tile(shared, ["C", "N"], orders, rng, own=[{"C", "N"}])


def test_lambda_of_edges_is_that_of_the_pair(tmp_path):
    carbon, mixed = other_lambda(np.random.default_rng(1), (4, 3, 0))
    said = refusal(tmp_path, carbon, mixed)
    assert said.startswith("B.txt, line 19: MORSE_LAMBDA of the pair C C is ")
    # Pairs, and clusters with nothing but zeros, have no say if they do not act.
    no_clusters = other_lambda(np.random.default_rng(1), (4, 0, 0))[1]
    zeros = tuple(np.zeros_like(v) for v in mixed.coefficients.triplets)
    idle = attrs.evolve(mixed, coefficients=attrs.evolve(mixed.coefficients, triplets=zeros))
    for other in (no_clusters, idle):
        parts = [other, carbon]
        assert_sum(merge_models(parts), parts, frame(["C", "N"], np.random.default_rng(2)))
    # A pair of zeros that a file lists has none either, but its edges have.
    zero = attrs.evolve(carbon, coefficients=Coefficients(np.zeros((1, 4))))
    parts = [zero, mixed]
    assert_sum(merge_models(parts), parts, frame(["C", "N"], np.random.default_rng(2)))


def test_clusters_of_zeros_may_have_other_cutoffs():
    rng = np.random.default_rng(1)
    plain = world(rng)
    one = tile(plain, ["C"], (4, 3, 0), rng)
    other = tile((*plain[:2], world(rng, special=[(3, "S_MAXIM")])[2]), ["C"], (4, 3, 0), rng)
    with pytest.raises(InputError, match="model 2: S_MAXIM of the edges of C C C are"):
        merge_models([one, other])
    zeros = attrs.evolve(
        one,
        coefficients=attrs.evolve(
            one.coefficients, triplets=(np.zeros_like(one.coefficients.triplets[0]),)
        ),
    )
    assert_sum(merge_models([zeros, other]), [zeros, other], frame(["C"], rng))


def test_merged_models_have_the_terms_of_their_parts_only():
    rng = np.random.default_rng(1)
    shared = world(rng)
    low, high = tile(shared, ["C"], (4, 3, 0), rng), tile(shared, ["N"], (4, 5, 0), rng)
    merged = merge_models([low, high])
    totals = {c.elements: len(c.powers) for c in merged.basis.triplets}
    assert totals == {("C",) * 3: 20, ("C", "C", "N"): 0, ("C", "N", "N"): 0, ("N",) * 3: 112}
    # Without offsets, no type is excluded from them.
    assert merged.coefficients.offsets is None
    assert merged.basis.excluded_types == ()


def test_another_rule_inside_the_inner_cutoff_is_refused():
    rng = np.random.default_rng(1)
    one = tile(world(rng), ["C"], (4, 0, 0), rng)
    other = ChimesModel(attrs.evolve(one.basis, inner=InnerRule("ZERO_DERIV")), one.coefficients)
    with pytest.raises(InputError, match="model 2: the rule inside S_MINIM"):
        merge_models([one, other])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"cutoff": Cutoff("TERSOFF", 0.75)},
            "B.txt, line 20: FCUT TYPE is TERSOFF 0.75, but TERSOFF 0.5 in A.txt, line 20; fit",
        ),
        (
            {"cutoff": Cutoff()},
            "B.txt, line 20: FCUT TYPE is CUBIC, but TERSOFF 0.5 in A.txt, line 20; fit",
        ),
        (
            {"transform": "NONE"},
            "B.txt, line 15: the transform (CHBDIST) is NONE, but MORSE in A.txt, line 15; fit",
        ),
        (
            {"types": (AtomType("C", 13.0),)},
            "B.txt, line 13: the mass of C is 13.0, but 12.011 in A.txt, line 13; correct one of them",
        ),
    ],
)
def test_what_is_no_sum_is_refused(tmp_path, change, sentence):
    rng = np.random.default_rng(1)
    one = tile(world(rng), ["C"], (4, 0, 0), rng)
    other = ChimesModel(attrs.evolve(one.basis, **change), one.coefficients)
    assert refusal(tmp_path, one, other).startswith(sentence)


def test_masses_that_differ_by_rounding_are_the_same():
    rng = np.random.default_rng(1)
    one = tile(world(rng), ["C"], (4, 0, 0), rng)
    other = ChimesModel(attrs.evolve(one.basis, types=(AtomType("C", 12.0107),)), one.coefficients)
    merged = merge_models([one, other])
    assert merged.basis.types == (AtomType("C", 12.011),)
    np.testing.assert_array_equal(merged.coefficients.pairs, 2.0 * one.coefficients.pairs)


def test_the_penalty_acts_once(tmp_path):
    rng = np.random.default_rng(1)
    plain = tile(world(rng), ["C"], (4, 0, 0), rng)
    hard, soft = (attrs.evolve(plain, penalty_scaling=s) for s in (1e6, 10.0))
    merged = merge_models([plain, hard, plain])
    assert (merged.penalty_distance, merged.penalty_scaling) == (0.01, 1e6)
    said = refusal(tmp_path, hard, soft)
    assert said.startswith(
        "B.txt, line 21: the penalty has distance 0.01 and scaling 10.0, but 0.01 and 1000000.0 in A.txt, line 21"
    )
    paths = [tmp_path / "A.txt", tmp_path / "B.txt"]
    chosen = ("--penalty-distance", 0.02, "--penalty-scaling", 50)
    assert ald("merge", *paths, "-o", tmp_path / "out.txt", *chosen)[0] == 0
    merged = ChimesModel.read(tmp_path / "out.txt")
    assert (merged.penalty_distance, merged.penalty_scaling) == (0.02, 50.0)
    for wrong in (chosen[:2], chosen[2:], (*chosen[:3], -1), (chosen[0], "nan", *chosen[2:])):
        assert ald("merge", *paths, "-o", tmp_path / "out.txt", *wrong)[0] == 2


def test_files_are_not_merged_with_themselves(tmp_path):
    rng = np.random.default_rng(1)
    path = written(tmp_path, "A.txt", tile(world(rng), ["C"], (4, 0, 0), rng))
    text = path.read_text()
    code, _, said = ald("merge", path, Path(tmp_path, ".", "A.txt"), "-o", tmp_path / "out.txt")
    assert code == 2
    assert "this file is named twice; name it once" in said
    code, _, said = ald("merge", path, "-o", path)
    assert code == 2
    assert "would replace one of its parts" in said
    assert path.read_text() == text


def test_terms_of_two_files_add_up_and_are_told(tmp_path):
    rng = np.random.default_rng(1)
    shared = world(rng)
    one, two = (tile(shared, ["C"], (o, 3, 0), rng, offsets=True) for o in (4, 5))
    paths = [written(tmp_path, "A.txt", one), written(tmp_path, "B.txt", two)]
    code, _, said = ald("merge", *paths, "-o", tmp_path / "out.txt")
    assert code == 0
    added = f"is in {paths[0]} and {paths[1]}: the coefficients are added\n"
    assert said == f"C {added}C C {added}C C C {added}"
    assert_sum(ChimesModel.read(tmp_path / "out.txt"), [one, two], frame(["C"], rng))
