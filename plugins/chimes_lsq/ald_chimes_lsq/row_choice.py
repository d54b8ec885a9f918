"""Which rows the labelled frames of a study have in a fit, as a run file and `fm_setup.in` say it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import attrs
import numpy as np

from ald_chimes_lsq.formats.setup import FitSetup, StressRows, read_setup
from ald_chimes_lsq.frame_rows import FrameRows, row_weights
from ald_core.errors import InputError
from ald_core.roles import Fitter
from ald_core.types import Frame, LabeledFrame, Weights

Stress = Literal["none", "diagonal", "full"]


@attrs.frozen(kw_only=True)
class RowChoice:
    """What a fitter's options say about rows."""

    setup: Path
    energy: bool | None
    """None: as the set-up says; likewise the stress."""
    stress: Stress | None
    new_stress: Stress | None
    """Of frames that cycles have made; None: as of the others"""
    new_stress_from: int

    @classmethod
    def of(cls, fitter: Fitter) -> RowChoice:
        """What the options of a fitter say, which has one for each field."""
        return cls(**{field.name: getattr(fitter, field.name) for field in attrs.fields(cls)})

    def check(self, elements: Sequence[str]) -> list[str]:
        """Whether the set-up can be read, knows the elements, and says the same of all frames."""
        try:
            setup = read_setup(self.setup)
        except InputError as error:
            return [str(error)]
        problems = []
        missing = [e for e in elements if e not in {t.name for t in setup.basis.types}]
        if missing:
            problems.append(
                f"{self.setup} has no atom type {', '.join(missing)}; add it to TYPEIDX and PAIRIDX"
            )
        try:
            self.kinds(setup)
        except InputError as error:
            problems.append(str(error))
        return problems

    def kinds(self, setup: FitSetup) -> tuple[StressRows, bool]:
        """Which stress rows the starting set has, and whether energies are fitted.

        Raises InputError for `FIRST n`: the frames of a study have no order that a user could count on.
        """
        for name, key, frames in (
            ("stress", "FITSTRS", setup.fit_stress.frames),
            ("energy", "FITENER", setup.fit_energy.frames),
        ):
            if frames is not None and getattr(self, name) is None:
                raise InputError(
                    f"{key} names the first {frames} frames, which a study cannot tell from others; "
                    f"write {key} for all frames, or set fitter.{name} in the run file",
                    path=self.setup,
                )
        return (
            setup.fit_stress.rows if self.stress is None else self.stress,
            setup.fit_energy.wanted if self.energy is None else self.energy,
        )

    def rows(
        self, setup: FitSetup, labeled: Sequence[LabeledFrame], weights: Weights
    ) -> list[FrameRows]:
        """The frames with their rows, labels and weights.

        Raises:
            InputError: a label that is to be fitted is missing, a weight is impossible, or all are zero.
        """
        stress, energy = self.kinds(setup)
        frames = []
        for item in labeled:
            wanted = self._stress_of(item, stress)
            _require(item, wanted, energy)
            own = weights.frames[item.frame.id]
            rows = stress_rows(item.frame, wanted)
            frames.append(FrameRows(item.frame, rows, energy, item.labels, own))
        _check_weights(frames)
        return frames

    def _stress_of(self, item: LabeledFrame, stress: StressRows) -> StressRows:
        """Which stress rows a frame has; `stress` of the starting set."""
        if item.frame.origin.cycle == 0:
            return stress
        if item.first_fit < self.new_stress_from:
            return "none"
        return stress if self.new_stress is None else self.new_stress


def stress_rows(frame: Frame, stress: StressRows) -> StressRows:
    """Rows of one frame: molecules, and all that is not periodic in every direction, have no stress."""
    return stress if frame.kind == "bulk" and frame.atoms.pbc.all() else "none"


def _require(labeled: LabeledFrame, stress: StressRows, energy: bool) -> None:
    """Refuse a frame without a label that is to be fitted."""
    frame, labels = labeled.frame, labeled.labels
    given_by_user = frame.origin.cycle == 0
    cure = "set relabel = true for its file" if given_by_user else "use a labeler that gives it"
    start = f"frame {frame.id} has no"
    if labels.forces is None:
        raise InputError(f"{start} forces, which are to be fitted; {cure}")
    if energy and labels.energy is None:
        raise InputError(
            f"{start} energy, which is to be fitted; {cure}, or set fitter.energy = false"
        )
    if stress_rows(frame, stress) != "none" and labels.stress is None:
        raise InputError(
            f"{start} stress, which is to be fitted (all six components are needed; a file's diagonal alone is not "
            f'used); {cure}, or set fitter.stress = "none"'
        )


def _check_weights(frames: Iterable[FrameRows]) -> None:
    """Refuse weights with which there is nothing to fit, or no minimum."""
    used = False
    for rows in frames:
        weights = row_weights(rows)
        if not (np.isfinite(weights).all() and (weights >= 0.0).all()):
            raise InputError(
                f"frame {rows.frame.id} has a weight that is negative or not finite",
                cure="change the options of [[weighting]] in the run file",
            )
        used = used or bool(weights.any())
    if not used:
        raise InputError(
            "all weights are zero, so that there is nothing to fit",
            cure="change the options of [[weighting]] in the run file",
        )
