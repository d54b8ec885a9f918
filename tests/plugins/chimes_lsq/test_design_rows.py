"""Columns of excluded types and pairs, of charges, and rows that tie charges together."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

from ald_chimes_lsq import ChimesModel, design_matrix, fit
from ald_chimes_lsq.basis import AtomType, PairType
from ald_chimes_lsq.constants import COULOMB, KCAL_PER_MOL
from ald_chimes_lsq.design_files import write_design
from ald_chimes_lsq.design_rows import configuration_rows, constraint_rows
from ald_chimes_lsq.ewald import coulomb
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.setup import EnergyFit, FitSetup, StressFit, read_setup
from ald_chimes_lsq.formats.xyzf import XyzfFrame, write_xyzf
from ald_chimes_lsq.frame_rows import count_columns
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.topology import Exclusion, build_basis
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq"
TYPES = [AtomType("O", 16.0, -1.0), AtomType("H", 1.0, 1.0)]
PAIRS = [PairType(a, b, 0.8, 3.5, 1.2) for a, b in ("OO", "HH", "OH")]


def water(n=3, seed=0):
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[range(3)] * 3), axis=-1).reshape(-1, 3)[: 3 * n]
    return Atoms(
        "OHH" * n, 2.0 * grid + rng.uniform(-0.4, 0.4, (3 * n, 3)), cell=[6.2] * 3, pbc=True
    )


def matrix(basis, atoms, **more):
    return configuration_rows(
        basis, atoms.get_chemical_symbols(), atoms.positions, atoms.cell[:], **more
    )


def test_excluded_types_and_pairs_have_no_columns_and_get_zeros():
    full = build_basis(TYPES, PAIRS, (4, 3, 0))
    left = build_basis(
        TYPES, PAIRS, (4, 3, 0), exclusions=[Exclusion(("H",)), Exclusion(("H", "O"))]
    )
    atoms = water()
    a = matrix(full, atoms, stress="full", energy=True, offsets=True)
    b = matrix(left, atoms, stress="full", energy=True, offsets=True)
    n = full.n_short_range
    # Pairs OO, HH, OH with 4 columns each; offsets of O and H.
    kept = [*range(8), *range(12, n), n]
    np.testing.assert_array_equal(b, a[:, kept])
    assert b.shape[1] == count_columns(left, offsets=True)
    x = np.arange(1.0, b.shape[1] + 1)
    coefficients = expand(left, x)
    assert not coefficients.pairs[2].any()
    assert coefficients.offsets.tolist() == [x[-1], 0.0]
    whole = np.zeros(a.shape[1])
    whole[kept] = x
    np.testing.assert_allclose(a @ whole, b @ x)


def test_charge_columns_are_forces_of_unit_products_between_short_range_and_offsets():
    plain = build_basis(TYPES, PAIRS, (4, 0, 0))
    charged = build_basis(TYPES, PAIRS, (4, 0, 0), fit_charges=True)
    atoms = water()
    a = matrix(charged, atoms, offsets=True)
    np.testing.assert_array_equal(a[:, :12], matrix(plain, atoms))
    assert a.shape == (27, 12 + 3 + 2)
    assert not a[:, 15:].any()
    # Charges -0.8 and 0.4: all forces together are the gradient of their electrostatic energy.
    products = COULOMB * np.array([0.64, 0.16, -0.32])
    forces = (a[:, 12:15] @ products).reshape(-1, 3)
    assert np.abs(forces.sum(axis=0)).max() < 1e-9
    assert np.abs(forces).max() > 1.0
    q = np.where(atoms.numbers == 8, -0.8, 0.4)
    h = 1e-4
    for i, axis in ((0, 0), (4, 2)):
        energies = []
        for sign in (1, -1):
            moved = atoms.positions.copy()
            moved[i, axis] += sign * h
            energies.append(coulomb(q, moved, np.array(atoms.cell[:])).energy)
        # The sum is as accurate as that of the ChIMES programs, about 1e-5 of a column.
        assert forces[i, axis] == pytest.approx(-(energies[0] - energies[1]) / (2 * h), abs=2e-2)


def test_constraints_follow_the_frames_and_hold(tmp_path):
    setup = read_setup(DATA / "h2o-3bcheby" / "fm_setup.in")
    rows, right = constraint_rows(setup.basis, setup.charge_constraints)
    assert rows.shape == (2, 43)
    assert rows[:, 40:].tolist() == [[1000.0, 4000.0, 4000.0], [1000.0, -4000.0, 0.0]]
    assert not rows[:, :40].any()
    assert right.tolist() == [0.0, 0.0]
    frames = []
    for seed in range(4):
        atoms = water(4, seed)
        atoms.calc = SinglePointCalculator(
            atoms, forces=np.random.default_rng(seed).normal(size=(12, 3))
        )
        frames.append(atoms)
    found = fit(setup, frames, algorithm="ridge", alpha=1e-3)
    oo, hh, oh = found.model.coefficients.charges
    assert oo == pytest.approx(4 * hh, rel=1e-4)
    assert oh == pytest.approx(-2 * hh, rel=1e-4)
    assert (found.targets.kinds == 3).sum() == 2
    found.write(tmp_path)
    text = (tmp_path / "params.txt").read_text()
    assert f"q_O x q_H {oh:21.13e}" in text
    np.testing.assert_allclose(
        read_params(tmp_path / "params.txt").coefficients.charges, [oo, hh, oh], rtol=1e-12
    )


CHARGED = build_basis(TYPES, PAIRS, (4, 3, 0), fit_charges=True)
NOWHERE = Path("fm_setup.in")


def charged_setup(**wanted):
    rows = read_setup(DATA / "h2o-3bcheby" / "fm_setup.in").charge_constraints
    return FitSetup(NOWHERE, CHARGED, NOWHERE, False, 0, charge_constraints=rows, **wanted)


def water_model(charge=0.4):
    """A model whose oxygen atoms have twice the charge of its hydrogen atoms."""
    x = np.random.default_rng(5).normal(size=count_columns(CHARGED, offsets=True))
    products = COULOMB * charge**2 * np.array([4.0, 1.0, -2.0])
    x[CHARGED.n_short_range : CHARGED.n_short_range + 3] = products
    return x, ChimesModel(CHARGED, expand(CHARGED, x))


def test_rows_of_charges_are_energies_forces_and_stresses_of_the_model():
    x, model = water_model()
    atoms = water(4)
    said = model.evaluate(atoms, penalty=False)
    rows = matrix(CHARGED, atoms, stress="full", energy=True, offsets=True)
    assert rows.shape == (36 + 9 + 3, count_columns(CHARGED, offsets=True))
    own = rows[:, CHARGED.n_short_range : CHARGED.n_short_range + 3]
    assert (abs(own[-1]) > 0.1).all()
    # The sum is as accurate as that of the ChIMES programs, about 1e-5 of the Coulomb terms.
    coulomb_energy = abs(own[-1] @ x[CHARGED.n_short_range : CHARGED.n_short_range + 3])
    assert coulomb_energy > 100.0
    assert rows[-1] @ x == pytest.approx(said.energy, abs=2e-5 * coulomb_energy)
    np.testing.assert_allclose((rows[:36] @ x).reshape(-1, 3), said.forces, atol=3e-2)
    np.testing.assert_allclose((rows[36:45] @ x).reshape(3, 3), said.stress, atol=5e-4)


def test_energies_stresses_and_charges_can_be_fitted_together():
    x, model = water_model()
    frames = []
    for seed in range(8):
        atoms = water(4, seed)
        said = model.evaluate(atoms, penalty=False)
        forces, stress = said.forces * KCAL_PER_MOL, -said.stress * KCAL_PER_MOL
        voigt = full_3x3_to_voigt_6_stress(stress)
        atoms.calc = SinglePointCalculator(
            atoms, energy=said.energy * KCAL_PER_MOL, forces=forces, stress=voigt
        )
        frames.append(atoms)
    setup = charged_setup(fit_stress=StressFit("full"), fit_energy=EnergyFit(True))
    design = design_matrix(setup, frames)
    assert design.kinds.tolist() == 8 * (["force"] * 36 + ["stress"] * 9 + ["energy"] * 3) + (
        ["constraint"] * 2
    )
    assert design.frames.tolist() == [i for i in range(8) for _ in range(48)] + [-1, -1]
    assert design.n_atoms.tolist() == [12] * (8 * 48) + [0, 0]
    assert design.labels[:3] == ("O", "O", "O")
    assert design.labels[36:48] == (
        *("s_xx", "s_xy", "s_xz", "s_yx", "s_yy", "s_yz", "s_zx", "s_zy", "s_zz"),
        *("+1", "+1", "+1"),
    )
    n = CHARGED.n_short_range
    assert not design.matrix[-2:, n + 3 :].any()
    assert design.matrix[-2:, n : n + 3].tolist() == [[1e3, 4e3, 4e3], [1e3, -4e3, 0.0]]
    found = fit(setup, frames, algorithm="svd", alpha=1e-9)
    np.testing.assert_allclose(found.model.coefficients.charges, x[n : n + 3], rtol=1e-3)
    np.testing.assert_array_equal(found.targets.right, design.right)
    np.testing.assert_allclose(found.predicted, design.matrix @ found.solution.x, atol=1e-8)
    assert found.report["energy_rmse_kcal_per_mol"] < 0.05


def test_files_of_a_fit_of_charges_with_energies_and_stresses(tmp_path):
    text = (DATA / "h2o-3bcheby" / "fm_setup.in").read_text()
    text = text.replace("# FITPOVR #", "# FITSTRS #\nFIRST 1\n# FITENER #\ntrue\n# FITPOVR #")
    text = text.replace("\n\t33\n", "\n\t2\n").replace("\t6.0\t", "\t3.0\t")
    (tmp_path / "fm_setup.in").write_text(text)
    frames = []
    for seed in range(2):
        atoms = water(2, seed)
        frame = XyzfFrame(
            tuple(atoms.symbols),
            np.array(atoms.cell[:]),
            atoms.positions,
            np.ones((6, 3)),
            stress=(1.0, 2.0, 3.0),
            energy=-5.0 * seed,
        )
        frames.append(frame)
    write_xyzf(tmp_path / "input.xyzf", frames)
    setup = read_setup(tmp_path / "fm_setup.in")
    write_design(setup, tmp_path)
    design = design_matrix(setup, frames)
    n = len(design.right)
    assert n == 2 * 18 + 3 + 2 * 3 + 2
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "b.txt"), design.right)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "A.txt"), design.matrix, rtol=1e-15)
    labeled = [line.split()[0] for line in (tmp_path / "b-labeled.txt").read_text().splitlines()]
    assert labeled == list(design.labels[:-2])
    assert np.loadtxt(tmp_path / "natoms.txt").tolist() == design.n_atoms[:-2].tolist()
    assert (tmp_path / "dim.txt").read_text() == f"{design.matrix.shape[1]} {n}\n"


def test_charges_need_periodic_frames():
    atoms = water()
    atoms.pbc = (True, True, False)
    with pytest.raises(InputError, match=r"frames\[0\]: fitted charges .* periodic in all"):
        design_matrix(charged_setup(), [atoms], labelled=False)
