"""The lexical rules of the control files `fm_setup.in` and `run_md.in`.

`!` and `##` start comments. A keyword line begins with the three words `#`, `KEY`, `#`; the text ends at
`# ENDFILE #`. Source: ChIMES LSQ manual, input file format. The ChIMES programs pass over what they do not know; here a
key that looks like a known one is an error.
"""

import difflib
import re
from collections.abc import Collection
from pathlib import Path

import attrs

from ald_chimes_lsq.formats.tokens import Place

END = "ENDFILE"
_KEY = re.compile("[A-Z][A-Z0-9_]{2,}")


@attrs.frozen
class Row:
    """The words of one line."""

    line: int
    words: tuple[str, ...]

    @property
    def key(self) -> str | None:
        """The key that the line is written for, known or not."""
        is_key = len(self.words) >= 3 and self.words[0] == self.words[2] == "#"
        return self.words[1] if is_key else None


def words_of(line: str) -> tuple[str, ...]:
    """The words of a line without its comment."""
    return tuple(line.split("!", 1)[0].split("##", 1)[0].split())


def significant_rows(text: str, path: Path | str | None) -> list[Row]:
    """Lines with words on them, up to the ENDFILE line; InputError if that is missing."""
    rows: list[Row] = []
    for number, line in enumerate(text.split("\n"), start=1):
        words = words_of(line)
        if words:
            row = Row(number, words)
            if row.key == END:
                return rows
            rows.append(row)
    raise Place(path, rows[-1].line if rows else None).error(
        f"the closing line '# {END} #' is missing, so the file may be incomplete",
        cure="complete the file, and add that line at its end",
    )


def check_spelling(row: Row, known: Collection[str], path: Path | str | None) -> None:
    """Complain about a line with a key that is misspelt or not written as one.

    Raises:
        InputError: as said; keys that look like no known one are let through, as long as they look like a key.
    """
    words, key = row.words, row.key
    if not words[0].startswith("#"):
        return
    word = key or words[0].strip("#") or (words[1].strip("#") if len(words) > 1 else "")
    place = Place(path, row.line)
    if word in known:
        if key is None:
            raise place.error(
                f"the key {word} is written '{' '.join(words)[:60]}'",
                cure=f"write '# {word} #', and the value on a line of its own",
            )
        return
    if near := difflib.get_close_matches(word.upper(), known, n=1, cutoff=0.8):
        raise place.error(
            f"no such key '{word}'; did you mean '# {near[0]} #'?",
            cure="write that, or put '!' before what is a comment",
        )
    if key is not None and not _KEY.fullmatch(key):
        raise place.error(
            f"'# {key} #' is no key; keys are capital words",
            cure="correct it, or put '!' before what is a comment",
        )
