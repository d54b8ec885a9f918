"""Units and constants of the ChIMES programs; the only place where they are converted to ASE's.

Native units: kcal/mol, Å, kcal/mol/Å, stress kcal/mol/Å³ (positive in compression), g/mol.
"""

import ase.units

HARTREE_FORCE = 627.50960803 * 1.889725989
"""kcal/mol/Å per Hartree/bohr, as the design-matrix generator reads forces."""
HARTREE = 627.50961
"""kcal/mol, everywhere else (files written by the MD program)."""
BOHR_PER_ANGSTROM = 1.889725989
GPA = 6.9476955
"""GPa per kcal/mol/Å³."""
GPA_PRINTED = 6.9479
"""GPa per kcal/mol/Å³ in the print-out of the calculator program."""
COULOMB = 332.0637157615209
"""kcal·Å/mol/e²"""
BOLTZMANN = 0.0019872067
"""kcal/mol/K"""
TIME = 48.888
"""fs per internal time unit of the MD program."""
TERSOFF_PI = 3.14159265359
"""π as the cutoff function has it: twelve digits."""

KCAL_PER_MOL = ase.units.kcal / ase.units.mol
"""eV per kcal/mol (ASE's CODATA values)."""
