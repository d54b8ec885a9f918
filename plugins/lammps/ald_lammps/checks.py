"""What can be told of an input script before it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ald_core.errors import InputError
from ald_lammps.data_file import COLUMNS, WRITTEN, read_template
from ald_lammps.script import Command, Script, read_script, read_text
from ald_lammps.units import UNITS, unit_words

DATA = "data.in"
DISTURBING = (
    "langevin", "brownian", "gjf", "gld", "gle", "shake", "rattle", "setforce", "aveforce", "addforce", "freeze",
    "viscous", "lineforce", "planeforce", "momentum", "temp/csld",
)  # fmt: skip
"""Beginnings of fix styles that add random, driving or constraining forces to those of the potential"""


def units_of(script: Script) -> str:
    """Its unit style.

    Raises:
        InputError: it has none, or one without Å.
    """
    last = script.last("units")
    if last is None:
        cure = f"begin it with 'units {unit_words().replace(' or ', chr(39) + ' or ' + chr(39) + 'units ')}'"
        raise InputError("has no units, and would take lj", path=script.path, cure=cure)
    if len(last.words) != 2 or last.words[1] not in UNITS:
        raise last.error(
            f"units {' '.join(last.words[1:])} cannot be used", f"write {unit_words()}"
        )
    return last.words[1]


def atom_style(script: Script, *, template: bool = True) -> str:
    """Its atom style.

    Raises:
        InputError: data files of that style cannot be written.
    """
    last = script.last("atom_style")
    if last is None:
        return "atomic"
    style = last.words[1] if len(last.words) > 1 else ""
    allowed = tuple(COLUMNS) if template else WRITTEN
    if style not in allowed:
        more = "" if template or style not in COLUMNS else ", or give a template data.in"
        raise last.error(
            f"atom_style {style} is not possible here", f"write {' or '.join(allowed)}{more}"
        )
    return style


def data_names(script: Script, allowed: Sequence[str]) -> tuple[str, ...]:
    """Under which names the script wants its data file.

    Raises:
        InputError: it reads no data file, or one that is not written.
    """
    reading = script.named("read_data")
    if not reading:
        raise InputError(
            "reads no atoms", path=script.path, cure=f"add the line 'read_data {DATA}'"
        )
    names = [command.words[1] if len(command.words) > 1 else "" for command in reading]
    for command, name in zip(reading, names, strict=True):
        if name not in allowed and "$" not in name:
            raise command.error(
                f"reads '{name}', which does not hold the atoms", f"write 'read_data {DATA}'"
            )
    return tuple(dict.fromkeys(name for name in names if name in allowed)) or (DATA,)


def label_problems(path: Path, names: Sequence[str], units: str | None) -> list[str]:
    """Problems of a script (and its template) that is to evaluate a frame, one sentence each."""
    problems = []
    try:
        script = read_script(path)
    except InputError as error:
        return [str(error)]
    templates = [path.with_name(name) for name in names if path.with_name(name).is_file()]
    for look in (
        lambda: _same_units(script, units),
        lambda: data_names(script, names),
        lambda: [
            read_template(t, read_text(t), atom_style(script)) for t in templates
        ] or atom_style(script, template=False),
    ):  # fmt: skip
        try:
            look()
        except InputError as error:
            problems.append(str(error))
    return problems + [str(error) for error in _moving(script)]


def _same_units(script: Script, units: str | None) -> None:
    own = units_of(script)
    if units is not None and own != units:
        last = script.last("units")
        fault = f"has units {own}, but the labeler was told {units}"
        line = None if last is None else last.line
        raise InputError(fault, path=script.path, line=line, cure="correct one of them")


def _moving(script: Script) -> Iterator[InputError]:
    """Commands after which the atoms, or the forces, are others."""
    for command in script.commands:
        name, *words = command.words
        if name == "minimize" or (name == "run" and words[:1] and script.value(words[0])):
            yield command.error("moves the atoms, which are to be evaluated", "remove it")
        elif name == "quit":
            yield command.error("ends LAMMPS before it has evaluated the atoms", "remove it")
        elif name == "boundary" and words != ["p"] * 3:
            yield command.error("frames are periodic", "write 'boundary p p p'")
        elif name == "fix" and _disturbs(command):
            yield command.error(f"labels would hold the forces of fix {words[2]}", "remove it")


def _disturbs(command: Command) -> bool:
    return len(command.words) > 3 and command.words[3].startswith(DISTURBING)
