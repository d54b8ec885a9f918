"""Lennard-Jones models in the format of ChIMES parameter files (`PAIRTYP: LJ`), for molecular dynamics.

E = 4ε[(σ/r)¹² − (σ/r)⁶] for each pair up to its outer cutoff, without a shift.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis, Cutoff, InnerRule, PairType, Transform
from ald_chimes_lsq.engine import PackedModel
from ald_chimes_lsq.formats.cursor import Cursor
from ald_chimes_lsq.formats.params_header import (
    read_pair_table,
    read_switches,
    read_types,
    switch,
)
from ald_chimes_lsq.formats.params_read import read_map
from ald_chimes_lsq.formats.tokens import (
    Place,
    check_transform,
    parse_integer,
    parse_number,
    read_text,
)
from ald_chimes_lsq.kernels.packing import pack_basis
from ald_chimes_lsq.params import PENALTY_DISTANCE, Coefficients
from ald_chimes_lsq.topology import pair_map

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class LennardJones:
    """A Lennard-Jones model; like a ChIMES model it has a basis (without terms) and may have charges."""

    basis: Basis
    """Types and pairs; `orders` are zero."""
    epsilon: Floats
    """(n_pairs,) kcal/mol"""
    sigma: Floats
    """(n_pairs,) Å"""
    coefficients: Coefficients
    """Charge products, if they were fitted."""

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a parameter file; raises InputError for anything malformed."""
        path = Path(path)
        cursor = Cursor.over(read_text(path), path)
        switches = read_switches(cursor)
        fit_charges = switch(switches, "FITCOUL", cursor)
        charged = switch(switches, "USECOUL", cursor)
        for key in ("USE3BCH", "USE4BCH"):
            if switch(switches, key, cursor):
                raise switches[key][1].error(
                    f"{key} is true, but a Lennard-Jones model has pairs only", cure="write false"
                )
        words, place = cursor.expect("PAIRTYP:")
        if words != ["LJ"]:
            raise place.error(f"PAIRTYP is '{' '.join(words)}', not 'LJ'", cure="write LJ")
        types = read_types(cursor, charged=charged or fit_charges, fit_charges=fit_charges)
        pairs, file_order, transform = read_pair_table(cursor, types, _read_pair)
        basis = Basis(
            types=types,
            pairs=pairs,
            orders=(0, 0, 0),
            transform=transform,
            cutoff=Cutoff(),
            inner=InnerRule(),
            triplets=(),
            quads=(),
            fit_charges=fit_charges,
        )
        for phrase in ("ATOM PAIR TRIPLETS:", "ATOM PAIR QUADRUPLETS:"):
            if cursor.at(phrase) and (rest := cursor.expect(phrase))[0] != ["0"]:
                raise rest[1].error("a Lennard-Jones model has pairs only", cure="write 0")
        values, charges = _read_values(cursor, basis, file_order)
        read_map(cursor, 2, pair_map(basis), file_order)
        cursor.finish()
        own = Coefficients(np.zeros((len(pairs), 0)), charges=charges)
        return cls(basis, values[:, 0].copy(), values[:, 1].copy(), own)

    def pack(self) -> PackedModel:
        """A model without terms whose neighbour lists reach to the cutoffs."""
        bare = pack_basis(self.basis)
        reach = np.array([p.rmax for p in self.basis.pairs])
        return bare._replace(pair_range=reach, penalty_distance=PENALTY_DISTANCE)


def is_lennard_jones(path: Path | str) -> bool:
    """Whether a parameter file says that its pairs are of the type LJ."""
    rows = (line.split() for line in read_text(Path(path)).split("\n"))
    return any(words[:2] == ["PAIRTYP:", "LJ"] for words in rows)


def _read_pair(words: Sequence[str], place: Place, row: int) -> tuple[PairType, Transform]:
    """One row: index, names, cutoffs; anything after them means nothing."""
    if len(words) < 5 or words[0] != str(row):
        found = " ".join(words)[:80]
        raise place.error(
            f"expected pair {row}, found '{found}'",
            cure="write index, two types, S_MINIM, S_MAXIM",
        )
    rmin, rmax = (parse_number(word, "a cutoff", place) for word in words[3:5])
    if not 0.0 <= rmin < rmax:
        raise place.error(
            f"S_MINIM {rmin:g} must be below S_MAXIM {rmax:g}", cure="correct these lengths, in Å"
        )
    check_transform("NONE", rmin, rmax, 1.0, place)
    return PairType(words[1], words[2], rmin, rmax, 1.0), "NONE"


def _read_values(
    cursor: Cursor, basis: Basis, file_order: dict[int, int]
) -> tuple[Floats, Floats | None]:
    """ε and σ of each pair, and its charge product."""
    cursor.expect("PAIR LJ PARAMS")
    n_pairs = len(basis.pairs)
    values, charges = np.zeros((n_pairs, 2)), np.zeros(n_pairs)
    for number in range(n_pairs):
        words, place = cursor.expect("PAIRTYPE PARAMS:")
        pair = basis.pairs[file_order[number]]
        if words[:1] != [str(number)] or sorted(words[1:]) != sorted((pair.first, pair.second)):
            raise place.error(
                f"'{' '.join(words)}' is not pair {number} of the table",
                cure=f"write '{number} {pair.first} {pair.second}'",
            )
        for column, name in enumerate(("ε", "σ")):
            row, at = cursor.row(2, f"index and {name}")
            if parse_integer(row[0], "an index", at) != column:
                raise at.error(
                    f"expected {name} with index {column}, found '{row[0]}'", cure=f"write {column}"
                )
            values[file_order[number], column] = parse_number(row[1], name, at)
            if column == 0 and values[file_order[number], 0] < 0.0:
                raise at.error(
                    f"ε must not be negative, found {row[1]}", cure="write it in kcal/mol"
                )
            if column == 1 and values[file_order[number], 1] <= 0.0:
                raise at.error(f"σ must be above 0 Å, found {row[1]}", cure="write it in Å")
        if basis.fit_charges:
            row, at = cursor.row(4, "a line 'q_A x q_B value'")
            charges[file_order[number]] = parse_number(row[3], "a product of charges", at)
    return values, charges if basis.fit_charges else None
