"""Outliers: what is wrong by units, signs, atoms or methods is found; what is hot, dense or new is not."""

import numpy as np
import pytest
from ase import Atoms
from ase.units import GPa

from ald_core.outliers import COMMON_FORCE, SPREAD, find_outliers
from ald_core.types import Frame, LabeledFrame, Labels, Origin

EPSILON = {"C": -9.0, "O": -5.0, "H": -3.0}


def labeled(
    step,
    rng,
    symbols="C8",
    *,
    force=3.0,
    energy=0.0,
    density=1.0,
    pressure=None,
    kind="bulk",
    labeler="vasp",
    cycle=1,
    **more,
):
    """Forces with this spread per component, and this much more energy per atom than its composition has."""
    atoms = Atoms(symbols, pbc=kind == "bulk")
    mass = atoms.get_masses().sum()
    atoms.set_cell(np.eye(3) * (mass / density) ** (1 / 3))
    n = len(atoms)
    own = sum(EPSILON[s] for s in atoms.get_chemical_symbols())
    value = 50 * (density - 1.0) * GPa if pressure is None else pressure * GPa
    labels = Labels(
        own + n * (energy + rng.normal(0, 0.05)),
        rng.normal(0, force, (n, 3)),
        -np.array([1, 1, 1, 0, 0, 0]) * (value + rng.normal(0, GPa)),
    )
    frame = Frame(atoms, Origin(cycle, "a", step), 300.0, kind)
    return LabeledFrame(frame, labels, labeler, cycle + 1, **more)


def many(n, seed=0, first=0, **more):
    rng = np.random.default_rng(seed)
    return [labeled(first + i, rng, **more) for i in range(n)]


def odd(known, new, threshold=10.0, at_least=20):
    return find_outliers(known, new, threshold, at_least)


def one(known, **more):
    """Why one more label is none of them; None if it is."""
    (new,) = many(1, seed=9, first=9000, **more)
    return odd(known, [new]).get(new.frame.id)


KNOWN = many(30)


def test_labels_like_the_others_are_no_outliers():
    assert odd(KNOWN, KNOWN) == {}
    assert odd(KNOWN, many(50, seed=1, first=100)) == {}


@pytest.mark.parametrize(
    "more",
    [
        {"force": 12.0, "energy": 1.8, "pressure": 60.0},  # from 300 K to 6000 K
        {"energy": 4.5, "pressure": -90.0},  # a cluster; a lattice under tension
        {"force": 1e-3, "energy": -0.3},  # relaxed
        {"density": 1.6},  # nothing is known of that density
        {"density": 0.2, "pressure": 400.0},
        {"symbols": "C4O4", "energy": 90.0},  # nor of that composition
        {"kind": "gas", "energy": 7.0, "force": 90.0},  # nor of molecules
        {"labeler": "cp2k", "energy": -150.0},  # another zero
    ],
)
def test_what_is_hot_or_new_is_no_outlier(more):
    assert one(KNOWN, **more) is None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"force": 3.0 * 27.2}, "eV/Å on an atom of C, where the largest is"),  # Hartree
        ({"energy": 9.0 * 26.2}, "eV per atom, where its composition has -8.99"),
        ({"energy": -6.0}, "an energy of -15"),  # another species order, or state
        ({"energy": 6.0}, "an energy of -3"),
        ({"pressure": 300.0}, "a pressure of 299.6 GPa"),  # GPa taken for kbar
        ({"pressure": -200.0}, "GPa, where its density has"),
    ],
)
def test_gross_mistakes_are_found_with_a_reason(more, words):
    reason = one(KNOWN, **more)
    assert reason.startswith("outlier: ")
    assert words in reason
    assert reason.endswith("quality.outliers = 10)")


def test_the_distance_is_in_robust_standard_deviations():
    rng = np.random.default_rng(4)
    spread = 2.0 * SPREAD["energy"]
    known = [labeled(i, rng, energy=rng.normal(0, spread)) for i in range(400)]
    assert one(known, energy=8.5 * spread) is None
    assert one(known, energy=11.5 * spread) is not None
    (new,) = many(1, first=9000, energy=6 * spread)
    assert odd(known, [new], threshold=5.0)
    assert odd(known, [new], threshold=0.0) == {}


def test_small_spreads_count_as_those_of_heat():
    rng = np.random.default_rng(4)
    known = [labeled(i, rng, force=1e-6) for i in range(30)]
    for factor, found in ((0.8, False), (1.3, True)):
        new = many(1, first=9000)[0]
        new.labels.forces[:] = 0.0
        new.labels.forces[2, 1] = -COMMON_FORCE * np.exp(10 * SPREAD["force"]) * factor
        assert bool(odd(known, [new])) is found


def test_a_single_wrong_force_is_enough():
    (new,) = many(1, first=9000)
    assert odd(KNOWN, [new]) == {}
    new.labels.forces[5] = (0.0, 400.0, 0.0)
    assert "a force of 400 eV/Å on an atom of C" in odd(KNOWN, [new])[new.frame.id]


def test_each_element_has_forces_of_its_own():
    rng = np.random.default_rng(2)

    def water(step, hydrogen):
        made = labeled(step, rng, "OH2")
        made.labels.forces[:] = rng.normal(0, 1.0, (3, 3))
        made.labels.forces[0] = (50.0, 0.0, 0.0)
        made.labels.forces[1] = (hydrogen, 0.0, 0.0)
        return made

    known = [water(i, 4.0) for i in range(30)]
    assert odd(known, [water(900, 6.0)]) == {}
    assert "on an atom of H" in next(iter(odd(known, [water(900, 60.0)]).values()))


def test_energies_are_those_of_a_composition():
    rng = np.random.default_rng(3)
    symbols = ["C4O4", "C6O2", "C2O6", "C7OH", "C5O2H"]
    known = [labeled(i, rng, symbols[i % 5]) for i in range(40)]
    assert one(known, symbols="C3O4H") is None
    reason = one(known, symbols="C3O4H", energy=6.0)
    assert "where its composition has -6.2" in reason
    assert one(known, symbols="H8", energy=40.0) is None, "far from all that is known"


def test_compositions_that_never_differ_say_nothing_of_others():
    rng = np.random.default_rng(3)
    known = [labeled(i, rng, "OH2" * (1 + i % 3)) for i in range(30)]
    assert one(known, symbols="OH2", energy=6.0)
    assert one(known, symbols="OH", energy=50.0) is None


def test_pressures_are_those_of_a_density():
    rng = np.random.default_rng(3)
    known = [labeled(i, rng, density=1.0 + 0.05 * (i % 20)) for i in range(60)]
    assert one(known, density=1.93) is None
    assert one(known, density=1.93, pressure=-120.0) is not None, "160 GPa are the limit"
    assert one(known, density=1.05, pressure=-120.0) is None


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_labels_that_are_wrong_already_do_not_hide_others(share):
    bad = round(30 * share / (1 - share))
    wrong = many(bad, first=500, energy=40.0, force=90.0, pressure=900.0)
    found = odd([*KNOWN, *wrong], [*KNOWN, *wrong])
    assert set(found) == {f.frame.id for f in wrong}
    assert list(found) == [f.frame.id for f in wrong]


def test_those_that_are_set_aside_do_not_count():
    wrong = many(200, first=500, energy=40.0, set_aside="rejected by the user")
    assert one([*KNOWN, *wrong], energy=40.0)
    assert one([*KNOWN, *wrong]) is None


def test_few_frames_judge_nothing():
    assert one(KNOWN[:19], energy=400.0, force=900.0, pressure=900.0) is None
    assert one(KNOWN[:20], energy=400.0)
    few = [*KNOWN[:15], *many(15, first=300, labeler="cp2k")]
    assert "force" in one(few, energy=400.0, force=900.0), "forces of all labelers are one kind"
    assert one(few, energy=400.0) is None


def test_the_order_does_not_matter_to_the_last_digit():
    rng = np.random.default_rng(6)
    known = [labeled(i, rng, ["C4O4", "C6O2"][i % 2], density=1 + 0.01 * i) for i in range(50)]
    new = many(20, seed=7, first=900, energy=4.9, force=30.0, symbols="C5O3")
    found = odd(known, new, 9.0)
    assert found
    mixed = [known[i] for i in rng.permutation(50)]
    assert odd(mixed, new[::-1], 9.0) == found


def test_labels_without_energy_stress_or_cell_are_judged_by_what_they_have():
    def without(labeled, **less):
        return LabeledFrame(labeled.frame, Labels(**less), labeled.labeler, 1)

    bare = [without(f, forces=f.labels.forces) for f in KNOWN]
    assert odd(bare, bare) == {}
    (new,) = many(1, first=900, energy=300.0, force=300.0)
    assert "a force of" in odd(bare, [new])[new.frame.id]
    energies = [without(f, energy=f.labels.energy) for f in KNOWN]
    assert "an energy of" in odd(energies, [new])[new.frame.id]
    assert odd([], [new], at_least=3) == {}
