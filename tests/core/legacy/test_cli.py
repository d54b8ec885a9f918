"""The command line finds old studies, and makes new ones of them and of templates."""

import shutil
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ald_core import cli
from ald_core.errors import InputError
from ald_core.registry import Registry
from ald_core.runfile import read_run_file
from ald_core.templates import new_from_template, templates

OLD = Path(__file__).parents[2] / "data" / "legacy" / "studies" / "molten_carbon"


def ald(*arguments):
    """Text, exit status and exception of a command."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    if isinstance(result.exception, InputError):
        return str(result.exception)
    assert result.exception is None, result.exception
    return result.output


@pytest.fixture
def old(tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(OLD, folder, copy_function=shutil.copyfile)
    (folder / "config.txt").rename(folder / "config.py")
    return folder


def test_the_run_file_of_a_folder(old, tmp_path):
    assert cli.run_file_of(old) == old / "config.py"
    assert cli.run_file_of(old / "config.py") == old / "config.py"
    (old / "ald.toml").write_text("")
    assert cli.run_file_of(old) == old / "ald.toml"
    (tmp_path / "config.py").write_text("")
    assert cli.run_file_of(tmp_path) == tmp_path / "ald.toml"


def test_what_is_wrong_with_an_old_study(old):
    said = ald("check", old)
    assert "liquid_6000K_2.0gcc.xyzf" in said
    assert "C.POTCAR: there is no such file" in said
    assert "has not been run yet" in ald("status", old)


def test_trust(old):
    text = (old / "config.py").read_text()
    (old / "config.py").write_text(text.replace('["C"]', '[e for e in "C"]'))
    assert "a list made in a loop is not understood" in ald("check", old)
    assert "C.POTCAR: there is no such file" in ald("check", old, "--trust-config")
    assert "a list made in a loop" in ald("new", old.parent / "new", "--from", old)
    assert "made " in ald("new", old.parent / "new", "--from", old, "--trust-config")


def test_trust_wherever_a_study_is_read(old):
    text = (old / "config.py").read_text()
    (old / "config.py").write_text(text.replace('["C"]', '[e for e in "C"]'))
    (old / "ald.toml").write_text('config = "config.py"\n[scheduler]\nuse = "local"\n')
    base = old / "ALL_BASE_FILES"
    frame = "2\n8.0 8.0 8.0\nC 0.0 0.0 0.0 0.1 0.1 0.1\nC 1.5 0.0 0.0 0.1 0.1 0.1\n"
    (base / "ALC-0_BASEFILES" / "liquid_6000K_2.0gcc.xyzf").write_text(25 * frame)
    structure = base / "CHIMESMD_BASEFILES" / "case-0.indep-0.input.xyz"
    structure.write_text("2\n8.0 8.0 8.0\nC 0.0 0.0 0.0\nC 1.5 0.0 0.0\n")
    for words in (["cite", old], ["stop", old, "--jobs"]):
        assert "a list made in a loop is not understood" in ald(*words)
    assert "doi:10.1021/acs.jctc.7b00867" in ald("cite", old, "--trust-config")
    said = ald("stop", old, "--jobs", "--trust-config")
    assert said == "no `ald run` is at work in this study; it has never been run\n"


def test_a_study_from_an_old_one(old, tmp_path):
    said = ald("new", tmp_path / "new", "--from", old)
    assert f"made {tmp_path / 'new' / 'ald.toml'}" in said
    assert "note: " in said
    assert (tmp_path / "new" / "inputs" / "QM_BASEFILES" / "6000.INCAR").is_file()
    assert "exists already" in ald("new", tmp_path / "new", "--from", old / "config.py")
    assert "no such file" in ald("new", tmp_path / "other", "--from", tmp_path)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", sorted(templates()))
def test_templates_are_studies(name, tmp_path):
    assert "made " in ald("new", tmp_path / "study", "--template", name)
    made = tmp_path / "study" / "ald.toml"
    runfile = read_run_file(made, Registry())
    assert runfile.cases
    assert runfile.crew.labelers["bulk"].name == "ase"
    assert tomllib.loads(made.read_text())["study"]["cycles"] > 0


def test_mistakes(tmp_path):
    assert "give either --template" in ald("new", tmp_path / "new")
    assert "did you mean 'molten_carbon'?" in ald("new", tmp_path / "new", "--template", "molten")
    (tmp_path / "inputs").mkdir()
    with pytest.raises(InputError, match="exists already"):
        new_from_template("molten_carbon", tmp_path)
