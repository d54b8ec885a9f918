"""What becomes of MOLANAL, its species and its files."""

import tomllib

import pytest
from old_studies import is_about, lines

from ald_core.errors import InputErrors
from ald_core.inspection import plan
from ald_core.legacy import new_from
from ald_core.registry import Registry
from ald_core.runfile import read_old, read_run_file

ASE = 'config = "config.py"\n[labelers.bulk]\nuse = "ase"\n[scheduler]\nuse = "local"\n'
FOLDER = "ALL_BASE_FILES/CHIMESMD_BASEFILES"


@pytest.fixture
def hydrogen(old):
    """A study with MOLANAL whose labels can be made here; gets a `config.py` with changes."""

    def make(*changes):
        study = old("hydrogen_two_cases", *changes)
        (study / "ald.toml").write_text(ASE)
        return study

    return make


def md_of(study):
    return read_old(study / "config.py", Registry()).tables["md"]


def test_molanal_becomes_bonds_and_species(hydrogen):
    study = hydrogen()
    runfile = read_run_file(study / "ald.toml", Registry())
    assert runfile.crew.md.bonds == study / FOLDER / "bonds.dat"
    assert runfile.crew.md.species == ("H1",)
    said, _, _ = lines(study / "ald.toml")
    assert not any(" MOLANAL" in line for line in said)
    warnings = plan(study / "ald.toml", Registry()).warnings
    assert is_about(warnings, "case[0]: bonds: has no length for H-H")
    assert is_about(warnings, "case[1]: bonds: has no length for H-H")


def test_without_molanal_nothing_is_looked_for(hydrogen, old):
    assert not {"bonds", "species"} & set(md_of(old("molten_carbon")))
    off = hydrogen(('MOLANAL_SPECIES = ["H1"]', "RUN_MOLANAL = False; MOLANAL_SPECIES = ['H1']"))
    assert not {"bonds", "species"} & set(md_of(off))
    assert is_about(lines(off / "ald.toml")[2], "would run 3 cycles")


def test_species_of_old_studies(old):
    assert md_of(old("cluster_water"))["species"] == ["H2O", "H3O", "OH"]
    assert md_of(old("silica_cp2k"))["species"] == ["O1", "Si1"]


def test_empty_names_are_no_species(hydrogen):
    assert "species" not in md_of(hydrogen(('MOLANAL_SPECIES = ["H1"]', "MOLANAL_SPECIES = ['']")))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("['steam']", ["'steam' is no molecule", "line 88", "H2O"]),
        ("[1, 2]", ["a list of names is needed, not '[1, 2]'", "line 88"]),
        ("{}", ["a list of names is needed, not '{}'", "line 88"]),
    ],
)
def test_wrong_species_are_refused_with_their_line(hydrogen, value, words):
    study = hydrogen(('MOLANAL_SPECIES = ["H1"]', f"MOLANAL_SPECIES = {value}"))
    assert is_about(lines(study / "ald.toml")[2], *words)


def test_a_file_of_bonds_that_is_wrong_or_missing(hydrogen):
    study = hydrogen()
    path = study / FOLDER / "bonds.dat"
    path.write_text(path.read_text().replace("C N", "C Qq"))
    assert is_about(
        lines(study / "ald.toml")[2], f"{path}, line 6: 'Qq' is not an element", "MOLANAL, line 87"
    )
    path.unlink()
    with pytest.raises(InputErrors, match=f"md.bonds: there is no file {path} .MOLANAL, line 87."):
        plan(study / "ald.toml", Registry())


def test_frames_are_not_skipped(hydrogen):
    study = hydrogen()
    (study / FOLDER / "case-0.skip.dat").write_text("1\n1\n1000000000\n0\n")
    (study / FOLDER / "case-1.skip.dat").write_text("5\n1\n1000000000\n0\n")
    _, warnings, _ = lines(study / "ald.toml")
    assert is_about(
        warnings, "case-1.skip.dat: is not read; molecules are looked for in every frame"
    )
    assert not any("case-0.skip.dat" in text for text in warnings)


def test_a_study_made_of_it_has_them_too(hydrogen, tmp_path):
    made = new_from(hydrogen(), tmp_path / "new", Registry())
    text = made.run_file.read_text()
    md = tomllib.loads(text)["md"]
    assert md["bonds"] == "inputs/CHIMESMD_BASEFILES/bonds.dat"
    assert md["species"] == ["H1"]
    assert "# MOLANAL, line 87" in text
    assert (tmp_path / "new" / md["bonds"]).is_file()
