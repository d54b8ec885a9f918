"""The fitter `hierarchical`: what is subtracted, what comes out, and what is done anew."""

import attrs
import numpy as np
import pytest
from local_jobs import Jobs

from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.model import ChimesModel
from ald_core.errors import InputError
from ald_core.types import TrainingSet
from ald_hierarchical.hierarchical import old_tiles
from ald_hierarchical.rest import FITTED
from ald_hierarchical.tiles import evaluate_tiles


@pytest.fixture
def jobs(tmp_path):
    return Jobs(tmp_path / "jobs")


@pytest.fixture(scope="module")
def finished(tools, tmp_path_factory):
    """A world and the model that was fitted in it, in the folder of which its files are."""
    folder = tmp_path_factory.mktemp("finished")
    world, out = tools.make_world(folder / "world"), folder / "GEN_FF"
    out.mkdir()
    weights = tools.weights(world.training)
    return world, world.fitter().fit(world.training, weights, out, Jobs(folder / "jobs"))


def test_the_sum_of_models_is_found_again(tools, finished, jobs):
    world, fitted = finished
    merged = ChimesModel.read(fitted.path)
    parts = [*map(ChimesModel.read, world.tiles)]
    parts.append(ChimesModel.read(fitted.path.parent / FITTED / "params.txt"))
    for seed, elements in enumerate(("CCCCNNNN", "NNN", "CC", "CNCNCNC"), start=100):
        configuration = tools.atoms(seed, elements)
        whole = tools.said_by([merged], configuration)
        sum_of_parts = tools.said_by(parts, configuration)
        truth = tools.said_by(world.parts, configuration)
        scale = np.abs(truth.forces).max()
        assert np.abs(whole.forces - sum_of_parts.forces).max() < 1e-12 * scale
        assert np.abs(whole.stress - sum_of_parts.stress).max() < 1e-12 * scale
        assert whole.energy == pytest.approx(sum_of_parts.energy, rel=1e-12)
        assert np.abs(whole.forces - truth.forces).max() < 1e-6 * scale
        assert whole.energy == pytest.approx(truth.energy, rel=1e-6)
    frames = [f.frame for f in world.training.frames]
    for said, frame in zip(world.fitter().predict(fitted, frames, jobs), frames, strict=True):
        same = tools.said_by([merged], frame.atoms)
        assert np.array_equal(said.forces, same.forces)


def test_files_of_a_fit(finished):
    world, fitted = finished
    folder = fitted.path.parent
    assert {p.name for p in folder.iterdir()} == {
        "params.txt", "params.txt.reduced", "compare.txt", FITTED
    }  # fmt: skip
    assert (folder / FITTED / "compare.txt").is_file()
    reference, said = np.loadtxt(folder / "compare.txt").T
    forces = np.concatenate([f.labels.forces.ravel() for f in world.training.fitted])
    assert reference == pytest.approx(forces / KCAL_PER_MOL, rel=1e-6, abs=1e-9)
    assert said == pytest.approx(reference, rel=1e-5, abs=1e-5 * np.abs(reference).max())
    assert fitted.report["tiles"] == ["C.params.txt", "N.params.txt"]
    assert fitted.report["force_rmse_kcal_per_mol_per_angstrom"] < 1e-6 * np.abs(reference).max()


def test_labels_stay_what_they_are(tools, finished, tmp_path):
    world, _ = finished
    same = tools.make_world(tmp_path / "again").training
    for before, after in zip(same.frames, world.training.frames, strict=True):
        assert np.array_equal(before.labels.forces, after.labels.forces)
        assert (before.labels.energy, before.frame.digest) == (
            after.labels.energy, after.frame.digest,
        )  # fmt: skip


def test_what_models_do_not_give_is_not_fitted(world, tools, jobs, tmp_path):
    """Frames without a stress have none less that of a model."""
    first, *others = world.training.frames
    bare = attrs.evolve(first, labels=attrs.evolve(first.labels, stress=None))
    training = TrainingSet((bare, *others))
    with pytest.raises(InputError, match="stress, which is to be fitted"):
        world.fitter().fit(training, tools.weights(training), tmp_path, jobs)


def test_a_later_cycle_evaluates_its_own_frames_only(world, tools, jobs):
    frames = [f.frame for f in world.training.frames]
    evaluate_tiles(world.tiles, frames, 4, jobs)
    assert len(jobs.done) == 5  # for ten frames with carbon, and eight with nitrogen
    later = tools.labeled(0, tools.atoms(77), None, cycle=1).frame
    said = evaluate_tiles(world.tiles, [*frames, later], 4, jobs)
    assert len(jobs.done) == 7
    expected = tools.said_by(world.parts[:2], later.atoms)
    assert np.array_equal(said[-1].forces, expected.forces)
    assert said[-1].energy == pytest.approx(expected.energy, rel=1e-14)
    for frame, own in zip(frames, said, strict=False):
        assert np.array_equal(own.forces, tools.said_by(world.parts[:2], frame.atoms).forces)
    changed = world.tiles[0].read_text().replace("ENERGY OFFSET 1 ", "ENERGY OFFSET 1  ")
    world.tiles[0].write_text(changed)
    evaluate_tiles(world.tiles, frames, 4, jobs)
    assert len(jobs.done) == 10  # another file is another model


def test_checks_before_any_job(world):
    assert world.fitter().check(["C", "N"]) == []
    (problem,) = world.fitter().check(["C"])
    assert "N.params.txt: describes N, not among study.elements" in problem
    (problem,) = world.fitter(tiles=world.tiles[:1]).check(["C", "N"])[:1]
    assert "N" in problem
    text = world.tiles[0].read_text()
    world.tiles[0].write_text(text.replace("3.6", "3.7", 1))
    assert any("3.7" in problem for problem in world.fitter().check(["C", "N"]))
    world.tiles[0].write_text("nothing")
    (problem,) = world.fitter().check(["C", "N"])
    assert "C.params.txt" in problem
    (problem,) = world.fitter(inner=attrs.evolve(world.fitter())).check(["C", "N"])[:1]
    assert "C.params.txt" in problem


def test_names_of_old_studies():
    folder = "ALL_BASE_FILES/HIERARCH_PARAMS"
    assert old_tiles(["C.txt", "N.txt"]) == [f"{folder}/C.txt", f"{folder}/N.txt"]
    assert old_tiles("C.txt") == [f"{folder}/C.txt"]
    with pytest.raises(ValueError, match="list of file names"):
        old_tiles([1])
