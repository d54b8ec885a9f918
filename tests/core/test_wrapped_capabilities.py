"""Options that are capabilities themselves: how users write them, and that the core knows them as such."""

from typing import ClassVar

import attrs
import pytest

from ald_core.cite import citations
from ald_core.errors import InputErrors
from ald_core.options import build, describe, identity, option, parts
from ald_core.registry import Offer, Registry
from ald_core.roles import Fitter, Labeler
from ald_core.runfile import read_run_file

TEXT = """\
[study]
elements = ["Ar"]
cycles = 0

[training]
frames = [{ file = "start.xyz", temperature = 300 }]

[fitter]
use = "wrapper"

[fitter.inner]
use = "reference"

[fitter.baseline]
use = "secretive"
depth = 3

[[case]]
name = "cold"
temperature = 77
structure = "start.xyz"
"""


@attrs.frozen(kw_only=True)
class Wrapper(Fitter):
    """A fitter with a fitter and a labeler inside."""

    name: ClassVar[str] = "wrapper"
    writes: ClassVar[str] = "wrapped"
    inner: Fitter = option(help="what fits")
    baseline: Labeler = option(help="what is known")

    def fit(self, training, weights, workdir, run_jobs):
        raise NotImplementedError

    def predict(self, model, frames, run_jobs):
        raise NotImplementedError


@attrs.frozen(kw_only=True)
class Secretive(Labeler):
    """A labeler that needs something of everything."""

    name: ClassVar[str] = "secretive"
    cites: ClassVar[tuple[str, ...]] = ("Somebody (1999)",)
    depth: int = option(1, help="how deep")
    program: str = option("no-such-program", help="what runs", identity=False)

    def check(self, elements):
        return [] if self.depth < 9 else [f"{self.depth} is too deep for {', '.join(elements)}"]

    def check_temperature(self, temperature, elements):
        return [] if temperature > 70.0 else [f"{temperature:g} K is too cold"]

    def programs(self):
        return {"program": self.program}

    def secrets(self):
        return ("DEEP_SECRET",)

    def prepare(self, frame, workdir, rung):
        raise NotImplementedError

    def collect(self, frame, workdir):
        raise NotImplementedError


@pytest.fixture
def read(tmp_path):
    registry = Registry()
    registry.offers += [Offer(Wrapper, "test 1"), Offer(Secretive, "test 1")]
    (tmp_path / "start.xyz").write_text("1\n\nAr 0 0 0\n")

    def read(*changes, **options):
        text = TEXT
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (tmp_path / "ald.toml").write_text(text)
        return read_run_file(tmp_path / "ald.toml", registry, **options)

    return read


def problems(read, *changes):
    with pytest.raises(InputErrors) as caught:
        read(*changes)
    return [p.split("ald.toml, ")[-1] for p in caught.value.problems]


HERE = ("depth = 3", 'depth = 3\nprogram = "sh"')


def test_a_wrapped_capability_is_one_of_the_crew(read):
    runfile = read(HERE)
    crew = runfile.crew.members()
    assert [w for w in crew if w.startswith("fitter")] == [
        "fitter",
        "fitter.inner",
        "fitter.baseline",
    ]
    assert (crew["fitter.inner"].name, crew["fitter.baseline"].depth) == ("reference", 3)
    assert parts(crew["fitter"]) == {
        "inner": crew["fitter.inner"], "baseline": crew["fitter.baseline"]
    }  # fmt: skip
    assert "DEEP_SECRET" in runfile.secrets
    assert "Somebody (1999)" in citations(runfile)


def test_it_is_part_of_the_identity(read):
    before, after = read(HERE), read(("depth = 3", 'depth = 4\nprogram = "sh"'))
    assert before.identity()["fitter"] != after.identity()["fitter"]
    assert (
        before.identity()["fitter"]
        == read(("depth = 3", 'depth = 3\nprogram = "true"')).identity()["fitter"]
    )
    assert before.values()["fitter.baseline"] == "secretive"
    assert before.values()["fitter.baseline.depth"] == "3"
    assert before.values()["fitter.inner.use"] == "reference"
    assert identity(before.crew.fitter) == identity(read(HERE).crew.fitter)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('"secretive"', '"secretiv"'), "fitter.baseline.use: no labeler named 'secretiv'"),
        (('"secretive"', "3"), "fitter.baseline.use: is required: which labeler?"),
        (("depth = 3", "deep = 3"), "fitter.baseline.deep: no such option; did you mean 'depth'?"),
        (("depth = 3", "depth = 'x'"), "fitter.baseline.depth: a whole number is needed, not 'x'"),
        (("depth = 3", "depth = 9"), "fitter.baseline: 9 is too deep for Ar"),
        (("depth = 3", "resources = {}"), "fitter.baseline.resources: no such option"),
        (("temperature = 77", "temperature = 7"), "fitter.baseline: 7 K is too cold"),
        (("depth = 3", ""), "fitter.baseline.program: there is no program 'no-such-program'"),
        (('[fitter.inner]\nuse = "reference"\n', ""), "fitter.inner: is required (what fits)"),
        (('[fitter.inner]\nuse = "reference"', "[fitter.inner]"), "fitter.inner.use: is required: which"),
    ],
)  # fmt: skip
def test_its_mistakes_are_told_with_their_place(read, change, problem):
    assert any(problem in text for text in problems(read, change))


def test_its_programs_come_with_the_modules_of_labels(read):
    text = '[resources.label]\nmodules = ["deep"]\n\n[[case]]'
    assert read(("[[case]]", text)).crew.fitter.name == "wrapper"


def test_help_names_the_role():
    assert [info.type for info in describe(Wrapper)] == ["fitter", "labeler"]


def test_somebody_has_to_choose(tmp_path):
    with pytest.raises(TypeError, match="nobody can choose"):
        build(Wrapper, {"inner": {"use": "reference"}}, "fitter", tmp_path)
