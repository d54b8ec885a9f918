"""What the MD engine hands to the selectors from a cell that changes."""

import numpy as np

from ald_chimes_md.md_engine import CONTROL, STRUCTURE, ChimesMD
from ald_core.types import Case


def test_candidates_of_a_barostat_have_their_own_exact_cell(fluid, fluid_text, tmp_path):
    values = {"CONSRNT": "NPT-BEREND 5 20", "PRESSUR": 30, "N_MDSTP": 12, "TIMESTP": 0.4}
    result = fluid({STRUCTURE: fluid_text.box}, CRDFILE=STRUCTURE, PRNTBAD="true", **values)
    folder = tmp_path / "run"
    (folder / "md.json").write_text(
        '{"steps_done": 12, "steps_planned": 12, "stable": true, "reason": null,'
        ' "conserved": {"max_deviation": 0.0}, "contact_counts": [12, 0, 0]}'
    )
    case = Case("a", 0, 300.0, folder / STRUCTURE, folder / CONTROL)
    engine = ChimesMD()
    assert engine.check_case(case, ["O", "H"]) == []
    found = engine.collect(case, 1, folder).candidates
    assert len(found) == result.steps_done == 12
    volumes = [candidate.load().get_volume() for candidate in found]
    rows = np.loadtxt(folder / "md_statistics.out")
    np.testing.assert_allclose(volumes, rows[:, -1], rtol=1e-7)
    text = (
        (folder / CONTROL).read_text().replace("# ENDFILE #", "# CMPRFRC #\n true f\n# ENDFILE #")
    )
    (folder / CONTROL).write_text(text)
    (problem,) = engine.check_case(case, ["O", "H"])
    assert "CMPRFRC compares forces instead of running; set it to false" in problem
