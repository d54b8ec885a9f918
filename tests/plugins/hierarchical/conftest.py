"""Small models of two elements, frames that they label, and jobs for the fitters on top of them."""

from pathlib import Path
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
from ase import Atoms

from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.fitter import ChimesFitter
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import expand
from ald_core.types import (
    Frame,
    FrameWeights,
    LabeledFrame,
    Labels,
    Origin,
    TrainingSet,
    Weights,
)
from ald_hierarchical.hierarchical import HierarchicalFitter

SETUP = """\
# TRJFILE #
 none.xyzf
# PAIRTYP #
 CHEBYSHEV {orders}
# CHBTYPE #
 MORSE
# FITENER #
 true
# FITSTRS #
 ALL
# HIERARC #
 {hierarchical}

{excluded}
# NATMTYP #
 {n}
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
{types}
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA #
{pairs}
# FCUTTYP #
 CUBIC
# ENDFILE #
"""
EXCLUDED = """\
EXCLUDE 1B INTERACTION: 2
C
N

EXCLUDE 2B INTERACTION: 2
C C
N N

EXCLUDE 3B INTERACTION: 2
C C C
N N N
"""
MASSES = {"C": 12.011, "N": 14.007}
CUTOFFS = {"CC": "0.8 3.6 0.01 1.4", "NN": "0.7 3.4 0.01 1.1", "CN": "0.75 3.5 0.01 1.3"}
CELL = np.array([[5.3, 0.3, -0.2], [1.1, 5.0, 0.4], [-0.7, 0.8, 5.5]])


def setup_text(elements, orders, *, excluded=""):
    """A control file for one element or both."""
    types = [f"{i} {e} 0.0 {MASSES[e]}" for i, e in enumerate(elements, start=1)]
    names = [2 * e for e in elements] + (["CN"] if len(elements) == 2 else [])
    pairs = [f"{i} {p[0]} {p[1]} {CUTOFFS[p]}" for i, p in enumerate(names, start=1)]
    return SETUP.format(
        orders=orders,
        hierarchical="true" if excluded else "false",
        excluded=excluded,
        n=len(elements),
        types="\n".join(types),
        pairs="\n".join(pairs),
    )


def random_model(path, text, seed):
    """A model with coefficients of its own for all that a control file fits."""
    path.with_suffix(".setup").write_text(text)
    basis = read_setup(path.with_suffix(".setup")).basis
    n = basis.n_short_range + len(basis.types) - len(basis.excluded_types)
    x = np.random.default_rng(seed).normal(0.0, 5.0, n)
    ChimesModel(basis, expand(basis, x)).write(path)
    return ChimesModel.read(path)


def atoms(seed, elements="CCCCNNNN"):
    """Atoms that are not too close to each other."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[[0.1, 0.6]] * 3), axis=-1).reshape(-1, 3)[: len(elements)]
    return Atoms(
        elements, scaled_positions=grid + rng.uniform(-0.07, 0.07, grid.shape), cell=CELL, pbc=True
    )


def said_by(parts, configuration):
    """The sum of models, each for the atoms that it knows; labels in eV and Å."""
    energy, forces, stress = 0.0, np.zeros((len(configuration), 3)), np.zeros((3, 3))
    for model in parts:
        own = np.isin(configuration.get_chemical_symbols(), [t.name for t in model.basis.types])
        said = model.evaluate(configuration[own], penalty=False)
        energy += said.energy
        forces[own] += said.forces
        stress += said.stress
    voigt = -stress.ravel()[[0, 4, 8, 5, 2, 1]]
    return Labels(energy * KCAL_PER_MOL, forces * KCAL_PER_MOL, voigt * KCAL_PER_MOL)


def labeled(number, configuration, labels, cycle=0):
    """A frame of the training set."""
    frame = Frame(configuration, Origin(cycle, "liquid", number), 1000.0 + number)
    return LabeledFrame(frame, labels, "given", cycle + 1)


def weights(training):
    """The same for all frames."""
    return Weights(
        {
            f.frame.id: FrameWeights(np.ones((len(f.frame.atoms), 3)), 0.3, np.full(6, 10.0))
            for f in training.fitted
        }
    )


@attrs.frozen
class World:
    """Models of carbon, of nitrogen and of what they do to each other, and frames that their sum labels."""

    folder: Path
    parts: list[ChimesModel]
    training: TrainingSet

    @property
    def tiles(self):
        return self.folder / "C.params.txt", self.folder / "N.params.txt"

    def fitter(self, **options):
        setup = self.folder / "CN.setup"
        inner = ChimesFitter(setup=setup, algorithm="svd", alpha=1e-12)
        return HierarchicalFitter(**{"tiles": self.tiles, "inner": inner} | options)


def make_world(folder, n_frames=10):
    """A world in a folder, which is made."""
    folder.mkdir(parents=True)
    parts = [
        random_model(folder / "C.params.txt", setup_text("C", "4 2 0"), 1),
        random_model(folder / "N.params.txt", setup_text("N", "5 2 0"), 2),
        random_model(folder / "CN.txt", setup_text("CN", "5 3 0", excluded=EXCLUDED), 3),
    ]
    elements = ["CCCCNNNN", "CNNN", "CCC", "NCNCCN"]
    frames = [atoms(i, elements[i % 4]) for i in range(n_frames)]
    known = [labeled(i, a, said_by(parts, a)) for i, a in enumerate(frames)]
    return World(folder, parts, TrainingSet().grow(known))


@pytest.fixture(scope="session")
def tools():
    """The tools of this file."""
    return SimpleNamespace(
        atoms=atoms, labeled=labeled, make_world=make_world, said_by=said_by, weights=weights
    )


@pytest.fixture
def world(tmp_path):
    """A world of its own."""
    return make_world(tmp_path / "world")
