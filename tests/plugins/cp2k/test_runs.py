"""CP2K itself: DFT, the layout of the existing driver, failures and what comes after them."""

import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ald_core.testing import compressed_cell, frame_of, label, run
from ald_core.types import Failure, Labels
from ald_cp2k.labeler import Cp2kLabeler

DATA = Path(__file__).parents[2] / "data"
INPUTS = DATA / "qm" / "cp2k" / "inputs"
SILICA = DATA / "legacy" / "studies" / "silica_cp2k" / "ALL_BASE_FILES" / "QM_BASEFILES"


def hydrogen(temperature=3000.0):
    """Two molecules in a sheared cell."""
    cell = [[3.0, 0.0, 0.0], [0.2, 2.9, 0.0], [0.1, -0.2, 3.1]]
    atoms = Atoms("H4", cell=cell, pbc=True)
    atoms.set_scaled_positions(
        np.array([[0, 0, 0], [0.29, 0.05, 0.02], [0.5, 0.5, 0.5], [0.46, 0.52, 0.77]])
    )
    return frame_of(atoms, temperature=temperature)


def variant(tmp_path, source, name, *changes):
    """A copy of inputs with changes."""
    shutil.copytree(source, tmp_path / "inputs", copy_function=shutil.copyfile)
    path = tmp_path / "inputs" / name
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text)
    return tmp_path / "inputs"


def test_forces_and_stress_of_dft_are_slopes_of_its_free_energy(tmp_path):
    labeler = Cp2kLabeler(inputs=INPUTS / "pbe")
    frame = hydrogen(temperature=20000.0)
    found = label(labeler, frame, tmp_path / "0")
    assert isinstance(found, Labels), found
    step = 0.003
    move = np.zeros((4, 3))
    move[3, 2] = 1.0
    strain = np.diag([0.0, 1.0, 0.0])
    energies = []
    for sign in (1, -1):
        atoms = frame.atoms.copy()
        atoms.positions += sign * step * move
        atoms.set_cell(atoms.cell[:] @ (np.eye(3) + sign * step * strain), scale_atoms=True)
        energies.append(
            label(labeler, attrs.evolve(frame, atoms=atoms), tmp_path / f"{sign}").energy
        )
    by_force = -found.forces[3, 2]
    by_stress = found.stress[1] * frame.atoms.get_volume()
    assert abs(by_force) > 0.5
    assert abs(by_stress) > 0.5
    slope = (energies[0] - energies[1]) / (2 * step)
    larger = max(abs(by_force), abs(by_stress))
    assert by_force + by_stress == pytest.approx(slope, abs=1e-3 * larger)


def test_the_layout_of_the_existing_driver_runs(tmp_path):
    folder = variant(
        tmp_path,
        SILICA,
        "cp2k.qm_psuedo-block.inp",
        ("CUTOFF 400", "CUTOFF 80"),
        ("EPS_DEFAULT 1.0E-12", "EPS_DEFAULT 1.0E-8"),
        ("&VDW_POTENTIAL", "&VDW_POTENTIAL\n @IF 0"),
        ("&END VDW_POTENTIAL", "@ENDIF\n &END VDW_POTENTIAL"),
    )
    path = folder / "300.cp2k.inp"
    users = "/nfs/turbo/coe-rklinds/software/cp2k/data/"
    path.write_text(path.read_text().replace(users, "/usr/share/cp2k"))
    block = folder / "H.cp2k.qm_basis-block.inp"
    block.write_text(block.read_text().replace("DZVP", "SZV"))
    found = label(Cp2kLabeler(inputs=folder), hydrogen(300.0), tmp_path / "job")
    assert isinstance(found, Labels), found
    assert found.energy == pytest.approx(-61.6, abs=1.0)
    assert found.forces.shape == (4, 3)


def test_no_convergence_is_a_numerical_failure_and_the_next_rung_mends_it(tmp_path):
    folder = variant(tmp_path, INPUTS / "xtb", "cp2k.inp", ("MAX_SCF 100", "MAX_SCF 3"))
    labeler = Cp2kLabeler(inputs=folder)
    frame = frame_of(compressed_cell())
    (tmp_path / "0").mkdir()
    assert run(labeler.prepare(frame, tmp_path / "0", 0), tmp_path / "0") == 0, "CP2K says success"
    found = labeler.collect(frame, tmp_path / "0")
    assert found == Failure("CP2K: SCF run NOT converged", "numerical")
    right = label(Cp2kLabeler(inputs=INPUTS / "xtb"), frame, tmp_path / "right")
    for rung in (1, 2):
        mended = label(labeler, frame, tmp_path / str(rung), rung)
        assert isinstance(mended, Labels), mended
        assert mended.energy == pytest.approx(right.energy, rel=1e-9)
        assert mended.forces == pytest.approx(right.forces, abs=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("MAX_SCF 50", "MAX_SFC 50", "found an unknown keyword MAX_SFC in section SCF"),
        ("@SET basis SZV-GTH", "@SET basis SZV-NO", "The requested basis set <SZV-NO>"),
    ],
)
def test_mistakes_of_the_user_are_not_tried_again(tmp_path, old, new, words):
    name = "kinds.inc" if old.startswith("@SET") else "cp2k.inp"
    folder = variant(tmp_path, INPUTS / "pbe", name, (old, new))
    found = label(Cp2kLabeler(inputs=folder), hydrogen(), tmp_path / "job")
    assert isinstance(found, Failure)
    assert words in found.reason
    assert found.kind == "input"


def test_molecules_get_energy_and_forces(tmp_path):
    labeler = Cp2kLabeler(inputs=INPUTS / "xtb", vacuum=6.0)
    frame = frame_of(molecule("CH4"), kind="gas")
    found = label(labeler, frame, tmp_path / "job")
    assert isinstance(found, Labels), found
    assert found.stress is None
    assert np.abs(found.forces.sum(axis=0)).max() < 1e-3


def test_a_numerical_stress_is_that_of_the_frame(tmp_path):
    folder = variant(
        tmp_path,
        INPUTS / "xtb",
        "cp2k.inp",
        ("METHOD Quickstep", "METHOD Quickstep\n  STRESS_TENSOR NUMERICAL"),
    )
    frame = hydrogen()
    found = label(Cp2kLabeler(inputs=folder), frame, tmp_path / "numerical")
    right = label(Cp2kLabeler(inputs=INPUTS / "xtb"), frame, tmp_path / "analytical")
    assert found.energy == pytest.approx(right.energy, rel=1e-10)
    assert found.stress == pytest.approx(right.stress, rel=1e-2, abs=2e-3)
    assert found.forces == pytest.approx(right.forces, abs=1e-5)
