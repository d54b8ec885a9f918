"""`bonds.dat`: when two atoms are bonded, as molanal is told."""

import math
from collections.abc import Iterable, Mapping
from itertools import combinations_with_replacement
from pathlib import Path

from ase.data import atomic_numbers
from attrs import frozen

from ald_core.errors import InputError

Pair = tuple[str, str]
BONDS = "bonds.dat"
BOND_TIMES = "bond_times.dat"
LONGEST_STEP = 1e-10
"""s between two frames, at most"""
LONGEST_BOND = 10.0
"""Å; a longer one is given in pm, or a mistake"""
LONGEST_LIFE = 10**9
"""Frames, at most"""
MAX_BYTES = 1_000_000
"""Of a file of bonds"""
_HEAD = ("minimum bond lifetime", "copies of the cell", "time between frames", "switch of files")


@frozen
class BondCriteria:
    """Lengths in Å and lifetimes in frames, by pair of elements in alphabetical order.

    A pair that is not listed never bonds. `frame_time` is in ps. Labels such as C1 and C2, by which LAMMPS
    tells kinds of one element apart, count as elements.
    """

    lengths: Mapping[Pair, float]
    lifetimes: Mapping[Pair, int]
    frame_time: float

    @property
    def longest_lifetime(self) -> int:
        """Frames that pass before the first is reported."""
        return max(self.lifetimes.values())

    def unlisted(self, elements: Iterable[str]) -> list[Pair]:
        """Pairs of these elements that never bond."""
        return [
            pair
            for pair in combinations_with_replacement(sorted(elements), 2)
            if pair not in self.lengths
        ]

    def length(self, first: str, second: str) -> float:
        """Å; 0 if the pair never bonds."""
        return self.lengths.get(ordered(first, second), 0.0)

    def lifetime(self, first: str, second: str) -> int:
        """Frames; 0 if the pair never bonds."""
        return self.lifetimes.get(ordered(first, second), 0)


def ordered(first: str, second: str) -> Pair:
    """The pair as the criteria know it."""
    return (first, second) if first <= second else (second, first)


def element_of(label: str) -> str | None:
    """The element of a label such as C, Cl or C2; None if there is none."""
    element = label.rstrip("0123456789")
    return element if element in atomic_numbers and element != "X" else None


def read_bonds(path: Path, *, other_files: bool = True) -> BondCriteria:
    """Read `bonds.dat`, and `bond_times.dat` beside it where the lifetime is negative, unless that is not allowed.

    A file without the line of copies is read as well: nothing that is written here depends on it.
    """
    lines = _lines(path)
    if len(lines) > 3 and len(lines[3][1]) > 2 and not _is_integer(lines[1][1][0]):
        lines.insert(1, (lines[1][0], ["0"]))
    if len(lines) < len(_HEAD):
        raise InputError(
            f"the file ends before the line with the {_HEAD[len(lines)]}",
            path=path,
            cure="write lifetime, copies, seconds per frame and 0 or 1 on the first four lines",
        )
    lifetime = _frames(lines[0], path, _HEAD[0])
    for line, what in ((lines[1], _HEAD[1]), (lines[3], _HEAD[3])):
        _integer(line, path, what)
    number, words = lines[2]
    seconds = _real(words[0], path, number)
    if not 0 < seconds <= LONGEST_STEP:
        raise InputError(
            f"the time between frames is '{words[0]}'",
            path=path,
            line=number,
            cure=f"give seconds, above 0 and at most {LONGEST_STEP:g}",
        )
    lengths = _pairs(lines[4:], path)
    if not lengths:
        raise InputError("no pair is listed", path=path, cure="add lines such as 'C O 1.80'")
    if lifetime < 0 and not other_files:
        raise InputError(
            f"the lifetime '{lifetime}' is negative: those of the pairs would be in {BOND_TIMES}",
            path=path,
            line=lines[0][0],
            cure="give a number of frames from 0, or a table of bonds with lifetimes in the run file",
        )
    same = dict.fromkeys(lengths, lifetime)
    times = same if lifetime >= 0 else _bond_times(path.with_name(BOND_TIMES), lengths)
    return BondCriteria(lengths, times, seconds * 1e12)


def write_bonds(criteria: BondCriteria, folder: Path) -> tuple[str, ...]:
    """Write the files that `read_bonds` reads; their names."""
    lifetimes = set(criteria.lifetimes.values())
    common = lifetimes.pop() if len(lifetimes) == 1 else -1
    head = [str(common), "0", f"{criteria.frame_time * 1e-12:.12g}", "0"]
    pairs = [f"{a} {b} {length!r}" for (a, b), length in criteria.lengths.items()]
    (folder / BONDS).write_text("\n".join([*head, *pairs, ""]))
    if common >= 0:
        return (BONDS,)
    times = [f"{a} {b} {frames}" for (a, b), frames in criteria.lifetimes.items()]
    (folder / BOND_TIMES).write_text("\n".join([*times, ""]))
    return (BONDS, BOND_TIMES)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot be read ({error})", path=path, cure="name a readable text file"
        ) from None
    if len(raw) > MAX_BYTES:
        raise InputError(
            f"is larger than {MAX_BYTES} bytes", path=path, cure="name a file of bonds"
        )
    numbered = enumerate(text.splitlines(), start=1)
    return [(number, words) for number, line in numbered if (words := line.split())]


def _pairs(lines: list[tuple[int, list[str]]], path: Path) -> dict[Pair, float]:
    lengths: dict[Pair, float] = {}
    for number, words in lines:
        pair = _pair(words, path, number)
        length = _real(words[2], path, number)
        if not 0 < length <= LONGEST_BOND:
            raise InputError(
                f"the bond length '{words[2]}' is not above 0 and at most {LONGEST_BOND:g} Å",
                path=path,
                line=number,
                cure="give it in Å",
            )
        if pair in lengths:
            raise InputError(
                f"the pair '{words[0]} {words[1]}' is listed twice",
                path=path,
                line=number,
                cure="remove one of the lines",
            )
        lengths[pair] = length
    return lengths


def _bond_times(path: Path, lengths: Mapping[Pair, float]) -> dict[Pair, int]:
    times: dict[Pair, int] = {}
    for number, words in _lines(path):
        pair = _pair(words, path, number)
        times[pair] = _frames((number, words[2:]), path, "lifetime")
        if times[pair] < 0:
            raise InputError(
                f"the lifetime '{words[2]}' is negative",
                path=path,
                line=number,
                cure="give a number of frames from 0",
            )
    for pair in lengths:
        if pair not in times:
            raise InputError(
                f"the pair '{pair[0]} {pair[1]}' has no lifetime",
                path=path,
                cure=f"add the line '{pair[0]} {pair[1]} FRAMES'",
            )
    return {pair: times[pair] for pair in lengths}


def _pair(words: list[str], path: Path, line: int) -> Pair:
    if len(words) < 3:
        raise InputError(
            f"'{' '.join(words)}' is not two elements and a number",
            path=path,
            line=line,
            cure="write a line such as 'C O 1.80' in bonds.dat, 'C O 10' in bond_times.dat",
        )
    for word in words[:2]:
        if element_of(word) is None:
            raise InputError(
                f"'{word}' is not an element", path=path, line=line, cure="write it as C or Cl"
            )
    return ordered(words[0], words[1])


def _frames(line: tuple[int, list[str]], path: Path, what: str) -> int:
    frames = _integer(line, path, what)
    if frames > LONGEST_LIFE:
        raise InputError(
            f"'{line[1][0]}' frames are more than {LONGEST_LIFE} ({what})",
            path=path,
            line=line[0],
            cure="give fewer",
        )
    return frames


def _is_integer(word: str) -> bool:
    try:
        int(word)
    except ValueError:
        return False
    return True


def _integer(line: tuple[int, list[str]], path: Path, what: str) -> int:
    number, words = line
    try:
        return int(words[0])
    except ValueError:
        raise InputError(
            f"'{words[0][:40]}' is not a whole number ({what})",
            path=path,
            line=number,
            cure="write one there",
        ) from None


def _real(word: str, path: Path, line: int) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"'{word}' is not a number", path=path, line=line, cure="write one such as 1.80"
        )
    return value
