"""The labeler `cp2k` passes what every labeler has to pass, with CP2K itself."""

import shutil
from pathlib import Path

import pytest

from ald_core.testing import LabelerTests, compressed_cell, frame_of, label, mixed_cell
from ald_cp2k.labeler import Cp2kLabeler

INPUTS = Path(__file__).parents[2] / "data" / "qm" / "cp2k" / "inputs"
XTB = Cp2kLabeler(inputs=INPUTS / "xtb")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """The frame of the tests, labelled once."""
    folder = tmp_path_factory.mktemp("once") / "labelled"
    frame = frame_of(compressed_cell())
    return frame, folder, label(XTB, frame, folder)


class TestXtb(LabelerTests):
    """Carbon, and sulfur with silicon, whose symbols begin alike, with GFN1-xTB."""

    elements = ("C", "S", "Si")

    @pytest.fixture
    def labeler(self):
        return XTB

    @pytest.fixture
    def labelled(self, once, tmp_path):
        frame, folder, labels = once
        shutil.copytree(folder, tmp_path / "labelled")
        return frame, tmp_path / "labelled", labels

    def mixed_frame(self):
        return frame_of(mixed_cell("SiSSiS"))
