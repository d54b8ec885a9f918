"""Parameter files as parts of a hierarchy: what each describes, and in which line it says so."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.basis import ClusterType, PairType
from ald_chimes_lsq.formats.tokens import read_text
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.topology import Body, cluster_map
from ald_core.errors import InputError

Floats = NDArray[np.float64]
BODIES: tuple[Body, Body] = (3, 4)


@attrs.frozen(eq=False, slots=False)
class Part:
    """A model that is to be a part of a sum."""

    name: str
    """Its file, or what messages call it otherwise."""
    model: ChimesModel
    path: Path | None = None

    @classmethod
    def read(cls, path: Path) -> "Part":
        """Read a parameter file."""
        return cls(str(path), ChimesModel.read(path), path)

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Names of its atom types."""
        return tuple(t.name for t in self.model.basis.types)

    @cached_property
    def _pairs(self) -> dict[frozenset[str], int]:
        return {frozenset((p.first, p.second)): i for i, p in enumerate(self.model.basis.pairs)}

    @cached_property
    def _clusters(self) -> dict[tuple[str, ...], tuple[ClusterType, Floats]]:
        basis, own = self.model.basis, self.model.coefficients
        found = zip((*basis.triplets, *basis.quads), (*own.triplets, *own.quads), strict=True)
        return {cluster.elements: (cluster, values) for cluster, values in found}

    @cached_property
    def edges(self) -> frozenset[int]:
        """Pairs that are edges of clusters with coefficients."""
        return frozenset(
            p for c, values in self._clusters.values() if values.any() for p in c.pairs
        )

    @property
    def charged(self) -> bool:
        """Whether it has Coulomb terms."""
        products = self.model.coefficients.charges
        if products is not None:
            return bool(products.any())
        return any(t.charge != 0.0 for t in self.model.basis.types)

    def pair(self, names: Sequence[str]) -> int | None:
        """Number of the pair of two types; None if it does not know one of them."""
        return self._pairs.get(frozenset(names))

    def cluster(self, names: Sequence[str]) -> tuple[ClusterType, Floats] | None:
        """A triplet or quadruplet type that is not excluded, and its coefficients."""
        found = self._clusters.get(tuple(sorted(names)))
        return None if found is None or found[0].excluded else found

    def describes(self, names: Sequence[str]) -> bool | None:
        """Whether it has the term of an atom type, a pair or a cluster.

        None if that cannot be told: the coefficients are all zero, or its order leaves such clusters out. Older files
        do not say which pairs and types were excluded, and have zeros for these.
        """
        if not set(names) <= set(self.elements):
            return False
        basis, own = self.model.basis, self.model.coefficients
        if len(names) == 1:
            index = self.elements.index(names[0])
            if own.offsets is None:
                return False
            return _said(own.offsets[[index]], index in basis.excluded_types)
        if len(names) == 2:
            number = self._pairs[frozenset(names)]
            return _said(own.pairs[number], number in basis.excluded_pairs)
        if basis.orders[len(names) - 2] == 0:
            return None
        cluster, values = self._clusters[tuple(sorted(names))]
        return _said(values, cluster.excluded)

    def error(self, fault: str, line: int | None, cure: str) -> InputError:
        """The exception that complains about this part."""
        return InputError(fault, path=self.name, line=line, cure=cure)

    def place(self, line: int | None) -> str:
        """How messages name a line of it."""
        return self.name if line is None else f"{self.name}, line {line}"

    def type_line(self, name: str) -> int | None:
        """Where an atom type stands."""
        return self._row("ATOM TYPES:", lambda words: words[1:2] == [name])

    def pair_line(self, pair: PairType) -> int | None:
        """Where the cutoffs of a pair stand."""
        ends = {pair.first, pair.second}
        return self._row("ATOM PAIRS:", lambda words: set(words[1:3]) == ends)

    def cluster_line(self, cluster: ClusterType, bound: str) -> int | None:
        """Where special cutoffs of a cluster stand, or else the cluster itself."""
        body: Body = 3 if len(cluster.elements) == 3 else 4
        title = f"SPECIAL {body}B {bound}:"
        keys = [k for k, i in cluster_map(self.model.basis, body).items() if i == cluster.index]
        for number, line in self._lines(title):
            if line.startswith(title) and "ALL" in line.split():
                return number
            if line.split()[:1] and line.split()[0] in keys:
                return number
        ending = f"ATOMS: {' '.join(cluster.elements)}"
        return self._row("", lambda words: " ".join(words).endswith(ending))

    def phrase_line(self, phrase: str) -> int | None:
        """The first line that begins with a phrase."""
        return next((number for number, _ in self._lines(phrase)), None)

    def _row(self, title: str, wanted: Callable[[list[str]], bool]) -> int | None:
        return next((n for n, line in self._lines(title) if wanted(line.split())), None)

    def _lines(self, title: str) -> Iterator[tuple[int, str]]:
        """Lines with their numbers, from the one that begins with a title."""
        if self.path is None:
            return
        begun = False
        for number, line in enumerate(read_text(self.path).split("\n"), start=1):
            begun = begun or line.strip().startswith(title)
            if begun:
                yield number, line.strip()


def _said(values: Floats, excluded: bool) -> bool | None:
    if values.any():
        return True
    return False if excluded else None
