"""Columns of excluded types and pairs, of charges, and rows that tie charges together."""

from pathlib import Path

import ase.io
import attrs
import numpy as np
import pytest
from ase import Atoms

from ald_chimes_lsq import design_matrix, fit
from ald_chimes_lsq.basis import AtomType, PairType
from ald_chimes_lsq.constants import COULOMB
from ald_chimes_lsq.design_rows import constraint_rows
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.setup import read_setup
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
    return design_matrix(
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
    from ald_chimes_lsq.ewald import coulomb

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
        atoms.calc = ase.calculators.singlepoint.SinglePointCalculator(
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


@pytest.mark.parametrize("more", [{"stress": "full"}, {"energy": True}])
def test_only_forces_can_be_fitted_with_charges(more):
    charged = build_basis(TYPES, PAIRS, (4, 0, 0), fit_charges=True)
    with pytest.raises(InputError, match="only forces can be fitted"):
        matrix(charged, water(), **more)
    assert matrix(attrs.evolve(charged, fit_charges=False), water(), **more).shape[1] == 12
