"""Inputs that work, with the real LAMMPS."""

import sys
from pathlib import Path

import pytest

SINGLE = """\
units metal
atom_style atomic
read_data data.in
pair_style morse 4.0
pair_coeff * * 1.5 1.6 1.9
pair_modify shift yes
"""
MIXED = """\
units real   # kcal/mol
atom_style charge
read_data data.in
set type 1 charge 1.2
set type 3 charge -1.2
pair_style hybrid/overlay buck 6.0 coul/dsf 0.2 6.0
pair_modify pair buck shift yes
pair_coeff * * coul/dsf
pair_coeff * * buck 20000.0 0.22 0.0
pair_coeff 1 3 buck 28000.0 0.24 &
    10.0
pair_coeff 2 2 buck 9000.0 0.30 20.0
"""


@pytest.fixture
def new_inputs(tmp_path_factory):
    """Makes a folder of inputs from the texts of files."""

    def new_inputs(**files: str) -> Path:
        folder = tmp_path_factory.mktemp("inputs")
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder

    return new_inputs


@pytest.fixture
def single(new_inputs) -> Path:
    """Carbon with a pair potential in eV."""
    return new_inputs(**{"in.lammps": SINGLE})


@pytest.fixture
def mixed(new_inputs) -> Path:
    """Al, C and O with charges in kcal/mol."""
    return new_inputs(**{"in.lammps": MIXED})


@pytest.fixture(scope="session")
def own_lammps(tmp_path_factory) -> Path:
    """The stand-in for a LAMMPS with the pair style `chimesFF`, as an executable."""
    path = tmp_path_factory.mktemp("bin") / "lmp_chimes"
    script = Path(__file__).parents[2] / "fakes" / "lmp_chimes.py"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    path.chmod(0o755)
    return path
