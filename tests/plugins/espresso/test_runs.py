"""pw.x itself: failures and what comes after them, molecules, k-points."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ald_core.testing import frame_of, label, run
from ald_core.types import Failure, Labels
from ald_espresso.labeler import EspressoLabeler

INPUTS = Path(__file__).parents[2] / "data" / "qm" / "espresso" / "inputs"


def diamond():
    """Eight atoms off their places."""
    atoms = bulk("C", "diamond", cubic=True)
    atoms.rattle(0.05, seed=2)
    return frame_of(atoms)


def variant(tmp_path, *changes, source="pbe"):
    """Inputs with changes."""
    shutil.copytree(INPUTS / source, tmp_path / "inputs", copy_function=shutil.copyfile)
    path = tmp_path / "inputs" / "pw.in"
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text)
    return EspressoLabeler(inputs=tmp_path / "inputs")


def test_no_convergence_is_a_numerical_failure_and_the_next_rung_mends_it(tmp_path):
    labeler = variant(tmp_path, ("conv_thr =", "electron_maxstep = 3, conv_thr ="))
    (tmp_path / "0").mkdir()
    run(labeler.prepare(diamond(), tmp_path / "0", 0), tmp_path / "0")
    found = labeler.collect(diamond(), tmp_path / "0")
    assert found == Failure("pw.x: SCF convergence NOT achieved", "numerical")
    assert "JOB DONE" in (tmp_path / "0" / "stdout").read_text(), "it says so all the same"
    right = label(EspressoLabeler(inputs=INPUTS / "pbe"), diamond(), tmp_path / "right")
    for rung in (1, 2):
        mended = label(labeler, diamond(), tmp_path / str(rung), rung)
        assert isinstance(mended, Labels), mended
        assert mended.energy == pytest.approx(right.energy, rel=1e-8)
        assert mended.forces == pytest.approx(
            right.forces, abs=5e-3
        )  # second order in the density for the energy


def test_mistakes_of_the_user_are_not_tried_again(tmp_path):
    found = label(variant(tmp_path, ("nbnd = 20", "nbdn = 20")), diamond(), tmp_path / "job")
    assert isinstance(found, Failure)
    assert "read_namelists" in found.reason
    assert found.kind == "input"


def test_too_few_bands_for_the_electronic_temperature(tmp_path):
    inputs = variant(tmp_path, ("nbnd = 20", "nbnd = 17")).inputs
    labeler = EspressoLabeler(inputs=inputs, temperature=20000.0)
    found = label(labeler, diamond(), tmp_path / "job")
    assert isinstance(found, Failure)
    assert found.reason.startswith("pw.x: the highest band has an occupation of 0.")
    assert found.kind == "input"


def test_energies_of_all_iterations_are_not_the_answer(tmp_path):
    high = variant(tmp_path, ("calculation = 'vc-relax'", "verbosity = 'high'"))
    found = label(high, diamond(), tmp_path / "high")
    right = label(EspressoLabeler(inputs=INPUTS / "pbe"), diamond(), tmp_path / "right")
    assert found.energy == right.energy
    assert np.array_equal(found.stress, right.stress)


def test_molecules_get_energy_and_forces(tmp_path):
    atoms = Atoms("OO", [[0, 0, 0], [0, 0, 1.1]])
    labeler = variant(tmp_path, source="lda")
    found = label(
        EspressoLabeler(inputs=labeler.inputs, vacuum=4.0), frame_of(atoms), tmp_path / "job"
    )
    assert isinstance(found, Labels), found
    assert found.stress is None
    assert found.forces[0] == pytest.approx(-found.forces[1], abs=1e-3)


def test_copies_that_do_not_know_of_each_other(tmp_path):
    """What a launcher of another MPI does: several runs write one output."""
    labeler = EspressoLabeler(inputs=INPUTS / "pbe")
    found = label(labeler, diamond(), tmp_path / "job")
    assert isinstance(found, Labels)
    path = tmp_path / "job" / "stdout"
    path.write_text(2 * path.read_text())
    found = labeler.collect(diamond(), tmp_path / "job")
    assert found.reason.startswith("pw.x's output is of several runs; does the launcher fit")
