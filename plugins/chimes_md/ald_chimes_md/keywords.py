"""The lexical rules of ChIMES control files, as `run_md.in` uses them.

A keyword is a line that begins with the three words `#`, `KEY`, `#` (remarks behind them are usual
in MD inputs); its value is the next line that is not blank. `!` and `##` start comments. The text
ends at `# ENDFILE #`. Source: ChIMES LSQ manual, input file format. ChIMES MD passes over everything
else; here a misspelt key is an error, and so is a line that belongs to no key.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

import attrs

from ald_chimes_lsq.formats.tokens import Place
from ald_core.errors import InputError

END = "ENDFILE"
KEYS = (
    "RNDSEED", "TEMPERA", "PRESSUR", "TIMESTP", "N_MDSTP", "CONVCUT", "NLAYERS", "USENEIG", "PRMFILE",
    "CRDFILE", "SERIAL_CHIMES", "CHEBYFIX", "VELINIT", "CONSRNT", "PRSCALC", "STRSCALC", "WRPCRDS",
    "ATMENER", "PENTHRS", "FRQDFTB", "FRQTRAJ", "TRAJEXT", "FRQENER", "PRNTFRC", "PRNTVEL", "PRNTBAD",
    "FRQRSTR", "FORDFTB", "CMPRFRC", "SUBTFRC", "CHECKFRC", "FITSTRS", "FITENER", "USEKILL", "SLFCNST",
    END,
)  # fmt: skip
"""All that ChIMES MD knows, with or without an effect."""
_KEY = re.compile("[A-Z][A-Z0-9_]{2,}")


@attrs.frozen
class Keyword:
    """One key of a control file with the words of its value."""

    key: str
    words: tuple[str, ...]
    """Empty if the file ends, or the next keyword begins, before a value."""
    line: int
    """Line of the value, counted from 1; of the key if there is no value."""


def read_keywords(text: str, path: Path | str | None = None) -> dict[str, Keyword]:
    """The keywords of a control file, in file order.

    Raises InputError if the closing `# ENDFILE #` is missing, if a key is given twice with different
    values, for what looks like a known key but is not, and for a line that belongs to no key.
    """
    found: dict[str, Keyword] = {}
    pending: tuple[str, int] | None = None

    def add(key: str, words: tuple[str, ...], line: int) -> None:
        earlier = found.get(key)
        if earlier is not None and earlier.words != words:
            message = (
                f"{key} was already given in line {earlier.line} as '{' '.join(earlier.words)}'; "
                "keep one of the two"
            )
            raise Place(path, line).error(message)
        found[key] = Keyword(key, words, line)

    for number, line in enumerate(text.splitlines(), start=1):
        words = _words(line)
        if not words:
            continue
        key = _key(words)
        _check_key(words, key, Place(path, number))
        if pending is not None:
            add(pending[0], () if key else tuple(words), pending[1] if key else number)
            pending = None
        elif key is None and not words[0].startswith("#"):
            message = f"'{' '.join(words)[:60]}' belongs to no key; comments begin with '!'"
            raise Place(path, number).error(message)
        if key == END:
            return found
        if key is not None:
            pending = (key, number)
    raise InputError("the closing line '# ENDFILE #' is missing: is the file complete?", path=path)


def with_values(text: str, values: Mapping[str, str | int | float]) -> str:
    """The text of a control file with other values, everything else as the user wrote it.

    The value line of each key is replaced; a key that the file does not have is added before
    `# ENDFILE #`. Raises InputError as `read_keywords` does.
    """
    found = read_keywords(text)
    lines = text.splitlines()
    missing = []
    for key, value in values.items():
        if key not in found:
            missing += [f"# {key} #", f"\t{value}"]
        elif found[key].words:
            lines[found[key].line - 1] = f"\t{value}"
        else:
            lines[found[key].line - 1] += f"\n\t{value}"
    end = next(i for i, line in enumerate(lines) if _key(_words(line)) == END)
    return "\n".join([*lines[:end], *missing, *lines[end:]]) + "\n"


def _words(line: str) -> list[str]:
    """The words of a line without its comment."""
    return line.split("!", maxsplit=1)[0].split("##", maxsplit=1)[0].split()


def _check_key(words: list[str], key: str | None, place: Place) -> None:
    """Complain about a key that is misspelt, or not written as one."""
    if not words[0].startswith("#"):
        return
    word = key or words[0].strip("#") or (words[1].strip("#") if len(words) > 1 else "")
    if word in KEYS:
        if key is None:
            raise place.error(
                f"the key {word} is written '{' '.join(words)[:60]}'; write '# {word} #', and the value "
                "on the next line"
            )
        return
    if near := difflib.get_close_matches(word.upper(), KEYS, n=1, cutoff=0.8):
        raise place.error(f"no such key '{word}'; did you mean '# {near[0]} #'?")
    if key is not None and not _KEY.fullmatch(key):
        raise place.error(f"'# {key} #' is no key; keys are capital words")


def _key(words: list[str]) -> str | None:
    """The key if the words are those of a keyword line."""
    is_key = len(words) >= 3 and words[0] == words[2] == "#"
    return words[1] if is_key else None
