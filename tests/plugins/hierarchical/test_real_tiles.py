"""The CN tile on real DFT labels, on top of the published models of carbon and nitrogen."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from local_jobs import Jobs

from ald_chimes_lsq.design import design_matrix
from ald_chimes_lsq.fitter import ChimesFitter
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.formats.xyzf import read_xyzf
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.solvers.solve import solve
from ald_core.frames import FrameFile, read_frames
from ald_core.types import LabeledFrame, TrainingSet
from ald_hierarchical.hierarchical import HierarchicalFitter
from ald_hierarchical.rest import FITTED

INPUTS = Path(__file__).parents[3] / "examples" / "hierarchical_CN" / "inputs"
TILES = tuple(INPUTS / f"{element}.params.txt.reduced" for element in "CN")
XYZF = INPUTS / "20.3percN_3.5gcc.xyzf"
ALPHA = 1e-2


@pytest.fixture(scope="module")
def training():
    file = FrameFile(file=XYZF, temperature=6000.0, first=20)
    given = read_frames((file,), ("C", "N"))[:1]
    return TrainingSet(tuple(LabeledFrame(f, labels, "given", 1) for f, labels in given))


@pytest.fixture(scope="module")
def fitted(training, tools, tmp_path_factory):
    """A fit of one frame."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "GEN_FF").mkdir()
    inner = ChimesFitter(setup=INPUTS / "fm_setup.in", algorithm="ridge", alpha=ALPHA)
    fitter = HierarchicalFitter(tiles=TILES, inner=inner)
    assert fitter.check(["C", "N"]) == []
    jobs = Jobs(folder / "jobs")
    return fitter.fit(training, tools.weights(training), folder / "GEN_FF", jobs)


def test_the_merged_model_is_the_sum_of_its_parts(training, tools, fitted):
    merged = ChimesModel.read(fitted.path)
    own = ChimesModel.read(fitted.path.parent / FITTED / "params.txt")
    parts = [*map(ChimesModel.read, TILES), own]
    for frame in training.frames:
        whole = tools.said_by([merged], frame.frame.atoms)
        summed = tools.said_by(parts, frame.frame.atoms)
        largest = np.abs(whole.forces).max()
        assert 5.0 < largest < 100.0
        assert np.abs(whole.forces - summed.forces).max() < 1e-12 * largest
        assert np.abs(whole.stress - summed.stress).max() < 1e-12 * np.abs(whole.stress).max()
        assert whole.energy == pytest.approx(summed.energy, rel=1e-12)


def test_the_fit_is_that_of_a_joint_matrix_with_frozen_columns(training, fitted, tmp_path, tools):
    setup = joint_setup(tmp_path)
    joint = design_matrix(setup, read_xyzf(XYZF)[:1])
    hierarchical = read_setup(INPUTS / "fm_setup.in").basis
    frozen, x = frozen_columns(setup.basis, hierarchical)
    assert frozen.sum() == joint.matrix.shape[1] - 3747
    right = joint.right - joint.matrix[:, frozen] @ x
    weights = np.where(joint.kinds == "force", 1.0, np.where(joint.kinds == "energy", 0.3, 10.0))
    wanted = solve(joint.matrix[:, ~frozen], right, weights, "ridge", ALPHA).x
    found = np.loadtxt(fitted.path.parent / FITTED / "x.txt")
    assert np.abs(found - wanted).max() < 1e-8 * np.abs(wanted).max()


def joint_setup(folder):
    """The control file without exclusions, with the cutoffs of clusters for all of them."""
    text = (INPUTS / "fm_setup.in").read_text()
    text = re.sub(r"EXCLUDE .B INTERACTION: 2\n.*\n.*\n", "", text)
    text = re.sub(
        r"SPECIAL 3B S_MAXIM: SPECIFIC 2\n.*\n.*\n", "SPECIAL 3B S_MAXIM: ALL 5.0\n", text
    )
    own = "".join(
        f"{12 * e} {6 * f'{2 * e} '} {6 * f'{rmax} '}\n" for e, rmax in (("C", 4.5), ("N", 4.0))
    )
    text = text.replace(
        "SPECIAL 4B S_MAXIM: SPECIFIC 3\n", f"SPECIAL 4B S_MAXIM: SPECIFIC 5\n{own}"
    )
    text = re.sub(r"(# HIERARC #\s*\n\s*)true", r"\1false", text)
    path = folder / "fm_setup.in"
    path.write_text(text)
    return read_setup(path)


def frozen_columns(joint, hierarchical):
    """Which columns of the joint matrix are of the tiles, and the coefficients of these."""
    tiles = [ChimesModel.read(path) for path in TILES]
    frozen, values = [], []

    def take(numbers):
        frozen.extend([True] * len(numbers))
        values.extend(numbers)

    for i, pair in enumerate(joint.pairs):
        n = joint.orders[0]
        if i not in hierarchical.excluded_pairs:
            frozen.extend([False] * n)
            continue
        tile = next(t for t in tiles if t.basis.pairs[0].name == pair.name)
        own = tile.coefficients.pairs[0]
        take([*own, *[0.0] * (n - len(own))])
    for body in ("triplets", "quads"):
        pairs = zip(getattr(joint, body), getattr(hierarchical, body), strict=True)
        for cluster, reduced in pairs:
            assert Counter(cluster.elements) == Counter(reduced.elements)
            if not reduced.excluded:
                frozen.extend([False] * cluster.n_parameters)
                continue
            tile = next(t for t in tiles if t.basis.types[0].name == cluster.elements[0])
            own = getattr(tile.basis, body)[0]
            coefficients = getattr(tile.coefficients, body)[0]
            known = {tuple(p): c for p, c in zip(own.powers.tolist(), coefficients, strict=True)}
            numbers = np.zeros(cluster.n_parameters)
            for powers, k in zip(cluster.powers.tolist(), cluster.parameters, strict=True):
                numbers[k] = known.get(tuple(powers), 0.0)
            take(numbers)
    take([t.coefficients.offsets[0] for t in tiles])
    return np.array(frozen), np.array(values)
