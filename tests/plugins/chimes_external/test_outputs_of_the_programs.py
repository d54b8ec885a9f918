"""What the ChIMES programs themselves have written passes the checks of their outputs."""

from pathlib import Path

import numpy as np
import pytest

from ald_chimes_external.run_output import read_run_output
from ald_chimes_external.solving import read_solution
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.frame_rows import count_columns
from ald_chimes_md.control import read_control
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data"
FITS = sorted(p.parents[1] for p in (DATA / "chimes_lsq").glob("*/expected/params.txt"))
RUNS = sorted(p.parents[1] for p in (DATA / "chimes_md").glob("*/expected/output.xyz"))


@pytest.mark.parametrize("folder", FITS, ids=lambda p: p.name)
def test_parameter_files(folder):
    setup = read_setup(folder / "fm_setup.in")
    path = folder / "expected" / "params.txt"
    n_columns = count_columns(setup.basis, offsets=setup.has_offsets)
    x = read_solution(setup, n_columns, path)
    if (folder / "expected" / "test_suite_params.txt").is_file():
        wanted = np.loadtxt(folder / "expected" / "test_suite_params.txt")[:, 1]
        np.testing.assert_allclose(x, wanted, rtol=1e-12)
    with pytest.raises(InputError, match="parameters, not"):
        read_solution(setup, n_columns + 1, path)


def test_parameters_of_another_fit():
    setup = read_setup(DATA / "chimes_lsq" / "special4b" / "fm_setup.in")
    for folder in FITS:
        if folder.name != "special4b":
            with pytest.raises(InputError, match="it is not of this set-up"):
                read_solution(setup, 138, folder / "expected" / "params.txt")


@pytest.mark.parametrize("folder", RUNS, ids=lambda p: p.name)
def test_runs(folder):
    control = read_control(folder / "run_md.in")
    found = read_run_output(control, folder / "expected")
    assert (found.stable, found.steps) == (True, control.steps)
    assert found.drift is None or found.drift < 0.01
