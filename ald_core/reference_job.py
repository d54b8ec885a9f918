"""The program of the reference crew: `python -m ald_core.reference_job label|fit|md|predict` in a prepared folder.

It reads `request.json` and writes what its role promises. It starts in a tenth of a second, because it needs numpy and
ASE's constants only, and a study has many small jobs. Sums are numpy's, not the linear-algebra library's, so that the
bytes do not depend on the number of threads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from ase.data import atomic_masses, chemical_symbols
from ase.units import fs, kB, kcal, mol
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

REQUEST = "request.json"
ANSWER = "answer.json"
PARAMETERS = "params.json"
COMPARE = "compare.txt"
TRAJECTORY = "trajectory.extxyz"
STATISTICS = "md_statistics.out"

CUTOFF = 3.0
"""Å; pairs farther apart do not interact. Nothing is shifted, so that the energy stays linear in the coefficients."""
POWERS = (12, 6)
LENNARD_JONES = np.array([4.0, -4.0])
"""Coefficients of r⁻¹² and r⁻⁶ (eV, Å) for σ = ε = 1."""
HOT = 1e7
"""K; a run that gets there has exploded."""


@attrs.frozen(eq=False)
class Basis:
    """Energy, forces and stress of one frame for each power of 1/r with coefficient 1."""

    energy: FloatArray
    """(2,)"""
    forces: FloatArray
    """(2, n_atoms, 3)"""
    stress: FloatArray | None
    """(2, 6) Voigt, positive in tension; None unless periodic in all directions"""
    closest: float
    """Å, the shortest distance within the cutoff; infinite without a pair"""


def basis(positions: FloatArray, cell: FloatArray, pbc: Sequence[bool]) -> Basis:
    """Sum over all pairs and all their periodic images within the cutoff, for any cell however small or skewed."""
    periodic = np.array(pbc, dtype=bool)
    vectors = positions[None, :, :] - positions[:, None, :]
    shifts = np.zeros((1, 3))
    if periodic.any():
        whole = _complete(cell, periodic)
        reciprocal = np.linalg.inv(whole).astype(np.float64)
        fractions = _times(vectors, reciprocal)
        vectors = vectors - _times(np.rint(fractions) * periodic, whole)
        heights = 1.0 / np.sqrt((reciprocal**2).sum(axis=0))
        reach = np.where(periodic, np.floor(CUTOFF / heights + 0.5), 0).astype(int)
        shifts = _times(np.array(list(np.ndindex(*(2 * reach + 1)))) - reach, whole)
    images = vectors[:, :, None, :] + shifts
    squares = (images**2).sum(axis=-1)
    near = (squares < CUTOFF**2) & ~_selves(len(positions), shifts)
    first = np.nonzero(near)[0]
    pair, r2 = images[near], squares[near]
    values = np.array([r2 ** (-p / 2) for p in POWERS])
    slopes = np.array([-p * r2 ** (-p / 2 - 1) for p in POWERS])  # derivative over distance
    forces = np.zeros((2, len(positions), 3))
    for k in range(2):
        np.add.at(forces[k], first, slopes[k][:, None] * pair)
    stress = None
    if periodic.all():
        products = np.stack(
            [pair[:, a] * pair[:, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]
        )
        volume = abs(float(np.linalg.det(cell)))
        stress = 0.5 * (slopes[:, None, :] * products).sum(axis=-1) / volume
    closest = float(np.sqrt(r2.min())) if r2.size else float("inf")
    return Basis(0.5 * values.sum(axis=-1), forces, stress, closest)


def _complete(cell: FloatArray, periodic: NDArray[np.bool_]) -> FloatArray:
    """The cell, with unit vectors across where it is not periodic."""
    whole = np.where(periodic[:, None], cell, 0.0)
    _, _, across = np.linalg.svd(whole)
    whole[~periodic] = across[int(periodic.sum()) :]
    return whole


def _times(vectors: FloatArray, matrix: FloatArray) -> FloatArray:
    return np.asarray((vectors[..., :, None] * matrix).sum(axis=-2))


def _selves(n: int, shifts: FloatArray) -> NDArray[np.bool_]:
    """(n, n, images): where an atom would meet itself."""
    here = (shifts**2).sum(axis=-1) == 0.0
    return np.asarray(np.eye(n, dtype=bool)[:, :, None] & here)


# ---------------------------------------------------------------- label and predict


def _basis_of(frame: Mapping[str, Any]) -> Basis:
    return basis(np.array(frame["positions"]), np.array(frame["cell"]), frame["pbc"])


def _labels(frame: Mapping[str, Any], coefficients: FloatArray) -> dict[str, Any]:
    found = _basis_of(frame)
    forces = coefficients[:, None, None] * found.forces
    stress = None
    if found.stress is not None:
        stress = (coefficients[:, None] * found.stress).sum(axis=0).tolist()
    return {
        "energy": float((coefficients * found.energy).sum()),
        "forces": forces.sum(axis=0).tolist(),
        "stress": stress,
    }


def label(request: Mapping[str, Any]) -> None:
    """Energy, forces and stress of one frame by the Lennard-Jones potential."""
    _write(ANSWER, _labels(request["frame"], LENNARD_JONES))


def predict(request: Mapping[str, Any]) -> None:
    """The same for several frames by a fitted model."""
    coefficients = np.array(request["coefficients"])
    _write(ANSWER, [_labels(frame, coefficients) for frame in request["frames"]])


# ---------------------------------------------------------------- fit


def fit(request: Mapping[str, Any]) -> None:
    """Weighted least squares for the two coefficients over all energies, forces and stresses."""
    rows, values, weights, compare = [], [], [], []
    for item in request["training"]:
        found, labels, weight = _basis_of(item["frame"]), item["labels"], item["weights"]
        parts = (("energy", found.energy), ("forces", found.forces), ("stress", found.stress))
        for name, columns in parts:
            if columns is None or labels[name] is None:
                continue
            rows.append(columns.reshape(2, -1))
            values.append(np.ravel(labels[name]))
            weights.append(np.ravel(weight[name]))
        if labels["forces"] is not None:
            compare.append((np.ravel(labels["forces"]), found.forces.reshape(2, -1)))
    factors = np.concatenate(weights)
    columns, b = np.concatenate(rows, axis=1) * factors, np.concatenate(values) * factors
    coefficients = _least_squares(columns[0], columns[1], b)
    residual = (coefficients[:, None] * columns).sum(axis=0) - b
    fitted = {
        "format": "reference",
        "cutoff": CUTOFF,
        "c12": coefficients[0],
        "c6": coefficients[1],
    }
    _write(PARAMETERS, fitted)
    _write_compare(compare, coefficients)
    _write(ANSWER, {"rows": len(b), "weighted_rmse": float(np.sqrt(np.mean(residual**2)))})


def _least_squares(a: FloatArray, b: FloatArray, target: FloatArray) -> FloatArray:
    """Two columns by Gram–Schmidt, in a fixed order of sums."""
    mixing = (a * b).sum() / (a * a).sum()
    across = b - mixing * a
    second = (across * target).sum() / (across * across).sum()
    first = (a * (target - second * b)).sum() / (a * a).sum()
    return np.array([first, second])


def _write_compare(parts: list[tuple[FloatArray, FloatArray]], coefficients: FloatArray) -> None:
    """Reference and fitted force per component, kcal/mol/Å."""
    unit = kcal / mol
    lines = [
        f"{reference / unit:.10f} {said / unit:.10f}\n"
        for forces, columns in parts
        for reference, said in zip(
            forces, (coefficients[:, None] * columns).sum(axis=0), strict=True
        )
    ]
    Path(COMPARE).write_text("".join(lines))


# ---------------------------------------------------------------- molecular dynamics


def md(request: Mapping[str, Any]) -> None:
    """Constant energy, velocity Verlet; velocities from a Maxwell distribution by seed."""
    frame = request["frame"]
    coefficients, cell = np.array(request["coefficients"]), np.array(frame["cell"])
    positions = np.array(frame["positions"])
    masses = atomic_masses[frame["numbers"]][:, None]
    velocities = _velocities(masses, request["temperature"], request["seed"])
    dt = request["timestep"] * fs
    state = basis(positions, cell, frame["pbc"])
    start = last = _energy(state, coefficients, masses, velocities)
    counts, kept, images, reason, drift, step = [0, 0, 0], [], [], "", 0.0, 0
    lines = ["# step  time/fs  temperature/K  potential  conserved (eV/atom)\n"]
    for step in range(1, request["steps"] + 1):
        velocities = velocities + 0.5 * dt * _forces(state, coefficients) / masses
        positions = positions + dt * velocities
        state = basis(positions, cell, frame["pbc"])
        velocities = velocities + 0.5 * dt * _forces(state, coefficients) / masses
        last = _energy(state, coefficients, masses, velocities)
        temperature = 2.0 * last[0] / (3.0 * len(masses) * kB)
        if not np.isfinite(sum(last)) or temperature > HOT:
            reason = "the energy is not finite" if not np.isfinite(sum(last)) else "it exploded"
            break
        drift = max(drift, abs(sum(last) - sum(start)) / len(masses))
        contact = _contact_class(state.closest, request)
        counts[contact] += 1
        if step % request["stride"] == 0:
            kept.append([step, contact])
            images.append(_image(positions, frame, step))
            values = (step * request["timestep"], temperature, last[1] / len(masses))
            text = "  ".join(f"{value:.8g}" for value in (*values, sum(last) / len(masses)))
            lines.append(f"{step}  {text}\n")
    Path(TRAJECTORY).write_text("".join(images))
    Path(STATISTICS).write_text("".join(lines))
    result = {"frames": kept, "counts": counts, "drift": drift, "reason": reason}
    _write(ANSWER, {"steps": step, "planned": request["steps"], **result})


def _velocities(masses: FloatArray, temperature: float, seed: int) -> FloatArray:
    noise = np.random.default_rng(seed).standard_normal((len(masses), 3))
    velocities = np.asarray(noise * np.sqrt(kB * temperature / masses))
    return np.asarray(velocities - (masses * velocities).sum(axis=0) / masses.sum())


def _forces(state: Basis, coefficients: FloatArray) -> FloatArray:
    return np.asarray((coefficients[:, None, None] * state.forces).sum(axis=0))


def _energy(
    state: Basis, coefficients: FloatArray, masses: FloatArray, velocities: FloatArray
) -> tuple[float, float]:
    """Kinetic and potential energy, eV."""
    return (
        0.5 * float((masses * velocities**2).sum()),
        float((coefficients * state.energy).sum()),
    )


def _contact_class(closest: float, request: Mapping[str, Any]) -> int:
    if closest < request["inner_cutoff"]:
        return 2
    return 1 if closest < request["inner_cutoff"] + request["penalty_zone"] else 0


def _image(positions: FloatArray, frame: Mapping[str, Any], step: int) -> str:
    """One frame as extended XYZ with all digits, so that it is read back exactly."""
    cell = " ".join(repr(x) for x in np.ravel(frame["cell"]).tolist())
    pbc = " ".join("T" if p else "F" for p in frame["pbc"])
    head = f'Lattice="{cell}" Properties=species:S:1:pos:R:3 step={step} pbc="{pbc}"'
    atoms = [
        f"{chemical_symbols[z]} {x!r} {y!r} {w!r}"
        for z, (x, y, w) in zip(frame["numbers"], positions.tolist(), strict=True)
    ]
    return "\n".join([str(len(atoms)), head, *atoms]) + "\n"


def _write(name: str, values: Any) -> None:
    Path(name).write_text(json.dumps(values) + "\n")


ROLES: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "label": label,
    "fit": fit,
    "md": md,
    "predict": predict,
}


def main() -> None:
    """Run the role named on the command line in the current folder."""
    ROLES[sys.argv[1]](json.loads(Path(REQUEST).read_text()))


if __name__ == "__main__":
    main()
