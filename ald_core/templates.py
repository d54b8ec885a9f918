"""Studies that come with ald, to be copied by `ald new --template`."""

from __future__ import annotations

import shutil
from pathlib import Path

from ald_core.errors import InputError
from ald_core.options import did_you_mean

_HERE = Path(__file__).parent
PLACES = (_HERE / "templates", _HERE.parent / "examples")
"""In an installed distribution, and in the repository"""
PARTS = ("ald.toml", "README.md", "inputs")


def templates() -> dict[str, Path]:
    """Folders of all templates, by name."""
    return {
        path.parent.name: path.parent
        for place in reversed(PLACES)
        for path in sorted(place.glob("*/ald.toml"))
    }


def new_from_template(name: str, study: Path) -> Path:
    """Copy a template; the run file of the new study.

    Raises:
        InputError: there is no such template, or the folder holds a study already.
    """
    known = templates()
    if name not in known:
        raise InputError(f"there is no template '{name}'{did_you_mean(name, known)}")
    taken = [study / part for part in PARTS if (study / part).exists()]
    if taken:
        raise InputError("exists already; choose another folder", path=taken[0])
    try:
        study.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            source = known[name] / part
            if source.is_dir():
                shutil.copytree(source, study / part, copy_function=shutil.copyfile)
            elif source.exists():
                shutil.copyfile(source, study / part)
    except OSError as error:
        raise InputError(f"cannot be written: {error}", path=study) from error
    return study / PARTS[0]
