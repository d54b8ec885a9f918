"""All times of the ChIMES engine beside their targets: `python benchmarks/targets.py`. See README.md."""

from design_matrices import design_lines
from dynamics import dynamics_lines
from energies import energy_lines
from fits import fit_lines
from memory import memory_lines
from table import print_lines

if __name__ == "__main__":
    print_lines(design_lines(), energy_lines(), dynamics_lines(), fit_lines(), memory_lines())
