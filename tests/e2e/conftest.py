"""Studies with the reference crew, run by the real command in processes of their own."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import ase.io
import attrs
import pytest
from ase import Atoms
from ase.build import bulk

from ald_core import cli

THIRD_PARTY = Path(__file__).parents[1] / "data" / "third_party"

RUN_FILE = """\
[study]
elements = ["Ar"]
cycles = 2
seed = 3

[training]
frames = [{ file = "inputs/liquid.extxyz", temperature = 300 }]

[fitter]
use = "reference"

[md]
use = "reference"
steps = 30
stride = 5

[[case]]
name = "cold"
temperature = 300
structure = "inputs/crystal.extxyz"

[[case]]
name = "warm"
temperature = 900
structure = "inputs/crystal.extxyz"

[selector]
use = "even"
per_class = 2

[labelers.bulk]
use = "reference"

[scheduler]
use = "local"
cores = 2
"""


def argon(seed: int | None = None) -> Atoms:
    """Four atoms near their places in a crystal."""
    atoms = bulk("Ar", "fcc", a=1.6, cubic=True)
    if seed is not None:
        atoms.rattle(0.03, seed=seed)
    return atoms


@attrs.frozen
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on stderr."""
        assert "Traceback" not in self.err, self.err
        (line,) = self.err.strip().splitlines()
        return line


@attrs.frozen
class StudyFolder:
    """A study with the reference crew in a folder of its own."""

    path: Path
    plugins: Path | None = None
    """Where distributions were installed"""
    python: str = sys.executable

    argon = staticmethod(argon)

    def write(self, *changes: tuple[str, str]) -> None:
        """Write the run file with `changes` made to it, each exactly once."""
        text = RUN_FILE
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (self.path / "ald.toml").write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        """That of the test, with the plugins added."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        if self.plugins:
            environment["PYTHONPATH"] = str(self.plugins)
        return environment

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """`ald` in the background."""
        return subprocess.Popen(
            [self.python, "-m", "ald_core", *map(str, arguments)],
            cwd=self.path,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def ald(self, *arguments: object) -> Outcome:
        """`ald` to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return Outcome(process.returncode, out, err)

    def run(self, *arguments: object) -> Outcome:
        """`ald run`, which must succeed."""
        outcome = self.ald("run", *arguments)
        assert outcome.status == 0, outcome.err + outcome.out
        return outcome

    def bytes_of(self, *patterns: str) -> dict[str, str]:
        """Digests of the files that match, by path."""
        return {
            str(path.relative_to(self.path)): hashlib.sha256(path.read_bytes()).hexdigest()
            for pattern in patterns
            for path in sorted(self.path.glob(pattern))
            if path.is_file()
        }

    def results(self) -> dict[str, str]:
        """What has to be the same however a study came to its end."""
        return self.bytes_of(
            "ALC-*/GEN_FF/*",
            "ALC-*/CASE-*/*",
            "ALC-*/*-20/*/*",
            "training_set.extxyz",
            ".ald/training/*",
        )

    def jobs(self, role: str = "*") -> list[Path]:
        """All job folders of a role."""
        return sorted(self.path.glob(f"ALC-*/jobs/ald-*-{role}-*"))

    def litter(self) -> list[Path]:
        """What writers that were killed may have left."""
        found = [
            *self.path.rglob("*.ald-new"),
            *self.path.rglob("*.ald-old"),
            *self.path.rglob("claim.*"),
        ]
        return found + list(self.path.rglob("*.new"))


def make_study(path: Path, **more) -> StudyFolder:
    """A study folder with inputs and run file."""
    (path / "inputs").mkdir(parents=True)
    ase.io.write(path / "inputs" / "liquid.extxyz", [argon(seed) for seed in range(5)])
    ase.io.write(path / "inputs" / "crystal.extxyz", argon())
    study = StudyFolder(path, **more)
    study.write()
    return study


@pytest.fixture(scope="session")
def new_study():
    """Makes a fresh study in a folder."""
    return make_study


@pytest.fixture
def study(tmp_path) -> StudyFolder:
    """A fresh study."""
    return make_study(tmp_path / "study")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> StudyFolder:
    """A study that ran to its end without any trouble; only read it."""
    study = make_study(tmp_path_factory.mktemp("undisturbed") / "study")
    (study.path / "log.txt").write_text(study.run().out)
    return study


def pip_install(target: Path, *distributions: Path) -> None:
    """Install distributions for real, without network."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*command, "--target", target, *distributions], check=True)


@pytest.fixture(scope="session")
def third_party(tmp_path_factory) -> Path:
    """A folder where plugins of others are installed, among them a broken one."""
    target = tmp_path_factory.mktemp("third-party")
    pip_install(target, *sorted(THIRD_PARTY.glob("ald-*")))
    return target


@pytest.fixture
def extended(tmp_path, third_party) -> StudyFolder:
    """A fresh study in an environment with the plugins of others."""
    return make_study(tmp_path / "study", plugins=third_party)


@pytest.fixture
def ald_here(monkeypatch, capsys):
    """`ald` in this process, for what ends before any job starts."""

    def ald_here(study: StudyFolder, *arguments: str) -> Outcome:
        monkeypatch.chdir(study.path)
        monkeypatch.setattr(sys, "argv", ["ald", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return Outcome(end.value.code or 0, out, err)

    return ald_here
