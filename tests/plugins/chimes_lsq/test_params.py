"""Parameter files: golden bytes, reading, reducing, penalties."""

from pathlib import Path

import numpy as np
import pytest

from ald_chimes_lsq.basis import AtomType, Cutoff, PairType
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.params_write import (
    header_text,
    map_text,
    params_text,
    reduced_text,
    with_penalty,
)
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.params import Coefficients, collapse, expand
from ald_chimes_lsq.topology import EdgeCutoffs, Exclusion, SpecialCutoffs, build_basis
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq"
CASES = sorted(p.parent for p in DATA.glob("*/fm_setup.in"))
EXAMPLE = DATA / "parameters" / "example.params.txt"

cases = pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)


def example_model():
    types = [AtomType("H", 10.0), AtomType("C", 11.0)]
    pairs = [
        PairType("C", "H", 0.9, 4.5, 1.1),
        PairType("C", "C", 1.1, 5.0, 1.4),
        PairType("H", "H", 0.7, 4.0, 0.8),
    ]
    special = SpecialCutoffs(
        3,
        "S_MAXIM",
        clusters=(EdgeCutoffs("CCHCHC", ("CC", "HC", "CH"), (4.5, 4.0, 4.2)),),
    )
    basis = build_basis(
        types,
        pairs,
        (2, 2, 0),
        "MORSE",
        Cutoff("TERSOFF", 0.5),
        specials=[special],
        exclusions=[Exclusion(("H", "H", "H"))],
    )
    x = [
        1.75,
        4,
        1.75,
        -6.5,
        4.5,
        2.25,
        -2.75,
        3,
        1.75,
        1.5,
        0.25,
        2.75,
        -3.75,
        -0.75,
        -15.5,
        -37.25,
    ]
    return basis, expand(basis, x)


def assert_same(first: Coefficients, second: Coefficients) -> None:
    assert np.array_equal(first.pairs, second.pairs)
    for name in ("triplets", "quads"):
        for a, b in zip(getattr(first, name), getattr(second, name), strict=True):
            assert np.array_equal(a, b)
    for name in ("charges", "offsets"):
        a, b = getattr(first, name), getattr(second, name)
        assert (a is None) == (b is None)
        assert a is None or np.array_equal(a, b)


def test_there_are_golden_cases():
    assert len(CASES) == 11


@cases
def test_header_byte_for_byte(case):
    text = header_text(read_setup(case / "fm_setup.in").basis)
    assert text == (case / "expected" / "params.header").read_text()


@cases
def test_map_byte_for_byte(case):
    text = map_text(read_setup(case / "fm_setup.in").basis)
    assert text == (case / "expected" / "ff_groups.map").read_text()


@cases
def test_parameter_file_byte_for_byte_from_the_setup_and_the_numbers(case):
    found = read_params(case / "expected" / "params.txt")
    basis = read_setup(case / "fm_setup.in").basis
    x = collapse(found.basis, found.coefficients)
    text = params_text(basis, expand(basis, x), found.comments)
    assert text == (case / "expected" / "params.txt").read_text()


@cases
def test_what_was_read_is_written_with_the_same_bytes(case):
    found = read_params(case / "expected" / "params.txt")
    text = params_text(found.basis, found.coefficients, found.comments)
    assert text == (case / "expected" / "params.txt").read_text()
    assert not found.reduced
    assert header_text(found.basis) == (case / "expected" / "params.header").read_text()


def test_annotated_example():
    basis, coefficients = example_model()
    assert params_text(basis, coefficients) == EXAMPLE.read_text()
    found = read_params(EXAMPLE)
    assert_same(found.coefficients, coefficients)
    assert found.basis.triplets[2].rmax == (4.5, 4.2, 4.2)
    assert found.basis.triplets[0].excluded
    assert found.coefficients.offsets.tolist() == [-15.5, -37.25]


def test_lengths_of_many_digits_are_written_in_full(tmp_path):
    """The file says the model that was fitted, however long the numbers of its set-up are."""
    third = 1.0 / 3.0
    types = [AtomType("H", 1.0 + third, charge=-third), AtomType("C", 12.0 + third)]
    pairs = [
        PairType("C", "H", 0.9 + third / 10, 4.0 + third, 1.1234567),
        PairType("C", "C", 1.1, 5.0, 1.4),
        PairType("H", "H", 0.7, 4.0, third),
    ]
    special = SpecialCutoffs(
        3, "S_MAXIM", clusters=(EdgeCutoffs("CCHCHC", ("CC", "HC", "CH"), (4.1234567, 4.0, 4.2)),)
    )
    cutoff = Cutoff("TERSOFF", third)
    basis = build_basis(types, pairs, (2, 2, 0), "MORSE", cutoff, specials=[special])
    coefficients = expand(basis, np.ones(basis.n_short_range))
    (tmp_path / "params.txt").write_text(params_text(basis, coefficients))
    found = read_params(tmp_path / "params.txt").basis
    assert (found.types, found.pairs, found.cutoff) == (basis.types, basis.pairs, basis.cutoff)
    assert [c.rmax for c in found.triplets] == [c.rmax for c in basis.triplets]


def test_excluded_columns_are_zero_and_listed_in_the_header():
    basis = read_setup(DATA / "setups" / "hierarchical_CN.fm_setup.in").basis
    header = header_text(basis).split("\n")
    assert header[4:6] == ["EXCLD1B: 0 1 ", "EXCLD2B: 0 1 "]
    n = basis.n_short_range
    assert n == 25 + 2 * 531 + 760 + 1140 + 760
    coefficients = expand(basis, np.arange(1.0, n + 1.0))
    assert not coefficients.pairs[:2].any()
    assert coefficients.pairs[2].tolist() == list(range(1, 26))
    assert coefficients.offsets.tolist() == [0.0, 0.0]
    assert coefficients.triplets[0].size == 0
    assert np.array_equal(collapse(basis, coefficients), np.arange(1.0, n + 1.0))


def test_files_with_exclusions_are_read_back(tmp_path):
    basis = read_setup(DATA / "setups" / "hierarchical_CN.fm_setup.in").basis
    x = np.round(np.random.default_rng(1).normal(size=basis.n_short_range), 6)
    path = tmp_path / "params.txt"
    path.write_text(text := params_text(basis, expand(basis, x)))
    found = read_params(path)
    assert found.basis.excluded_pairs == (0, 1)
    assert found.basis.excluded_types == (0, 1)
    assert np.array_equal(collapse(found.basis, found.coefficients), x)
    assert params_text(found.basis, found.coefficients) == text


def test_offsets_of_types_that_are_not_excluded():
    basis, _ = example_model()
    types = list(basis.types)
    basis = build_basis(types, basis.pairs, (2, 0, 0), exclusions=[Exclusion(("H",))])
    coefficients = expand(basis, [1, 2, 3, 4, 5, 6, -7.5])
    assert coefficients.offsets.tolist() == [0.0, -7.5]
    assert collapse(basis, coefficients).tolist() == [1, 2, 3, 4, 5, 6, -7.5]


def test_a_wrong_number_of_parameters_is_refused():
    basis, _ = example_model()
    with pytest.raises(InputError, match=r"15 parameters do not fit .* 14, or 16"):
        expand(basis, np.zeros(15))


def test_charges():
    found = read_params(DATA / "h2o-3bcheby" / "expected" / "params.txt")
    assert found.basis.fit_charges
    assert [t.charge for t in found.basis.types] == [-1.0, 1.0]
    expected = [8.8570664694104e01, 2.2142667417359e01, -4.4285334483588e01]
    assert found.coefficients.charges.tolist() == expected


@pytest.mark.parametrize(
    ("name", "penalty", "n_parameters", "first", "cutoff"),
    [
        ("published_params.liqC.2b.cubic.txt", (0.01, 1e8), 12, 285.73883308072, "CUBIC"),
        ("published_params.liqC.2+3b.cubic.txt", (0.1, 1e4), 42, -193.326134994944, "CUBIC"),
        ("published_params.liqCO.2+3b.cubic.txt", (0.01, 1e6), 228, 18.9142102204734, "CUBIC"),
        ("silica.params.txt", (0.01, 1e4), 230, 0.9663630130776, "TERSOFF"),
    ],
)
def test_published_and_older_files(name, penalty, n_parameters, first, cutoff):
    found = read_params(DATA / "parameters" / name)
    assert (found.penalty_distance, found.penalty_scaling) == penalty
    assert len(collapse(found.basis, found.coefficients)) == n_parameters
    assert found.coefficients.pairs[0, 0] == first
    assert found.basis.cutoff.kind == cutoff
    assert not found.reduced


def test_terms_keep_the_order_of_the_file():
    found = read_params(DATA / "parameters" / "published_params.liqC.2+3b.cubic.txt")
    triplet = found.basis.triplets[0]
    assert triplet.powers[4].tolist() == [0, 2, 1]
    assert (triplet.parameters[4], triplet.equivalents[4]) == (1, 1)
    assert found.coefficients.triplets[0][4] == -14839.6206155776
    assert triplet.n_parameters == 30


def test_a_reduced_file_has_fewer_terms(tmp_path):
    text = EXAMPLE.read_text()
    # One row of an orbit of two only, and the orbit of a single row.
    text = text.replace(
        "               1          2.5000000000000e-01",
        "               1          9.0000000000000e-07",
        1,
    )
    text = text.replace("-7.5000000000000e-01", "1.0000000000000e-06")
    path = tmp_path / "params.txt.reduced"
    path.write_text(reduced := reduced_text(text))
    found = read_params(path)
    assert found.reduced
    triplet = found.basis.triplets[2]
    assert triplet.powers.tolist() == [[0, 1, 1], [1, 1, 0], [1, 1, 1]]
    assert triplet.equivalents.tolist() == [0, 1, 3]
    assert found.coefficients.triplets[2].tolist() == [1.5, 0.25, 2.75]
    assert found.coefficients.triplets[3].tolist() == [-3.75] * 3
    assert "   PAIRS: HH HH HH EXCLUDED:" in reduced
    assert "PAIRS: CC HC HC UNIQUE: -1 TOTAL: 3\n" in reduced
    assert "\n1 1 1 0 1 1 2.5000000000000e-01\n" in reduced
    assert reduced_text(reduced) == reduced


def test_reducing_leaves_everything_else_alone():
    text = (DATA / "special4b" / "expected" / "params.txt").read_text()
    reduced = reduced_text(text)
    start = text.index("TRIPLETTYPE PARAMS:")
    end = text.index("PAIRMAPS:")
    assert reduced.startswith(text[:start])
    assert reduced.endswith(text[end:])
    assert len(reduced) < len(text)


def test_reducing_refuses_an_incomplete_file():
    text = EXAMPLE.read_text()
    with pytest.raises(InputError, match="no ENDFILE"):
        reduced_text(text.replace("ENDFILE", ""))
    with pytest.raises(
        InputError, match=r"params\.txt, line 56: this cluster does not have 5 complete rows"
    ):
        reduced_text(text.replace("UNIQUE: 3 TOTAL: 4", "UNIQUE: 3 TOTAL: 5", 1), name="params.txt")
    with pytest.raises(InputError, match="finite number, found 'nan'"):
        reduced_text(text.replace("-7.5000000000000e-01", "nan"))


def test_penalty_lines_are_set_once(tmp_path):
    text = with_penalty(EXAMPLE.read_text(), 0.02, 1e6)
    lines = text.split("\n")
    at = lines.index("FCUT TYPE: TERSOFF 0.5")
    assert lines[at + 1 : at + 3] == [
        "PAIR CHEBYSHEV PENALTY DIST: 0.02",
        "PAIR CHEBYSHEV PENALTY SCALING: 1000000.0",
    ]
    assert with_penalty(text, 0.02, 1e6) == text
    changed = with_penalty(text, np.float64(0.05), 1e3)
    assert changed.count("PENALTY") == 2
    (tmp_path / "params.txt").write_text(changed)
    found = read_params(tmp_path / "params.txt")
    assert (found.penalty_distance, found.penalty_scaling) == (0.05, 1e3)
    with pytest.raises(InputError, match="0 lines 'FCUT TYPE:'"):
        with_penalty("nothing\n", 0.02, 1e6)


def test_switched_off_triplets_are_left_out(tmp_path):
    (tmp_path / "params.txt").write_text(
        EXAMPLE.read_text().replace("USE3BCH: true", "USE3BCH: false")
    )
    found = read_params(tmp_path / "params.txt")
    assert found.basis.orders == (2, 0, 0)
    assert found.basis.triplets == ()
    assert found.coefficients.triplets == ()


def test_pairs_in_another_order_and_with_reversed_names(tmp_path):
    text = EXAMPLE.read_text()
    text = text.replace(
        "\t1               C               C   ", "\t1               C               H   "
    )
    text = text.replace(
        "\t2               H               C   ", "\t2               C               C   "
    )
    text = text.replace("PAIRTYPE PARAMS: 1 C C", "PAIRTYPE PARAMS: 1 C H")
    text = text.replace("PAIRTYPE PARAMS: 2 H C", "PAIRTYPE PARAMS: 2 C C")
    text = text.replace("1 CC\n2 CH\n2 HC", "2 CC\n1 CH\n1 HC")
    (tmp_path / "params.txt").write_text(text)
    found = read_params(tmp_path / "params.txt")
    assert [p.name for p in found.basis.pairs] == ["HH", "CC", "HC"]
    assert [p.rmin for p in found.basis.pairs] == [0.7, 0.9, 1.1]
    assert found.coefficients.pairs[:, 0].tolist() == [1.75, 4.5, 1.75]


MISTAKES = [
    ("ENDFILE", "", "ends too early"),
    ("ENDFILE", "ENDFILE\nmore", "text after ENDFILE"),
    ("USE3BCH: true\n", "", "'USE3BCH: …' is missing"),
    ("FITCOUL: false", "FITPOVR: true\nFITCOUL: false", "over-coordination"),
    ("PAIRTYP: CHEBYSHEV  2 2 0 -1 1", "PAIRTYP: LJ", "no ChIMES model"),
    ("PAIRTYP: CHEBYSHEV  2 2 0 -1 1", "PAIRTYP: CHEBYSHEV  3 2 0 -1 1", "expected a pair coefficient"),
    ("PAIRTYP: CHEBYSHEV  2 2 0 -1 1", "PAIRTYP: CHEBYSHEV  2 0 0 -1 1", "make 0 3-body types, found 4"),
    ("ATOM TYPES: 2", "ATOM TYPES: 3", "expected an atom type"),
    ("ATOM PAIRS: 3", "ATOM PAIRS: 2", "make 3 pairs, found 2"),
    ("MORSE           1.4 ", "MORS            1.4 ", "expected pair 1"),
    ("MORSE           1.4 ", "NONE            1.4 ", "must have one transform"),
    ("1.1             5 ", "5.1             5 ", "must not exceed"),
    ("FCUT TYPE: TERSOFF 0.5", "FCUT TYPE: TERSOFF", "CUBIC, or TERSOFF"),
    ("4.50000 4.20000 4.20000", "4.50000 4.20000", "found 6; write a cluster name"),
    ("4.50000 4.20000 4.20000", "0.50000 4.20000 4.20000", "must be smaller"),
    ("ATOM PAIR TRIPLETS: 4", "ATOM PAIR TRIPLETS: 3", "make 4 3-body types, found 3"),
    ("PAIRTYPE PARAMS: 1 C C", "PAIRTYPE PARAMS: 1 H C", "but another in the table"),
    ("  1  -6.5000000000000e+00", "  1  -6.5000000000000e+00x", "must be a finite number"),
    ("  1  -6.5000000000000e+00", "  2  -6.5000000000000e+00", "expected coefficient 1"),
    ("UNIQUE: 3 TOTAL: 4", "UNIQUE: 3 TOTAL: 3", "expected 'TRIPLETTYPE PARAMS:'"),
    ("      1       1  0  1", "      1       0  1  1", "same powers"),
    ("      1       1  0  1", "      1       1  0  0", "untouched"),
    ("      1       1  0  1", "      1       2  0  1", "smaller than the order"),
    ("INDEX: 2 ATOMS: C C H", "INDEX: 2 ATOMS: C H C", "write it as"),
    ("INDEX: 2 ATOMS: C C H", "INDEX: 2 ATOMS: C H H", "occurs 2 times|occurs 0 times"),
    ("1 HCHHHC", "2 HCHHHC", "which is another cluster"),
    ("1 HCHHHC", "1 HCHHHX", "is not a key"),
    ("TRIPMAPS: 8", "TRIPMAPS: 7", "must list 8 keys"),
    ("ENERGY OFFSET 2  -3.7250000000000e+01", "ENERGY OFFSET 2  nan", "finite number, found 'nan'"),
    ("NO ENERGY OFFSETS:  2", "NO ENERGY OFFSETS:  1", "2 energy offsets are needed"),
    ("FCUT TYPE: TERSOFF 0.5\n", "", "'FCUT TYPE: …' is missing"),
    ("0\t\t10", "0\t\t-10", "must be positive"),
    ("-2.7500000000000e+00", "-2.7500000000001e+00", "contradicts another one"),
    ("0               0         -2.75", "0               4         -2.75", "contradicts another one"),
    ("EXCLD2B: false", "EXCLD2B: 7 ", "different indices below 3"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_malformed_files_are_refused(tmp_path, old, new, message):
    text = EXAMPLE.read_text()
    assert old in text
    path = tmp_path / "params.txt"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        read_params(path)
    assert caught.value.path == path


def test_every_truncation_of_a_file_is_noticed(tmp_path):
    text = EXAMPLE.read_text()
    path = tmp_path / "params.txt"
    for end in range(0, text.index("ENDFILE") + len("ENDFILE"), 7):
        path.write_text(text[:end])
        with pytest.raises(InputError):
            read_params(path)
