"""A program: executes a `config.py` because its user trusts it, and says what values its names have then, as JSON.

Run as `python -m ald_core.legacy.execution config.py`, so that the file can do no harm to the `ald` that asks.
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

from ald_core.errors import InputError

SECONDS = 60.0


def execute(path: Path) -> dict[str, Any]:
    """The values of all names, as far as they are text, numbers, lists, tuples and tables.

    Raises:
        InputError: it fails, or takes longer than a minute.
    """
    command = [sys.executable, "-m", "ald_core.legacy.execution", path.name]
    try:
        done = subprocess.run(
            command, cwd=path.parent, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise InputError(f"was not executed within {SECONDS:g} seconds", path=path) from None
    except (OSError, ValueError, IndexError):
        raise InputError("could not be executed; it ended the program", path=path) from None
    if "failure" in answer:
        raise InputError(f"could not be executed ({answer['failure']})", path=path)
    values: dict[str, Any] = answer["values"]
    return values


def main(name: str) -> None:
    """Execute the file and print its names."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            found = runpy.run_path(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the file may do anything
        print(json.dumps({"failure": f"{type(error).__name__}: {error}"}))  # noqa: T201
        return
    values = {k: v for k, v in found.items() if not k.startswith("_") and _is_plain(v)}
    print(json.dumps({"values": values}))  # noqa: T201


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) for k in value) and all(map(_is_plain, value.values()))
    return value is None or isinstance(value, (str, int, float, bool))


if __name__ == "__main__":
    main(sys.argv[1])
