"""What LAMMPS says when it fails."""

from __future__ import annotations

import re
from pathlib import Path

from ald_core.script import STDERR, STDOUT
from ald_core.types import Failure, FailureKind

_ERROR = re.compile(r"^ERROR\b[^\n]*", re.MULTILINE)
_LAST = re.compile(r"^Last (?:input line|command): *([^\n]*)", re.MULTILINE)
_WHERE = re.compile(r"\s*\([\w./-]+:\d+\)\s*$")
_NO_LIBRARY = "error while loading shared libraries"
MAX_REASON = 300
RUNTIME = (
    "lost atoms", "non-numeric", "out of range atoms", "atoms missing", "atom missing", "domain too large",
    "did not assign all atoms", "too far apart", "nan", "neighbor list overflow", "bond atom", "angle atom",
    "simulation box", "inverted", "timeout",
)  # fmt: skip
"""Words of errors that are those of a configuration, not of an input"""
MEMORY = ("failed to allocate", "failed to reallocate", "bad_alloc", "out of memory")


def failure(workdir: Path, missing: str) -> Failure:
    """Why a run has not left what it should; `missing` says what that is."""
    out, err = (_text(workdir / name) for name in (STDOUT, STDERR))
    error = _ERROR.search(out) or _ERROR.search(err)
    if error is not None:
        reason = _WHERE.sub("", error[0])
        last = _LAST.search(out, error.start()) if error.string is out else None
        where = f" (at: {last[1].strip()})" if last else ""
        return Failure(_short(f"LAMMPS: {reason}{where}"), _kind(reason))
    if _NO_LIBRARY in err:
        line = next(x for x in err.splitlines() if _NO_LIBRARY in x)
        return Failure(_short(f"LAMMPS does not start: {line.strip()}"), "input")
    if any(words in err.lower() for words in MEMORY):
        return Failure(_short(f"LAMMPS: {err.strip().splitlines()[-1]}"), "memory")
    said = err.strip().splitlines()
    return Failure(_short(f"{missing}{f': {said[-1].strip()}' if said else ''}"))


def _kind(reason: str) -> FailureKind:
    words = reason.lower()
    if any(word in words for word in MEMORY):
        return "memory"
    return "invalid" if any(word in words for word in RUNTIME) else "input"


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= MAX_REASON else one_line[: MAX_REASON - 1] + "…"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
