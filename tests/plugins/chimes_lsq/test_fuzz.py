"""Damaged input files of `ald chimes lsq`, `solve`, `reduce` and `calc`: refused in one sentence, or rightly used."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald_chimes_lsq.commands import app
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.params_write import reduced_text, with_penalty
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.formats.tokens import read_text
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq"
SEEDS = st.integers(0, 2**32)
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
        "SPECIAL 3B", "CHARGE CONSTRAINTS:\nCC HH CH 1.0 4.0 4.0 0.0\nCC HH CH 1.0 -4.0 0.0 0.0\nSPECIAL 3B"
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
SOLVE = ["solve", "--A", "@A.txt", "--b", "@b.txt", "--header", "@params.header", "--map", "@ff_groups.map"]  # fmt: skip
SOLVE += ["--folder", "@", "--output", "@params.txt"]


@pytest.fixture(scope="session")
def cases(damage, tmp_path_factory):
    """A case for each command."""
    folder = tmp_path_factory.mktemp("fuzz")

    def case(name, files, *command):
        return damage.Case(app, folder / name, files, command)

    trajectories = {"first.xyzf": FIRST, "second.xyzf": SECOND}
    lsq = case("lsq", {"fm_setup.in": SETUP, "traj_list.dat": LIST, **trajectories}, "lsq", "@fm_setup.in")
    charged = case("charged", {"fm_setup.in": CHARGED, **trajectories}, "lsq", "@fm_setup.in")
    made = {name: content.decode() for name, content in lsq.attempt().outputs.items()}
    made["weights.dat"] = "".join(f"{1 + i % 3}\n" for i in range(made["b.txt"].count("\n")))
    problem = {n: made[n] for n in ("A.txt", "b.txt", "params.header", "ff_groups.map", "weights.dat")}
    solve = case("solve", problem, *SOLVE, "--weights", "@weights.dat")
    half = made["A.txt"].split("\n")
    parts = {"A.0000.txt": "\n".join(half[:30]) + "\n", "A.0001.txt": "\n".join(half[30:])}
    whole = {n: made[n] for n in ("b.txt", "params.header", "ff_groups.map")}
    split = case("split", {**parts, **whole}, *SOLVE, "--split_files", "true", "--algorithm", "lassolars")
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
def test_damaged_files_are_refused_or_used(cases, damage, name, file, examples):
    case = cases[name]

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(seed=SEEDS)
    def attempt(seed):
        case.attempt({file: damage.damaged(case.files[file], seed)})

    attempt()


@pytest.mark.parametrize(("name", "file"), [t[:2] for t in TARGETS])
def test_only_numbers_and_words_count(cases, damage, name, file):
    case = cases[name]
    right = case.attempt()
    assert right.status == 0
    for way, text in damage.rewritten(case.files[file]).items():
        if file.startswith("params.") and way == "tabs":
            continue  # Phrases of a parameter file have one blank.
        said = case.attempt({file: text})
        assert said.status == 0, way
        for output, content in right.outputs.items():
            if name != "reduce":
                assert said.outputs[output] == content, (way, output)


@pytest.mark.parametrize(("name", "file"), [t[:2] for t in TARGETS])
def test_what_is_no_such_file_is_refused(cases, damage, name, file):
    case = cases[name]
    case.attempt()
    for path in case.folder.iterdir():
        if path.name not in case.files:
            path.unlink()
    for what in damage.no_files(case.folder / file):
        said = case.run()
        assert (said.status, said.file) == (2, file) or (what == "missing" and name == "split"), what
