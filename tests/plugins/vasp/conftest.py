"""A VASP that can be started, and inputs for it."""

import sys
from pathlib import Path

import pytest

from ald_vasp.labeler import VaspLabeler

FAKE = Path(__file__).parents[2] / "fakes" / "vasp.py"
INCAR = """\
   SYSTEM = liquid   # of anything
   ENCUT  = 400
   EDIFF  = 1E-06 stopping-criterion for ELM
   NSW    = 0 number of steps for IOM
   IBRION = 0  ionic relax: 0-MD 1-quasi-New 2-CG
   ISIF   = 2 stress and relaxation
   ISMEAR = -1
   SIGMA  = 0.2585199101
   NELM   = 20
   IALGO  = 48 #  Normal # IALGO  = 38 algorithm
"""
KPOINTS = "Automatic\n0\nM\n1 1 1\n0 0 0\n"
POTCAR = """\
  PAW_PBE {element} 08Apr2002
   4.000000000000000
 parameters from PSCTR are:
   VRHFIN ={element}: made up
   LEXCH  = PE
   TITEL  = PAW_PBE {element} 08Apr2002
 End of Dataset
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A file that runs the stand-in."""
    path = tmp_path_factory.mktemp("bin") / "vasp_std"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def write_inputs(path, elements=("Al", "C", "O"), incar="3000.INCAR", sigma="0.2585199101"):
    """Inputs for one temperature, made up."""
    path.mkdir(parents=True, exist_ok=True)
    (path / incar).write_text(INCAR.replace("0.2585199101", sigma))
    (path / "KPOINTS").write_text(KPOINTS)
    for element in elements:
        (path / f"{element}.POTCAR").write_text(POTCAR.format(element=element))


@pytest.fixture(scope="session")
def fill():
    """Writes inputs into a folder."""
    return write_inputs


@pytest.fixture
def folder(tmp_path_factory):
    """The folder of a user, for 3000 K."""
    path = tmp_path_factory.mktemp("inputs") / "QM BASEFILES"
    write_inputs(path)
    return path


@pytest.fixture
def labeler(folder, program):
    return VaspLabeler(inputs=folder, program=program)
