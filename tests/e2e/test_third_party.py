"""Plugins of others, installed for real and used by their names only; and the core without any plugin."""

import json
import re
import site
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import entry_points
from pathlib import Path

import ase.io
import numpy as np
import pytest

from ald_core.reference_job import LENNARD_JONES, basis

ROOT = Path(__file__).parents[2]
THIRD_PARTY = ROOT / "tests" / "data" / "third_party"


def words(text):
    """Text without the lines of tables."""
    return " ".join(text.replace("│", " ").split())


def largest_force(atoms):
    found = basis(atoms.positions, atoms.cell[:], atoms.pbc)
    return np.abs(np.tensordot(LENNARD_JONES, found.forces, 1)).max()


def test_the_plugins_are_really_separate(third_party):
    """Nothing of them is known here, and each is small."""
    assert not {"lottery", "pushy", "wreck"} & {p.name for p in entry_points(group="ald")}
    for path in THIRD_PARTY.glob("ald-*/*/*.py"):
        assert len(path.read_text().splitlines()) < 60
    assert len(list(third_party.glob("ald_*.dist-info"))) == 4


def test_scheduler_and_selector_of_others_run_a_study(extended):
    extended.write(
        ('use = "local"\ncores = 2', 'use = "lottery"\nlongest = 0.1'),
        ('use = "even"\nper_class = 2', 'use = "pushy"\nframes = 2'),
        ("cycles = 2", "cycles = 1"),
    )
    checked = extended.ald("check")
    assert "scheduler: scheduler 'lottery'" in checked.out
    assert "selector: selector 'pushy'" in checked.out
    extended.run()
    values = json.loads((extended.path / "ALC-2" / "GEN_FF" / "params.json").read_text())
    assert (values["c12"], values["c6"]) == pytest.approx((4.0, -4.0), abs=1e-10)
    added = ase.io.read(extended.path / "training_set.extxyz", ":")[5:]
    assert [f.info["source"] for f in added] == ["cold", "cold", "warm", "warm"]
    for index, case in enumerate(("cold", "warm")):
        picked = {f.info["step"] for f in added if f.info["source"] == case}
        folder = extended.path / "ALC-1" / f"CASE-{index}_INDEP_0"
        trajectory = ase.io.read(folder / "trajectory.extxyz", ":")
        push = {f.info["step"]: largest_force(f) for f in trajectory}
        assert len(push) == 6
        assert picked == set(sorted(push, key=push.__getitem__)[-2:])


def test_their_options_are_checked_and_described_like_ours(extended, third_party):
    extended.write(('use = "even"\nper_class = 2', 'use = "pushy"\nframs = 2'))
    outcome = extended.ald("run")
    assert outcome.status == 2
    assert outcome.sentence.endswith("selector.frams: no such option; did you mean 'frames'?")
    listed = extended.ald("plugins", "selector", "pushy")
    assert "frames per case" in words(listed.out)
    unknown = extended.ald("plugins", "selector", "psuhy")
    assert unknown.sentence == (
        "ald: no selector named 'psuhy'; did you mean 'pushy'? (installed: even, pushy)"
    )


def test_a_broken_plugin_is_listed_as_broken_and_harms_nobody(extended):
    listed = extended.ald("plugins")
    assert listed.status == 0
    text = words(listed.out)
    assert "BROKEN wreck ald-wreck 2.0.0 ModuleNotFoundError: No module named" in text
    assert (
        "selector pushy ald-pushy 1.0.0 Take the frames with the largest predicted force." in text
    )
    assert "scheduler lottery ald-lottery 0.3.1" in text
    assert "labeler reference ald-core" in text
    checked = extended.ald("check")
    assert checked.status == 0
    assert "warning: ald-wreck 2.0.0 is BROKEN: ModuleNotFoundError" in checked.out


def test_without_them_their_names_are_unknown(study):
    study.write(('use = "local"\ncores = 2', 'use = "lottery"'))
    outcome = study.ald("check")
    assert outcome.status == 2
    assert "scheduler.use: no scheduler named 'lottery'" in outcome.sentence


# ---------------------------------------------------------------- the core alone


@pytest.fixture(scope="module")
def core_alone(tmp_path_factory, undisturbed):
    """An environment with the core, its dependencies, and no plugin at all."""
    del (
        undisturbed
    )  # a core that does not run at all is told apart from one that does not run alone
    folder = tmp_path_factory.mktemp("core-alone") / "env"
    venv.create(folder, symlinks=True, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for here in {Path(p).resolve() for p in site.getsitepackages() if Path(p).is_dir()}:
        for entry in sorted(here.iterdir()):
            ours = re.match(r"(_+editable_+(impl_+)?)?ald([_-]|\.)", entry.name)
            if not ours and not (packages / entry.name).exists():
                (packages / entry.name).symlink_to(entry)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    install += ["--no-build-isolation", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*install, "--target", packages, ROOT], check=True)
    return folder / "bin" / "python"


def test_the_core_alone_offers_its_own_and_runs_a_study(core_alone, study):
    alone = type(study)(study.path, python=str(core_alone))
    where = [str(core_alone), "-c", "import ald_core; print(ald_core.__file__)"]
    place = subprocess.run(where, check=True, capture_output=True, text=True, cwd=study.path)
    assert not Path(place.stdout.strip()).is_relative_to(ROOT)
    listed = words(alone.ald("plugins").out)
    assert "BROKEN" not in listed
    assert "ald-chimes" not in listed
    assert "scheduler local" in listed
    alone.run("--fit-only")
    values = json.loads((study.path / "ALC-1" / "GEN_FF" / "params.json").read_text())
    assert values["c12"] == pytest.approx(4.0, abs=1e-10)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            ('[md]\nuse = "reference"\nsteps = 30\nstride = 5', '[md]\nuse = "chimes"'),
            "ald.toml, line 13: md.use: no md engine named 'chimes'; pip install ald-chimes-md "
            "(installed: reference)",
        ),
        (
            ('[fitter]\nuse = "reference"', '[fitter]\nuse = "chimes"'),
            "ald.toml, line 10: fitter.use: no fitter named 'chimes'; pip install ald-chimes-lsq "
            "(installed: reference)",
        ),
        (
            ('[labelers.bulk]\nuse = "reference"', '[labelers.bulk]\nuse = "ase"'),
            "ald.toml, line 32: labelers.bulk.use: no labeler named 'ase'; pip install ald-ase "
            "(installed: reference)",
        ),
    ],
)
def test_a_missing_official_plugin_is_named_with_its_cure(core_alone, study, change, sentence):
    alone = type(study)(study.path, python=str(core_alone))
    alone.write(change)
    outcome = alone.ald("check")
    assert outcome.status == 2
    assert outcome.sentence == f"ald: {sentence}"
    assert sorted(p.name for p in study.path.iterdir()) == ["ald.toml", "inputs"]
