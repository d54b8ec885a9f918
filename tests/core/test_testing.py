"""The tests for labelers let a good one pass, and each mistake that one can make fails the test that is about it."""

import inspect
import json
import sys
from itertools import product
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np
import pytest
from fakes import toy

from ald_core import testing
from ald_core.labeling import compare_geometry, group_by_element
from ald_core.options import option
from ald_core.roles import Labeler
from ald_core.testing import LabelerTests
from ald_core.types import Failure, JobSpec, Labels


@attrs.frozen(kw_only=True)
class ToyLabeler(Labeler):
    """Label with a toy program, which wants the atoms grouped by element."""

    name: ClassVar[str] = "toy"
    program: str = option(toy.__file__, help="the program", identity=False)

    def prepare(self, frame, workdir, rung):
        atoms = group_by_element(frame.atoms).atoms
        asked = {"numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist()}
        (workdir / "in.json").write_text(json.dumps(asked | {"cell": atoms.cell[:].tolist()}))
        return JobSpec((sys.executable, self.program), ("out.txt",))

    def collect(self, frame, workdir):
        try:
            found = self.parse((workdir / "out.txt").read_text())
            grouped = group_by_element(frame.atoms)
            if found["numbers"][0] != grouped.atoms.numbers.tolist():
                return Failure("other atoms")
            other = compare_geometry(grouped.atoms, None, found["positions"], found["cell"])
        except (OSError, ValueError, KeyError, IndexError) as error:
            return Failure(f"no output: {error}")
        if other is not None:
            return other
        forces = grouped.in_frame_order(found["forces"])
        return Labels(found["energy"][0][0], forces, np.array(found["stress"][0]))

    def parse(self, text):
        if not text.endswith("done\n"):
            raise ValueError("cut off")
        found = {}
        for line in text.splitlines():
            if line.isalpha():
                rows = found[line] = []
            else:
                rows.append([float(word) for word in line.split()])
        return found


class TestToy(LabelerTests):
    """With its program as a process, as for any plugin."""

    @pytest.fixture
    def labeler(self):
        return ToyLabeler()


# ---------------------------------------------------------------- mistakes


class Permuted(ToyLabeler):
    """Forces stay in the order of the program."""

    def collect(self, frame, workdir):
        found = super().collect(frame, workdir)
        if isinstance(found, Failure):
            return found
        return attrs.evolve(found, forces=found.forces[group_by_element(frame.atoms).order])


class OtherUnits(ToyLabeler):
    """Forces in other units."""

    def collect(self, frame, workdir):
        found = super().collect(frame, workdir)
        return found if isinstance(found, Failure) else attrs.evolve(found, forces=found.forces * 27.2)  # fmt: skip


class Pressure(ToyLabeler):
    """Stress is positive in compression."""

    def collect(self, frame, workdir):
        found = super().collect(frame, workdir)
        return found if isinstance(found, Failure) else attrs.evolve(found, stress=-found.stress)


class OtherComponents(ToyLabeler):
    """Stress as xx, yy, zz, xy, yz, xz."""

    def collect(self, frame, workdir):
        found = super().collect(frame, workdir)
        if isinstance(found, Failure):
            return found
        return attrs.evolve(found, stress=found.stress[[0, 1, 2, 5, 3, 4]])


class Credulous(ToyLabeler):
    """It takes the output for that of the frame that it is asked about."""

    def collect(self, frame, workdir):
        try:
            found = self.parse((workdir / "out.txt").read_text())
            forces = group_by_element(frame.atoms).in_frame_order(found["forces"])
            return Labels(found["energy"][0][0], forces, np.array(found["stress"][0]))
        except (OSError, ValueError, KeyError, IndexError) as error:
            return Failure(f"no output: {error}")


class Hasty(ToyLabeler):
    """It does not wait for the end of the output."""

    def parse(self, text):
        if not text.startswith("numbers"):
            raise ValueError("empty")
        return super().parse(text.removesuffix("done\n").rstrip("doe") + "\ndone\n")


class Trusting(ToyLabeler):
    """It raises what comes up, if there is no output."""

    def collect(self, frame, workdir):
        (workdir / "out.txt").read_text()
        return super().collect(frame, workdir)


class Tidy(ToyLabeler):
    """It removes the output that it has read."""

    def collect(self, frame, workdir):
        found = super().collect(frame, workdir)
        (workdir / "out.txt").unlink(missing_ok=True)
        return found


class Various(ToyLabeler):
    """Its inputs differ from one time to the next."""

    def prepare(self, frame, workdir, rung):
        (workdir / "seed").write_text(str(np.random.default_rng().integers(10**9)))
        return super().prepare(frame, workdir, rung)


class Rooted(ToyLabeler):
    """Its inputs name the folder."""

    def prepare(self, frame, workdir, rung):
        (workdir / "paths").write_text(f"scratch {workdir}\n")
        return super().prepare(frame, workdir, rung)


class Littering(ToyLabeler):
    """It writes beside the folder that it is given."""

    def prepare(self, frame, workdir, rung):
        (workdir.parent / "scratch").touch()
        return super().prepare(frame, workdir, rung)


class Resigned(ToyLabeler):
    """It knows two ways only."""

    def prepare(self, frame, workdir, rung):
        (workdir / "mixer").write_text(("broyden", "simple")[rung])
        return super().prepare(frame, workdir, rung)


class Silent(ToyLabeler):
    """Its jobs leave no output."""

    def prepare(self, frame, workdir, rung):
        return attrs.evolve(super().prepare(frame, workdir, rung), outputs=())


class Stressless(ToyLabeler):
    """It promises a stress and gives none."""

    def collect(self, frame, workdir):
        found = super().collect(frame, workdir)
        return found if isinstance(found, Failure) else attrs.evolve(found, stress=None)


class Incomplete(ToyLabeler):
    """A file is missing."""

    def check_temperature(self, temperature, elements):
        return [f"there is no {temperature:g}.INCAR"]


MISTAKES = {
    Permuted: "test_atoms_in_any_order_get_their_own_forces",
    OtherUnits: "test_forces_are_slopes_of_the_energy",
    Pressure: "test_stress_is_the_slope_of_the_energy",
    OtherComponents: "test_stress_is_the_slope_of_the_energy",
    Credulous: "test_outputs_of_another_frame_are_not_believed",
    Hasty: "test_outputs_that_are_cut_off_give_no_labels",
    Trusting: "test_without_outputs_there_are_no_labels",
    Tidy: "test_collecting_changes_nothing",
    Various: "test_the_same_frame_has_the_same_inputs",
    Littering: "test_the_same_frame_has_the_same_inputs",
    Silent: "test_the_same_frame_has_the_same_inputs",
    Resigned: "test_there_are_inputs_after_every_failure",
    Rooted: "test_inputs_hold_no_name_of_the_folder",
    Stressless: "test_labels_are_complete",
    Incomplete: "test_nothing_is_missing",
}


def failing(labeler, tmp_path):
    """Names of the tests that a labeler does not pass."""
    tests = LabelerTests()
    names = [name for name in dir(tests) if name.startswith("test_")]
    found = []
    for number, name in enumerate(names):
        test = getattr(tests, name)
        given = {}
        for mark in getattr(test, "pytestmark", ()):
            given[mark.args[0]] = mark.args[1]
        for values in product(*given.values()):
            folder = tmp_path / f"{number}-{values}"
            folder.mkdir()
            arguments = {"labeler": labeler, "tmp_path": folder, **dict(zip(given, values, strict=True))}  # fmt: skip
            wanted = inspect.signature(test).parameters
            try:
                if "labelled" in wanted:
                    frame, place = tests.frame(), folder / "labelled"
                    arguments["labelled"] = frame, place, testing.label(labeler, frame, place)
                test(**{key: arguments[key] for key in wanted})
            except Exception:  # noqa: BLE001  whatever a labeler raises fails its test
                found.append(name)
    return found


@pytest.fixture
def in_this_process(monkeypatch):
    """The toy program is called, not started."""
    monkeypatch.setattr(testing, "run", lambda _, workdir: toy.main(Path(workdir)))


@pytest.mark.usefixtures("in_this_process")
def test_a_good_labeler_fails_none(tmp_path):
    assert failing(ToyLabeler(), tmp_path) == []


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("mistaken", MISTAKES, ids=lambda cls: cls.__name__)
def test_a_mistake_fails_the_test_that_is_about_it(mistaken, tmp_path):
    found = failing(mistaken(), tmp_path)
    assert MISTAKES[mistaken] in found
    assert set(found) <= {MISTAKES[mistaken], *ALSO.get(mistaken, ())}


ALSO = {
    Stressless: {"test_stress_is_the_slope_of_the_energy"},
    Tidy: {
        "test_without_outputs_there_are_no_labels",
        "test_outputs_that_are_cut_off_give_no_labels",
        "test_outputs_of_another_frame_are_not_believed",
    },
    Rooted: {
        "test_the_same_frame_has_the_same_inputs",
        "test_there_are_inputs_after_every_failure",
    },
    Various: {"test_there_are_inputs_after_every_failure"},
}
"""Other tests that a mistake may fail"""


def test_every_test_has_a_mistake():
    names = {name for name in dir(LabelerTests) if name.startswith("test_")}
    assert set(MISTAKES.values()) == names
