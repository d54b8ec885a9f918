"""Energies, forces, stresses and design matrices of the reference programs."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from ald_chimes_lsq.basis import AtomType, Cutoff, PairType
from ald_chimes_lsq.constants import GPA
from ald_chimes_lsq.design import design_matrix, fitted_frame
from ald_chimes_lsq.engine import build_lists, pack_basis
from ald_chimes_lsq.formats.setup import EnergyFit, FitSetup, StressFit, read_setup
from ald_chimes_lsq.formats.xyzf import XyzfFrame, read_xyzf
from ald_chimes_lsq.kernels.pairs import fill_slots, measure, prepare_edges
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.topology import build_basis

DATA = Path(__file__).parents[2] / "data"
DESIGN = DATA / "chimes_design"
PARAMETERS = DATA / "chimes_lsq" / "parameters"
VOIGT = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])


def read_configuration(path):
    """The coordinate file of the calculator and of the MD program."""
    lines = path.read_text().splitlines()
    words = lines[1].replace("NON_ORTHO", "").split()
    cell = np.array(words, float) if len(words) == 3 else np.array(words, float).reshape(3, 3)
    rows = [line.split() for line in lines[2 : 2 + int(lines[0])]]
    positions = [[float(v) for v in row[1:4]] for row in rows]
    return Atoms([row[0] for row in rows], positions, cell=cell, pbc=True)


@pytest.mark.parametrize(
    ("case", "configuration", "parameters"),
    [
        ("carbon-penalty", "liqC-penalty_#000.xyz", "published_params.liqC.2+3b.cubic.txt"),
        ("ti-ortho", "Ti_orthorhombic.xyz", None),
        ("ti-nonortho", "Ti_nonortho.xyz", None),
    ],
)
def test_md_program(case, configuration, parameters):
    folder = DATA / "chimes_md" / case
    titania = DATA / "chimes_md" / "ti-nonortho" / "validated_params.TiO2.2+3b.Tersoff.txt"
    model = ChimesModel.read(folder / parameters if parameters else titania)
    atoms = read_configuration(folder / configuration)

    got = model.evaluate(atoms)

    forces = np.loadtxt(folder / "expected" / "forceout.txt").reshape(-1, 3)
    np.testing.assert_allclose(got.forces, forces, rtol=1e-13, atol=1e-11)
    statistics = np.loadtxt(folder / "expected" / "md_statistics.out")
    assert got.energy / len(atoms) == pytest.approx(statistics[3], rel=6e-8)
    assert np.trace(got.stress) / 3 * GPA == pytest.approx(statistics[-1], rel=6e-8)
    assert got.contact_class == (2 if parameters else 0)


def test_parameter_file_format_example():
    model = ChimesModel.read(PARAMETERS / "example.params.txt")
    positions = [
        (4.606, 8.554, 1.297),
        (8.538, 2.806, 3.810),
        (7.449, 3.683, 4.946),
        (0.248, 6.782, 4.843),
        (2.968, 7.096, 2.729),
    ]
    got = model.evaluate(Atoms("HHHCC", positions, cell=[9.0] * 3, pbc=True))
    forces = [
        (-1.00475485637, -0.894342234789, 0.878393745005),
        (-2.35199831884, 2.82648210293, 2.8171286602),
        (3.51186351177, -0.264081481836, -2.66342276477),
        (-3.4603987518, -2.82797692164, 1.63428231907),
        (3.30528841524, 1.15991853534, -2.66638195951),
    ]
    np.testing.assert_allclose(got.forces, forces, rtol=1e-11)
    assert got.energy == pytest.approx(-129.150429349, rel=1e-11)
    stress = [
        -4.97405019005e-05,
        -0.0159674408079,
        -0.000908750628453,
        -0.00311973216784,
        -0.000868563489804,
        -0.00305581155569,
    ]
    np.testing.assert_allclose(got.stress[VOIGT], stress, rtol=2e-11)


@pytest.mark.parametrize("line", (DESIGN / "basis_functions.txt").read_text().splitlines()[1:])
def test_basis_functions(line):
    transform, kind, *words = line.split()
    fraction, r, *row, slope = map(float, words)
    cutoff = Cutoff(kind, fraction)
    pair = PairType("C", "C", 1.2, 4.8, 1.5)
    carbon = build_basis([AtomType("C", 12.0)], [pair], (2, 4, 0), transform, cutoff)
    packed = pack_basis(carbon)
    types, positions, cell = np.zeros(2, np.int64), np.array([[0, 0, 0], [0, 0, r]]), 20 * np.eye(3)
    lists = build_lists(packed, types, positions, cell, 0.0)
    measure(lists, positions, cell)
    prepare_edges(packed, lists)
    fill_slots(packed, lists)
    np.testing.assert_allclose(lists.values[0, :4], row, rtol=3e-14)
    assert lists.derivatives[0, 2] == pytest.approx(slope, rel=3e-14)


def test_small_design_matrix():
    carbon = build_basis(
        [AtomType("C", 12.011)], [PairType("C", "C", 1.2, 4.8, 1.5)], (3, 2, 0), "MORSE"
    )
    nowhere = Path("fm_setup.in")
    setup = FitSetup(nowhere, carbon, nowhere, False, 0, StressFit("full"), EnergyFit(True))
    frame = XyzfFrame(
        elements=("C", "C", "C"),
        cell=11.0 * np.eye(3),
        positions=np.array([(1.0, 1.0, 1.0), (2.5, 1.0, 1.0), (1.0, 3.0, 1.0)]),
        forces=np.array([(0.01, 0, 0), (-0.01, 0, 0), (0, 0, 0)]),
        stress=(1.0, 2.0, 3.0, 0.1, 0.2, 0.3),
        energy=-100.0,
    )
    design = design_matrix(setup, [frame])
    rows, b = design.matrix, design.right
    expected = np.loadtxt(DESIGN / "small_example.txt")
    assert rows.shape == (21, 6)
    for number, *want in expected:
        np.testing.assert_allclose([*rows[int(number)], b[int(number)]], want, rtol=1e-13)
    np.testing.assert_array_equal(rows[18], rows[20])
    np.testing.assert_array_equal(rows[10], rows[12])
    assert np.all(rows[2:9:3] == 0.0)


DESIGN_CASES = sorted(p.stem for p in DESIGN.glob("*.npz"))


@pytest.mark.parametrize("name", DESIGN_CASES)
def test_design_matrix(name):
    setup = read_setup(DATA / "chimes_lsq" / name / "fm_setup.in")
    golden = np.load(DESIGN / f"{name}.npz")
    frames = read_xyzf(DESIGN / f"{name}.xyzf")
    numbers = golden["frames"].tolist()
    fitted = [fitted_frame(setup, f, n) for n, f in zip(numbers, frames, strict=True)]
    a = np.concatenate([f.rows(setup.basis, offsets=setup.has_offsets) for f in fitted])
    b = np.concatenate([f.right for f in fitted])

    np.testing.assert_array_equal(b, golden["b"])
    if "A" in golden:
        difference = np.abs(a - golden["A"]).max(0)
        np.testing.assert_array_less(difference, 1e-12 * golden["maxima"] + 1e-300)
    np.testing.assert_allclose(a @ golden["x"], golden["force"], rtol=2e-6, atol=2e-6)
