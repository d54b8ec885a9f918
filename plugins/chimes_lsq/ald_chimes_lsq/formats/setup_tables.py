"""Reads the tables of `fm_setup.in`: atom types, pairs, charge constraints."""

from pathlib import Path

import attrs

from ald_chimes_lsq.basis import AtomType, Basis, PairType, Transform
from ald_chimes_lsq.formats.control_lines import Row
from ald_chimes_lsq.formats.setup_sections import Sections
from ald_chimes_lsq.formats.tokens import Place, check_transform, parse_integer, parse_number
from ald_chimes_lsq.topology import MAX_TYPES, pair_names
from ald_core.errors import InputError


@attrs.frozen
class ChargeConstraint:
    """A row of the design matrix that ties fitted charge products together."""

    coefficients: tuple[float, ...]
    """One per pair type, in canonical order."""
    value: float


def missing_key(key: str, path: Path) -> InputError:
    """The complaint about a key, or the heading of a table, that is not there."""
    return InputError(f"the key '# {key} #' is missing", path=path, cure="add it and its value")


def read_types(sections: Sections, path: Path, fit_charges: bool) -> list[AtomType]:
    """Read the table TYPEIDX, which must have NATMTYP rows."""
    declared = sections.keys.get("NATMTYP")
    if declared is None:
        raise missing_key("NATMTYP", path)
    place = Place(path, declared.line)
    cure = f"write the number of rows of the table TYPEIDX, 1 to {MAX_TYPES}"
    number = parse_integer(declared.words[0], "NATMTYP", place, minimum=1, cure=cure)
    if number > MAX_TYPES:
        raise place.error(f"NATMTYP must be at most {MAX_TYPES}, found {number}", cure=cure)
    if sections.types is None:
        raise missing_key("TYPEIDX", path)
    if len(sections.types.rows) != number:
        raise Place(path, sections.types.line).error(
            f"NATMTYP (line {declared.line}) is {number}, but this table has "
            f"{len(sections.types.rows)} rows",
            cure="correct the number or the table",
        )
    types: list[AtomType] = []
    for row in sections.types.rows:
        atom_type = _read_type(row, path, fit_charges)
        if any(atom_type.name == other.name for other in types):
            raise Place(path, row.line).error(
                f"atom type '{atom_type.name}' is given twice", cure="rename or remove one"
            )
        types.append(atom_type)
    return types


def _read_type(row: Row, path: Path, fit_charges: bool) -> AtomType:
    place = Place(path, row.line)
    if len(row.words) < 4:
        raise place.error(
            f"expected 4 columns, found {len(row.words)}: '{' '.join(row.words)[:60]}'",
            cure="write number, name, charge and mass of the atom type",
        )
    _, name, charge_word, mass_word = row.words[:4]
    if fit_charges:
        charge = -1.0 if charge_word.startswith("-") else 1.0
        if charge_word not in {"+", "-"} and parse_number(charge_word, "the charge", place) == 0.0:
            raise place.error(
                f"with FITCOUL true the charge of {name} must have a sign, found {charge_word}",
                cure="write + or -",
            )
    else:
        charge = parse_number(charge_word, f"the charge of {name} (FITCOUL is false)", place)
        if charge != 0.0:
            raise place.error(
                f"the charge of {name} is {charge_word}: a fit with fixed charges is not supported",
                cure="write 0.0, or FITCOUL true and here + or -",
            )
    mass = parse_number(mass_word, f"the mass of {name}", place)
    if mass <= 0.0:
        raise place.error(
            f"the mass of {name} must be positive, found {mass_word}", cure="write it in amu"
        )
    return AtomType(name=name, mass=mass, charge=charge)


def read_pair(row: Row, path: Path, names: set[str], transform: Transform) -> PairType:
    """Read a row of the table PAIRIDX; `names` are those of the atom types."""
    place = Place(path, row.line)
    if len(row.words) < 7:
        raise place.error(
            f"expected 7 columns, found {len(row.words)}: '{' '.join(row.words)[:60]}'",
            cure="write number, two atom types, S_MINIM, S_MAXIM, S_DELTA, MORSE_LAMBDA of the pair",
        )
    _, first, second = row.words[:3]
    for name in (first, second):
        if name not in names:
            raise place.error(
                f"pair {first} {second}: '{name}' is not an atom type",
                cure=f"write one of {', '.join(sorted(names))}",
            )
    rmin = parse_number(row.words[3], "S_MINIM", place)
    rmax = parse_number(row.words[4], "S_MAXIM", place)
    parse_number(row.words[5], "S_DELTA", place)
    morse_lambda = parse_number(row.words[6], "MORSE_LAMBDA", place)
    if not 0.0 <= rmin < rmax:
        raise place.error(
            f"pair {first} {second}: S_MINIM {rmin:g} must not be negative and must be smaller than "
            f"S_MAXIM {rmax:g}",
            cure="correct these lengths, in Å",
        )
    if transform == "INVRSE_R" and rmin == 0.0:
        raise place.error(
            f"pair {first} {second}: S_MINIM is {row.words[3]}, but must be positive for CHBTYPE INVRSE_R",
            cure="write the shortest distance of the pair, in Å",
        )
    if transform == "MORSE" and morse_lambda <= 0.0:
        raise place.error(
            f"pair {first} {second}: MORSE_LAMBDA must be positive, found {morse_lambda:g}",
            cure="write about a bond length, in Å",
        )
    check_transform(transform, rmin, rmax, morse_lambda, place)
    return PairType(first, second, rmin, rmax, morse_lambda)


def read_constraints(sections: Sections, path: Path, basis: Basis) -> tuple[ChargeConstraint, ...]:
    """Read the charge constraints, one fewer than there are pairs."""
    if sections.constraints is None:
        return ()
    n_pairs = len(basis.pairs)
    rows = sections.constraints.rows
    if len(rows) != n_pairs - 1:
        raise Place(path, sections.constraints.line).error(
            f"{n_pairs - 1} charge constraints are needed for {n_pairs} pairs, found {len(rows)}",
            cure=f"write {n_pairs - 1} lines after it",
        )
    names = pair_names(basis.types)
    constraints = []
    for row in rows:
        place = Place(path, row.line)
        if len(row.words) != 2 * n_pairs + 1:
            raise place.error(
                f"expected {2 * n_pairs + 1} words of a charge constraint, found {len(row.words)}",
                cure=f"write {n_pairs} pair names, {n_pairs} coefficients and a value",
            )
        indices = [names.get(word, -1) for word in row.words[:n_pairs]]
        if sorted(indices) != list(range(n_pairs)):
            raise place.error(
                f"'{' '.join(row.words[:n_pairs])}' does not name each of the {n_pairs} pairs once",
                cure=f"write {' '.join(pair.name for pair in basis.pairs)}, in any order",
            )
        numbers = [parse_number(w, "a charge constraint", place) for w in row.words[n_pairs:]]
        by_pair = dict(zip(indices, numbers[:-1], strict=True))
        constraints.append(ChargeConstraint(tuple(by_pair[i] for i in range(n_pairs)), numbers[-1]))
    return tuple(constraints)
