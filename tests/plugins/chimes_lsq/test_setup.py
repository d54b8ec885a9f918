"""Reading `fm_setup.in`: what is right, and what is said about what is wrong."""

from pathlib import Path

import pytest

from ald_chimes_lsq.basis import Cutoff, InnerRule
from ald_chimes_lsq.formats.setup import ChargeConstraint, EnergyFit, StressFit, read_setup
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq"

TEXT = """\
####### CONTROL VARIABLES #######
# TRJFILE # ! the frames
    MULTI traj_list.dat
# NFRAMES # ! and their number
    25
# NLAYERS #
    1
# FITSTRS #
    FIRSTALL 5
# FITENER #
    FIRST 3
# PAIRTYP #
    CHEBYSHEV 4 3 2 -1 1
# CHBTYPE #
    MORSE
# CHEBYFIX #
    SMOOTH 0.05
# FITPOVR #
    false
# HIERARC #
    true
# SKPFRMS #
    -1

# NATMTYP #
    2
# TYPEIDX #  # ATM_TYP #  # ATMCHRG #  # ATMMASS #
1            O            0.0          15.999
2            H            0.0          1.008
# PAIRIDX #  # ATM_TY1 #  # ATM_TY1 #  # S_MINIM #  # S_MAXIM #  # S_DELTA #  # MORSE_LAMBDA # # USEOVRP #
1            O            O            1.5          5.0          0.01         2.0  false
2            H            O            0.7          4.8          0.01         1.2  false
3            H            H            0.9          4.5          0.01         1.0  false

EXCLUDE 1B INTERACTION: 1
H
EXCLUDE 3B INTERACTION: 1
H H H
SPECIAL 3B S_MAXIM: SPECIFIC 1
OHOHHH OH HO HH 4.0 4.1 4.2
SPECIAL 4B S_MAXIM: ALL 3.0
# FCUTTYP #
    TERSOFF 0.5
# ENDFILE #
whatever follows is not read
"""


def read(tmp_path, text):
    path = tmp_path / "fm_setup.in"
    path.write_text(text)
    return read_setup(path)


def test_everything_in_a_file(tmp_path):
    setup = read(tmp_path, TEXT)
    basis = setup.basis
    assert [t.name for t in basis.types] == ["O", "H"]
    assert [p.name for p in basis.pairs] == ["OO", "HH", "OH"]
    assert basis.pairs[2].morse_lambda == 1.2
    assert basis.orders == (4, 3, 2)
    assert basis.transform == "MORSE"
    assert basis.cutoff == Cutoff("TERSOFF", 0.5)
    assert basis.inner == InnerRule("SMOOTH", 0.05)
    assert basis.excluded_types == (1,)
    assert [t.excluded for t in basis.triplets] == [False, False, False, True]
    assert basis.triplets[2].rmax == (4.2, 4.1, 4.1)
    assert basis.quads[1].rmax == (3.0,) * 6
    assert setup.trajectory == tmp_path / "traj_list.dat"
    assert setup.multi
    assert (setup.n_frames, setup.n_layers, setup.skip_frames) == (25, 1, -1)
    assert setup.fit_stress == StressFit("full", 5)
    assert [setup.fit_stress.of(i) for i in (4, 5)] == ["full", "none"]
    assert setup.fit_energy == EnergyFit(True, 3)
    assert [setup.fit_energy.of(i) for i in (2, 3)] == [True, False]
    assert setup.has_offsets
    assert setup.hierarchical
    assert setup.ignored_keys == ("FITPOVR",)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("false", StressFit()),
        ("T", StressFit("diagonal")),
        ("First 4", StressFit("diagonal", 4)),
        ("ALL 104", StressFit("full")),
        ("a", StressFit("full")),
        ("FirstAll 2", StressFit("full", 2)),
    ],
)
def test_stress_styles(tmp_path, word, expected):
    assert read(tmp_path, TEXT.replace("FIRSTALL 5", word)).fit_stress == expected


def test_charges_and_their_constraints():
    setup = read_setup(DATA / "h2o-3bcheby" / "fm_setup.in")
    assert setup.basis.fit_charges
    assert [t.charge for t in setup.basis.types] == [-1.0, 1.0]
    # Written for OO, HH, OH, which is the canonical order.
    assert setup.charge_constraints == (
        ChargeConstraint((1000.0, 4000.0, 4000.0), 0.0),
        ChargeConstraint((1000.0, -4000.0, 0.0), 0.0),
    )
    assert read_setup(DATA / "fitstrs3b" / "fm_setup.in").charge_constraints == ()


@pytest.mark.parametrize("path", sorted(DATA.glob("setups/*")), ids=lambda p: p.name)
def test_control_files_of_studies(path):
    setup = read_setup(path)
    expected = {
        "hydrogen_two_cases": (("H",), 286, "full"),
        "molten_carbon": (("C",), 42, "none"),
        "cluster_water": (("O", "H"), 76, "full"),
        "silica_cp2k": (("O", "Si"), 228, "none"),
        "hierarchical_CN": (("C", "N"), 3747, "full"),
        "turbo_propane": (("C1", "C2"), 12, "none"),
    }[path.name.split(".")[0]]
    found = tuple(t.name for t in setup.basis.types)
    assert (found, setup.basis.n_short_range, setup.fit_stress.rows) == expected


LAST_PAIR = (
    "3            H            H            0.9          4.5          0.01         1.0  false\n"
)
MISTAKES = [
    ("H            O            0.7", "H            X            0.7", 32, "'X' is not an atom type"),
    (LAST_PAIR, "", 30, "pair H H is missing"),
    ("# PAIRTYP #\n    CHEBYSHEV 4 3 2 -1 1\n", "", None, "'# PAIRTYP #' is missing"),
    ("# TRJFILE # ! the frames\n    MULTI traj_list.dat\n", "", None, "'# TRJFILE #' is missing"),
    ("15.999", "heavy", 28, "the mass of O must be a finite number, found 'heavy'"),
    ("15.999", "nan", 28, "found 'nan'"),
    ("15.999", "-1", 28, "must be positive"),
    ("# NATMTYP #\n    2", "# NATMTYP #\n    3", 27, "NATMTYP .* is 3, but this table has 2 rows"),
    ("# NATMTYP #\n    2", "# NATMTYP #\n    200", 26, "at most 10"),
    ("1.5          5.0", "5.0          5.0", 31, "must be smaller than S_MAXIM"),
    ("CHEBYSHEV 4 3 2 -1 1", "CHEBYSHEV 4 1 2 -1 1", 13, "order 1 has no terms"),
    ("CHEBYSHEV 4 3 2 -1 1", "CHEBYSHEV 4 3 2 -1", 13, "found 4 numbers"),
    ("CHEBYSHEV 4 3 2 -1 1", "CHEBYSHEV 4 3 2 0 1", 13, "must be '-1 1'"),
    ("CHEBYSHEV 4 3 2 -1 1", "CHEBYCHEV 4", 13, "'CHEBYCHEV' cannot be fitted"),
    ("    MORSE\n", "    MORSS\n", 15, "CHBTYPE 'MORSS' is unknown"),
    ("TERSOFF 0.5", "TERSOF 0.5", 43, "FCUTTYP 'TERSOF' is unknown"),
    ("TERSOFF 0.5", "TERSOFF", 43, "has no number"),
    ("TERSOFF 0.5", "TERSOFF 1.5", 43, "between 0 and 1"),
    ("    SMOOTH 0.05", "    SMOOTH", 17, "has no distance"),
    ("# NLAYERS #\n    1\n", "# NLAYERS #\n", 6, "has no value"),
    ("# ENDFILE #", "", 45, "'# ENDFILE #' is missing"),
    ("# NFRAMES #", "# NFRAME #", 4, "did you mean '# NFRAMES #'"),
    ("# NFRAMES #", "# nframes #", 4, "did you mean '# NFRAMES #'"),
    ("# NFRAMES # ! and their number\n    25", "# NFRAMES # 25", 4, "value on the next line"),
    ("# NFRAMES #", "# NFRAMES", 4, "on a line of its own"),
    ("    25\n", "    25.0\n", 5, "must be an integer"),
    ("    25\n", "    -5\n", 5, "at least 0"),
    ("FIRSTALL 5", "FRIST 5", 9, "write one of false, true, FIRST n"),
    ("FIRST 3", "FIRST", 11, "has no number of frames"),
    ("# HIERARC #\n    true", "# HIERARC #\n    false", 36, "hierarchical"),
    ("# HIERARC #\n    true", "# HIERARC #\n    yes", 21, "neither true nor false"),
    ("H H H\n", "H H\n", 38, "has 3 names, found 2"),
    ("EXCLUDE 3B INTERACTION: 1", "EXCLUDE 3B INTERACTION: 2", 37, "only 1 follow"),
    ("EXCLUDE 3B INTERACTION: 1", "EXCLUDE 3B: 1", 37, "is not understood"),
    ("OHOHHH OH HO HH", "OHOHHX OH HO HH", 40, "is not a cluster"),
    ("OHOHHH OH HO HH", "OHOHHH OH HO OO", 40, "are not the edges"),
    ("SPECIAL 4B S_MAXIM: ALL 3.0", "SPECIAL 5B S_MAXIM: ALL 3.0", 41, "write one of 3B, 4B"),
    ("SPECIAL 4B S_MAXIM: ALL 3.0", "SPECIAL 4B S_MAXIM: ALL", 41, "is not understood"),
    ("SPECIAL 4B S_MAXIM: ALL 3.0", "SPECIAL 3B S_MAXIM: ALL 3.0", 41, "given twice"),
    ("0.0          15.999", "-0.8         15.999", 28, "fixed charges"),
    ("# NFRAMES #", "# NLAYERS #", 6, "given twice"),
    ("# FCUTTYP #", "stray words\n# FCUTTYP #", 42, "belongs to no key"),
    ("0.7          4.8          0.01         1.2  false", "0.7          4.8          0.01", 32, "expected 7 columns"),
    ("# NLAYERS #", "# nan #", 6, "is no key"),
    ("MULTI traj_list.dat", "MULTI", 3, "is no value of TRJFILE"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "message"), MISTAKES)
def test_mistakes_are_reported_with_their_line(tmp_path, old, new, line, message):
    assert TEXT.count(old) >= 1
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, TEXT.replace(old, new, 1))
    assert caught.value.path == tmp_path / "fm_setup.in"
    assert caught.value.line == line


def test_lines_that_slipped_among_charge_constraints_are_noticed(tmp_path):
    text = (DATA / "special4b" / "fm_setup.in").read_text()
    with pytest.raises(InputError, match="2 charge constraints are needed for 3 pairs, found 4"):
        read(tmp_path, text.replace("SPECIAL 3B S_MAXIM: SPECIFIC 2", ""))


def test_stresses_and_energies_can_be_fitted_with_charges(tmp_path):
    text = (DATA / "h2o-3bcheby" / "fm_setup.in").read_text()
    more = "# FITSTRS #\nALL\n# FITENER #\ntrue\n# FITPOVR #"
    setup = read(tmp_path, text.replace("# FITPOVR #", more))
    assert (setup.fit_stress.rows, setup.has_offsets) == ("full", True)
    assert setup.basis.fit_charges


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_setup(tmp_path / "fm_setup.in")
    (tmp_path / "fm_setup.in").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_setup(tmp_path / "fm_setup.in")
