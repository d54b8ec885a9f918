"""Bond criteria as a table of the run file: `O-H = 1.35`, in Å; lifetimes in fs."""

import math
import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from ald_chimes_md.speciation.criteria import (
    LONGEST_BOND,
    LONGEST_LIFE,
    LONGEST_STEP,
    BondCriteria,
    Pair,
    element_of,
    ordered,
)

LIFETIME = "lifetime"
_KEYS = {"length", LIFETIME}
_FORM = "write O-H = 1.35, in Å, or O-H = { length = 1.35, lifetime = 20 }, in Å and fs"
FS_PER_PS = 1000.0


@frozen
class BondTable:
    """Lengths in Å and lifetimes in fs, by pair of elements in alphabetical order."""

    lengths: Mapping[Pair, float]
    lifetimes: Mapping[Pair, float]

    def criteria(self, frame_time: float) -> BondCriteria:
        """The same for a trajectory with so many fs between frames.

        A pair is bonded from the first frame on at which it has been close for its lifetime.

        Raises:
            ValueError: there is no such time between frames.
        """
        if not 0.0 < frame_time <= LONGEST_STEP * 1e15:
            raise ValueError(f"{frame_time:g} fs between frames: lifetimes cannot be counted")
        frames = {
            pair: math.ceil(min(lifetime / frame_time, LONGEST_LIFE) - 1e-9)
            for pair, lifetime in self.lifetimes.items()
        }
        return BondCriteria(self.lengths, frames, frame_time / FS_PER_PS)


def read_table(table: Mapping[str, Any]) -> BondTable:
    """Check a table; raises ValueError with the key that is wrong."""
    common = _lifetime(LIFETIME, table.get(LIFETIME, 0.0))
    lengths: dict[Pair, float] = {}
    lifetimes: dict[Pair, float] = {}
    for key, value in table.items():
        if key == LIFETIME:
            continue
        pair = _pair(key)
        if pair in lengths:
            raise ValueError(f"{key}: the pair is given twice; remove one")
        bond = value if isinstance(value, Mapping) else {"length": value}
        if not {"length"} <= set(bond) <= _KEYS:
            raise ValueError(f"{key}: {dict(bond)!r} is no bond; {_FORM}")
        lifetimes[pair] = _lifetime(key, bond.get(LIFETIME, common))
        lengths[pair] = _number(key, bond["length"])
        if not 0.0 < lengths[pair] <= LONGEST_BOND:
            raise ValueError(
                f"{key}: the bond length {bond['length']!r} is not above 0 and at most {LONGEST_BOND:g} Å; {_FORM}"
            )
    if not lengths:
        raise ValueError(f"no pair is listed; {_FORM}")
    return BondTable(lengths, lifetimes)


def _pair(key: str) -> Pair:
    words = re.split(r"[\s-]+", key.strip())
    if len(words) != 2:
        raise ValueError(f"'{key}' is no pair of elements; {_FORM}")
    for word in words:
        if element_of(word) is None:
            raise ValueError(f"{key}: '{word}' is not an element; {_FORM}")
    return ordered(words[0], words[1])


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{key}: {value!r} is not a number; {_FORM}")
    return float(value)


def _lifetime(key: str, value: object) -> float:
    lifetime = _number(key, value)
    if lifetime < 0.0:
        raise ValueError(f"{key}: the lifetime {value!r} is negative; {_FORM}")
    return lifetime
