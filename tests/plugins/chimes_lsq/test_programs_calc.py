"""`ald chimes calc` against the numbers of the reference calculator, digit by digit, and in small cells."""

import contextlib
import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from typer.testing import CliRunner

from ald_chimes_lsq.basis import AtomType, Cutoff, PairType
from ald_chimes_lsq.commands import app
from ald_chimes_lsq.constants import GPA, GPA_PRINTED
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.topology import build_basis

DATA = Path(__file__).parents[2] / "data"
CALCULATOR = DATA / "chimes_calculator"
CASES = sorted(p.name.removesuffix(".dat") for p in CALCULATOR.glob("*.dat"))
ROUNDING = 1.0 + 1e-4
"""Numbers in the middle between two printed ones."""


def calc(parameters, configuration):
    """All digits, and the numbers of the print-out."""
    runner = CliRunner()
    exact = runner.invoke(app, ["calc", str(parameters), str(configuration), "1", "--json"])
    assert exact.exit_code == 0
    shown = runner.invoke(app, ["calc", str(parameters), str(configuration)])
    assert shown.exit_code == 0
    numbers = []
    for word in shown.stdout.split():
        with contextlib.suppress(ValueError):
            numbers.append(float(word))
    return json.loads(exact.stdout), np.array(numbers)


def half_digits(words):
    """Half a unit of the last digit of printed numbers."""
    parts = [word.lower().partition("e") for word in words]
    units = [
        10.0 ** (int(power or 0) - len(number.partition(".")[2])) for number, _, power in parts
    ]
    return ROUNDING * np.array(units) / 2


def golden(name, tmp_path):
    """Parameters, configuration, and the numbers of the calculator with their tolerances and a factor of forces."""
    parameters, configuration = name.split(".txt.", 1)
    path = CALCULATOR / f"{parameters}.txt"
    path = path if path.exists() else DATA / "chimes_lsq" / "parameters" / path.name
    place = CALCULATOR / configuration
    words = (CALCULATOR / f"{name}.dat").read_text().split()
    tolerance, copies = half_digits(words), 1
    n_atoms = (len(words) - 7) // 3
    if "liqCO" in name:
        # The program multiplies forces by its copies of a small cell.
        copies = 8
    else:
        # Stored energies are N × the energy per atom, which is printed with seven decimals.
        tolerance[0] = ROUNDING * n_atoms * 0.5e-7
    if "diam" in name:
        tolerance[7:] = 1e-9  # nothing but rounding errors of zero
    if "2b.cubic" in name:
        # These are numbers of a box whose first length has gone through single precision.
        place = tmp_path / "single.xyz"
        lines = (CALCULATOR / configuration).read_text().split("\n")
        length, *others = lines[1].split()
        lines[1] = " ".join([repr(float(np.float32(length))), *others])
        place.write_text("\n".join(lines))
    want = np.array(words, dtype=float)
    if "CO.2.5gcc" in name:
        # The unit of these stresses has gone through single precision.
        want[1:7] *= GPA_PRINTED / float(np.float32(GPA_PRINTED))
    return path, place, want, tolerance, copies


@pytest.mark.parametrize("name", CASES)
def test_all_printed_digits_are_those_of_the_reference(name, tmp_path):
    parameters, configuration, want, tolerance, copies = golden(name, tmp_path)
    exact, shown = calc(parameters, configuration)
    stress = np.array(exact["stress"]) * GPA_PRINTED / GPA
    forces = np.ravel(exact["forces"])
    assert abs(exact["energy"] - want[0]) <= tolerance[0]
    np.testing.assert_array_less(np.abs(stress - want[1:7]), tolerance[1:7])
    np.testing.assert_array_less(np.abs(copies * forces - want[7:]), tolerance[7:])
    # The print-out has five decimals.
    np.testing.assert_allclose(shown, [exact["energy"], *stress, *forces], rtol=0, atol=5.01e-6)


BASIS = build_basis(
    [AtomType("O", 16.0), AtomType("C", 12.0)],
    [
        PairType("O", "O", 1.0, 5.2, 1.4),
        PairType("C", "C", 0.9, 4.6, 1.3),
        PairType("O", "C", 0.8, 4.9, 1.2),
    ],
    (6, 4, 2),
    "MORSE",
    Cutoff("TERSOFF", 0.5),
)
CELL = np.array([[2.6, 0.0, 0.0], [0.9, 2.4, 0.0], [-0.7, 0.5, 2.9]])
ATOMS = [("C", (0.1, 0.2, 0.1)), ("O", (1.3, 1.4, 0.3)), ("C", (0.9, 0.4, 1.7))]


def configuration_text(repeat):
    shifts = np.stack(np.meshgrid(*map(np.arange, repeat), indexing="ij"), -1).reshape(-1, 3) @ CELL
    atoms = [
        " ".join([name, *map(repr, (shift + place).tolist())])
        for name, place in ATOMS
        for shift in shifts
    ]
    cell = " ".join(map(repr, (CELL * np.array(repeat)[:, None]).ravel().tolist()))
    return "\n".join([str(len(atoms)), cell, *atoms, ""])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model of random parameters with cutoffs of twice the cell, and what it says about the cell."""
    folder = tmp_path_factory.mktemp("small")
    x = np.random.default_rng(2).normal(size=BASIS.n_short_range + 2)
    ChimesModel(BASIS, expand(BASIS, x)).write(folder / "params.txt")
    (folder / "conf.xyz").write_text(configuration_text((1, 1, 1)))
    return folder, calc(folder / "params.txt", folder / "conf.xyz")[0]


@pytest.mark.parametrize("repeat", [(2, 2, 2), (4, 1, 2), (1, 3, 1)])
def test_a_cell_smaller_than_the_cutoff_is_its_supercell(small, repeat, tmp_path):
    folder, one = small
    (tmp_path / "conf.xyz").write_text(configuration_text(repeat))
    many, shown = calc(folder / "params.txt", tmp_path / "conf.xyz")
    copies = int(np.prod(repeat))
    scale = np.abs(one["forces"]).max()
    assert scale > 1.0
    assert many["energy"] == pytest.approx(copies * one["energy"], rel=1e-11)
    np.testing.assert_allclose(many["stress"], one["stress"], rtol=0, atol=1e-11 * scale)
    forces = np.repeat(one["forces"], copies, axis=0)
    np.testing.assert_allclose(many["forces"], forces, rtol=0, atol=1e-11 * scale)
    assert len(shown) == 7 + forces.size


def test_names_of_atoms_may_be_any_words(small, tmp_path):
    text = (small[0] / "conf.xyz").read_text()
    new = {"O": "Zz", "C": "A1"}
    renamed = [
        [attrs.evolve(t, name=new[t.name]) for t in BASIS.types],
        [attrs.evolve(p, first=new[p.first], second=new[p.second]) for p in BASIS.pairs],
    ]
    said = []
    for types, pairs in ([BASIS.types, BASIS.pairs], renamed):
        basis = build_basis(types, pairs, (6, 0, 0), "MORSE", BASIS.cutoff)
        ChimesModel(basis, expand(basis, np.linspace(-1, 1, 18))).write(tmp_path / "params.txt")
        names = new if types is renamed[0] else {}
        lines = [[names.get(word, word) for word in line.split()] for line in text.split("\n")]
        (tmp_path / "conf.xyz").write_text("\n".join(map(" ".join, lines)))
        said.append(calc(tmp_path / "params.txt", tmp_path / "conf.xyz")[0])
    assert said[0] == said[1]
    (tmp_path / "conf.xyz").write_text(text)
    arguments = ["calc", str(tmp_path / "params.txt"), str(tmp_path / "conf.xyz")]
    refused = CliRunner().invoke(app, arguments)
    assert "conf.xyz, line 3: element C, O is not among the atom types Zz, A1" in str(
        refused.exception
    )
