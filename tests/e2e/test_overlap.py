"""Labels of one case are made while MD of another one still runs, and the bytes are those of any other order."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np
import pytest
from fake_jobs import FakeScheduler

from ald_core.cycle import run_study
from ald_core.errors import InputError
from ald_core.events import Note, StepStarted
from ald_core.journal import read_journal
from ald_core.reference import ReferenceEngine
from ald_core.registry import Registry
from ald_core.roles import Selector
from ald_core.runfile import read_run_file
from ald_core.selection import EvenSelector
from ald_core.study import open_study
from ald_core.types import Failure, Pick

SCRIPT = Path(__file__).with_name("killed_study.py")
PATIENCE = 600
"""Looks for labels of the other case, a tenth of a second apart, before MD gives up."""
COLD = 'name = "cold"\ntemperature = 300\n'


def wait_for_labels_of_warm(study, ledger):
    """MD of `cold` begins only when two labels of `warm` are on record, in cycle 1 and in the next ones.

    All jobs write into a ledger when they begin to work.
    """
    script = study.path.parent / f"wait-{study.path.name}.sh"
    script.write_text(
        "folder=$1; cycle=${folder%%/jobs/*}; cycle=$(printf %03d ${cycle##*ALC-}); n=0\n"
        f"journal={study.path}/.ald/journal\n"
        'until [ $(cat "$journal"/*.jsonl | grep ACCEPTED | grep -c "$cycle-warm-") -ge 2 ]; do\n'
        f"n=$((n + 1)); [ $n -lt {PATIENCE} ] || exit 1; sleep 0.1; done\n"
    )
    note = f'echo "$ald_folder" >> "{ledger}"'
    roles = "".join(
        f"\n[resources.{role}]\nsetup = ['{note}']\n" for role in ("label", "fit", "md", "predict")
    )
    slow = f"resources = {{ setup = ['{note}', 'sh {script} \"$ald_folder\"'] }}\n"
    final = ("cycles = 2", "cycles = 2\nfinal_md = false")  # nothing is labelled after it
    study.write((COLD, COLD + slow), ("cores = 2\n", "cores = 2\n" + roles), final)


@pytest.fixture
def slow(study):
    """A study in which MD of `cold` waits for labels of `warm`, so that it ends only if nothing is a barrier."""
    ledger = study.path.parent / "ledger.txt"
    ledger.touch()
    wait_for_labels_of_warm(study, ledger)
    return study, ledger


def names(study, kind):
    """Names of tasks in the order of their records."""
    found = [e for e in read_journal(study.path) if e["type"] == kind]
    return [a["name"] for e in found for a in e.get("attempts", [e])]


def same(study, undisturbed):
    """All but the final MD, which was left out."""
    wanted = {k: v for k, v in undisturbed.results().items() if not k.startswith("ALC-3/CASE")}
    return study.results() == wanted


def test_labels_begin_before_md_of_another_case_ends(slow, undisturbed):
    study, ledger = slow
    out = study.run().out
    begun, ended = names(study, "INTENT"), names(study, "ACCEPTED")
    for cycle in (1, 2):
        labels = [f"{cycle:03d}-warm-{step:09d}" for step in (5, 20)]
        md = [i for i, name in enumerate(ended) if name == "cold"][cycle - 1]
        assert max(ended.index(label) for label in labels) < md
        cold = begun.index(f"{cycle:03d}-cold-000000005")
        assert max(begun.index(label) for label in labels) < cold
    lines = out.splitlines()
    assert lines.index("cycle 1: label of warm done: 2 labelled, 0 quarantined") < lines.index(
        "cycle 1: md of cold done: 30 of 30 steps"
    )
    assert same(study, undisturbed)
    done = ledger.read_text().splitlines()
    assert len(done) == len(set(done)) == len(study.jobs())


def test_status_tells_of_both(study):
    study.write(
        (COLD, COLD + 'resources = { setup = ["sleep 4"] }\n'),
        ("cores = 2\n", 'cores = 2\n[resources.label]\nsetup = ["sleep 1"]\n'),
        ("cycles = 2", "cycles = 1\nfinal_md = false"),
    )
    process = study.start("run")
    seen = []
    while process.poll() is None and ["md", "label"] not in seen:
        told = json.loads(study.ald("status", "--json").out or "{}")
        seen.append([step["name"] for step in told.get("steps", [])])
        if seen[-1] == ["md", "label"]:
            md, label = (step["tasks"] for step in told["steps"])
            assert md["done"] >= 1
            assert sum(md.values()) == 2
            assert sum(label.values()) in (2, 4)
    assert ["md", "label"] in seen
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


# ---------------------------------------------------------------- kill -9


def test_dying_at_every_record_of_a_job_while_both_are_in_flight(tmp_path, new_study, undisturbed):
    studies, lives = {}, {}
    for manner in ("before", "after"):
        study = studies[manner] = new_study(tmp_path / manner)
        ledger = tmp_path / f"{manner}.ledger"
        ledger.touch()
        wait_for_labels_of_warm(study, ledger)
        command = [sys.executable, SCRIPT, study.path, manner, tmp_path / f"{manner}.log", "jobs"]
        lives[manner] = subprocess.Popen(command, env=study.environment)
    assert [process.wait(300) for process in lives.values()] == [0, 0]
    for manner, study in studies.items():
        deaths = Counter(
            line.split()[0] for line in (tmp_path / f"{manner}.log").read_text().splitlines()
        )
        # Two runs of MD, four labels, one evaluation. A job whose intent alone was on record is begun anew.
        assert deaths["ACCEPTED"] == 7
        assert deaths["INTENT"] >= 7
        assert deaths["SUBMITTED"] >= 7
        ended = names(study, "ACCEPTED")
        assert ended.index("001-warm-000000020") < ended.index("cold")
        found = study.results()
        del found["training_set.extxyz"]  # that of the second cycle there
        assert found.items() <= undisturbed.results().items()
        assert {path.split("/")[0] for path in found} == {"ALC-1", "ALC-2", ".ald"}
        done = (tmp_path / f"{manner}.ledger").read_text().splitlines()
        work = [Path(line).name.rpartition("-")[0] for line in done]
        assert len(work) == len(set(work)) == len(ended)  # nothing was done twice, in no attempt
        assert study.litter() == []


# ---------------------------------------------------------------- any order


@attrs.frozen(kw_only=True)
class LuckySelector(Selector):
    """Draws from the half of the frames on which the model pushes hardest, and again from those that are left."""

    name: ClassVar[str] = "lucky"
    per_case: ClassVar[bool] = True

    def select(self, candidates, context):
        said = context.predict([c.frame() for c in candidates])
        push = [np.abs(labels.forces).max() for labels in said]
        hard = sorted(range(len(push)), key=lambda i: -push[i])[: len(push) // 2]
        first = context.rng.choice(hard)
        rest = [i for i in range(len(candidates)) if i != first]
        context.predict([candidates[i].frame() for i in rest])
        return [Pick(int(first), "hard"), Pick(int(context.rng.choice(rest)), "any")]


class PooledSelector(LuckySelector):
    """The same among all cases together."""

    name: ClassVar[str] = "pooled"
    per_case: ClassVar[bool] = False


def run_here(study, *, events=None, cycles=1, **crew):
    """One `ald run` in this process."""
    registry = Registry()
    runfile = read_run_file(study.path / "ald.toml", registry)
    runfile = attrs.evolve(runfile, crew=attrs.evolve(runfile.crew, **crew))
    listener = (events if events is not None else []).append
    with open_study(runfile, registry, listener, poll=0.001) as opened:
        run_study(opened, cycles)


@pytest.fixture
def at_random(tmp_path, new_study, monkeypatch):
    """Runs a fresh study with jobs that end in a random order."""
    monkeypatch.setattr("ald_core.jobs.PAUSE_PER_QUERY", 0.0)

    def at_random(name, seed, tasks_per_job=1, **crew):
        study = new_study(tmp_path / f"{name}-{seed}")
        packs = f"\n[resources.label]\ntasks_per_job = {tasks_per_job}\n"
        study.write(
            ("cores = 2\n", "cores = 2\n" + packs),
            ("cycles = 2", "cycles = 1\nfinal_md = false"),
        )
        run_here(study, scheduler=FakeScheduler(seed=seed), **crew)
        return study

    return at_random


class BarrierSelector(EvenSelector):
    """The same picks, but all cases are waited for before the first label."""

    per_case: ClassVar[bool] = False


def test_any_order_gives_the_same_bytes_and_so_does_a_barrier(at_random, undisturbed):
    orders = set()
    for seed, tasks_per_job, selector in (
        (1, 1, EvenSelector(per_class=2)),
        (2, 3, BarrierSelector(per_class=2)),
    ):
        study = at_random("even", seed, tasks_per_job, selector=selector)
        orders.add(tuple(names(study, "ACCEPTED")))
        found = study.results()
        del found["training_set.extxyz"]
        assert found.items() <= undisturbed.results().items()
        assert any(path.startswith("ALC-2/GEN_FF") for path in found)
    assert len(orders) == 2


@pytest.mark.parametrize("selector", [LuckySelector(), PooledSelector()])
def test_selectors_that_draw_and_predict_give_the_same_picks_in_any_order(at_random, selector):
    studies = [at_random(selector.name, seed, selector=selector) for seed in (1, 2)]
    assert len({tuple(names(s, "ACCEPTED")) for s in studies}) == 2
    assert studies[0].results() == studies[1].results()
    picked = {
        name for name in names(studies[0], "ACCEPTED") if name.startswith(("001-cold", "001-warm"))
    }
    assert len(picked) == (4 if selector.per_case else 2)


def test_a_selector_that_needs_all_cases_is_waited_with(extended):
    extended.write(('use = "even"\nper_class = 2', 'use = "pushy"'), ("cycles = 2", "cycles = 1"))
    extended.run()
    begun, ended = read_journal(extended.path), []
    for entry in begun:
        if entry["type"] == "ACCEPTED":
            ended.append(entry["name"])
        if entry["type"] == "INTENT" and entry["attempts"][0]["name"].startswith("001-"):
            assert {"cold", "warm"} <= set(ended)
    assert sum(name.startswith("001-") for name in ended) == 4


# ---------------------------------------------------------------- failures


@attrs.frozen(kw_only=True)
class Unlicensed(ReferenceEngine):
    """There is no licence for one case."""

    def collect(self, case, cycle, workdir):
        if case.name == "cold":
            return Failure("no licence", "input")
        return super().collect(case, cycle, workdir)


def test_a_case_that_fails_does_not_hold_the_others(tmp_path, new_study, undisturbed, monkeypatch):
    monkeypatch.setattr("ald_core.jobs.PAUSE_PER_QUERY", 0.0)
    study = new_study(tmp_path / "study")
    study.write(("cycles = 2", "cycles = 1\nfinal_md = false"))
    engine = read_run_file(study.path / "ald.toml", Registry()).crew.md
    events = []
    with pytest.raises(InputError, match="cycle 1: md 'cold' failed: no licence"):
        run_here(
            study,
            events=events,
            scheduler=FakeScheduler(seed=1),
            md=Unlicensed(**attrs.asdict(engine)),
        )
    assert [e.part for e in events if isinstance(e, StepStarted) and e.step == "label"][1:] == [
        "warm"
    ]
    assert sum(name.startswith("001-warm-") for name in names(study, "ACCEPTED")) == 2
    (warning,) = [e.text for e in events if isinstance(e, Note) and e.level == "warning"]
    assert warning.startswith("cycle 1: md 'cold' failed: no licence; what does not depend on it")
    run_here(study, scheduler=FakeScheduler(seed=2))
    found = study.results()
    del found["training_set.extxyz"]
    assert found.items() <= undisturbed.results().items()
