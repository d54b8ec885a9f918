"""Steps of a cycle, with stand-ins for all that they are given."""

import json
import math
from contextlib import contextmanager
from types import SimpleNamespace

from ald_core import steps
from ald_core.store import Store
from ald_core.types import Model, TrainingSet


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
