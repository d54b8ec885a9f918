"""The labeler `gaussian` passes what every labeler has to pass."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ald_core.testing import LabelerTests, frame_of


def periodic(atoms):
    """The molecule in a periodic cell, with atoms on several sides of it."""
    cell = [[8.0, 0.0, 0.0], [1.5, 8.5, 0.0], [-0.5, 1.0, 9.0]]
    found = Atoms(atoms.get_chemical_symbols(), atoms.positions, cell=cell, pbc=True)
    found.wrap()
    assert np.abs(found.positions - atoms.positions).max() > 5.0
    return frame_of(found, "gas")


class TestGaussian(LabelerTests):
    elements = ("H", "C", "O", "Cl")
    step = 0.002

    @pytest.fixture
    def labeler(self, make):
        return make(multiplicities=(1,))  # of which there is one to compute

    def frame(self):
        atoms = molecule("CH3OH")
        atoms.rattle(0.05, seed=2)
        return periodic(atoms)

    def mixed_frame(self):
        """Of carbon and chlorine, and of another molecule that is not bonded, in no order."""
        atoms = molecule("CH3Cl") + Atoms(
            "OClH", [[0.0, 3.5, 0.2], [1.5, 3.9, 0.0], [-0.6, 4.2, 0.1]]
        )
        atoms.rattle(0.05, seed=4)
        return periodic(atoms[np.random.default_rng(1).permutation(len(atoms))])
