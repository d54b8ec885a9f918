"""The package as a library, as its README shows it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import attrs
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

import ald_chimes_lsq
from ald_chimes_lsq import ChimesModel, design_matrix, fit, read_setup, read_xyzf
from ald_chimes_lsq.formats.setup import EnergyFit, StressFit
from ald_chimes_lsq.formats.xyzf import write_xyzf
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
    example = "".join(re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL))
    checks = """
assert found.report["optimality"] < 1e-6
assert forces.shape == (64, 3)
assert stress.shape == (6,)
assert abs(energies.sum() - atoms.get_potential_energy()) < 1e-9
assert abs(said.forces * 0.0433641 - forces).max() < 1e-4
assert model.evaluate(atoms).energy == ChimesModel.read("copy.txt").evaluate(atoms).energy
"""
    command = [sys.executable, "-W", "error", "-c", example + checks]
    done = subprocess.run(command, cwd=carbon, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith("(384, 42) C ")
    assert (carbon / "params.txt.reduced").exists()


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
    assert set(ald_chimes_lsq.__all__) <= set(dir(ald_chimes_lsq))
    for name in ald_chimes_lsq.__all__:
        assert getattr(ald_chimes_lsq, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        ald_chimes_lsq.nothing  # noqa: B018


def test_fit_is_the_solution_of_the_matrix_and_the_model_that_predicts(carbon):
    frames = ase.io.read(carbon / "frames.xyzf", index=":")
    setup = read_setup(carbon / "fm_setup.in")
    design = design_matrix(setup, frames)
    a = design.matrix
    w = np.random.default_rng(0).uniform(0.5, 2.0, len(a))
    found = fit(setup, frames, w, algorithm="ridge", alpha=1e-2)
    np.testing.assert_array_equal(found.targets.right, design.right)
    np.testing.assert_allclose(
        found.solution.x, solve(a, found.targets.right, w, "ridge", 1e-2).x, rtol=1e-9, atol=1e-9
    )
    said = found.model.evaluate(frames[0], penalty=False)
    n = 3 * len(frames[0])
    np.testing.assert_allclose(said.forces.ravel(), found.predicted[:n], atol=1e-8)
    rest = found.predicted - found.targets.right
    assert found.solution.rmse == pytest.approx(np.sqrt(np.mean(rest**2)))
    assert found.report["energy_rmse_kcal_per_mol"] is None
    again = fit(setup, read_xyzf(carbon / "frames.xyzf"), w, algorithm="ridge", alpha=1e-2)
    np.testing.assert_allclose(again.predicted, found.predicted, atol=1e-8)
    found.write(carbon)
    again = ChimesModel.read(carbon / "params.txt")
    assert again.evaluate(frames[0]).energy == pytest.approx(found.model.evaluate(frames[0]).energy)


def test_what_a_fit_refuses(carbon):
    frames = ase.io.read(carbon / "frames.xyzf", index=":")
    with pytest.raises(InputError, match="3 weights do not fit 384 rows"):
        fit(carbon / "fm_setup.in", frames, [1, 2, 3])
    with pytest.raises(InputError, match="must be finite and not negative"):
        fit(carbon / "fm_setup.in", frames, np.full(384, -1.0))
    with pytest.raises(InputError, match="give at least one"):
        fit(carbon / "fm_setup.in", [])
    frames[1].calc = None
    with pytest.raises(InputError, match=r"frames\[1\]: it has no forces"):
        fit(carbon / "fm_setup.in", frames)


def with_labels(setup):
    """The set-up with energies of all frames, and stresses of the first."""
    return attrs.evolve(setup, fit_energy=EnergyFit(True), fit_stress=StressFit("full", 1))


def test_rows_are_the_same_for_all_kinds_of_frames(carbon):
    setup = with_labels(read_setup(carbon / "fm_setup.in"))
    rng = np.random.default_rng(0)
    read = [
        attrs.evolve(f, header=(), stress=tuple(rng.normal(size=6)), energy=rng.normal())
        for f in read_xyzf(carbon / "frames.xyzf")
    ]
    write_xyzf(carbon / "labelled.xyzf", read)
    from_file = design_matrix(setup, read_xyzf(carbon / "labelled.xyzf"))
    own = design_matrix(setup, read)
    np.testing.assert_array_equal(own.right, from_file.right)
    np.testing.assert_array_equal(own.matrix, from_file.matrix)

    frames = ase.io.read(carbon / "labelled.xyzf", index=":")
    ase_frames = design_matrix(setup, frames)
    np.testing.assert_array_equal(ase_frames.matrix, own.matrix)
    np.testing.assert_allclose(ase_frames.right, own.right, rtol=1e-13)
    assert ase_frames.labels == own.labels
    assert own.kinds.tolist() == ["force"] * 192 + ["stress"] * 9 + ["energy"] * 3 + (
        ["force"] * 192 + ["energy"] * 3
    )
    assert own.frames.tolist() == [0] * 204 + [1] * 195
    assert own.labels[191:205] == (
        *("C", "s_xx", "s_xy", "s_xz", "s_yx", "s_yy", "s_yz", "s_zx", "s_zy", "s_zz"),
        *("+1", "+1", "+1", "C"),
    )

    for atoms in frames:
        results = atoms.calc.results
        atoms.info["ref_energy"], atoms.info["ref_stress"] = results["energy"], results["stress"]
        atoms.set_array("ref_forces", results["forces"])
        # What a calculator says is no label where there is one.
        atoms.calc = EMT()
    ase.io.write(carbon / "labelled.extxyz", frames)
    stored = design_matrix(setup, ase.io.read(carbon / "labelled.extxyz", index=":"))
    np.testing.assert_allclose(stored.right, own.right, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(stored.matrix, own.matrix, rtol=0, atol=1e-5)

    bare = [Atoms(f.numbers, f.positions, cell=f.cell, pbc=True) for f in frames]
    unlabelled = design_matrix(carbon / "fm_setup.in", bare, labelled=False)
    assert np.isnan(unlabelled.right).all()
    n_columns = setup.basis.n_short_range
    force = own.kinds == "force"
    np.testing.assert_array_equal(unlabelled.matrix, own.matrix[force, :n_columns])


def test_frames_without_periods_have_no_stress_rows(carbon):
    setup = with_labels(read_setup(carbon / "fm_setup.in"))
    molecule = Atoms("C3", [(0, 0, 0), (1.4, 0, 0), (2.6, 0.5, 0)])
    molecule.info["ref_energy"] = -1.0
    molecule.set_array("ref_forces", np.ones((3, 3)))
    design = design_matrix(setup, [molecule])
    assert design.kinds.tolist() == ["force"] * 9 + ["energy"] * 3
    found = fit(setup, [molecule], algorithm="ridge", alpha=1e-6)
    said = found.model.evaluate(molecule, penalty=False)
    np.testing.assert_allclose(said.forces.ravel(), found.predicted[:9], atol=1e-9)
    assert said.energy == pytest.approx(found.predicted[-1])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ref_energy", "low", "its energy must be one number"),
        ("ref_energy", [1.0, 2.0], "its energy must be one number"),
        ("ref_energy", np.nan, "its energy has a number that is not finite"),
        ("ref_stress", [1.0, 2.0, 3.0], "its stress must be six numbers"),
        ("ref_forces", np.ones((1, 2)), "its forces must be three numbers for each atom"),
        ("ref_forces", None, "it has no forces"),
    ],
)
def test_impossible_labels_are_refused(carbon, name, value, message):
    setup = with_labels(read_setup(carbon / "fm_setup.in"))
    atoms = Atoms("C", cell=[8.0] * 3, pbc=True)
    atoms.info |= {"ref_energy": 1.0, "ref_stress": np.ones((3, 3))}
    atoms.arrays["ref_forces"] = np.ones((1, 3))
    assert len(design_matrix(setup, [atoms]).right) == 15
    (atoms.arrays if name == "ref_forces" else atoms.info)[name] = value
    with pytest.raises(InputError, match=rf"frames\[0\]: {message}"):
        design_matrix(setup, [atoms])


def test_what_is_no_frame_is_refused(carbon):
    atoms = ase.io.read(carbon / "frames.xyzf")
    with pytest.raises(InputError, match=r"frames\[0\]: Atom is no frame; give Atoms"):
        design_matrix(carbon / "fm_setup.in", atoms)
    [frame, _] = read_xyzf(carbon / "frames.xyzf")
    with pytest.raises(InputError, match="its forces must be three numbers for each atom"):
        design_matrix(carbon / "fm_setup.in", [attrs.evolve(frame, forces=np.ones((3, 3)))])


@pytest.mark.parametrize(
    "name",
    [
        "chimes_calculator/published_params.HN3.2+3+4b.Tersoff.special.offsets.txt",
        "chimes_calculator/published_params.liqC.2+3b.cubic.txt",
        "chimes_md/ti-nonortho/validated_params.TiO2.2+3b.Tersoff.txt",
        "chimes_lsq/h2o-4bcheby/expected/params.txt",
    ],
)
def test_written_models_can_be_read_complete_and_reduced(tmp_path, name):
    """A reduced model stays one: its clusters have fewer terms than their orders."""
    model = ChimesModel.read(DATA.parent / name)
    model.write(tmp_path / "first.txt")
    again = ChimesModel.read(tmp_path / "first.txt")
    again.write(tmp_path / "second.txt")
    assert (tmp_path / "second.txt").read_bytes() == (tmp_path / "first.txt").read_bytes()
    names = [t.name for t in model.basis.types] * 4
    places = np.random.default_rng(0).random((len(names), 3)) * 6.0
    atoms = Atoms(names, places, cell=[6.0] * 3, pbc=True)
    want, said = (m.evaluate(atoms, penalty=False) for m in (model, again))
    assert said.energy == pytest.approx(want.energy, rel=1e-10)
    np.testing.assert_allclose(
        said.forces, want.forces, rtol=0, atol=1e-10 * abs(want.forces).max()
    )
