"""Reads input scripts of LAMMPS, as far as one has to know what they say.

Grammar: the LAMMPS manual, "Input script structure". Variables are replaced where they are numbers given in the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import attrs

from ald_core.errors import InputError

_WORD = re.compile(r'"""(?:.|\n)*?"""|"[^"]*"|\'[^\']*\'|\S+')
_COMMENT = re.compile(r'("""(?:.|\n)*?"""|"[^"\n]*"|\'[^\'\n]*\')|#.*')
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$([A-Za-z])")
_NUMERIC = ("equal", "index", "string", "internal")
MAX_DEPTH = 10
"""Of scripts that include each other"""


@attrs.frozen
class Command:
    """One command and where it stands."""

    words: tuple[str, ...]
    path: Path
    line: int
    end: int
    """Its last line"""

    def error(self, fault: str, cure: str = "") -> InputError:
        """What is wrong with it."""
        return InputError(fault, path=self.path, line=self.line, cure=cure)


@attrs.frozen
class Script:
    """The commands of a script and of those that it includes, in the order in which they stand."""

    path: Path
    commands: tuple[Command, ...]

    def named(self, name: str) -> list[Command]:
        """All commands of a name."""
        return [c for c in self.commands if c.words[0] == name]

    def last(self, name: str) -> Command | None:
        """The last command of a name; None if there is none."""
        return next(reversed(self.named(name)), None)

    def value(self, word: str) -> float | None:
        """A number, or the value of a variable that the script gives as a number; None if it cannot be told."""
        known = {
            c.words[1]: c.words[3]
            for c in self.named("variable")
            if len(c.words) == 4 and c.words[2] in _NUMERIC and "$" not in c.words[3]
        }
        word = _VARIABLE.sub(lambda m: known.get(m[1] or m[2], m[0]), word)
        try:
            return float(word.strip("\"'"))
        except ValueError:
            return None


def read_script(path: Path) -> Script:
    """Read a script.

    Raises:
        InputError: it, or one that it includes, cannot be read, or includes itself.
    """
    return Script(path, tuple(_commands(path, 0)))


def _commands(path: Path, depth: int) -> list[Command]:
    found = []
    for command in split(read_text(path), path):
        words = command.words
        if words[0] == "include" and len(words) == 2 and "$" not in words[1]:
            if depth == MAX_DEPTH:
                raise command.error("scripts include each other", "remove one of these lines")
            other = path.parent / words[1].strip("\"'")
            if not other.is_file():
                raise command.error(f"there is no file {other}", "add it, or correct the line")
            found += _commands(other, depth + 1)
        else:
            found.append(command)
    return found


def split(text: str, path: Path) -> list[Command]:
    """The commands of a text."""
    found, line = [], 1
    bare = _COMMENT.sub(lambda m: m[1] or "", text)
    for match in re.finditer(r"(?:[^\n]*&[ \t]*\n)*[^\n]*\n?", bare):
        whole = match[0]
        words = _WORD.findall(re.sub(r"&[ \t]*\n", " ", whole))
        ended = line + whole.rstrip("\n").count("\n")
        if words:
            found.append(Command(tuple(words), path, line, ended))
        line += whole.count("\n")
    return found


def read_text(path: Path) -> str:
    """A text file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text().replace("\r\n", "\n")
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read as text: {error}", path=path, cure="give the right file"
        ) from None


def replaced(text: str, path: Path, name: str, values: Sequence[str], line: str) -> tuple[str, int]:
    """Put another line for each command that begins with these words; how many there were."""
    lines = text.split("\n")
    count = 0
    for command in split(text, path):
        if command.words[: len(values) + 1] == (name, *values):
            lines[command.line - 1] = line
            for i in range(command.line, command.end):
                lines[i] = ""
            count += 1
    return "\n".join(lines), count
