"""Reads `fm_setup.in`, the control file of a ChIMES fit: basis, trajectories, what is fitted.

Source: the input description of the ChIMES LSQ manual and the behaviour of its program.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

import attrs

from ald_chimes_lsq.basis import AtomType, Basis, Cutoff, InnerRule, Transform
from ald_chimes_lsq.formats.control_lines import Row
from ald_chimes_lsq.formats.setup_sections import WITHOUT_EFFECT, Sections, read_sections
from ald_chimes_lsq.formats.setup_tables import (
    ChargeConstraint,
    missing_key,
    read_constraints,
    read_pair,
    read_types,
)
from ald_chimes_lsq.formats.tokens import (
    Place,
    parse_boolean,
    parse_fraction,
    parse_integer,
    parse_number,
    parse_word,
    read_text,
)
from ald_chimes_lsq.topology import build_basis, check_orders, order_pairs
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
    trajectory_line: int | None = None
    """Of the file name, for messages"""
    n_frames_line: int | None = None
    ignored_keys: tuple[str, ...] = ()
    """Keys that have no effect, as they stand in the file."""

    @property
    def unknown_keys(self) -> tuple[str, ...]:
        """Those of them that never had a meaning."""
        return tuple(key for key in self.ignored_keys if key not in WITHOUT_EFFECT)

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
    types = read_types(sections, path, fit_charges)
    basis = _read_basis(sections, path, types, hierarchical, fit_charges)
    # Without charges they have no effect, but a line that slipped in among them belongs elsewhere.
    constraints = read_constraints(sections, path, basis)
    trajectory, multi = _read_trajectory(keys, path)
    n_frames = _integer(keys, "NFRAMES", path)
    return FitSetup(
        path=path,
        basis=basis,
        trajectory=trajectory,
        multi=multi,
        n_frames=n_frames,
        fit_stress=_read_stress(keys, path, n_frames),
        fit_energy=_read_energy(keys, path),
        n_layers=_integer(keys, "NLAYERS", path),
        wrap=_boolean(keys, "WRAPTRJ", path),
        split_files=_boolean(keys, "SPLITFI", path),
        hierarchical=hierarchical,
        skip_frames=_integer(keys, "SKPFRMS", path, minimum=None),
        neighbours=_read_neighbours(keys, path),
        charge_constraints=constraints if fit_charges else (),
        trajectory_line=keys["TRJFILE"].line,
        n_frames_line=keys["NFRAMES"].line if "NFRAMES" in keys else None,
        ignored_keys=sections.ignored,
    )


@contextmanager
def _located(place: Place) -> Iterator[None]:
    """Complete the place of a complaint."""
    try:
        yield
    except InputError as error:
        raise error.at(place.path, error.line or place.line) from None


def _place(row: Row, path: Path) -> Place:
    return Place(path, row.line)


def _required(keys: Mapping[str, Row], key: str, path: Path) -> Row:
    if key not in keys:
        raise missing_key(key, path)
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
        raise _place(row, path).error(
            f"{key}: '{row.words[0]}' has no number of frames after it",
            cure=f"write for example '{row.words[0]} 10'",
        )
    return parse_integer(row.words[1], f"{key} {row.words[0]}", _place(row, path), minimum=0)


def _read_stress(keys: Mapping[str, Row], path: Path, n_frames: int) -> StressFit:
    row = keys.get("FITSTRS")
    if row is None:
        return StressFit()
    word = row.words[0]
    if word in _FIRST:
        return StressFit("diagonal", _count(row, "FITSTRS", path))
    if word in _FIRST_ALL:
        return StressFit("full", _count(row, "FITSTRS", path))
    if word in _ALL:
        # Published files have the number of all frames after it.
        if len(row.words) > 1 and (n := _count(row, "FITSTRS", path)) < n_frames:
            raise _place(row, path).error(
                f"FITSTRS: '{word} {n}' fits the stresses of all {n_frames} frames (NFRAMES), not of {n}",
                cure=f"write 'FIRSTALL {n}' or 'ALL'",
            )
        return StressFit("full")
    wanted = _plain(row, "FITSTRS", "false, true, FIRST n, ALL, FIRSTALL n", path)
    _refuse_number(row, "FITSTRS", path)
    return StressFit("diagonal" if wanted else "none")


def _refuse_number(row: Row, key: str, path: Path) -> None:
    if len(row.words) > 1:
        raise _place(row, path).error(
            f"{key}: '{row.words[0]}' has nothing after it, found '{row.words[1]}'",
            cure="remove that",
        )


def _plain(row: Row, key: str, choices: str, path: Path) -> bool:
    """A truth value where there are other choices too."""
    try:
        return parse_boolean(row.words[0], key, _place(row, path))
    except InputError:
        raise _place(row, path).error(
            f"{key} '{row.words[0]}' is unknown", cure=f"write one of {choices}"
        ) from None


def _read_energy(keys: Mapping[str, Row], path: Path) -> EnergyFit:
    row = keys.get("FITENER")
    if row is None:
        return EnergyFit()
    if row.words[0] in _FIRST:
        return EnergyFit(True, _count(row, "FITENER", path))
    wanted = _plain(row, "FITENER", "false, true, FIRST n", path)
    _refuse_number(row, "FITENER", path)
    return EnergyFit(wanted)


def _read_trajectory(keys: Mapping[str, Row], path: Path) -> tuple[Path, bool]:
    row = _required(keys, "TRJFILE", path)
    multi = row.words[0] == "MULTI"
    if len(row.words) != (2 if multi else 1):
        raise _place(row, path).error(
            f"'{' '.join(row.words)}' is no value of TRJFILE",
            cure="write the name of a trajectory without blanks, or MULTI and the name of a list",
        )
    return path.parent / row.words[-1], multi


def _read_neighbours(keys: Mapping[str, Row], path: Path) -> Neighbours:
    row = keys.get("USENEIG")
    if row is None:
        return "big"
    if not parse_boolean(row.words[0], "USENEIG", _place(row, path)):
        _refuse_number(row, "USENEIG", path)
        return "none"
    if len(row.words) > 1:
        parse_word(row.words[1], "USENEIG true", ("SMALL",), _place(row, path))
        return "small"
    return "big"


def _read_orders(keys: Mapping[str, Row], path: Path) -> tuple[int, int, int]:
    row = _required(keys, "PAIRTYP", path)
    place = _place(row, path)
    if row.words[0] != "CHEBYSHEV":
        raise place.error(
            f"PAIRTYP '{row.words[0]}' cannot be fitted",
            cure="write for example 'CHEBYSHEV 12 8 0'",
        )
    numbers = row.words[1:]
    if len(numbers) not in {1, 2, 3, 5}:
        raise place.error(
            f"found {len(numbers)} numbers after CHEBYSHEV: '{' '.join(numbers)}'",
            cure="write one to three orders, and behind three perhaps the range '-1 1'",
        )
    words = zip(numbers[:3], ("2-body", "3-body", "4-body"), strict=False)
    orders = [parse_integer(token, f"the {body} order", place, minimum=0) for token, body in words]
    if [parse_number(token, "the Chebyshev range", place) for token in numbers[3:]] not in (
        [],
        [-1.0, 1.0],
    ):
        raise place.error(
            f"the Chebyshev range must be '-1 1', found '{' '.join(numbers[3:])}'",
            cure="leave it out",
        )
    o2, o3, o4 = [*orders, 0, 0][:3]
    with _located(place):
        check_orders((o2, o3, o4))
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
        _refuse_number(row, "FCUTTYP", path)
        return Cutoff()
    if len(row.words) < 2:
        raise place.error(
            "TERSOFF has no number between 0 and 1 after it",
            cure="write for example 'TERSOFF 0.5'",
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
        _refuse_number(row, "CHEBYFIX", path)
        return InnerRule(cast("Literal['ZERO_DERIV', 'CONSTANT_DERIV']", kind))
    if len(row.words) < 2:
        raise place.error(
            "CHEBYFIX SMOOTH has no distance after it",
            cure="write it in Å, for example 'SMOOTH 0.01'",
        )
    distance = parse_number(row.words[1], "the distance of SMOOTH", place)
    if distance <= 0.0:
        raise place.error(
            f"the distance of SMOOTH must be positive, found {row.words[1]}",
            cure="write it in Å, for example 'SMOOTH 0.01'",
        )
    return InnerRule("SMOOTH", distance)


def _read_basis(
    sections: Sections,
    path: Path,
    types: list[AtomType],
    hierarchical: bool,
    fit_charges: bool,
) -> Basis:
    transform = _read_transform(sections.keys, path)
    if sections.pairs is None:
        raise missing_key("PAIRIDX", path)
    for exclusion in sections.exclusions:
        if len(exclusion.names) < 3 and not hierarchical:
            raise Place(path, exclusion.line).error(
                f"'{' '.join(exclusion.names)}': types and pairs can be excluded in a hierarchical fit only",
                cure="add '# HIERARC #' with true, or remove the exclusion",
            )
    names = {t.name for t in types}
    pairs = [read_pair(row, path, names, transform) for row in sections.pairs.rows]
    orders = _read_orders(sections.keys, path)
    cutoff, inner = _read_cutoff(sections.keys, path), _read_inner(sections.keys, path)
    with _located(Place(path, sections.pairs.line)):
        pairs = list(order_pairs(types, pairs))
    with _located(Place(path)):
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
