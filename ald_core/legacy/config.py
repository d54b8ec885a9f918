"""The `config.py` of a study of the existing driver: what its options are, and from where."""

from __future__ import annotations

import ast
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from ald_core.errors import InputError
from ald_core.legacy.evaluator import (
    MAX_BYTES,
    Assignment,
    Evaluated,
    evaluate,
    evaluate_expression,
)
from ald_core.legacy.execution import execute
from ald_core.legacy.options import OPTIONS, default_of
from ald_core.options import did_you_mean

NAME = "config.py"
BASE_FILES = "ALL_BASE_FILES"
MAX_NAME = 255
"""Bytes of the name of a file or folder"""
NEVER = 1000
"""The existing driver takes it for a USE_AL_STRS that is given as less than 0; without one, stresses are always used"""
T = TypeVar("T")


@attrs.define(eq=False)
class Config:
    """Options of a study. The readers below collect problems instead of raising."""

    path: Path
    evaluated: Evaluated
    base: Path
    """Folder of the run file: paths in it begin there"""
    problems: list[str] = attrs.field(factory=list)

    @property
    def folder(self) -> Path:
        """Where the study is now, whatever WORKING_DIR says."""
        return self.path.parent

    def is_given(self, name: str) -> bool:
        """Whether the file gives this option a value, and not None."""
        known = self.evaluated.assignments.get(name)
        return known is not None and known.value is not None

    def value(self, name: str) -> Any:
        """Value of an option, or the default of the code; None if it has none."""
        known = self.evaluated.assignments.get(name)
        if known is not None and known.value is not None:
            never = name == "USE_AL_STRS" and isinstance(known.value, int) and known.value < 0
            return NEVER if never else known.value
        default = default_of(name)
        if default is None:
            return None
        try:
            return evaluate_expression(default, self.evaluated, self.path, default_of)
        except InputError as error:
            message = f"default of {name} ({default}): {error.reason}"
            raise InputError(message, path=self.path) from None

    def place(self, *names: str) -> str:
        """Where values come from, for comments and messages."""
        found = []
        for name in names:
            known = self.evaluated.assignments.get(name)
            line = f", line {known.line}" if known and known.line else ""
            found.append(f"{name}{line}" if known else f"default of {name}")
        return "; ".join(found)

    def about(self, name: str, message: str) -> str:
        """A message about an option, with its place in front."""
        known = self.evaluated.assignments.get(name)
        line = f", line {known.line}" if known and known.line else ""
        return f"{self.path}{line}: {name}: {message}"

    def complain(self, name: str, message: str) -> None:
        """Put a problem with an option on the list."""
        self.problems.append(self.about(name, message))

    # ------------------------------------------------------------ values of a type

    def text(self, name: str) -> str:
        """Text without blanks at its ends; empty for None, False and nothing."""
        value = self.value(name)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return str(value).strip()
        if value is not None and value is not False:
            self.complain(name, f"text is needed, not {_shown(value)}")
        return ""

    def number(self, name: str) -> float:
        """A number, also if it is written as text."""
        return self._read(name, self.value(name), _number, "a number", 0.0)

    def whole(self, name: str) -> int:
        """A whole number, also if it is written as text or with a decimal point."""
        return self._read(name, self.value(name), _whole, "a whole number", 0)

    def flag(self, name: str) -> bool:
        """A truth value; 0 and 1 are taken as such."""
        return self._read(name, self.value(name), _flag, "True or False", False)

    def texts(self, name: str) -> list[str]:
        """A list of text; a single one is a list of one."""
        value = self.value(name)
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)) or not all(isinstance(i, str) for i in items):
            self.complain(name, f"a list of text is needed, not {_shown(value)}")
            return []
        return [item.strip() for item in items if item.strip()]

    def per_case(self, name: str, n: int, read: Callable[[Any], T], what: str) -> list[T]:
        """One value per case; a single one is that of all."""
        value = self.value(name)
        items = list(value) if isinstance(value, (list, tuple)) else [value] * n
        if len(items) != n:
            self.complain(name, f"{len(items)} values for {n} cases (NO_CASES); give one per case")
            return []
        try:
            return [read(item) for item in items]
        except (TypeError, ValueError, OverflowError):
            self.complain(name, f"{what} is needed for each case, not {_shown(value)}")
            return []

    def _read(self, name: str, value: Any, read: Callable[[Any], T], what: str, instead: T) -> T:
        try:
            return read(value)
        except (TypeError, ValueError, OverflowError):
            self.complain(name, f"{what} is needed, not {_shown(value)}")
            return instead

    # ------------------------------------------------------------ paths

    def file(self, name: str) -> Path:
        """A path that an option gives, as it is where the study is now."""
        return self.find(self.text(name))

    def find(self, text: str) -> Path:
        """A path of the study: what lies below WORKING_DIR lies below the folder of the file, wherever that is now.

        Raises:
            InputError: no file can have this name.
        """
        if "\0" in text or any(len(part.encode()) > MAX_NAME for part in text.split("/")):
            raise InputError(f"{_shown(text)} cannot be a path", path=self.path)
        home = str(self.value("WORKING_DIR") or "").rstrip("/")
        rest = text.removeprefix(home) if home and text.startswith(home) else None
        # Some forget the slash between WORKING_DIR and what they put behind it.
        if rest is not None and (not rest or rest.startswith(("/", BASE_FILES))):
            return self.folder / os.path.normpath(rest.lstrip("/") or ".")
        path = Path(os.path.normpath(text)) if text else Path()
        if not path.is_absolute():
            return self.folder / path
        # Without a WORKING_DIR, defaults begin at the root.
        if not home and path.parts[1:2] == (BASE_FILES,):
            return self.folder.joinpath(*path.parts[1:])
        return path

    def in_study(self, path: Path) -> str:
        """A path as it stands in the run file."""
        try:
            return path.relative_to(self.base).as_posix()
        except ValueError:
            return str(path)


def read_config(
    path: Path,
    *,
    base: Path | None = None,
    trust: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """Read a `config.py`, with `trust` by executing it; `base` is the folder of the run file, if that is another.

    Raises:
        InputError: it cannot be read, or holds what is not understood, with its line.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise InputError("there is no such file", path=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", path=path) from error
    base = path.parent if base is None else base
    if not trust:
        return Config(path, evaluate(text, path, default_of, environment), base)
    lines, read = _lines(text)
    values = execute(path)
    known = {k: Assignment(v, lines.get(k, 0)) for k, v in values.items()}
    return Config(path, Evaluated(known, read), base)


def strange_names(config: Config) -> list[str]:
    """A sentence about each name that is no option and serves no other."""
    found = []
    for name, known in config.evaluated.assignments.items():
        if name not in OPTIONS and name not in config.evaluated.read:
            hint = did_you_mean(name, OPTIONS)
            hint = hint if "mean" in hint else ""
            where = f"line {known.line}: " if known.line else ""
            found.append(f"{where}{name} is no option, and has no effect{hint}")
    return found


def _lines(text: str) -> tuple[dict[str, int], set[str]]:
    """Where names are given values in a file that is executed, and which names it reads."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return {}, set()
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    lines = {node.id: node.lineno for node in names if isinstance(node.ctx, ast.Store)}
    return lines, {node.id for node in names if isinstance(node.ctx, ast.Load)}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _whole(value: Any) -> int:
    number = _number(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _flag(value: Any) -> bool:
    if isinstance(value, (bool, int)) and value in (0, 1):
        return bool(value)
    raise TypeError


def whole(value: Any) -> int:
    """A whole number for `Config.per_case`; TypeError or ValueError if it is none."""
    return _whole(value)


def word(value: Any) -> str:
    """Text for `Config.per_case`; TypeError or ValueError if it is none."""
    if not isinstance(value, str) or not value.strip():
        raise TypeError
    return value.strip()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
