"""The program that runs in the fitter's jobs: `fit` or `predict`, in the current folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.design import design_matrix
from ald_chimes_lsq.fitter import (
    FAILURE,
    FRAMES,
    LABELS,
    PARAMETERS,
    REPORT,
    REQUEST,
    SETUP,
    stress_rows,
)
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.params_write import params_text, reduced_text
from ald_chimes_lsq.setup import FitSetup, StressRows, read_setup
from ald_chimes_lsq.solve import Solution, comment_block, solve
from ald_chimes_lsq.structure import periodic_cell
from ald_core.errors import InputError
from ald_core.store import frame_from_json, labels_from_json, labels_to_json
from ald_core.types import Labels

Floats = NDArray[np.float64]
VOIGT = {"none": [], "diagonal": [0, 1, 2], "full": [0, 5, 4, 5, 1, 3, 4, 3, 2]}
"""Voigt component of each stress row: xx yy zz, or xx xy xz yx yy yz zx zy zz."""


def main() -> None:
    """Run `fit` or `predict`; a mistake of the user's is left in `failure.txt`, exit status 0."""
    try:
        {"fit": fit, "predict": predict}[sys.argv[1]]()
    except InputError as error:
        Path(FAILURE).write_text(f"{error}\n")


def fit() -> None:
    """Read the request and the frames, fit, and write the files of `GEN_FF`."""
    request = json.loads(Path(REQUEST).read_text())
    setup = read_setup(Path(SETUP))
    blocks = [_block(setup, values, request["stress"], request["energy"]) for values in _lines()]
    a = np.concatenate([block[0] for block in blocks])
    b, weights, is_force = (np.concatenate([block[i] for block in blocks]) for i in (1, 2, 3))
    solution = solve(a, b, weights, request["algorithm"], request["alpha"])
    _write(setup, solution, a @ solution.x, b, is_force.astype(bool))


def predict() -> None:
    """Read the model and the frames, and write what the model says about each."""
    model = ChimesModel.read(Path(PARAMETERS))
    with Path(LABELS).open("w") as stream:
        for values in _lines():
            frame = frame_from_json(values["frame"])
            said = model.evaluate(frame.atoms, penalty=False)
            stress = -said.stress.ravel()[[0, 4, 8, 5, 2, 1]] * KCAL_PER_MOL
            labels = Labels(said.energy * KCAL_PER_MOL, said.forces * KCAL_PER_MOL, stress)
            stream.write(json.dumps(labels_to_json(labels)) + "\n")


def _lines() -> Iterator[dict[str, Any]]:
    with Path(FRAMES).open() as stream:
        for line in stream:
            yield json.loads(line)


def _block(
    setup: FitSetup, values: dict[str, Any], stress: StressRows, energy: bool
) -> tuple[Floats, Floats, Floats, Floats]:
    """Rows of one frame: matrix, targets, weights (native units), and 1.0 where the row is a force."""
    frame, labels = frame_from_json(values["frame"]), labels_from_json(values["labels"])
    atoms, rows = frame.atoms, stress_rows(frame, stress)
    a = design_matrix(
        setup.basis,
        atoms.get_chemical_symbols(),
        atoms.positions,
        periodic_cell(atoms, setup.basis.max_rmax),
        stress=None if rows == "none" else rows,
        energy=energy,
        offsets=energy,
    )
    own = values["weights"]
    voigt = VOIGT[rows]
    b = [np.ravel(np.asarray(labels.forces))]
    w = [np.ravel(own["forces"])]
    if voigt and labels.stress is not None:
        b.append(-labels.stress[voigt])
        w.append(np.array(own["stress"])[voigt])
    if energy and labels.energy is not None:
        b.append(np.full(3, labels.energy))
        w.append(np.full(3, own["energy"]))
    is_force = np.zeros(len(a))
    is_force[: 3 * len(atoms)] = 1.0
    return a, np.concatenate(b) / KCAL_PER_MOL, np.concatenate(w), is_force


def _write(setup: FitSetup, solution: Solution, said: Floats, b: Floats, is_force: Any) -> None:
    text = params_text(
        setup.basis, expand(setup.basis, solution.x), comment_block(solution, said - b)
    )
    Path(PARAMETERS).write_text(text)
    Path(f"{PARAMETERS}.reduced").write_text(reduced_text(text))
    Path("x.txt").write_text("".join(f"{x:21.13e}\n" for x in solution.x))
    Path("force.txt").write_text("".join(f"{v:13.6e}\n" for v in said))
    pairs = zip(b[is_force], said[is_force], strict=True)
    Path("compare.txt").write_text("".join(f"{want:13.6e} {got:13.6e}\n" for want, got in pairs))
    report = {
        "algorithm": solution.algorithm,
        "alpha": solution.alpha,
        "equations": len(b),
        "variables": len(solution.x),
        "nonzero": int(np.count_nonzero(solution.x)),
        "force_rmse_kcal_per_mol_per_angstrom": float(np.sqrt(np.mean((said - b)[is_force] ** 2))),
        "optimality": _finite(solution.optimality),
        "condition": _finite(solution.condition),
    }
    Path(REPORT).write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")


def _finite(value: float) -> float | None:
    """The number, or None for what JSON cannot say."""
    return value if np.isfinite(value) else None


if __name__ == "__main__":
    main()
