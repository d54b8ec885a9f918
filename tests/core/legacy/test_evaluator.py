"""`config.py` is understood without being executed, and hostile ones are refused at once."""

import re
from pathlib import Path

import pytest

from ald_core.errors import InputError
from ald_core.legacy.config import read_config, strange_names
from ald_core.legacy.evaluator import MAX_BYTES, MAX_SIZE, evaluate

DEFAULTS = {
    "CHIMES_MD_SER": "CHIMES_SRCDIR + '/chimes_md'",
    "LOOP": "LOOP",
    "A_LIST": "[4] * NO_CASES",
}


def values(text, **environment):
    found = evaluate(text, Path("/study/config.py"), DEFAULTS.get, environment)
    return {name: known.value for name, known in found.assignments.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'a' + \"b\"", "ab"),
        ("['x'] * 2 + [None]", ["x", "x", None]),
        ("3 * [True]", [True, True, True]),
        ("(1, 2.5, -3)", (1, 2.5, -3)),
        ("{'a': [1], 2: 'b'}", {"a": [1], 2: "b"}),
        ("40 / 10", 4.0),
        ("7 // 2 + 7 % 4 - 2 ** 3", -2),
        ("'%s-%03d.%s' % ('a', 7, 'x')", "a-007.x"),
        ("'%.2e' % 1.0E-5", "1.00e-05"),
        ("f'{1.5:.2f} {\"b\"}'", "1.50 b"),
        ("[1, 2, 3][-1]", 3),
        ("'abcdef'[1:3]", "bc"),
        ("os.path.join('/a', 'b')", "/a/b"),
        ("os.path.dirname(os.path.abspath(__file__))", "/study"),
        ("os.getcwd()", "/study"),
        ("os.environ.get('NOWHERE', 'd')", "d"),
        ("os.environ['HOME']", "/home/me"),
        ("os.getenv('HOME')", "/home/me"),
        ("str(len(list(range(4)))) + str(int('2'))", "42"),
        ("float('1.0E-5')", 1e-5),
    ],
)
def test_values(text, value):
    found = values(f"import os\nX = {text}\n", HOME="/home/me")["X"]
    assert found == value
    assert type(found) is type(value)


def test_statements():
    text = '"""A docstring"""\nA = B = "x"\nA += "y"\nC: str = A\nA = A + B  # again\npass\n'
    assert values(text) == {"A": "xyx", "B": "x", "C": "xy"}


def test_names_have_the_value_that_they_had():
    """As in a program, and with defaults for options that have none."""
    assert values("A = 1\nB = [A] * 2\nA = 5")["B"] == [1, 1]
    assert values("CHIMES_SRCDIR = '/src'\nX = CHIMES_MD_SER")["X"] == "/src/chimes_md"
    assert values("NO_CASES = 2\nX = A_LIST")["X"] == [4, 4]


def nested(opening, closing, times):
    return f"A = {opening * times}0{closing * times}"


HOSTILE = {
    "import": ("import sys", "import"),
    "import as": ("import os as x", "import"),
    "from": ("from os import system", "import"),
    "dunder import": ("__import__('os').system('x')", "no name a value"),
    "call": ("A = open('/etc/passwd').read()", "not called"),
    "builtin": ("A = vars()", "not called"),
    "method": ("A = '{}'.format(1)", "not called"),
    "classes": ("A = ().__class__.__bases__", "not understood"),
    "documentation": ("A = 'x'.__doc__", "not understood"),
    "environment": ("A = os.environ", "not understood"),
    "lambda": ("A = (lambda: 1)()", "not called"),
    "comprehension": ("A = [i for i in range(9)]", "loop"),
    "condition": ("if True:\n  A = 1", "if is not understood"),
    "loop": ("while True:\n  pass", "while"),
    "function": ("def f():\n  return 1", "def"),
    "star": ("A = [*range(3)]", "not understood"),
    "keyword": ("A = int(x=1)", "this call"),
    "unpacking": ("A, B = 1, 2", "only a name"),
    "attribute": ("os.path = 1", "only a name"),
    "dunder name": ("__builtins__ = 1", "cannot be given"),
    "text by number": ("A = 'x' * 10 ** 10", "longer than"),
    "list by number": ("A = [[0] * 1000] * 1000", "longer than"),
    "power": ("A = 10 ** 10 ** 10", "too large"),
    "power of power": ("A = 9 ** 300\nB = A ** 300", "too large"),
    "products": ("A = 9 ** 300\n" + "A = A * A\n" * 40, "too large"),
    "infinite": ("A = 1e308 * 10", "not finite"),
    "not a number": ("A = float('nan')", "not finite"),
    "complex": ("A = (-2) ** 0.5", "complex"),
    "zero": ("A = 1 / 0", "division"),
    "doubling text": ("A = 'ab'\n" + "A = A + A\n" * 60, "longer than"),
    "doubling lists": ("A = [0]\n" + "A = [A, A]\n" * 60, "longer than|too much"),
    "wide format": ("A = '%1000000000d' % 1", "format"),
    "width from outside": ("A = '%*d' % (10 ** 9, 1)", "format"),
    "wide f-string": ("A = f'{1:1000000000}'", "too long"),
    "nested f-string": ("A = f'{1:{10 ** 9}}'", "f-string"),
    "range": ("A = range(10 ** 12)", "too many"),
    "brackets": (nested("[", "]", 90), "deeply nested"),
    "many brackets": (nested("(", ")", 5000), "is no Python"),
    "signs": (f"A = {'-' * 100_000}1", "is no Python|deeply"),
    "sums": ("A = " + "1+" * 20_000 + "1", "is no Python|deeply"),
    "attributes": ("A = a" + ".b" * 30_000, "is no Python|not understood"),
    "long literal": ("A = " + "9" * 100_000, "is no Python"),
    "large": ("A = 1\n" * MAX_BYTES, "larger than"),
    "long": ("A = [" + "1," * MAX_SIZE + "]", "longer than"),
    "null": ("A = '\0'", "is no Python"),
    "undefined": ("A = B", "B has no value"),
    "circle": ("A = LOOP", "LOOP has no value"),
    "bytes": ("A = b'x'", "no number or text"),
    "syntax": ("A = 1.0s", "column"),
    "half": ("A = [1,\n", "is no Python"),
    "kinds": ("A = 'a' + 1", "put together"),
    "mixed product": ("A = 'a' * 1.5", "cannot be multiplied"),
    "item": ("A = [1][4]", "no such item"),
    "missing variable": ("A = os.environ['NOWHERE']", "no variable NOWHERE"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_anything_else_is_refused(name):
    text, message = HOSTILE[name]
    with pytest.raises(InputError) as caught:
        values(text)
    assert re.search(message, str(caught.value)), caught.value
    assert len(str(caught.value)) < 400


def test_the_line_is_named(tmp_path):
    path = tmp_path / "config.py"
    path.write_text("# a comment\nA = 1\n\nB = open('x')\n")
    with pytest.raises(
        InputError, match=r"config\.py, line 4: open\(…\) is not called here.*--trust-config"
    ):
        read_config(path)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"A = '\xe9'"])
def test_a_file_that_is_no_text(tmp_path, raw):
    path = tmp_path / "config.py"
    path.write_bytes(raw)
    with pytest.raises(InputError, match="cannot be read"):
        read_config(path)


def test_a_trusted_file_is_executed(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(
        "import math\nprint('hello')\nATOM_TYPES = [e for e in ('C', 'N')]\nPI = math.pi\nF = open\n_X = 1\n"
    )
    config = read_config(path, trust=True)
    assert config.value("ATOM_TYPES") == ["C", "N"]
    assert config.place("ATOM_TYPES") == "ATOM_TYPES, line 3"
    assert set(config.evaluated.assignments) == {"ATOM_TYPES", "PI"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("1 / 0", "ZeroDivisionError"), ("exit(3)", "SystemExit"), ("import os; os._exit(0)", "ended the program")],
)  # fmt: skip
def test_a_trusted_file_that_fails(tmp_path, text, message):
    path = tmp_path / "config.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(path, trust=True)


# ---------------------------------------------------------------- options


def config(tmp_path, text, **environment):
    path = tmp_path / "config.py"
    path.write_text(text)
    return read_config(path, environment=environment)


def test_defaults_are_those_of_the_code(tmp_path):
    found = config(tmp_path, "NO_CASES = 2\nHPC_PPN = 48\nWORKING_DIR = '/far/away'\n")
    assert found.value("CHIMES_SOLVE_PPN") == 48
    assert found.value("MD_QUEUE") == ["pbatch", "pbatch"]
    assert found.value("MEM_CYCL") == 4.0
    assert found.value("QM_FILES") == "/far/away/ALL_BASE_FILES/QM_BASEFILES"
    assert found.file("QM_FILES") == tmp_path / "ALL_BASE_FILES/QM_BASEFILES"
    assert found.value("VASP_EXE") is None
    assert found.problems == []


@pytest.mark.parametrize(
    ("text", "value"), [("", -1), ("0", 0), ("3", 3), ("-1", 1000), ("-7", 1000)]
)
def test_stresses_of_new_frames(tmp_path, text, value):
    """A negative cycle means never if it is given, and always if nothing is."""
    line = f"USE_AL_STRS = {text}" if text else ""
    assert config(tmp_path, line).value("USE_AL_STRS") == value


@pytest.mark.parametrize(
    ("working_dir", "given"),
    [
        ("/far/study/", "WORKING_DIR + 'ALL_BASE_FILES/X/'"),
        ("/far/study", "WORKING_DIR + 'ALL_BASE_FILES/X'"),
        ("/far/study/", "WORKING_DIR + '/ALL_BASE_FILES/X'"),
        ("/far/study", "'ALL_BASE_FILES/X'"),
    ],
)
def test_paths_are_those_of_the_study_where_it_is(tmp_path, working_dir, given):
    found = config(tmp_path, f"WORKING_DIR = '{working_dir}'\nQM_FILES = {given}\n")
    assert found.file("QM_FILES") == tmp_path / "ALL_BASE_FILES" / "X"
    assert found.in_study(found.file("QM_FILES")) == "ALL_BASE_FILES/X"
    assert config(tmp_path, "QM_FILES = '/elsewhere'").file("QM_FILES") == Path("/elsewhere")
    beside = config(tmp_path, "WORKING_DIR = '/far/study'\nQM_FILES = '/far/study2/X'")
    assert beside.file("QM_FILES") == Path("/far/study2/X")


def test_values_are_read_as_they_are_meant(tmp_path):
    found = config(
        tmp_path,
        "REGRESS_VAR = ' 1.0E-5 '\nHPC_PPN = '36'\nSEED = 2.0\nATOM_TYPES = 'C'\nMD_NODES = 2\n",
    )
    assert found.number("REGRESS_VAR") == 1e-5
    assert (found.whole("HPC_PPN"), found.whole("SEED"), found.texts("ATOM_TYPES")) == (
        36,
        2,
        ["C"],
    )
    assert found.per_case("MD_NODES", 3, int, "a whole number") == [2, 2, 2]
    assert found.problems == []


def test_values_of_a_wrong_type_are_problems(tmp_path):
    text = "HPC_PPN = 'many'\nSEED = 1.5\nATOM_TYPES = 3\nDO_CLUSTER = 'yes'\nMD_NODES = [1]\nHPC_SYSTEM = []\n"
    found = config(tmp_path, text)
    found.whole("HPC_PPN")
    found.whole("SEED")
    found.texts("ATOM_TYPES")
    found.flag("DO_CLUSTER")
    found.per_case("MD_NODES", 2, int, "a whole number")
    found.text("HPC_SYSTEM")
    found_places = [re.findall(r", line (\d): (\w+):", p)[0] for p in found.problems]
    assert found_places == [
        ("1", "HPC_PPN"), ("2", "SEED"), ("3", "ATOM_TYPES"), ("4", "DO_CLUSTER"),
        ("5", "MD_NODES"), ("6", "HPC_SYSTEM"),
    ]  # fmt: skip


def test_unknown_names(tmp_path):
    text = "N_HYPER_SET = 1\nMINE = 'a'\nHPC_PYTHON = MINE\nFURTHER = 3\n"
    assert strange_names(config(tmp_path, text)) == [
        "line 1: N_HYPER_SET is no option, and has no effect; did you mean 'N_HYPER_SETS'?",
        "line 4: FURTHER is no option, and has no effect",
    ]
