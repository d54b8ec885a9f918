"""Studies of the existing driver that label with VASP."""

from importlib.metadata import entry_points

import pytest
from old_studies import is_about, lines, make_old, path_without_slurm

from ald_core.registry import Registry
from ald_core.runfile import read_old, read_run_file


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch):
    monkeypatch.setenv("PATH", path_without_slurm())


@pytest.fixture(scope="module")
def registry():
    """VASP and what came with the core; whatever else is installed."""
    known = ("ald-core", "ald-chimes-lsq", "ald-chimes-md", "ald-slurm", "ald-mail", "ald-vasp")
    return Registry([p for p in entry_points(group="ald") if p.dist.name in known])


def test_what_is_missing_is_said(registry, fill, tmp_path):
    study = make_old(tmp_path, "molten_carbon")
    folder = study / "ALL_BASE_FILES/QM_BASEFILES"
    _, _, problems = lines(study / "config.py", registry)
    assert is_about(problems, "C.POTCAR", "there is no such file; copy the POTCAR of C")
    assert is_about(problems, "vasp.5.4.4/build/gam/vasp", "there is no program", "VASP_EXE")
    assert len(problems) == 2
    fill(folder, ["C"], "unused.INCAR")
    assert len(lines(study / "config.py", registry)[2]) == 1
    (folder / "6000.INCAR").unlink()
    _, _, problems = lines(study / "config.py", registry)
    assert is_about(problems, "there is no 6000.INCAR or INCAR")


@pytest.mark.parametrize(
    ("name", "elements"), [("molten_carbon", ["C"]), ("hydrogen_two_cases", ["H"])]
)
def test_options_and_files_are_taken(registry, fill, program, tmp_path, name, elements):
    study = make_old(tmp_path, name)
    folder = study / "ALL_BASE_FILES" / "QM_BASEFILES"
    fill(folder, elements, "unused.INCAR")
    config = study / "config.py"
    text = config.read_text()
    begin = text.index("VASP_EXE")
    end = text.index("\n", begin)
    config.write_text(f'{text[:begin]}VASP_EXE = "{program}"{text[end:]}')
    labeler = read_run_file(config, registry).crew.labelers["bulk"]
    assert (labeler.name, labeler.program, labeler.temperature) == ("vasp", program, None)
    assert labeler.inputs.samefile(folder)
    config.write_text(config.read_text() + "\nTHIS_SMEAR = 6000\n")
    assert read_old(config, registry).tables["labelers"]["bulk"]["temperature"] == 6000
    config.write_text(config.read_text().replace("THIS_SMEAR = 6000", "THIS_SMEAR = None"))
    assert "temperature" not in read_old(config, registry).tables["labelers"]["bulk"]
