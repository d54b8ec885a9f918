"""Real input files, damaged in the ways of every day: each is refused with file, line, word and cure."""

import ast
import gzip
from pathlib import Path

import pytest
from chimes_commands import CASES, RUNS

import ald_chimes_lsq
from ald_chimes_lsq.commands import app

PACKAGE = Path(ald_chimes_lsq.__file__).parent
ENERGIES = CASES / "stress-and-ener-2b1"
SOLVE = [
    *("solve", "--A", "@A.txt", "--b", "@b.txt", "--header", "@params.header"),
    *("--map", "@ff_groups.map", "--weights", "@weights.txt", "--folder", "@"),
]


def carbon():
    """Inputs of `lsq` with a list, and the first two frames of 288 carbon atoms."""
    control = (CASES / "nonorth2" / "fm_setup.in").read_text()
    frames = gzip.decompress((RUNS / "nonorth2.xyzf.gz").read_bytes()).decode()
    control = control.replace("\tinput.xyzf", "\tMULTI traj_list.dat", 1)
    lines = control.split("\n")
    lines[next(i for i, line in enumerate(lines) if line.startswith("# NFRAMES")) + 1] = "\t2"
    return {
        "fm_setup.in": "\n".join(lines),
        "traj_list.dat": "1\n2 carbon.xyzf 6000\n",
        "carbon.xyzf": "\n".join(frames.split("\n")[: 2 * 290]) + "\n",
    }


@pytest.fixture(scope="module")
def cases(damage, tmp_path_factory):
    """A case for each command and set of inputs."""
    folder = tmp_path_factory.mktemp("bad")

    def case(name, files, *command):
        return damage.Case(app, folder / name, files, command)

    frame = gzip.decompress((RUNS / "stress-and-ener-2b1.xyzf.gz").read_bytes()).decode()
    frame = "\n".join([*frame.split("\n")[:134], ""])
    control = (ENERGIES / "fm_setup.in").read_text().replace("        36\n", "        1\n")
    control = control.replace("phen_res-300F_dt-0.1_fullstress_energy5F.xyzf", "frames.xyzf")
    energies = {"fm_setup.in": control, "frames.xyzf": frame}
    list_ = case("list", carbon(), "lsq", "@fm_setup.in")
    answer = list_.attempt()
    assert answer.status == 0, answer.said
    made = {name: content.decode() for name, content in answer.outputs.items()}
    problem = {n: made[n] for n in ("A.txt", "b.txt", "params.header", "ff_groups.map", "dim.txt")}
    problem["weights.txt"] = "1.0\n" * made["b.txt"].count("\n")
    model = (CASES / "parameters" / "example.params.txt").read_text()
    return {
        "energies": case("energies", energies, "lsq", "@fm_setup.in", "--no-matrix"),
        "special": case(
            "special",
            {"fm_setup.in": (CASES / "special4b" / "fm_setup.in").read_text()},
            *("lsq", "@fm_setup.in", "--no-matrix"),
        ),
        "list": case("list", list_.files, "lsq", "@fm_setup.in", "--no-matrix"),
        "solve": case("solve", problem, *SOLVE),
        "reduce": case("reduce", {"params.txt": model}, "reduce", "@params.txt"),
    }


WORDS = [
    ("energies", "fm_setup.in", "FIRST 5", "FIRST five", "five"),
    ("energies", "fm_setup.in", "FIRST 5", "FIRST -5", "-5"),
    ("energies", "fm_setup.in", "        ALL", "        ALLE", "ALLE"),
    ("energies", "fm_setup.in", "# FITENER #", "# FITENRE #", "FITENRE"),
    ("energies", "fm_setup.in", "# FITENER #", "#FITENER#", "#FITENER#"),
    ("energies", "fm_setup.in", "CHEBYSHEV 12 0 0", "CHEBYSHEV 12.0 0 0", "12.0"),
    ("energies", "fm_setup.in", "CHEBYSHEV 12 0 0", "CHEBYSHEV -12 0 0", "-12"),
    ("energies", "fm_setup.in", "CHEBYSHEV 12 0 0 -1 1", "CHEBYSHEV 12 0 0 0 1", "0 1"),
    ("energies", "fm_setup.in", "CHEBYSHEV 12", "STILLINGER 12", "STILLINGER"),
    ("energies", "fm_setup.in", "        MORSE", "        MORSEL", "MORSEL"),
    ("energies", "fm_setup.in", "NFRAMES # \n        1", "NFRAMES # \n        1.0", "1.0"),
    ("energies", "fm_setup.in", "NFRAMES # \n        1", "NFRAMES # \n        -1", "-1"),
    ("energies", "fm_setup.in", "NATMTYP # \n\t3", "NATMTYP # \n\tthree", "three"),
    ("energies", "fm_setup.in", "NATMTYP # \n\t3", "NATMTYP # \n\t11", "11"),
    ("energies", "fm_setup.in", "\t\t12.011", "\t\t12.011D0", "12.011D0"),
    ("energies", "fm_setup.in", "\t\t12.011", "\t\t-12.011", "-12.011"),
    ("energies", "fm_setup.in", "C\t\t0\t\t12.011", "C\t\t0", "3"),
    ("energies", "fm_setup.in", "C\t\t0\t\t", "C\t\t0.3\t\t", "0.3"),
    ("energies", "fm_setup.in", "1.35", "NaN", "NaN"),
    ("energies", "fm_setup.in", "1.35", "1.35D+00", "1.35D+00"),
    ("energies", "fm_setup.in", "C\t\tC\t\t1.1\t\t8.0", "C\t\tC\t\t1.1\t\t0.8", "0.8"),
    ("energies", "fm_setup.in", "C\t\tC\t\t1.1\t\t8.0", "C\t\tN\t\t1.1\t\t8.0", "'N'"),
    ("energies", "fm_setup.in", "frames.xyzf", "farmes.xyzf", "farmes.xyzf"),
    ("energies", "frames.xyzf", "132\n", "132.\n", "132."),
    ("energies", "frames.xyzf", "132\n", "-132\n", "-132"),
    ("energies", "frames.xyzf", "2.11130", "2.111.30", "2.111.30"),
    ("energies", "frames.xyzf", "2.11130", "0.21113D+01", "0.21113D+01"),
    ("energies", "frames.xyzf", "2.11130", "********", "********"),
    ("energies", "frames.xyzf", "2.11130", "nan", "nan"),
    ("energies", "frames.xyzf", "C 2.11130", "Cl 2.11130", "Cl"),
    ("energies", "frames.xyzf", "C 2.11130", "6 2.11130", "'6'"),
    ("energies", "frames.xyzf", "C 2.11130 2.37189", "C 2.11130", "found 6"),
    ("energies", "frames.xyzf", "10.65 10.65 10.65", "10.65 10.65 0.0", "10.65 10.65 0.0"),
    ("energies", "frames.xyzf", "10.65 10.65 10.65", "10.65 10.65 -10.65", "-10.65"),
    ("energies", "frames.xyzf", " -17685.9911359002", "", "no energy"),
    ("special", "fm_setup.in", "SPECIFIC 2", "SPECIFIC 5", "5"),
    ("special", "fm_setup.in", "SPECIFIC 2", "SPECIFIC two", "two"),
    ("special", "fm_setup.in", "SPECIFIC 2", "SPECIAL 2", "SPECIAL"),
    ("special", "fm_setup.in", "OOOHOH OH OH OO 4.00000", "OOOHOX OH OH OO 4.00000", "OOOHOX"),
    ("special", "fm_setup.in", "OOOHOH OH OH OO 4.00000", "OOOHOH OH OO OO 4.00000", "OH OO OO"),
    ("special", "fm_setup.in", "OOOHOH OH OH OO 4.00000", "OOOHOH OH OH OO -4.00000", "-4.00000"),
    ("special", "fm_setup.in", "OOOHOH OH OH OO 4.00000", "OOOHOH OH OH OO", "found 6"),
    ("special", "fm_setup.in", "OH OH OO 4.00000 4.00000", "OH OH OO 0.10000 0.10000", "0.1"),
    ("special", "fm_setup.in", "\tCUBIC", "\tQUBIC", "QUBIC"),
    ("special", "fm_setup.in", "4000.0\t\t4000.0", "4000.0\t\tx", "x"),
    ("list", "traj_list.dat", "1\n", "one\n", "one"),
    ("list", "traj_list.dat", "1\n", "2\n", "2"),
    ("list", "traj_list.dat", "2 carbon", "two carbon", "two"),
    ("list", "traj_list.dat", "2 carbon", "-2 carbon", "-2"),
    ("list", "traj_list.dat", "6000", "warm", "warm"),
    ("list", "traj_list.dat", "carbon.xyzf", "coal.xyzf", "coal.xyzf"),
    ("solve", "params.header", "ATOM PAIRS: 1", "ATOM PAIRS: x", "'x'"),
    ("solve", "params.header", "CHEBYSHEV  12", "CHEBYSHEV  11.5", "11.5"),
    ("solve", "params.header", "FCUT TYPE: CUBIC", "FCUT TYPE: CUBE", "CUBE"),
    ("solve", "params.header", "ATOM TYPES: 1", "ATOM TYPES: 1 2", "1 2"),
    ("reduce", "params.txt", "USECOUL: false", "USECOUL: perhaps", "perhaps"),
    ("reduce", "params.txt", "ATOM TYPES: 2", "ATOM TYPES: -2", "-2"),
    ("reduce", "params.txt", "ATOM PAIRS: 3", "ATOM PAIRS: 4", "4"),
    ("reduce", "params.txt", "1.7500000000000e+00", "1.7500000000000D+00", "1.7500000000000D+00"),
    ("reduce", "params.txt", "1.7500000000000e+00", "nan", "nan"),
    ("reduce", "params.txt", "0.7             4  ", "0.7             -4  ", "-4"),
    ("reduce", "params.txt", "MORSE           0.8", "MOSER           0.8", "MOSER"),
    ("reduce", "params.txt", "TERSOFF 0.5", "TERSOFF 5", "5"),
    ("reduce", "params.txt", "TRIPLETS: 4", "TRIPLETS: four", "four"),
    ("reduce", "params.txt", "TRIPLETS: 4", "TRIPLETS: 3", "3"),
    ("reduce", "params.txt", "UNIQUE: 3", "UNIQUE: 2.5", "2.5"),
    ("reduce", "params.txt", "TRIPMAPS: 8", "TRIPMAPS: 7", "7"),
    ("reduce", "params.txt", "PAIRTYPE PARAMS: 1 C C", "PAIRTYPE PARAMS: 1 C N", "C N"),
    ("reduce", "params.txt", "ENERGY OFFSET 2", "ENERGY OFFSET 3", "3"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "old", "new", "word"), WORDS)
def test_a_wrong_word_is_named_with_line_and_cure(cases, name, file, old, new, word):
    case = cases[name]
    text = case.files[file]
    assert old in text
    # The word may be behind a line end in what is put there.
    line = (
        text[: text.index(old)].count("\n") + 1 + new[: new.index(word)].count("\n")
        if word in new
        else None
    )
    said = case.attempt({file: text.replace(old, new, 1)})
    assert (said.status, said.file) == (2, file)
    assert said.line == (line or text[: text.index(old)].count("\n") + 1)
    assert word in said.fault


NUMBERS = [("A.txt", 1500, 3), ("b.txt", 1500, 0), ("weights.txt", 1500, 0)]


@pytest.mark.parametrize(("file", "row", "column"), NUMBERS)
@pytest.mark.parametrize("word", ["NaN", "1.0D+00", "********", "x", "1,5"])
def test_a_number_in_a_long_file_is_named_with_its_line(cases, file, row, column, word):
    case = cases["solve"]
    lines = case.files[file].split("\n")
    words = lines[row].split()
    words[column] = word
    said = case.attempt({file: "\n".join([*lines[:row], " ".join(words), *lines[row + 1 :]])})
    assert (said.status, said.file, said.line) == (2, file, row + 1)
    assert f"'{word}'" in said.fault


EVERY = [
    ("energies", "fm_setup.in"),
    ("energies", "frames.xyzf"),
    ("list", "traj_list.dat"),
    ("solve", "A.txt"),
    ("solve", "b.txt"),
    ("solve", "dim.txt"),
    ("solve", "params.header"),
    ("solve", "ff_groups.map"),
    ("solve", "weights.txt"),
    ("reduce", "params.txt"),
]


@pytest.mark.parametrize(("name", "file"), EVERY)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_file_that_is_cut_is_refused(cases, name, file, ends):
    case = cases[name]
    lines = case.files[file].rstrip("\n").split("\n")
    for n in (len(lines) // 3, len(lines) - 1):
        said = case.attempt({file: ends.join(lines[:n])})
        assert said.status == 2, n
        assert said.file == file or (file, said.file) in {
            ("b.txt", "weights.txt"),
            ("A.txt", "dim.txt"),
        }
        # A line is named unless there is none that is wrong.
        assert said.line is None or said.line <= max(n, 1)


@pytest.mark.parametrize(("name", "file"), [t for t in EVERY if t[1] != "dim.txt"])
def test_what_is_no_text_or_nothing_is_refused(cases, name, file):
    for what, said in cases[name].replacements(file):
        assert said.status == 2, what
        if what in {"binary", "a program", "UTF-16"}:
            assert said.line is not None, what


def test_coincident_atoms_are_refused_with_and_without_a_matrix(cases, damage):
    files = cases["energies"].files
    lines = files["frames.xyzf"].split("\n")
    first, second = lines[2].split(), lines[70].split()
    # The same place in another cell of the crystal.
    place = [f"{float(first[1]) - 10.65:.5f}", *first[2:4]]
    lines[70] = " ".join([second[0], *place, *second[4:]])
    damaged = {"frames.xyzf": "\n".join(lines)}
    answers = []
    for more in ([], ["--no-matrix"]):
        case = damage.Case(
            app, cases["energies"].folder.with_name("both"), files, ["lsq", "@fm_setup.in", *more]
        )
        said = case.attempt(damaged)
        answers.append((said.status, said.file, said.line, said.said))
    assert answers[0] == answers[1]
    assert answers[0][:3] == (2, "frames.xyzf", 71)
    assert answers[0][3] == "atoms 1 and 69 are in the same place; move or remove one"


def complaints(path):
    """Places where an InputError is made, and whether it has a cure."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in {"InputError", "AtomError"} or (name == "error" and node.args):
                yield node.lineno, any(word.arg == "cure" for word in node.keywords)


def test_every_complaint_about_a_file_has_a_cure():
    own = ["commands.py", "design.py", "design_files.py", "lennard_jones.py", "new_files.py"]
    own += ["params.py", "solve_files.py", "structure.py", "topology.py"]
    paths = [*(PACKAGE / "formats").glob("*.py"), *(PACKAGE / name for name in own)]
    found = [(path.name, line, cured) for path in paths for line, cured in complaints(path)]
    assert len(found) > 150
    assert [place[:2] for place in found if not place[2]] == []
