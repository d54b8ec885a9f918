"""Reads `params.header` as the design-matrix generator of ChIMES writes it."""

from itertools import pairwise
from pathlib import Path

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.formats.cursor import Cursor
from ald_chimes_lsq.formats.params_header import read_header
from ald_chimes_lsq.formats.params_write import header_text
from ald_chimes_lsq.formats.tokens import Place, read_text
from ald_chimes_lsq.topology import Exclusion

_CURE = "write the header with `ald chimes lsq`"
_COUNTS = ("ATOM PAIR TRIPLETS:", "ATOM PAIR QUADRUPLETS:")


def read_basis_header(path: Path) -> Basis:
    """The basis that a header describes.

    Raises:
        InputError: the header is incomplete, or its lists of terms are not those that follow from its beginning.
    """
    text = read_text(path)
    cursor = Cursor.over(text, path)
    exclusions = _read_exclusions(cursor)
    listing = next(
        (i for i, (_, line) in enumerate(cursor.lines) if line.startswith(_COUNTS[0])), None
    )
    if listing is None:
        raise cursor.end.error(
            f"the line '{_COUNTS[0]} …' is missing; this is no complete header", cure=_CURE
        )
    later = [item for item in cursor.lines[listing + 1 :] if item[1].startswith(_COUNTS[1])]
    cursor.lines = cursor.lines[: listing + 1] + later[:1]
    header = read_header(cursor)
    exclusions += [Exclusion((header.types[i].name,)) for i in header.excluded_types]
    exclusions += [
        Exclusion((header.pairs[i].first, header.pairs[i].second)) for i in header.excluded_pairs
    ]
    basis = header.build(exclusions, path)
    check_text(text, header_text(basis), Place(path), _CURE)
    return basis


def _read_exclusions(cursor: Cursor) -> list[Exclusion]:
    """Clusters that are listed without terms."""
    found = []
    for (number, line), (_, following) in pairwise(cursor.lines):
        if line.startswith("INDEX:") and following.endswith("EXCLUDED:"):
            words = line.split()
            if len(words) < 5 or words[2] != "ATOMS:":
                raise Place(cursor.path, number).error(
                    f"'{line[:60]}' is not understood", cure="write 'INDEX: i ATOMS:' and the atoms"
                )
            found.append(Exclusion(tuple(words[3:]), number))
    return found


def check_text(found: str, expected: str, place: Place, cure: str) -> None:
    """Complain about the first line of a file whose words are not those expected; blank lines do not count."""
    lines = [(n, words) for n, line in enumerate(found.split("\n"), 1) if (words := line.split())]
    wanted = [words for line in expected.split("\n") if (words := line.split())]
    for (number, words), right in zip(lines, wanted, strict=False):
        if words != right:
            raise Place(place.path, number).error(
                f"expected '{' '.join(right)}', found '{' '.join(words)[:60]}'", cure=cure
            )
    if len(lines) != len(wanted):
        raise Place(place.path, lines[-1][0] if lines else None).error(
            f"{len(lines)} lines that are not blank, {len(wanted)} are right; the file is incomplete or too long",
            cure=cure,
        )
