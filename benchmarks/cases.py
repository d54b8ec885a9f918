"""The models and configurations of the benchmarks, from the data of the tests and of the example."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ald_chimes_lsq.basis import AtomType, Basis, Cutoff, PairType
from ald_chimes_lsq.formats.configuration import read_configuration
from ald_chimes_lsq.formats.setup import FitSetup, read_setup
from ald_chimes_lsq.formats.xyzf import XyzfFrame, iterate_xyzf, read_xyzf
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.topology import EdgeCutoffs, SpecialCutoffs, build_basis

Floats = NDArray[np.float64]

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
OXIDE_REACH, ORGANIC_REACH = 5.0, 5.5
"""Å; cutoffs of 4-body terms"""
EXAMPLE = ROOT / "examples" / "molten_carbon" / "inputs"


@attrs.frozen(eq=False)
class Structure:
    """Atoms in a cell that is periodic in all directions."""

    elements: tuple[str, ...]
    positions: Floats
    cell: Floats

    @classmethod
    def of(cls, source: XyzfFrame | Atoms) -> "Structure":
        """From a frame of a trajectory, or from atoms."""
        if isinstance(source, XyzfFrame):
            return cls(source.elements, source.positions, source.cell)
        return cls(
            tuple(source.get_chemical_symbols()), source.positions.copy(), source.cell.array.copy()
        )

    @property
    def atoms(self) -> Atoms:
        """For ASE."""
        return Atoms(self.elements, self.positions, cell=self.cell, pbc=True)

    def displaced(self, rng: np.random.Generator, width: float = 0.05) -> "Structure":
        """With every coordinate moved at random (Å)."""
        moves = rng.normal(0.0, width, self.positions.shape)
        return attrs.evolve(self, positions=self.positions + moves)

    def first(self, n: int) -> "Structure":
        """Only the first atoms, in the same cell."""
        return attrs.evolve(self, elements=self.elements[:n], positions=self.positions[:n])


def water(orders: tuple[int, int, int], cutoff: Cutoff | None = None) -> Basis:
    """Water with cutoffs of 5 Å."""
    limits = {("O", "O"): 1.0, ("H", "H"): 0.8, ("O", "H"): 0.8}
    pairs = [PairType(a, b, rmin, 5.0, 2.0) for (a, b), rmin in limits.items()]
    types = [AtomType("O", 15.9994), AtomType("H", 1.0079)]
    return build_basis(types, pairs, orders, "MORSE", cutoff)


def water_setup() -> FitSetup:
    """Water with 2-, 3- and 4-body terms and fitted charges."""
    return read_setup(DATA / "chimes_lsq" / "h2o-4bcheby" / "fm_setup.in")


def water_frames() -> list[XyzfFrame]:
    """33 frames of 96 atoms."""
    packed = DATA / "chimes_programs" / "h2o-4bcheby.xyzf.gz"
    return list(iterate_xyzf(gzip.decompress(packed.read_bytes()).decode()))


def carbon_oxide(orders: tuple[int, int, int], reach: float) -> Basis:
    """C/O with the pairs and 3-body cutoffs of the published model of liquid CO, Tersoff smoothing, 4-body cutoff."""
    types = [AtomType("C", 12.011), AtomType("O", 15.999)]
    pairs = [
        PairType("C", "C", 0.988, 8.0, 1.35),
        PairType("O", "O", 0.911, 8.0, 2.55),
        PairType("C", "O", 0.876, 8.0, 1.15),
    ]
    special = (
        EdgeCutoffs("CCCCCC", ("CC", "CC", "CC"), (4.4, 4.4, 4.4)),
        EdgeCutoffs("CCCOCO", ("CC", "CO", "CO"), (4.4, 4.0, 4.0)),
        EdgeCutoffs("COCOOO", ("CO", "CO", "OO"), (4.0, 4.0, 6.5)),
        EdgeCutoffs("OOOOOO", ("OO", "OO", "OO"), (6.5, 6.5, 6.5)),
    )
    specials = [
        SpecialCutoffs(3, "S_MAXIM", clusters=special),
        SpecialCutoffs(4, "S_MAXIM", reach),
    ]
    return build_basis(types, pairs, orders, "MORSE", Cutoff("TERSOFF", 0.5), specials=specials)


def stress_setup() -> FitSetup:
    """C/H/O with 2-body terms, and rows for stress and energy."""
    return read_setup(DATA / "chimes_lsq" / "stress-and-ener-2b1" / "fm_setup.in")


def organic(reach: float) -> Basis:
    """C/H/O 12/5/3 with the pairs of the fit `stress-and-ener-2b1`; special cutoffs for triplets without oxygen."""
    known = stress_setup().basis
    special = (
        EdgeCutoffs("CCCCCC", ("CC", "CC", "CC"), (5.0, 5.0, 5.0)),
        EdgeCutoffs("CCCHCH", ("CC", "CH", "CH"), (5.0, 5.0, 5.0)),
        EdgeCutoffs("CHCHHH", ("CH", "CH", "HH"), (5.0, 5.0, 5.0)),
        EdgeCutoffs("HHHHHH", ("HH", "HH", "HH"), (5.0, 5.0, 5.0)),
    )
    specials = [
        SpecialCutoffs(3, "S_MAXIM", clusters=special),
        SpecialCutoffs(4, "S_MAXIM", reach),
    ]
    cutoff = Cutoff("TERSOFF", 0.5)
    return build_basis(known.types, known.pairs, (12, 5, 3), "MORSE", cutoff, specials=specials)


def organic_frames() -> list[XyzfFrame]:
    """2 frames of 132 atoms of C, H and O, with stress and energy."""
    return read_xyzf(DATA / "chimes_design" / "stress-and-ener-2b1.xyzf")


def special_setup() -> FitSetup:
    """CO 12/5/0 with special 3-body cutoffs."""
    return read_setup(DATA / "chimes_lsq" / "special3b" / "fm_setup.in")


def special_frames() -> list[Structure]:
    """2 frames of 64 atoms of C and O."""
    return [Structure.of(f) for f in read_xyzf(DATA / "chimes_design" / "special3b.xyzf")]


def configuration(name: str) -> Structure:
    """A configuration of the calculator's tests, by its name without `.xyz`."""
    return Structure.of(read_configuration(DATA / "chimes_calculator" / f"{name}.xyz").atoms)


def parameters(name: str) -> Path:
    """The file `published_params.NAME.txt`."""
    file = f"published_params.{name}.txt"
    own = DATA / "chimes_calculator" / file
    return own if own.exists() else DATA / "chimes_lsq" / "parameters" / file


def random_model(basis: Basis, seed: int = 0) -> ChimesModel:
    """A model with random coefficients."""
    rng = np.random.default_rng(seed)
    return ChimesModel(basis, expand(basis, rng.normal(size=basis.n_short_range)))


def relabelled(structure: Structure, elements: Sequence[str], seed: int = 0) -> Structure:
    """The same places with elements at random."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(list(elements), len(structure.elements))
    return attrs.evolve(structure, elements=tuple(str(name) for name in chosen))
