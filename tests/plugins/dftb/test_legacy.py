"""Studies of the existing driver with DFTB+ as reference method and in MD."""

import pytest
from old_studies import lines, make_old

from ald_core.registry import Registry
from ald_core.runfile import read_old

OPTIONS = """
BULK_QM_METHOD = "DFTB+"
DFTB_EXE = "{program}"
DFTB_MODULES = ""
MD_STYLE = "{style}"
MD_MPI = "{program}"
THIS_SMEAR = {smear}
"""
INPUT = """
Geometry = GenFormat {
<<< "dftbjob.gen"
}
Driver = VelocityVerlet {
  Steps = 5000
  TimeStep [Femtosecond] = 0.2
  Thermostat = NoseHoover {
    Temperature [Kelvin] = 6000
    CouplingStrength [cm^-1] = 2000
  }
}
Hamiltonian = xTB {
  Method = "GFN1-xTB"
  Filling = Fermi { Temperature [Kelvin] = 6000.0 }
  KPointsAndWeights = { 0.0 0.0 0.0 1.0 }
}
Analysis = { CalculateForces = Yes }
"""
GEN = "2 S\nC\n1 1 0.0 0.0 0.0\n2 1 1.7 0.0 0.0\n0 0 0\n8 0 0\n0 8 0\n0 0 8\n"


@pytest.fixture
def old(tmp_path, program):
    """Makes the study."""

    def old(style="DFTB", smear="None", driver=""):
        words = OPTIONS.format(program=program, style=style, smear=smear)
        study = make_old(
            tmp_path, "molten_carbon", ("HPC_ACCOUNT    =", words + "HPC_ACCOUNT    =")
        )
        static = INPUT[: INPUT.index("Driver")] + INPUT[INPUT.index("Hamiltonian") :] + driver
        base = study / "ALL_BASE_FILES"
        (base / "QM_BASEFILES" / "6000.dftb_in.hsd").write_text(static)
        (base / "CHIMESMD_BASEFILES" / "case-0.indep-0.dftb_in.hsd").write_text(INPUT)
        (base / "CHIMESMD_BASEFILES" / "case-0.indep-0.gen").write_text(GEN)
        return study

    return old


@pytest.mark.parametrize("style", ["DFTB", "DFTB+"])
def test_labeler_and_md_engine_take_their_options(style, old, program):
    study = old(style)
    _, _, plan = lines(study / "config.py", Registry())
    assert not [line for line in plan if "config.py" in line or "; " in line], plan
    tables = read_old(study / "config.py", Registry()).tables
    inputs = "ALL_BASE_FILES/QM_BASEFILES"
    assert tables["labelers"]["bulk"] == {"use": "dftb", "inputs": inputs, "program": program}
    assert tables["md"]["use"] == "dftb"
    assert tables["md"]["program"] == program
    [case] = tables["case"]
    folder = "ALL_BASE_FILES/CHIMESMD_BASEFILES"
    assert case["input"] == f"{folder}/case-0.indep-0.dftb_in.hsd"
    assert case["structure"] == f"{folder}/case-0.indep-0.gen"
    assert case["temperature"] == 6000.0


def test_one_electronic_temperature_for_all(old):
    study = old(smear="6000.0")
    labeler = read_old(study / "config.py", Registry()).tables["labelers"]["bulk"]
    assert labeler["temperature"] == 6000.0


def test_problems_name_their_files(old):
    study = old(driver="Driver = ConjugateGradient {}\n")
    _, _, problems = lines(study / "config.py", Registry())
    [one] = [p for p in problems if "6000.dftb_in.hsd" in p]
    assert "line 11: Driver = ConjugateGradient would move the atoms; remove it" in one
