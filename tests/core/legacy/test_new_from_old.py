"""New studies from those of the existing driver, with the labels of its finished cycles."""

import json
import tomllib

import pytest
from old_studies import (
    FULL,
    STUDIES,
    FakeVasp,
    is_about,
    lines,
    without_labelers,
    xyzf,
)

from ald_core.errors import InputError
from ald_core.frames import FrameFile, read_frames
from ald_core.inspection import plan
from ald_core.legacy import new_from
from ald_core.legacy.history import finished_labels, read_restart
from ald_core.legacy.toml_text import toml_text
from ald_core.registry import Offer
from ald_core.runfile import read_old, read_run_file

# ---------------------------------------------------------------- a study of its own


def values_of(path, registry):
    old_study = read_old(path, registry)
    tables = tomllib.loads(path.read_text()) if old_study is None else old_study.tables
    moved = json.loads(json.dumps(tables).replace("ALL_BASE_FILES/", "inputs/"))
    return {k: v for k, v in moved.items() if k not in ("training", "case", "fitter")}


@pytest.mark.parametrize("name", STUDIES)
def test_a_run_file_says_the_same(old, tmp_path, name):
    registry = without_labelers()
    study = old(name)
    made = new_from(study, tmp_path / "new", registry).run_file
    text = made.read_text()
    assert values_of(made, registry) == values_of(study / "config.py", registry)
    assert "# ATOM_TYPES, line " in text
    assert "# default of " in text
    for key in ("VASP_EXE", "CP2K_EXE", "LMP_EXE"):
        assert (f"# {key} = " in text) == (f"\n{key} " in (study / "config.py").read_text())


def test_both_forms_are_the_same_study(old, tmp_path):
    registry = without_labelers()
    registry.offers.append(Offer(FakeVasp, "ald-vasp 0.1.0"))
    study = old("hydrogen_two_cases")
    new = tmp_path / "new"
    new_from(study, new, registry)
    (in_new, in_old) = (plan(p, registry).lines for p in (new / "ald.toml", study / "config.py"))
    assert in_new[1:] == in_old[1:]
    (one, other) = (read_run_file(p, registry) for p in (new / "ald.toml", study / "config.py"))
    assert one.identity() == other.identity()
    assert (new / "inputs/QM_BASEFILES/KPOINTS").read_bytes() == (
        study / "ALL_BASE_FILES/QM_BASEFILES/KPOINTS"
    ).read_bytes()


def test_nothing_is_overwritten(old, tmp_path):
    study = old("molten_carbon")
    new = tmp_path / "new"
    (new / "inputs").mkdir(parents=True)
    with pytest.raises(InputError, match="exists already"):
        new_from(study, new, without_labelers())
    (study / "ald.toml").write_text("")
    with pytest.raises(InputError, match="exists already"):
        new_from(study, study, without_labelers())


def test_in_its_own_folder(old):
    study = old("molten_carbon")
    made = new_from(study, study, without_labelers()).run_file
    assert 'setup = "ALL_BASE_FILES/ALC-0_BASEFILES/fm_setup.in"' in made.read_text()
    assert not (study / "inputs").exists()


DONE = "".join(f"{step}: COMPLETE\n" for step in ("BUILD_AMAT", "SOLVE_AMAT", "RUN_MD", "THIS_ALC"))


def with_history(study):
    """Two cycles are complete; the third has labels, but is not."""
    (study / "restart.dat").write_text(
        f"ALC: 1\n{DONE}ALC: 2\n{DONE}ALC: 3\nBUILD_AMAT: COMPLETE\n"
    )
    for n, frames in ((1, 3), (2, 4), (3, 5)):
        folder = study / f"ALC-{n}" / "VASP-20"
        folder.mkdir(parents=True)
        (folder / "OUTCAR.xyzf").write_text(xyzf(frames, "CC", FULL))
        (folder / "OUTCAR.temps").write_text("6000\n" * frames)
    return study


def test_labels_of_finished_cycles_are_taken_along(old, tmp_path):
    study = with_history(old("molten_carbon"))
    (study / "ALC-2/VASP-20/OUTCAR.temps").write_text("6000\n300.0\n6000\n300.0\n")
    made = new_from(study, tmp_path / "new", without_labelers())
    frames = tomllib.loads(made.run_file.read_text())["training"]["frames"][1:]
    assert frames == [
        {"file": f"inputs/labels/ALC-{n}.VASP-20.xyzf", "temperatures": f"inputs/labels/ALC-{n}.VASP-20.temps"}
        for n in (1, 2)
    ]  # fmt: skip
    files = [FrameFile(**{k: tmp_path / "new" / v for k, v in table.items()}) for table in frames]
    read = [frame for frame, _ in read_frames(files, ["C"])]
    assert [f.temperature for f in read] == [6000] * 3 + [6000, 300, 6000, 300]
    assert is_about(made.remarks, "ALC-3", "left alone", "restart.dat")


def test_labels_are_never_guessed_at(old, tmp_path):
    study = with_history(old("molten_carbon"))
    (study / "ALC-1/VASP-20/OUTCAR.temps").write_text("6000\n")
    cut = study / "ALC-2/VASP-20/OUTCAR.xyzf"
    cut.write_text(cut.read_text()[:-20] + "\n")
    cut.write_text("".join(cut.read_text().splitlines(keepends=True)[:-1]))
    labels, remarks = finished_labels(study)
    assert labels == []
    assert is_about(remarks, "ALC-1", "1 lines for 3 frames")
    assert is_about(remarks, "ALC-2", "the file ends in it")
    (study / "restart.dat").unlink()
    assert len(finished_labels(study)[1]) == 3


def test_changed_labels_are_not_taken(old, tmp_path):
    study = with_history(old("hierarchical_CN"))
    made = new_from(study, tmp_path / "new", without_labelers())
    assert is_about(made.remarks, "left alone", "DO_HIERARCH")
    assert not (tmp_path / "new/inputs/labels").exists()


def test_the_cycles_of_the_existing_driver_are_not_replaced(old):
    study = with_history(old("molten_carbon"))
    _, warnings, problems = lines(study / "config.py")
    assert is_about(problems, "ALC-1 to ALC-3 are of the existing driver", "ald new STUDY --from")
    assert is_about(warnings, "cycles 1, 2 are complete")
    with pytest.raises(InputError, match="holds cycles of the existing driver"):
        new_from(study, study, without_labelers())


@pytest.mark.parametrize(
    "text", ["ALC: x\n", "BUILD_AMAT: COMPLETE\n", "ALC: 1\nBUILD_AMAT: NO\n", "\0"]
)
def test_a_restart_file_that_is_none(tmp_path, text):
    (tmp_path / "restart.dat").write_text(text)
    with pytest.raises(InputError, match=r"restart\.dat"):
        read_restart(tmp_path)


def test_run_files_are_valid_toml():
    tables = {
        "a": {
            "text": 'quotes " \\ and \x7f \n é',
            "yes": True,
            "n": 1e-5,
            "list": [1, "x"],
            "odd key": 2,
        },
        "resources": {"queue": "q", "fit": {"cores": 2}},
        "training": {"held_out": 0.0, "frames": [{"file": "f"}, {"file": "g", "t": {"k": [1.5]}}]},
        "labelers": {"bulk": {"use": "x"}},
    }
    text = toml_text(tables, {"a.n": "why", "training.frames[1]": "second"}, ["head"])
    assert tomllib.loads(text) == tables
    assert "n = 1e-05" in text
    assert "# why" in text
