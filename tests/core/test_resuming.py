"""Going on: what may differ from what earlier work was done with, and what is said about it."""

import shutil
from pathlib import Path

import attrs
import pytest

from ald_core.errors import InputError
from ald_core.journal import Journal
from ald_core.resuming import Consent, changes, check_options, identify, is_at_boundary, section_of

ACCEPT = Consent(accept_changes=True)
PLAIN = {
    "study": {"seed": 1},
    "labelers.bulk": {"use": "x"},
    "fitter": {"alpha": 1},
    "md": {"steps": 30},
}


@attrs.frozen
class FakeRunFile:
    """Sections with options."""

    sections: dict
    path: Path = Path("ald.toml")

    def identity(self):
        return {name: repr(options) for name, options in self.sections.items()}

    def values(self):
        return {
            f"{s}.{k}": str(v) for s, options in self.sections.items() for k, v in options.items()
        }


def run_file(**changed):
    """`md={"steps": 31}` is another option, `md=None` no such section."""
    sections = PLAIN | {name.replace("__", "."): options for name, options in changed.items()}
    return FakeRunFile({name: options for name, options in sections.items() if options})


@attrs.define
class Place:
    """A study; each call is an `ald run` that does nothing but begin."""

    folder: Path
    notes: list = attrs.field(factory=list)

    def check(self, runfile, consent=Consent(), versions=None):  # noqa: B008  frozen
        with Journal.open(self.folder) as journal:
            check_options(
                journal,
                runfile,
                versions or {},
                consent,
                lambda event: self.notes.append(event.text),
            )
            return journal.records

    def did(self, *records):
        with Journal.open(self.folder) as journal:
            for record in records:
                journal.append(record)

    def refusal(self, *arguments):
        with pytest.raises(InputError) as caught:
            self.check(*arguments)
        return str(caught.value)


@pytest.fixture
def place(tmp_path):
    """One cycle is finished."""
    place = Place(tmp_path / "study")
    runfile = run_file()
    place.check(runfile, versions={"md": "ald-x 1"})
    used = runfile.identity()
    start = {k: v for k, v in used.items() if k in ("study", "labelers.bulk")}
    place.did(
        {"type": "TRAINING", "cycle": 0, "identity": start},
        {"type": "INTENT"},
        {"type": "CYCLE_DONE", "cycle": 1, "identity": used},
    )
    return place


def kinds(place):
    with Journal.open(place.folder) as journal:
        return [r["type"] for r in journal.records]


def test_nothing_changed_nothing_said(place):
    before = kinds(place)
    place.check(run_file(), versions={"md": "ald-x 1"})
    assert place.notes == []
    assert kinds(place) == before


def test_what_no_work_depended_on_may_change_and_is_told(tmp_path):
    place = Place(tmp_path)
    place.check(run_file())
    place.check(run_file(md={"steps": 40}))
    (note,) = place.notes
    assert note == "changed since the last run: md.steps: 30 → 40; what depends on it is done anew"
    assert changes([], run_file(md={"steps": 41})) == []


def test_another_version_of_a_plugin_is_told(place):
    place.check(run_file(), versions={"md": "ald-x 2"})
    assert place.notes[0].startswith("changed since the last run: md: ald-x 1 → ald-x 2; ")


def test_a_change_is_refused_with_its_values_and_the_cure(place):
    said = place.refusal(run_file(md={"steps": 31}, fitter={"alpha": 2}))
    assert said == (
        "ald.toml: fitter, md changed since work was done with it (fitter.alpha: 1 → 2; md.steps: 30 → 31), and "
        "earlier cycles were run with it; undo the change, or go on with `ald run --accept-changes`"
    )
    place.check(run_file())


@pytest.mark.parametrize("section", ["study", "labelers__bulk"])
def test_what_the_training_set_depends_on_can_never_change(place, section):
    said = place.refusal(run_file(**{section: {"seed": 9}}), ACCEPT)
    assert "and the training set was made with it" in said
    assert "CHANGED" not in kinds(place)


def test_a_change_is_accepted_at_the_boundary_once_and_for_all(place):
    place.check(run_file(md={"steps": 31}), ACCEPT)
    assert place.notes == ["accepted from here on: md.steps: 30 → 31"]
    assert kinds(place)[-2:] == ["OPTIONS", "CHANGED"]
    place.check(run_file(md={"steps": 31}))
    assert len(place.notes) == 1
    assert "md.steps: 31 → 30" in place.refusal(run_file())


def test_a_section_may_go_and_come(place):
    place.check(run_file(md=None), ACCEPT)
    place.check(run_file(md=None))
    assert "md.steps: absent → 30" in place.refusal(run_file())


def test_inside_a_cycle_a_change_is_refused_whatever_is_said(place):
    place.did({"type": "INTENT"})
    said = place.refusal(run_file(md={"steps": 31}), ACCEPT)
    assert "and a cycle is under way with it" in said
    assert "`ald stop --after-cycle`" in said
    place.did({"type": "CYCLE_DONE", "cycle": 2, "identity": run_file().identity()})
    place.check(run_file(md={"steps": 31}), ACCEPT)


def test_a_file_that_changed_under_its_name_is_a_change_too(place):
    runfile = run_file()
    hidden = attrs.evolve(runfile, sections={**runfile.sections, "md": {"steps": "30"}})
    assert "md: its files or the plugin's defaults" in place.refusal(hidden)


def test_many_changes_are_not_all_named(place):
    said = place.refusal(run_file(md={f"option{i}": i for i in range(20)}))
    assert said.count("absent → ") == 8
    assert "13 more" in said


@pytest.mark.parametrize(
    ("types", "answer"),
    [
        ([], True),
        (["INTENT"], False),
        (["TRAINING 0"], True),
        (["INTENT", "TRAINING 0"], True),
        (["TRAINING 0", "INTENT", "TRAINING 1"], False),
        (["TRAINING 0", "INTENT", "TRAINING 1", "CYCLE_DONE 1"], True),
        (["CYCLE_DONE 1", "INTENT"], False),
        (["CYCLE_DONE 1", "INTENT", "FINAL 2"], True),
    ],
)
def test_boundaries(types, answer):
    entries = [
        {"type": t.split()[0], "cycle": int(t.split()[-1])} if " " in t else {"type": t}
        for t in types
    ]
    assert is_at_boundary(entries) is answer


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("md.steps", "md"),
        ("case[1].name", "case"),
        ("labelers.bulk.command", "labelers.bulk"),
        ("weighting[0].force", "weighting"),
        ("training.frames[0].file", "training"),
    ],
)
def test_sections_of_options(name, section):
    assert section_of(name) == section


# ---------------------------------------------------------------- moved and copied folders


def begin(folder, **said):
    with Journal.open(folder) as journal:
        return identify(journal, folder, Consent(**said))


def test_a_moved_folder_keeps_its_run_id_once_the_user_says_so(tmp_path):
    run = begin(tmp_path / "a")
    assert begin(tmp_path / "a") == run
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(InputError, match=rf"began in {tmp_path}/a; .*--moved.*--copied"):
        begin(tmp_path / "b")
    assert begin(tmp_path / "b", moved=True) == run
    assert begin(tmp_path / "b") == run


def test_a_copy_gets_a_run_id_of_its_own_and_the_study_keeps_its(tmp_path):
    run = begin(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for said in ({}, {"moved": True}):
        with pytest.raises(
            InputError, match=rf"is a copy of the study in {tmp_path}/a, .*--copied"
        ):
            begin(tmp_path / "b", **said)
    copy = begin(tmp_path / "b", copied=True)
    assert copy != run
    assert begin(tmp_path / "b") == copy
    assert begin(tmp_path / "a") == run


def test_a_copy_of_what_was_deleted_since(tmp_path):
    run = begin(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    assert begin(tmp_path / "b", copied=True) != run


def test_another_name_of_the_same_folder_is_no_move(tmp_path):
    run = begin(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert begin(tmp_path / "link") == run
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    assert begin(tmp_path / "b") == run


def test_another_study_in_the_old_place_is_not_the_original(tmp_path):
    run = begin(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert begin(tmp_path / "a") != run
    assert begin(tmp_path / "b", moved=True) == run


def test_a_study_whose_journal_is_gone_is_no_new_study(tmp_path):
    """Else its work would be done again among its old folders, without a word."""
    (tmp_path / "ALC-1" / "jobs" / "ald-0a1b-label-x-1").mkdir(parents=True)
    with Journal.open(tmp_path) as journal, pytest.raises(InputError, match="says nothing"):
        identify(journal, tmp_path)
    shutil.rmtree(tmp_path / "ALC-1")
    with Journal.open(tmp_path) as journal:
        assert identify(journal, tmp_path)
