"""Reference methods of old studies: each labeler takes its own options, and bulk and gas ask for their own nodes."""

import pytest
from old_studies import is_about, lines

from ald_core.errors import InputErrors
from ald_core.registry import Registry
from ald_core.runfile import read_old, read_run_file

BASE = "ALL_BASE_FILES/QM_BASEFILES"
GAUSSIAN = """
IGAS_QM_METHOD = "Gaussian"
GAUS_NODES = 2
GAUS_PPN = 20
GAUS_TIME = "02:00:00"
GAUS_QUEUE = "pshort"
GAUS_EXE = "/opt/g16/g16"
GAUS_SCR = "/p/scratch"
GAUS_REF = WORKING_DIR + "ALL_BASE_FILES/atoms.dat"
"""


def add(study, text):
    path = study / "config.py"
    path.write_text(path.read_text() + text)
    return path


def translated(path):
    return read_old(path, Registry()).tables


def test_vasp(old):
    labelers = translated(old("molten_carbon") / "config.py")["labelers"]
    program = "/usr/gapps/emc-vasp/vasp.5.4.4/build/gam/vasp"
    assert labelers == {"bulk": {"use": "vasp", "inputs": BASE, "program": program}}


@pytest.mark.parametrize(
    ("text", "kelvin"),
    [("", None), ("THIS_SMEAR = 300\n", 300.0), ("THIS_SMEAR = None\n", None), ("THIS_SMEAR = '0.5'\n", 0.5)],
)  # fmt: skip
def test_a_smearing_for_all_cases_is_the_temperature_of_the_electrons(old, text, kelvin):
    path = add(old("molten_carbon"), text)
    assert translated(path)["labelers"]["bulk"].get("temperature") == kelvin
    problems = lines(path, Registry())[2]
    wanted = kelvin or 6000
    for name in ("KPOINTS", "6000.INCAR"):
        (path.parent / BASE / name).unlink()
    problems = lines(path, Registry())[2]
    assert is_about(problems, "labelers.bulk", f"there is no {wanted:g}.")


def test_cp2k(old):
    bulk = translated(old("silica_cp2k") / "config.py")["labelers"]["bulk"]
    assert (bulk["use"], bulk["inputs"]) == ("cp2k", BASE)
    assert bulk["program"].endswith("cp2k.popt")
    assert bulk["data"] == "/nfs/turbo/coe-rklinds/software/cp2k/data/"


def test_lammps(old):
    bulk = translated(old("turbo_propane") / "config.py")["labelers"]["bulk"]
    assert (bulk["use"], bulk["inputs"]) == ("lammps", "ALL_BASE_FILES/LMP_BASEFILES")


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ('"QM"', "QM"),
        ('WORKING_DIR + "QM"', "QM"),
        ('WORKING_DIR + "/QM/"', "QM"),
        ('"/elsewhere/QM"', "/elsewhere/QM"),
    ],
)
def test_inputs_may_be_anywhere(old, folder, found):
    study = old("molten_carbon")
    (study / BASE).rename(study / "QM")
    path = add(study, f"QM_FILES = {folder}\n")
    assert translated(path)["labelers"]["bulk"]["inputs"].rstrip("/") == found


def test_methods_for_bulk_and_gas(old, slurm):
    study = old("cluster_water")
    (study / "ALL_BASE_FILES/atoms.dat").write_text("H -313.9 -25.6\nO -47080.2 -9910.5\n")
    path = add(study, GAUSSIAN)
    tables = translated(path)
    assert tables["labelers"]["bulk"] == {
        "use": "vasp", "inputs": BASE, "program": "/p/lustre3/lindsey11/vasp_std.5.4.4",
    }  # fmt: skip
    gas = tables["labelers"]["gas"]
    assert gas.pop("resources") == {
        "nodes": 1, "ppn": 1, "cores": 20, "launcher": "none", "queue": "pshort", "time": "02:00:00",
        "tasks_per_job": 40, "modules": [],
    }  # fmt: skip
    assert gas == {
        "use": "gaussian", "program": "/opt/g16/g16", "scratch": "/p/scratch",
        "reference_energies": "ALL_BASE_FILES/atoms.dat",
    }  # fmt: skip
    label = tables["resources"]["label"]
    assert (label["nodes"], label["ppn"], label["launcher"]) == (1, 56, "srun")
    assert label["modules"] == ["intel-classic/19.1.2", "mvapich2/2.3.6", "mkl"]
    old_study = read_old(path, Registry())
    assert {"GAUS_EXE", "GAUS_PPN", "GAUS_QUEUE", "IGAS_QM_METHOD"} <= old_study.translation.used
    assert is_about(old_study.warnings(), "GAUS_NODES", "one node")


def test_gas_frames_of_the_same_method_share_its_resources(old, slurm):
    labelers = translated(old("cluster_water") / "config.py")["labelers"]
    assert labelers["gas"] == labelers["bulk"]
    text = 'IGAS_QM_METHOD = "DFTB+"\nDFTB_EXE = "dftb+"\nDFTB_QUEUE = "pdebug"\nDFTB_PPN = 4\n'
    study = old.args[0] / "second"
    study.mkdir()
    tables = translated(add(old.func(study, "cluster_water"), text))
    gas = tables["labelers"]["gas"]
    assert (gas["use"], gas["program"], gas["inputs"]) == ("dftb", "dftb+", BASE)
    assert gas["resources"] == {
        "nodes": 1, "ppn": 4, "launcher": "srun", "queue": "pdebug", "time": "04:00:00", "tasks_per_job": 40,
        "modules": ["mkl"],
    }  # fmt: skip


def test_what_they_ask_for_is_said_where_there_is_no_slurm(old):
    path = add(old("cluster_water"), GAUSSIAN)
    found = read_old(path, Registry())
    assert "resources" not in found.tables["labelers"]["gas"]
    assert found.translation.elsewhere["labelers"]["gas"]["resources"]["cores"] == 20


def test_programs_that_are_not_there_are_named_by_their_options(old):
    study = old("silica_cp2k")
    with pytest.raises(
        InputErrors, match=r"labelers\.bulk\.program: there is no program .*\(CP2K_EXE, line 72\)"
    ):
        read_run_file(study / "config.py", Registry())
