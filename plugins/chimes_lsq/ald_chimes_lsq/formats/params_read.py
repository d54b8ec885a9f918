"""Reads parameter files: complete, reduced, old and published ones.

Source: the parameter file format of the ChIMES programs; `params_header` reads what comes before the coefficients.
"""

from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis, ClusterType
from ald_chimes_lsq.formats.cursor import Cursor
from ald_chimes_lsq.formats.params_header import Header, read_header
from ald_chimes_lsq.formats.tokens import Place, parse_integer, parse_number, read_text
from ald_chimes_lsq.params import Coefficients, Floats, ParameterFile
from ald_chimes_lsq.topology import Body, Exclusion, cluster_map, pair_map

_CLUSTER_TITLES = {3: "TRIPLET CHEBYSHEV PARAMS", 4: "QUADRUPLET CHEBYSHEV PARAMS"}
_CLUSTER_STARTS = {3: "TRIPLETTYPE PARAMS:", 4: "QUADRUPLETYPE PARAMS:"}
_MAPS = {2: "PAIRMAPS:", 3: "TRIPMAPS:", 4: "QUADMAPS:"}


@attrs.frozen(eq=False)
class _Terms:
    """A cluster as it stands in the file."""

    place: Place
    index: int
    elements: tuple[str, ...]
    pairs: tuple[str, ...]
    excluded: bool
    unique: int
    powers: NDArray[np.int64]
    equivalents: NDArray[np.int64]
    parameters: NDArray[np.int64]
    values: Floats


def read_params(path: Path | str) -> ParameterFile:
    """Read a parameter file.

    Clusters get the terms that the file lists, in its order. With `USE3BCH: false` (`USE4BCH: false`) the triplets
    (quadruplets) of the file are left out of the model.

    Raises:
        InputError: the file is incomplete, contradicts itself, or is not of a ChIMES model.
    """
    path = Path(path)
    cursor = Cursor.over(read_text(path), path)
    header = read_header(cursor)
    pairs, charges = _read_pairs(cursor, header)
    bodies: tuple[Body, Body] = (3, 4)
    terms = {body: _read_clusters(cursor, header, body) for body in bodies}
    bare = _bare_basis(header, terms[3], terms[4], path)
    clusters: list[tuple[ClusterType, ...]] = []
    values: list[tuple[Floats, ...]] = []
    for body in bodies:
        skeleton = bare.triplets if body == 3 else bare.quads
        matched = [_match(bare, c, terms[body]) for c in skeleton]
        clusters.append(tuple(m[0] for m in matched))
        values.append(tuple(m[1] for m in matched))
    _read_maps(cursor, header, bare, terms)
    offsets = _read_offsets(cursor, len(header.types))
    cursor.finish()
    used = [clusters[i] if header.used[i] else () for i in (0, 1)]
    o2, o3, o4 = header.orders
    orders = (o2, o3 if header.used[0] else 0, o4 if header.used[1] else 0)
    complete = all(
        len(own.powers) == len(full.powers)
        for own, full in zip(
            (*clusters[0], *clusters[1]), (*bare.triplets, *bare.quads), strict=True
        )
    )
    return ParameterFile(
        basis=attrs.evolve(bare, orders=orders, triplets=used[0], quads=used[1]),
        coefficients=Coefficients(
            pairs=pairs,
            triplets=values[0] if header.used[0] else (),
            quads=values[1] if header.used[1] else (),
            charges=charges,
            offsets=offsets,
        ),
        penalty_distance=header.penalty_distance,
        penalty_scaling=header.penalty_scaling,
        comments=header.comments,
        reduced=not complete,
    )


def _bare_basis(
    header: Header, triplets: Sequence[_Terms], quads: Sequence[_Terms], path: Path
) -> Basis:
    """The basis with complete lists of terms."""
    exclusions = [Exclusion(t.elements, t.place.line) for t in (*triplets, *quads) if t.excluded]
    exclusions += [Exclusion((header.types[i].name,)) for i in header.excluded_types]
    exclusions += [
        Exclusion((header.pairs[i].first, header.pairs[i].second)) for i in header.excluded_pairs
    ]
    return header.build(exclusions, path)


def _read_pairs(cursor: Cursor, header: Header) -> tuple[Floats, Floats | None]:
    """Coefficients (n_pairs, O2) and charge products, in canonical order."""
    cursor.expect("PAIR CHEBYSHEV PARAMS")
    n_pairs, order = len(header.pairs), header.orders[0]
    coefficients = np.zeros((n_pairs, order))
    charges = np.zeros(n_pairs)
    seen: set[int] = set()
    for _ in range(n_pairs):
        words, place = cursor.expect("PAIRTYPE PARAMS:")
        if len(words) != 3:
            raise place.error(
                f"'PAIRTYPE PARAMS:' needs an index and two atom types after it, found '{' '.join(words)}'",
                cure="write them as in the table of pairs",
            )
        pair = header.pair_index(words[1], words[2], place)
        number = parse_integer(words[0], "the index of the pair", place, minimum=0)
        if number >= n_pairs or header.file_order[number] != pair:
            raise place.error(
                f"pair {words[1]} {words[2]} has the index {number}, but another in the table of pairs",
                cure=f"write {next(i for i, p in header.file_order.items() if p == pair)}",
            )
        if pair in seen:
            raise place.error(
                f"pair {words[1]} {words[2]} is given twice", cure="remove or rename one of them"
            )
        seen.add(pair)
        for n in range(order):
            row, at = cursor.row(2, "a pair coefficient (index and value)")
            if row[0] != str(n):
                raise at.error(
                    f"expected coefficient {n} of pair {words[1]} {words[2]}, found '{row[0]}'",
                    cure=f"write {order} of them, numbered from 0",
                )
            coefficients[pair, n] = parse_number(row[1], "a coefficient", at)
        if header.fit_charges:
            row, at = cursor.row(4, "a line 'q_A x q_B value'")
            if not (row[0].startswith("q_") and row[1] == "x" and row[2].startswith("q_")):
                raise at.error(
                    f"expected the product of charges, found '{' '.join(row)}'",
                    cure=f"write 'q_{words[1]} x q_{words[2]}' and its value",
                )
            charges[pair] = parse_number(row[3], "a product of charges", at)
    return coefficients, charges if header.fit_charges else None


def _read_clusters(cursor: Cursor, header: Header, body: Body) -> tuple[_Terms, ...]:
    title = _CLUSTER_TITLES[body]
    number = header.n_clusters[body - 3]
    if number or cursor.at(title):
        cursor.expect(title)
    terms = tuple(_read_cluster(cursor, header, body) for _ in range(number))
    seen: set[int] = set()
    for own in terms:
        if own.index >= number or own.index in seen:
            raise own.place.error(
                f"the index of a {body}-body type must be below {number} and occur once, found {own.index}",
                cure=f"number the types from 0 to {number - 1}",
            )
        seen.add(own.index)
    if cursor.at(_CLUSTER_STARTS[body]):
        raise cursor.place.error(
            f"there are more than the {number} {body}-body types that were announced",
            cure="remove what is too much, or write the file again",
        )
    return terms


def _read_cluster(cursor: Cursor, header: Header, body: Body) -> _Terms:
    n_edges = 3 if body == 3 else 6
    cursor.expect(_CLUSTER_STARTS[body])
    words, place = cursor.expect("INDEX:")
    if len(words) != body + 2 or words[1] != "ATOMS:":
        raise place.error(
            f"expected 'INDEX: i ATOMS:' and {body} names, found '{' '.join(words)[:60]}' after INDEX:",
            cure="write index and atoms so",
        )
    index = parse_integer(words[0], "the index of the cluster", place, minimum=0)
    elements = tuple(words[2:])
    words, at = cursor.expect("PAIRS:")
    empty = np.zeros((0, n_edges), dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    pairs = tuple(words[:n_edges])
    if words[n_edges:] == ["EXCLUDED:"]:
        return _Terms(place, index, elements, pairs, True, 0, empty, none, none, np.zeros(0))
    if len(words) != n_edges + 4 or words[n_edges] != "UNIQUE:" or words[n_edges + 2] != "TOTAL:":
        raise at.error(
            f"'{' '.join(words)[:80]}' after PAIRS: is not understood",
            cure=f"write {n_edges} pairs, and 'UNIQUE: u TOTAL: t' or 'EXCLUDED:'",
        )
    unique = parse_integer(words[n_edges + 1], "UNIQUE", at, minimum=-1)
    total = parse_integer(words[n_edges + 3], "TOTAL", at, minimum=0)
    cursor.expect("index  |  powers")
    if not cursor.line.strip("- "):
        cursor.skip()
    order = header.orders[body - 2]
    rows = [_read_row(cursor, i, n_edges, order) for i in range(total)]
    numbers = np.array([r[0] for r in rows], dtype=np.int64).reshape(total, n_edges + 2)
    values = np.array([r[1] for r in rows], dtype=np.float64)
    powers = numbers[:, :n_edges]
    if len({tuple(p) for p in powers.tolist()}) < total:
        raise at.error("two rows of this cluster have the same powers", cure="remove one of them")
    return _Terms(
        place, index, elements, pairs, False, unique, powers, numbers[:, -2], numbers[:, -1], values
    )


def _read_row(cursor: Cursor, i: int, n_edges: int, order: int) -> tuple[list[int], float]:
    """Powers, equivalent and parameter number of a row, and its coefficient."""
    words, at = cursor.row(n_edges + 4, "a row of a cluster (index, powers, two indices, value)")
    numbers = [parse_integer(w, "an index or power", at, minimum=0) for w in words[:-1]]
    if numbers[0] != i:
        raise at.error(
            f"expected row {i} of the cluster, found '{words[0]}'",
            cure="number the rows from 0, and write as many as TOTAL says",
        )
    if any(power >= order for power in numbers[1 : 1 + n_edges]):
        raise at.error(
            f"powers must be smaller than the order {order}, found {' '.join(words[1:-3])}",
            cure="correct the powers, or the order after PAIRTYP",
        )
    return numbers[1:], parse_number(words[-1], "a coefficient", at)


def _match(
    basis: Basis, cluster: ClusterType, terms: Sequence[_Terms]
) -> tuple[ClusterType, Floats]:
    """Give a cluster type the terms of the file, and their coefficients."""
    found = [t for t in terms if sorted(t.elements) == list(cluster.elements)]
    if len(found) != 1:
        place = found[-1].place if found else terms[0].place
        raise place.error(
            f"cluster {' '.join(cluster.elements)} occurs {len(found)} times in the coefficients",
            cure="write each cluster of atom types once",
        )
    own = found[0]
    names = tuple(basis.pairs[p].name for p in cluster.pairs)
    if own.elements != cluster.elements or own.pairs != names:
        raise own.place.error(
            f"cluster {' '.join(own.elements)} with pairs {' '.join(own.pairs)} is not in the order of the format",
            cure=f"write it as {' '.join(cluster.elements)} with pairs {' '.join(names)}",
        )
    if own.excluded:
        return cluster, own.values
    allowed = {tuple(p) for p in cluster.powers.tolist()}
    for powers in own.powers.tolist():
        if tuple(powers) not in allowed:
            raise own.place.error(
                f"the powers {' '.join(map(str, powers))} leave an atom of this cluster untouched",
                cure="remove that row, or correct its powers",
            )
    _check_orbits(cluster, own)
    if own.unique not in {-1, cluster.n_parameters, len(set(own.parameters.tolist()))}:
        raise own.place.error(
            f"UNIQUE of this cluster must be {cluster.n_parameters}, or -1 in a reduced file; found {own.unique}",
            cure="correct it",
        )
    if np.array_equal(own.powers, cluster.powers) and np.array_equal(
        own.parameters, cluster.parameters
    ):
        return cluster, own.values
    most = int(own.parameters.max(initial=-1)) + 1
    changed = attrs.evolve(
        cluster,
        powers=own.powers,
        equivalents=own.equivalents,
        parameters=own.parameters,
        n_parameters=max(most, own.unique),
    )
    return changed, own.values


def _check_orbits(cluster: ClusterType, own: _Terms) -> None:
    """Check that terms which a permutation of like atoms turns into each other have one number and one coefficient."""
    orbit = dict(zip(map(tuple, cluster.powers.tolist()), cluster.parameters.tolist(), strict=True))
    first: dict[int, tuple[int, float]] = {}
    numbers: dict[int, int] = {}
    rows = zip(own.powers.tolist(), own.parameters.tolist(), own.values.tolist(), strict=True)
    for powers, number, value in rows:
        said = first.setdefault(orbit[tuple(powers)], (number, value))
        if (
            said != (number, value)
            or numbers.setdefault(number, orbit[tuple(powers)]) != orbit[tuple(powers)]
        ):
            raise own.place.error(
                f"the row with powers {' '.join(map(str, powers))} contradicts another one: rows that differ by "
                "a permutation of like atoms, and only those, have the same parameter number and coefficient",
                cure="make them alike, or write the file again",
            )


def _read_maps(
    cursor: Cursor, header: Header, basis: Basis, terms: dict[Body, tuple[_Terms, ...]]
) -> None:
    """Check that the maps say what follows from the names."""
    read_map(cursor, 2, pair_map(basis), header.file_order)
    bodies: tuple[Body, Body] = (3, 4)
    for body in bodies:
        clusters = basis.triplets if body == 3 else basis.quads
        if not clusters:
            if cursor.at(_MAPS[body]):
                raise cursor.place.error(
                    f"there is a map, but there are no {body}-body types", cure="remove the map"
                )
            continue
        numbers = {t.index: t.elements for t in terms[body]}
        canonical = {c.elements: c.index for c in clusters}
        order = {index: canonical[elements] for index, elements in numbers.items()}
        read_map(cursor, body, cluster_map(basis, body), order)


def read_map(cursor: Cursor, body: int, right: dict[str, int], order: dict[int, int]) -> None:
    """Read a map and check it; `order` gives the canonical index for each index of the file."""
    words, place = cursor.expect(_MAPS[body])
    what, cure = _MAPS[body].rstrip(":"), f"write {len(right)}, the number of keys"
    number = parse_integer(" ".join(words), what, place, minimum=1, cure=cure)
    if number != len(right):
        raise place.error(f"{what} must list {len(right)} keys, found {number}", cure=cure)
    seen: set[str] = set()
    for _ in range(number):
        row, at = cursor.row(2, "an index and a key")
        index = parse_integer(row[0], "the index of a map", at, minimum=-1)
        if row[1] not in right or row[1] in seen:
            raise at.error(
                f"'{row[1]}' is not a key of these atom types, or is listed twice",
                cure=f"write each of {len(right)} keys once, or the file again",
            )
        seen.add(row[1])
        if order.get(index, index) != right[row[1]]:
            wanted = right[row[1]]
            own = next((i for i, canonical in order.items() if canonical == wanted), wanted)
            raise at.error(
                f"key {row[1]} has index {index}, which is another cluster", cure=f"write {own}"
            )


def _read_offsets(cursor: Cursor, n_types: int) -> Floats | None:
    if not cursor.at("NO ENERGY OFFSETS:"):
        return None
    words, place = cursor.expect("NO ENERGY OFFSETS:")
    if words != [str(n_types)]:
        raise place.error(
            f"{n_types} energy offsets are needed, one per atom type, found '{' '.join(words)}'",
            cure=f"write {n_types}, and as many lines 'ENERGY OFFSET i value' after it",
        )
    offsets = np.zeros(n_types)
    for i in range(n_types):
        words, place = cursor.expect("ENERGY OFFSET")
        if len(words) != 2 or words[0] != str(i + 1):
            raise place.error(
                f"expected 'ENERGY OFFSET {i + 1}' and its value, found '{' '.join(words)}' after ENERGY OFFSET",
                cure="write that",
            )
        offsets[i] = parse_number(words[1], "an energy offset", place)
    return offsets
