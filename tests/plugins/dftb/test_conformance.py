"""The labeler `dftb` passes what every labeler has to pass, with a stand-in for DFTB+."""

import pytest

from ald_core.testing import LabelerTests
from ald_dftb.labeler import DftbLabeler


class TestDftb(LabelerTests):
    @pytest.fixture
    def labeler(self, folder, program):
        return DftbLabeler(inputs=folder, program=program)
