"""A DFTB+ that can be started, and inputs for it."""

import sys
from pathlib import Path

import pytest

FAKE = Path(__file__).parents[2] / "fakes" / "dftbplus.py"
XTB = """Hamiltonian = xTB {
  Method = "GFN1-xTB"
  SCCTolerance = 1e-8
  KPointsAndWeights = {
    0.0 0.0 0.0 1.0     # Gamma
  }
}
Analysis { CalculateForces = Yes }
"""
SLATER_KOSTER = """Geometry = GenFormat {
  <<< 'tmp.gen'
}
Hamiltonian = DFTB {
  SCC = Yes
  MaxSCCIterations = 600
  SlaterKosterFiles = Type2FileNames {
    Prefix = "skf/"
    Separator = "-"
    Suffix = ".skf"
  }
  MaxAngularMomentum { C = "p"; O = "p"; Al = "d" }
  Filling = Fermi { Temperature [Kelvin] = 6000 }
  KPointsAndWeights = { 0.0 0.0 0.0 1.0 }
}
Options { WriteDetailedOut = No }
Analysis {
  CalculateForces = Yes
}
ParserOptions { ParserVersion = 11 }
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A file that runs the stand-in."""
    path = tmp_path_factory.mktemp("bin") / "dftb+"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """Inputs for any temperature; only read them."""
    return _folder(tmp_path_factory)


@pytest.fixture
def folder(tmp_path_factory):
    """Inputs for any temperature, to be changed."""
    return _folder(tmp_path_factory)


def _folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("inputs of the user")
    (path / "dftb_in.hsd").write_text(XTB)
    return path


@pytest.fixture
def with_files(tmp_path_factory):
    """Inputs for 6000 K, with Slater-Koster files."""
    path = tmp_path_factory.mktemp("slater_koster")
    (path / "skf").mkdir()
    (path / "6000.dftb_in.hsd").write_text(SLATER_KOSTER)
    for a in ("C", "O", "Al"):
        for b in ("C", "O", "Al"):
            (path / "skf" / f"{a}-{b}.skf").write_text(f"{a} {b}\n")
    return path
