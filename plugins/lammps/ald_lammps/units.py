"""The unit styles of LAMMPS that have Å, and what they are in ASE's units."""

import ase.units
import attrs


@attrs.frozen
class Units:
    """Factors from a unit style to eV, Å and fs."""

    energy: float
    """eV; a force unit is this per Å"""
    pressure: float
    """eV/Å³. LAMMPS multiplies virial/volume by a constant of its own (`nktv2p` in its update.cpp), which is undone
    with the same digits, so that stresses are slopes of the energies."""
    time: float
    """fs"""
    gigapascal: float
    """GPa per pressure unit"""


UNITS = {
    "metal": Units(1.0, 1.0 / 1.6021765e6, 1000.0, 1e-4),
    "real": Units(
        ase.units.kcal / ase.units.mol,
        ase.units.kcal / ase.units.mol / 68568.415,
        1.0,
        101325e-9,
    ),
}
"""By the name that the command `units` takes; pressures are bar and atm."""


def unit_words() -> str:
    """The names, for messages."""
    return " or ".join(UNITS)
