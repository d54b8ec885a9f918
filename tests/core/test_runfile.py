"""The run file: what may stand in it, and that every mistake is reported at once, with its line."""

from importlib.metadata import EntryPoint
from typing import ClassVar

import attrs
import pytest

from ald_core.errors import InputError, InputErrors
from ald_core.hookspecs import hookimpl
from ald_core.options import option
from ald_core.places import locate
from ald_core.registry import Registry
from ald_core.roles import Fitter, Labeler
from ald_core.runfile import read_run_file

GOOD = """\
[study]
elements = ["Ar"]
cycles = 2
seed = 3

[training]
held_out = 0.25
frames = [{ file = "start.xyz", temperature = 300 }]

[fitter]
use = "reference"

[md]
use = "reference"
steps = 50

[[case]]
name = "cold"
temperature = 300
structure = "crystal.xyz"

[[case]]
name = "warm"
temperature = 900
structure = "crystal.xyz"

[selector]
use = "even"
per_class = 3

[labelers.bulk]
use = "reference"

[[weighting]]
use = "formula"
force = 2.0

[resources.label]
cores = 2
"""


@attrs.frozen(kw_only=True)
class PickyLabeler(Labeler):
    """A labeler that knows two elements and needs a file."""

    name: ClassVar[str] = "picky"
    mixing: float = option(0.3, help="of something")

    def check(self, elements):
        return [f"no pseudopotential for {e}; add one" for e in elements if e not in ("H", "O")]

    def prepare(self, frame, workdir, rung):
        raise NotImplementedError

    def collect(self, frame, workdir):
        raise NotImplementedError


@attrs.frozen(kw_only=True)
class StrangeFitter(Fitter):
    """A fitter whose models nobody reads."""

    name: ClassVar[str] = "strange"
    writes: ClassVar[str] = "skf"

    def fit(self, training, weights, workdir, run_jobs):
        raise NotImplementedError

    def predict(self, model, frames, run_jobs):
        raise NotImplementedError


@hookimpl
def ald_labelers():
    return [PickyLabeler]


@hookimpl
def ald_fitters():
    return [StrangeFitter]


@pytest.fixture(scope="module")
def registry():
    import sys

    sys.modules["picky_plugin"] = sys.modules[__name__]
    core = EntryPoint("core", "ald_core.plugin", "ald")
    return Registry([core, EntryPoint("picky", "picky_plugin", "ald")])


@pytest.fixture
def read(tmp_path, registry):
    (tmp_path / "start.xyz").write_text("1\n\nAr 0 0 0\n")
    (tmp_path / "crystal.xyz").write_text("1\n\nAr 0 0 0\n")

    def read(text, **options):
        path = tmp_path / "ald.toml"
        path.write_text(text)
        return read_run_file(path, registry, **options)

    return read


def problems(read, text, **options):
    with pytest.raises(InputErrors) as caught:
        read(text, **options)
    return list(caught.value.problems)


def lines(found):
    """Each problem without its path: `line 3: …`."""
    return [p.split(", ", 1)[1] if ".toml, line" in p else p.split(": ", 1)[1] for p in found]


def with_line(line, instead):
    """GOOD with one line replaced."""
    assert GOOD.count(line + "\n") == 1, line
    return GOOD.replace(line + "\n", instead + "\n")


# ---------------------------------------------------------------- a good one


def test_everything_arrives(read, tmp_path):
    found = read(GOOD)
    assert found.study.elements == ("Ar",)
    assert found.study.cycles == 2
    assert found.training.held_out == 0.25
    assert [(f.file, f.temperature) for f in found.frames] == [(tmp_path / "start.xyz", 300.0)]
    assert [(c.name, c.index, c.temperature) for c in found.cases] == [
        ("cold", 0, 300.0),
        ("warm", 1, 900.0),
    ]
    assert found.crew.md.steps == 50
    assert found.crew.selector.per_class == 3
    assert found.crew.labelers["bulk"].name == "reference"
    assert found.crew.weightings[0].force[0].parameters == (2.0,)
    assert found.resources["label"].cores == 2
    assert found.resources["fit"].cores == 1
    assert found.folder == tmp_path


def test_what_is_left_out_has_defaults(read):
    text = GOOD.split("[[weighting]]", maxsplit=1)[0]
    text = text.replace('[selector]\nuse = "even"\nper_class = 3\n', "")
    found = read(text)
    assert found.crew.scheduler.name == "local"
    assert found.crew.selector.name == "even"
    assert found.crew.selector.per_class == 20
    assert [w.name for w in found.crew.weightings] == ["formula"]
    assert found.quality.max_force == 51.4


def test_a_fit_needs_no_md_and_no_labeler(read):
    text = '[study]\nelements = ["Ar"]\n[training]\nframes = [{ file = "start.xyz" }]\n[fitter]\nuse = "reference"\n'
    found = read(text, cycles=0)
    assert found.crew.md is None
    assert lines(problems(read, text)) == [
        "md: is required to run cycles; add it, or run with --fit-only",
        "labelers.bulk: is required to run cycles; add it, or run with --fit-only",
        "case: at least one [[case]] is required to run cycles",
    ]


# ---------------------------------------------------------------- mistakes


def test_all_mistakes_are_reported_together_each_with_its_line(read, tmp_path):
    text = (
        with_line("cycles = 2", 'cycles = "many"')
        .replace("per_class", "per_clas")
        .replace("name = \"warm\"\ntemperature = 900", "name = \"warm\"\ntemperature = -1")
        .replace("held_out = 0.25", "held_out = 1.5")
        .replace("[resources.label]", "[resources.lable]")
    )  # fmt: skip
    found = problems(read, text)
    assert all(p.startswith(f"{tmp_path / 'ald.toml'}, line ") for p in found)
    assert sorted(lines(found)) == [
        "line 24: case[1].temperature: 'temperature' must be > 0.0: -1.0",
        "line 29: selector.per_clas: no such option; did you mean 'per_class'?",
        "line 38: resources.lable: no such step; did you mean 'label'?",
        "line 3: study.cycles: a whole number is needed, not 'many'",
        "line 7: training.held_out: 'held_out' must be < 1.0: 1.5",
    ]


@pytest.mark.parametrize(
    ("line", "instead", "expected"),
    [
        ("[selector]", "[selektor]", "line 27: selektor: no such section; did you mean 'selector'?"),
        ("seed = 3", "sed = 3", "line 4: study.sed: no such option; did you mean 'seed'?"),
        ("seed = 3", "seed = -3", "line 4: study.seed: 'seed' must be >= 0: -3"),
        ("steps = 50", "steps = 0.5", "line 15: md.steps: a whole number is needed, not 0.5"),
        ("force = 2.0", 'forse = 2.0', "line 36: weighting[0].forse: no such option; did you mean 'force'?"),
        ("cores = 2", "cores = 0", "line 39: resources.label.cores: 'cores' must be >= 1: 0"),
        ('name = "warm"', 'name = "cold"', "line 23: case[1].name: 'cold' is used twice"),
        ('name = "warm"', 'name = "a b"', "line 23: case[1].name: files and jobs cannot be called after"),
        ('name = "warm"', 'name = "../x"', "line 23: case[1].name: files and jobs cannot be called after"),
        ('elements = ["Ar"]', 'elements = ["Argon"]', "line 2: study.elements: 'Argon' is no chemical symbol"),
        ('elements = ["Ar"]', 'elements = ["X"]', "line 2: study.elements: 'X' is no chemical symbol"),
        ('elements = ["Ar"]', "elements = []", "line 2: study.elements: Length of 'elements' must be >= 1"),
        ('elements = ["Ar"]', "", "line 1: study.elements: is required (chemical symbols)"),
        ("force = 2.0", 'force = [["Q"], [[1]]]', "line 36: weighting[0].force: 'Q' is no style"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(read, line, instead, expected):
    assert expected in "\n".join(lines(problems(read, with_line(line, instead))))


@pytest.mark.parametrize("word", ["start.xyz", "crystal.xyz"])
def test_missing_files_are_named(read, tmp_path, word):
    found = "\n".join(problems(read, GOOD.replace(word, "gone.xyz")))
    assert f"there is no file {tmp_path / 'gone.xyz'}" in found
    # and nothing misleading follows from it
    assert "at least one" not in found


def test_a_second_case_has_its_own_line(read):
    text = GOOD.replace("temperature = 900", 'temperature = "hot"')
    assert lines(problems(read, text)) == [
        "line 24: case[1].temperature: a number is needed, not 'hot'"
    ]


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("study = 3", "study: must be a table, [study]"),
        ("training = 3", "training: must be a table, [training]"),
        ('fitter = "chimes"', "fitter: must be a table, [fitter]"),
        ("md = 3", "md: must be a table, [md]"),
        ("labelers = 3", "labelers: must be a table, [labelers]"),
        ("resources = 3", "resources: must be a table, [resources]"),
        ("case = 3", "case: must be tables, [[case]]"),
        ("case = [3]", "case: must be tables, [[case]]"),
        ("weighting = 3", "weighting: must be tables, [[weighting]]"),
        ("weighting = []", "weighting: must be tables, [[weighting]]"),
        ("weighting = [3]", "weighting[0].use: is required: which weighting? (installed: formula)"),
        ('weighting = { use = "formula" }', "weighting: must be tables, [[weighting]]"),
        ("quality = 1", "quality: must be a table, [quality]"),
        ("scheduler = 1", "scheduler: must be a table, [scheduler]"),
        ("resources = { label = 3 }", "resources.label: must be a table, [resources.label]"),
        ("labelers = { bulk = 3 }", "labelers.bulk.use: is required: which labeler?"),
        ("labelers = { bulkk = {} }", "labelers.bulkk: no such kind; did you mean 'bulk'?"),
        ('training = { frames = "start.xyz" }', "training.frames: must be tables, [[training.frames]]"),
        ('training = { frames = ["start.xyz"] }', "training.frames: must be tables, [[training.frames]]"),
        ("training = { frames = [{}] }", "training.frames[0].file: is required"),
        ("training = { frames = [] }", "training.frames: at least one file of starting frames is needed"),
    ],
)  # fmt: skip
def test_wrong_shapes_are_refused_in_words(read, section, expected):
    assert expected in "\n".join(lines(problems(read, section + "\n")))


def test_an_empty_file_says_what_is_needed(read):
    found = "\n".join(lines(problems(read, "")))
    assert "study.elements: is required" in found
    assert "fitter.use: is required: which fitter? (installed: reference, strange)" in found
    assert "training.frames: at least one file of starting frames is needed" in found


def test_names_that_nobody_has(read):
    text = GOOD.replace('[labelers.bulk]\nuse = "reference"', '[labelers.bulk]\nuse = "pickey"')
    assert lines(problems(read, text)) == [
        "line 32: labelers.bulk.use: no labeler named 'pickey'; did you mean 'picky'? "
        "(installed: picky, reference)"
    ]


def test_an_engine_that_cannot_read_the_models(read):
    text = GOOD.replace('[fitter]\nuse = "reference"', '[fitter]\nuse = "strange"')
    assert lines(problems(read, text)) == [
        "line 14: md.use: md engine 'reference' cannot read models of format 'skf' "
        "(it reads: reference)"
    ]


def test_elements_that_a_member_does_not_know(read):
    text = GOOD.replace('[labelers.bulk]\nuse = "reference"', '[labelers.bulk]\nuse = "picky"')
    assert lines(problems(read, text)) == [
        "line 31: labelers.bulk: no pseudopotential for Ar; add one"
    ]


def test_files_that_are_no_run_files(read, tmp_path, registry):
    with pytest.raises(InputError, match=r"ald.toml: is not valid TOML: .*line 1"):
        read("[study\n")
    with pytest.raises(InputError, match="no such run file; give a study folder"):
        read_run_file(tmp_path / "gone.toml", registry)
    with pytest.raises(InputError, match=r"is a folder; it needs a ald\.toml"):
        read_run_file(tmp_path, registry)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_run_file(tmp_path / "latin.toml", registry)


# ---------------------------------------------------------------- identity


def differing(one, other):
    a, b = one.identity(), other.identity()
    return sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))


@pytest.mark.parametrize(
    ("line", "instead", "changed"),
    [
        ("cycles = 2", "cycles = 7", []),
        ("cores = 2", "cores = 1", []),
        ("[resources.label]", "[scheduler]\nuse = 'local'\n[resources.label]", []),
        ("steps = 50", "steps = 50.0", []),
        ("temperature = 900", "temperature = 900.0", []),
        ("seed = 3", "seed = 4", ["study"]),
        ("steps = 50", "steps = 51", ["md"]),
        ("per_class = 3", "per_class = 4", ["selector"]),
        ("held_out = 0.25", "held_out = 0.2", ["training"]),
        ("force = 2.0", "force = 2.5", ["weighting"]),
        ("force = 2.0", 'force = [["A"], [[2.0]]]', []),
        ("temperature = 900", "temperature = 901", ["case"]),
        ('name = "warm"', 'name = "hot"', ["case"]),
    ],
)
def test_only_what_results_depend_on_changes_the_identity(read, line, instead, changed):
    assert differing(read(GOOD), read(with_line(line, instead))) == changed


def test_the_scheduler_is_no_part_of_the_identity(read):
    assert sorted(read(GOOD).identity()) == [
        "case",
        "fitter",
        "labelers.bulk",
        "md",
        "selector",
        "study",
        "training",
        "weighting",
    ]


def test_starting_frames_count_by_content(read, tmp_path):
    before = read(GOOD)
    digests = before.identity()
    (tmp_path / "start.xyz").write_text("1\n\nAr 0 0 1\n")
    assert [k for k, v in before.identity().items() if digests[k] != v] == ["training"]
    more = read(GOOD.replace("temperature = 300 }]", "temperature = 301 }]"))
    assert more.identity()["training"] != before.identity()["training"]


def test_contents_of_files_are_identity_places_are_not(read, tmp_path):
    before = read(GOOD)
    digests = before.identity()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "crystal.xyz").rename(tmp_path / "elsewhere" / "k.xyz")
    moved = read(GOOD.replace("crystal.xyz", "elsewhere/k.xyz"))
    assert moved.identity() == digests
    (tmp_path / "elsewhere" / "k.xyz").write_text("1\n\nAr 0 0 1\n")
    assert sorted(k for k, v in moved.identity().items() if digests[k] != v) == [
        "case",
    ]


# ---------------------------------------------------------------- lines


def test_locate_knows_tables_arrays_and_sections():
    text = (
        'top = 1\n[a]\n# b = 0\nb = 1\n[a.c]\n  d = 2\n[[e]]\nf = 1\n\n[[ e ]]\nf = 2\n["g"]\nh=1\n'
    )
    places = [
        "top",
        "a",
        "a.b",
        "a.c.d",
        "e[0].f",
        "e[1].f",
        "e[1].absent",
        "g.h",
        "a.absent",
        "no",
    ]
    assert [locate(text, p) for p in places] == [1, 2, 4, 6, 8, 11, 10, 13, 2, None]


# ---------------------------------------------------------------- resources of single cases


def test_a_case_may_have_resources_of_its_own(read):
    text = GOOD.replace(
        "[resources.label]", "[resources.md]\ntime = 90\nppn = 4\n\n[resources.label]"
    )
    plain = read(text)
    found = read(
        text.replace(
            "temperature = 900", 'temperature = 900\nresources = { time = "2-00:00:00", nodes = 3 }'
        )
    )
    cold, warm = found.cases
    assert cold.resources is None
    assert warm.resources == attrs.evolve(found.resources["md"], time="2-00:00:00", nodes=3)
    assert (warm.resources.ppn, found.resources["md"].time) == (4, "01:30:00")
    assert found.all_resources()["case[1].resources"] is warm.resources
    assert found.identity() == plain.identity()  # which changes no result


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{ tiem = 3 }", "case[1].resources.tiem: no such option; did you mean 'time'?"),
        ("{ nodes = 0 }", "case[1].resources.nodes: 'nodes' must be >= 1: 0"),
        ("3", "case[1].resources: a table is needed, not 3"),
    ],
)
def test_mistakes_in_them_are_named(read, value, problem):
    text = GOOD.replace("temperature = 900", f"temperature = 900\nresources = {value}")
    assert lines(problems(read, text)) == [f"line 25: {problem}"]


def test_what_all_steps_share_stands_in_one_place(read):
    text = GOOD.replace(
        "[resources.label]", '[resources]\nqueue = "q"\nppn = 4\n\n[resources.label]\nppn = 2'
    )
    found = read(text.replace("temperature = 900", "temperature = 900\nresources = { nodes = 3 }"))
    asked = {step: (r.queue, r.ppn, r.cores) for step, r in found.resources.items()}
    assert asked == {"label": ("q", 2, 2)} | dict.fromkeys(("fit", "md", "predict"), ("q", 4, 1))
    assert found.cases[1].resources == attrs.evolve(found.resources["md"], nodes=3)
    text = GOOD.replace("[resources.label]", '[resources]\nquue = "q"\n\n[resources.label]')
    assert lines(problems(read, text)) == [
        "line 39: resources.quue: no such option; did you mean 'queue'?"
    ]
