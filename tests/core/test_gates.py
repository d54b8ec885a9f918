"""Gates: what no label passes, whatever its program said."""

import numpy as np
import pytest
from ase import Atoms

from ald_core.gates import pass_gates
from ald_core.sections import QualityOptions
from ald_core.types import Failure, Frame, Labels, Origin

LARGE = "a force component of 51.5 eV/Å exceeds quality.max_force = 51.4"
FRAME = Frame(Atoms("Ar2"), Origin(1, "a", 1))


def labels(energy=-1.0, forces=None, stress=None):
    return Labels(energy, np.full((2, 3), 0.5) if forces is None else forces, stress)


def judged(found, **options):
    return pass_gates(found, FRAME, QualityOptions(**options))


@pytest.mark.parametrize(
    "good",
    [labels(), labels(stress=np.zeros(6)), labels(energy=0.0), labels(forces=np.full((2, 3), -51.4))],
)  # fmt: skip
def test_good_labels_pass_unchanged(good):
    assert judged(good) is good


def broken(array, value):
    array = np.array(array, dtype=float)
    array.flat[-1] = value
    return array


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Labels(None, np.zeros((2, 3))), "energy or forces are missing"),
        (Labels(-1.0, None), "energy or forces are missing"),
        (labels(forces=np.zeros((3, 3))), "forces have shape (3, 3) for 2 atoms"),
        (labels(forces=np.zeros(6)), "forces have shape (6,) for 2 atoms"),
        (labels(stress=np.zeros((3, 3))), "the stress has shape (3, 3), not (6,)"),
        (labels(energy=float("nan")), "the energy is not finite"),
        (labels(energy=-float("inf")), "the energy is not finite"),
        (labels(forces=broken(np.zeros((2, 3)), np.nan)), "a force is not finite"),
        (labels(forces=broken(np.zeros((2, 3)), np.inf)), "a force is not finite"),
        (labels(stress=broken(np.zeros(6), np.nan)), "the stress is not finite"),
        (labels(energy=1e-6), "the total energy 1e-06 eV is positive"),
        (labels(forces=broken(np.zeros((2, 3)), -51.5)), LARGE),
    ],
)  # fmt: skip
def test_bad_labels_are_failures_with_a_reason(bad, words):
    found = judged(bad)
    assert isinstance(found, Failure)
    assert found.reason == words
    assert found.kind == "invalid"


def test_limits_are_options():
    assert not isinstance(judged(labels(energy=3.0), positive_energy=True), Failure)
    assert not isinstance(judged(labels(forces=np.full((2, 3), 90.0)), max_force=100), Failure)
    assert isinstance(judged(labels(), max_force=0.4), Failure)
