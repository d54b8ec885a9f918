"""The program that runs in the job: reads `request.json`, calculates, writes `labels.json`.

A calculation that fails is an answer too: its reason is written, and the exit status is 0.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BadConfiguration,
    CalculatorSetupError,
    PropertyNotImplementedError,
)

from ald_ase.calculators import make_calculator
from ald_ase.labeler import ANSWER, REQUEST, configuration_digest, in_one_line
from ald_core.types import FailureKind

NOT_CONVERGED = ("not converged", "did not converge", "convergence", "scf cycles")
"""Words in which calculators say that another path to the answer may work."""
MISTAKES = (
    BadConfiguration,
    CalculatorSetupError,
    FileNotFoundError,
    ImportError,
    PropertyNotImplementedError,
    TypeError,
)
"""Errors that no retry can help: options, files, programs or packages are wrong or missing."""
NO_PROGRAM = "error code 127"
"""How a shell's `command not found` arrives."""


def calculate(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request: energy (eV), forces (eV/Å), stress (eV/Å³, Voigt), or the failure."""
    atoms = Atoms(
        numbers=request["numbers"],
        positions=request["positions"],
        cell=request["cell"],
        pbc=request["pbc"],
    )
    try:
        atoms.calc = make_calculator(request["calculator"], request["options"])
    except Exception as error:  # noqa: BLE001  calculators fail in every possible way
        return {"failure": in_one_line(error), "kind": "input"}
    try:
        answer: dict[str, Any] = {}
        for name in request["properties"]:
            value = np.asarray(atoms.calc.get_property(name, atoms), dtype=float)
            if not np.all(np.isfinite(value)):
                return {"failure": f"the {name} is not finite", "kind": "invalid"}
            answer[name] = value.tolist()
    except Exception as error:  # noqa: BLE001
        return {"failure": in_one_line(error), "kind": _kind(error)}
    return answer


def _kind(error: Exception) -> FailureKind:
    words = str(error).lower()
    if isinstance(error, MISTAKES) or NO_PROGRAM in words:
        return "input"
    return "numerical" if any(known in words for known in NOT_CONVERGED) else "invalid"


def main() -> None:
    """Run in the current folder."""
    request = json.loads(Path(REQUEST).read_text())
    answer = calculate(request) | {"configuration": configuration_digest(request)}
    new = Path(ANSWER + ".new")
    new.write_text(json.dumps(answer) + "\n")
    os.replace(new, ANSWER)  # noqa: PTH105


if __name__ == "__main__":
    main()
