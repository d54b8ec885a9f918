"""Cuts `fm_setup.in` into keys, tables and lists; comments are gone, line numbers are kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import attrs

from ald_chimes_lsq.formats.control_lines import END, Row, check_spelling, significant_rows
from ald_chimes_lsq.formats.tokens import MAX_CUTOFF, Place, parse_integer, parse_number, parse_word
from ald_chimes_lsq.topology import Body, EdgeCutoffs, Exclusion, SpecialCutoffs

KEYS = (
    "TRJFILE",
    "WRAPTRJ",
    "SPLITFI",
    "HIERARC",
    "NFRAMES",
    "NLAYERS",
    "FITCOUL",
    "FITSTRS",
    "FITENER",
    "PAIRTYP",
    "CHBTYPE",
    "CHEBYFIX",
    "USENEIG",
    "SKPFRMS",
    "NATMTYP",
    "FCUTTYP",
)
_COLUMNS = {
    "TYPEIDX": ("ATM_TYP", "ATMCHRG", "ATMMASS"),
    "PAIRIDX": ("ATM_TY1", "ATM_TY1", "S_MINIM", "S_MAXIM", "S_DELTA", "MORSE_LAMBDA"),
}
_TABLES = tuple(_COLUMNS)
_MOST_WORDS = {
    "TRJFILE": 2,
    "FITSTRS": 2,
    "FITENER": 2,
    "PAIRTYP": 6,
    "CHEBYFIX": 2,
    "USENEIG": 2,
    "FCUTTYP": 2,
}
"""Values of other keys are one word."""
WITHOUT_EFFECT = ("FITPOVR", "CNSCOUL", "SLFCNST", "VERBOSE", "USECHNS", "USEOVRP", "NIJBINS")
_KNOWN = (*KEYS, *_TABLES, *WITHOUT_EFFECT, END)
_PHRASES = ("EXCLUDE", "SPECIAL", "CHARGE")


@attrs.frozen
class Table:
    """Rows that follow a heading."""

    line: int
    rows: tuple[Row, ...]


@attrs.frozen
class Sections:
    """The parts of a control file."""

    keys: dict[str, Row]
    """The line after each known key."""
    types: Table | None
    pairs: Table | None
    constraints: Table | None
    specials: tuple[SpecialCutoffs, ...]
    exclusions: tuple[Exclusion, ...]
    ignored: tuple[str, ...]


def read_sections(text: str, path: Path) -> Sections:
    """Cut the text of a control file into its parts.

    Raises:
        InputError: for a line that belongs to nothing, for keys that look like a known one, for anything given twice.
    """
    rows = significant_rows(text, path)
    keys: dict[str, Row] = {}
    tables: dict[str, Table] = {}
    specials: list[SpecialCutoffs] = []
    exclusions: list[Exclusion] = []
    ignored: list[str] = []
    position = 0
    while position < len(rows):
        row = rows[position]
        position += 1
        word = _keyword(row, path)
        if word in KEYS:
            _refuse_repeated(keys, word, row, path)
            keys[word] = _value(rows, position, word, row, path)
            position += 1
        elif word in _TABLES or row.words[:2] == ("CHARGE", "CONSTRAINTS:"):
            name = word or "CHARGE CONSTRAINTS"
            _refuse_repeated(tables, name, row, path)
            tables[name] = Table(row.line, _rows_before_keyword(rows, position))
            if name in _COLUMNS:
                _check_columns(name, row, tables[name], path)
            position += len(tables[name].rows)
        elif word is not None:
            ignored.append(word)
            position += min(1, len(_rows_before_keyword(rows, position)))
        elif row.words[0] == "EXCLUDE":
            exclusions += (found := _read_exclusions(rows, position, row, path))
            position += len(found)
        elif row.words[0] == "SPECIAL":
            special = _read_special(rows, position, row, path)
            _refuse_second_special(specials, special, path)
            specials.append(special)
            position += len(special.clusters)
        elif not row.words[0].startswith("#"):
            raise Place(path, row.line).error(
                f"'{' '.join(row.words)}' belongs to no key",
                cure="remove it, or put '!' before what is a comment",
            )
    return Sections(
        keys=keys,
        types=tables.get("TYPEIDX"),
        pairs=tables.get("PAIRIDX"),
        constraints=tables.get("CHARGE CONSTRAINTS"),
        specials=tuple(specials),
        exclusions=tuple(exclusions),
        ignored=tuple(ignored),
    )


def _keyword(row: Row, path: Path) -> str | None:
    """The keyword that a line holds, known or not; None for lines that hold none."""
    if not row.words[0].startswith("#"):
        return None
    check_spelling(row, _KNOWN, path)
    # Names of columns follow that of a table; behind other keys stands nothing.
    has_more = len(row.words) > 3 and row.key not in (*_TABLES, "TRJFILE")
    if has_more and row.key in _KNOWN:
        raise Place(path, row.line).error(
            f"the key {row.key} is written '{' '.join(row.words)[:60]}'",
            cure=f"write '# {row.key} #' on a line of its own and the value on the next line",
        )
    return None if has_more else row.key


def _refuse_repeated(
    found: dict[str, Row] | dict[str, Table], key: str, row: Row, path: Path
) -> None:
    if key in found:
        raise Place(path, row.line).error(
            f"{key} is given twice, first at line {found[key].line}", cure="remove one of them"
        )


def _begins_keyword(row: Row) -> bool:
    return row.words[0].startswith("#") or row.words[0] in _PHRASES


def _rows_before_keyword(rows: Sequence[Row], start: int) -> tuple[Row, ...]:
    end = start
    while end < len(rows) and not _begins_keyword(rows[end]):
        end += 1
    return tuple(rows[start:end])


def _value(rows: Sequence[Row], position: int, key: str, row: Row, path: Path) -> Row:
    if position >= len(rows) or _begins_keyword(rows[position]):
        raise Place(path, row.line).error(
            f"the key {key} has no value", cure="write it on the next line"
        )
    value = rows[position]
    most = _MOST_WORDS.get(key, 1)
    if len(value.words) > most:
        raise Place(path, value.line).error(
            f"{key} takes {most} words at most, found '{' '.join(value.words)[:60]}'",
            cure="remove the rest, or put '!' before a comment",
        )
    return value


def _check_columns(name: str, heading: Row, table: Table, path: Path) -> None:
    """Columns are read by their position, so names that stand elsewhere, and words without a name, are mistakes."""
    names = [word.strip("#") for word in heading.words if word.strip("#")][1:]
    for place, (found, right) in enumerate(zip(names, _COLUMNS[name], strict=False), start=2):
        if found != right and found in _COLUMNS[name] and right in _COLUMNS[name]:
            raise Place(path, heading.line).error(
                f"column {place} of the table {name} is {right}, found {found}",
                cure=f"keep the order {' '.join(_COLUMNS[name])}",
            )
    most = max(len(names), len(_COLUMNS[name])) + 1
    for row in table.rows:
        if len(row.words) > most:
            raise Place(path, row.line).error(
                f"{len(row.words)} words, but the table {name} has {most} columns: "
                f"'{' '.join(row.words)[:60]}'",
                cure="remove what is too much",
            )


def _rows_of_list(
    rows: Sequence[Row], position: int, row: Row, token: str, path: Path
) -> tuple[Row, ...]:
    """The n rows after a phrase that ends in n."""
    what = f"the number after '{' '.join(row.words[:-1])}'"
    number = parse_integer(token, what, Place(path, row.line), minimum=0)
    found = _rows_before_keyword(rows, position)[:number]
    if len(found) < number:
        raise Place(path, row.line).error(
            f"{number} lines are announced, but only {len(found)} follow before the next key",
            cure="correct the number or the lines",
        )
    return found


def _read_exclusions(
    rows: Sequence[Row], position: int, row: Row, path: Path
) -> tuple[Exclusion, ...]:
    place = Place(path, row.line)
    bodies = ("1B", "2B", "3B", "4B")
    if len(row.words) != 4 or row.words[1] not in bodies or row.words[2] != "INTERACTION:":
        raise place.error(
            f"'{' '.join(row.words)}' is not understood",
            cure="write for example 'EXCLUDE 3B INTERACTION: 1'",
        )
    body = int(row.words[1][0])
    exclusions = []
    for listed in _rows_of_list(rows, position, row, row.words[3], path):
        if len(listed.words) != body:
            raise Place(path, listed.line).error(
                f"an excluded {body}-body interaction has {body} names, found {len(listed.words)}: "
                f"'{' '.join(listed.words)[:60]}'",
                cure=f"write {body} atom types",
            )
        exclusions.append(Exclusion(listed.words, listed.line))
    return tuple(exclusions)


def _read_special(rows: Sequence[Row], position: int, row: Row, path: Path) -> SpecialCutoffs:
    lines: tuple[Row, ...] = ()
    if row.words[3:4] == ("SPECIFIC",) and len(row.words) == 5:
        lines = _rows_of_list(rows, position, row, row.words[4], path)
    return parse_special(row, lines, path)


def parse_special(row: Row, lines: Sequence[Row], path: Path) -> SpecialCutoffs:
    """Read special cutoffs: the SPECIAL line and, after SPECIFIC, the lines of the list."""
    place = Place(path, row.line)
    if len(row.words) != 5 or row.words[2] not in {"S_MINIM:", "S_MAXIM:"}:
        raise place.error(
            f"'{' '.join(row.words)}' is not understood",
            cure="write for example 'SPECIAL 3B S_MAXIM: ALL 5.0'",
        )
    body = cast("Body", int(parse_word(row.words[1], "SPECIAL", ("3B", "4B"), place)[0]))
    bound = cast("Literal['S_MINIM', 'S_MAXIM']", row.words[2].rstrip(":"))
    if parse_word(row.words[3], row.words[2], ("ALL", "SPECIFIC"), place) == "ALL":
        value = parse_cutoff(row.words[4], place)
        return SpecialCutoffs(body=body, bound=bound, value=value, line=row.line)
    n_edges = 3 if body == 3 else 6
    clusters = []
    for listed in lines:
        inside = Place(path, listed.line)
        if len(listed.words) != 1 + 2 * n_edges:
            raise inside.error(
                f"expected {1 + 2 * n_edges} words of a special {body}-body cutoff, found {len(listed.words)}",
                cure=f"write a cluster name, {n_edges} pair names and {n_edges} values",
            )
        values = tuple(parse_cutoff(word, inside) for word in listed.words[1 + n_edges :])
        clusters.append(
            EdgeCutoffs(listed.words[0], listed.words[1 : 1 + n_edges], values, listed.line)
        )
    return SpecialCutoffs(body=body, bound=bound, clusters=tuple(clusters), line=row.line)


def parse_cutoff(token: str, place: Place) -> float:
    """Read a cutoff distance, Å."""
    value = parse_number(token, "a special cutoff", place)
    if value < 0.0:
        raise place.error(
            f"a special cutoff must not be negative, found {token}", cure="write it in Å"
        )
    if value > MAX_CUTOFF:
        raise place.error(
            f"a special cutoff must be at most {MAX_CUTOFF:g} Å, found {token}",
            cure="write it in Å",
        )
    return value


def _refuse_second_special(
    specials: Sequence[SpecialCutoffs], new: SpecialCutoffs, path: Path
) -> None:
    for old in specials:
        if (old.body, old.bound) == (new.body, new.bound):
            raise Place(path, new.line).error(
                f"SPECIAL {new.body}B {new.bound} is given twice, first at line {old.line}",
                cure="remove one of them, or write one list",
            )
