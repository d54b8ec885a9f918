"""What an evaluation of a model gives."""

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class Evaluation:
    """What a model says about a configuration, in the native units of ChIMES."""

    energy: float
    """kcal/mol, with the energy offsets of the model"""
    forces: Floats
    """(n, 3) kcal/mol/Å"""
    stress: Floats
    """(3, 3) kcal/mol/Å³, virial part, positive in compression, for the volume of the cell; where atoms have none, for
    that of a cell in which they do not see their images"""
    contact_class: int
    """0: all pairs are apart; 1: some in the penalty zone; 2: some closer than their inner cutoff"""
    atom_energies: Floats | None = None
    """(n,) kcal/mol, which add up to the energy; None if they were not asked for"""
