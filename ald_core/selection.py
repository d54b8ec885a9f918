"""The selector `even`: frames evenly spaced in time, from each case and contact class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import attrs
from attrs.validators import ge

from ald_core.errors import FuseBlown
from ald_core.options import option
from ald_core.roles import SelectionContext, Selector
from ald_core.types import Candidate, Pick


@attrs.frozen(kw_only=True)
class EvenSelector(Selector):
    """From each case, `per_class` clear frames and as many close contacts, evenly spaced.

    Of F frames in a class, all are taken if F ≤ per_class; otherwise every s-th, s = ⌊F/per_class⌋, from the first.
    Frames inside an inner cutoff are never taken. This is the rule of J. Chem. Phys. 153, 134117 (2020).
    """

    name: ClassVar[str] = "even"
    per_case: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = (
        "Lindsey, Fried, Goldman, Bastea, J. Chem. Phys. 153, 134117 (2020), doi:10.1063/5.0021965",
    )
    per_class: int = option(20, help="frames per case and contact class", validator=ge(1))
    when_none: Literal["stop", "skip"] = option(
        "stop", help="what to do with a case that has no clear frame"
    )

    def select(self, candidates: Sequence[Candidate], context: SelectionContext) -> list[Pick]:
        """Picks by case; in each case clear frames first."""
        picks = []
        for source in dict.fromkeys([*context.cases, *(c.origin.source for c in candidates)]):
            picks += self._from_case(source, candidates)
        return picks

    def _from_case(self, source: str, candidates: Sequence[Candidate]) -> list[Pick]:
        mine = [(i, c) for i, c in enumerate(candidates) if c.origin.source == source]
        clear = [i for i, c in mine if c.contact_class == 0]
        close = [i for i, c in mine if c.contact_class == 1]
        if not clear and self.when_none == "stop":
            raise FuseBlown(
                f"case {source} has no frame that is clear of close contacts; use a smaller time step, a lower "
                "temperature, or a better starting set"
            )
        picks = [Pick(i, "clear, evenly spaced") for i in even(clear, self.per_class)]
        return picks + [
            Pick(i, "close contact, evenly spaced") for i in even(close, self.per_class)
        ]


def even(items: Sequence[int], n: int) -> list[int]:
    """`n` of the items: all if there are no more, else every ⌊len/n⌋-th from the first."""
    if len(items) <= n:
        return list(items)
    return list(items[:: len(items) // n][:n])
