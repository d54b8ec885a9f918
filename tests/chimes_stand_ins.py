"""Programs with the names and command lines of the ChIMES programs, which call the embedded engine's own commands."""

import sys
from pathlib import Path

PYTHON = """\
#!{python}
import sys
from ald_core.cli import main
sys.argv[1:1] = ["chimes", "{word}"]
try:
    main()
except SystemExit:
    pass
"""
"""Like the programs, it ends with status 0 whatever has happened."""
WORDS = {"chimes_lsq": "lsq", "chimes_lsq.py": "solve", "chimes_md": "md"}


def install(folder: Path) -> Path:
    """Make the programs in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, word in WORDS.items():
        (folder / name).write_text(PYTHON.format(python=sys.executable, word=word))
        (folder / name).chmod(0o755)
    return folder


def script(path: Path, body: str) -> Path:
    """An executable shell script."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path
