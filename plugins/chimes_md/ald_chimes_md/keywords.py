"""The keywords of `run_md.in`: a key, with a remark behind it if you like, and its value on the next line."""

from collections.abc import Mapping
from pathlib import Path

import attrs

from ald_chimes_lsq.formats.control_lines import (
    END,
    Row,
    check_spelling,
    significant_rows,
    words_of,
)
from ald_chimes_lsq.formats.tokens import Place

KEYS = (
    "RNDSEED", "TEMPERA", "PRESSUR", "TIMESTP", "N_MDSTP", "CONVCUT", "NLAYERS", "USENEIG", "PRMFILE",
    "CRDFILE", "SERIAL_CHIMES", "CHEBYFIX", "VELINIT", "CONSRNT", "PRSCALC", "STRSCALC", "WRPCRDS",
    "ATMENER", "PENTHRS", "FRQDFTB", "FRQTRAJ", "TRAJEXT", "FRQENER", "PRNTFRC", "PRNTVEL", "PRNTBAD",
    "FRQRSTR", "FORDFTB", "CMPRFRC", "SUBTFRC", "CHECKFRC", "FITSTRS", "FITENER", "USEKILL", "SLFCNST",
    END,
)  # fmt: skip
"""All that ChIMES MD knows, with or without an effect."""


@attrs.frozen
class Keyword:
    """One key of a control file with the words of its value."""

    key: str
    words: tuple[str, ...]
    """Empty if the file ends, or the next keyword begins, before a value."""
    line: int
    """Line of the value, counted from 1; of the key if there is no value."""


def read_keywords(text: str, path: Path | str | None = None) -> dict[str, Keyword]:
    """The keywords of a control file, in file order; the last is ENDFILE, which has no value.

    Raises InputError if the closing `# ENDFILE #` is missing, if a key is given twice with different
    values, for what looks like a known key but is not, and for a line that belongs to no key.
    """
    found: dict[str, Keyword] = {}
    rows = significant_rows(text, path)
    position = 0
    while position < len(rows):
        row = rows[position]
        position += 1
        check_spelling(row, KEYS, path)
        if row.key is None:
            if not row.words[0].startswith("#"):
                raise Place(path, row.line).error(
                    f"'{' '.join(row.words)[:60]}' belongs to no key",
                    cure="remove it, or put '!' before it if it is a comment",
                )
            continue
        value = Keyword(row.key, (), row.line)
        if position < len(rows) and rows[position].key is None:
            value = Keyword(row.key, rows[position].words, rows[position].line)
            position += 1
        earlier = found.get(row.key)
        if earlier is not None and earlier.words != value.words:
            raise Place(path, value.line).error(
                f"{row.key} was already given in line {earlier.line} as '{' '.join(earlier.words)}'",
                cure="keep one of the two",
            )
        found[row.key] = value
    lines = enumerate(text.split("\n"), start=1)
    end = next(number for number, line in lines if Row(number, words_of(line)).key == END)
    return {**found, END: Keyword(END, (), end)}


def with_values(
    text: str, values: Mapping[str, str | int | float], path: Path | str | None = None
) -> str:
    """The text of a control file with other values, everything else as the user wrote it.

    The value line of each key is replaced; a key that the file does not have is added before
    `# ENDFILE #`. Raises InputError as `read_keywords` does.
    """
    found = read_keywords(text, path)
    lines = text.split("\n")
    missing = []
    for key, value in values.items():
        if key not in found:
            missing += [f"# {key} #", f"\t{value}"]
        elif found[key].words:
            lines[found[key].line - 1] = f"\t{value}"
        else:
            lines[found[key].line - 1] += f"\n\t{value}"
    end = found[END].line - 1
    return "\n".join([*lines[:end], *missing, *lines[end:]]).rstrip("\n") + "\n"
