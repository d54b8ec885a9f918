"""Names of molecules as users write them: those of molanal, or formulae such as H2O."""

import re
from collections import Counter

from attrs import frozen

from ald_chimes_md.speciation.criteria import element_of, ordered

_ATOMS = re.compile(r"([A-Z][a-z]?)([0-9]*)")
_BONDS = re.compile(r"([0-9]+)\(([A-Za-z0-9]+)-([A-Za-z0-9]+)\)")


@frozen
class MoleculeName:
    """What a name says, in whatever order; a formula says nothing of bonds."""

    atoms: frozenset[tuple[str, int]]
    bonds: frozenset[tuple[tuple[str, str], int]] | None

    def covers(self, other: "MoleculeName") -> bool:
        """Whether a molecule with the other name is meant."""
        return self.atoms == other.atoms and self.bonds in {None, other.bonds}


def parse_name(text: str) -> MoleculeName:
    """A name of molanal (`C1 O2 2(O-C)`), or a formula (`CO2`), by which all isomers are meant.

    There is no doubt which: molanal names the bonds of whatever has more than one atom.

    Raises:
        ValueError: it is neither.
    """
    atoms: Counter[str] = Counter()
    bonds: Counter[tuple[str, str]] = Counter()
    for word in text.split():
        bond = _BONDS.fullmatch(word)
        if bond and element_of(bond[2]) and element_of(bond[3]):
            bonds[ordered(bond[2], bond[3])] += int(bond[1])
            continue
        found = _ATOMS.findall(word)
        right = all(element_of(element) and number != "0" for element, number in found)
        if not right or "".join(element + number for element, number in found) != word:
            raise _error(text)
        for element, number in found:
            atoms[element] += int(number or 1)
    if not atoms:
        raise _error(text)
    return MoleculeName(frozenset(atoms.items()), frozenset(bonds.items()) if bonds else None)


def _error(text: str) -> ValueError:
    return ValueError(
        f"'{text[:60]}' is no molecule; write a formula such as H2O, or atoms and bonds as in 'O1 H2 2(H-O)'"
    )
