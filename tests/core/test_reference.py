"""The reference crew computes what it says: against ASE's neighbour list, finite differences and the known answer."""

import json
import subprocess

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from ase.units import kcal, mol

from ald_core.reference import ReferenceEngine, ReferenceFitter, ReferenceLabeler
from ald_core.reference_job import CUTOFF, LENNARD_JONES, basis
from ald_core.types import (
    Case,
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

CELLS = {
    "large": Atoms("Ar4", np.random.default_rng(0).uniform(0, 9, (4, 3)), cell=[9, 10, 11], pbc=True),
    "one atom": bulk("Ar", "fcc", a=1.6),
    "cubic": bulk("Ar", "fcc", a=1.58, cubic=True),
    "skewed": Atoms(
        "Ar2", [[0, 0, 0], [0.9, 0.6, 0.5]], cell=[[1.9, 0, 0], [-1.4, 1.7, 0], [0.8, -1.1, 2.2]], pbc=True
    ),
    "slab": Atoms("Ar2", [[0, 0, 0.2], [0.8, 0.7, -1]], cell=[[1.9, 0, 0], [0.7, 1.8, 0], [0, 0, 0]], pbc=[1, 1, 0]),
    "wire": Atoms("Ar2", [[0, 0, 5], [0.9, 0.7, 0.1]], cell=[[0, 0, 0], [0, 0, 0], [0.3, 0.2, 1.9]], pbc=[0, 0, 1]),
    "molecule": Atoms("Ar3", [[0, 0, 0], [1.1, 0, 0], [0.3, 1.2, 0.2]]),
    "outside": Atoms("Ar2", [[-13.0, 25.0, 0.3], [7.9, -4.4, 31.0]], cell=[3.3, 2.2, 2.9], pbc=True),
}  # fmt: skip


def of(atoms: Atoms):
    found = basis(atoms.positions, atoms.cell[:], atoms.pbc)
    energy = float(LENNARD_JONES @ found.energy)
    return energy, np.tensordot(LENNARD_JONES, found.forces, 1), found


@pytest.mark.parametrize("name", CELLS)
def test_sums_agree_with_the_neighbour_list_of_ase(name):
    atoms = CELLS[name].copy()
    atoms.rattle(0.02, seed=1)
    distances = neighbor_list("d", atoms, CUTOFF)
    energy, _, found = of(atoms)
    assert energy == pytest.approx(0.5 * np.sum(4 * distances**-12 - 4 * distances**-6), rel=1e-12)
    assert found.closest == pytest.approx(distances.min(initial=np.inf), rel=1e-14)


@pytest.mark.parametrize("name", [n for n in CELLS if n != "one atom"])
def test_forces_are_the_slope_of_the_energy(name):
    atoms = CELLS[name].copy()
    atoms.rattle(0.02, seed=2)
    _, forces, _ = of(atoms)
    h = 1e-6
    for i in range(len(atoms)):
        for a in range(3):
            ends = []
            for sign in (+1, -1):
                moved = atoms.copy()
                moved.positions[i, a] += sign * h
                ends.append(of(moved)[0])
            slope = -(ends[0] - ends[1]) / (2 * h)
            assert forces[i, a] == pytest.approx(slope, rel=1e-5, abs=1e-6 * np.abs(forces).max())


@pytest.mark.parametrize("name", ["one atom", "cubic", "skewed"])
def test_stress_is_the_slope_over_strain_positive_in_tension(name):
    atoms = CELLS[name].copy()
    stress = LENNARD_JONES @ of(atoms)[2].stress
    h = 1e-6
    for k, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        ends = []
        for sign in (+1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h / 2
            strain[b, a] += sign * h / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell[:] @ strain, scale_atoms=True)
            ends.append(of(strained)[0])
        slope = (ends[0] - ends[1]) / (2 * h) / atoms.get_volume()
        assert stress[k] == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_stretched_crystal_pulls_and_squeezed_crystal_pushes():
    assert LENNARD_JONES @ of(bulk("Ar", "fcc", a=1.70))[2].stress[:, 0] > 0
    assert LENNARD_JONES @ of(bulk("Ar", "fcc", a=1.45))[2].stress[:, 0] < 0


# ---------------------------------------------------------------- the roles, through real processes


def frame(step, seed=None, a=1.58):
    atoms = bulk("Ar", "fcc", a=a, cubic=True)
    atoms.rattle(0.08, seed=step if seed is None else seed)
    return Frame(atoms, Origin(0, "start", step))


def do(job, workdir):
    subprocess.run(job.command, cwd=workdir, check=True)
    assert all((workdir / name).is_file() for name in job.outputs)


def run_jobs(tmp_path):
    def run(tasks):
        results = []
        for task in tasks:
            workdir = tmp_path / f"{task.role}-{task.identity[:8]}"
            workdir.mkdir()
            do(task.prepare(workdir, 0), workdir)
            results.append(task.collect(workdir))
        return results

    return run


def labeled(frame):
    energy, forces, found = of(frame.atoms)
    return LabeledFrame(frame, Labels(energy, forces, LENNARD_JONES @ found.stress), "reference", 1)


def weights(training, rng):
    return Weights(
        {
            f.frame.id: FrameWeights(
                rng.uniform(0.1, 2, (len(f.frame.atoms), 3)), 0.3, rng.uniform(1, 300, 6)
            )
            for f in training.fitted
        }
    )


def test_labeler_gives_energy_forces_and_stress_exactly(tmp_path):
    one = frame(1)
    do(ReferenceLabeler().prepare(one, tmp_path, 0), tmp_path)
    labels = ReferenceLabeler().collect(one, tmp_path)
    energy, forces, found = of(one.atoms)
    assert labels.energy == pytest.approx(energy, rel=1e-14)
    assert np.allclose(labels.forces, forces, rtol=1e-12, atol=1e-12)
    assert np.allclose(labels.stress, LENNARD_JONES @ found.stress, rtol=1e-12, atol=1e-14)


TOO_FEW = '{"energy": 1, "forces": [[0,0,0]], "stress": null}'


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"energy": 1.0}', TOO_FEW])
def test_cut_answers_are_failures(tmp_path, content):
    if content is not None:
        (tmp_path / "answer.json").write_text(content)
    assert isinstance(ReferenceLabeler().collect(frame(1), tmp_path), Failure)
    case = Case("a", 0, 100.0, tmp_path / "x")
    assert isinstance(ReferenceEngine().collect(case, 1, tmp_path), Failure)


def test_any_weighted_fit_gives_4_and_minus_4(tmp_path):
    training = TrainingSet().grow(labeled(frame(i)) for i in range(1, 6))
    (tmp_path / "GEN_FF").mkdir()
    factors = weights(training, np.random.default_rng(1))
    model = ReferenceFitter().fit(training, factors, tmp_path / "GEN_FF", run_jobs(tmp_path))
    values = json.loads(model.path.read_text())
    assert values["c12"] == pytest.approx(4.0, abs=1e-11)
    assert values["c6"] == pytest.approx(-4.0, abs=1e-11)
    assert model.report["rows"] == 5 * (1 + 12 + 6)
    compare = np.loadtxt(tmp_path / "GEN_FF" / "compare.txt")
    reference = np.concatenate([f.labels.forces.ravel() for f in training.fitted])
    assert np.allclose(compare[:, 0] * kcal / mol, reference, atol=1e-9)
    assert np.allclose(compare[:, 0], compare[:, 1], atol=1e-7)


def test_weights_decide_a_contradiction(tmp_path):
    """Two frames that follow different laws: the coefficients of the one with all the weight win."""
    one, two = labeled(frame(1)), labeled(frame(2))
    double = Labels(2 * two.labels.energy, 2 * two.labels.forces, 2 * two.labels.stress)
    two = LabeledFrame(two.frame, double, "other", 1)
    training = TrainingSet().grow([one, two])
    for heavy, expected in ((one, 4.0), (two, 8.0)):
        factors = {
            f.frame.id: FrameWeights(
                np.full((4, 3), x := 1.0 if f is heavy else 0.0), x, np.full(6, x)
            )
            for f in training.fitted
        }
        folder = tmp_path / f"{expected}"
        folder.mkdir()
        model = ReferenceFitter().fit(training, Weights(factors), folder, run_jobs(tmp_path))
        assert json.loads(model.path.read_text())["c12"] == pytest.approx(expected, abs=1e-10)


def test_held_out_frames_and_missing_labels_are_not_fitted(tmp_path):
    good = labeled(frame(1))
    partial = LabeledFrame(frame(2), Labels(None, labeled(frame(2)).labels.forces), "given", 1)
    nonsense = LabeledFrame(frame(3), Labels(7.0, np.ones((4, 3))), "given", 1, held_out=True)
    training = TrainingSet().grow([good, partial, nonsense])
    (tmp_path / "GEN_FF").mkdir()
    factors = weights(training, np.random.default_rng(2))
    model = ReferenceFitter().fit(training, factors, tmp_path / "GEN_FF", run_jobs(tmp_path))
    assert model.report["rows"] == 19 + 12
    assert json.loads(model.path.read_text())["c12"] == pytest.approx(4.0, abs=1e-11)


def test_predictions_come_in_the_order_of_the_frames(tmp_path):
    path = tmp_path / "params.json"
    path.write_text(json.dumps({"c12": 4.0, "c6": -4.0}))
    frames = [frame(3), frame(1), frame(2)]
    said = ReferenceFitter().predict(Model("reference", path), frames, run_jobs(tmp_path))
    assert [s.energy for s in said] == pytest.approx([of(f.atoms)[0] for f in frames], rel=1e-14)


def md(tmp_path, name, seed=7, temperature=400.0, **options):
    (tmp_path / name).mkdir()
    path = tmp_path / "params.json"
    path.write_text(json.dumps({"c12": 4.0, "c6": -4.0}))
    (structure := tmp_path / "start.xyz").write_text("")
    bulk("Ar", "fcc", a=1.58, cubic=True).write(structure, format="extxyz")
    case = Case("cold", 0, temperature, structure)
    engine = ReferenceEngine(**options)
    do(engine.prepare(Model("reference", path), case, seed, tmp_path / name), tmp_path / name)
    return engine.collect(case, 3, tmp_path / name)


def test_md_conserves_energy_better_with_shorter_steps(tmp_path):
    coarse = md(tmp_path, "coarse", steps=50, timestep=2.0)
    fine = md(tmp_path, "fine", steps=100, timestep=1.0)
    assert 0 < fine.drift < coarse.drift < 2e-3
    assert fine.stable
    assert fine.steps == fine.planned == 100
    assert fine.counts == (100, 0, 0)


def test_md_is_the_same_for_the_same_seed_and_another_for_another(tmp_path):
    first, again, other = (md(tmp_path, n, seed=s, steps=20) for n, s in (("a", 7), ("b", 7), ("c", 8)))  # fmt: skip
    folder = [(tmp_path / n / "trajectory.extxyz").read_bytes() for n in "abc"]
    assert folder[0] == folder[1] != folder[2]
    assert [c.origin.step for c in first.candidates] == [10, 20]
    assert first.candidates[0].origin == Origin(3, "cold", 10)
    loaded = first.candidates[1].load()
    assert np.array_equal(loaded.positions, again.candidates[1].load().positions)
    assert not np.array_equal(loaded.positions, other.candidates[1].load().positions)
    assert loaded.calc is None
    assert loaded.pbc.all()


def test_contact_classes_follow_the_closest_pair(tmp_path):
    near = md(tmp_path, "near", steps=20, inner_cutoff=0.9, penalty_zone=0.5)
    inside = md(tmp_path, "inside", steps=20, inner_cutoff=1.5)
    assert near.counts == (0, 20, 0)
    assert {c.contact_class for c in near.candidates} == {1}
    assert inside.counts == (0, 0, 20)
    assert {c.contact_class for c in inside.candidates} == {2}


def test_an_explosion_is_a_result(tmp_path):
    boom = md(tmp_path, "boom", steps=400, timestep=40.0, temperature=1e5)
    assert not boom.stable
    assert boom.steps < boom.planned
    assert boom.reason
    assert np.isfinite(boom.drift)
