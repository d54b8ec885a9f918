"""Programs of the user: whether they can be started, and what they said.

The ChIMES programs end with status 0 after many errors, so that nothing here looks at it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ald_core.errors import InputError
from ald_core.script import STDERR, STDOUT
from ald_core.types import Failure

_COMPLAINT = re.compile(r"\b(error|fatal|warning|exiting|traceback|not found)\b", re.IGNORECASE)
_TAIL = 4000
"""Bytes at the end of an output in which a complaint is looked for"""
_MAX_SAID = 150


def program_problems(option: str, path: Path) -> list[str]:
    """Why a program cannot be started, in a sentence each; `option` is its name in the run file."""
    if not path.is_file():
        return [f"{option}: {path} is no program; name an executable file"]
    if not os.access(path, os.X_OK):
        return [f"{option}: {path} is not executable; run `chmod +x` on it, or name another"]
    return []


def absolute(path: Path) -> str:
    """Where a program is, whatever the folder of a job; links are kept, for programs look beside themselves."""
    return os.path.abspath(path)  # noqa: PTH100 -- that of pathlib follows links


def failed(reason: str, workdir: Path) -> Failure:
    """A failure, with the words of the program that explain it most likely."""
    words = last_words(workdir)
    return Failure(f"{reason}; the program said: {words}" if words else reason)


def last_words(workdir: Path) -> str:
    """The last complaint in what a program printed, or else its last line; empty if it said nothing."""
    lines = [line for name in (STDERR, STDOUT) for line in reversed(_tail(workdir / name))]
    complaints = (line for line in lines if _COMPLAINT.search(line))
    said = next(complaints, lines[0] if lines else "")
    return said if len(said) <= _MAX_SAID else f"{said[: _MAX_SAID - 1]}…"


def missing_files(workdir: Path, names: Iterable[str]) -> list[str]:
    """Which files are not there, or empty."""
    paths = [workdir / name for name in names]
    return [path.name for path in paths if not path.is_file() or not path.stat().st_size]


def fault_of(error: InputError) -> str:
    """What is wrong with an output, without a cure that is for files of the user."""
    line = "" if error.line is None else f", line {error.line}"
    name = "" if error.path is None else f"{Path(error.path).name}{line}: "
    return f"{name}{error.fault}"


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            stream.seek(max(path.stat().st_size - _TAIL, 0))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    return [words for line in text.splitlines() if (words := " ".join(line.split()))]
