"""What the stand-ins for programs that cannot be had compute with: GFN1-xTB, so that all of them mean the same."""

from tblite.ase import TBLite


def reference(atoms, temperature=300.0, **options):
    """Energy (eV), forces (eV/Å) and, with a cell, stress (eV/Å³, Voigt, positive in tension)."""
    atoms.calc = TBLite(
        method="GFN1-xTB",
        verbosity=0,
        accuracy=0.01,
        electronic_temperature=temperature,
        **options,
    )
    stress = atoms.get_stress() if atoms.pbc.all() else None
    return atoms.get_potential_energy(), atoms.get_forces(), stress
