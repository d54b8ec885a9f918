"""INCAR files: what they say, and how they are changed."""

import pytest

from ald_core.errors import InputError
from ald_vasp.incar import AS_IT_IS, parse_incar, read_incar
from ald_vasp.rules import algorithm_of, changed_incar, rung_settings

TEXT = """\
   ICHARG  = 0 job   : 0-new  1-cont  2-samecut
   #KPAR   = 4
   ENCUT = 1.0D3 ; ismear=-1  # both; EDIFF = 1
   SIGMA =  .17234561886677719057
MAGMOM = 0.0 0.0 \\
         3*1.5 2
   IALGO = 48 #  Normal # IALGO  = 38 algorithm
   TEBEG  = 6000.0 !Starting temperature
a line that means nothing
"""


def said(text):
    return [(s.tag, s.value, s.line) for s in parse_incar(text).statements]


def test_statements():
    assert said(TEXT) == [
        ("ICHARG", "0 job   : 0-new  1-cont  2-samecut", 1),
        ("ENCUT", "1.0D3", 3),
        ("ISMEAR", "-1", 3),
        ("SIGMA", ".17234561886677719057", 4),
        ("MAGMOM", "0.0 0.0           3*1.5 2".replace("           ", "  "), 5),
        ("IALGO", "48", 7),
        ("TEBEG", "6000.0", 8),
    ]
    incar = parse_incar(TEXT)
    assert incar.get("ICHARG").number == 0
    assert incar.get("ENCUT").number == 1000
    assert incar.get("SIGMA").number == 0.17234561886677719
    assert incar.get("MAGMOM").count == 6
    assert incar.get("KPAR") is None


def test_nothing_else_is_changed():
    incar = parse_incar(TEXT)
    assert incar.changed({}) == TEXT
    assert incar.changed({"NELM": "40"}) == TEXT + "NELM = 40\n"
    changed = incar.changed({"ALGO": "Normal"}, ["IALGO", "ISMEAR", "MAGMOM"])
    assert changed == (
        "   ICHARG  = 0 job   : 0-new  1-cont  2-samecut\n"
        "   #KPAR   = 4\n"
        "ENCUT = 1.0D3  # both; EDIFF = 1\n"
        "   SIGMA =  .17234561886677719057\n"
        "#  Normal # IALGO  = 38 algorithm\n"
        "   TEBEG  = 6000.0 !Starting temperature\n"
        "a line that means nothing\n"
        "ALGO = Normal\n"
    )
    assert parse_incar(changed).get("ALGO").word == "Normal"


def test_a_last_line_without_an_end():
    assert parse_incar("NSW = 0").changed({"NELM": "40"}) == "NSW = 0\nNELM = 40\n"


def test_two_statements_that_differ():
    incar = parse_incar("NSW = 0\nSIGMA = 0.1; SIGMA = 0.2\nNSW = 0 # again\n")
    found = incar.contradictions(("NSW", "SIGMA", "ISMEAR"))
    assert found == ["SIGMA is given several times, in lines 2 and 2; remove all but one"]


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"x" * 2_000_000, None])
def test_what_cannot_be_read(tmp_path, content):
    path = tmp_path / "INCAR"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=r"INCAR: .*; give"):
        read_incar(path)


def test_comments_in_any_encoding_and_line_ends_of_dos(tmp_path):
    path = tmp_path / "INCAR"
    path.write_bytes("ENCUT = 400 ! für Å\r\nNSW = 0\r\n".encode("latin-1"))
    incar = read_incar(path)
    assert incar.get("ENCUT").value == "400"
    changed = incar.changed({"NELM": "40"}).encode(errors=AS_IT_IS)
    assert changed == "ENCUT = 400 ! für Å\nNSW = 0\nNELM = 40\n".encode("latin-1")


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        ("", "Normal"),
        ("ALGO = NORMAL # IALGO 48 algorithm", "Normal"),
        ("ALGO = Very_Fast", "VeryFast"),
        ("ALGO = F", "Fast"),
        ("IALGO = 48", "VeryFast"),
        ("IALGO = 38     # Normal", "Normal"),
        ("ALGO = All; IALGO = 48", "All"),
        ("ALGO = Exact", None),
        ("ALGO = None", None),
        ("IALGO = 4", None),
    ],
)
def test_algorithms(text, algorithm):
    assert algorithm_of(parse_incar(text)) == algorithm


@pytest.mark.parametrize(
    ("text", "rungs"),
    [
        ("IALGO = 48\nNELM = 200", [("Normal", 400), ("All", 400), ("Damped", 400), ("Damped", 400)]),
        ("ALGO = Normal", [("All", 120), ("Damped", 120), ("Damped", 120)]),
        ("ALGO = All", [("Normal", 120), ("Damped", 120)]),
    ],
)  # fmt: skip
def test_rungs_change_the_algorithm_and_the_number_of_steps(text, rungs):
    incar = parse_incar(text)
    chosen = ("Normal", "All", "Damped")
    assert rung_settings(incar, chosen, 0) == {}
    for rung, (algo, nelm) in enumerate(rungs, start=1):
        found = rung_settings(incar, chosen, rung)
        assert found == {"ALGO": algo, "NELM": str(nelm)}
        written = parse_incar(changed_incar(incar, found))
        assert [s.word for s in written.all("ALGO")] == [algo]
        assert [s.word for s in written.all("NELM")] == [str(nelm)]
        assert written.get("IALGO") is None


def test_without_another_algorithm_there_are_more_steps():
    assert rung_settings(parse_incar("ALGO = All"), ("All",), 1) == {"NELM": "120"}
    assert rung_settings(parse_incar("ALGO = All"), (), 2) == {"NELM": "120"}


def test_large_files_are_not_written_unless_they_are_asked_for():
    assert changed_incar(parse_incar("LCHARG = T\n"), {}) == "LCHARG = T\nLWAVE = .FALSE.\n"
