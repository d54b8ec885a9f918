"""`bonds.dat`: when two atoms are bonded, as molanal is told."""

import math
from collections.abc import Mapping
from pathlib import Path

from ase.data import atomic_numbers
from attrs import frozen

from ald_core.errors import InputError

Pair = tuple[str, str]
_HEAD = ("minimum bond lifetime", "copies of the cell", "time between frames", "whether to write")
_LONGEST_STEP = 1e-10


@frozen
class BondCriteria:
    """Lengths in Å and lifetimes in frames, by pair of elements in alphabetical order.

    A pair that is not listed never bonds. `frame_time` is in ps.
    """

    lengths: Mapping[Pair, float]
    lifetimes: Mapping[Pair, int]
    frame_time: float

    @property
    def longest_lifetime(self) -> int:
        """Frames that pass before the first is reported."""
        return max(self.lifetimes.values())

    def length(self, first: str, second: str) -> float:
        """Å; 0 if the pair never bonds."""
        return self.lengths.get(ordered(first, second), 0.0)

    def lifetime(self, first: str, second: str) -> int:
        """Frames; 0 if the pair never bonds."""
        return self.lifetimes.get(ordered(first, second), 0)


def ordered(first: str, second: str) -> Pair:
    """The pair as the criteria know it."""
    return (first, second) if first <= second else (second, first)


def read_bonds(path: Path) -> BondCriteria:
    """Read `bonds.dat`, and `bond_times.dat` beside it where the lifetime is negative."""
    lines = _lines(path)
    if len(lines) < len(_HEAD):
        raise InputError(
            f"the file ends before the line with the {_HEAD[len(lines)]}",
            path=path,
            cure="write lifetime, copies, seconds per frame and 0 or 1 on the first four lines",
        )
    lifetime = _integer(lines[0], path, _HEAD[0])
    for line, what in ((lines[1], _HEAD[1]), (lines[3], _HEAD[3])):
        _integer(line, path, what)
    number, words = lines[2]
    seconds = _real(words[0], path, number)
    if not 0 < seconds <= _LONGEST_STEP:
        raise InputError(
            f"the time between frames is '{words[0]}'",
            path=path,
            line=number,
            cure=f"give seconds, above 0 and at most {_LONGEST_STEP:g}",
        )
    lengths = _pairs(lines[4:], path)
    if not lengths:
        raise InputError("no pair is listed", path=path, cure="add lines such as 'C O 1.80'")
    if lifetime >= 0:
        times = dict.fromkeys(lengths, lifetime)
    else:
        times = _bond_times(path.with_name("bond_times.dat"), lengths)
    return BondCriteria(lengths, times, seconds * 1e12)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot be read ({error})", path=path, cure="name a readable text file"
        ) from None
    numbered = enumerate(text.splitlines(), start=1)
    return [(number, words) for number, line in numbered if (words := line.split())]


def _pairs(lines: list[tuple[int, list[str]]], path: Path) -> dict[Pair, float]:
    lengths: dict[Pair, float] = {}
    for number, words in lines:
        pair = _pair(words, path, number)
        length = _real(words[2], path, number)
        if length <= 0:
            raise InputError(
                f"the bond length '{words[2]}' is not positive",
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
        times[pair] = _integer((number, words[2:]), path, "lifetime")
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
        if word not in atomic_numbers or word == "X":
            raise InputError(
                f"'{word}' is not an element", path=path, line=line, cure="write it as C or Cl"
            )
    return ordered(words[0], words[1])


def _integer(line: tuple[int, list[str]], path: Path, what: str) -> int:
    number, words = line
    try:
        return int(words[0])
    except ValueError:
        raise InputError(
            f"'{words[0]}' is not a whole number ({what})",
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
