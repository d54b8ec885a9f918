"""The labeler `espresso` passes what every labeler has to pass, with pw.x itself."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from ald_core.testing import LabelerTests, frame_of, label
from ald_espresso.labeler import EspressoLabeler

INPUTS = Path(__file__).parents[2] / "data" / "qm" / "espresso" / "inputs"
LDA = EspressoLabeler(inputs=INPUTS / "lda")


def aluminium():
    """Four atoms off their places in a sheared cell that is too small."""
    atoms = bulk("Al", "fcc", a=3.9, cubic=True)
    shear = np.array([[1.0, 0.0, 0.0], [0.03, 1.0, 0.0], [0.01, 0.02, 1.02]])
    atoms.set_cell(atoms.cell[:] @ shear, scale_atoms=True)
    atoms.rattle(0.08, seed=7)
    return frame_of(atoms)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """The frame of the tests, labelled once."""
    folder = tmp_path_factory.mktemp("once") / "labelled"
    return aluminium(), folder, label(LDA, aluminium(), folder)


class TestLda(LabelerTests):
    """Aluminium, also with oxygen, at an electronic temperature; silicon has a pseudopotential, but no atoms."""

    elements = ("Al", "O")

    @pytest.fixture
    def labeler(self):
        return LDA

    @pytest.fixture
    def labelled(self, once, tmp_path):
        frame, folder, labels = once
        shutil.copytree(folder, tmp_path / "labelled")
        return frame, tmp_path / "labelled", labels

    def frame(self):
        return aluminium()
