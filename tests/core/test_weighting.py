"""Weights by formula: every style against numbers computed by hand, every spelling, every refusal."""

import math

import numpy as np
import pytest
from ase import Atoms

from ald_core.errors import InputError
from ald_core.types import Frame, LabeledFrame, Labels, Origin, TrainingSet
from ald_core.weighting import FormulaWeighting, formula

KCAL = 4184 / 96485.33289
"""eV per kcal/mol: thermochemical calorie and Faraday constant"""


def weights(one, **options):
    """Weights of one labelled frame."""
    training = TrainingSet().grow([one])
    return FormulaWeighting(**options).weights(training, 9).frames[one.frame.id]


def labeled(energy=0.0, forces=None, stress=None, n=2, first_fit=1, kind="bulk"):
    atoms = Atoms("Ar" * n, np.arange(3 * n).reshape(n, 3))
    forces = np.zeros((n, 3)) if forces is None else np.array(forces, dtype=float)
    stress = np.zeros(6) if stress is None else np.array(stress, dtype=float)
    labels = Labels(energy, forces, stress)
    return LabeledFrame(Frame(atoms, Origin(0, "a", 1), kind=kind), labels, "given", first_fit)


def spell(style, *numbers):
    return {"styles": [style], "parameters": [list(numbers)]}


# X is given in kcal/mol/Å (3.0, −2.0); energy −50 kcal/mol of 2 atoms
X = [[3.0, -2.0, 0.0], [0.0, 0.0, 0.0]]


def energy_weight(text, x, n=2, k=1):
    return weights(labeled(energy=x * KCAL, n=n, first_fit=k), energy=text).energy


def force_weights(text, k=1):
    return weights(labeled(forces=np.array(X) * KCAL, first_fit=k), force=text).forces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (spell("A", 7.5), (7.5, 7.5)),
        (spell("C", 2.0, 0.5, 4.0), (2 * math.exp(0.5 * 3 / 4), 2 * math.exp(0.5 * 2 / 4))),
        (spell("D", 2.0, 0.5, 1.0, 4.0), (2 * math.exp(0.25), 2 * math.exp(-0.375))),
        (spell("D", 2.0, -1.0, 0.0, 2.0), (2 * math.exp(-1.5), 2 * math.exp(1.0))),
        (spell("E", -0.5), (2**-0.5, 2**-0.5)),
        (spell("F", 2.0, 0.5, 1.0, 4.0), (2 * math.exp(0.5 * 0.5 / 4), 2 * math.exp(-0.25))),
        (spell("G", 2.0, -0.5, 1.0, 4.0), (2 * math.exp(-0.25), 2 * math.exp(-0.125))),
    ],
)
def test_styles_for_forces(text, expected):
    found = force_weights(text)
    assert found[0, :2] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (spell("A", 0.1), 0.1),
        (spell("C", 1.0, -1.0, 25.0), math.exp(-2.0)),
        (spell("D", 1.0, -1.0, -45.0, 10.0), math.exp(0.5)),
        (spell("E", -1.0), 0.5),
        (spell("F", 3.0, -1.0, -20.0, 10.0), 3 * math.exp(0.5)),
        (spell("G", 1.0, -1.0, 45.0, 10.0), math.exp(-0.5)),
    ],
)
def test_styles_for_the_energy_of_the_whole_frame(text, expected):
    assert energy_weight(text, -50.0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("first_fit", "expected"), [(0, 100.0), (1, 100.0), (2, 50.0), (5, 20.0)])
def test_style_b_counts_cycles_of_first_fit_and_at_least_one(first_fit, expected):
    assert energy_weight(spell("B", 100.0, -1.0), 1.0, k=first_fit) == pytest.approx(expected)


def test_style_b_keeps_the_cycle_that_first_fitted_the_frame():
    """Whatever the cycle of the fit, here 9."""
    assert force_weights(spell("B", 100.0, -1.0), k=4)[0, 0] == pytest.approx(25.0)


def test_stress_is_positive_in_compression_and_in_kcal_per_mol():
    """A frame under pressure has a negative stress in ASE; X = +5 kcal/mol/Å³ then."""
    stress = np.array([-5.0, 5.0, 0.0, -1.0, 0.0, 0.0]) * KCAL
    found = weights(labeled(stress=stress), stress=spell("D", 1.0, 1.0, 0.0, 5.0)).stress
    assert found == pytest.approx([math.e, 1 / math.e, 1.0, math.exp(0.2), 1.0, 1.0], rel=1e-6)


def test_several_styles_are_multiplied():
    both = {"styles": ["A", "B", "E"], "parameters": [[100.0], [1.0, -1.0], [-1.0]]}
    assert energy_weight(both, 1.0, n=4, k=5) == pytest.approx(100.0 / 5 / 4)


def test_several_weightings_are_multiplied():
    training = TrainingSet().grow([labeled(stress=[1, 2, 3, 4, 5, 6])])
    one = FormulaWeighting(force=2.0, energy=3.0, stress=5.0).weights(training, 1)
    product = one * one
    (frame,) = product.frames.values()
    assert (frame.forces == 4.0).all()
    assert frame.energy == 9.0
    assert (frame.stress == 25.0).all()


def test_gas_frames_have_their_own_options_except_for_stress():
    options = {"force": 1, "energy": 2, "gas_force": 3, "gas_energy": 4, "stress": 5}
    bulk, gas = (weights(labeled(kind=kind), **options) for kind in ("bulk", "gas"))
    assert (bulk.forces[0, 0], bulk.energy, bulk.stress[0]) == (1, 2, 5)
    assert (gas.forces[0, 0], gas.energy, gas.stress[0]) == (3, 4, 5)


def test_defaults_are_those_of_the_existing_driver():
    bulk, gas = weights(labeled()), weights(labeled(kind="gas"))
    assert (bulk.forces[0, 0], bulk.energy, bulk.stress[0]) == (1.0, 0.1, 250.0)
    assert (gas.forces[0, 0], gas.energy) == (5.0, 0.1)


def test_held_out_frames_have_no_weights_and_missing_labels_do_not_matter():
    frame = Frame(Atoms("Ar"), Origin(0, "a", 2))
    partial = LabeledFrame(frame, Labels(None, None, None), "given", 1)
    judged = LabeledFrame(
        Frame(Atoms("Ar"), Origin(0, "a", 3)), Labels(1.0), "given", 1, held_out=True
    )
    found = FormulaWeighting().weights(TrainingSet().grow([partial, judged]), 1).frames
    assert list(found) == [frame.id]
    assert found[frame.id].forces.shape == (1, 3)


# ---------------------------------------------------------------- spellings

SAME = formula(spell("A", 1.0))


@pytest.mark.parametrize(
    "raw",
    [1, 1.0, "1", "1.0", ["A", [1.0]], ["A", [[1.0]]], [["A"], [1]], [["A"], [[1]]], [["A"], ["1.0"]],
     {"styles": "A", "parameters": [1.0]}, {"styles": ["A"], "parameters": [["1"]]}, SAME],
)  # fmt: skip
def test_one_weight_in_all_its_spellings(raw):
    assert formula(raw) == SAME


@pytest.mark.parametrize(
    "raw",
    [
        [["B"], [1.0, -1.0]],
        [["B"], [[1, -1]]],
        ["B", [1, -1]],
        [["B"], [["1.0", "-1.0"]]],
        {"styles": ["B"], "parameters": [1, -1]},
        {"parameters": [[1, -1]], "styles": ["B"]},
    ],
)
def test_a_style_with_parameters_in_all_its_spellings(raw):
    (term,) = formula(raw)
    assert (term.style, term.parameters) == ("B", (1.0, -1.0))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (True, "a number or"),
        (None, "a number or"),
        ("heavy", "style A needs numbers, not ['heavy']"),
        ("nan", "finite"),
        (float("inf"), "finite"),
        ([], "a number or"),
        ([1.0], "a number or"),
        ([["A"], [[1]], 3], "a number or"),
        ({"styles": ["A"]}, "a number or"),
        ({"styles": ["A"], "parameters": [[1]], "extra": 1}, "a number or"),
        ([[], []], "0 styles need"),
        ([["A", "B"], [[1.0]]], "2 styles need as many parameter lists, not 1"),
        ([["A"], [[1.0], [2.0]]], "1 styles need as many parameter lists, not 2"),
        ([["H"], [[1.0]]], "'H' is no style (known: A, B, C, D, E, F, G)"),
        ([["a"], [[1.0]]], "'a' is no style"),
        ([[1], [[1.0]]], "1 is no style"),
        ([["A"], [[1.0, 2.0]]], "style A takes 1 parameters, not 2"),
        ([["B"], [[1.0]]], "style B takes 2 parameters, not 1"),
        ([["C"], [[1.0, 1.0]]], "style C takes 3 parameters, not 2"),
        ([["D"], [[1.0, 1.0, 1.0]]], "style D takes 4 parameters, not 3"),
        ([["E"], [[]]], "style E takes 1 parameters, not 0"),
        ([["F"], [[1.0]]], "style F takes 4 parameters"),
        ([["G"], [[1.0]]], "style G takes 4 parameters"),
        ([["A"], [["x"]]], "style A needs numbers"),
        ([["A"], [[None]]], "style A needs numbers"),
        ([["A", "A"], [1.0, 2.0]], "style A needs numbers, not 1.0"),
        ([["C"], [[1, 1, 0]]], "style C divides by its last parameter, which is 0"),
        ([["D"], [[1, 1, 0, 0]]], "style D divides by its last parameter, which is 0"),
        ([["F"], [[1, 1, 0, 0.0]]], "style F divides by its last parameter, which is 0"),
        ([["G"], [[1, 1, 0, 0]]], "style G divides by its last parameter, which is 0"),
        ([[["A"]], [[1.0]]], "is no style"),
        ([3, 4], "number or"),
    ],
)  # fmt: skip
def test_what_is_no_weight_is_refused_in_words(raw, words):
    with pytest.raises(TypeError) as caught:
        formula(raw)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "x", "words"),
    [
        (spell("A", -1.0), 1.0, "gives the weight -1 for frame 000-a-000000001"),
        (spell("C", 1.0, 1000.0, 0.1), 1.0, "gives the weight inf"),
        (spell("C", 0.0, 1e6, 1e-3), 1e3, "gives the weight nan"),
    ],
)
def test_weights_that_are_no_weights_stop_the_fit(text, x, words):
    with pytest.raises(InputError) as caught:
        energy_weight(text, x)
    assert "weighting.energy " in str(caught.value)
    assert words in str(caught.value)


def test_the_starting_set_can_be_left_to_another_weighting():
    options = {"force": 3.0, "energy": 2.0, "stress": 5.0, "starting_set": False}
    own = weights(labeled(), **options)
    assert (own.forces.tolist(), own.energy, own.stress.tolist()) == (
        [[1.0] * 3] * 2,
        1.0,
        [1.0] * 6,
    )
    start = labeled()
    later = LabeledFrame(Frame(start.frame.atoms, Origin(1, "a", 1)), start.labels, "given", 2)
    own = weights(later, **options)
    assert (own.forces[0, 0], own.energy, own.stress[0]) == (3.0, 2.0, 5.0)
