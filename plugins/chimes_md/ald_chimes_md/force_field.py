"""What a parameter file says about the forces, in the form that compiled code evaluates."""

from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis, InnerRule
from ald_chimes_lsq.engine import PackedModel, pack
from ald_chimes_lsq.ewald import atom_charges, pack_ewald, type_charges
from ald_chimes_lsq.formats.tokens import read_text
from ald_chimes_lsq.lennard_jones import LennardJones, is_lennard_jones
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_md.interaction_kernels import Interactions
from ald_core.errors import InputError

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class ForceField:
    """A ChIMES or a Lennard-Jones model, perhaps with charges."""

    basis: Basis
    packed: PackedModel
    epsilon: Floats
    sigma: Floats
    """(n_pairs,), empty for ChIMES"""
    charges: Floats
    """(n_types,) e"""
    offsets: Floats | None
    """(n_types,) kcal/mol"""

    @property
    def reach(self) -> float:
        """The largest cutoff of the short range, Å."""
        return float(self.packed.pair_range.max())


def read_force_field(path: Path, inner: InnerRule | None = None) -> ForceField:
    """Read a parameter file.

    Args:
        path: of the file.
        inner: what the polynomials become inside the inner cutoffs, if not what is usual.

    Raises:
        InputError: the file is malformed, or its charges contradict each other.
    """
    none = np.zeros(0)
    if is_lennard_jones(path):
        fluid = LennardJones.read(path)
        charges = _charges(fluid, path)
        return ForceField(fluid.basis, fluid.pack(), fluid.epsilon, fluid.sigma, charges, None)
    model = ChimesModel.read(path)
    if inner is not None:
        model = attrs.evolve(model, basis=attrs.evolve(model.basis, inner=inner))
    offsets = model.coefficients.offsets
    return ForceField(model.basis, pack(model), none, none, _charges(model, path), offsets)


def interactions(field: ForceField, types: NDArray[np.int64], cell: Floats) -> Interactions:
    """The force field for some atoms; the split of the Ewald sum is chosen for the first cell of the run."""
    charged = bool(field.charges.any())
    n_charges = len(types) if charged else 0
    own = atom_charges(field.charges, types) if charged else np.zeros(0)
    return Interactions(
        short_range=field.packed,
        epsilon=field.epsilon,
        sigma=field.sigma,
        charges=own,
        ewald=pack_ewald(n_charges, cell if charged else np.eye(3)),
        kinds=np.zeros(n_charges, dtype=np.int64),
    )


def _charges(model: ChimesModel | LennardJones, path: Path) -> Floats:
    try:
        return type_charges(model.basis, model.coefficients)
    except InputError as error:
        lines = read_text(path).splitlines()
        first = next((n for n, line in enumerate(lines, 1) if line.startswith("q_")), None)
        raise error.at(path, first) from None
