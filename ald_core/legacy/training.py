"""The starting set of an old study, and whether `fm_setup.in` and `traj_list.dat` agree about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ald_core.errors import InputError
from ald_core.legacy.base_files import Entry, Value, read_keys, read_temperatures
from ald_core.legacy.config import Config
from ald_core.legacy.trajectories import Contents, look_through


def training_frames(
    config: Config, folder: Path, listing: Path, entries: Sequence[Entry]
) -> tuple[list[dict[str, Any]], dict[str, Contents]]:
    """Tables for `[[training.frames]]`, and what each file holds; problems are put on the config's list."""
    tables = []
    contents = {}
    by_file = config.is_given("FIT_CORRECTION") and config.flag("FIT_CORRECTION")
    by_file = by_file and config.flag("CORRECTED_TEMPS_BY_FILE")
    for entry in entries:
        if entry.frames == 0:
            continue
        path = _place(config, folder, entry)
        where = f"{listing}, line {entry.line}"
        table: dict[str, Any] = {"file": config.in_study(path), "first": entry.frames}
        if entry.temperature is not None:
            table["temperature"] = entry.temperature
        if by_file:
            table.pop("temperature", None)
            table["temperatures"] = config.in_study(path.with_suffix(".temps"))
        if entry.is_gas:
            table["kind"] = "gas"
            if not all("G_" in flag for flag in entry.flags):
                config.problems.append(f"{where}: either all three flags have G_, or none")
        tables.append(table)
        if path.is_file():
            try:
                found = look_through(path)
                _compare(config, path, entry, found, where)
                if found.frames >= entry.frames:
                    contents[entry.file] = found
            except InputError as error:
                config.problems.append(str(error))
        else:
            config.problems.append(f"{where}: there is no file {path}")
    return tables, contents


def _place(config: Config, folder: Path, entry: Entry) -> Path:
    named = config.find(entry.file)
    return named if entry.file.startswith("/") else folder / entry.file


def _compare(config: Config, path: Path, entry: Entry, contents: Contents, where: str) -> None:
    if contents.frames < entry.frames:
        config.problems.append(
            f"{where}: {entry.frames} frames are announced, but {path.name} has {contents.frames}"
        )
    strange = sorted(contents.elements - set(config.texts("ATOM_TYPES")))
    if strange:
        config.problems.append(
            f"{path}: holds {', '.join(strange)}, not among ATOM_TYPES ({', '.join(config.texts('ATOM_TYPES'))})"
        )
    temps = path.with_suffix(".temps")
    if temps.is_file() and len(read_temperatures(temps)) != contents.frames:
        config.problems.append(
            f"{temps}: {len(read_temperatures(temps))} temperatures for {contents.frames} frames"
        )


def check_setup(
    path: Path,
    elements: Sequence[str],
    entries: Sequence[Entry],
    contents: Mapping[str, Contents],
) -> tuple[list[str], list[str]]:
    """Problems and warnings about a `fm_setup.in` and the frames that it speaks of."""
    keys = read_keys(path)
    problems = _check_frames(path, keys, entries)
    warnings = []
    if _word(keys, "SPLITFI").lower() in ("true", "t"):
        place = f"{path}, line {keys['SPLITFI'].line}"
        warnings.append(
            f"{place}: SPLITFI has no effect; ald never writes the design matrix as text"
        )
    number = _word(keys, "NATMTYP")
    if number.isdecimal() and int(number) != len(set(elements)):
        problems.append(
            f"{path}, line {keys['NATMTYP'].line}: NATMTYP is {number}, but ATOM_TYPES has {len(set(elements))} "
            f"({', '.join(elements)})"
        )
    problems += _check_labels(path, keys, entries, contents)
    return problems, warnings


def _check_frames(path: Path, keys: dict[str, Value], entries: Sequence[Entry]) -> list[str]:
    problems = []
    trajectory = keys.get("TRJFILE")
    named = [e.file for e in entries if e.frames]
    words = trajectory.words if trajectory else ("MULTI", "traj_list.dat")
    if trajectory and words != ("MULTI", "traj_list.dat") and list(words) != named:
        problems.append(
            f"{path}, line {trajectory.line}: TRJFILE must be 'MULTI traj_list.dat', not "
            f"'{' '.join(words)[:60]}'"
        )
    listed = sum(entry.frames for entry in entries)
    number = _word(keys, "NFRAMES")
    if entries and number.isdecimal() and int(number[:9]) != listed:
        more = "" if int(number[:9]) > listed else ", of which only the first would be fitted"
        problems.append(
            f"{path}, line {keys['NFRAMES'].line}: NFRAMES is {number}, but the files of traj_list.dat have "
            f"{listed} frames{more}; make them agree"
        )
    return problems


def _check_labels(
    path: Path,
    keys: dict[str, Value],
    entries: Sequence[Entry],
    contents: Mapping[str, Contents],
) -> list[str]:
    """Whether the frames have the labels that are to be fitted."""
    stress = _word(keys, "FITSTRS")
    every = stress.lower() in ("true", "t", "all", "a")
    energy = _word(keys, "FITENER").lower() in ("true", "t")
    problems = []
    for entry in entries:
        found = contents.get(entry.file)
        if found is not None:
            wanted = every and not entry.is_gas
            problems += _lacking(path, keys, entry.file, found, stress=wanted, energy=energy)
    return problems


def _lacking(
    path: Path, keys: dict[str, Value], file: str, contents: Contents, *, stress: bool, energy: bool
) -> list[str]:  # fmt: skip
    found = []
    if energy and contents.with_energy < contents.frames:
        lack = contents.frames - contents.with_energy
        found.append(
            f"{path}, line {keys['FITENER'].line}: energies are to be fitted, but {lack} frames of {Path(file).name} "
            "have none"
        )
    if stress and contents.with_full < contents.frames:
        lack = contents.frames - contents.with_full
        found.append(
            f"{path}, line {keys['FITSTRS'].line}: stresses are to be fitted, but {lack} frames of "
            f"{Path(file).name} do not have all six components"
        )
    return found


def _word(keys: dict[str, Value], key: str) -> str:
    value = keys.get(key)
    return value.words[0] if value and value.words else ""
