"""LAMMPS: the labeler and the MD engine `lammps`."""
