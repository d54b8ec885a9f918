"""Labels of a study: outliers are set aside and shown, and what a user says of labels counts from a cycle's start."""

import shutil
import sys
from importlib.metadata import EntryPoint
from typing import ClassVar

import ase.io
import attrs
import numpy as np
import pytest
from ase.build import bulk

from ald_core import labels
from ald_core.cycle import run_study
from ald_core.errors import FuseBlown, InputError
from ald_core.events import Note
from ald_core.hookspecs import hookimpl
from ald_core.inspection import read_status
from ald_core.journal import Journal, read_journal
from ald_core.reference import ReferenceLabeler
from ald_core.reference_job import LENNARD_JONES, basis
from ald_core.registry import Registry
from ald_core.resuming import Consent
from ald_core.runfile import read_run_file
from ald_core.store import Store
from ald_core.study import open_study
from ald_core.types import TrainingSet

WRONG: dict[str, float] = {}
"""eV/Å by which forces on the first atom are wrong, by frame id"""
LEAVES_NOTHING: set[str] = set()

RUN_FILE = """\
[study]
elements = ["Ar"]
cycles = 2
seed = 3
final_md = false
[training]
held_out = 0.1
frames = [{ file = "liquid.extxyz", temperature = 300 }]
[fitter]
use = "reference"
[md]
use = "reference"
steps = 30
stride = 5
[[case]]
name = "cold"
temperature = 300
structure = "crystal.extxyz"
[selector]
use = "even"
per_class = 2
[labelers.bulk]
use = "moody"
[quality]
max_quarantined = 0.5
max_force = 1e6
[scheduler]
use = "local"
cores = 2
"""


@attrs.frozen(kw_only=True)
class MoodyLabeler(ReferenceLabeler):
    """The reference labeler, but for some frames."""

    name: ClassVar[str] = "moody"

    def collect(self, frame, workdir):
        found = super().collect(frame, workdir)
        if frame.id in LEAVES_NOTHING:
            found.forces[:] = np.nan
        found.forces[0] += WRONG.get(frame.id, 0.0)
        return found


@hookimpl
def ald_labelers():
    return [MoodyLabeler]


@attrs.define
class Home:
    """A study in a folder."""

    folder: object
    notes: list = attrs.field(factory=list)

    @property
    def path(self):
        return self.folder / "ald.toml"

    def run(self, cycles=2, **consent):
        sys.modules["moody_plugin"] = sys.modules[__name__]
        core = EntryPoint("core", "ald_core.plugin", "ald")
        registry = Registry([core, EntryPoint("moody", "moody_plugin", "ald")])
        self.notes.clear()

        def listen(event):
            if isinstance(event, Note):
                self.notes.append(event.text)

        runfile = read_run_file(self.path, registry)
        with open_study(runfile, registry, listen, consent=Consent(**consent)) as study:
            return run_study(study, cycles)

    def training(self, cycle):
        return Store(self.folder).training(cycle)

    def states(self):
        return {label.name: label.state for label in labels.read_labels(self.path)}

    def fitted_in(self, cycle):
        """Frames that the model of a cycle was fitted to."""
        (request,) = self.folder.glob(f"ALC-{cycle}/jobs/*-fit-*/*/request.json")
        return request.read_text()

    def kinds(self):
        return [record["type"] for record in read_journal(self.folder)]


@pytest.fixture(autouse=True)
def _well():
    WRONG.clear()
    LEAVES_NOTHING.clear()


def make(folder):
    """25 labelled frames, of which the last is no argon."""
    folder.mkdir()
    frames = []
    for seed in range(25):
        atoms = bulk("Ar", "fcc", a=1.6, cubic=True)
        atoms.rattle(0.03, seed=seed)
        found = basis(atoms.positions, atoms.cell[:], atoms.pbc)
        atoms.info["ref_energy"] = float(LENNARD_JONES @ found.energy) + 40.0 * (seed == 24)
        atoms.arrays["ref_forces"] = np.einsum("k,kia->ia", LENNARD_JONES, found.forces)
        frames.append(atoms)
    ase.io.write(folder / "liquid.extxyz", frames)
    ase.io.write(folder / "crystal.extxyz", bulk("Ar", "fcc", a=1.6, cubic=True))
    (folder / "ald.toml").write_text(RUN_FILE)
    return Home(folder)


GIVEN = "000-liquid-000000025"
FIRST, SECOND = "001-cold-000000005", "001-cold-000000020"
"""Two of the frames that are labelled in the first cycle"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A study that has run to its end, without any wrong label but the one that was given."""
    WRONG.clear()
    home = make(tmp_path_factory.mktemp("labels") / "study")
    home.run()
    assert any(GIVEN in note and "`ald labels`" in note for note in home.notes)
    return home


@pytest.fixture
def home(tmp_path):
    return make(tmp_path / "study")


@pytest.fixture
def finished(template, tmp_path):
    """A copy of it."""
    shutil.copytree(template.folder, tmp_path / "study")
    return Home(tmp_path / "study")


def test_all_labels_are_listed_with_their_files(template):
    found = labels.read_labels(template.path)
    states = [label.state for label in found]
    assert len(found) == 25 + 2 + 2
    assert states.count("held out") == sum(f.held_out for f in template.training(2).frames)
    by_name = {label.name: label for label in found}
    assert by_name[GIVEN].state == "flagged"
    assert by_name[GIVEN].folder == ""
    assert (template.folder / by_name[FIRST].folder / "answer.json").is_file()
    lines = labels.show(found)
    assert len(lines) == 2
    assert lines[0].startswith(f"{GIVEN} is flagged: outlier: an energy of ")
    assert lines[1] == labels.count(found)
    assert len(labels.show(found, every=True)) == 30
    assert labels.show(found, [FIRST]) == [str(by_name[FIRST])]
    with pytest.raises(InputError, match="no label of this name; did you mean"):
        labels.show(found, [FIRST[:-1]])
    with pytest.raises(InputError, match=r"no label of this name; `ald labels --all` shows all$"):
        labels.show(found, ["?"])


def test_an_outlier_is_set_aside_shown_and_not_fitted(home):
    WRONG[FIRST] = 5000.0
    records = home.run(1)
    (name, reason) = records[0].quarantined[0]
    assert name == FIRST
    assert reason.startswith("outlier: a force of")
    assert records[0].added == 1
    (aside,) = home.training(1).set_aside
    assert (aside.frame.id, aside.set_aside) == (FIRST, reason)
    assert home.states()[FIRST] == "quarantined"
    kept = ase.io.read(home.folder / "training_set.extxyz", ":")
    assert FIRST not in [atoms.info["id"] for atoms in kept]
    shown = ase.io.read(home.folder / "ALC-1" / "MOODY-20" / "CASE-0" / "labels.extxyz", ":")
    assert len(shown) == 1
    assert any(FIRST in remark for remark in read_status(home.path).summary.remarks)
    assert home.run(1) == records
    assert home.kinds().count("OUTLIERS") == 2, "one of the starting set, one of the first cycle"


class Killed(BaseException):
    """The process died."""


def test_wherever_it_is_killed_the_same_labels_are_set_aside(home, tmp_path, monkeypatch):
    WRONG[FIRST] = 5000.0
    other = make(tmp_path / "undisturbed")
    other.run(1)
    append = Journal.append

    def dying(kind, written):
        def die(journal, record):
            if record["type"] == kind and record["cycle"] == 1:
                if written:
                    append(journal, record)
                raise Killed
            return append(journal, record)

        return die

    for kind, written in (("OUTLIERS", False), ("OUTLIERS", True), ("TRAINING", True)):
        monkeypatch.setattr(Journal, "append", dying(kind, written))
        with pytest.raises(Killed):
            home.run(1)
        monkeypatch.undo()
    records = home.run(1)
    assert records[0].quarantined[0][0] == FIRST
    assert home.kinds().count("OUTLIERS") == 2
    for name in ("0.jsonl", "1.jsonl"):
        path = f".ald/training/{name}"
        assert (home.folder / path).read_bytes() == (other.folder / path).read_bytes()


def test_too_many_outliers_are_for_a_person_to_look_at(home):
    WRONG.update({FIRST: 5000.0, SECOND: -6000.0})
    (home.folder / "ald.toml").write_text(RUN_FILE.replace("= 0.5", "= 0.2"))
    with pytest.raises(FuseBlown, match=r"2 of 2 labels are outliers.*--release.* or --reject"):
        home.run(1)
    assert "; 2 outliers, which `ald labels` shows" in "\n".join(read_status(home.path).lines)
    assert labels.show(labels.read_labels(home.path))[-1].endswith(", 1 flagged, 2 quarantined")
    jobs = sorted(home.folder.glob("ALC-1/jobs/*-label-*"))
    said = labels.release(home.path, [FIRST])
    assert said == [f"{FIRST} is released, and fitted or judged from the next `ald run` on"]
    assert home.states()[FIRST] == "accepted"
    labels.reject(home.path, [SECOND])
    assert home.states()[SECOND] == "rejected"
    records = home.run(1)
    assert records[0].quarantined == ((SECOND, "rejected by the user"),)
    kept = {f.frame.id: f.set_aside for f in home.training(1).frames if f.frame.origin.cycle}
    assert kept[FIRST] == ""
    assert kept[SECOND] == "rejected by the user"
    assert sorted(home.folder.glob("ALC-1/jobs/*-label-*")) == jobs, "none was made anew"


def test_limits_that_change_judge_again_until_the_cycle_is_finished(home):
    WRONG[FIRST] = 5000.0
    text = RUN_FILE.replace("max_quarantined = 0.5", "max_quarantined = 0.0")
    (home.folder / "ald.toml").write_text(text)
    with pytest.raises(FuseBlown):
        home.run(1)
    jobs = sorted(home.folder.glob("ALC-1/jobs/*"))
    (home.folder / "ald.toml").write_text(text.replace("[quality]", "[quality]\noutliers = 0"))
    assert home.run(1)[0].added == 2
    assert home.states()[FIRST] in ("fitted", "held out")
    assert sorted(home.folder.glob("ALC-1/jobs/*")) == jobs
    (home.folder / "ald.toml").write_text(text)
    assert home.run(1)[0].added == 2, "what a finished cycle took stays"


def test_a_rejected_label_is_fitted_no_more_and_finished_cycles_stay(finished):
    names = [f.frame.id for f in finished.training(2).fitted if f.frame.origin.cycle == 1]
    before = {p: p.read_bytes() for p in finished.folder.glob(".ald/training/*")}
    model = (finished.folder / "ALC-3" / "GEN_FF" / "params.json").read_bytes()
    told = labels.reject(finished.path, [GIVEN, names[0]])
    assert told[0] == f"{GIVEN} is rejected, and left out from the next `ald run` on"
    starts = len(list(finished.folder.glob(".ald/journal/*")))
    assert labels.reject(finished.path, [names[0]]) == [f"{names[0]} is rejected already"]
    assert len(list(finished.folder.glob(".ald/journal/*"))) == starts
    assert finished.states()[GIVEN] == finished.states()[names[0]] == "rejected"
    assert "final" in "\n".join(read_status(finished.path).lines), (
        "the final fit is asked for again"
    )
    records = finished.run(copied=True)
    n = len(finished.training(2).fitted)
    assert records[-1].fitted.frames == n - 2
    assert {p: p.read_bytes() for p in before} == before
    assert (finished.folder / "ALC-3" / "GEN_FF" / "params.json").read_bytes() != model
    assert read_status(finished.path).lines[0] == "finished"
    finished.run(3)
    aside = {f.frame.id for f in finished.training(3).set_aside}
    assert aside == {GIVEN, names[0]}
    said = labels.release(finished.path, [names[0]])
    assert said == [f"{names[0]} is released, and fitted or judged from the next `ald run` on"]
    assert labels.release(finished.path, [names[0]]) == [f"{names[0]} is released already"]
    finished.run(4)
    assert {f.frame.id for f in finished.training(4).set_aside} == {GIVEN}
    assert {f.frame.id for f in finished.training(3).set_aside} == aside


def test_a_cycle_goes_on_with_the_training_set_that_it_began_with(finished):
    """Rejected in the middle of a cycle: nothing that was made is made anew, and the next cycle leaves it out."""
    LEAVES_NOTHING.update(f"003-cold-{i:09d}" for i in range(0, 31, 5))
    with pytest.raises(FuseBlown):
        finished.run(3, copied=True)
    jobs = {p.name for p in finished.folder.glob("ALC-3/jobs/*")}
    (said,) = labels.reject(finished.path, [GIVEN])
    assert said.endswith("left out from the next cycle on; the one under way goes on as it began")
    found = {label.name: label for label in labels.read_labels(finished.path)}
    assert str(found[GIVEN]) == f"{GIVEN} is rejected: from the next cycle on"
    LEAVES_NOTHING.clear()
    finished.run(3)
    assert {p.name for p in finished.folder.glob("ALC-3/jobs/*")} >= jobs
    assert len(list(finished.folder.glob("ALC-3/jobs/*-fit-*"))) == 1, (
        "that of the final fit before"
    )
    assert finished.training(3).set_aside == ()
    finished.run(4)
    assert [f.frame.id for f in finished.training(4).set_aside] == [GIVEN]


def test_names_are_checked_before_anything_is_said(finished):
    for say, names, words in (
        (labels.reject, [FIRST, "001-cold-7"], "001-cold-7: there is no label of this name"),
        (labels.release, [GIVEN, FIRST], "no label of this name is quarantined or rejected"),
    ):
        with pytest.raises(InputError, match=words):
            say(finished.path, names)
    assert "VERDICT" not in finished.kinds()
    assert labels.release(finished.path, [GIVEN])[0].startswith(f"{GIVEN} is released")
    assert finished.states()[GIVEN] == "fitted"


def test_a_command_that_was_killed_is_given_again(finished, monkeypatch):
    append, done = Journal.append, []

    def dies(journal, record):
        if done:
            raise KeyboardInterrupt
        done.append(append(journal, record))
        return done[-1]

    monkeypatch.setattr(Journal, "append", dies)
    with pytest.raises(KeyboardInterrupt):
        labels.reject(finished.path, [FIRST, SECOND])
    monkeypatch.undo()
    said = labels.reject(finished.path, [FIRST, SECOND])
    assert said[0] == f"{FIRST} is rejected already"
    assert said[1].startswith(f"{SECOND} is rejected, and left out")
    assert finished.kinds().count("VERDICT") == 2


def test_not_every_label_can_be_rejected(finished):
    labels.reject(finished.path, [f.frame.id for f in finished.training(2).fitted])
    with pytest.raises(InputError, match="no label is left to be fitted"):
        finished.run(copied=True)


def test_nothing_is_said_while_a_run_is_at_work(finished):
    for say in (labels.reject, labels.release):
        with (
            Journal.open(finished.folder),
            pytest.raises(InputError, match="works in this study already"),
        ):
            say(finished.path, [GIVEN])


# ---------------------------------------------------------------- labels that failed


@pytest.fixture
def failed(tmp_path):
    """Labels that were given up: one in a finished cycle, three in the one under way."""

    def quarantine(*names):
        with Journal.open(tmp_path) as journal:
            for name in names:
                details = {"reason": f"{name} is bad", "kind": "invalid"}
                record = {"type": "QUARANTINED", "task": f"id {name}", "name": name, **details}
                journal.append(record)

    (tmp_path / "ald.toml").touch()
    quarantine("old")
    with Journal.open(tmp_path) as journal:
        journal.append({"type": "TRAINING", "cycle": 1})
    Store(tmp_path).publish_training(1, TrainingSet())
    quarantine("a", "b", "c")
    return tmp_path / "ald.toml"


def test_failed_labels_begin_anew(failed):
    assert [str(label) for label in labels.read_labels(failed)] == [
        "a is quarantined: a is bad",
        "b is quarantined: b is bad",
        "c is quarantined: c is bad",
        "old is quarantined: old is bad; its cycle was finished without it",
    ]
    for names, words in (
        (["a", "old"], "old: its cycle was finished without it"),
        (["a", "d"], "d: no label of this name is quarantined"),
    ):
        with pytest.raises(InputError, match=words):
            labels.release(failed, names)
    with pytest.raises(InputError, match="a: is quarantined, and no label that could be rejected"):
        labels.reject(failed, ["a"])
    anew = "is released; the next `ald run` begins it anew"
    assert labels.release(failed, ["b"]) == [f"b {anew}"]
    assert labels.release(failed, ["b", "b"]) == ["b is released already"]
    assert [q.name for q in labels.read_labels(failed) if q.failed] == ["a", "c", "old"]
    assert labels.release(failed, ["a"], every=True) == [f"a {anew}", f"c {anew}"]
    assert labels.release(failed, [], every=True) == []
    released = [r["task"] for r in read_journal(failed.parent) if r["type"] == "RELEASED"]
    assert released == ["id b", "id a", "id c"]


def test_a_training_set_that_is_gone_is_named(failed):
    (failed.parent / ".ald" / "training" / "1.jsonl").unlink()
    with pytest.raises(InputError, match=r"1\.jsonl: is missing; restore it"):
        labels.read_labels(failed)
