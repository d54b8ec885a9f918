"""Species: molecules of one name over a trajectory, their fractions and lifetimes, as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from ald_chimes_md.speciation.names import parse_name

if TYPE_CHECKING:
    from ald_chimes_md.speciation.molecules import FrameMolecules, Molecule

SHORTEST_LIFE = 0.048  # ps; what does not live longer is a transition state (findmolecules)
SMALLEST_FRACTION = 1e-4  # by mass; rarer species are not printed (findmolecules)


@frozen
class Species:
    """Fractions of all molecules and of all mass; weight in amu, lifetime in ps, radius in Å."""

    name: str
    mole_fraction: float
    mass_fraction: float
    weight: float
    lifetime: float
    radius: float


@define
class _Sum:
    weight: float
    count: int = 0
    appearances: int = 0
    radius: float = 0.0


@define
class SpeciesTally:
    """Adds frames up in their order; memory does not grow with the number of frames."""

    frame_time: float
    _sums: dict[str, _Sum] = field(factory=dict, init=False)
    _present: set[tuple[str, tuple[int, ...]]] = field(factory=set, init=False)

    def add(self, molecules: Iterable[Molecule]) -> None:
        """Count the molecules of the next frame; same name and same atoms is the same molecule."""
        now = set()
        for molecule in molecules:
            total = self._sums.setdefault(molecule.name, _Sum(molecule.weight))
            key = (molecule.name, molecule.atoms)
            total.count += 1
            total.appearances += key not in self._present
            total.radius += molecule.radius
            now.add(key)
        self._present = now

    def species(self) -> list[Species]:
        """All species, the most frequent first."""
        count = sum(one.count for one in self._sums.values())
        mass = sum(one.count * one.weight for one in self._sums.values())
        found = [
            Species(
                name,
                one.count / count,
                one.count * one.weight / mass,
                one.weight,
                one.count / one.appearances * self.frame_time,
                one.radius / one.count,
            )
            for name, one in self._sums.items()
        ]
        return sorted(found, key=lambda one: (-one.mole_fraction, one.name))


def frame_text(found: FrameMolecules) -> str:
    """One frame as molanal prints it."""
    lines = [
        f"Beginning frame {found.frame}",
        f"The box volume = {found.volume:.7e}",
        f"The number of molecules found = {len(found.molecules)}",
    ]
    for number, molecule in enumerate(found.molecules, start=1):
        numbers = [f"{atom:3d}" for atom in molecule.atoms]
        rows = [" ".join(numbers[at : at + 15]) for at in range(0, len(numbers), 15)]
        lines += [
            f"Beginning molecule {number}",
            f"Name: {molecule.name} ",
            "   Atom list: " + "\n              ".join(rows),
            f"RMS radius = {molecule.radius:12.5e}",
            f"Ending molecule {number}",
        ]
    return "\n".join([*lines, f"Ending frame {found.frame}"]) + "\n"


def table_text(species: Iterable[Species]) -> str:
    """The first two tables of findmolecules: molecules, and transition states with their sums."""
    everything = list(species)
    short = [one for one in everything if one.lifetime <= SHORTEST_LIFE]
    long = [one for one in everything if one.lifetime > SHORTEST_LIFE]
    mole = sum(one.mole_fraction for one in short)
    mass = sum(one.mass_fraction for one in short)
    lines = ["Averages for molecules", _HEAD, *_rows(long)]
    lines += ["Averages for transition states", _HEAD, *_rows(short)]
    lines += [
        f"Total transition state mole fraction = {mole:.4f}",
        f"Total transition state mass fraction = {mass:.4f}",
    ]
    return "\n".join(lines) + "\n"


_HEAD = f"{'Molecule type':>70} {'mole':>7} {'mass':>7} {'weight':>7} {'life/ps':>7} {'rad/A':>7}"


def _rows(species: Iterable[Species]) -> list[str]:
    return [
        f"{one.name:>70} {one.mole_fraction:7.4f} {one.mass_fraction:7.4f} {one.weight:7.2f} "
        f"{one.lifetime:7.4f} {one.radius:7.4f}"
        for one in printed(species)
    ]


def species_text(name: str, species: Iterable[Species]) -> str:
    """The file `speciation.species-N` of one name; no row if it does not occur."""
    found = share_of(name, species)
    rows = [] if found is None else [f"{found.mole_fraction:.4f} {found.lifetime:.4f}"]
    return "\n".join([f"# {name}", "# mole fraction, lifetime (ps)", *rows]) + "\n"


@frozen
class Share:
    """Fraction of all molecules, and mean lifetime in ps."""

    mole_fraction: float
    lifetime: float


def share_of(name: str, species: Iterable[Species]) -> Share | None:
    """What one name has; a formula that of all its species together; None if nothing of it is printed.

    Raises:
        ValueError: there can be no such molecule.
    """
    wanted = parse_name(name)
    mole, appearances = 0.0, 0.0
    for one in printed(species):
        if wanted.covers(parse_name(one.name)):
            mole += one.mole_fraction
            appearances += one.mole_fraction / one.lifetime
    return Share(mole, mole / appearances) if mole else None


def printed(species: Iterable[Species]) -> list[Species]:
    """Those that are not too rare."""
    return [one for one in species if one.mass_fraction > SMALLEST_FRACTION]
