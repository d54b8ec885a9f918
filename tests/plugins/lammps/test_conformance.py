"""The labeler `lammps` passes what every labeler has to pass, with the real program, in both unit styles."""

import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from ald_core.testing import LabelerTests, compressed_cell, frame_of, label
from ald_lammps.labeler import LammpsLabeler


class TestReal(LabelerTests):
    step = 1e-3
    digits = 1e-12
    slope = 1e-4

    @pytest.fixture
    def labeler(self, mixed):
        return LammpsLabeler(inputs=mixed, types=("Al", "C", "O"))


class TestMetal(LabelerTests):
    step = 1e-4
    digits = 1e-12
    slope = 1e-5

    @pytest.fixture
    def labeler(self, new_inputs):
        text = (
            "units metal\nread_data data.in\npair_style tersoff\npair_coeff * * SiC.tersoff C C C\n"
        )
        return LammpsLabeler(inputs=new_inputs(**{"in.lammps": text}), types=("Al", "C", "O"))


def test_another_implementation_says_the_same(new_inputs, tmp_path):
    """ASE's Lennard-Jones potential: energy, forces, and the stress with its sign and order."""
    text = "units metal\nread_data data.in\npair_style lj/cut 5.0\npair_coeff * * 0.3 1.5\npair_modify shift yes\n"
    frame = frame_of(compressed_cell())
    found = label(LammpsLabeler(inputs=new_inputs(**{"in.lammps": text})), frame, tmp_path)
    atoms = frame.atoms.copy()
    atoms.calc = LennardJones(sigma=1.5, epsilon=0.3, rc=5.0)
    assert found.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    assert np.allclose(found.forces, atoms.get_forces(), rtol=1e-10, atol=1e-10)
    assert np.allclose(found.stress, atoms.get_stress(), rtol=1e-10)
