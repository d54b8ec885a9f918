"""The labeler `ase`: energies, forces and stresses from any ASE calculator."""
