"""Reads the header of a parameter file: what defines the basis."""

from collections.abc import Callable, Sequence
from math import comb
from pathlib import Path
from typing import cast

import attrs

from ald_chimes_lsq.basis import AtomType, Basis, Cutoff, PairType, Transform
from ald_chimes_lsq.formats.control_lines import Row
from ald_chimes_lsq.formats.cursor import Cursor
from ald_chimes_lsq.formats.setup_sections import parse_special
from ald_chimes_lsq.formats.tokens import (
    Place,
    check_transform,
    parse_boolean,
    parse_fraction,
    parse_integer,
    parse_number,
)
from ald_chimes_lsq.params import PENALTY_DISTANCE, PENALTY_SCALING
from ald_chimes_lsq.topology import (
    MAX_TYPES,
    Exclusion,
    SpecialCutoffs,
    build_basis,
    check_orders,
    pair_order,
)
from ald_core.errors import InputError

_SWITCHES = ("USECOUL", "FITCOUL", "USEPOVR", "FITPOVR", "USE3BCH", "USE4BCH", "EXCLD1B", "EXCLD2B")
_TRANSFORMS = ("MORSE", "INVRSE_R", "NONE", "DEFAULT")
MAX_PENALTY_DISTANCE = 10.0
"""Å; some 0.01 is usual."""
ReadPair = Callable[[Sequence[str], Place, int], tuple[PairType, Transform]]
"""Reads the words of row n of the table of pairs."""


@attrs.frozen
class Header:
    """What the header says."""

    types: tuple[AtomType, ...]
    pairs: tuple[PairType, ...]
    """In canonical order."""
    file_order: dict[int, int]
    """Canonical index of the pair for every index of the file."""
    orders: tuple[int, int, int]
    used: tuple[bool, bool]
    """USE3BCH, USE4BCH"""
    n_clusters: tuple[int, int]
    transform: Transform
    cutoff: Cutoff
    specials: tuple[SpecialCutoffs, ...]
    fit_charges: bool
    excluded_types: tuple[int, ...]
    excluded_pairs: tuple[int, ...]
    penalty_distance: float
    penalty_scaling: float
    comments: tuple[str, ...]

    def pair_index(self, first: str, second: str, place: Place) -> int:
        """Canonical index of a pair by its names in either order."""
        for i, pair in enumerate(self.pairs):
            if {pair.first, pair.second} == {first, second}:
                return i
        raise place.error(
            f"'{first} {second}' is not a pair of the atom types of this file",
            cure=f"write two of {', '.join(t.name for t in self.types)}",
        )

    def build(self, exclusions: Sequence[Exclusion], path: Path) -> Basis:
        """The basis with complete lists of terms."""
        try:
            return build_basis(
                self.types,
                self.pairs,
                self.orders,
                self.transform,
                self.cutoff,
                specials=self.specials,
                exclusions=exclusions,
                fit_charges=self.fit_charges,
            )
        except InputError as error:
            raise error.at(path, error.line) from None


@attrs.define
class _Options:
    """Lines between the table of pairs and the number of triplets, which may come in any order."""

    cutoff: Cutoff | None = None
    specials: list[SpecialCutoffs] = attrs.Factory(list)
    penalty_distance: float | None = None
    penalty_scaling: float | None = None


def read_header(cursor: Cursor) -> Header:
    """Read up to the numbers of triplets and quadruplets."""
    switches = read_switches(cursor)
    fit_charges = switch(switches, "FITCOUL", cursor)
    charged = switch(switches, "USECOUL", cursor)
    if fit_charges and not charged:
        raise switches["FITCOUL"][1].error(
            "FITCOUL is true, but USECOUL is false", cure="write 'USECOUL: true'"
        )
    used = (switch(switches, "USE3BCH", cursor), switch(switches, "USE4BCH", cursor))
    orders = _read_orders(cursor)
    types = read_types(cursor, charged=charged, fit_charges=fit_charges)
    pairs, file_order, transform = read_pair_table(cursor, types, _read_pair)
    options = _read_options(cursor)
    excluded_types = _indices(switches, "EXCLD1B", len(types))
    excluded_pairs = _indices(switches, "EXCLD2B", len(pairs))
    return Header(
        types=types,
        pairs=pairs,
        file_order=file_order,
        orders=orders,
        used=used,
        n_clusters=_read_counts(cursor, orders, len(types)),
        transform=transform,
        cutoff=options.cutoff or Cutoff(),
        specials=tuple(options.specials),
        fit_charges=fit_charges,
        excluded_types=excluded_types,
        excluded_pairs=tuple(file_order[i] for i in excluded_pairs),
        penalty_distance=_or(options.penalty_distance, PENALTY_DISTANCE),
        penalty_scaling=_or(options.penalty_scaling, PENALTY_SCALING),
        comments=cursor.comments,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def read_switches(cursor: Cursor) -> dict[str, tuple[list[str], Place]]:
    """Read the lines before PAIRTYP: the words after each key, and their place."""
    switches: dict[str, tuple[list[str], Place]] = {}
    while not cursor.at("PAIRTYP:"):
        place, words = cursor.place, cursor.line.split()
        key = words[0].rstrip(":")
        if not words[0].endswith(":") or key not in _SWITCHES:
            raise place.error(
                f"'{cursor.line[:60]}' is not understood here; a parameter file begins with lines such as "
                "'USECOUL: false' and 'PAIRTYP: CHEBYSHEV …'",
                cure="remove the line, or give another file",
            )
        if key in switches:
            raise place.error(f"{key} is given twice", cure="remove one of the lines")
        switches[key] = (words[1:], place)
        cursor.skip()
    for key in ("USECOUL", "FITCOUL", "USE3BCH"):
        if key not in switches:
            raise cursor.place.error(
                f"the line '{key}: …' is missing before PAIRTYP", cure=f"add '{key}: false' or true"
            )
    for key in ("USECOUL", "USEPOVR", "FITPOVR"):
        if switch(switches, key, cursor) and key != "USECOUL":
            raise switches[key][1].error(
                f"{key} is true, but over-coordination terms are not supported",
                cure="write false, and fit the model again",
            )
    return switches


def switch(switches: dict[str, tuple[list[str], Place]], key: str, cursor: Cursor) -> bool:
    """The value of a line before PAIRTYP that is true or false; false if there is none."""
    words, place = switches.get(key, (["false"], cursor.place))
    return parse_boolean(" ".join(words), key, place)


def _indices(
    switches: dict[str, tuple[list[str], Place]], key: str, number: int
) -> tuple[int, ...]:
    words, place = switches.get(key, (["false"], Place()))
    if words == ["false"]:
        return ()
    indices = tuple(parse_integer(word, f"an index of {key}", place, minimum=0) for word in words)
    if not indices or max(indices) >= number or len(set(indices)) < len(indices):
        raise place.error(
            f"{key} must be different indices below {number}, found '{' '.join(words)}'",
            cure="write such indices, or false",
        )
    return indices


def _read_orders(cursor: Cursor) -> tuple[int, int, int]:
    words, place = cursor.expect("PAIRTYP:")
    if words[:1] != ["CHEBYSHEV"] or len(words) not in {2, 3, 4, 6}:
        raise place.error(
            f"PAIRTYP is '{' '.join(words)}', not 'CHEBYSHEV O2 O3 O4 -1 1': this is no ChIMES model",
            cure="give the parameter file of one",
        )
    orders = [parse_integer(w, "an order in PAIRTYP", place, minimum=0) for w in words[1:4]]
    if [parse_number(w, "the Chebyshev range", place) for w in words[4:]] not in ([], [-1.0, 1.0]):
        raise place.error(
            f"the Chebyshev range is '{' '.join(words[4:])}'", cure="write '-1 1', or leave it out"
        )
    o2, o3, o4 = [*orders, 0, 0][:3]
    try:
        check_orders((o2, o3, o4))
    except InputError as error:
        raise error.at(place.path, place.line) from None
    return o2, o3, o4


def _count(cursor: Cursor, phrase: str, cure: str) -> tuple[int, Place]:
    """The number after a phrase."""
    words, place = cursor.expect(phrase)
    return parse_integer(" ".join(words), phrase.rstrip(":"), place, minimum=0, cure=cure), place


def read_types(cursor: Cursor, *, charged: bool, fit_charges: bool) -> tuple[AtomType, ...]:
    """Read the table of atom types; their charges mean nothing in a model without Coulomb terms."""
    cure = f"write the number of rows of the table below, 1 to {MAX_TYPES}"
    number, place = _count(cursor, "ATOM TYPES:", cure)
    if not 1 <= number <= MAX_TYPES:
        raise place.error(f"there must be 1 to {MAX_TYPES} atom types, found {number}", cure=cure)
    if cursor.at("#"):
        cursor.skip()
    types = []
    for i in range(number):
        words, at = cursor.row(4, "an atom type (index, name, charge, mass)")
        if words[0] != str(i):
            raise at.error(
                f"expected atom type {i}, found '{words[0]}'", cure="number the rows 0, 1, 2, …"
            )
        if fit_charges and words[2] in {"+", "-"}:
            charge = float(words[2] + "1")
        else:
            charge = parse_number(words[2], f"the charge of {words[1]}", at)
        mass = parse_number(words[3], f"the mass of {words[1]}", at)
        if mass <= 0.0:
            raise at.error(
                f"the mass of {words[1]} must be positive, found {words[3]}", cure="write it in amu"
            )
        types.append(AtomType(words[1], mass, charge if charged else 0.0 * charge))
    if len({t.name for t in types}) < number:
        names = ", ".join(t.name for t in types)
        raise place.error(f"two of the atom types {names} have the same name", cure="rename one")
    return tuple(types)


def read_pair_table(
    cursor: Cursor, types: Sequence[AtomType], read_row: ReadPair
) -> tuple[tuple[PairType, ...], dict[int, int], Transform]:
    """Pairs in canonical order, the canonical index of each row, and the transform."""
    order = pair_order(len(types))
    cure = f"write the number of atom pairs, {len(order)} for {len(types)} atom types"
    number, place = _count(cursor, "ATOM PAIRS:", cure)
    if number != len(order):
        raise place.error(
            f"{len(types)} atom types make {len(order)} pairs, found {number}", cure=cure
        )
    if cursor.at("#"):
        names = cursor.line.split()
        if "S_MINIM" in names and "S_MAXIM" in names[: names.index("S_MINIM")]:
            raise cursor.place.error(
                "the columns are S_MINIM, then S_MAXIM, not the reverse", cure="exchange them"
            )
        cursor.skip()
    position = {t.name: i for i, t in enumerate(types)}
    pairs: dict[int, PairType] = {}
    file_order: dict[int, int] = {}
    transforms: set[Transform] = set()
    for row in range(number):
        words, at = cursor.line.split(), cursor.place
        cursor.skip()
        pair, transform = read_row(words, at, row)
        for name in (pair.first, pair.second):
            if name not in position:
                raise at.error(
                    f"pair {pair.first} {pair.second}: '{name}' is not an atom type",
                    cure=f"write one of {', '.join(position)}",
                )
        i, j = sorted((position[pair.first], position[pair.second]))
        index = order.index((i, j))
        if index in pairs:
            raise at.error(
                f"pair {pair.first} {pair.second} is given twice",
                cure="write each pair of atom types once",
            )
        pairs[index] = attrs.evolve(pair, first=types[i].name, second=types[j].name)
        file_order[row] = index
        transforms.add(transform)
    if len(transforms) > 1:
        raise place.error(
            f"all pairs must have one transform, found {', '.join(sorted(transforms))}",
            cure="write the same in each row",
        )
    return tuple(pairs[i] for i in range(number)), file_order, transforms.pop()


def _read_pair(words: Sequence[str], place: Place, row: int) -> tuple[PairType, Transform]:
    """One row: index, names, cutoffs, [S_DELTA], transform, [λ]."""
    at = 6 if len(words) > 5 and words[5] not in _TRANSFORMS else 5
    if len(words) <= at or words[at] not in _TRANSFORMS or words[0] != str(row):
        raise place.error(
            f"expected pair {row}, found '{' '.join(words)[:80]}'",
            cure=f"write index, two types, S_MINIM, S_MAXIM, one of {', '.join(_TRANSFORMS)}, "
            "and for MORSE its length",
        )
    word = "NONE" if words[at] == "DEFAULT" else words[at]
    if len(words) > at + 2 or (word == "MORSE" and len(words) != at + 2):
        raise place.error(
            f"'{' '.join(words[at + 1 :])}' after {word} is not one number",
            cure="write MORSE_LAMBDA in Å there, and nothing else",
        )
    rmin, rmax = (parse_number(w, "a cutoff", place) for w in words[3:5])
    if at == 6:
        parse_number(words[5], "S_DELTA", place)
    morse_lambda = (
        parse_number(words[at + 1], "MORSE_LAMBDA", place) if len(words) > at + 1 else 1.0
    )
    # Equal cutoffs occur in published files: they switch a pair off.
    if not 0.0 <= rmin <= rmax or rmax == 0.0 or morse_lambda <= 0.0:
        raise place.error(
            f"pair {words[1]} {words[2]}: S_MINIM {rmin:g} must not exceed S_MAXIM {rmax:g}, "
            f"and MORSE_LAMBDA {morse_lambda:g} must be positive",
            cure="correct these lengths, in Å",
        )
    if word == "INVRSE_R" and rmin == 0.0:
        raise place.error(
            f"pair {words[1]} {words[2]}: S_MINIM is {words[3]}, but must be positive for INVRSE_R",
            cure="write the shortest distance of the pair, in Å",
        )
    check_transform(word, rmin, rmax, morse_lambda, place)
    return PairType(words[1], words[2], rmin, rmax, morse_lambda), cast("Transform", word)


def _read_options(cursor: Cursor) -> _Options:
    options = _Options()
    while not cursor.at("ATOM PAIR TRIPLETS:"):
        if cursor.at("FCUT TYPE:"):
            words, place = cursor.expect("FCUT TYPE:")
            if options.cutoff is not None:
                raise place.error("FCUT TYPE is given twice", cure="remove one of the lines")
            options.cutoff = _read_cutoff(words, place)
        elif cursor.at("SPECIAL"):
            options.specials.append(_read_special(cursor))
        else:
            _read_penalty(cursor, options)
    if options.cutoff is None:
        raise cursor.place.error(
            "the line 'FCUT TYPE: …' is missing before the number of triplets",
            cure="add 'FCUT TYPE: CUBIC' or 'FCUT TYPE: TERSOFF 0.5', whichever the model was fitted with",
        )
    return options


def _read_cutoff(words: Sequence[str], place: Place) -> Cutoff:
    if list(words) == ["CUBIC"]:
        return Cutoff()
    if len(words) != 2 or words[0] != "TERSOFF":
        raise place.error(
            f"FCUT TYPE is '{' '.join(words)}'", cure="write CUBIC, or TERSOFF and its fraction"
        )
    return Cutoff("TERSOFF", parse_fraction(words[1], place))


def _read_special(cursor: Cursor) -> SpecialCutoffs:
    rows = []
    place = cursor.place
    title = Row(place.line or 0, tuple(cursor.line.split()))
    cursor.skip()
    if title.words[3:4] == ("SPECIFIC",) and len(title.words) == 5:
        number = parse_integer(title.words[4], "the number after SPECIFIC", place, minimum=0)
        for _ in range(number):
            rows.append(Row(cursor.place.line or 0, tuple(cursor.line.split())))
            cursor.skip()
    return parse_special(title, rows, cursor.path)


def _read_penalty(cursor: Cursor, options: _Options) -> None:
    phrase = "PAIR CHEBYSHEV PENALTY"
    words, place = cursor.line.split(), cursor.place
    if words[:3] != phrase.split() or len(words) != 5 or words[3] not in {"DIST:", "SCALING:"}:
        raise place.error(
            f"'{cursor.line[:60]}' is not understood before the number of triplets",
            cure="write FCUT TYPE:, SPECIAL, 'PAIR CHEBYSHEV PENALTY DIST: d' or "
            "'PAIR CHEBYSHEV PENALTY SCALING: a' there, and nothing else",
        )
    cursor.skip()
    value = parse_number(words[4], f"{phrase} {words[3]}", place)
    if value < 0.0:
        raise place.error(
            f"the penalty must not be negative, found {words[4]}", cure="write 0 for none"
        )
    name = "penalty_distance" if words[3] == "DIST:" else "penalty_scaling"
    if name == "penalty_distance" and value > MAX_PENALTY_DISTANCE:
        raise place.error(
            f"the penalty must begin within {MAX_PENALTY_DISTANCE:g} Å of S_MINIM, found {words[4]}",
            cure="write the distance from S_MINIM, in Å",
        )
    if getattr(options, name) is not None:
        raise place.error(f"{phrase} {words[3]} is given twice", cure="remove one of the lines")
    setattr(options, name, value)


def _read_counts(cursor: Cursor, orders: tuple[int, int, int], n_types: int) -> tuple[int, int]:
    """Numbers of triplet and quadruplet types; a file without quadruplets may leave the second out."""
    numbers = []
    for body, phrase in ((3, "ATOM PAIR TRIPLETS:"), (4, "ATOM PAIR QUADRUPLETS:")):
        right = comb(n_types + body - 1, body) if orders[body - 2] else 0
        cure = f"write {right}, or correct the orders after PAIRTYP"
        number, place = 0, cursor.place
        if body == 3 or cursor.at(phrase):
            number, place = _count(cursor, phrase, cure)
        if number != right:
            raise place.error(
                f"{n_types} atom types and {body}-body order {orders[body - 2]} make {right} "
                f"{body}-body types, found {number}",
                cure=cure,
            )
        numbers.append(number)
    return numbers[0], numbers[1]
