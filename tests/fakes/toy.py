"""A toy program for labels: reads `in.json`, writes `out.txt`. Its atoms repel with q q' exp(−r²/2), in eV and Å."""

import json
from itertools import product
from pathlib import Path

import numpy as np

REACH = 8.0
"""Å; beyond, nothing is left"""
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def compute(numbers, positions, cell):
    """Energy, forces and stress of a periodic configuration."""
    q = np.sqrt(numbers)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    reach = [range(-n, n + 1) for n in np.ceil(REACH / heights).astype(int)]
    shifts = np.array(list(product(*reach))) @ cell
    d = positions[None, :, None, :] - positions[:, None, None, :] + shifts[None, None, :, :]
    values = (q[:, None] * q[None, :])[:, :, None] * np.exp(-0.5 * (d**2).sum(axis=-1))
    energy = 0.5 * (values.sum() - (q**2).sum())
    forces = -(values[..., None] * d).sum(axis=(1, 2))
    volume = abs(np.linalg.det(cell))
    stress = [-0.5 * (values * d[..., a] * d[..., b]).sum() / volume for a, b in VOIGT]
    return energy, forces, np.array(stress)


def main(folder=Path()):
    """Compute what stands in `in.json`."""
    asked = json.loads((folder / "in.json").read_text())
    positions, cell = np.array(asked["positions"]), np.array(asked["cell"])
    energy, forces, stress = compute(np.array(asked["numbers"]), positions, cell)
    rows = {"cell": cell, "positions": positions, "forces": forces, "stress": [stress]}
    lines = ["numbers", " ".join(map(str, asked["numbers"]))]
    for name, values in rows.items():
        lines += [name, *(" ".join(f"{v:.12e}" for v in row) for row in values)]
    lines += ["energy", f"{energy:.12e}", "done"]
    (folder / "out.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
