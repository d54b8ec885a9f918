"""Reads `fm_setup.in`, the control file of a ChIMES fit: basis, trajectories, what is fitted.

Source: the input description of the ChIMES LSQ manual and the behaviour of its program.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

import attrs

from ald_chimes_lsq.basis import AtomType, Basis, Cutoff, InnerRule, PairType, Transform
from ald_chimes_lsq.setup_sections import Row, Sections, read_sections
from ald_chimes_lsq.tokens import (
    Place,
    parse_boolean,
    parse_fraction,
    parse_integer,
    parse_number,
    parse_word,
    read_text,
)
from ald_chimes_lsq.topology import MAX_TYPES, build_basis, pair_names
from ald_core.errors import InputError

StressRows = Literal["none", "diagonal", "full"]
Neighbours = Literal["big", "small", "none"]

_FIRST = ("first", "First", "FIRST")
_ALL = ("all", "All", "ALL", "A", "a")
_FIRST_ALL = ("firstall", "FirstAll", "FIRSTALL")


@attrs.frozen
class StressFit:
    """Which stress rows a fit has."""

    rows: StressRows = "none"
    """diagonal: xx yy zz; full: all nine components"""
    frames: int | None = None
    """Only for that many first frames; None for all."""

    def of(self, frame: int) -> StressRows:
        """Rows of a frame by its number, from 0, over all trajectories."""
        return self.rows if self.frames is None or frame < self.frames else "none"


@attrs.frozen
class EnergyFit:
    """Whether a fit has energy rows."""

    wanted: bool = False
    frames: int | None = None
    """Only for that many first frames; None for all."""

    def of(self, frame: int) -> bool:
        """Whether a frame, by its number from 0, has energy rows."""
        return self.wanted and (self.frames is None or frame < self.frames)


@attrs.frozen
class ChargeConstraint:
    """A row of the design matrix that ties fitted charge products together."""

    coefficients: tuple[float, ...]
    """One per pair type, in canonical order."""
    value: float


@attrs.frozen(eq=False)
class FitSetup:
    """What `fm_setup.in` says."""

    path: Path
    basis: Basis
    trajectory: Path
    """The trajectory, or the list of trajectories if `multi`; relative names are taken from the folder of the file."""
    multi: bool
    n_frames: int
    """Frames to use, from the start; 0 for none."""
    fit_stress: StressFit = StressFit()
    fit_energy: EnergyFit = EnergyFit()
    n_layers: int = 0
    wrap: bool = False
    split_files: bool = False
    hierarchical: bool = False
    skip_frames: int = 0
    neighbours: Neighbours = "big"
    charge_constraints: tuple[ChargeConstraint, ...] = ()
    ignored_keys: tuple[str, ...] = ()
    """Keys that have no effect, as they stand in the file."""

    @property
    def has_offsets(self) -> bool:
        """Whether the design matrix has a column per atom type for energy offsets."""
        return self.fit_energy.wanted and self.fit_energy.frames != 0


def read_setup(path: Path | str) -> FitSetup:
    """Read `fm_setup.in`.

    Raises:
        InputError: for everything that the ChIMES program would refuse, misread or pass over without a word, except
            keys that never had or no longer have a meaning.
    """
    path = Path(path)
    sections = read_sections(read_text(path), path)
    keys = sections.keys
    fit_charges = _boolean(keys, "FITCOUL", path)
    hierarchical = _boolean(keys, "HIERARC", path)
    fit_stress = _read_stress(keys, path)
    if fit_charges and fit_stress.rows != "none":
        raise Place(path, keys["FITSTRS"].line).error(
            "stresses cannot be fitted together with charges; set FITSTRS or FITCOUL to false"
        )
    types = _read_types(sections, path, fit_charges)
    basis = _read_basis(sections, path, types, hierarchical, fit_charges)
    trajectory, multi = _read_trajectory(keys, path)
    return FitSetup(
        path=path,
        basis=basis,
        trajectory=trajectory,
        multi=multi,
        n_frames=_integer(keys, "NFRAMES", path),
        fit_stress=fit_stress,
        fit_energy=_read_energy(keys, path),
        n_layers=_integer(keys, "NLAYERS", path),
        wrap=_boolean(keys, "WRAPTRJ", path),
        split_files=_boolean(keys, "SPLITFI", path),
        hierarchical=hierarchical,
        skip_frames=_integer(keys, "SKPFRMS", path, minimum=None),
        neighbours=_read_neighbours(keys, path),
        charge_constraints=_read_constraints(sections, path, basis) if fit_charges else (),
        ignored_keys=sections.ignored,
    )


def _place(row: Row, path: Path) -> Place:
    return Place(path, row.line)


def _required(keys: Mapping[str, Row], key: str, path: Path) -> Row:
    if key not in keys:
        raise InputError(f"the key '# {key} #' is missing", path=path)
    return keys[key]


def _boolean(keys: Mapping[str, Row], key: str, path: Path) -> bool:
    row = keys.get(key)
    return row is not None and parse_boolean(row.words[0], key, _place(row, path))


def _integer(
    keys: Mapping[str, Row], key: str, path: Path, default: int = 0, minimum: int | None = 0
) -> int:
    row = keys.get(key)
    if row is None:
        return default
    return parse_integer(row.words[0], key, _place(row, path), minimum=minimum)


def _count(row: Row, key: str, path: Path) -> int:
    """The n of `FIRST n`."""
    if len(row.words) < 2:
        raise _place(row, path).error(f"{key}: '{row.words[0]}' needs a number of frames after it")
    return parse_integer(row.words[1], f"{key} {row.words[0]}", _place(row, path), minimum=0)


def _read_stress(keys: Mapping[str, Row], path: Path) -> StressFit:
    row = keys.get("FITSTRS")
    if row is None:
        return StressFit()
    word = row.words[0]
    if word in _FIRST:
        return StressFit("diagonal", _count(row, "FITSTRS", path))
    if word in _FIRST_ALL:
        return StressFit("full", _count(row, "FITSTRS", path))
    if word in _ALL:
        return StressFit("full")
    try:
        return StressFit(
            "diagonal" if parse_boolean(word, "FITSTRS", _place(row, path)) else "none"
        )
    except InputError:
        raise _place(row, path).error(
            f"FITSTRS '{word}' is unknown; it must be one of: false, true, FIRST n, ALL, FIRSTALL n"
        ) from None


def _read_energy(keys: Mapping[str, Row], path: Path) -> EnergyFit:
    row = keys.get("FITENER")
    if row is None:
        return EnergyFit()
    if row.words[0] in _FIRST:
        return EnergyFit(True, _count(row, "FITENER", path))
    try:
        return EnergyFit(parse_boolean(row.words[0], "FITENER", _place(row, path)))
    except InputError:
        raise _place(row, path).error(
            f"FITENER '{row.words[0]}' is unknown; it must be one of: false, true, FIRST n"
        ) from None


def _read_trajectory(keys: Mapping[str, Row], path: Path) -> tuple[Path, bool]:
    row = _required(keys, "TRJFILE", path)
    multi = row.words[0] == "MULTI"
    if len(row.words) != (2 if multi else 1):
        raise _place(row, path).error(
            f"TRJFILE takes one file name, or MULTI and the name of a list; found '{' '.join(row.words)}'"
        )
    return path.parent / row.words[-1], multi


def _read_neighbours(keys: Mapping[str, Row], path: Path) -> Neighbours:
    row = keys.get("USENEIG")
    if row is None:
        return "big"
    if not parse_boolean(row.words[0], "USENEIG", _place(row, path)):
        return "none"
    if len(row.words) > 1:
        parse_word(row.words[1], "USENEIG true", ("SMALL",), _place(row, path))
        return "small"
    return "big"


def _read_orders(keys: Mapping[str, Row], path: Path) -> tuple[int, int, int]:
    row = _required(keys, "PAIRTYP", path)
    place = _place(row, path)
    if row.words[0] != "CHEBYSHEV":
        raise place.error(f"PAIRTYP '{row.words[0]}' is unknown; only CHEBYSHEV can be fitted")
    numbers = row.words[1:]
    if len(numbers) not in {1, 2, 3, 5}:
        raise place.error(
            "PAIRTYP takes 'CHEBYSHEV O2 [O3 [O4 [-1 1]]]'; "
            f"found {len(numbers)} numbers after CHEBYSHEV"
        )
    words = zip(numbers[:3], ("2-body", "3-body", "4-body"), strict=False)
    orders = [parse_integer(token, f"the {body} order", place, minimum=0) for token, body in words]
    if [parse_number(token, "the Chebyshev range", place) for token in numbers[3:]] not in (
        [],
        [-1.0, 1.0],
    ):
        raise place.error("the Chebyshev range must be '-1 1'; leave it out")
    o2, o3, o4 = [*orders, 0, 0][:3]
    return o2, o3, o4


def _read_transform(keys: Mapping[str, Row], path: Path) -> Transform:
    row = keys.get("CHBTYPE")
    if row is None:
        return "NONE"
    allowed = ("MORSE", "INVRSE_R", "DEFAULT", "NONE")
    word = parse_word(row.words[0], "CHBTYPE", allowed, _place(row, path))
    return "NONE" if word == "DEFAULT" else cast("Transform", word)


def _read_cutoff(keys: Mapping[str, Row], path: Path) -> Cutoff:
    row = keys.get("FCUTTYP")
    if row is None:
        return Cutoff()
    place = _place(row, path)
    if parse_word(row.words[0], "FCUTTYP", ("CUBIC", "TERSOFF"), place) == "CUBIC":
        return Cutoff()
    if len(row.words) < 2:
        raise place.error(
            "TERSOFF needs a number between 0 and 1 after it, for example 'TERSOFF 0.5'"
        )
    return Cutoff("TERSOFF", parse_fraction(row.words[1], place))


def _read_inner(keys: Mapping[str, Row], path: Path) -> InnerRule:
    row = keys.get("CHEBYFIX")
    if row is None:
        return InnerRule()
    place = _place(row, path)
    allowed = ("SMOOTH", "ZERO_DERIV", "CONSTANT_DERIV")
    kind = parse_word(row.words[0], "CHEBYFIX", allowed, place)
    if kind != "SMOOTH":
        return InnerRule(cast("Literal['ZERO_DERIV', 'CONSTANT_DERIV']", kind))
    if len(row.words) < 2:
        raise place.error(
            "CHEBYFIX SMOOTH needs a distance in Å after it, for example 'SMOOTH 0.01'"
        )
    distance = parse_number(row.words[1], "the distance of SMOOTH", place)
    if distance <= 0.0:
        raise place.error(f"the distance of SMOOTH must be positive, found {row.words[1]}")
    return InnerRule("SMOOTH", distance)


def _read_types(sections: Sections, path: Path, fit_charges: bool) -> list[AtomType]:
    declared = _required(sections.keys, "NATMTYP", path)
    place = _place(declared, path)
    number = parse_integer(declared.words[0], "NATMTYP", place, minimum=1)
    if number > MAX_TYPES:
        raise place.error(f"NATMTYP must be at most {MAX_TYPES}, found {number}")
    if sections.types is None:
        raise InputError("the table '# TYPEIDX #  # ATM_TYP # ...' is missing", path=path)
    if len(sections.types.rows) != number:
        raise Place(path, sections.types.line).error(
            f"NATMTYP (line {declared.line}) is {number}, but this table has "
            f"{len(sections.types.rows)} rows"
        )
    types: list[AtomType] = []
    for row in sections.types.rows:
        atom_type = _read_type(row, path, fit_charges)
        if any(atom_type.name == other.name for other in types):
            raise _place(row, path).error(f"atom type '{atom_type.name}' is given twice")
        types.append(atom_type)
    return types


def _read_type(row: Row, path: Path, fit_charges: bool) -> AtomType:
    place = _place(row, path)
    if len(row.words) < 4:
        raise place.error(
            f"an atom type needs 4 columns (number, name, charge, mass), found {len(row.words)}"
        )
    _, name, charge_word, mass_word = row.words[:4]
    if fit_charges:
        charge = -1.0 if charge_word.startswith("-") else 1.0
        if charge_word not in {"+", "-"} and parse_number(charge_word, "the charge", place) == 0.0:
            raise place.error(f"with FITCOUL true the charge of {name} must be a sign, + or -")
    else:
        charge = parse_number(charge_word, f"the charge of {name} (FITCOUL is false)", place)
        if charge != 0.0:
            raise place.error(
                f"the charge of {name} is {charge_word}: a fit with fixed charges is not supported; "
                "use 0.0, or FITCOUL true with + or -"
            )
    mass = parse_number(mass_word, f"the mass of {name}", place)
    if mass <= 0.0:
        raise place.error(f"the mass of {name} must be positive, found {mass_word}")
    return AtomType(name=name, mass=mass, charge=charge)


def _read_pair(row: Row, path: Path, names: set[str], transform: Transform) -> PairType:
    place = _place(row, path)
    if len(row.words) < 7:
        raise place.error(
            "a pair needs 7 columns (number, type, type, S_MINIM, S_MAXIM, S_DELTA, MORSE_LAMBDA), "
            f"found {len(row.words)}"
        )
    _, first, second = row.words[:3]
    for name in (first, second):
        if name not in names:
            raise place.error(
                f"pair {first} {second}: '{name}' is not an atom type (known: {', '.join(sorted(names))})"
            )
    rmin = parse_number(row.words[3], "S_MINIM", place)
    rmax = parse_number(row.words[4], "S_MAXIM", place)
    parse_number(row.words[5], "S_DELTA", place)
    morse_lambda = parse_number(row.words[6], "MORSE_LAMBDA", place)
    if not 0.0 <= rmin < rmax:
        raise place.error(
            f"pair {first} {second}: S_MINIM {rmin:g} must not be negative and must be smaller than "
            f"S_MAXIM {rmax:g}"
        )
    if transform == "INVRSE_R" and rmin == 0.0:
        raise place.error(f"pair {first} {second}: S_MINIM must be positive for CHBTYPE INVRSE_R")
    if transform == "MORSE" and morse_lambda <= 0.0:
        raise place.error(
            f"pair {first} {second}: MORSE_LAMBDA must be positive, found {morse_lambda:g}"
        )
    return PairType(first, second, rmin, rmax, morse_lambda)


def _read_basis(
    sections: Sections,
    path: Path,
    types: list[AtomType],
    hierarchical: bool,
    fit_charges: bool,
) -> Basis:
    transform = _read_transform(sections.keys, path)
    if sections.pairs is None:
        raise InputError("the table '# PAIRIDX #  # ATM_TY1 # ...' is missing", path=path)
    for exclusion in sections.exclusions:
        if len(exclusion.names) < 3 and not hierarchical:
            raise Place(path, exclusion.line).error(
                "types and pairs can only be excluded in a hierarchical fit; add '# HIERARC #' with true"
            )
    names = {t.name for t in types}
    pairs = [_read_pair(row, path, names, transform) for row in sections.pairs.rows]
    orders = _read_orders(sections.keys, path)
    cutoff, inner = _read_cutoff(sections.keys, path), _read_inner(sections.keys, path)
    try:
        return build_basis(
            types,
            pairs,
            orders,
            transform,
            cutoff,
            inner,
            specials=sections.specials,
            exclusions=sections.exclusions,
            fit_charges=fit_charges,
        )
    except InputError as error:
        raise InputError(error.reason, path=path, line=error.line) from None


def _read_constraints(sections: Sections, path: Path, basis: Basis) -> tuple[ChargeConstraint, ...]:
    if sections.constraints is None:
        return ()
    n_pairs = len(basis.pairs)
    rows = sections.constraints.rows
    if len(rows) != n_pairs - 1:
        raise Place(path, sections.constraints.line).error(
            f"{n_pairs - 1} charge constraints are needed for {n_pairs} pairs, found {len(rows)}"
        )
    names = pair_names(basis.types)
    constraints = []
    for row in rows:
        place = _place(row, path)
        if len(row.words) != 2 * n_pairs + 1:
            raise place.error(
                f"a charge constraint has {n_pairs} pair names, {n_pairs} coefficients and a value; "
                f"found {len(row.words)} words"
            )
        indices = [names.get(word, -1) for word in row.words[:n_pairs]]
        if sorted(indices) != list(range(n_pairs)):
            raise place.error(f"a charge constraint must name each of the {n_pairs} pairs once")
        numbers = [parse_number(w, "a charge constraint", place) for w in row.words[n_pairs:]]
        by_pair = dict(zip(indices, numbers[:-1], strict=True))
        constraints.append(ChargeConstraint(tuple(by_pair[i] for i in range(n_pairs)), numbers[-1]))
    return tuple(constraints)
