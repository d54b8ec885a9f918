"""The input format of DFTB+."""

import pytest

from ald_core.errors import InputError
from ald_dftb.hsd import parse, with_statement, without

TEXT = """# of a user
Hamiltonian = DFTB {   # {
  Filling = Fermi { Temperature [Kelvin] = 300.0 }
  MaxAngularMomentum { C = "p"; O = 'p' }
  KPointsAndWeights = SupercellFolding {
    2 0 0
    0 2 0
    0 0 2
    0.5 0.5 0.5
  }
}
Options {}
"""


def test_statements_are_found_whatever_their_letters():
    root = parse(TEXT)
    temperature = root.find("hamiltonian", "FILLING", "temperature")
    assert (temperature.unit, temperature.value, temperature.line) == ("Kelvin", "300.0", 3)
    assert root.find("Hamiltonian").method == "DFTB"
    assert root.find("Hamiltonian", "MaxAngularMomentum", "O").words == ["p"]
    folding = root.find("Hamiltonian", "KPointsAndWeights")
    assert [line.value for line in folding.children] == [
        "2 0 0",
        "0 2 0",
        "0 0 2",
        "0.5 0.5 0.5",
    ]
    assert root.find("Options").children == ()
    assert root.find("Driver", "Steps") is None


def test_a_change_leaves_everything_else_as_it_is():
    changed = with_statement(TEXT, ("Hamiltonian", "Filling"), "Temperature", "Temperature = 0.1")
    assert changed == TEXT.replace("Temperature [Kelvin] = 300.0", "Temperature = 0.1")
    changed = with_statement(TEXT, ("Hamiltonian",), "SCC", "SCC = Yes")
    assert without(changed, "Hamiltonian", "SCC").split() == TEXT.split()
    assert parse(changed).find("Hamiltonian", "SCC").is_true
    changed = with_statement(TEXT, ("Options",), "WriteResultsTag", "WriteResultsTag = Yes")
    assert parse(changed).find("Options", "WriteResultsTag").is_true
    changed = with_statement(TEXT, ("ParserOptions",), "A", "A = 1")
    assert changed.startswith(TEXT)
    assert parse(changed).find("ParserOptions", "A").value == "1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Options {\n", "in, line 2: a block has no end; add the missing }"),
        ("Options {}\n}\n", "in, line 2: a } without a {; remove it, or add the {"),
        ('a = "x\n', 'in, line 1: a " without an end; add the "'),
        ("a [eV = 1\n", "in, line 1: a [ without an end; add the ]"),
        ("+Options { a = 1 }\n", "in, line 1: +Options: statements that change earlier ones"),
        ("{ a = 1 }\n", "in, line 1: a block without a name"),
        ("a {" * 70, "in, line 1: blocks in blocks, too deep"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, message):
    with pytest.raises(InputError) as error:
        parse(text, "in")
    assert str(error.value).startswith(message)
