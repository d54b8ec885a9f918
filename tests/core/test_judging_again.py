"""Gates are no part of a task's identity: when a limit changes, results on disk are judged again, none is made anew."""

from contextlib import nullcontext
from types import SimpleNamespace

import ase.io
import attrs
import numpy as np
import pytest
from ase import Atoms

from ald_core import steps
from ald_core.crew import Crew
from ald_core.errors import InputError
from ald_core.jobs import JobRunner
from ald_core.journal import Journal, read_journal
from ald_core.local import LocalScheduler
from ald_core.reference import ReferenceEngine, ReferenceFitter, ReferenceLabeler
from ald_core.registry import Registry
from ald_core.sections import QualityOptions
from ald_core.types import Case, Failure, Frame, JobSpec, Labels, Model, Origin, Task


@attrs.define(slots=False)
class Study:
    """Tasks that give 1, 2, 3 …, of which a limit says which are believed; executions are counted outside."""

    folder: object

    def task(self, value, limit):
        def prepare(workdir, rung):
            text = 'echo "$1" >>"$2"; echo "$1" >out'
            return JobSpec(("sh", "-c", text, "sh", str(value), str(self.counts)), ("out",))

        def gate(result):
            return result if result <= limit else Failure(f"{result} exceeds {limit}")

        def collect(workdir):
            return int((workdir / "out").read_text())

        return Task("label", f"t{value}", f"identity {value}", prepare, collect, gate)

    @property
    def counts(self):
        return self.folder.with_name("counts")

    def run(self, limit, *, release=False):
        """One `ald run`; the reason stands for a failure."""
        with Journal.open(self.folder) as journal:
            runner = JobRunner(self.folder, "3a7e", journal, LocalScheduler(cores=4), {}, poll=0.01)
            tasks = [self.task(value, limit) for value in (1, 2, 3)]
            results = runner.run(1, tasks)
            if release:
                runner.release(tasks)
        return [r.reason if isinstance(r, Failure) else r for r in results]

    def executions(self):
        return sorted(self.counts.read_text().split())

    def kinds(self):
        return [r["type"] for r in read_journal(self.folder)]


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study").mkdir()
    return Study(tmp_path / "study")


def test_a_result_outside_of_the_limit_is_tried_once_more_and_quarantined(study):
    assert study.run(2) == [1, 2, "3 exceeds 2"]
    assert study.executions() == ["1", "2", "3", "3"]
    assert study.run(2) == [1, 2, "3 exceeds 2"]
    assert study.executions() == ["1", "2", "3", "3"]


def test_a_tighter_limit_drops_accepted_results_and_a_wider_one_brings_them_back(study):
    assert study.run(3) == [1, 2, 3]
    assert study.run(1) == [1, "2 exceeds 1", "3 exceeds 1"]
    assert study.run(2) == [1, 2, "3 exceeds 2"]
    assert study.run(3) == [1, 2, 3]
    assert study.executions() == ["1", "2", "3"]
    assert study.kinds().count("ACCEPTED") == 3


def test_a_wider_limit_takes_quarantined_results_from_disk(study):
    assert study.run(1) == [1, "2 exceeds 1", "3 exceeds 1"]
    done = study.executions()
    assert study.run(2) == [1, 2, "3 exceeds 2"]
    assert study.run(9) == [1, 2, 3]
    assert study.run(9) == [1, 2, 3]
    assert study.executions() == done
    accepted = [r for r in read_journal(study.folder) if r["type"] == "ACCEPTED"]
    assert [r["task"] for r in accepted].count("identity 3") == 1
    assert next(r for r in accepted if r["task"] == "identity 3")["job"].endswith("-1")


def test_what_was_released_is_taken_from_disk_too_if_the_limit_was_changed(study):
    study.run(1, release=True)
    done = study.executions()
    assert study.run(3) == [1, 2, 3]
    assert study.executions() == done


def test_what_was_released_under_the_same_limit_is_done_anew(study):
    study.run(2, release=True)
    assert study.run(2) == [1, 2, "3 exceeds 2"]
    assert study.executions() == ["1", "2", "3", "3", "3", "3"]


def test_a_release_leaves_alone_what_was_accepted_since(study):
    study.run(2)
    assert study.run(3, release=True) == [1, 2, 3]
    assert study.run(3) == [1, 2, 3]
    assert study.kinds().count("RELEASED") == 0


@pytest.mark.parametrize("damage", ["changed", "deleted", "unreadable"])
def test_results_that_are_no_longer_what_they_were_are_not_taken(study, damage):
    study.run(2)
    for job in study.folder.glob("ALC-1/jobs/*"):
        out = next(job.glob("*/out"))
        if out.read_text() == "3\n":
            if damage == "changed":
                out.write_text("2\n")
            elif damage == "deleted":
                out.unlink()
            else:
                (job / "job.json").write_text("{")
    assert study.run(9) == [1, 2, "3 exceeds 2"]


def test_an_accepted_file_that_was_changed_is_still_refused(study):
    study.run(3)
    for out in study.folder.glob("ALC-1/jobs/*/*/out"):
        out.write_text("1\n")
    with pytest.raises(InputError, match="was changed after its result was accepted"):
        study.run(3)


# ---------------------------------------------------------------- identities of labels


@pytest.fixture
def registry():
    return Registry()


def identities(registry, labeler, quality):
    frame = Frame(Atoms("Ar2", positions=[[0, 0, 0], [1, 1, 1]]), Origin(1, "a", 1))
    runfile = SimpleNamespace(
        quality=quality, label_resources={}, study=SimpleNamespace(elements=("Ar",))
    )
    crew = Crew(LocalScheduler(), ReferenceFitter(), (), None, None, {"bulk": labeler})
    study = attrs.make_class("S", ["crew", "registry", "runfile"])(crew, registry, runfile)
    return steps._label_tasks(study, [frame])[0]


def test_the_version_of_the_plugin_is_in_the_identity_and_the_limits_are_not(registry):
    before = identities(registry, ReferenceLabeler(), QualityOptions())
    again = identities(registry, ReferenceLabeler(), QualityOptions(max_force=1.0))
    assert again.identity == before.identity
    forces = np.full((2, 3), 2.0)
    assert isinstance(again.judge(Labels(-1.0, forces)), Failure)
    assert before.judge(Labels(-1.0, forces)).forces is forces
    assert registry.source(ReferenceLabeler()).startswith("ald-core ")
    registry.offers = [attrs.evolve(o, source="ald-core 99") for o in registry.offers]
    newer = identities(registry, ReferenceLabeler(), QualityOptions())
    assert newer.identity != before.identity


def test_the_version_of_the_engine_is_in_the_identity_of_its_runs(registry, tmp_path):
    ase.io.write(tmp_path / "start.xyz", Atoms("Ar2", positions=[[0, 0, 0], [1, 1, 1]]))
    (tmp_path / "model").write_text("m")
    model = Model("reference", tmp_path / "model")
    case = Case("cold", 0, 300.0, tmp_path / "start.xyz")
    asked = []
    study = SimpleNamespace(
        crew=SimpleNamespace(md=ReferenceEngine()),
        registry=registry,
        runfile=SimpleNamespace(cases=[case]),
        seed=lambda *_: 7,
        step=lambda *_: nullcontext(print),
    )
    for source in ("ald-core 1", "ald-core 1", "ald-core 2"):
        registry.offers = [attrs.evolve(o, source=source) for o in registry.offers]
        [batch] = next(steps.run_md(study, 1, model, case))
        asked.append(batch.tasks[0].identity)
    assert asked[0] == asked[1] != asked[2]
