"""The fitter `chimes` as a study uses it: jobs in processes of their own give back a model that is known."""

import json
import os
import subprocess

import attrs
import numpy as np
import pytest
from ase import Atoms

from ald_chimes_lsq.calculator import ChimesCalculator
from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.fit_files import FIT_FILES
from ald_chimes_lsq.fitter import SETUP, ChimesFitter
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import collapse, expand
from ald_core.errors import InputError
from ald_core.frames import FrameFile, read_frames
from ald_core.types import (
    Failure,
    Frame,
    FrameWeights,
    LabeledFrame,
    Labels,
    Model,
    Origin,
    TrainingSet,
    Weights,
)

ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
TEXT = """\
# TRJFILE #
    not_used_by_a_study.xyzf
# NFRAMES #
    1
# FITSTRS #
    false
# FITENER #
    false
# PAIRTYP #
    CHEBYSHEV 3 2
# CHBTYPE #
    MORSE
# NATMTYP #
    2
# TYPEIDX #  # ATM_TYP #  # ATMCHRG #  # ATMMASS #
1            O            0.0          15.999
2            C            0.0          12.011
# PAIRIDX #  # ATM_TY1 #  # ATM_TY1 #  # S_MINIM #  # S_MAXIM #  # S_DELTA #  # MORSE_LAMBDA # # USEOVRP #
1            O            O            1.0          3.6          0.01         1.4  false
2            C            C            1.0          3.4          0.01         1.3  false
3            O            C            0.9          3.5          0.01         1.2  false
# FCUTTYP #
    CUBIC
# ENDFILE #
"""
CELL = np.array([[4.3, 0.3, -0.2], [1.1, 4.0, 0.4], [-0.7, 0.8, 4.5]])


@pytest.fixture
def setup_file(tmp_path):
    (path := tmp_path / "fm_setup.in").write_text(TEXT)
    return path


@pytest.fixture
def truth(setup_file):
    """A random model with offsets."""
    basis = read_setup(setup_file).basis
    x = np.random.default_rng(8).normal(size=basis.n_short_range + 2)
    return ChimesModel(basis, expand(basis, 10.0 * x))


@pytest.fixture
def run_jobs(tmp_path):
    """What a study does with tasks, without a scheduler."""

    def run(tasks):
        results = []
        for number, task in enumerate(tasks):
            folder = tmp_path / f"{task.name}-{number}"
            folder.mkdir()
            spec = task.prepare(folder, 0)
            subprocess.run(spec.command, cwd=folder, env=ONE_THREAD, check=True)
            result = task.collect(folder)
            assert not isinstance(result, Failure), result
            results.append(result)
        return results

    return run


def no_jobs(tasks):
    raise AssertionError("a job was started")


def bulk(seed, elements="OOCCOCOC"):
    """Eight atoms about the points of a triclinic lattice."""
    rng = np.random.default_rng(seed)
    atoms = Atoms(elements, cell=CELL * rng.uniform(0.95, 1.1), pbc=True)
    atoms.set_scaled_positions([(i // 4 / 2, i // 2 % 2 / 2, i % 2 / 2) for i in range(8)])
    atoms.positions += rng.normal(scale=0.12, size=(8, 3))
    return Frame(atoms, Origin(0, "bulk", seed + 1))


def molecule(seed):
    atoms = Atoms("COC", [[0, 0, 0], [1.3, 0.1, 0], [1.9, 1.5, 0.1 * seed]])
    return Frame(atoms, Origin(0, "gas", seed + 1), kind="gas")


def label(model, frame):
    atoms = frame.atoms.copy()
    atoms.calc = ChimesCalculator(model, penalty=False)
    stress = atoms.get_stress() if atoms.pbc.all() else None
    return Labels(atoms.get_potential_energy(), atoms.get_forces(), stress)


def training_set(model, frames):
    return TrainingSet().grow(LabeledFrame(f, label(model, f), "test", 1) for f in frames)


def equal_weights(training, **others):
    """1 for everything, or the number given for a frame."""
    return Weights(
        {
            f.frame.id: FrameWeights(np.full((len(f.frame.atoms), 3), w), w, np.full(6, w))
            for f in training.fitted
            for w in [others.get(f.frame.origin.source, 1.0)]
        }
    )


def fit(tmp_path, run_jobs, setup_file, training, weights=None, **options):
    (folder := tmp_path / "GEN_FF").mkdir()
    fitter = ChimesFitter(setup=setup_file, **options)
    return fitter.fit(training, weights or equal_weights(training), folder, run_jobs)


def parameters(model):
    found = ChimesModel.read(model.path)
    return collapse(found.basis, found.coefficients)


FRAMES = [bulk(i, ("OOCCOCOC", "OOOCOCOC", "CCCCOCOC")[i % 3]) for i in range(6)]


@pytest.mark.parametrize(
    ("stress", "energy", "rows"),
    [("full", True, 9 + 3), ("diagonal", True, 3 + 3), ("diagonal", False, 3), ("none", True, 3)],
)
def test_a_fit_finds_the_model_that_made_the_labels(
    tmp_path, run_jobs, setup_file, truth, stress, energy, rows
):
    training = training_set(truth, FRAMES)
    options = {"stress": stress, "energy": energy, "algorithm": "svd", "alpha": 1e-13}
    model = fit(tmp_path, run_jobs, setup_file, training, **options)
    want = collapse(truth.basis, truth.coefficients)[: None if energy else -2]
    np.testing.assert_allclose(parameters(model), want, rtol=0, atol=1e-6)
    assert model.report["equations"] == len(FRAMES) * (3 * 8 + rows)
    assert model.report["variables"] == len(want)
    assert model.report["force_rmse_kcal_per_mol_per_angstrom"] < 1e-8
    assert {*FIT_FILES, SETUP} == {path.name for path in (tmp_path / "GEN_FF").iterdir()}


def test_stress_rows_have_the_right_sign_and_order(tmp_path, run_jobs, setup_file, truth):
    """Stress alone, forces without weight; a component in the wrong place would spoil the model."""
    training = training_set(truth, [bulk(i) for i in range(12)])
    weights = Weights(
        {f.frame.id: FrameWeights(np.zeros((8, 3)), 0.0, np.ones(6)) for f in training.fitted}
    )
    options = {"stress": "full", "energy": False, "algorithm": "svd", "alpha": 1e-13}
    model = fit(tmp_path, run_jobs, setup_file, training, weights, **options)
    want = collapse(truth.basis, truth.coefficients)[:-2]
    np.testing.assert_allclose(parameters(model), want, rtol=0, atol=1e-5)


def test_lasso_and_what_the_model_predicts(tmp_path, run_jobs, setup_file, truth):
    training = training_set(truth, FRAMES)
    options = {"stress": "full", "energy": True, "algorithm": "lasso", "alpha": 1e-12}
    model = fit(tmp_path, run_jobs, setup_file, training, **options)
    unseen = [bulk(77), molecule(7)]
    fitter = ChimesFitter(setup=setup_file)
    for frame, said in zip(unseen, fitter.predict(model, unseen, run_jobs), strict=True):
        exact, true = label(ChimesModel.read(model.path), frame), label(truth, frame)
        assert said.energy == pytest.approx(exact.energy, rel=1e-13)
        assert said.energy == pytest.approx(true.energy, abs=1e-6)
        np.testing.assert_allclose(said.forces, exact.forces, rtol=0, atol=1e-12)
        np.testing.assert_allclose(said.forces, true.forces, rtol=0, atol=1e-6)
        if frame.kind == "bulk":
            np.testing.assert_allclose(said.stress, exact.stress, rtol=0, atol=1e-14)
            np.testing.assert_allclose(said.stress, true.stress, rtol=0, atol=1e-6)


def test_a_prediction_has_no_penalty(tmp_path, run_jobs, setup_file, truth):
    close = Frame(Atoms("OC", [[0, 0, 0], [0.8, 0, 0]], cell=CELL, pbc=True), Origin(0, "close", 1))
    truth.write(tmp_path / "params.txt")
    model = Model("chimes", tmp_path / "params.txt")
    [said] = ChimesFitter(setup=setup_file).predict(model, [close], run_jobs)
    assert said.energy == pytest.approx(label(truth, close).energy, rel=1e-10)


def test_gas_frames_have_no_stress_and_frames_without_weight_do_not_count(
    tmp_path, run_jobs, setup_file, truth
):
    rng = np.random.default_rng(3)
    boxed = molecule(1)
    boxed.atoms.set_cell([30, 30, 30])
    boxed.atoms.pbc = True
    gas_labels = attrs.evolve(label(truth, boxed), stress=rng.normal(size=6))
    wrong = Frame(bulk(50).atoms, Origin(0, "wrong", 1))
    wrong_labels = Labels(-5.0, rng.normal(size=(8, 3)), rng.normal(size=6))
    training = training_set(truth, [*FRAMES, molecule(0)]).grow(
        [
            LabeledFrame(boxed, gas_labels, "test", 1),
            LabeledFrame(wrong, wrong_labels, "test", 1),
        ]
    )
    weights = equal_weights(training, wrong=0.0)
    options = {"stress": "full", "energy": True, "algorithm": "svd", "alpha": 1e-13}
    model = fit(tmp_path, run_jobs, setup_file, training, weights, **options)
    want = collapse(truth.basis, truth.coefficients)
    np.testing.assert_allclose(parameters(model), want, rtol=0, atol=1e-6)
    assert model.report["equations"] == 7 * (3 * 8 + 9 + 3) + 2 * (3 * 3 + 3)


def test_the_report_is_json_even_if_the_condition_is_infinite(
    tmp_path, run_jobs, setup_file, truth
):
    """Without O nothing is known of most columns."""
    training = training_set(truth, [bulk(1, "CCCCCCCC")])
    model = fit(tmp_path, run_jobs, setup_file, training, algorithm="svd")
    assert model.report["condition"] is None
    assert "Infinity" not in (tmp_path / "GEN_FF" / "report.json").read_text()
    json.dumps(dict(model.report), allow_nan=False)


# ---------------------------------------------------------------- what is refused before any job


@pytest.mark.parametrize(
    ("missing", "cycle", "words"),
    [
        ("forces", 0, "000-bulk-000000001 has no forces, .* set relabel = true for its file"),
        ("energy", 0, "has no energy, .* or set fitter.energy = false"),
        ("stress", 0, r"has no stress, .* six components .* or set fitter.stress = \"none\""),
        ("stress", 2, "002-bulk-000000001 has no stress, .* use a labeler that gives it"),
    ],
)
def test_a_frame_without_a_label_that_is_to_be_fitted(
    tmp_path, setup_file, truth, missing, cycle, words
):
    frame = attrs.evolve(bulk(0), origin=Origin(cycle, "bulk", 1))
    labels = attrs.evolve(label(truth, frame), **{missing: None})
    training = TrainingSet((LabeledFrame(frame, labels, "test", 1),))
    with pytest.raises(InputError, match=words):
        fit(tmp_path, no_jobs, setup_file, training, stress="diagonal", energy=True)


def test_a_file_that_knows_only_the_diagonal_of_its_stress(tmp_path, setup_file):
    path = tmp_path / "diagonal.xyzf"
    path.write_text("2\n9 9 9 1.0 2.0 3.0 -50.0\nC 0 0 0 0.01 0 0\nO 1.5 0 0 -0.01 0 0\n")
    [(frame, labels)] = read_frames([FrameFile(file=path)], ["C", "O"])
    assert (labels.stress, labels.energy) == (None, pytest.approx(-50.0 * KCAL_PER_MOL))
    training = TrainingSet((LabeledFrame(frame, labels, "file", 1),))
    with pytest.raises(InputError, match=r"all six components .* diagonal alone is not used"):
        fit(tmp_path, no_jobs, setup_file, training, stress="diagonal")


@pytest.mark.parametrize(
    ("old", "new", "option", "value"),
    [
        ("# FITSTRS #\n    false", "# FITSTRS #\n    FIRST 5", "stress", "none"),
        ("# FITSTRS #\n    false", "# FITSTRS #\n    FIRSTALL 5", "stress", "full"),
        ("# FITENER #\n    false", "# FITENER #\n    FIRST 5", "energy", True),
    ],
)
def test_the_first_frames_mean_nothing_in_a_study(
    tmp_path, setup_file, truth, old, new, option, value
):
    assert old in TEXT
    setup_file.write_text(TEXT.replace(old, new))
    [problem] = ChimesFitter(setup=setup_file).check(["C", "O"])
    assert problem.startswith(f"{setup_file}: {new.split()[1]} names the first 5 frames")
    assert f"set fitter.{option} in the run file" in problem
    with pytest.raises(InputError, match="names the first 5 frames"):
        fit(tmp_path, no_jobs, setup_file, training_set(truth, FRAMES))
    assert ChimesFitter(setup=setup_file, **{option: value}).check(["C", "O"]) == []


def test_elements_that_the_setup_does_not_know(setup_file):
    [problem] = ChimesFitter(setup=setup_file).check(["C", "H", "O"])
    assert "has no atom type H" in problem
