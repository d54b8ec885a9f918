"""The labeler `ase` passes what every labeler has to pass."""

import pytest

from ald_ase.labeler import AseLabeler
from ald_core.testing import LabelerTests


class TestTblite(LabelerTests):
    @pytest.fixture
    def labeler(self):
        return AseLabeler(options={"method": "GFN1-xTB", "verbosity": 0, "accuracy": 0.01})
