"""The fitter `chimes`: blocks, what is computed anew, and that it does not matter how a fit is cut."""

import contextlib
import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import attrs
import numpy as np
import pytest
from ase import Atoms

from ald_chimes_lsq import fit_job
from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.design_rows import configuration_rows, frame_matrix
from ald_chimes_lsq.fit_files import FIT_FILES, REPORT
from ald_chimes_lsq.fitter import ChimesFitter
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.frame_rows import FrameRows
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.row_choice import stress_rows
from ald_chimes_lsq.solvers.solve import solve
from ald_core.errors import InputError
from ald_core.types import (
    Failure,
    Frame,
    FrameWeights,
    LabeledFrame,
    Labels,
    Origin,
    TrainingSet,
    Weights,
)

SETUP = """\
# TRJFILE #
 none.xyzf
# PAIRTYP #
 CHEBYSHEV 5 3 0
# CHBTYPE #
 MORSE
# FITENER #
 {energy}
# FITSTRS #
 {stress}
# NATMTYP #
 2
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
1 C 0.0 12.0
2 O 0.0 16.0
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA #
1 C C 1.0 4.0 0.01 1.4
2 O O 1.0 4.0 0.01 1.4
3 C O 0.9 4.0 0.01 1.2
# ENDFILE #
"""


class Jobs:
    """Runs tasks in folders of their own, each identity once, as the job runner does."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.done: dict[str, Path] = {}
        self.ran: list[str] = []

    def __call__(self, tasks):
        results = []
        for task in tasks:
            if task.identity not in self.done:
                number = len(list(self.folder.glob("*")))
                workdir = self.folder / f"{number:03d}" / "000-task"
                workdir.mkdir(parents=True)
                spec = task.prepare(workdir, 0)
                assert spec.serial
                self.ran.append(spec.command[-1])
                with contextlib.chdir(workdir):
                    fit_job.main(spec.command[-1])
                self.done[task.identity] = workdir
            result = task.collect(self.done[task.identity])
            if isinstance(result, Failure):
                raise InputError(result.reason)
            results.append(result)
        return results


@pytest.fixture
def setup(tmp_path):
    path = tmp_path / "fm_setup.in"
    path.write_text(SETUP.format(energy="true", stress="ALL"))
    return path


def labeled(n, cycle, seed=0):
    """Random boxes with random labels."""
    rng = np.random.default_rng([seed, cycle])
    frames = []
    for i in range(n):
        cell = 6.0 * np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3))
        grid = np.stack(np.meshgrid(*[range(2)] * 3), axis=-1).reshape(-1, 3) / 2
        atoms = Atoms("C3O5", scaled_positions=grid + rng.uniform(-0.1, 0.1, (8, 3)), cell=cell, pbc=True)  # fmt: skip
        labels = Labels(
            float(rng.normal()) - 40.0, rng.normal(size=(8, 3)), 0.01 * rng.normal(size=6)
        )
        frame = Frame(atoms, Origin(cycle, "box", i))
        frames.append(LabeledFrame(frame, labels, "random", cycle + 1))
    return frames


def weights(frames, energy=0.1):
    return Weights(
        {
            f.frame.id: FrameWeights(np.full((8, 3), 1.0 + 0.1 * i), energy, np.full(6, 100.0))
            for i, f in enumerate(frames)
        }
    )


def fit(fitter, frames, folder, jobs, own=None):
    folder.mkdir(parents=True)
    return fitter.fit(TrainingSet(tuple(frames)), own or weights(frames), folder, jobs)


def in_blocks(setup, monkeypatch, **options):
    monkeypatch.setattr("ald_chimes_lsq.fitter.SMALL", 0)
    return ChimesFitter(setup=setup, **options)


def test_few_frames_are_one_job_and_give_the_solution_of_the_whole_matrix(setup, tmp_path):
    frames = labeled(6, 0)
    own = weights(frames)
    jobs = Jobs(tmp_path / "jobs")
    model = fit(ChimesFitter(setup=setup, alpha=1e-2), frames, tmp_path / "fit", jobs, own)

    assert jobs.ran == ["fit"]
    basis = read_setup(setup).basis
    a, b, w = [], [], []
    for f in frames:
        atoms, labels = f.frame.atoms, f.labels
        matrix = partial(configuration_rows, basis, atoms.get_chemical_symbols(), atoms.positions)
        a.append(matrix(atoms.cell[:], stress="full", energy=True, offsets=True))
        xx, yy, zz, yz, xz, xy = -labels.stress
        nine = [xx, xy, xz, xy, yy, yz, xz, yz, zz]
        b.append(np.concatenate([labels.forces.ravel(), nine, [labels.energy] * 3]) / KCAL_PER_MOL)
        factors = own.frames[f.frame.id]
        w.append(np.concatenate([factors.forces.ravel(), [100.0] * 9, [0.1] * 3]))
    a, b, w = map(np.concatenate, (a, b, w))
    expected = solve(a, b, w, "lasso", 1e-2)
    x = np.loadtxt(tmp_path / "fit" / "x.txt")
    np.testing.assert_allclose(x, expected.x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "fit" / "force.txt"), a @ x, rtol=2e-6, atol=1e-9)  # fmt: skip
    is_force = np.tile([True] * 24 + [False] * 12, 6)
    compare = np.loadtxt(tmp_path / "fit" / "compare.txt")
    np.testing.assert_allclose(compare[:, 0], b[is_force], rtol=1e-6)
    report = json.loads((tmp_path / "fit" / "report.json").read_text())
    rest = a @ x - b
    assert report["force_rmse_kcal_per_mol_per_angstrom"] == pytest.approx(
        np.sqrt(np.mean(rest[is_force] ** 2))
    )
    energies = rest.reshape(6, 36)[:, 33]
    assert report["energy_rmse_kcal_per_mol"] == pytest.approx(np.sqrt(np.mean(energies**2)))
    assert report["optimality"] < 1e-8
    assert report["method"] in {"normal equations", "QR"}
    assert report["condition"] > 1.0
    assert 0.0 < report["optimality_limit"] < 1e-8
    assert report == model.report
    # The model says what the rows say.
    atoms = frames[0].frame.atoms
    said = ChimesModel.read(model.path).evaluate(atoms, penalty=False)
    np.testing.assert_allclose(said.forces.ravel(), (a @ x)[:24], rtol=1e-8, atol=1e-8)
    assert not list((tmp_path / "jobs").rglob("rows.npy"))


@pytest.mark.parametrize(("algorithm", "alpha"), [("lasso", 1e-2), ("ridge", 1e-3), ("svd", 1e-4)])
def test_blocks_give_the_same_model_as_one_job(setup, tmp_path, monkeypatch, algorithm, alpha):
    frames = [*labeled(5, 0), *labeled(3, 1)]
    own = weights(frames)
    whole = ChimesFitter(setup=setup, algorithm=algorithm, alpha=alpha)
    fit(whole, frames, tmp_path / "whole", Jobs(tmp_path / "a"), own)
    cut = in_blocks(setup, monkeypatch, algorithm=algorithm, alpha=alpha, frames_per_block=2)
    for name, more, made in (("rows", {}, "rows"), ("factors", {"stored_rows": 0.0}, "factor")):
        jobs = Jobs(tmp_path / name / "jobs")
        fit(attrs.evolve(cut, **more), frames, tmp_path / name / "fit", jobs, own)
        assert jobs.ran == [made] * 5 + ["solve"]
        for file in FIT_FILES:
            want, got = tmp_path / "whole" / file, tmp_path / name / "fit" / file
            if name == "rows" and file != REPORT:
                assert got.read_bytes() == want.read_bytes()
            elif file in {"x.txt", "force.txt", "compare.txt"}:
                np.testing.assert_allclose(np.loadtxt(got), np.loadtxt(want), rtol=1e-5, atol=1e-6)
            else:
                assert got.stat().st_size > 0
        report = json.loads((tmp_path / name / "fit" / "report.json").read_text())
        assert report["blocks"] == 5


@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_the_number_of_jobs_does_not_change_a_bit(setup, tmp_path, monkeypatch, size):
    frames = [*labeled(7, 0), *labeled(3, 1)]
    fit(ChimesFitter(setup=setup), frames, tmp_path / "whole", Jobs(tmp_path / "a"))
    fitter = in_blocks(setup, monkeypatch, frames_per_block=size)
    jobs = Jobs(tmp_path / "b")
    fit(fitter, frames, tmp_path / "cut", jobs)
    assert len(jobs.ran) == {1: 11, 2: 7, 4: 4, 100: 1}[size]
    for file in set(FIT_FILES) - {REPORT}:
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    reports = [json.loads((tmp_path / name / REPORT).read_text()) for name in ("cut", "whole")]
    assert reports[0] | {"blocks": 1} == reports[1]


def test_rows_that_are_not_kept_are_computed_once_but_for_close_pairs(setup, tmp_path, monkeypatch):
    frames = labeled(6, 0)
    close = frames[4].frame.atoms
    close.positions[1] = close.positions[0] + [0.0, 0.0, 0.85]
    molecule = attrs.evolve(frames[2].frame, kind="gas")
    frames[2] = attrs.evolve(frames[2], frame=molecule)
    again = []

    def rows_again(basis, rows, *, offsets):
        again.append(rows.frame.id)
        return frame_matrix(basis, rows, offsets=offsets)

    monkeypatch.setattr(fit_job, "frame_matrix", rows_again)
    cut = in_blocks(setup, monkeypatch, frames_per_block=2, stored_rows=0.0, alpha=1e-2)
    fit(cut, frames, tmp_path / "fit", Jobs(tmp_path / "jobs"))
    assert again == [frames[4].frame.id]
    basis, x = read_setup(setup).basis, np.loadtxt(tmp_path / "fit/x.txt")
    rows = [FrameRows(f.frame, stress_rows(f.frame, "full"), True) for f in frames]
    said = np.concatenate([frame_matrix(basis, r, offsets=True) @ x for r in rows])
    np.testing.assert_allclose(np.loadtxt(tmp_path / "fit/force.txt"), said, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["rows.npy", "factor.npy"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_a_damaged_block_is_named_and_a_new_one_gives_the_same(
    setup, tmp_path, monkeypatch, name, damage
):
    stored = 100.0 if name == "rows.npy" else 0.0
    fitter = in_blocks(setup, monkeypatch, frames_per_block=2, stored_rows=stored)
    frames = labeled(4, 0)
    jobs = Jobs(tmp_path / "jobs")
    fit(fitter, frames, tmp_path / "1", jobs)
    identity, folder = next((i, p) for i, p in jobs.done.items() if (p / name).exists())
    path = folder / name
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "other":
        np.save(path, np.ones((3, 4)))
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    words = "do not fit 144 right-hand sides" if damage == "other" and stored else name
    # Another alpha is solved from the same blocks; one that is missing is not even collected.
    with pytest.raises(InputError, match=words):
        fit(attrs.evolve(fitter, alpha=1e-3), frames, tmp_path / "2", jobs)
    # What is computed again is the same to the last bit.
    del jobs.done[identity]
    jobs.ran.clear()
    fit(attrs.evolve(fitter, alpha=1e-4), frames, tmp_path / "3", jobs)
    assert jobs.ran == [name.split(".")[0], "solve"]
    assert (jobs.done[identity] / name).read_bytes() == whole


def test_a_killed_job_leaves_no_half_of_a_block(setup, tmp_path, monkeypatch):
    """The rows have another name until they are complete."""
    fitter = in_blocks(setup, monkeypatch, frames_per_block=2)
    seen = []

    def dies(path, *_, **__):
        path.write_bytes(b"half of the rows")
        seen.append(path.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_job, "write_matrix", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(fitter, labeled(4, 0), tmp_path / "1", Jobs(tmp_path / "jobs"))
    assert seen
    assert not list(tmp_path.rglob("rows.npy"))


@pytest.mark.parametrize(
    ("options", "weight", "words"),
    [
        ({"algorithm": "svd", "alpha": 1.0}, 1.0, "alpha, the cutoff of svd, must be above 0 and"),
        ({"alpha": float("inf")}, 1.0, "alpha must be positive and finite, found inf"),
        ({}, 0.0, r"all weights are zero.*\[\[weighting\]\]"),
        ({}, float("nan"), "frame 000-box-000000000 has a weight that is negative or not finite"),
        ({}, -1.0, "frame 000-box-000000000 has a weight that is negative or not finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_any_job(setup, tmp_path, options, weight, words):
    frames = labeled(2, 0)
    own = FrameWeights(np.full((8, 3), weight), 0.0 * weight, np.full(6, weight))
    jobs = Jobs(tmp_path / "jobs")
    fitter = ChimesFitter(setup=setup, **options)
    with pytest.raises(InputError, match=words):
        fit(fitter, frames, tmp_path / "fit", jobs, Weights({f.frame.id: own for f in frames}))
    assert jobs.ran == []
    assert bool(fitter.check(["C", "O"])) == bool(options)


def test_new_frames_cost_new_rows_only_and_new_weights_none(setup, tmp_path, monkeypatch):
    fitter = in_blocks(setup, monkeypatch, frames_per_block=2)
    jobs = Jobs(tmp_path / "jobs")
    first = labeled(5, 0)
    fit(fitter, first, tmp_path / "1", jobs)
    assert jobs.ran == ["rows"] * 3 + ["solve"]
    jobs.ran.clear()
    grown = [*first, *labeled(2, 1)]
    fit(fitter, grown, tmp_path / "2", jobs)
    assert jobs.ran == ["rows", "solve"]
    jobs.ran.clear()
    fit(fitter, grown, tmp_path / "3", jobs, weights(grown, energy=7.0))
    assert jobs.ran == ["solve"]
    assert (tmp_path / "3/x.txt").read_bytes() != (tmp_path / "2/x.txt").read_bytes()
    jobs.ran.clear()
    fit(attrs.evolve(fitter, alpha=1e-3), grown, tmp_path / "4", jobs)
    assert jobs.ran == ["solve"]
    jobs.ran.clear()
    fit(attrs.evolve(fitter, stress="none"), grown, tmp_path / "5", jobs)
    assert jobs.ran == ["rows"] * 4 + ["solve"]
    # The same blocks, wherever and whenever they were made: the same bytes.
    fresh = Jobs(tmp_path / "fresh")
    fit(fitter, grown, tmp_path / "6", fresh)
    for file in FIT_FILES:
        assert (tmp_path / "6" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


def test_a_study_can_be_moved_between_blocks_and_solution(setup, tmp_path, monkeypatch):
    fitter = in_blocks(setup, monkeypatch, frames_per_block=2)
    jobs = Jobs(tmp_path / "old" / "jobs")
    frames = labeled(4, 0)
    fit(fitter, frames, tmp_path / "1", jobs)
    [solved] = [p for p in jobs.done.values() if (p / "blocks.txt").exists()]
    shutil.move(tmp_path / "old", tmp_path / "new")
    again = tmp_path / "new" / solved.relative_to(tmp_path / "old")
    (again / "x.txt").unlink()
    subprocess.run([sys.executable, "-m", "ald_chimes_lsq.fit_job", "solve"], cwd=again, check=True)
    assert (again / "x.txt").read_bytes() == (tmp_path / "1" / "x.txt").read_bytes()


def test_a_missing_label_is_named_before_any_job(setup, tmp_path):
    frames = labeled(2, 0)
    frames[1] = attrs.evolve(frames[1], labels=Labels(forces=frames[1].labels.forces))
    jobs = Jobs(tmp_path / "jobs")
    with pytest.raises(InputError, match="frame 000-box-000000001 has no "):
        fit(ChimesFitter(setup=setup), frames, tmp_path / "fit", jobs)
    assert jobs.ran == []


def test_an_impossible_frame_is_named_by_its_job(setup, tmp_path):
    [frame] = labeled(1, 0)
    frame.frame.atoms.numbers[0] = 7
    with pytest.raises(InputError, match="frame 000-box-000000000: element N is not among"):
        fit(ChimesFitter(setup=setup), [frame], tmp_path / "fit", Jobs(tmp_path / "jobs"))


def test_normalised_columns_are_centred_and_of_length_1(setup, tmp_path, monkeypatch):
    """The optimality conditions of LASSO hold for them, and not for the columns as they are."""
    setup.write_text(SETUP.format(energy="false", stress="false"))
    frames, alpha = labeled(6, 0), 1e-3
    own = weights(frames)
    fitter = ChimesFitter(setup=setup, alpha=alpha, normalize=True)
    fit(fitter, frames, tmp_path / "fit", Jobs(tmp_path / "jobs"), own)
    basis = read_setup(setup).basis
    a, b = [], []
    for f in frames:
        atoms, factors = f.frame.atoms, own.frames[f.frame.id].forces.ravel()
        rows = configuration_rows(
            basis, atoms.get_chemical_symbols(), atoms.positions, atoms.cell[:]
        )
        a.append(factors[:, None] * rows)
        b.append(factors * f.labels.forces.ravel() / KCAL_PER_MOL)
    a, b = np.concatenate(a), np.concatenate(b)
    centred = a - a.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=0)
    x = np.loadtxt(tmp_path / "fit" / "x.txt")
    rest = b - b.mean() - centred @ x
    slopes = (centred / lengths).T @ rest / len(b)
    assert 0 < np.count_nonzero(x) < len(x)
    assert np.abs(slopes).max() <= alpha * (1 + 1e-6)
    np.testing.assert_allclose(slopes[x != 0], alpha * np.sign(x[x != 0]), rtol=1e-5)

    cut = in_blocks(
        setup, monkeypatch, alpha=alpha, normalize=True, frames_per_block=2, stored_rows=0
    )
    jobs = Jobs(tmp_path / "blocks")
    fit(cut, frames, tmp_path / "cut", jobs, own)
    assert jobs.ran == ["rows"] * 3 + ["solve"]
    np.testing.assert_allclose(np.loadtxt(tmp_path / "cut" / "x.txt"), x, rtol=1e-6, atol=1e-9)


def test_only_lasso_is_normalised(setup):
    (problem,) = ChimesFitter(setup=setup, algorithm="svd", normalize=True).check(["C", "O"])
    assert "lasso only" in problem


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, 0),
        ({"new_stress": "diagonal"}, 3),
        ({"new_stress": "full"}, 9),
        ({"new_stress": "full", "new_stress_from": 2}, 9),
        ({"new_stress": "full", "new_stress_from": 3}, 0),
        ({"new_stress": "none"}, 0),
    ],
)
def test_new_frames_may_have_other_stresses_than_the_starting_set(setup, tmp_path, options, rows):
    setup.write_text(SETUP.format(energy="false", stress="false"))
    start = [attrs.evolve(f, labels=attrs.evolve(f.labels, stress=None)) for f in labeled(2, 0)]
    frames = [*start, *labeled(3, 1)]
    fit(ChimesFitter(setup=setup, **options), frames, tmp_path / "fit", Jobs(tmp_path / "jobs"))
    assert len(np.loadtxt(tmp_path / "fit" / "force.txt")) == 24 * 5 + rows * 3
