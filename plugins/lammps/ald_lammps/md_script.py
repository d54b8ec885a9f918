"""Input scripts for MD with the pair style `chimesFF`, and what becomes of them.

The script is the user's, with the conventions of scripts for LAMMPS with ChIMES:

    variable seed equal 2605             the number is replaced by that of the run
    variable temperature equal 500       replaced by the temperature of the case, if the script has it
    read_data data.in                    the structure of the case gets this name
    pair_style chimesFF for_fitting
    pair_coeff * * params.txt.reduced    the parameter file gets this name
    dump 1 all custom 10 traj.lammpstrj id type xu yu zu
    run 30000
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from ald_core.errors import InputError
from ald_lammps.checks import units_of
from ald_lammps.md_files import TRAJECTORY
from ald_lammps.script import Command, Script, read_script, replaced

STYLE = "chimesFF"
NO_PAIRS = "pair_style zero 1.0 nocoeff", "pair_coeff * *"
"""Instead of the two commands of the pair style, when the forces come from elsewhere"""

COUPLED = ("nvt", "npt", "nph", "langevin", "temp/")
"""Beginnings of fix styles that exchange energy"""


@attrs.frozen
class MdScript:
    """What has to be known of a script."""

    script: Script
    units: str
    style: Command
    coefficients: Command
    data: str
    """Name of the data file"""
    parameters: str
    """Name of the parameter file"""
    frame_interval: int | None
    """Steps between frames of the dump; None if it has none"""
    steps: int | None
    """Of all runs, as far as the text tells"""

    @property
    def is_alone(self) -> bool:
        """Whether there is no other pair style."""
        return self.style.words[1] == STYLE

    @property
    def tells_classes(self) -> bool:
        """Whether the pair style writes how close the atoms are."""
        return "for_fitting" in self.style.words or "fitting" in self.style.words


def read_md_script(path: Path) -> MdScript:
    """Read a script.

    Raises:
        InputError: something that is needed is missing, or is not what a run of the study can have.
    """
    script = read_script(path)
    style = _one(script, "pair_style", f"pair_style {STYLE} for_fitting")
    if style.words.count(STYLE) > 1:
        raise style.error(f"has {STYLE} more than once, but a study has one model", "keep one")
    coefficients = _one(script, "pair_coeff", "pair_coeff * * params.txt.reduced")
    parameters = coefficients.words[-1]
    if "$" in parameters or "/" in parameters or len(coefficients.words) not in (4, 5):
        cure = "write 'pair_coeff * * params.txt.reduced'"
        raise coefficients.error("must name the parameter file for all pairs", cure)
    for command in (style, coefficients):
        if command.path != path:
            raise command.error("must stand in the main script", f"move it to {path}")
    reading = script.named("read_data")
    if len(reading) != 1 or len(reading[0].words) < 2 or {"$", "/"} & set(reading[0].words[1]):
        cure = "write one line 'read_data data.in'"
        raise InputError("must read the structure from one file beside it", path=path, cure=cure)
    return MdScript(
        script=script,
        units=units_of(script),
        style=style,
        coefficients=coefficients,
        data=reading[0].words[1],
        parameters=parameters,
        frame_interval=_dump_interval(script),
        steps=_steps(script),
    )


def _one(script: Script, name: str, example: str) -> Command:
    found = [c for c in script.named(name) if STYLE in c.words or name == "pair_coeff"]
    if name == "pair_coeff" and (named := [c for c in found if STYLE in c.words]):
        found = named
    if len(found) != 1:
        count = "no" if not found else "more than one"
        raise InputError(
            f"has {count} {name} for {STYLE}", path=script.path, cure=f"write one line '{example}'"
        )
    return found[0]


def _dump_interval(script: Script) -> int | None:
    """Of the dump that is the trajectory."""
    for command in script.named("dump"):
        if len(command.words) > 5 and command.words[5] == TRAJECTORY:
            value = script.value(command.words[4])
            if value is None or value < 1 or value != int(value):
                cure = "write it as a number, or as a variable that is one"
                raise command.error("the interval of the trajectory cannot be told", cure)
            return int(value)
    return None


def _steps(script: Script) -> int | None:
    values = [script.value(c.words[1]) for c in script.named("run") if len(c.words) > 1]
    known = [int(value) for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def script_of_run(text: str, path: Path, seed: int, temperature: float) -> str:
    """The script with the seed and the temperature of a run."""
    for name, value in (("seed", str(seed)), ("temperature", f"{temperature:.15g}")):
        line = f"variable {name} equal {value}"
        text, _ = replaced(text, path, "variable", (name, "equal"), line)
    return text


def without_pairs(text: str, md: MdScript) -> tuple[str, str]:
    """What stands before and behind the place where the potential is ready, with no pair style of its own.

    Raises:
        InputError: there are other pair styles.
    """
    if not md.is_alone:
        cure = f"write 'pair_style {STYLE}', or name your own LAMMPS with 'program'"
        raise md.style.error("other pair styles cannot be added here", cure)
    lines = text.split("\n")
    for command, line in zip((md.style, md.coefficients), NO_PAIRS, strict=True):
        lines[command.line - 1 : command.end] = [line, *[""] * (command.end - command.line)]
    for command in _coupled(md.script):
        lines[command.line - 1 : command.end] = [""] * (command.end - command.line + 1)
    end = md.coefficients.end
    return "\n".join([*lines[:end], ""]), "\n".join(lines[end:])


def _coupled(script: Script) -> Iterator[Command]:
    """Commands that add the energy of a thermostat to that of the atoms.

    Later versions of LAMMPS know it anyway, and refuse them.
    """
    styles = {c.words[1]: c.words[3] for c in script.named("fix") if len(c.words) > 3}
    for command in script.named("fix_modify"):
        asks = command.words[2:] == ("energy", "yes") and command.path == script.path
        if asks and styles.get(command.words[1], "").startswith(COUPLED):
            yield command


def _check_seed(script: Script) -> None:
    """Refuse random numbers that would be the same in every run."""
    for command in script.named("velocity"):
        words = command.words
        if len(words) > 4 and words[2] == "create" and "seed" not in words[4]:
            cure = "write 'variable seed equal 1' before it, and ${seed} for the number"
            raise command.error("would begin every run with the same velocities", cure)
    uses = any("{seed}" in word for command in script.commands for word in command.words)
    if uses and not any(
        c.words[1:3] == ("seed", "equal") and c.path == script.path
        for c in script.named("variable")
    ):
        cure = "write 'variable seed equal 1' in this file"
        raise InputError("has no seed that a run could replace", path=script.path, cure=cure)


def md_problems(path: Path, *, package: bool, frame_interval: int | None) -> Iterator[str]:
    """Problems of a script, one sentence each; `package` says that the forces come from elsewhere."""
    try:
        md = read_md_script(path)
        _check_seed(md.script)
        if package:
            for command in (*md.script.named("quit"), *md.script.named("clear")):
                raise command.error("ends more than the run", "remove it")
            without_pairs(path.read_text(), md)
        elif not md.tells_classes:
            cure = f"write 'pair_style {STYLE} for_fitting'"
            raise md.style.error("does not tell which frames have close contacts", cure)
        if md.frame_interval is None and (not package or frame_interval is None):
            cure = f"add 'dump 1 all custom 10 {TRAJECTORY} id type xu yu zu'"
            if package:
                cure += ", or set 'frame_interval'"
            raise InputError(f"writes no {TRAJECTORY}", path=path, cure=cure)
        for command in md.script.named("thermo_modify"):
            if ("norm", "yes") in zip(command.words, command.words[1:], strict=False):
                raise command.error("energies must be those of all atoms", "remove 'norm yes'")
    except InputError as error:
        yield str(error)
