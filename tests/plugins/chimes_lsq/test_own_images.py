"""A cell in which atoms see their own images: titania, where the reference calculator counts such sets twice."""

import itertools
from pathlib import Path

import attrs
import numpy as np
from ase import Atoms

from ald_chimes_lsq.constants import GPA_PRINTED
from ald_chimes_lsq.model import ChimesModel

DATA = Path(__file__).parents[2] / "data"
IMAGES = DATA / "chimes_calculator" / "own_images"
CUTOFF = 4.3
"""Å; the largest of this model"""


def read(path: Path) -> Atoms:
    lines = path.read_text().splitlines()
    cell = np.array(lines[1].split(), dtype=float).reshape(3, 3)
    rows = [line.split() for line in lines[2:8]]
    return Atoms([r[0] for r in rows], [list(map(float, r[1:])) for r in rows], cell=cell, pbc=True)


def numbers(evaluation, volume) -> np.ndarray:
    """Energy, stress (GPa) × volume, and forces in one row."""
    stress = evaluation.stress[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] * GPA_PRINTED
    return np.concatenate([[evaluation.energy], stress * volume, evaluation.forces.ravel()])


def test_golden_numbers_are_ours_plus_what_holds_an_atom_and_its_own_image():
    atoms = read(IMAGES / "TiO2.unitcell_arbrot_#000.xyz")
    golden = IMAGES / "validated_params.TiO2.2+3b.Tersoff.txt.TiO2.unitcell_arbrot_#000.xyz.dat"
    full = ChimesModel.read(
        DATA / "chimes_md" / "ti-nonortho" / "validated_params.TiO2.2+3b.Tersoff.txt"
    )
    zero = attrs.evolve(
        full.coefficients, triplets=tuple(0 * t for t in full.coefficients.triplets)
    )
    pairs_only = attrs.evolve(full, coefficients=zero)
    volume = atoms.get_volume()
    whole = numbers(full.evaluate(atoms), volume)

    def alone(model: ChimesModel, *members) -> np.ndarray:
        """What some atoms say in a large box, forces on the atoms of the cell that they are images of."""
        names, places, parents = zip(*members, strict=True)
        box = Atoms(names, places, cell=[50.0] * 3, pbc=True)
        said = numbers(model.evaluate(box), 50.0**3)
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, list(parents), said[7:].reshape(-1, 3))
        return np.concatenate([said[:7], forces.ravel()])

    shifts = [np.array(i) @ atoms.cell[:] for i in itertools.product(range(-2, 3), repeat=3)]
    home = [(a.symbol, a.position, a.index) for a in atoms]
    everywhere = [(s, p + shift, i) for s, p, i in home for shift in shifts]
    counted = {True: np.zeros(len(whole)), False: np.zeros(len(whole))}
    for center in home:
        near = [m for m in everywhere if 1e-9 < np.linalg.norm(m[1] - center[1]) < CUTOFF]
        for other in near:
            counted[other[2] == center[2]] += alone(pairs_only, center, other) / 2
        for a, b in itertools.combinations(near, 2):
            if np.linalg.norm(a[1] - b[1]) < CUTOFF:
                three = alone(full, center, a, b) - alone(pairs_only, center, a, b)
                counted[len({center[2], a[2], b[2]}) < 3] += three / 3
    np.testing.assert_allclose(whole, counted[True] + counted[False], rtol=0, atol=1e-8)
    expected = np.array(golden.read_text().split(), dtype=float)
    twice = whole + counted[True]
    twice[1:7] /= volume
    # Six decimals of energy and stress, seven digits of forces.
    np.testing.assert_allclose(twice[:7], expected[:7], rtol=0, atol=6e-7)
    units = 10.0 ** (np.floor(np.log10(np.abs(expected[7:]))) - 6)
    np.testing.assert_array_less(np.abs(twice[7:] - expected[7:]), 0.51 * units)
