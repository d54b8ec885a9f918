"""A study of the existing driver runs where it lies, with another labeler."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import pytest

ROOT = Path(__file__).parents[2]
INPUTS = ROOT / "examples" / "molten_carbon" / "inputs"
OLD = ROOT / "tests" / "data" / "legacy" / "studies" / "molten_carbon"

CHANGES = """\
config = "config.py"

[study]
cycles = 1

[md]
steps = 60
frame_interval = 10

[selector]
per_class = 2

[labelers.bulk]
use = "ase"
options = { method = "GFN1-xTB", verbosity = 0 }

[scheduler]
use = "local"
"""


def ald(*arguments, cwd):
    command = [sys.executable, "-m", "ald_core", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False)


def test_molten_carbon_runs_as_it_is(tmp_path):
    study = tmp_path / "study"
    shutil.copytree(OLD, study, copy_function=shutil.copyfile)
    (study / "config.txt").rename(study / "config.py")
    base = study / "ALL_BASE_FILES"
    shutil.copy(INPUTS / "liquid_6000K_2.0gcc.xyzf", base / "ALC-0_BASEFILES")
    shutil.copy(INPUTS / "case-0.indep-0.input.xyz", base / "CHIMESMD_BASEFILES")
    setup = base / "ALC-0_BASEFILES" / "fm_setup.in"
    setup.write_text(setup.read_text().replace("\t25\n", "\t6\n"))
    listing = base / "ALC-0_BASEFILES" / "traj_list.dat"
    listing.write_text("1\n6 liquid_6000K_2.0gcc.xyzf 6000\n")
    with (study / "config.py").open("a") as config:
        config.write('\nMOLANAL = "/opt/molanal/src/"\nMOLANAL_SPECIES = ["C1", "C9 H9"]\n')
    bonds = base / "CHIMESMD_BASEFILES" / "bonds.dat"

    refused = ald("check", cwd=study)
    assert refused.returncode == 2
    assert "C.POTCAR" in refused.stderr
    (study / "ald.toml").write_text(CHANGES)
    good = bonds.read_text().replace("100\t", "2\t", 1)
    bonds.write_text(good.replace("C C 1.90", "C C 1,90"))
    wrong = ald("run", cwd=study)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "bonds.dat, line 5: '1,90' is not a number; write one such as 1.80" in wrong.stderr
    assert not (study / "ALC-1").exists()
    bonds.write_text(good)
    before = {p: p.read_bytes() for p in base.rglob("*") if p.is_file()}
    checked = ald("check", cwd=study)
    assert checked.returncode == 0, checked.stderr
    assert "starting set: 6 frames, 0 to be labelled first" in checked.stdout
    assert "says 1 fs between frames" in checked.stdout
    assert "the run writes a frame every 2 fs" in checked.stdout

    done = ald("run", cwd=study)
    assert done.returncode == 0, done.stderr
    report = json.loads((study / "ALC-2/GEN_FF/report.json").read_text())
    first = json.loads((study / "ALC-1/GEN_FF/report.json").read_text())
    # FITSTRS is false, but stresses of new frames are fitted, as USE_AL_STRS says by default.
    assert first["stress_rmse_gpa"] is None
    assert report["stress_rmse_gpa"] > 0.0
    frames = ase.io.read(study / "training_set.extxyz", index=":")
    assert [a.info["source"] for a in frames].count("liquid_6000K_2.0gcc") == 6
    assert [a.info["source"] for a in frames].count("case-0") >= 2
    assert "PENALTY DIST: 0.02" in (study / "ALC-1/CASE-0_INDEP_0/params.txt.reduced").read_text()
    assert {p: p.read_bytes() for p in base.rglob("*") if p.is_file()} == before

    one = (study / "ALC-1/CASE-0_INDEP_0/speciation.species-0").read_text().splitlines()
    assert one[0] == "# C1"
    rows = (study / "ALC-1/molecules.csv").read_text().splitlines()
    assert rows[0] == "case,molecule,mole fraction,lifetime (ps)"
    assert rows[1].startswith("case-0,C1,")
    assert float(rows[1].split(",")[2]) == pytest.approx(float(one[2].split()[0]), abs=5e-5)
    assert rows[2] == "case-0,C9 H9,0.0,"
    nine = study / "ALC-1/CASE-0_INDEP_0/speciation.species-1"
    assert nine.read_text() == "# C9 H9\n# mole fraction, lifetime (ps)\n"

    said = ald("status", cwd=study).stdout
    assert "finished" in said
    assert "molecules in cycle 2 (ALC-2/molecules.csv)" in said
    status = json.loads((study / "status.json").read_text())
    [table] = status["results"][0]["md"][0]["tables"]
    assert [row[0] for row in table["rows"]] == ["C1", "C9 H9"]
    again = ald("run", cwd=study)
    assert again.returncode == 0, again.stderr
