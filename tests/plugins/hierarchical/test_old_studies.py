"""Old studies with DO_HIERARCH and FIT_CORRECTION: what becomes of their options, and what is said of them."""

import shutil
from pathlib import Path

import pytest
from old_studies import is_about, lines, make_old

from ald_core.errors import InputErrors
from ald_core.registry import Registry
from ald_core.runfile import read_old, read_run_file

INPUTS = Path(__file__).parents[3] / "examples" / "hierarchical_CN" / "inputs"
CORRECTION = """\
FIT_CORRECTION = True
CORRECTED_TYPE = 'DFTB+'
CORRECTED_TYPE_FILES = WORKING_DIR + 'base'
CORRECTED_TYPE_EXE = '{}'
CORRECTED_TEMPS_BY_FILE = False
"""


@pytest.fixture
def study(tmp_path):
    """The example with its real tiles."""
    folder = make_old(tmp_path, "hierarchical_CN")
    for element in "CN":
        name = f"{element}.params.txt.reduced"
        shutil.copyfile(INPUTS / name, folder / "ALL_BASE_FILES" / "HIERARCH_PARAMS" / name)
    return folder


def fitter_problems(path):
    with pytest.raises(InputErrors) as caught:
        read_run_file(path, Registry(), cycles=0)
    return list(caught.value.problems)


def test_the_options_of_a_hierarchical_study(study):
    tables = read_old(study / "config.py", Registry()).tables
    fitter = dict(tables["fitter"])
    inner = fitter.pop("inner")
    folder = "ALL_BASE_FILES/HIERARCH_PARAMS"
    tiles = [f"{folder}/{element}.params.txt.reduced" for element in "CN"]
    assert fitter == {"use": "hierarchical", "tiles": tiles}
    assert inner["use"] == "chimes"
    assert inner["setup"] == "ALL_BASE_FILES/ALC-0_BASEFILES/fm_setup.in"
    assert (inner["alpha"], inner["normalize"], inner["algorithm"]) == (1e-5, True, "lasso")
    crew = read_run_file(study / "config.py", Registry(), cycles=0, ready=False).crew
    assert crew.fitter.inner.alpha == 1e-5
    assert [path.name[0] for path in crew.fitter.tiles] == ["C", "N"]
    said, _, problems = lines(study / "config.py", Registry())
    assert all("POTCAR" in p or "vasp" in p for p in problems)  # which no example has
    assert is_about(said, "not needed", "HIERARCH_EXE", "embedded engine")
    assert not any("HIERARCH_PARAM_FILES" in text or "missing" in text for text in said)


def test_what_is_wrong_with_tiles_is_told_once(study):
    setup = study / "ALL_BASE_FILES/ALC-0_BASEFILES/fm_setup.in"
    text = setup.read_text()
    setup.write_text(text.replace("CHEBYSHEV 25 10 4", "CHEBYSHEV 22 10 4"))
    problems = fitter_problems(study / "config.py")
    assert is_about(problems, "fm_setup.in, line ", "22", "25", "N.params.txt.reduced")
    setup.write_text(text)
    (study / "ALL_BASE_FILES/HIERARCH_PARAMS/C.params.txt.reduced").unlink()
    problems = fitter_problems(study / "config.py")
    assert is_about(problems, "fitter.tiles: there is no file", "C.params.txt.reduced", "line 82")


def test_tiles_must_be_named(tmp_path):
    names = "HIERARCH_PARAM_FILES = ['C.params.txt.reduced', 'N.params.txt.reduced']"
    study = make_old(tmp_path, "hierarchical_CN", (names, ""))
    assert any("fitter.tiles" in problem for problem in fitter_problems(study / "config.py"))


def with_correction(tmp_path, program="true", change=("", "")):
    more = CORRECTION.format(program).replace(*change)
    study = make_old(tmp_path, "molten_carbon", ("MD_PPN ", f"{more}MD_PPN "))
    (study / "base").mkdir()
    return study


def test_the_options_of_a_correction(tmp_path):
    study = with_correction(tmp_path, "/opt/dftb+")
    tables = read_old(study / "config.py", Registry()).tables
    assert tables["fitter"]["use"] == "correction"
    assert tables["fitter"]["inner"]["use"] == "chimes"
    assert tables["fitter"]["baseline"] == {
        "use": "dftb", "inputs": "base", "program": "/opt/dftb+"
    }  # fmt: skip
    problems = fitter_problems(study / "config.py")
    assert any("fitter.baseline: " in p and "dftb_in.hsd" in p for p in problems)
    assert is_about(problems, "md.use", "cannot read models of format 'chimes-correction'")
    assert is_about(problems, "fitter.baseline.program", "/opt/dftb+")


def test_a_correction_without_its_method(tmp_path):
    study = with_correction(tmp_path, change=("'DFTB+'", "'XTB'"))
    problems = fitter_problems(study / "config.py")
    assert is_about(problems, "CORRECTED_TYPE", "'XTB' is none of DFTB, DFTB+")


def test_both_at_once(tmp_path):
    names = "DO_HIERARCH = True"
    more = CORRECTION.format("true")
    study = make_old(tmp_path, "hierarchical_CN", (names, f"{names}\n{more}"))
    tables = read_old(study / "config.py", Registry()).tables
    assert tables["fitter"]["use"] == "correction"
    assert tables["fitter"]["inner"]["use"] == "hierarchical"
    assert len(tables["fitter"]["inner"]["tiles"]) == 2
    assert tables["fitter"]["inner"]["inner"]["use"] == "chimes"
