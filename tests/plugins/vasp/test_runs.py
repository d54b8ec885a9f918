"""Whole calculations with the stand-in: numbers, failures, rungs."""

import gzip
import re
from pathlib import Path

import ase.io
import attrs
import numpy as np
import pytest
from ase.units import kB
from fakes.reference import reference

from ald_core.ledger import RETRIES
from ald_core.testing import compressed_cell, frame_of, label, mixed_cell, run, water
from ald_core.types import Failure, Labels
from ald_vasp.incar import read_incar
from ald_vasp.outcar import parse_outcar

DATA = Path(__file__).parents[2] / "data" / "qm" / "vasp"
KELVIN = 0.2585199101 / kB


def is_the_same(found, atoms):
    """Whether labels are those of the same method without VASP, to the digits that VASP prints."""
    assert isinstance(found, Labels), found
    energy, forces, stress = reference(atoms, KELVIN)
    assert found.energy == pytest.approx(energy, abs=2e-8)
    assert found.forces == pytest.approx(forces, rel=1e-6, abs=2e-6)
    if stress is None:
        assert found.stress is None
    else:
        assert found.stress == pytest.approx(stress, abs=1e-8)


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("make", [compressed_cell, mixed_cell])
def test_labels_are_those_of_the_same_method_without_vasp(labeler, tmp_path, make):
    atoms = make()
    is_the_same(label(labeler, frame_of(atoms), tmp_path / "task"), atoms)


@pytest.mark.parametrize("symbols", ["SSiSSi", "ClCCCl"])
def test_elements_with_a_letter_in_common(labeler, fill, tmp_path, symbols):
    fill(labeler.inputs, ["C", "Cl", "S", "Si"])
    atoms = mixed_cell(symbols)
    is_the_same(label(labeler, frame_of(atoms), tmp_path / "task"), atoms)


def test_a_left_handed_cell(labeler, tmp_path):
    atoms = compressed_cell()
    atoms.set_cell(atoms.cell[:][[1, 0, 2]])
    is_the_same(label(labeler, frame_of(atoms), tmp_path / "task"), atoms)


def test_a_molecule(labeler, fill, tmp_path):
    fill(labeler.inputs, ["H"])
    atoms = water()[[1, 0, 2]]
    found = label(attrs.evolve(labeler, vacuum=20.0), frame_of(atoms, "gas"), tmp_path / "task")
    energy, forces, _ = reference(atoms, KELVIN)
    assert isinstance(found, Labels), found
    assert found.stress is None
    assert found.energy == pytest.approx(energy, abs=5e-3)
    assert found.forces == pytest.approx(forces, abs=5e-3)


def test_the_temperature_of_the_electrons_is_that_of_the_frame(labeler, tmp_path):
    """The same method at another temperature is far away."""
    labeler = attrs.evolve(labeler, smearing="set")
    path = labeler.inputs / "3000.INCAR"
    text = path.read_text()
    (labeler.inputs / "INCAR").write_text(text.replace("SIGMA", "#SIGMA"))
    atoms = compressed_cell()
    found = label(labeler, frame_of(atoms, temperature=9000.0), tmp_path / "hot")
    assert isinstance(found, Labels), found
    assert found.energy == pytest.approx(reference(atoms, 9000.0)[0], abs=1e-6)
    assert abs(found.energy - reference(atoms, 3000.0)[0]) > 0.1


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("stubborn", "numerical", "20 electronic steps of NELM = 20"),
        ("six", "numerical", "20 electronic steps of NELM = 20"),
        ("stopped", "invalid", "STOPCAR"),
        ("truncated", "invalid", "did not come to its end"),
        ("killed", "invalid", "did not come to its end"),
        ("overflow", "invalid", "stars for the forces"),
        ("energy", "invalid", "stars for the energy"),
        ("stress", "invalid", "stars for the stress"),
        ("order", "invalid", "it has O as atom 1, not Al"),
        ("stale", "invalid", "atom 1 (Al) is 0.01 Å from where it was put"),
        ("cold", "invalid", "SIGMA = 0.01, which is not 3000 K"),
        ("bands", "input", "larger NBANDS"),
        ("sick", "invalid", "VASP refused to go on: LAPACK: Routine ZPOTRF failed! 3"),
        ("zheev", "numerical", "Call to ZHEGV failed"),
        ("relaxing", "input", "2 ionic steps"),
        ("silent", "invalid", "there is no OUTCAR"),
    ],
)
def test_failures(labeler, tmp_path, monkeypatch, mode, kind, words):
    monkeypatch.setenv("FAKE_VASP", mode)
    found = label(labeler, frame_of(mixed_cell()), tmp_path / "task")
    assert isinstance(found, Failure)
    assert found.kind == kind
    assert words in found.reason


def test_another_algorithm_comes_to_the_same_answer(labeler, tmp_path, monkeypatch):
    """With retries as many as `ald run` makes."""
    monkeypatch.setenv("FAKE_VASP", "unconverged")
    atoms = mixed_cell()
    tried = []
    for rung in range(1 + RETRIES["numerical"]):
        found = label(labeler, frame_of(atoms), tmp_path / str(rung), rung)
        tried.append(read_incar(tmp_path / str(rung) / "INCAR").get("ALGO"))
        if isinstance(found, Labels):
            break
        assert found.kind == "numerical"
    assert [t and t.word for t in tried] == [None, "Normal", "All"]
    is_the_same(found, atoms)


def test_a_potential_that_is_missing_in_the_task(labeler, tmp_path, monkeypatch):
    """VASP's own words, if the inputs were damaged on their way."""
    frame = frame_of(mixed_cell())
    (tmp_path / "task").mkdir()
    spec = labeler.prepare(frame, tmp_path / "task", 0)
    potcar = tmp_path / "task" / "POTCAR"
    potcar.write_text(potcar.read_text().partition("End of Dataset")[0])
    assert run(spec, tmp_path / "task") == 1
    found = labeler.collect(frame, tmp_path / "task")
    assert found.kind == "input"
    assert "number of potentials on File POTCAR" in found.reason


# ---------------------------------------------------------------- the stand-in


def shape(line):
    """Columns in which numbers end, and words between them."""
    return re.sub(r"[-\d. ]*\d", lambda m: f"{len(m[0])}", line.rstrip())


def test_the_stand_in_writes_as_vasp_does(labeler, tmp_path):
    atoms = mixed_cell()
    label(labeler, frame_of(atoms), tmp_path / "task")
    written = (tmp_path / "task" / "OUTCAR").read_text()
    genuine = gzip.decompress((DATA / "aiida-converged.gz").read_bytes()).decode()
    for start in (
        "   ions per type",
        "   NELM   =",
        "   ISMEAR =",
        "   number of dos",
        "-----------------------------------",
        "  free  energy   TOTEN",
        "  in kB",
        " POSITION",
        "  energy-cutoff  :",
        "      direct lattice vectors",
        " General timing",
    ):
        ours = [line for line in written.splitlines() if line.startswith(start)]
        theirs = [line for line in genuine.splitlines() if line.startswith(start)]
        if start == "   ions per type":
            assert ours == ["   ions per type =               2   2"]
            assert theirs == ["   ions per type =               2"]
            continue
        assert {shape(line) for line in ours} <= {shape(line) for line in theirs}, start
    for head, n in (("      direct lattice vectors", 1), (" POSITION   ", 2)):
        ours = written.splitlines()
        theirs = genuine.splitlines()
        mine, other = (
            next(lines[i + n] for i, line in enumerate(lines) if line.startswith(head))
            for lines in (ours, theirs)
        )
        assert shape(mine) == shape(other)
    found = ase.io.read(tmp_path / "task" / "OUTCAR")
    parsed = parse_outcar(written)
    assert parsed.symbols == found.get_chemical_symbols() == ["Al", "Al", "O", "O"]
    assert np.array_equal(parsed.forces, found.get_forces())
