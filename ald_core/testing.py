"""Tests that every labeler has to pass, for authors of plugins. They need pytest.

    class TestMyLabeler(LabelerTests):
        @pytest.fixture
        def labeler(self):
            return MyLabeler(program="my-program")

The program, or a stand-in that reads the same inputs and writes the same outputs, is run for a few small frames. What
the tests cannot know is said by class attributes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from ald_core.ledger import RETRIES
from ald_core.roles import Labeler
from ald_core.script import STDERR, STDOUT
from ald_core.types import Failure, FloatArray, Frame, JobSpec, Kind, Labels, Origin

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def compressed_cell(element: str = "C") -> Atoms:
    """Eight atoms of diamond, off their places, in a cell that is too small and sheared."""
    atoms = bulk(element, "diamond", a=3.35, cubic=True)
    atoms.set_cell(
        atoms.cell[:] @ np.array([[1.0, 0.0, 0.0], [0.03, 1.0, 0.0], [0.01, 0.02, 1.02]]),
        scale_atoms=True,
    )
    atoms.rattle(0.06, seed=7)
    return atoms


def mixed_cell(symbols: str = "OAlOAl") -> Atoms:
    """Atoms of two elements in no order, of which one has the letter of the other, or comes first in the alphabet."""
    atoms = Atoms(symbols, cell=[[4.4, 0.0, 0.0], [0.2, 4.6, 0.0], [0.1, -0.2, 4.8]], pbc=True)
    corners = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 1]]) / 2.0
    atoms.set_scaled_positions(corners[: len(atoms)])
    atoms.rattle(0.08, seed=3)
    return atoms


def frame_of(atoms: Atoms, kind: Kind = "bulk", temperature: float | None = 3000.0) -> Frame:
    """A frame that a cycle could have picked."""
    return Frame(atoms, Origin(1, "case", 10), temperature, kind)


def run(spec: JobSpec, workdir: Path, timeout: float = 600.0) -> int:
    """Run what a labeler has prepared, as a job does it; its exit status."""
    with (workdir / STDOUT).open("wb") as out, (workdir / STDERR).open("wb") as err:
        done = subprocess.run(
            spec.command,
            cwd=workdir,
            env={**os.environ, "OMP_NUM_THREADS": "1", **spec.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            timeout=timeout,
            check=False,
        )
    return done.returncode


def label(labeler: Labeler, frame: Frame, workdir: Path, rung: int = 0) -> Labels | Failure:
    """Prepare, run and collect."""
    workdir.mkdir(parents=True, exist_ok=True)
    run(labeler.prepare(frame, workdir, rung), workdir)
    return labeler.collect(frame, workdir)


class LabelerTests:
    """The tests. Subclasses give the fixture `labeler` and, where needed, other attributes."""

    elements: Sequence[str] = ("C", "O", "Al")
    """Of all frames below"""
    digits: float = 1e-6
    """Relative precision to which the program prints energies, forces and stress"""
    slope: float = 1e-3
    """Relative difference between a force, or a stress, and the central difference of energies that is due to the
    program's own convergence"""
    step: float = 0.01
    """Å, and strain, of central differences"""

    @pytest.fixture
    def labeler(self) -> Labeler:
        """The labeler to test."""
        raise NotImplementedError

    def frame(self) -> Frame:
        """A frame with forces and, if the labeler gives it, stress."""
        return frame_of(compressed_cell())

    def mixed_frame(self) -> Frame:
        """A frame with atoms of several elements in no order."""
        return frame_of(mixed_cell())

    @pytest.fixture
    def labelled(self, labeler: Labeler, tmp_path: Path) -> tuple[Frame, Path, Labels]:
        """The frame, the folder in which it was labelled, and its labels."""
        frame = self.frame()
        found = label(labeler, frame, tmp_path / "labelled")
        assert isinstance(found, Labels), found
        return frame, tmp_path / "labelled", found

    # ------------------------------------------------------------ inputs

    def test_nothing_is_missing(self, labeler: Labeler) -> None:
        """The labeler has no complaint about its own options."""
        assert labeler.check(self.elements) == []
        assert labeler.check_temperature(3000.0, self.elements) == []

    def test_the_same_frame_has_the_same_inputs(self, labeler: Labeler, tmp_path: Path) -> None:
        """Byte for byte, and not depending on where."""
        written = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            spec = labeler.prepare(self.frame(), tmp_path / name, 0)
            command = [word.replace(str(tmp_path / name), "") for word in spec.command]
            written.append((contents(tmp_path / name), command, spec.outputs))
        assert written[0] == written[1]
        assert written[0][2], "a job must leave an output"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["first", "second"]

    def test_inputs_hold_no_name_of_the_folder(self, labeler: Labeler, tmp_path: Path) -> None:
        """The folder gets another name before the job runs."""
        labeler.prepare(self.frame(), tmp_path, 0)
        for name, content in contents(tmp_path).items():
            assert str(tmp_path).encode() not in content, name

    def test_there_are_inputs_after_every_failure(self, labeler: Labeler, tmp_path: Path) -> None:
        """For as many failures to converge as there may be, and the same ones each time."""
        for rung in range(RETRIES["numerical"] + 1):
            written = []
            for name in (f"{rung}", f"{rung}-again"):
                (tmp_path / name).mkdir()
                labeler.prepare(self.frame(), tmp_path / name, rung)
                written.append(contents(tmp_path / name))
            assert written[0] == written[1], rung

    # ------------------------------------------------------------ numbers

    def test_labels_are_complete(
        self, labeler: Labeler, labelled: tuple[Frame, Path, Labels]
    ) -> None:
        """All that the labeler promises, in the right shapes, and finite."""
        frame, _, labels = labelled
        shapes = {"energy": (), "forces": (len(frame.atoms), 3), "stress": (6,)}
        for name, shape in shapes.items():
            value = getattr(labels, name)
            if name in labeler.properties:
                assert value is not None, name
                assert np.shape(value) == shape
                assert np.isfinite(value).all()
            else:
                assert value is None, name

    def test_forces_are_slopes_of_the_energy(
        self, labeler: Labeler, labelled: tuple[Frame, Path, Labels], tmp_path: Path
    ) -> None:
        """The largest component, by a central difference: sign and value."""
        frame, _, labels = labelled
        assert labels.forces is not None
        atom, axis = np.unravel_index(np.argmax(np.abs(labels.forces)), labels.forces.shape)
        energies = []
        for i, step in enumerate((self.step, -self.step)):
            atoms = frame.atoms.copy()
            atoms.positions[atom, axis] += step
            energies.append(
                self._energy(labeler, attrs.evolve(frame, atoms=atoms), tmp_path / str(i))
            )
        slope = (energies[1] - energies[0]) / (2.0 * self.step)
        assert labels.forces[atom, axis] == pytest.approx(slope, rel=self.slope)

    @pytest.mark.parametrize("component", [0, 3])
    def test_stress_is_the_slope_of_the_energy(
        self, labeler: Labeler, labelled: tuple[Frame, Path, Labels], tmp_path: Path, component: int
    ) -> None:
        """A diagonal and another component, by a central difference: sign, order and value."""
        frame, _, labels = labelled
        if "stress" not in labeler.properties:
            assert labels.stress is None
            return
        a, b = VOIGT[component]
        energies = []
        for i, step in enumerate((self.step, -self.step)):
            strain = np.eye(3)
            strain[a, b] += 0.5 * step
            strain[b, a] += 0.5 * step
            atoms = frame.atoms.copy()
            atoms.set_cell(atoms.cell[:] @ strain, scale_atoms=True)
            energies.append(
                self._energy(labeler, attrs.evolve(frame, atoms=atoms), tmp_path / str(i))
            )
        slope = (energies[0] - energies[1]) / (2.0 * self.step) / frame.atoms.get_volume()
        assert labels.stress is not None
        largest = float(np.abs(labels.stress).max())
        assert labels.stress[component] == pytest.approx(
            slope, rel=self.slope, abs=self.slope * largest
        )

    def test_atoms_in_any_order_get_their_own_forces(
        self, labeler: Labeler, tmp_path: Path
    ) -> None:
        """Another order of atoms changes nothing but the order of the forces."""
        frame = self.mixed_frame()
        order = np.random.default_rng(5).permutation(len(frame.atoms))
        other = attrs.evolve(frame, atoms=frame.atoms[order])
        found = label(labeler, frame, tmp_path / "one")
        again = label(labeler, other, tmp_path / "other")
        assert isinstance(found, Labels), found
        assert isinstance(again, Labels), again
        assert again.energy == pytest.approx(found.energy, rel=self.digits)
        assert found.forces is not None
        assert again.forces is not None
        scale = float(np.abs(found.forces).max())
        assert again.forces == pytest.approx(found.forces[order], rel=1e-3, abs=1e-3 * scale)

    # ------------------------------------------------------------ outputs that are none

    def test_collecting_changes_nothing(
        self, labeler: Labeler, labelled: tuple[Frame, Path, Labels]
    ) -> None:
        """Outputs are read as often as they are needed."""
        frame, folder, labels = labelled
        before = contents(folder)
        again = labeler.collect(frame, folder)
        assert isinstance(again, Labels)
        assert again.energy == labels.energy
        assert np.array_equal(again.forces, labels.forces)  # type: ignore[arg-type]
        assert contents(folder) == before

    def test_without_outputs_there_are_no_labels(
        self, labeler: Labeler, labelled: tuple[Frame, Path, Labels], tmp_path: Path
    ) -> None:
        """All outputs gone, all empty."""
        frame, folder, _ = labelled
        for what in ("gone", "empty"):
            other = tmp_path / what
            shutil.copytree(folder, other)
            for path in self._outputs(labeler, frame, other, tmp_path / f"inputs-{what}"):
                path.unlink() if what == "gone" else path.write_bytes(b"")
            assert isinstance(labeler.collect(frame, other), Failure), what

    def test_outputs_that_are_cut_off_give_no_labels(
        self, labeler: Labeler, labelled: tuple[Frame, Path, Labels], tmp_path: Path
    ) -> None:
        """Each output that matters is cut at many places, also near its end; only what changes no label may pass."""
        frame, folder, labels = labelled
        seen = 0
        for path in self._outputs(labeler, frame, folder, tmp_path / "inputs"):
            whole = path.read_bytes()
            try:
                for length in _lengths(len(whole)):
                    path.write_bytes(whole[:length])
                    found = labeler.collect(frame, folder)
                    seen += isinstance(found, Failure)
                    assert isinstance(found, Failure) or _equal(found, labels), (path.name, length)
            finally:
                path.write_bytes(whole)
        assert seen > 0, "no output matters"

    def test_outputs_of_another_frame_are_not_believed(
        self, labeler: Labeler, labelled: tuple[Frame, Path, Labels]
    ) -> None:
        """A stale output: the same atoms elsewhere, or in another order."""
        frame, folder, _ = labelled
        moved = frame.atoms.copy()
        moved.positions[3] += (0.05, 0.0, 0.0)
        swapped = frame.atoms[[1, 0, *range(2, len(frame.atoms))]]
        for atoms in (moved, swapped):
            found = labeler.collect(attrs.evolve(frame, atoms=atoms), folder)
            assert isinstance(found, Failure)

    # ------------------------------------------------------------ means

    def _energy(self, labeler: Labeler, frame: Frame, workdir: Path) -> float:
        found = label(labeler, frame, workdir)
        assert isinstance(found, Labels), found
        assert found.energy is not None
        return found.energy

    @staticmethod
    def _outputs(labeler: Labeler, frame: Frame, folder: Path, scratch: Path) -> list[Path]:
        """Files that the run has written, standard output among them."""
        scratch.mkdir()
        labeler.prepare(frame, scratch, 0)
        inputs = contents(scratch)
        return [folder / n for n, content in contents(folder).items() if inputs.get(n) != content]


def _lengths(whole: int) -> list[int]:
    """Of parts of a file: evenly, and closer and closer to its end."""
    evenly = {int(part * whole) for part in np.linspace(0.0, 1.0, 41)[:-1]}
    return sorted(evenly | {whole - n for n in (1, 2, 3, 5, 8, 13, 21, 34) if n <= whole})


def contents(folder: Path) -> dict[str, bytes]:
    """All files in a folder, by their names relative to it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _equal(found: Labels, labels: Labels) -> bool:
    def same(a: FloatArray | None, b: FloatArray | None) -> bool:
        return (a is None and b is None) or (
            a is not None and b is not None and np.array_equal(a, b)
        )

    return (
        found.energy == labels.energy
        and same(found.forces, labels.forces)
        and same(found.stress, labels.stress)
    )


def water() -> Atoms:
    """A molecule off its minimum, without a cell."""
    atoms: Atoms = molecule("H2O")
    atoms.rattle(0.05, seed=2)
    return atoms
