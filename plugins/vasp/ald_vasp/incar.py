r"""Reads and changes INCAR files. Whatever is not changed stays as it was, to the last byte.

Grammar (VASP manual, "INCAR"): statements `TAG = value`, several in a line with `;` between them; `#` and `!` begin a
comment; a line that ends with `\` goes on in the next one. Text behind a number means nothing to VASP. Which of two
statements about one tag counts depends on the version.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from ald_core.errors import InputError

STATEMENT = re.compile(r"\s*([A-Za-z]\w*)\s*=\s*(.*?)\s*", re.DOTALL)
COMMENT = re.compile(r"[#!]")
REPEATED = re.compile(r"(\d{1,6})\*(.+)")
MAX_BYTES = 1_000_000
AS_IT_IS = "surrogateescape"
"""How bytes that are no UTF-8 are kept; comments may have any"""


@attrs.frozen
class Statement:
    """One `TAG = value`."""

    tag: str
    """In capitals"""
    value: str
    line: int
    """Of the file, from 1"""

    @property
    def word(self) -> str:
        """What comes first, which is all that most tags look at."""
        return self.value.split()[0] if self.value else ""

    @property
    def number(self) -> float:
        """The value as a number; ValueError in words if it is none."""
        found = _number(self.word)
        if found is None:
            raise ValueError(f"{self.tag} = {self.value[:40]} is no number")
        return found

    @property
    def count(self) -> int:
        """How many numbers there are, of which `3*0.5` is three."""
        n = 0
        for word in self.value.split():
            repeated = REPEATED.fullmatch(word)
            if _number(repeated[2] if repeated else word) is None:
                break
            n += int(repeated[1]) if repeated else 1
        return n


@attrs.frozen
class Incar:
    """The text of an INCAR and what it says."""

    text: str
    statements: tuple[Statement, ...]

    def all(self, tag: str) -> list[Statement]:
        """Every statement about a tag."""
        return [s for s in self.statements if s.tag == tag]

    def get(self, tag: str) -> Statement | None:
        """The statement about a tag; None if there is none."""
        return next(iter(self.all(tag)), None)

    def contradictions(self, tags: Iterable[str]) -> list[str]:
        """Tags that are given twice with different values, a sentence each."""
        found = []
        for tag in tags:
            said = self.all(tag)
            if len({s.word.upper() for s in said}) > 1:
                lines = " and ".join(str(s.line) for s in said)
                found.append(f"{tag} is given several times, in lines {lines}; remove all but one")
        return found

    def changed(self, settings: Mapping[str, str], remove: Iterable[str] = ()) -> str:
        """The text with these settings, which replace what it says of their tags, and without the tags in `remove`."""
        gone = {*settings, *remove}
        kept = []
        for lines in _logical_lines(self.text):
            statements, comment = _split(lines)
            if not any(tag in gone for tag, _ in statements):
                kept += lines
                continue
            rest = "; ".join(f"{tag} = {value}" for tag, value in statements if tag not in gone)
            if rest or comment:
                kept.append(f"{rest}  {comment}".strip() + "\n")
        text = "".join(kept)
        if not settings:
            return text
        added = "".join(f"{tag} = {value}\n" for tag, value in settings.items())
        return text + "\n" * bool(text and not text.endswith("\n")) + added


def read_incar(path: Path) -> Incar:
    """Read an INCAR; InputError if that is impossible."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error}); give a text file", path=path) from error
    if len(raw) > MAX_BYTES or b"\0" in raw:
        raise InputError("is no text, or too large; give an INCAR", path=path)
    return parse_incar(raw.decode(errors=AS_IT_IS).replace("\r\n", "\n"))


def parse_incar(text: str) -> Incar:
    """The statements of a text."""
    statements = []
    number = 1
    for lines in _logical_lines(text):
        statements += [Statement(tag, value, number) for tag, value in _split(lines)[0]]
        number += len(lines)
    return Incar(text, tuple(statements))


def _logical_lines(text: str) -> list[list[str]]:
    """Lines of the text, those that go on together with what they go on in."""
    found: list[list[str]] = [[]]
    for line in text.splitlines(keepends=True):
        found[-1].append(line)
        if not COMMENT.split(line)[0].rstrip().endswith("\\"):
            found.append([])
    return [lines for lines in found if lines]


def _split(lines: Sequence[str]) -> tuple[list[tuple[str, str]], str]:
    """Tags with their values, and the comments."""
    code, comments = [], []
    for line in lines:
        begin = COMMENT.search(line)
        code.append(line[: begin.start()] if begin else line)
        comments += [line[begin.start() :].strip()] if begin else []
    joined = " ".join(part.strip().removesuffix("\\") for part in code)
    matches = (STATEMENT.fullmatch(part) for part in joined.split(";"))
    return [(m[1].upper(), m[2]) for m in matches if m], " ".join(comments)


def _number(word: str) -> float | None:
    try:
        found = (
            float(re.sub(r"[dD]", "e", word)) if word.isascii() and "_" not in word else math.nan
        )
    except ValueError:
        return None
    return found if math.isfinite(found) else None
