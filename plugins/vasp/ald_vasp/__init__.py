"""The labeler `vasp`: energies, forces and stresses from single points with VASP."""
