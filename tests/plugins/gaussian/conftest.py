"""A Gaussian that can be started, molecules, and genuine outputs."""

import gzip
import io
import json
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest
from ase.build import molecule
from fakes import gaussian as stand_in

from ald_core.testing import frame_of
from ald_gaussian.job import ENDS, REQUEST
from ald_gaussian.labeler import GaussianLabeler

FAKE = Path(__file__).parents[2] / "fakes" / "gaussian.py"
GENUINE = Path(__file__).parents[2] / "data" / "qm" / "gaussian"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A file that runs the stand-in."""
    path = tmp_path_factory.mktemp("bin") / "g16"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def make(program):
    """A labeler with the stand-in."""
    return lambda **options: GaussianLabeler(program=program, **options)


@pytest.fixture
def wrong(monkeypatch):
    """Makes the stand-in fail, see there."""
    return lambda what: monkeypatch.setenv("FAKE_GAUSSIAN", what)


@pytest.fixture
def gas():
    """A frame of a molecule by its name or its atoms."""

    def frame(what):
        atoms = what
        if isinstance(what, str):
            atoms = molecule(what)
            atoms.rattle(0.03, seed=2)
        return frame_of(atoms, "gas")

    return frame


@pytest.fixture
def genuine(tmp_path):
    """The file of a genuine output, by its name."""

    def unpacked(name):
        path = tmp_path / name
        path.write_bytes(gzip.decompress((GENUINE / f"{name}.gz").read_bytes()))
        return path

    return unpacked


@pytest.fixture
def quick(monkeypatch):
    """As `label`, but the stand-in runs in this process, without the program of the job."""

    def label(labeler, frame, workdir, rung=0):
        workdir.mkdir(parents=True, exist_ok=True)
        labeler.prepare(frame, workdir, rung)
        names = json.loads((workdir / REQUEST).read_text())["calculations"]
        for name in names:
            text = "%nprocshared=1\n" + (workdir / f"{name}.com").read_text()
            monkeypatch.setattr(sys, "stdin", io.StringIO(text))
            with redirect_stdout(io.StringIO()) as out, suppress(SystemExit):
                stand_in.main()
            (workdir / f"{name}.log").write_text(out.getvalue())
        answer = {"calculations": {name: {"end": "exit 0"} for name in names}}
        (workdir / ENDS).write_text(json.dumps(answer))
        return labeler.collect(frame, workdir)

    return label
