"""The package as a library, as its README shows it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest

import ald_chimes_lsq
from ald_chimes_lsq import ChimesModel, design_matrix, fit, read_setup
from ald_chimes_lsq.solvers.solve import solve
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq"
README = Path(__file__).parents[3] / "plugins" / "chimes_lsq" / "README.md"


@pytest.fixture
def carbon(tmp_path):
    """A folder with a control file and two frames of molten carbon."""
    shutil.copy(DATA / "trajectories" / "molten_carbon.xyzf", tmp_path / "frames.xyzf")
    shutil.copy(DATA / "setups" / "molten_carbon.fm_setup.in", tmp_path / "fm_setup.in")
    return tmp_path


def test_the_example_of_the_readme_works(carbon):
    [example] = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    script = example + "\nprint(forces.shape, found.report['optimality'] < 1e-6)\n"
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=carbon, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(64, 3) True\n", "")
    assert (carbon / "params.txt").exists()


def test_names_are_imported_when_they_are_used():
    code = (
        "import sys, ald_chimes_lsq, ald_chimes_lsq.plugin\n"
        "assert 'numba' not in sys.modules\n"
        "from ald_chimes_lsq import read_setup\n"
        "assert 'numba' not in sys.modules\n"
        "from ald_chimes_lsq import design_matrix\n"
        "assert 'numba' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    for name in ald_chimes_lsq.__all__:
        assert getattr(ald_chimes_lsq, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        ald_chimes_lsq.nothing  # noqa: B018


def test_fit_is_the_solution_of_the_matrix_and_the_model_that_predicts(carbon):
    frames = ase.io.read(carbon / "frames.xyzf", index=":")
    setup = read_setup(carbon / "fm_setup.in")
    rows = []
    for f in frames:
        elements = f.get_chemical_symbols()
        own = design_matrix(
            setup.basis, elements, f.positions, f.cell[:], offsets=setup.has_offsets
        )
        rows.append(own)
    a = np.concatenate(rows)
    w = np.random.default_rng(0).uniform(0.5, 2.0, len(a))
    found = fit(setup, frames, w, algorithm="ridge", alpha=1e-2)
    assert len(found.targets.right) == len(a)
    np.testing.assert_allclose(
        found.solution.x, solve(a, found.targets.right, w, "ridge", 1e-2).x, rtol=1e-9, atol=1e-9
    )
    said = found.model.evaluate(frames[0], penalty=False)
    n = 3 * len(frames[0])
    np.testing.assert_allclose(said.forces.ravel(), found.predicted[:n], atol=1e-8)
    rest = found.predicted - found.targets.right
    assert found.solution.rmse == pytest.approx(np.sqrt(np.mean(rest**2)))
    assert found.report["energy_rmse_kcal_per_mol"] is None
    found.write(carbon)
    again = ChimesModel.read(carbon / "params.txt")
    assert again.evaluate(frames[0]).energy == pytest.approx(found.model.evaluate(frames[0]).energy)


def test_what_a_fit_refuses(carbon):
    frames = ase.io.read(carbon / "frames.xyzf", index=":")
    with pytest.raises(InputError, match="3 weights do not fit 384 rows"):
        fit(carbon / "fm_setup.in", frames, [1, 2, 3])
    with pytest.raises(InputError, match="must be finite and not negative"):
        fit(carbon / "fm_setup.in", frames, np.full(384, -1.0))
    with pytest.raises(InputError, match="at least one frame"):
        fit(carbon / "fm_setup.in", [])
    frames[1].calc = None
    with pytest.raises(InputError, match="000-frame-000000001 has no forces"):
        fit(carbon / "fm_setup.in", frames)
