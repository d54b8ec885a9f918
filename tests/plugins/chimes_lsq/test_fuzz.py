"""Damaged input files of `ald chimes lsq`, `solve`, `reduce` and `calc`: refused in one sentence, or rightly used."""

import contextlib
from pathlib import Path

import pytest

from ald_chimes_lsq.commands import app
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.params_write import reduced_text, with_penalty
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.formats.tokens import read_text
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq"
SETUP = """# TRJFILE #
	MULTI traj_list.dat
# WRAPTRJ #
	true
# HIERARC #
	true
# NFRAMES #
	3
# NLAYERS #
	1
# FITSTRS #
	ALL
# FITENER #
	true
# PAIRTYP #
	CHEBYSHEV 2 2 0 -1 1
# CHBTYPE #
	MORSE
# CHEBYFIX #
	SMOOTH 0.01
# USENEIG #
	true SMALL
# NATMTYP #
	2
# TYPEIDX #	# ATM_TYP #	# ATMCHRG #	# ATMMASS #
1		C		0.0		12.011
2		H		0.0		1.008
# PAIRIDX #	# ATM_TY1 #	# ATM_TY1 #	# S_MINIM #	# S_MAXIM #	# S_DELTA #	# MORSE_LAMBDA #
1		C		C		1.0		4.0		0.1		1.4
2		H		H		0.7		3.5		0.1		1.0
3		C		H		0.8		3.8		0.1		1.2
SPECIAL 3B S_MAXIM: SPECIFIC 1
CCCHCH CC CH CH 3.5 3.0 3.0
EXCLUDE 3B INTERACTION: 1
H H H
EXCLUDE 1B INTERACTION: 1
H
# FCUTTYP #
	TERSOFF 0.5
# ENDFILE #
"""
CHARGED = (
    SETUP.replace("MULTI traj_list.dat", "first.xyzf")
    .replace("# WRAPTRJ", "# FITCOUL #\n\ttrue\n# WRAPTRJ")
    .replace("	3\n# NLAYERS", "	2\n# NLAYERS")
    .replace("	ALL\n", "	false\n")
    .replace("	true\n# PAIRTYP", "	false\n# PAIRTYP")
    .replace("C		0.0", "C		-")
    .replace("H		0.0", "H		+")
    .replace(
        "SPECIAL 3B",
        "CHARGE CONSTRAINTS:\nCC HH CH 1.0 4.0 4.0 0.0\nCC HH CH 1.0 -4.0 0.0 0.0\nSPECIAL 3B",
    )
)
LIST = "2\n2 first.xyzf 300 G_ S_ None\n1 second.xyzf\n"
FRAME = """4
NON_ORTHO 7.0 0.0 0.0 0.5 7.5 0.0 0.25 -0.5 8.0 1.0 2.0 3.0 0.1 0.2 0.3 -100.5
C 1.0 1.0 1.0 0.01 0.0 0.0
H 2.1 1.0 1.0 -0.01 0.0 0.002
C 1.0 2.3 1.0 0.0 0.03 0.0
H 1.0 2.5 2.1 0.0 -0.03 -0.002
"""
FIRST = FRAME + FRAME.replace("2.1 ", "2.15 ")
SECOND = """3
7.0 7.5 8.0 1.5 2.5 3.5 0.11 0.21 0.31 -75.25
C 1.2 1.0 1.0 0.01 0.0 0.0
H 2.2 1.1 1.0 -0.01 0.0 0.002
H 1.0 2.1 1.3 0.0 -0.03 -0.002
"""
POSITIONS = "4\n7.0 0.0 0.0 0.5 7.5 0.0 0.25 -0.5 8.0\nC 1.0 1.0 1.0\nH 2.1 1.0 1.0\nC 1.0 2.3 1.0\nH 1.0 2.5 2.1\n"
INPUTS = ["--A", "@A.txt", "--b", "@b.txt", "--header", "@params.header", "--map", "@ff_groups.map"]
SOLVE = ["solve", *INPUTS, "--folder", "@", "--output", "@params.txt"]


@pytest.fixture(scope="session")
def cases(damage, tmp_path_factory):
    """A case for each command."""
    folder = tmp_path_factory.mktemp("fuzz")

    def case(name, files, *command):
        return damage.Case(app, folder / name, files, command)

    trajectories = {"first.xyzf": FIRST, "second.xyzf": SECOND}
    lsq = case(
        "lsq", {"fm_setup.in": SETUP, "traj_list.dat": LIST, **trajectories}, "lsq", "@fm_setup.in"
    )
    charged = case("charged", {"fm_setup.in": CHARGED, **trajectories}, "lsq", "@fm_setup.in")
    made = {name: content.decode() for name, content in lsq.attempt().outputs.items()}
    made["weights.dat"] = "".join(f"{1 + i % 3}\n" for i in range(made["b.txt"].count("\n")))
    problem = {
        n: made[n] for n in ("A.txt", "b.txt", "params.header", "ff_groups.map", "weights.dat")
    }
    solve = case("solve", problem, *SOLVE, "--weights", "@weights.dat")
    half = made["A.txt"].split("\n")
    parts = {"A.0000.txt": "\n".join(half[:30]) + "\n", "A.0001.txt": "\n".join(half[30:])}
    whole = {n: made[n] for n in ("b.txt", "params.header", "ff_groups.map")}
    split = case(
        "split", {**parts, **whole}, *SOLVE, "--split_files", "true", "--algorithm", "lassolars"
    )
    params = solve.attempt().outputs["params.txt"].decode()
    both = {"params.txt": params, "conf.xyz": POSITIONS}
    return {
        "lsq": lsq,
        "charged": charged,
        "solve": solve,
        "split": split,
        "reduce": case("reduce", {"params.txt": params}, "reduce", "@params.txt"),
        "calc": case("calc", both, "calc", "@params.txt", "@conf.xyz", "--json"),
    }


TARGETS = [
    ("lsq", "fm_setup.in", 100),
    ("charged", "fm_setup.in", 60),
    ("lsq", "traj_list.dat", 30),
    ("lsq", "first.xyzf", 60),
    ("lsq", "second.xyzf", 40),
    ("solve", "A.txt", 12),
    ("solve", "b.txt", 12),
    ("solve", "params.header", 40),
    ("solve", "ff_groups.map", 20),
    ("solve", "weights.dat", 10),
    ("split", "A.0001.txt", 10),
    ("reduce", "params.txt", 60),
    ("calc", "params.txt", 120),
    ("calc", "conf.xyz", 60),
]


@pytest.mark.parametrize(("name", "file", "examples"), TARGETS)
def test_damaged_files_are_refused_or_used(cases, name, file, examples):
    cases[name].survives_damage(file, examples)


@pytest.mark.parametrize(("name", "file"), [t[:2] for t in TARGETS])
def test_only_numbers_and_words_count(cases, name, file):
    cases[name].reads_alike(file, outputs=["params.txt.reduced"])


@pytest.mark.parametrize(("name", "file"), [t[:2] for t in TARGETS])
def test_what_is_no_such_file_is_refused(cases, name, file):
    for what, said in cases[name].replacements(file):
        assert said.status == 2, what
        # A file that is missing is a wrong name in another file, or a part of a split one.
        assert said.file == file or what == "missing", what


def counts(file, line):
    """Positions of the words of a line that mean something."""
    words = line.split()
    if file == "fm_setup.in":
        numbered = len(words) > 3 and words[0].isdigit()
        return [] if line.startswith("#") else range(int(numbered), len(words))
    if file == "traj_list.dat":
        return range(min(len(words), 3))
    comment = line.startswith(("!", "#", "     index", "   ---"))
    return [] if file == "params.txt" and comment else range(len(words))


@pytest.mark.parametrize(("name", "file"), [t[:2] for t in TARGETS])
def test_a_word_that_is_none_is_never_used(cases, name, file):
    cases[name].refuses_junk(file, counts, 40 if file.startswith("A.") else 90)


WRONG = [
    ("lsq", "fm_setup.in", "	1\n# FITSTRS", "	1 2\n# FITSTRS", 10, "NLAYERS takes 1 words"),
    ("lsq", "fm_setup.in", "true SMALL", "true SMALL 7", 22, "USENEIG takes 2 words"),
    ("lsq", "fm_setup.in", "	ALL", "	ALL x", 12, "must be an integer, found 'x'"),
    ("lsq", "fm_setup.in", "	ALL", "	true 5", 12, "'true' has nothing after it, found '5'"),
    ("lsq", "fm_setup.in", "	MORSE", "	MORSE 7", 18, "CHBTYPE takes 1 words"),
    ("lsq", "fm_setup.in", "TERSOFF 0.5", "CUBIC 0.5", 39, "'CUBIC' has nothing after it"),
    ("lsq", "fm_setup.in", "TERSOFF 0.5", "TERSOFF 1.5", 39, "between 0 and 1"),
    ("lsq", "fm_setup.in", "S_MINIM #	# S_MAXIM", "S_MAXIM #	# S_MINIM", 28, "column 4 .* is S_MINIM"),
    ("lsq", "fm_setup.in", "0.1		1.4", "0.1		1.4	9", 29, "8 words, but the table PAIRIDX has 7"),
    ("lsq", "fm_setup.in", "0.1		1.4", "0.1		1e-3", 29, "the same for all distances"),
    ("lsq", "fm_setup.in", "0.1		1.4", "0.1		1e12", 29, "the same for all distances"),
    ("lsq", "fm_setup.in", "1.0		4.0", "1.0		1e8", 29, "S_MAXIM must be at most 1000 Å"),
    ("lsq", "fm_setup.in", "3.5 3.0 3.0", "1e8 3.0 3.0", 33, "special cutoff must be at most"),
    ("lsq", "fm_setup.in", "CHEBYSHEV 2 2 0", "CHEBYSHEV 2 2 99", 16, "between 0 and 8"),
    ("lsq", "fm_setup.in", "CHEBYSHEV 2 2 0", "CHEBYSHEV 2 1 0", 16, "3-body order 1 has no terms"),
    ("lsq", "fm_setup.in", "traj_list.dat", "a\0b", 2, "no file .*a.x00b"),
    ("lsq", "traj_list.dat", "second.xyzf", "typo.xyzf", 3, "no file .*typo.xyzf"),
    ("lsq", "first.xyzf", "C 1.0 1.0 1.0", "C 1e300 1.0 1.0", 3, "too large"),
    ("lsq", "first.xyzf", "C 1.0 1.0 1.0", "C 1e9 1.0 1.0", 3, "atom 1 is beyond"),
    ("lsq", "first.xyzf", "C 1.0 1.0 1.0", "C １.0 1.0 1.0", 3, "must be a finite number"),
    ("lsq", "first.xyzf", "H 2.1 1.0 1.0", "H 1.0 1.0 1.0", 4, "atoms 1 and 2 are in the same place"),
    ("lsq", "first.xyzf", "H 2.15 1.0", "N 2.15 1.0", 10, "element N is not among"),
    ("lsq", "first.xyzf", "NON_ORTHO 7.0", "NON_ORTHO 0.01", 2, "Å high"),
    ("lsq", "second.xyzf", "7.0 7.5", "1e9 7.5", 2, "write it in Å"),
    ("lsq", "second.xyzf", "7.0 7.5 8.0", "0.3 0.3 0.3", 2, "neighbours within the cutoff"),
    ("lsq", "second.xyzf", "-0.002\n", "-0.002\nH 1 1 2 0 0 0\n", 6, "number of atoms of the frame before"),
    ("lsq", "second.xyzf", "3\n", "2\n", 5, "number of atoms of the frame before"),
    ("calc", "conf.xyz", "H 2.1 1.0 1.0", "H 1.0 1.0 1.0", 4, "atoms 1 and 2 are in the same place"),
    ("calc", "conf.xyz", "H 2.1", "H 1e300", 4, "too large"),
    ("calc", "conf.xyz", "H 2.1", "H 1e12", 4, "atom 2 is beyond"),
    ("calc", "conf.xyz", "H 2.1", "N 2.1", 4, "element N is not among"),
    ("calc", "conf.xyz", "7.0 0.0 0.0", "1e11 0.0 0.0", None, "write it in Å"),
    ("calc", "params.txt", "CHEBYSHEV  2 2", "CHEBYSHEV  999999999 2", None, "between 0 and 100"),
    ("calc", "params.txt", " 3.50000 3.00000", " 1e8 3.00000", None, "must be at most 1000 Å"),
    ("calc", "params.txt", "1.4             ", "1e-9            ", None, "the same for all distances"),
    ("calc", "params.txt", "ENDFILE", "", None, "incomplete"),
    ("calc", "params.txt", "ENDFILE", "ENDFILE 1", None, "alone on its line"),
    ("calc", "params.txt", "FCUT TYPE", "PAIR CHEBYSHEV PENALTY DIST: 1e9\nFCUT TYPE", None, "within 10 Å"),
    ("calc", "params.txt", "UNIQUE: 2 ", "UNIQUE: 999999999 ", None, "UNIQUE of this cluster must be 2"),
    ("calc", "params.txt", "S_MINIM #	# S_MAXIM", "S_MAXIM #	# S_MINIM", None, "exchange them"),
    ("calc", "params.txt", " MORSE ", " -inf MORSE ", None, "S_DELTA must be a finite number"),
    ("calc", "params.txt", "INDEX: 0 ATOMS: C C C", "INDEX: 70 ATOMS: C C C", None, "must be below 4"),
    ("calc", "params.txt", "ENERGY OFFSET 1 ", "ENERGY OFFSET 1 9e200 ", None, "its value"),
    ("reduce", "params.txt", "PAIRTYPE PARAMS: 0 C C\n\n  0 ", "PAIRTYPE PARAMS: 0 C C\n\n  0 nan ", None, "expected"),
    ("reduce", "params.txt", "1 CCCHCH", "7 CCCHCH", None, "another cluster"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "old", "new", "line", "said"), WRONG)
def test_mistakes_that_once_went_through(cases, name, file, old, new, line, said):
    cases[name].refuses(file, old, new, line, said)


def test_keys_without_a_meaning_are_told(cases):
    text = cases["lsq"].files["fm_setup.in"]
    answer = cases["lsq"].attempt(
        {"fm_setup.in": "# GRANDMA #\n\t1\n# FITPOVR #\n\tfalse\n" + text}
    )
    assert answer.status == 0
    assert "the key GRANDMA is unknown" in answer.said
    assert "FITPOVR" not in answer.said


def test_the_program_says_one_sentence_and_ends_with_2(cases):
    said = cases["lsq"].run_program("fm_setup.in", "CHEBYSHEV 2", "CHEBYSHEV x")
    wanted = "the 2-body order must be an integer, found 'x'; write a whole number of at most 9 digits, 0 or more"
    assert said == f"ald: fm_setup.in, line 16: {wanted}\n"
    said = cases["calc"].run_program("conf.xyz", "C 1.0 1.0", "C 1.0 nan")
    assert said.startswith(
        "ald: conf.xyz, line 3: a position must be a finite number, found 'nan'; "
    )


def shortened(path):
    text = reduced_text(read_text(path), name=str(path))
    path.write_text(with_penalty(text, 0.1, 1.0, name=str(path)))
    return read_params(path)


READERS = {
    "4-body": (read_setup, "special4b/fm_setup.in"),
    "exclusions": (read_setup, "setups/hierarchical_CN.fm_setup.in"),
    "charges": (read_params, "h2o-3bcheby/expected/params.txt"),
    "older": (read_params, "parameters/published_params.liqC.2+3b.cubic.txt"),
    "reduced": (shortened, "parameters/example.params.txt"),
}


@pytest.mark.parametrize("name", READERS)
def test_readers_raise_nothing_else(damage, name, tmp_path_factory):
    reader, source = READERS[name]
    text, path = (DATA / source).read_text(), tmp_path_factory.mktemp("reader") / "damaged"
    for seed in range(40):
        path.write_text(damage.damaged(text, seed))
        with contextlib.suppress(InputError):
            reader(path)
