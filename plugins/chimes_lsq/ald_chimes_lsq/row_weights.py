"""The weighting `rows`: weights of the starting set from a file with one number for each row of its design matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.formats.setup import FitSetup, read_setup
from ald_chimes_lsq.formats.tokens import Place, parse_number, read_text
from ald_core.errors import InputError
from ald_core.options import option
from ald_core.roles import Weighting
from ald_core.types import Frame, FrameWeights, LabeledFrame, TrainingSet, Weights

Floats = NDArray[np.float64]
COMPONENTS = {"none": 0, "diagonal": 3, "full": 9}
_VOIGT_OF_NINE = ((0,), (4,), (8,), (5, 7), (2, 6), (1, 3))
"""Which of xx xy xz yx yy yz zx zy zz stand for a component of Voigt's order"""


@attrs.frozen(kw_only=True)
class RowWeighting(Weighting):
    """Weight each row of the starting set by a number from a file; frames of later cycles by 1."""

    name: ClassVar[str] = "rows"
    file: Path = option(
        help="one weight per row of the design matrix that chimes_lsq makes of the starting set"
    )
    setup: Path = option(help="fm_setup.in, which says what rows a frame has")
    sources: tuple[str, ...] = option(
        (), help="trajectories in the order of the rows, by the names of their files; else by name"
    )

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether both files can be read."""
        del elements
        try:
            read_setup(self.setup)
            _read(self.file)
        except InputError as error:
            return [str(error)]
        return []

    def weights(self, training: TrainingSet, cycle: int) -> Weights:
        """Weights of the fitted frames; InputError if the file has another number of rows."""
        del cycle
        setup = read_setup(self.setup)
        numbers = _read(self.file)
        start = [f for f in training.frames if f.frame.origin.cycle == 0]
        found: dict[str, FrameWeights] = {}
        position = 0
        for labeled in sorted(start, key=self._order):
            own, n = _of_frame(labeled.frame, setup, numbers[position:])
            found[labeled.frame.id] = own
            position += n
        if position != len(numbers):
            raise InputError(
                f"has {len(numbers)} weights, but the starting set has {position} rows; give one weight for each row",
                path=self.file,
            )
        ones = {f.frame.id: _ones(f.frame) for f in training.fitted}
        return Weights({i: found.get(i, own) for i, own in ones.items()})

    def _order(self, labeled: LabeledFrame) -> tuple[int, str]:
        source = labeled.frame.origin.source
        known = self.sources.index(source) if source in self.sources else len(self.sources)
        return known, labeled.frame.id


def _read(path: Path) -> Floats:
    lines = read_text(path).splitlines()
    numbers = [
        parse_number(line.strip(), "a weight", Place(path, n))
        for n, line in enumerate(lines, start=1)
        if line.strip()
    ]
    for n, number in enumerate(numbers, start=1):
        if number < 0.0:
            raise InputError(f"weight {n} is {number:g}; a weight is 0 or more", path=path)
    return np.array(numbers)


def _of_frame(frame: Frame, setup: FitSetup, numbers: Floats) -> tuple[FrameWeights, int]:
    """The weights of one frame from the numbers that begin with its own, and how many these are.

    Rows that this program has once are weighted so that the sum of squares is that of the rows in the file.
    """
    n_atoms = len(frame.atoms)
    bulk = frame.kind == "bulk" and bool(frame.atoms.pbc.all())
    n_stress = COMPONENTS[setup.fit_stress.rows] if bulk else 0
    n_energy = 3 * setup.fit_energy.wanted
    total = 3 * n_atoms + n_stress + n_energy
    padded = np.ones(total)
    given = numbers[:total]
    padded[: len(given)] = given
    stress = np.ones(6)
    nine = padded[3 * n_atoms : 3 * n_atoms + n_stress]
    if n_stress == 3:
        stress[:3] = nine
    elif n_stress:
        stress = np.array([_together(nine[list(which)]) for which in _VOIGT_OF_NINE])
    energy = _together(padded[total - 3 :]) if n_energy else 1.0
    return FrameWeights(padded[: 3 * n_atoms].reshape(n_atoms, 3), energy, stress), total


def _together(weights: Floats) -> float:
    """One weight for several equal rows."""
    return float(np.sqrt(np.mean(weights**2)))


def _ones(frame: Frame) -> FrameWeights:
    return FrameWeights(np.ones((len(frame.atoms), 3)), 1.0, np.ones(6))
