"""Damaged input files of `ald chimes md`: refused in one sentence, found unstable, or rightly used."""

from pathlib import Path

import pytest

from ald_chimes_md.commands import app
from ald_chimes_md.keywords import with_values

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq" / "parameters"
RUN = """# RNDSEED # ! seed
 7
# TEMPERA #
 300
# PRESSUR #
 0.5
# TIMESTP #
 0.2
# N_MDSTP #
 4
# NLAYERS #
 1
# USENEIG #
 true
# PRMFILE #
 params.txt
# CRDFILE #
 box.xyz
# VELINIT # (options are READ or GEN)
 READ
# CONSRNT #
 NVT-SCALE 2 FREEZE 1 6
# CHEBYFIX #
 SMOOTH 0.02
# PENTHRS #
 3.0
# WRPCRDS #
 true
# FRQDFTB #
 1
# FRQENER #
 1
# PRNTFRC #
 true 2
# PRNTBAD #
 true
# PRNTVEL #
 true 2
# FRQRSTR #
 2
# FORDFTB #
 true
# TRAJEXT #
 LAMMPSTRJ
# ENDFILE #
"""
FLUID = """USECOUL: true
FITCOUL: false
USE3BCH: false

PAIRTYP: LJ

ATOM TYPES: 2
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
0 H 0.4 1.008
1 C -0.4 12.011

ATOM PAIRS: 3
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM #
 0 H H 0.75 4.0
 1 C C 0.75 3.5
 2 H C 0.75 4.5

ATOM PAIR TRIPLETS: 0
PAIR LJ PARAMS
PAIRTYPE PARAMS: 0 H H
0 0.5
1 2.2
PAIRTYPE PARAMS: 1 C C
0 0.3
1 1.6
PAIRTYPE PARAMS: 2 H C
0 0.4
1 1.9

PAIRMAPS: 4
0 HH
2 HC
2 CH
1 CC

ENDFILE
"""
CORNERS = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
ATOMS = [
    f"{'HC'[sum(c) % 2]} {0.5 + 3.4 * c[0]:.2f} {0.4 + 3.6 * c[1]:.2f} {0.3 + 3.9 * c[2]:.2f} "
    f"{0.01 * c[0] - 0.003:.3f} {0.01 * c[1] - 0.002:.3f} {0.01 * c[2] - 0.005:.3f}"
    for c in CORNERS
]
BOX = "\n".join(["8", "7.0 7.5 8.0", *ATOMS, ""])
FRAME = BOX.replace("8.0\n", "8.0 1 2 3 0.1 0.2 0.3 -50\n")
FORCES = "".join(f"{0.1 * i:.1f}\n" for i in range(24)) + "1.0 2.0 3.0\n-50.0\n"
STILL = {"VELINIT": "GEN", "CONSRNT": "NVE", "FITENER": "true"}


@pytest.fixture(scope="session")
def cases(damage, tmp_path_factory):
    """A case for each kind of file."""
    folder = tmp_path_factory.mktemp("fuzz")
    model = (DATA / "example.params.txt").read_text()

    def case(name, files, **values):
        files = {
            "run_md.in": with_values(RUN, values),
            "params.txt": model,
            "box.xyz": BOX,
            **files,
        }
        return damage.Case(app, folder / name, files, ["md", "@run_md.in"])

    fluid = case("fluid", {"params.txt": FLUID}, VELINIT="GEN", CONSRNT="NPT-MTK HOOVER 5 20")
    left = fluid.attempt().outputs["restart.xyzv"].decode()
    return {
        "run": case("run", {}),
        "fluid": fluid,
        "restart": case(
            "restart",
            {"params.txt": FLUID, "box.xyz": left},
            VELINIT="RESTART",
            CONSRNT="NPT-MTK HOOVER 5 20",
            N_MDSTP=6,
        ),
        "compare": case(
            "compare", {"f.txt": FORCES}, CMPRFRC="true f.txt", FITSTRS="true", **STILL
        ),
        "subtract": case(
            "subtract",
            {"f.xyzf": FRAME},
            SUBTFRC="true f.xyzf SUBTR_ENERGY SUBTR_STRESS",
            FITSTRS="ALL",
            **STILL,
        ),
    }


TARGETS = [
    ("run", "run_md.in", 120),
    ("run", "params.txt", 60),
    ("run", "box.xyz", 60),
    ("fluid", "run_md.in", 60),
    ("fluid", "params.txt", 60),
    ("restart", "box.xyz", 60),
    ("compare", "f.txt", 40),
    ("subtract", "f.xyzf", 40),
]


@pytest.mark.parametrize(("name", "file", "examples"), TARGETS)
def test_damaged_files_are_refused_or_used(cases, name, file, examples):
    cases[name].survives_damage(file, examples)


@pytest.mark.parametrize(("name", "file"), [t[:2] for t in TARGETS])
def test_only_numbers_and_words_count(cases, name, file):
    # Restart files have a digest of the bytes of the parameter file.
    outputs = ["restart."] if file == "params.txt" else []
    cases[name].reads_alike(
        file, ways=["no end of the last line"] if name == "restart" else [], outputs=outputs
    )


def test_a_restart_file_that_may_be_cut_in_its_last_number_is_refused(cases):
    case = cases["restart"]
    assert case.attempt({"box.xyz": case.files["box.xyz"].rstrip("\n")}).status == 2


@pytest.mark.parametrize(("name", "file"), [t[:2] for t in TARGETS])
def test_what_is_no_such_file_is_refused(cases, name, file):
    control = cases[name].files["run_md.in"].split("\n")
    for what, said in cases[name].replacements(file):
        assert said.status == 2, what
        if what in {"missing", "a folder", "a link to itself"} and file != "run_md.in":
            assert file in control[said.line - 1], what
            assert said.file == "run_md.in"
        else:
            assert said.file == file, what


def counts(file, line):
    """Positions of the words of a line that mean something."""
    words = line.split("!")[0].split()
    if file == "run_md.in":
        return range(min(len(words), 3))
    comment = line.startswith(("!", "#", "     index", "   ---"))
    return [] if file == "params.txt" and comment else range(len(words))


@pytest.mark.parametrize(("name", "file"), [t[:2] for t in TARGETS])
def test_a_word_that_is_none_is_never_used(cases, name, file):
    cases[name].refuses_junk(file, counts)


WRONG = [
    ("run", "run_md.in", "# PRNTBAD #", "# PRNTBDA #", 35, "did you mean '# PRNTBAD #'"),
    ("run", "run_md.in", "# PRNTBAD #", "#PRNTBAD#", 35, "is written '#PRNTBAD#'"),
    ("run", "run_md.in", "# PRNTBAD #", "# PRNTBAD", 35, "is written"),
    ("run", "run_md.in", "# PRNTBAD #", "# prntbad #", 35, "did you mean '# PRNTBAD #'"),
    ("run", "run_md.in", "# PRNTBAD #", "7", 35, "belongs to no key"),
    ("run", "run_md.in", " 300\n", " 300\n 400\n", 5, "'400' belongs to no key"),
    ("run", "run_md.in", " 7\n", " １\n", 2, "whole number from 0"),
    ("run", "run_md.in", " 7\n", f" {'1' * 5000}\n", 2, "whole number from 0"),
    ("run", "run_md.in", " 4\n", " 0\n", 10, "at least 1"),
    ("run", "run_md.in", " 300\n", " -1\n", 4, "at least 0"),
    ("run", "run_md.in", " 0.2\n", " -0.2\n", 8, "at least 0"),
    ("run", "run_md.in", "FREEZE 1 6", "FREEZE 1 8", None, "beyond the last"),
    ("run", "run_md.in", "FREEZE 1 6", "FREEZE 6 1", 22, "FREEZE a b"),
    ("fluid", "run_md.in", "HOOVER 5 20", "HOOVER 1e-300 20", 22, "between 0.001 and 1e.09 fs"),
    ("fluid", "run_md.in", "HOOVER 5 20", "HOOVER 5 1e90", 22, "between 0.001 and 1e.09 fs"),
    ("fluid", "params.txt", "USE3BCH: false", "USE3BCH: xx", 3, "true or false"),
    ("fluid", "params.txt", "USE3BCH: false", "USE3BCH: true", 3, "pairs only"),
    ("fluid", "params.txt", "0 0.5", "0 -0.5", 21, "ε must not be negative"),
    ("fluid", "params.txt", "0.75 4.0", "0.75 1e99", 14, "at most 1000 Å"),
    ("run", "params.txt", "CHEBYSHEV  2", "CHEBYSHEV  99999999", None, "between 0 and 100"),
    ("run", "params.txt", "4.50000", "1e99", None, "at most 1000 Å"),
    ("run", "box.xyz", "8\n", "９\n", 1, "number of atoms"),
    ("run", "box.xyz", "8\n", "9" * 5000 + "\n", 1, "number of atoms"),
    ("run", "box.xyz", "7.0 7.5", "0.07 7.5", 2, "Å high"),
    ("run", "box.xyz", "7.0 7.5 8.0", "0.5 0.5 0.5", 2, "neighbours within the cutoff"),
    ("run", "box.xyz", "C 3.90 0.40 0.30", "C 0.50 0.40 0.30", 7, "atoms 1 and 5 are in the same place"),
    ("subtract", "f.xyzf", "H 0.50", "C 0.50", 3, "not where the coordinate file has H"),
    ("subtract", "f.xyzf", "H 0.50", "H 0.53", 3, "not where the coordinate file has H"),
    ("compare", "f.txt", "0.1\n", "1e200\n", 2, "too large"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "old", "new", "line", "said"), WRONG)
def test_mistakes_that_once_went_through(cases, name, file, old, new, line, said):
    cases[name].refuses(file, old, new, line, said)


def test_the_program_says_one_sentence_and_ends_with_2(cases):
    said = cases["run"].run_program("run_md.in", " 300\n", " hot\n")
    wanted = (
        "TEMPERA must be a finite number, found 'hot'; write a decimal number such as 1.5 or 2.0e-3"
    )
    assert said == f"ald: run_md.in, line 4: {wanted}\n"


def test_keys_without_a_meaning_are_told(cases):
    case = cases["run"]
    text = "# GRANDMA #\n 1\n# USEKILL #\n false\n" + case.files["run_md.in"]
    answer = case.attempt({"run_md.in": text})
    assert answer.status == 0
    assert "the key GRANDMA is unknown" in answer.said
    assert "USEKILL" not in answer.said
