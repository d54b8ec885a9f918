"""The labeler `vasp` passes what every labeler has to pass, with the stand-in."""

import pytest

from ald_core.testing import LabelerTests
from ald_vasp.labeler import VaspLabeler


class TestVasp(LabelerTests):
    digits = 2e-7

    @pytest.fixture
    def labeler(self, folder, program):
        return VaspLabeler(inputs=folder, program=program)
