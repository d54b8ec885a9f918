"""Lennard-Jones and charges in MD, against plain numpy and finite differences."""

import math

import numpy as np
import pytest

from ald_chimes_lsq.constants import GPA
from ald_chimes_lsq.ewald import atom_charges, coulomb
from ald_chimes_lsq.lennard_jones import LennardJones, is_lennard_jones
from ald_chimes_md.control import parse_control
from ald_chimes_md.keywords import with_values
from ald_chimes_md.loop import evaluate_once
from ald_chimes_md.preparation import prepare
from ald_core.errors import InputError

EPSILON = {"OO": 0.5, "HH": 0.3, "HO": 0.4}
SIGMA = {"OO": 2.2, "HH": 1.6, "HO": 1.9}
RMAX = {"OO": 4.0, "HH": 3.5, "HO": 4.5}


def lennard_jones(names, positions, cell):
    """Energy, forces and virial by a loop over all pairs and images."""
    energy, forces, virial = 0.0, np.zeros_like(positions), np.zeros((3, 3))
    shifts = np.array(np.meshgrid(*[range(-3, 4)] * 3)).reshape(3, -1).T @ cell
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            pair = "".join(sorted((a, b)))
            for d in positions[j] - positions[i] + shifts:
                r = math.sqrt(d @ d)
                if 0.0 < r < RMAX[pair]:
                    x = (SIGMA[pair] / r) ** 6
                    energy += 0.5 * 4 * EPSILON[pair] * (x * x - x)
                    slope = 4 * EPSILON[pair] * (6 * x - 12 * x * x) / r
                    forces[i] += slope * d / r
                    virial -= 0.5 * slope * np.outer(d, d) / r
    return energy, forces, virial


@pytest.fixture
def prepared(fluid, fluid_text, tmp_path):
    """A prepared run of the box, or of another structure."""

    def make(parameters, structure=None, **values):
        (tmp_path / "params.txt").write_text(parameters)
        (tmp_path / "box.xyz").write_text(structure or fluid_text.box)
        text = with_values(fluid_text.control, values)
        return prepare(parse_control(text), tmp_path)

    return make


def test_lennard_jones_energy_forces_and_stress(prepared, fluid_text):
    ready = prepared(fluid_text.neutral)
    said = evaluate_once(ready)
    cell = ready.system.cell
    energy, forces, virial = lennard_jones(ready.system.elements, ready.system.positions, cell)
    assert said.energy == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(said.forces, forces, atol=1e-10)
    np.testing.assert_allclose(said.stress, virial / np.linalg.det(cell), atol=1e-13)


@pytest.mark.parametrize("skewed", [False, True])
def test_charges_add_to_the_short_range(prepared, fluid_text, skewed):
    structure = fluid_text.box
    if skewed:
        structure = structure.replace("5.4 6.6 7.6", "NON_ORTHO 5.4 0 0 2.0 6.6 0 -1.0 1.5 7.6")
    ready = prepared(fluid_text.charged, structure)
    said, plain = evaluate_once(ready), evaluate_once(prepared(fluid_text.neutral, structure))
    types = np.array([0 if name == "O" else 1 for name in ready.system.elements])
    charges = atom_charges(np.array([-0.8, 0.4]), types)
    more = coulomb(charges, ready.system.positions, ready.system.cell)
    assert said.energy - plain.energy == pytest.approx(more.energy, rel=1e-10)
    np.testing.assert_allclose(said.forces - plain.forces, more.forces, atol=1e-9)
    volume = abs(np.linalg.det(ready.system.cell))
    np.testing.assert_allclose((said.stress - plain.stress) * volume, more.virial, atol=1e-9)
    assert abs(more.forces).max() > 5.0


@pytest.mark.parametrize(
    ("model", "accuracy"),
    [("neutral", 1e-6), ("charged", 2e-3)],  # Each cell has its own split of the Ewald sum.
)
@pytest.mark.parametrize("skewed", [False, True])
def test_the_pressure_is_the_slope_of_the_energy_with_the_volume(
    fluid, fluid_text, model, accuracy, skewed
):
    lines = fluid_text.box.splitlines()
    names = [line.split()[0] for line in lines[2:]]
    positions = np.array([line.split()[1:] for line in lines[2:]], dtype=float)
    cell = np.diag([5.4, 6.6, 7.6])
    if skewed:
        cell[1, 0], cell[2, 0], cell[2, 1] = 2.0, -1.0, 1.5

    def at(factor):
        numbers = " ".join(map(repr, (factor * cell).ravel().tolist()))
        rows = zip(names, (factor * positions).tolist(), strict=True)
        atoms = [" ".join([name, *map(repr, row)]) for name, row in rows]
        text = "\n".join(["24", f"NON_ORTHO {numbers}", *atoms, ""])
        files = {"params.txt": getattr(fluid_text, model), "box.xyz": text}
        return fluid(files, TEMPERA=0, N_MDSTP=1)

    step = 1e-5
    energies = [24 * at(1.0 + side).conserved.first for side in (step, -step)]
    volume = np.linalg.det(cell)
    slope = (energies[0] - energies[1]) / (6.0 * step * volume)
    pressure = at(1.0).averages.pressure / GPA
    assert abs(pressure) > 0.01
    assert pressure == pytest.approx(-slope, rel=accuracy)


@pytest.mark.parametrize("ensemble", ["NVE", "NPT-MTK HOOVER 5 40"])
def test_charged_runs_conserve_what_they_should(water, ensemble):
    values = {"CONSRNT": ensemble, "PRESSUR": 1.0, "TEMPERA": 1000}
    deviations = [
        water(TIMESTP=dt, N_MDSTP=int(6 / dt) + 1, **values).conserved.max_deviation
        for dt in (0.2, 0.1)
    ]
    assert deviations[0] < 0.2
    assert deviations[0] / deviations[1] == pytest.approx(4.0, rel=0.3)


def test_a_collision_stops_the_run(fluid, fluid_text):
    close = "2\n9 9 9\nO 0 0 0\nO 0.99 0 0\n"
    result = fluid({"box.xyz": close})
    assert (result.stable, result.steps_done) == (False, 0)
    assert "σ/2.2" in result.reason
    apart = fluid({"box.xyz": close.replace("0.99", "1.01")}, N_MDSTP=1)
    assert apart.stable


def test_charges_that_switch_is_off_do_nothing(prepared, fluid_text):
    assert prepared(fluid_text.neutral).model.charges.size == 0
    assert prepared(fluid_text.charged).model.charges.size == 24


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("PAIRTYP: LJ", "PAIRTYP: SPLINE", "no ChIMES model"),
        ("PAIRTYP: LJ", "PAIRTYP: LJ 12", "not 'LJ'"),
        (" 1 H H 0.75 3.5", " 1 H H 0.75", "expected pair 1"),
        (" 1 H H 0.75 3.5", " 1 H H 3.75 3.5", "must be below S_MAXIM"),
        (" 1 H H 0.75 3.5", " 1 O O 0.75 3.5", "given twice"),
        ("TRIPLETS: 0", "TRIPLETS: 4", "pairs only"),
        ("0 0.3\n1 1.6", "0 0.3\n1 -1.6", "above 0 Å"),
        ("0 0.3\n1 1.6", "1 0.3\n0 1.6", "expected ε with index 0"),
        ("0 0.3\n1 1.6", "0 nan\n1 1.6", "finite number"),
        ("PARAMS: 1 H H", "PARAMS: 1 H O", "write '1 H H'"),
        ("2 OH", "1 OH", "another cluster"),
        ("ENDFILE", "", "too early"),
        ("FITCOUL: false", "FITCOUL: true", "expected a line 'q_A"),
    ],
)
def test_malformed_lennard_jones_files_are_refused(prepared, fluid_text, old, new, said):
    assert old in fluid_text.neutral
    with pytest.raises(InputError, match=said) as raised:
        prepared(fluid_text.neutral.replace(old, new, 1))
    assert "params.txt" in str(raised.value)


def test_pairs_in_another_order_and_fitted_charges(tmp_path, fluid_text):
    text = fluid_text.charged.replace("FITCOUL: false", "FITCOUL: true")
    for value, name in (
        ("1 2.2", "O x q_O 212.5"),
        ("1 1.6", "H x q_H 53.1"),
        ("1 1.9", "O x q_H -106.2"),
    ):
        text = text.replace(value, f"{value}\nq_{name}")
    path = tmp_path / "params.txt"
    path.write_text(text)
    assert is_lennard_jones(path)
    model = LennardJones.read(path)
    assert model.coefficients.charges.tolist() == [212.5, 53.1, -106.2]
    assert model.epsilon.tolist() == [0.5, 0.3, 0.4]
    assert [p.rmax for p in model.basis.pairs] == [4.0, 3.5, 4.5]


def test_charges_that_contradict_each_other_are_refused(prepared, fluid_text):
    text = fluid_text.charged.replace("FITCOUL: false", "FITCOUL: true")
    for value, name in (
        ("1 2.2", "O x q_O 212.5"),
        ("1 1.6", "H x q_H 53.1"),
        ("1 1.9", "O x q_H 106.2"),
    ):
        text = text.replace(value, f"{value}\nq_{name}")
    with pytest.raises(InputError, match=r"params\.txt, line \d+: .*charge product of OH"):
        prepared(text)
