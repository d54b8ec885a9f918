"""Gates: what no label passes, whatever its program said."""

import numpy as np
import pytest
from ase import Atoms

from ald_core.gates import pass_gates
from ald_core.options import build
from ald_core.sections import QualityOptions
from ald_core.types import Failure, Frame, Labels, Origin

LARGE = "a force component of 51.5 eV/Å exceeds quality.max_force = 51.4"
STRESSED = "a stress component of 10.5 eV/Å³ exceeds quality.max_stress = 10"
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
        (labels(stress=broken(np.zeros(6), -10.5)), STRESSED),
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
    assert isinstance(judged(labels(stress=np.full(6, -0.1)), max_stress=0.09), Failure)
    assert not isinstance(judged(labels(stress=np.full(6, -0.1)), max_stress=0.1), Failure)


@pytest.mark.parametrize(
    ("energy", "passes"), [(-3.0, True), (-1.0, True), (-3.1, False), (-0.9, False)]
)
def test_energies_per_atom_have_limits_if_the_user_gives_them(energy, passes):
    found = judged(labels(energy=2 * energy), energy_per_atom=(-3.0, -1.0))
    assert isinstance(found, Labels) is passes
    if not passes:
        words = (
            f"the energy of {energy:g} eV per atom is outside of quality.energy_per_atom = -3 … -1"
        )
        assert found == Failure(words)


@pytest.mark.parametrize("limits", [[1.0], [1.0, 1.0], [2.0, 1.0], [1.0, 2.0, 3.0]])
def test_limits_are_a_lower_and_a_higher_one(limits, tmp_path):
    found, problems = build(QualityOptions, {"energy_per_atom": limits}, "quality", tmp_path)
    assert found is None
    assert problems == [
        "quality.energy_per_atom: energy_per_atom must be the lower and the higher of two numbers"
    ]
