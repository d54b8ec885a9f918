"""Writes `params.header`, `ff_groups.map` and `params.txt`, byte for byte as the ChIMES programs do.

Cutoffs, lengths, charges and masses with more digits than these programs keep are written in full, so that the file
says the model that was fitted.
"""

from collections.abc import Sequence

from ald_chimes_lsq.basis import Basis, ClusterType
from ald_chimes_lsq.formats.tokens import Place, parse_integer, parse_number
from ald_chimes_lsq.params import Coefficients
from ald_chimes_lsq.topology import (
    Body,
    cluster_key,
    cluster_map,
    cluster_members,
    is_complete,
    pair_map,
)
from ald_core.errors import InputError

_TYPE_COLUMNS = "# TYPEIDX #\t# ATM_TYP #\t# ATMCHRG #\t# ATMMASS #"
_PAIR_COLUMNS = (
    "# PAIRIDX #\t# ATM_TY1 #\t# ATM_TY1 #\t# S_MINIM #\t# S_MAXIM #\t# CHBDIST #\t# MORSE_LAMBDA #"
)
_TERM_COLUMNS = "     index  |  powers  |  equiv index  |  param index  "
NEGLIGIBLE = 1e-6
"""Coefficients of triplets and quadruplets up to this size are left out of a reduced file."""
_CLUSTER_WORDS = {
    3: ("TRIPLET", "TRIPLETTYPE PARAMS:"),
    4: ("QUADRUPLET", "QUADRUPLETYPE PARAMS: "),
}


def header_text(basis: Basis) -> str:
    """Text of `params.header`."""
    lines = _preamble(basis)
    for body in _bodies():
        clusters = _clusters(basis, body)
        lines.append(f"ATOM PAIR {_CLUSTER_WORDS[body][0]}S: {len(clusters)}")
        if clusters:
            lines.append("")
        for cluster in clusters:
            lines += _listing(basis, cluster)
        lines.append("")
    return "\n".join([*lines, ""])


def map_text(basis: Basis) -> str:
    """Text of `ff_groups.map`."""
    maps = [("PAIRMAPS", pair_map(basis))]
    for body, name, order in ((3, "TRIPMAPS", basis.orders[1]), (4, "QUADMAPS", basis.orders[2])):
        if order:
            maps.append((name, cluster_map(basis, 3 if body == 3 else 4)))
    blocks = []
    for name, keys in maps:
        rows = [f"{index} {key}" for key, index in keys.items()]
        blocks.append("\n".join([f"{name}: {len(keys)}", *rows, ""]))
    return "\n".join(blocks)


def params_text(
    basis: Basis,
    coefficients: Coefficients,
    comments: Sequence[str] = (),
    *,
    exact: bool = False,
) -> str:
    """Text of `params.txt`.

    Args:
        basis: the basis.
        coefficients: one value per term of the clusters as they are listed in the basis.
        comments: lines before the header, each with its `!`.
        exact: write coefficients that need more than 14 digits in all their digits.
    """
    number = _all_digits if exact else _digits
    lines = [*comments, *_preamble(basis)]
    lines.append(f"ATOM PAIR TRIPLETS: {len(basis.triplets)}")
    lines.append(f"ATOM PAIR QUADRUPLETS: {len(basis.quads)}")
    lines += ["", "PAIR CHEBYSHEV PARAMS ", ""]
    for i, pair in enumerate(basis.pairs):
        lines += [f"PAIRTYPE PARAMS: {i} {pair.first} {pair.second}", ""]
        lines += [f"{n:3d} {number(value)}" for n, value in enumerate(coefficients.pairs[i])]
        if coefficients.charges is not None:
            lines.append(f"q_{pair.first} x q_{pair.second} {number(coefficients.charges[i])}")
        lines.append(" ")
    for body in _bodies():
        clusters = _clusters(basis, body)
        values = coefficients.triplets if body == 3 else coefficients.quads
        if clusters:
            lines += [f"{_CLUSTER_WORDS[body][0]} CHEBYSHEV PARAMS ", ""]
        for cluster, own in zip(clusters, values, strict=True):
            lines += _cluster_section(basis, cluster, [number(v) for v in own.tolist()])
    lines += ["", map_text(basis)]
    if coefficients.offsets is not None:
        lines.append(f"NO ENERGY OFFSETS:  {len(coefficients.offsets)}")
        offsets = enumerate(coefficients.offsets, start=1)
        lines += [f"ENERGY OFFSET {i} {number(value)}" for i, value in offsets]
    return "\n".join([*lines, "ENDFILE", ""])


def reduced_text(text: str, *, name: str = "parameter file") -> str:
    """Leave the negligible terms of triplets and quadruplets out of the text of a parameter file.

    Rows with an absolute value up to 1e-6 go; the first column is renumbered, UNIQUE becomes -1, TOTAL the number of
    rows left; these lines are joined with single blanks. Everything else stays as it is.

    Raises:
        InputError: the file has no ENDFILE line, so it is incomplete.
    """
    lines = text.split("\n")
    if not any(line.strip() == "ENDFILE" for line in lines):
        raise InputError(
            "there is no ENDFILE line: the file is incomplete", path=name, cure="write it again"
        )
    out: list[str] = []
    position = 0
    while position < len(lines):
        words = lines[position].split()
        if words[:1] == ["PAIRS:"] and "TOTAL:" in words:
            block, position = _reduced_cluster(lines, position, name)
            out += block
        else:
            out.append(lines[position])
            position += 1
    return "\n".join(out)


def _reduced_cluster(lines: list[str], start: int, name: str) -> tuple[list[str], int]:
    """The lines of a cluster from its PAIRS line to its last row, and the position of the next line."""
    place = Place(name, start + 1)
    words = lines[start].split()
    n_edges = len(words) - 5
    if n_edges not in {3, 6} or words[-4] != "UNIQUE:" or words[-2] != "TOTAL:":
        raise place.error(
            f"'{lines[start].strip()}' is not understood", cure="write the file again"
        )
    total = parse_integer(words[-1], "TOTAL", place, minimum=0)
    rows = [line.split() for line in lines[start + 3 : start + 3 + total]]
    # Index, one power per edge, equivalent, parameter, value.
    if len(rows) != total or any(len(row) != n_edges + 4 for row in rows):
        raise place.error(
            f"this cluster does not have {total} complete rows", cure="write the file again"
        )
    kept = [row for row in rows if abs(parse_number(row[-1], "a coefficient", place)) > NEGLIGIBLE]
    words[-3], words[-1] = "-1", str(len(kept))
    renumbered = [" ".join([str(i), *row[1:]]) for i, row in enumerate(kept)]
    return [" ".join(words), *lines[start + 1 : start + 3], *renumbered], start + 3 + total


def with_penalty(
    text: str, distance: float, scaling: float, *, name: str = "parameter file"
) -> str:
    """Set the penalty of a parameter file: two lines after FCUT TYPE, any that are there are replaced.

    Args:
        text: the file.
        distance: Å beyond the inner cutoff where the penalty begins.
        scaling: kcal/mol/Å³.
        name: of the file, for messages.
    """
    phrase = "PAIR CHEBYSHEV PENALTY"
    lines = [line for line in text.split("\n") if not line.lstrip().startswith(phrase)]
    places = [i for i, line in enumerate(lines) if line.startswith("FCUT TYPE:")]
    if len(places) != 1:
        raise InputError(
            f"there are {len(places)} lines 'FCUT TYPE:', so the penalty cannot be placed",
            path=name,
            cure="write one such line",
        )
    new = [f"{phrase} DIST: {float(distance)!r}", f"{phrase} SCALING: {float(scaling)!r}"]
    before, after = lines[: places[0] + 1], lines[places[0] + 1 :]
    return "\n".join([*before, *new, *after])


def _bodies() -> tuple[Body, Body]:
    return (3, 4)


def _clusters(basis: Basis, body: Body) -> tuple[ClusterType, ...]:
    return basis.triplets if body == 3 else basis.quads


def _word(value: bool) -> str:
    return "true" if value else "false"


def _preamble(basis: Basis) -> list[str]:
    """Header lines up to the number of triplets, which is not included."""
    charged = basis.fit_charges or any(t.charge != 0.0 for t in basis.types)
    lines = [
        f"USECOUL: {_word(charged)}",
        f"FITCOUL: {_word(basis.fit_charges)}",
        f"USE3BCH: {_word(basis.orders[1] > 0)}",
        f"USE4BCH: {_word(basis.orders[2] > 0)}",
        "EXCLD1B: " + ("".join(f"{i} " for i in basis.excluded_types) or "false"),
        "EXCLD2B: " + ("".join(f"{i} " for i in basis.excluded_pairs) or "false"),
        "",
        "PAIRTYP: CHEBYSHEV  {} {} {} -1 1".format(*basis.orders),
        "",
        f"ATOM TYPES: {len(basis.types)}",
        "",
        _TYPE_COLUMNS,
    ]
    for i, t in enumerate(basis.types):
        sign = "-" if t.charge < 0 else "+"
        charge = sign if basis.fit_charges else _exact(t.charge)
        lines.append(f"{i}\t\t{t.name}\t\t{charge}\t\t{_exact(t.mass)}")
    lines += ["", f"ATOM PAIRS: {len(basis.pairs)}", "", _PAIR_COLUMNS]
    for i, p in enumerate(basis.pairs):
        fields = [str(i), p.first, p.second, _exact(p.rmin), _exact(p.rmax), basis.transform]
        if basis.transform == "MORSE":
            fields.append(_exact(p.morse_lambda))
        lines.append("\t" + "".join(f"{field:<15} " for field in fields))
    phi = f" {_exact(basis.cutoff.fraction)}" if basis.cutoff.kind == "TERSOFF" else ""
    lines += ["", f"FCUT TYPE: {basis.cutoff.kind}{phi}"]
    for body in _bodies():
        for bound in ("S_MINIM", "S_MAXIM"):
            lines += special_block(basis, body, bound)
    return [*lines, ""]


def special_block(basis: Basis, body: Body, bound: str) -> list[str]:
    """Special cutoffs of the clusters that have them and are not excluded, after a blank line."""
    inner = bound == "S_MINIM"
    members = cluster_members(len(basis.types), body)
    rows = []
    for cluster in _clusters(basis, body):
        if cluster.excluded or not (cluster.special_rmin if inner else cluster.special_rmax):
            continue
        values = cluster.rmin if inner else cluster.rmax
        words = [cluster_key(basis.types, members[cluster.index])]
        words += [basis.pairs[p].name for p in cluster.pairs]
        words += [_exact(v, ".5f") for v in values]
        rows.append((" " if inner else "") + " ".join(words) + " ")
    return ["", f"SPECIAL {body}B {bound}: SPECIFIC {len(rows)}", *rows] if rows else []


def _exact(value: float, spec: str = "g") -> str:
    """A number as the ChIMES programs write it, or in all its digits where they would write another number."""
    text = format(value, spec)
    return text if float(text) == value else repr(float(value))


def _digits(value: float) -> str:
    return f"{value:21.13e}"


def _all_digits(value: float) -> str:
    text = _digits(value)
    return text if float(text) == value else f"{value:24.16e}"


def _atoms_line(cluster: ClusterType) -> str:
    return f" INDEX: {cluster.index} ATOMS: {' '.join(cluster.elements)}"


def _pairs_words(basis: Basis, cluster: ClusterType) -> str:
    return " ".join(basis.pairs[p].name for p in cluster.pairs)


def _row_texts(cluster: ClusterType) -> list[str]:
    rows = []
    tables = (cluster.powers.tolist(), cluster.equivalents.tolist(), cluster.parameters.tolist())
    for i, (powers, equivalent, parameter) in enumerate(zip(*tables, strict=True)):
        columns = "".join(f"{p:<2} " for p in powers)
        rows.append(f"      {i:<6}  {columns}       {equivalent:<8}        {parameter:<8}")
    return rows


def _listing(basis: Basis, cluster: ClusterType) -> list[str]:
    """A cluster in `params.header`."""
    # Of the two files only this one has a blank after the atoms of a quadruplet.
    atoms = _atoms_line(cluster) + (" " if len(cluster.elements) == 4 else "")
    pairs = f" PAIRS: {_pairs_words(basis, cluster)} "
    if cluster.excluded:
        return [atoms, f"{pairs}EXCLUDED:", ""]
    counts = f" {cluster.n_parameters} parameters, {len(cluster.powers)} total parameters "
    rule = "   " + "-" * 52
    return [atoms, pairs + counts, _TERM_COLUMNS, rule, *_row_texts(cluster), ""]


def _cluster_section(basis: Basis, cluster: ClusterType, values: list[str]) -> list[str]:
    """A cluster with its coefficients in `params.txt`."""
    end = " " if len(cluster.elements) == 4 else ""
    lines = [_CLUSTER_WORDS[len(cluster.elements)][1], "  " + _atoms_line(cluster)]
    pairs = f"   PAIRS: {_pairs_words(basis, cluster)}"
    if cluster.excluded:
        return [*lines, f"{pairs} EXCLUDED:{end}", ""]
    unique = cluster.n_parameters if is_complete(basis, cluster) else -1
    lines.append(f"{pairs} UNIQUE: {unique} TOTAL: {len(cluster.powers)}")
    lines += [f"{_TERM_COLUMNS}|       parameter       ", "   " + "-" * 76]
    rows = _row_texts(cluster)
    lines += [f"{row} {value}" for row, value in zip(rows, values, strict=True)]
    return [*lines, ""]
