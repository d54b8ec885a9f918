"""Units that the core shows to people or takes from them. Inside, everything is eV and Å (`ase.units`)."""

from ase import units

KCAL_PER_MOL = units.kcal / units.mol
"""eV per kcal/mol: weight formulas and reports speak kcal/mol, as ChIMES users do."""

GPA = units.GPa
"""eV/Å³ per GPa"""
