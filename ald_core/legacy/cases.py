"""The cases of an old study: an input and a structure for each, and one temperature."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ald_core.legacy.base_files import Entry, read_keys
from ald_core.legacy.config import Config

FILES = {
    "CHIMES": ("run_md.in", "input.xyz"),
    "LMP": ("in.lammps", "data.in"),
    "DFTB": ("dftb_in.hsd", "gen"),
    "DFTB+": ("dftb_in.hsd", "gen"),
}
"""Endings of input and structure of a case, by MD_STYLE"""


def case_tables(config: Config, entries: Sequence[Entry], n_cases: int) -> list[dict[str, Any]]:
    """Tables for `[[case]]`; problems are put on the config's list."""
    folder = config.file("MD_FILES")
    style = config.text("MD_STYLE")
    ending, structure = FILES[style]
    tables = []
    for i, listed in enumerate(_listed_temperatures(config, entries, n_cases)):
        inputs = folder / f"case-{i}.indep-0.{ending}"
        chimes = style == "CHIMES"  # the scripts of others have their own temperature
        tables.append(
            {
                "name": f"case-{i}",
                "temperature": _temperature(config, i, inputs, listed) if chimes else listed or 1.0,
                "input": config.in_study(inputs),
                "structure": config.in_study(folder / f"case-{i}.indep-0.{structure}"),
            }
        )
    return tables


def _listed_temperatures(
    config: Config, entries: Sequence[Entry], n_cases: int
) -> list[float | None]:
    """Of the cases, as the first lines of the list have them."""
    given = [entry.temperature for entry in entries[:n_cases]]
    if entries and len(given) < n_cases:
        message = f"the first lines of traj_list.dat must be those of {n_cases} cases, but it has {len(given)}"
        config.complain("NO_CASES", message)
    listing = config.file("ALC0_FILES") / "traj_list.dat"
    for i, temperature in enumerate(given):
        if temperature is None:
            place = f"{listing}: line {entries[i].line}"
            config.problems.append(
                f"{place} must have the temperature of case {i} in its third column"
            )
    return given


def _temperature(config: Config, i: int, inputs: Path, listed: float | None) -> float:
    """The temperature of MD, which must be that of the labels: a case has one."""
    key = read_keys(inputs).get("TEMPERA") if inputs.is_file() else None
    try:
        own = float(key.words[0]) if key else None
    except (ValueError, IndexError):
        own = None
    if key and own and listed is not None and own != listed:
        config.problems.append(
            f"{inputs}, line {key.line}: MD of case {i} is run at {own:g} K (TEMPERA), but traj_list.dat says "
            f"{listed:g} K, which would be the electronic temperature of labels; a case has one temperature, "
            "correct one of them"
        )
    return own or listed or 1.0
