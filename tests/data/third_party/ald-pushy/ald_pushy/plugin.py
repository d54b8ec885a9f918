"""The selector `pushy`: the frames of each case on whose atoms the model pushes hardest."""

from typing import ClassVar

import attrs
import numpy as np
from attrs.validators import ge

from ald_core.hookspecs import hookimpl
from ald_core.options import option
from ald_core.roles import Selector
from ald_core.types import Pick


@attrs.frozen(kw_only=True)
class PushySelector(Selector):
    """Take the frames with the largest predicted force."""

    name: ClassVar[str] = "pushy"
    frames: int = option(2, help="frames per case", validator=ge(1))

    def select(self, candidates, context):
        """Picks by case, the hardest push first."""
        usable = [i for i, c in enumerate(candidates) if c.contact_class < 2]
        labels = context.predict([candidates[i].frame() for i in usable])
        push = {i: np.abs(said.forces).max() for i, said in zip(usable, labels, strict=True)}
        picks = []
        for case in context.cases:
            mine = [i for i in usable if candidates[i].origin.source == case]
            best = sorted(mine, key=lambda i: (-push[i], i))[: self.frames]
            picks += [Pick(i, f"largest force {push[i]:.3g} eV/Å") for i in best]
        return picks


@hookimpl
def ald_selectors():
    """Offer the selector `pushy`."""
    return [PushySelector]
