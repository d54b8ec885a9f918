"""The files that a fit leaves in `GEN_FF`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.constants import GPA
from ald_chimes_lsq.formats.params_write import params_text, reduced_text
from ald_chimes_lsq.formats.setup import FitSetup
from ald_chimes_lsq.frame_rows import KINDS, Targets
from ald_chimes_lsq.new_files import NewFiles
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.solvers.solution import Solution, comment_block

Floats = NDArray[np.float64]

REPORT = "report.json"
PARAMETERS = "params.txt"
REDUCED = f"{PARAMETERS}.reduced"
COMPARE = "compare.txt"
FORCES = "force.txt"
SOLUTION = "x.txt"
DOUBLES = "%24.16e\n"
"""Format in which doubles keep all their digits."""
FIT_FILES = (PARAMETERS, REDUCED, COMPARE, FORCES, SOLUTION, REPORT)


def write_fit(
    folder: Path,
    setup: FitSetup,
    solution: Solution,
    targets: Targets,
    said: Floats,
    more: dict[str, Any],
) -> None:
    """Write everything about a fit.

    Args:
        folder: where.
        setup: with the basis.
        solution: the fit.
        targets: what the rows should be.
        said: what they are, Ax.
        more: further entries of the report.

    Raises:
        OSError: a file cannot be written; all are then what they were before.
    """
    rest = said - targets.right
    text = params_text(setup.basis, expand(setup.basis, solution.x), comment_block(solution, rest))
    force = targets.kinds == KINDS.index("force")
    compared = np.column_stack((targets.right[force], said[force]))
    report = fit_report(solution, targets, rest) | more
    with NewFiles() as files:
        files.write(folder / PARAMETERS, text)
        files.write(folder / REDUCED, reduced_text(text))
        files.write(folder / SOLUTION, number_texts(DOUBLES, solution.x))
        files.write(folder / FORCES, number_texts("%13.6e\n", said))
        files.write(folder / COMPARE, number_texts("%13.6e %13.6e\n", compared))
        files.write(folder / REPORT, json.dumps(report, indent=1) + "\n")
        files.publish()


def fit_report(solution: Solution, targets: Targets, rest: Floats) -> dict[str, Any]:
    """Numbers about a fit; `rest` is Ax − b without weights."""
    return {
        "algorithm": solution.algorithm,
        "alpha": solution.alpha,
        "equations": len(rest),
        "variables": len(solution.x),
        "nonzero": int(np.count_nonzero(solution.x)),
        **error_report(targets, rest),
        "optimality": solution.optimality,
        "optimality_limit": solution.rounding,
        "condition": solution.condition if np.isfinite(solution.condition) else None,
        "method": solution.method,
    }


def error_report(targets: Targets, rest: Floats) -> dict[str, float | None]:
    """Root mean square errors of a fit by kind of row; `rest` is Ax − b without weights."""
    return {
        "force_rmse_kcal_per_mol_per_angstrom": _rmse(rest, targets, "force"),
        "stress_rmse_gpa": _rmse(rest, targets, "stress", GPA),
        "energy_rmse_kcal_per_mol": _rmse(rest, targets, "energy"),
    }


def number_texts(form: str, numbers: Floats) -> Iterator[str]:
    """Text of numbers with a %-format for each, or for each row, some thousand at a time."""
    for start in range(0, len(numbers), 4096):
        piece = numbers[start : start + 4096]
        yield form * len(piece) % tuple(piece.ravel().tolist())


def _rmse(rest: Floats, targets: Targets, kind: str, unit: float = 1.0) -> float | None:
    """None where there are no such rows."""
    own = rest[targets.kinds == KINDS.index(kind)]
    return float(np.sqrt(np.mean(own**2))) * unit if len(own) else None
