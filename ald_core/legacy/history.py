"""What the existing driver has left of its cycles: `restart.dat`, and the labels in `ALC-*`."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from ald_core.errors import InputError
from ald_core.legacy.base_files import read_lines, read_temperatures
from ald_core.legacy.trajectories import look_through
from ald_core.types import Kind

RESTART = "restart.dat"
DONE = "COMPLETE"
LAST_STEP = "THIS_ALC"
TARGETS: dict[str, Kind] = {"20": "bulk", "all": "gas"}


@attrs.frozen
class OldCycle:
    """One cycle on record."""

    number: int
    steps: tuple[str, ...]
    """The steps that are complete"""

    @property
    def is_complete(self) -> bool:
        """Whether its labels are."""
        return LAST_STEP in self.steps


@attrs.frozen
class OldLabels:
    """Labels that a cycle has made."""

    cycle: int
    file: Path
    kind: Kind
    temperatures: Path | None
    """One per frame, K"""
    frames: int


def read_restart(folder: Path) -> list[OldCycle]:
    """The cycles that `restart.dat` speaks of, each as its last block has it; nothing if there is no such file.

    Raises:
        InputError: a line that is none of it.
    """
    path = folder / RESTART
    if not path.is_file():
        return []
    found: dict[int, list[str]] = {}
    number: int | None = None
    for n, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "ALC" and value.isdecimal() and len(value) < 6:
            number = int(value)
            found[number] = []
        elif number is not None and value == DONE and re.fullmatch(r"[A-Z_]+", key):
            found[number].append(key)
        else:
            raise InputError(f"'{line.strip()[:60]}' is not understood", path=path, line=n)
    return [OldCycle(n, tuple(steps)) for n, steps in sorted(found.items())]


def old_cycle_folders(folder: Path) -> list[str]:
    """Names of the folders `ALC-*` that the existing driver has made; none if ald has worked here."""
    if (folder / ".ald").exists():
        return []
    found = [
        p.name for p in folder.glob("ALC-*") if p.is_dir() and re.fullmatch(r"ALC-\d+", p.name)
    ]
    return sorted(found, key=lambda name: int(name[4:]))


def finished_labels(folder: Path) -> tuple[list[OldLabels], list[str]]:
    """Labels of the cycles that are complete, and why others are left alone.

    Raises:
        InputError: a `restart.dat` that is none.
    """
    cycles = {c.number: c for c in read_restart(folder)}
    found, remarks = [], []
    for name in old_cycle_folders(folder):
        number = int(name[4:])
        cycle = cycles.get(number)
        files = sorted((folder / name).glob("*-*/OUTCAR.xyzf"))
        if cycle is None or not cycle.is_complete:
            why = f"{RESTART} does not say that this cycle is complete"
            remarks += [f"{file}: left alone, because {why}" for file in files]
            continue
        for file in files:
            try:
                found.append(_labels(file, number))
            except InputError as error:
                remarks.append(f"{error}; left alone")
        if not files:
            remarks.append(f"{folder / name}: holds no labels (OUTCAR.xyzf)")
    return found, remarks


def _labels(file: Path, cycle: int) -> OldLabels:
    kind = TARGETS.get(file.parent.name.rpartition("-")[2])
    if kind is None:
        raise InputError("it is neither of bulk frames (-20) nor of molecules (-all)", path=file)
    if file.with_name(f"{file.name}.original").exists():
        raise InputError("the energies of another model were taken from it", path=file)
    frames = look_through(file).frames
    temps = file.with_suffix(".temps")
    if not temps.is_file():
        return OldLabels(cycle, file, kind, None, frames)
    n = len(read_temperatures(temps))
    if n != frames:
        raise InputError(f"{n} lines for {frames} frames", path=temps)
    return OldLabels(cycle, file, kind, temps, frames)
