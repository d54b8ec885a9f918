"""What a control file must say for a fit on frozen parameter files."""

import re
from pathlib import Path

import attrs
import numpy as np
import pytest
from chimes_commands import ald
from chimes_tiles import assert_sum, frame, subsets, tile, world

from ald_chimes_lsq.exclusions import check_tiles, exclusion_blocks
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.merging import merge_models
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.topology import Exclusion, build_basis
from ald_core.errors import InputError

EXAMPLE = (
    Path(__file__).parents[2] / "data" / "chimes_lsq" / "setups" / "hierarchical_CN.fm_setup.in"
)
BLOCKS = """EXCLUDE 1B INTERACTION: 2
C
N

EXCLUDE 2B INTERACTION: 2
C C
N N

EXCLUDE 3B INTERACTION: 2
C C C
N N N

EXCLUDE 4B INTERACTION: 2
C C C C
N N N N
"""


@pytest.fixture
def study(tmp_path):
    """Control file, and the parameter files of C and N below it; C has fewer pair terms."""
    setup = tmp_path / "fm_setup.in"
    text = EXAMPLE.read_text()
    setup.write_text(text.replace("CHEBYSHEV 25 10 4", "CHEBYSHEV 8 4 3"))
    basis = read_setup(setup).basis
    tiles = []
    rng = np.random.default_rng(1)
    for i, order in ((0, 5), (1, 8)):
        alone = build_basis(
            basis.types[i : i + 1],
            basis.pairs[i : i + 1],
            (order, 4, 3),
            basis.transform,
            basis.cutoff,
        )
        x = rng.normal(size=alone.n_short_range + 1)
        tiles.append(tmp_path / f"{basis.types[i].name}.txt")
        ChimesModel(alone, expand(alone, x)).write(tiles[-1])
    return setup, tiles


def problems(study, old=None, new="", count=1, **options):
    """What is wrong after a change of the control file."""
    setup, tiles = study
    if old is not None:
        text, n = re.subn(old, new, setup.read_text(), flags=re.MULTILINE)
        assert n == count
        setup.write_text(text)
    found = check_tiles(read_setup(setup), tiles, **options)
    return [sentence.replace(f"{setup.parent}/", "") for sentence in found]


def test_a_right_study_has_no_problems(study):
    assert problems(study) == []


def test_blocks_are_those_of_the_published_study(study, tmp_path):
    setup, tiles = study
    code, out, said = ald("exclude", setup, *tiles)
    assert (code, said) == (0, "")
    assert out.startswith(BLOCKS)
    special = out.removeprefix(BLOCKS)
    wanted = re.findall(r"^(SPECIAL.*|[CN]{6,} .*)$", setup.read_text(), re.MULTILINE)
    assert re.sub(r"0{4}\b", "", special).split() == " ".join(wanted).split()


def test_blocks_make_a_control_file_right(study):
    setup, tiles = study
    setup.write_text(
        re.sub(r"^(EXCLUDE.*|[CN]( [CN])*)\n", "", setup.read_text(), flags=re.MULTILINE)
    )
    wrong = problems(study)
    assert len(wrong) == 8
    assert wrong[0] == (
        "fm_setup.in: C is described by C.txt, but not excluded, so that it would be there twice; add it after "
        "'EXCLUDE 1B INTERACTION:' (`ald chimes exclude` prints all of these lines)"
    )
    without = re.sub(r"SPECIAL[^#]*", "", setup.read_text())
    setup.write_text(exclusion_blocks(read_setup(setup), tiles) + "\n" + without)
    assert problems(study) == []


def test_blocks_are_those_of_all_tiles_that_are_given(study):
    setup, tiles = study
    lines = exclusion_blocks(read_setup(setup), tiles[1:]).split("\n")
    assert lines[:3] == ["EXCLUDE 1B INTERACTION: 1", "N", ""]
    # The triplet C C C is fitted, with the cutoffs of its pair.
    assert "SPECIAL 3B S_MAXIM: SPECIFIC 2" in lines
    assert exclusion_blocks(read_setup(setup), []).startswith("SPECIAL 3B S_MAXIM: SPECIFIC 2\n")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("2\nC C$", "1", "C C is described by C.txt, but not excluded"),
        ("^N N N N$", "C N N N", "N N N N is described by N.txt, but not excluded"),
        ("8 4 3", "6 4 3", "line 22: the 2-body order is 6, but 8 in N.txt, line 8; write at"),
        ("8 4 3", "8 3 3", "line 22: the 3-body order is 3, but 4 in C.txt, line 8; write at"),
        ("8 4 3", "8 4 2", "line 22: the 4-body order is 2, but 3 in C.txt, line 8; write at"),
        (
            "TERSOFF 0.75",
            "TERSOFF 0.5",
            "line 70: the smoothing function (FCUTTYP) is TERSOFF 0.5, but TERSOFF 0.75 in C.txt",
        ),
        ("12.0107", "13.0107", "line 52: the mass of C is 13.0107, but 12.0107 in C.txt, line 13"),
        ("0.98  ", "1.00  ", "line 56: S_MINIM of the pair C C is 1.0, but 0.98 in C.txt, line 18"),
        ("8.0\t", "7.5\t", "line 57: S_MAXIM of the pair N N is 7.5, but 8.0 in N.txt, line 18"),
        ("1.4\t", "1.5\t", "line 56: MORSE_LAMBDA of the pair C C is 1.5, but 1.4 in C.txt"),
        ("MORSE$", "INVRSE_R", "line 24: the transform (CHBTYPE) is INVRSE_R, but MORSE in C.txt"),
        ("# FCUTTYP #", "# CHEBYFIX #\nZERO_DERIV\n# FCUTTYP #", "CHEBYFIX is not 'SMOOTH 0.01'"),
    ],
)
def test_each_inconsistency_is_a_sentence(study, old, new, sentence):
    assert any(sentence in found for found in problems(study, old, new))


def test_terms_that_no_file_describes_are_not_excluded(study):
    del study[1][1]
    wrong = problems(study)
    assert len(wrong) == 4
    assert wrong[1] == (
        "fm_setup.in, line 38: N N is excluded, but none of C.txt describes it, so that no model would; remove the "
        "line, and count again (`ald chimes exclude` prints all of these lines)"
    )
    # An offset that is not fitted need not be excluded, and may be.
    assert len(problems(study, energies=False)) == 3


def test_tiles_without_offsets_leave_them_to_the_fit(study):
    _, tiles = study
    model = ChimesModel.read(tiles[0])
    own = attrs.evolve(model.coefficients, offsets=None)
    ChimesModel(model.basis, own).write(tiles[0])
    (wrong,) = problems(study)
    assert wrong.startswith(
        "fm_setup.in, line 33: C is excluded, but none of C.txt, N.txt describes it"
    )


def test_orders_may_leave_clusters_of_a_tile_out(study):
    """Whether N N N N is fitted then, or left out as in its own tile, is the user's choice."""
    setup, tiles = study
    model = ChimesModel.read(tiles[1])
    basis = attrs.evolve(model.basis, orders=(8, 4, 0), quads=())
    ChimesModel(basis, attrs.evolve(model.coefficients, quads=())).write(tiles[1])
    assert problems(study) == []
    assert "N N N N" in exclusion_blocks(read_setup(setup), tiles)
    assert (
        problems(study, "^EXCLUDE 4B.*\nC C C C\nN N N N", "EXCLUDE 4B INTERACTION: 1\nC C C C")
        == []
    )


def test_files_that_overlap_are_told(study):
    setup, tiles = study
    again = setup.parent / "again.txt"
    again.write_text(tiles[0].read_text())
    tiles.append(again)
    wrong = problems(study)
    assert len(wrong) == 4
    assert wrong[1].startswith(
        "C C is described by C.txt and by again.txt, and would be counted as often; leave"
    )
    tiles[2] = tiles[0]
    assert problems(study) == ["C.txt: this file is named twice; name it once"]


def test_files_that_cannot_be_read_are_told(study):
    setup, tiles = study
    tiles.append(setup.parent / "missing.txt")
    wrong = problems(study)
    assert wrong[0] == "missing.txt: no such file; write it, or correct the name"
    with pytest.raises(InputError, match=r"missing\.txt: no such file"):
        exclusion_blocks(read_setup(setup), tiles)


def test_an_atom_type_that_only_a_tile_has(study):
    setup, _ = study
    text = re.sub(r"^EXCLUDE[^#]*", "", setup.read_text(), flags=re.MULTILINE)
    text = re.sub(r"SPECIAL[^#]*", "", text)
    text = re.sub(r"^[23]\s+[CN]\s+N.*\n|^2\s+N.*\n", "", text, flags=re.MULTILINE)
    setup.write_text(re.sub(r"(# NATMTYP #\s+)2", r"\g<1>1", text))
    wrong = [p for p in problems(study) if "N.txt" in p]
    assert wrong == [
        "fm_setup.in: atom type N is in N.txt, line 13, but not in the table TYPEIDX; add it, or leave that file out"
    ]


def test_charges(study):
    setup, tiles = study
    model = ChimesModel.read(tiles[0])
    types = (attrs.evolve(model.basis.types[0], charge=0.5),)
    ChimesModel(attrs.evolve(model.basis, types=types), model.coefficients).write(tiles[0])
    assert problems(study) == [
        "fm_setup.in, line 53: N has no charge in C.txt, line 1, which has charges: they can be merged only if all "
        "atom types have them; leave that file out, or fit it again with all types"
    ]
    setup.write_text(re.sub(r"([CN]\s+)0\.0(\s+1\d)", r"\1+\2", setup.read_text()))
    (wrong,) = problems(study, "# FITCOUL # \n *false", "# FITCOUL #\ntrue")
    assert wrong.startswith(
        "fm_setup.in, line 12: charges are fitted, but C.txt, line 1 has charges, too"
    )


def test_edges_of_clusters_have_lambda_in_common(study):
    """A tile without the pair C C, but with the triplet C C N."""
    setup, tiles = study
    basis = read_setup(setup).basis
    pairs = (attrs.evolve(basis.pairs[0], rmin=0.5, morse_lambda=1.5), *basis.pairs[1:])
    names = [("C",), ("N",), ("C", "C"), ("N", "N"), ("C", "C", "C"), ("N", "N", "N")]
    mixed = build_basis(
        basis.types,
        pairs,
        (8, 4, 0),
        "MORSE",
        basis.cutoff,
        exclusions=[Exclusion(n) for n in names],
    )
    tiles.append(setup.parent / "CN.txt")
    ChimesModel(mixed, expand(mixed, np.ones(mixed.n_short_range))).write(tiles[-1])
    found = [p for p in problems(study) if "CN.txt, line" in p]
    assert found == [
        "fm_setup.in, line 56: MORSE_LAMBDA of the pair C C is 1.4, but 1.5 in CN.txt, line 19; write 1.5 here"
    ]


def test_files_that_contradict_each_other_are_told(study):
    """The control file knows nothing of the cutoffs of a cluster that it excludes."""
    setup, tiles = study
    again = setup.parent / "again.txt"
    special = "\nSPECIAL 3B S_MAXIM: ALL 4.0\nATOM PAIR TRIPLETS"
    again.write_text(tiles[0].read_text().replace("ATOM PAIR TRIPLETS", special, 1))
    tiles.append(again)
    (wrong,) = problems(study)
    assert wrong.startswith(
        "again.txt, line 23: S_MAXIM of the edges of C C C are 4.0 4.0 4.0, but 5.0 5.0 5.0 in C.txt"
    )


def test_hierarc_must_be_true(study):
    setup, tiles = study
    text = re.sub(r"^EXCLUDE [12]B.*\n.*\n.*\n", "", setup.read_text(), flags=re.MULTILINE)
    setup.write_text(text)
    wrong = problems(study, "^# HIERARC #\t\n\ttrue", "# HIERARC #\nfalse")
    assert "fm_setup.in: HIERARC is not true" in wrong[0]
    code, out, said = ald("exclude", setup, *tiles)
    assert code == 0
    assert out.startswith(BLOCKS)
    assert "write '# HIERARC #' and true" in said


def test_conflicts_stop_the_command(study):
    setup, tiles = study
    setup.write_text(setup.read_text().replace("CHEBYSHEV 8 4 3", "CHEBYSHEV 6 3 3"))
    code, out, said = ald("exclude", setup, *tiles)
    assert (code, out) == (2, "")
    assert said.count("\n") == 2
    assert "the 2-body order is 6, but 8 in" in said


CONTROL = """# TRJFILE #
frames.xyzf
# NFRAMES #
1
# HIERARC #
true
# FITENER #
true
# PAIRTYP #
CHEBYSHEV {orders}
# CHBTYPE #
MORSE
# FCUTTYP #
TERSOFF 0.5
# NATMTYP #
{number}
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
{types}
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA #
{pairs}
{blocks}
# ENDFILE #
"""


@pytest.mark.parametrize("words", [["N", "H", "C"], ["H", "Si", "N", "O"]])
def test_a_tile_on_top_of_all_those_below_it(tmp_path, words):
    """From the blocks to the merged model: each term is in it once."""
    rng = np.random.default_rng(9)
    shared, orders = world(rng), (5, 3, 2)
    tiles, parts = [], []
    for elements in subsets(words)[:-1]:
        mine = sorted(elements)
        parts.append(tile(shared, mine, orders, rng, own=[elements], offsets=len(mine) == 1))
        tiles.append(tmp_path / f"{''.join(mine)}.txt")
        parts[-1].write(tiles[-1])
    whole = tile(shared, words, orders, rng).basis
    text = {
        "orders": "5 3 2",
        "number": len(words),
        "types": "\n".join(f"{i} {t.name} 0 {t.mass}" for i, t in enumerate(whole.types)),
        "pairs": "\n".join(
            f"{i} {p.second} {p.first} {p.rmin!r} {p.rmax!r} 0.01 {p.morse_lambda!r}"
            for i, p in enumerate(whole.pairs)
        ),
    }
    path = tmp_path / "fm_setup.in"
    path.write_text(CONTROL.format(**text, blocks=""))
    blocks = exclusion_blocks(read_setup(path), tiles)
    path.write_text(CONTROL.format(**text, blocks=blocks))
    setup = read_setup(path)
    assert check_tiles(setup, tiles) == []
    fitted = [c.elements for c in (*setup.basis.triplets, *setup.basis.quads) if not c.excluded]
    assert all(set(elements) == set(words) for elements in fitted)
    assert fitted
    x = rng.normal(size=setup.basis.n_short_range)
    parts.append(ChimesModel(setup.basis, expand(setup.basis, x)))
    merged = merge_models(parts)
    assert merged.basis.excluded_types == merged.basis.excluded_pairs == ()
    assert not any(c.excluded for c in (*merged.basis.triplets, *merged.basis.quads))
    assert_sum(merged, parts, frame(words, rng, n=12))
