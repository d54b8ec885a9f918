"""What is wrong with a study of the existing driver is found before any job."""

import random

import pytest
from old_studies import (
    PLAIN,
    is_about,
    lines,
    without_labelers,
    xyzf,
)

from ald_core.errors import InputError, InputErrors
from ald_core.runfile import read_run_file

# ---------------------------------------------------------------- what is wrong

SETUP = "ALL_BASE_FILES/ALC-0_BASEFILES/fm_setup.in"
LIST = "ALL_BASE_FILES/ALC-0_BASEFILES/traj_list.dat"
MD = "ALL_BASE_FILES/CHIMESMD_BASEFILES/case-0.indep-0"
FAULTS = {
    "more frames than listed": (SETUP, "\t25\n", "\t26\n", "fm_setup.in, line 8: NFRAMES is 26.*25 frames"),
    "fewer frames than listed": (SETUP, "\t25\n", "\t20\n", "NFRAMES is 20.*only the first"),
    "list too long": (LIST, "25 ", "30 ", "traj_list.dat, line 2: 30 frames are announced.*has 25"),
    "number of files": (LIST, "1\n", "2\n", "traj_list.dat, line 1: 2 files are announced, but 1"),
    "words of a line": (LIST, "\t6000", " 6000 G_", "line 2: a line is 'frames file"),
    "no temperature": (LIST, "\t6000", "", "line 2 must have the temperature of case 0"),
    "temperature": (LIST, "\t6000", " warm", "line 2: the temperature is warm"),
    "half gas": (LIST, "\t6000", " 6000 G_ None G_", "all three flags"),
    "another file": (LIST, "liquid_6000K", "solid", "line 2: there is no file"),
    "two temperatures": (f"{MD}.run_md.in", "6000", "3000", "line 9: MD of case 0 is run at 3000 K.*6000 K"),
    "energies": (SETUP, "# FITENER # \n        false", "# FITENER # \n true", "energies are to be fitted, but 25"),
    "stresses": (SETUP, "# FITSTRS #\n\tfalse", "# FITSTRS #\n\tALL", "stresses are to be fitted, but 25"),
    "one trajectory": (SETUP, "MULTI traj_list.dat", "MULTI other.dat", "line 4: TRJFILE must be"),
    "elements": ("config.py", '["C"]', '["C", "O"]', "NATMTYP is 1, but ATOM_TYPES has 2"),
    "too few elements": ("config.py", '["C"]', '["N"]', "holds C, not among ATOM_TYPES"),
    "cases": ("config.py", "NO_CASES       = 1", "NO_CASES = 2", "NO_CASES: .* must be those of 2 cases, but it has 1"),
    "no case": ("config.py", "NO_CASES       = 1", "NO_CASES = 0", "at least one case"),
    "md": ("config.py", "MD_PPN", "MD_STYLE = 'GROMACS'\nMD_PPN", "MD_STYLE: 'GROMACS' is none of"),
    "method": ("config.py", "MD_PPN", "BULK_QM_METHOD = 'vasp'\nMD_PPN", "BULK_QM_METHOD: 'vasp' is none of"),
    "algorithm": ("config.py", "MD_PPN", "REGRESS_ALG = 'magic'\nMD_PPN", "REGRESS_ALG: 'magic' is none of"),
    "style": ("config.py", "MD_PPN", "STRS_STYLE = 'SOME'\nMD_PPN", "STRS_STYLE: 'SOME' is neither"),
    "stress cycle": ("config.py", "MD_PPN", "USE_AL_STRS = False\nMD_PPN", "USE_AL_STRS: a number of a cycle"),
    "weight": ("config.py", "MD_PPN", "WEIGHTS_ENER = [['B'], [[1.0]]]\nMD_PPN", "WEIGHTS_ENER: style B takes 2"),
    "rows": ("config.py", "MD_PPN", "WEIGHTS_SET_ALC_0 = True\nMD_PPN", "WEIGHTS_ALC_0 must name"),
    "smearing": ("config.py", "MD_PPN", "THIS_SMEAR = 300\nMD_PPN", "THIS_SMEAR: labels are made at the temperature"),
    "stop": ("config.py", "MD_PPN", "STOP_AFTER = 'RUN_MD'\nMD_PPN", "STOP_AFTER: ald cannot stop"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found_before_any_job(old, name):
    file, before, after, message = FAULTS[name]
    study = old("molten_carbon")
    for trajectory in (study / LIST).parent.glob("*.xyzf"):
        trajectory.write_text(xyzf(25, "CC", PLAIN))
    text = (study / file).read_text()
    assert before in text
    (study / file).write_text(text.replace(before, after, 1))
    with pytest.raises(InputErrors, match=message):
        read_run_file(study / "config.py", without_labelers())


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (f"{MD}.run_md.in", r"case\[0\].input: there is no file .*run_md.in \(.*MDFILES"),
        (f"{MD}.input.xyz", r"case\[0\].structure: there is no file .*input.xyz"),
        (LIST, "traj_list.dat: there is no such file"),
        (SETUP, "fm_setup.in"),
        ("ALL_BASE_FILES/QM_BASEFILES/6000.INCAR", "no 6000.INCAR for 6000 K"),
        ("ALL_BASE_FILES/QM_BASEFILES/KPOINTS", "no 6000.KPOINTS or KPOINTS"),
    ],
)
def test_missing_files(old, file, message):
    study = old("molten_carbon")
    (study / file).unlink()
    with pytest.raises(InputErrors, match=message):
        read_run_file(study / "config.py", without_labelers())


@pytest.mark.parametrize("cut", range(0, 1100, 29))
def test_a_config_that_is_cut_off_gives_one_sentence(old, cut):
    """Or a study, but never a traceback."""
    study = old("molten_carbon")
    text = (study / "config.py").read_text()
    (study / "config.py").write_text(text[:cut])
    with pytest.raises(InputError):
        read_run_file(study / "config.py", without_labelers())


def test_what_must_be_given(old):
    study = old("molten_carbon", ("NO_CASES       = 1", ""))
    with pytest.raises(InputError, match="NO_CASES"):
        read_run_file(study / "config.py", without_labelers())


def test_weights_of_rows_are_those_of_the_starting_set(old):
    path = "WEIGHTS_ALC_0 = WORKING_DIR + 'ALL_BASE_FILES/weights.dat'"
    study = old("molten_carbon", ("MD_PPN ", f"WEIGHTS_SET_ALC_0 = True\n{path}\nMD_PPN "))
    _, _, problems = lines(study / "config.py")
    assert is_about(problems, "weighting[0].file: there is no file", "WEIGHTS_ALC_0, line ")
    (study / "ALL_BASE_FILES/weights.dat").write_text("1.0\n" * 150)
    runfile = read_run_file(study / "config.py", without_labelers(), cycles=0)
    rows, formula = runfile.crew.weightings
    assert (rows.name, rows.sources) == ("rows", ("liquid_6000K_2.0gcc",))
    assert (formula.name, formula.starting_set) == ("formula", False)


def test_a_correction_takes_temperatures_from_files(old):
    more = "FIT_CORRECTION = True\nCORRECTED_TEMPS_BY_FILE = True\n"
    study = old("molten_carbon", ("MD_PPN ", f"{more}MD_PPN "))
    _, _, problems = lines(study / "config.py")
    assert is_about(problems, "FIT_CORRECTION: True", "ald-hierarchical")
    for name in ("CORRECTED_TYPE:", "CORRECTED_TYPE_EXE:", "CORRECTED_TYPE_FILES:"):
        assert is_about(problems, name, "is required")
    assert is_about(problems, "temperatures: there is no file", "liquid_6000K_2.0gcc.temps")
    temps = study / "ALL_BASE_FILES/ALC-0_BASEFILES/liquid_6000K_2.0gcc.temps"
    temps.write_text("6000\n" * 24)
    assert is_about(lines(study / "config.py")[2], "24 temperatures for 25 frames")


def test_files_of_a_correction(old, tmp_path):
    more = "FIT_CORRECTION = True\nCORRECTED_TYPE = 'DFTB+'\nCORRECTED_TYPE_FILES = WORKING_DIR + 'base'\n"
    study = old("molten_carbon", ("MD_PPN ", f"{more}CORRECTED_TYPE_EXE = 'no_dftb'\nMD_PPN "))
    _, _, problems = lines(study / "config.py")
    assert is_about(problems, "base: there is no 6000.dftb_in.hsd, C-C.skf")
    assert is_about(problems, "CORRECTED_TYPE_EXE", "no such program")
    assert is_about(problems, "CORRECTED_TEMPS_BY_FILE", "is required")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("H O\n3\nH H 1.0\nO O 2.0\n", "2 elements need '3'"),
        ("H\n1\nH H 1.0\n", "its first line lacks O"),
        ("", "lacks H, O"),
        (None, "TIGHT_CRIT: there is no file"),
    ],
)
def test_bond_criteria(old, text, message):
    study = old("cluster_water")
    path = study / "ALL_BASE_FILES/tight_bond_crit.dat"
    path.unlink() if text is None else path.write_text(text)
    _, _, problems = lines(study / "config.py")
    assert any(message in problem for problem in problems)


@pytest.mark.parametrize(
    ("option_name", "word"), [("BULK_QM_METHOD", "Gaussian"), ("IGAS_QM_METHOD", "LMP")]
)
def test_methods_for_one_kind_of_frames(old, option_name, word):
    study = old("cluster_water", ("MEM_BINS = 40", f"MEM_BINS = 40\n{option_name} = '{word}'"))
    assert is_about(lines(study / "config.py")[2], option_name, f"{word} labels", "only")


PIECES = (
    b"-1", b"1e400", b"nan", b"[", b"'", b"\0", b"#", b"\n", b"None", b"10**9", b"*", b"G_", b"99999999999", b"\xc3",
    b"x" * 300,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_give_sentences(old, seed):
    """Whatever is in the files, there is no traceback."""
    rng = random.Random(seed)
    study = old("molten_carbon")
    registry = without_labelers()
    files = [study / "config.py", study / SETUP, study / LIST, study / f"{MD}.run_md.in"]
    for path in (*files, *(study / SETUP).parent.glob("*.xyzf")):
        intact = path.read_bytes()
        damaged = bytearray(intact)
        for _ in range(rng.randint(1, 3)):
            i = rng.randrange(len(damaged) + 1)
            damaged[i : i + rng.choice([0, 1, 5, 20])] = rng.choice([b"", *PIECES])
        path.write_bytes(bytes(damaged))
        with pytest.raises(InputError):
            read_run_file(study / "config.py", registry)
        path.write_bytes(intact)
