"""A cell in which atoms see their own images: titania, where the reference calculator counts such sets twice."""

import itertools
from pathlib import Path

import attrs
import numpy as np
import pytest
from ase import Atoms

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


def test_golden_energy_is_ours_plus_what_holds_an_atom_and_its_own_image():
    atoms = read(IMAGES / "TiO2.unitcell_arbrot_#000.xyz")
    golden = IMAGES / "validated_params.TiO2.2+3b.Tersoff.txt.TiO2.unitcell_arbrot_#000.xyz.dat"
    full = ChimesModel.read(
        DATA / "chimes_md" / "ti-nonortho" / "validated_params.TiO2.2+3b.Tersoff.txt"
    )
    zero = attrs.evolve(
        full.coefficients, triplets=tuple(0 * t for t in full.coefficients.triplets)
    )
    pairs_only = attrs.evolve(full, coefficients=zero)
    whole = full.evaluate(atoms).energy

    def alone(model: ChimesModel, *members) -> float:
        names, places = zip(*((m[0], m[1]) for m in members), strict=True)
        return model.evaluate(Atoms(names, places, cell=[50.0] * 3, pbc=True)).energy

    shifts = [np.array(i) @ atoms.cell[:] for i in itertools.product(range(-2, 3), repeat=3)]
    home = [(a.symbol, a.position, a.index) for a in atoms]
    everywhere = [(s, p + shift, i) for s, p, i in home for shift in shifts]
    counted = {True: 0.0, False: 0.0}
    for center in home:
        near = [m for m in everywhere if 1e-9 < np.linalg.norm(m[1] - center[1]) < CUTOFF]
        for other in near:
            counted[other[2] == center[2]] += alone(pairs_only, center, other) / 2
        for a, b in itertools.combinations(near, 2):
            if np.linalg.norm(a[1] - b[1]) < CUTOFF:
                three = alone(full, center, a, b) - alone(pairs_only, center, a, b)
                counted[len({center[2], a[2], b[2]}) < 3] += three / 3
    assert whole == pytest.approx(counted[True] + counted[False], abs=1e-9)
    expected = float(golden.read_text().split()[0])
    assert whole + counted[True] == pytest.approx(expected, abs=2e-6)
