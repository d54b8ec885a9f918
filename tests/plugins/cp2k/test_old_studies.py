"""Studies of the existing driver that label with CP2K."""

from importlib.metadata import entry_points

import pytest
from old_studies import is_about, lines, make_old, path_without_slurm

from ald_core.registry import Registry
from ald_core.runfile import read_old, read_run_file

USERS = "/nfs/turbo/coe-rklinds/software/cp2k"


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch):
    monkeypatch.setenv("PATH", path_without_slurm())


@pytest.fixture(scope="module")
def registry():
    """CP2K and what came with the core; whatever else is installed."""
    known = ("ald-core", "ald-chimes-lsq", "ald-chimes-md", "ald-slurm", "ald-mail", "ald-cp2k")
    return Registry([p for p in entry_points(group="ald") if p.dist.name in known])


def test_what_is_missing_is_said(registry, tmp_path):
    study = make_old(tmp_path, "silica_cp2k")
    _, _, problems = lines(study / "config.py", registry)
    for name in ("GTH_BASIS_SETS", "GTH_POTENTIALS", "dftd3.dat"):
        assert is_about(problems, f"300.cp2k.inp: there is no file {USERS}/data/{name}")
    assert is_about(problems, "cp2k.popt", "there is no program", "CP2K_EXE")
    assert len(problems) == 4
    (study / "ALL_BASE_FILES/QM_BASEFILES/300.cp2k.inp").unlink()
    assert is_about(lines(study / "config.py", registry)[2], "there is no 300.cp2k.inp or cp2k.inp")


def test_options_and_files_are_taken(registry, tmp_path):
    study = make_old(
        tmp_path,
        "silica_cp2k",
        (f"{USERS}/exe/Linux-intel-x86_64-RKL/cp2k.popt", "/usr/bin/cp2k"),
        (f"{USERS}/data/", "/usr/share/cp2k"),
    )
    folder = study / "ALL_BASE_FILES" / "QM_BASEFILES"
    path = folder / "300.cp2k.inp"
    path.write_text(path.read_text().replace(f"{USERS}/data/", "/usr/share/cp2k"))
    config = study / "config.py"
    assert lines(config, registry)[2][0].startswith("study ")
    labeler = read_run_file(config, registry).crew.labelers["bulk"]
    assert (labeler.name, labeler.program, labeler.data) == (
        "cp2k", "/usr/bin/cp2k", "/usr/share/cp2k",
    )  # fmt: skip
    assert labeler.inputs.samefile(folder)
    assert labeler.temperature is None
    config.write_text(config.read_text() + "\nTHIS_SMEAR = 300\n")
    assert read_old(config, registry).tables["labelers"]["bulk"]["temperature"] == 300
