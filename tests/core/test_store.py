"""What a study keeps: exact to the last bit, published whole, damage named with its line."""

import json
import math
import sys

import ase.io
import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ald_core.errors import InputError, PluginError
from ald_core.store import (
    CycleRecord,
    ForceError,
    MDRecord,
    Store,
    extxyz,
    finite,
    frame_from_json,
    frame_to_json,
    labels_from_json,
    labels_to_json,
    record_from_json,
    record_to_json,
)
from ald_core.types import Frame, LabeledFrame, Labels, Origin, ResultTable, TrainingSet

AWKWARD = [0.1, 1 / 3, -0.0, 5e-324, sys.float_info.max, math.pi * 1e-17, 1e22, 123456789.123456789]


def labeled(step=1, rng=None, **more):
    rng = rng or np.random.default_rng(step)
    atoms = Atoms("ArCSiS", rng.normal(size=(4, 3)), cell=rng.normal(size=(3, 3)), pbc=[1, 0, 1])
    frame = Frame(atoms, Origin(2, "cold 1", step, part=step % 3), 300.1, "gas", 1)
    labels = Labels(rng.normal(), rng.normal(size=(4, 3)), rng.normal(size=6))
    return LabeledFrame(frame, labels, "reference", 3, **{"held_out": step % 2 == 0, **more})


def assert_same(one, other):
    assert one.frame.origin == other.frame.origin
    assert one.frame.digest == other.frame.digest
    assert (one.labeler, one.first_fit, one.held_out) == (
        other.labeler,
        other.first_fit,
        other.held_out,
    )
    assert one.frame.contact_class == other.frame.contact_class
    for name in ("energy", "forces", "stress"):
        a, b = getattr(one.labels, name), getattr(other.labels, name)
        assert (a is None) == (b is None)
        assert a is None or np.array(a).tobytes() == np.array(b).tobytes()


def test_a_training_set_comes_back_to_the_last_bit(tmp_path):
    store = Store(tmp_path)
    rest = labeled(9)
    without = LabeledFrame(rest.frame, Labels(None, rest.labels.forces, None), "given", 1)
    training = TrainingSet().grow([*(labeled(i) for i in range(1, 6)), without])
    store.publish_training(2, training)
    back = store.training(2)
    assert len(back) == 6
    for one, other in zip(training.frames, back.frames, strict=True):
        assert_same(one, other)


def test_what_is_set_aside_is_kept_and_not_shown_to_others(tmp_path):
    store = Store(tmp_path)
    training = TrainingSet().grow([labeled(1), labeled(2, set_aside="outlier: it looks wrong")])
    store.publish_training(2, training)
    first, _ = store.training_path(2).read_text().splitlines()
    assert "set_aside" not in first, "what it was before there was such a thing"
    back = store.training(2)
    assert [f.set_aside for f in back.frames] == ["", "outlier: it looks wrong"]
    assert_same(back.frames[1], training.frames[1])
    store.show_training(back)
    shown = (tmp_path / "training_set.extxyz").read_text()
    assert [f.frame.id in shown for f in back.frames] == [True, False]


@given(
    arrays(float, (2, 3), elements=st.floats(allow_nan=False, allow_infinity=False)),
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_any_number_survives(values, energy):
    frame = Frame(Atoms("Ar2", values), Origin(0, "a", 1), energy)
    plain = json.loads(json.dumps(frame_to_json(frame)))
    assert frame_from_json(plain).digest == frame.digest
    labels = labels_from_json(json.loads(json.dumps(labels_to_json(Labels(energy, values)))))
    assert labels.forces.tobytes() == values.tobytes()
    assert repr(labels.energy) == repr(energy)


@pytest.mark.parametrize("value", AWKWARD)
def test_awkward_numbers_survive(value):
    frame = Frame(Atoms("Ar", [[value, 0, 0]]), Origin(0, "a", 1))
    back = frame_from_json(json.loads(json.dumps(frame_to_json(frame))))
    assert back.atoms.positions.tobytes() == frame.atoms.positions.tobytes()


def test_equal_sets_give_equal_bytes_whatever_their_order(tmp_path):
    frames = [labeled(i) for i in range(1, 6)]
    one, other = Store(tmp_path / "1"), Store(tmp_path / "2")
    one.publish_training(1, TrainingSet().grow(frames))
    other.publish_training(1, TrainingSet().grow(frames[::-1]))
    assert one.training_path(1).read_bytes() == other.training_path(1).read_bytes()


def damaged(line):
    values = json.loads(line)
    yield line[: len(line) // 2]
    yield line[:-1]
    yield ""
    yield "null"
    yield "[]"
    for key in values:
        yield json.dumps({k: v for k, v in values.items() if k != key})
    yield json.dumps(values | {"frame": 3})
    yield json.dumps(values | {"labels": None})
    yield json.dumps(values | {"frame": values["frame"] | {"positions": "abc"}})
    yield json.dumps(values | {"frame": values["frame"] | {"positions": [[1, 2]]}})
    yield json.dumps(values | {"frame": values["frame"] | {"numbers": [1]}})
    yield json.dumps(values | {"frame": values["frame"] | {"origin": {"cycle": 1}}})


def test_damage_is_named_with_its_line(tmp_path):
    store = Store(tmp_path)
    store.publish_training(1, TrainingSet().grow(labeled(i) for i in range(1, 4)))
    path = store.training_path(1)
    lines = path.read_text().splitlines()
    for bad in damaged(lines[1]):
        path.write_text("\n".join([lines[0], bad, lines[2]]) + "\n")
        with pytest.raises(InputError) as caught:
            store.training(1)
        assert str(caught.value).startswith(f"{path}, line 2: is damaged (")


def test_a_frame_twice_is_refused():
    with pytest.raises(ValueError, match="frame 002-cold 1-000000001-0001 is in the training set"):
        TrainingSet().grow([labeled(1), labeled(1)])


# ---------------------------------------------------------------- what users read


def test_extended_xyz_has_labels_and_provenance(tmp_path):
    one = labeled(1, held_out=True)
    (tmp_path / "a.extxyz").write_text(extxyz([one, labeled(2)]))
    first, second = ase.io.read(tmp_path / "a.extxyz", ":")
    assert first.info["id"] == one.frame.id
    assert first.info["cycle"] == 2
    assert first.info["source"] == "cold 1"
    assert first.info["held_out"]
    assert not second.info.get("held_out", False) or second.info["held_out"]
    assert first.info["temperature"] == 300.1
    assert first.info["ref_energy"] == pytest.approx(one.labels.energy, abs=1e-12)
    assert np.allclose(first.arrays["ref_forces"], one.labels.forces, atol=1e-7)
    assert np.allclose(first.info["ref_stress"], one.labels.stress, atol=1e-7)
    assert (first.numbers == one.frame.atoms.numbers).all()
    assert extxyz([]) == ""


def test_views_are_published_whole_and_replaced_whole(tmp_path):
    store = Store(tmp_path)
    with store.building(1, "GEN_FF") as folder:
        (folder / "old.txt").write_text("old")
        assert not (tmp_path / "ALC-1" / "GEN_FF").exists()
    with store.building(1, "GEN_FF") as folder:
        (folder / "new.txt").write_text("new")
    assert [p.name for p in (tmp_path / "ALC-1" / "GEN_FF").iterdir()] == ["new.txt"]


def test_a_view_that_fails_leaves_the_old_one_and_no_litter(tmp_path):
    store = Store(tmp_path)
    with store.building(1, "GEN_FF") as folder:
        (folder / "a.txt").write_text("a")
    with pytest.raises(FileNotFoundError), store.building(1, "GEN_FF") as folder:
        (folder / "b.txt").symlink_to("b") or (folder / "gone").read_text()
    assert [p.name for p in (tmp_path / "ALC-1" / "GEN_FF").iterdir()] == ["a.txt"]
    assert [p.name for p in (tmp_path / "ALC-1").iterdir()] == ["GEN_FF"]


def test_sweep_removes_what_killed_writers_left(tmp_path):
    store = Store(tmp_path)
    store.publish_training(1, TrainingSet())
    litter = [
        tmp_path / ".training_set.extxyz.12-ab.ald-new",
        tmp_path / ".ald" / "training" / ".1.jsonl.12-ab.ald-new",
        tmp_path / "ALC-1" / ".GEN_FF.12-ab.ald-old" / "x",
        tmp_path / "ALC-1" / "REFERENCE-20" / ".CASE-0.12-ab.ald-new" / "x",
    ]
    users = [tmp_path / ".hidden", tmp_path / "ALC-1" / "notes.ald-new"]
    for path in (*litter, *users):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    store.sweep()
    assert not [p for p in litter if p.exists() or (p.name == "x" and p.parent.exists())]
    assert all(p.exists() for p in users)
    assert store.training_path(1).exists()


def test_files_of_a_job_are_shown_by_pattern(tmp_path):
    store = Store(tmp_path)
    (source := tmp_path / "job").mkdir()
    for name in ("a.out", "b.out", "c.txt"):
        (source / name).write_text(name)
    (source / "folder.out").mkdir()
    store.show_files(2, "CASE-0_INDEP_0", source, ("*.out", "a.*"))
    shown = tmp_path / "ALC-2" / "CASE-0_INDEP_0"
    assert sorted(p.name for p in shown.iterdir()) == ["a.out", "b.out"]
    assert (shown / "a.out").read_text() == "a.out"


def test_records_survive_the_journal():
    record = CycleRecord(
        cycle=2,
        model="ALC-2/GEN_FF/params.json",
        model_format="reference",
        added=5,
        added_held_out=1,
        quarantined=(("001-a-000000001", "the energy is not finite"),),
        fitted=ForceError(0.1, 9),
        held_out=None,
        md=(MDRecord("cold", 10, 50, False, "it exploded", None, (8, 2, 0)),),
        curve=((1, 1 / 3), (2, 0.2)),
        report={"solver": {"alpha": 1e-5, "names": ["a"]}},
        seconds={"fit": 1.5},
    )
    plain = json.loads(json.dumps(record_to_json(record)))
    assert record_from_json(plain) == record


def run_with(case, *rows, columns=("molecule", "fraction")):
    table = ResultTable("molecules", columns, rows)
    return MDRecord(case, 10, 10, True, "", None, (9, 1, 0), (table,))


def test_tables_of_runs_survive_the_journal_and_leave_no_trace_where_there_are_none():
    record = CycleRecord(2, "m", "f", md=(run_with("a", ("H2O", 0.5), ("OH", None), ("n", 3)),))
    plain = json.loads(json.dumps(record_to_json(record)))
    assert record_from_json(plain) == record
    bare = CycleRecord(2, "m", "f", md=(MDRecord("a", 10, 10, True, "", None, (9, 1, 0)),))
    [run] = record_to_json(bare)["md"]
    assert sorted(run) == ["case", "counts", "drift", "planned", "reason", "stable", "steps"]
    assert record_from_json(record_to_json(bare)) == bare


def test_tables_of_all_cases_are_one_file(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "ALC-2").mkdir()
    runs = (run_with("hot, dry", ("H2O", 0.5), ("OH", None)), run_with("cold", ("H2O", 1.0)))
    store.show_tables(CycleRecord(2, "m", "f", md=runs))
    text = (tmp_path / "ALC-2" / "molecules.csv").read_text()
    assert text == 'case,molecule,fraction\n"hot, dry",H2O,0.5\n"hot, dry",OH,\ncold,H2O,1.0\n'
    store.show_tables(CycleRecord(3, "m", "f"))
    assert not (tmp_path / "ALC-3").exists()
    other = (*runs, run_with("warm", columns=("molecule", "number")))
    with pytest.raises(PluginError, match="'molecules' have different columns"):
        store.show_tables(CycleRecord(2, "m", "f", md=other))


def test_the_name_of_a_table_is_that_of_a_file():
    with pytest.raises(ValueError, match="name"):
        ResultTable("../molecules", (), ())


def test_numbers_that_are_not_finite_survive_the_journal_as_none():
    record = CycleRecord(
        cycle=1,
        model="m",
        model_format="reference",
        fitted=ForceError(np.inf, 9),
        md=(MDRecord("cold", 10, 50, False, "it exploded", np.nan, (8, 2, 0)),),
        curve=((1, np.nan), (2, 0.2)),
        report={"solver": {"condition": np.inf, "steps": (1, -np.inf)}},
    )
    plain = json.loads(json.dumps(record_to_json(record), allow_nan=False))
    again = record_from_json(plain)
    assert again.fitted == ForceError(None, 9)
    assert again.md[0].drift is None
    assert again.curve == ((1, None), (2, 0.2))
    assert again.report == {"solver": {"condition": None, "steps": [1, None]}}
    assert finite({"a": [np.float64("nan"), "b", True, 3]}) == {"a": [None, "b", True, 3]}
