"""Steps of a cycle, with stand-ins for all that they are given."""

import json
import math
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from ald_core import steps
from ald_core.errors import InputError
from ald_core.events import Note, StepFinished
from ald_core.selection import EvenSelector
from ald_core.store import Store
from ald_core.study import Study
from ald_core.types import Case, Model, TrainingSet


def test_what_a_fitter_reports_is_strict_json(tmp_path):
    class Fitter:
        def fit(self, training, weights, workdir, run_jobs):
            (workdir / "params").touch()
            return Model("toy", workdir / "params", {"rank": 3, "condition": [math.inf, 1.5]})

    @contextmanager
    def step(cycle, name, tasks):
        yield print

    crew = SimpleNamespace(weightings=[SimpleNamespace(weights=lambda *_: 1)], fitter=Fitter())
    study = SimpleNamespace(
        crew=crew, step=step, must_run=lambda cycle: None, store=Store(tmp_path)
    )
    model = steps.fit(study, 2, TrainingSet())
    assert model.path == tmp_path / "ALC-2" / "GEN_FF" / "params"
    report = json.loads((model.path.parent / "fit.json").read_text(), parse_constant=str)
    assert report == {"rank": 3, "condition": [None, 1.5]}


# ---------------------------------------------------------------- steps that go on at once


@pytest.fixture
def study(monkeypatch):
    """A study of which only the steps are used, with a clock that each look moves on by a second."""
    clock = iter(range(100))
    monkeypatch.setattr("ald_core.study.time.monotonic", lambda: float(next(clock)))
    events = []
    made = Study(*[None] * 6, listener=events.append)
    return made, events


def test_the_time_of_a_step_is_that_in_which_any_part_of_it_goes_on(study):
    made, events = study
    with made.step(1, "md", 1, "a"):  # at 0
        with made.step(1, "md", 1, "b"):  # looks at 1, and does not begin anew
            pass
        with made.step(1, "label", 3, "b"):  # 2 … 3
            pass
    assert made.seconds == {"label": 1.0, "md": 4.0}
    assert made.under_way == {}
    assert [(e.step, e.part) for e in events if isinstance(e, StepFinished)] == [
        ("md", "b"), ("label", "b"), ("md", "a")
    ]  # fmt: skip


def test_a_failure_is_told_at_once_if_something_else_goes_on(study):
    made, events = study
    with made.step(1, "label", 3, "b"), pytest.raises(InputError), made.step(1, "md", 1, "a"):
        raise InputError("no licence")
    with pytest.raises(InputError), made.step(1, "fit", 1):
        raise InputError("no data")
    (note,) = [e.text for e in events if isinstance(e, Note)]
    assert note == "no licence; what does not depend on it goes on until the run stops for it"


def test_cases_are_selected_from_together_unless_the_selector_says_otherwise():
    class Pooled(EvenSelector):
        per_case = False

    a, b = (Case(name, i, 300.0, None) for i, name in enumerate("ab"))

    def parts(selector):
        crew = SimpleNamespace(selector=selector)
        return steps.parts(SimpleNamespace(crew=crew, runfile=SimpleNamespace(cases=(a, b))))

    assert parts(Pooled()) == {"": (a, b)}
    assert parts(EvenSelector()) == {"a": (a,), "b": (b,)}
