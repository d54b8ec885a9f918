"""The weighting `rows`: weights of the existing programs, one for each row of the starting set."""

import numpy as np
import pytest
from ase import Atoms

from ald_chimes_lsq.row_weights import RowWeighting
from ald_core.errors import InputError
from ald_core.types import Frame, LabeledFrame, Labels, Origin, TrainingSet

SETUP = """\
# TRJFILE #
 none.xyzf
# PAIRTYP #
 CHEBYSHEV 3
# FITENER #
 {energy}
# FITSTRS #
 {stress}
# NATMTYP #
 1
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
1 C 0.0 12.0
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA #
1 C C 1.0 4.0 0.01 1.4
# ENDFILE #
"""


def labeled(source, step, n_atoms=2, cycle=0, **more):
    atoms = Atoms(f"C{n_atoms}", np.arange(3.0 * n_atoms).reshape(-1, 3), cell=[9] * 3, pbc=True)
    labels = Labels(-1.0, np.zeros((n_atoms, 3)), np.zeros(6))
    return LabeledFrame(Frame(atoms, Origin(cycle, source, step), **more), labels, "x", cycle + 1)


@pytest.fixture
def make(tmp_path):
    """A weighting with so many weights 1, 2, 3, …"""

    def weighting(n, stress="false", energy="false", **options):
        (tmp_path / "fm_setup.in").write_text(SETUP.format(stress=stress, energy=energy))
        (tmp_path / "weights.dat").write_text("".join(f"{i}.0\n" for i in range(1, n + 1)))
        return RowWeighting(
            file=tmp_path / "weights.dat", setup=tmp_path / "fm_setup.in", **options
        )

    return weighting


def test_rows_are_in_the_order_of_the_existing_programs(make):
    frames = TrainingSet((labeled("a", 1), labeled("a", 2, 1), labeled("b", 1)))
    found = make(15, sources=("b", "a")).weights(frames, 1).frames
    assert found["000-b-000000001"].forces.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert found["000-a-000000001"].forces.tolist() == [[7, 8, 9], [10, 11, 12]]
    assert found["000-a-000000002"].forces.tolist() == [[13, 14, 15]]


def test_stress_and_energy_keep_their_squares(make):
    """Of nine stresses six are different, of three energies one."""
    found = make(18, stress="ALL", energy="true").weights(TrainingSet((labeled("a", 1),)), 1)
    own = found.frames["000-a-000000001"]
    xx, xy, xz, yx, yy, yz, zx, zy, zz = range(7, 16)
    pairs = np.sqrt([(yz**2 + zy**2) / 2, (xz**2 + zx**2) / 2, (xy**2 + yx**2) / 2])
    np.testing.assert_allclose(own.stress, [xx, yy, zz, *pairs])
    assert own.energy == pytest.approx(np.sqrt((16**2 + 17**2 + 18**2) / 3))
    found = make(9, stress="true").weights(TrainingSet((labeled("a", 1),)), 1)
    assert found.frames["000-a-000000001"].stress.tolist() == [7, 8, 9, 1, 1, 1]


def test_molecules_have_no_stress_and_later_frames_the_weight_1(make):
    frames = TrainingSet((labeled("a", 1, kind="gas"), labeled("case-0", 7, cycle=1)))
    found = make(6, stress="ALL").weights(frames, 2).frames
    assert found["000-a-000000001"].forces.sum() == 21
    later = found["001-case-0-000000007"]
    assert later.forces.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert (later.energy, later.stress.tolist()) == (1.0, [1.0] * 6)


@pytest.mark.parametrize("n", [5, 7, 0])
def test_another_number_of_rows_is_refused(make, n):
    with pytest.raises(InputError, match=f"has {n} weights, but the starting set has 6 rows"):
        make(n).weights(TrainingSet((labeled("a", 1),)), 1)


@pytest.mark.parametrize("line", ["x", "nan", "-1.0", "1 2"])
def test_what_is_no_weight_is_refused(make, tmp_path, line):
    weighting = make(6)
    (tmp_path / "weights.dat").write_text(f"1.0\n{line}\n")
    assert len(weighting.check(["C"])) == 1
    with pytest.raises(InputError, match=r"weights\.dat"):
        weighting.weights(TrainingSet((labeled("a", 1),)), 1)
