"""The training set as files of chimes_lsq: `fm_setup.in`, the list of trajectories, one `.xyzf`; and row weights.

Sources: ChIMES LSQ manual, input file format; the behaviour of chimes_lsq. Frames with stresses come first, because the
program can be told of the first frames only that they have some.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.formats.ase_xyzf import FORCE, STRESS
from ald_chimes_lsq.formats.control_lines import significant_rows
from ald_chimes_lsq.formats.setup import FitSetup
from ald_chimes_lsq.formats.xyzf import XyzfFrame, format_xyzf
from ald_chimes_lsq.frame_rows import (
    FrameRows,
    Targets,
    count_columns,
    join_targets,
    right_sides,
    row_weights,
)
from ald_core.errors import InputError

Floats = NDArray[np.float64]

SETUP = "fm_setup.in"
LISTING = "traj_list.dat"
TRAJECTORY = "training.xyzf"
_VOIGT = {"none": [], "diagonal": [0, 1, 2], "full": [0, 1, 2, 5, 4, 3]}
"""Components of Voigt's order in the header of a frame: xx yy zz xy xz yz"""


@attrs.frozen(eq=False)
class TrainingFiles:
    """A training set in the order in which chimes_lsq reads it."""

    setup: FitSetup
    """Of the user, with its path"""
    frames: tuple[FrameRows, ...]
    targets: Targets
    """Of all rows, those of constraints on charges last"""
    n_columns: int

    @classmethod
    def of(cls, setup: FitSetup, frames: Sequence[FrameRows], *, offsets: bool) -> TrainingFiles:
        """Put the frames in order.

        Raises:
            InputError: the program cannot be asked for such rows.
        """
        kinds = {rows.stress for rows in frames} - {"none"}
        if len(kinds) > 1:
            raise InputError(
                "chimes_lsq cannot fit the diagonal of the stress of some frames and all components of that of others",
                cure="set fitter.stress and fitter.new_stress to the same",
            )
        if kinds and setup.basis.fit_charges:
            raise InputError(
                "chimes_lsq cannot fit stresses together with charges (FITCOUL)",
                cure='set fitter.stress = "none"',
            )
        ordered = tuple(sorted(frames, key=lambda rows: rows.stress == "none"))
        constraints = [constraint.value for constraint in setup.charge_constraints]
        targets = join_targets(map(_targets, ordered), constraints)
        return cls(setup, ordered, targets, count_columns(setup.basis, offsets=offsets))

    @property
    def atoms(self) -> list[int]:
        """Numbers of atoms of the frame of each row, as in `natoms.txt`, which leaves constraints out."""
        return [len(rows.frame.atoms) for rows in self.frames for _ in range(sum(rows.counts()))]

    def setup_text(self, text: str) -> str:
        """`fm_setup.in` of the user, for these frames."""
        setup = self.setup
        values = {
            "TRJFILE": f"MULTI {LISTING}",
            "NFRAMES": str(len(self.frames)),
            "FITSTRS": self._stress_words(),
            "FITENER": "true" if self.frames[0].energy else "false",
            "NLAYERS": str(max(setup.n_layers, self._layers())),
            "WRAPTRJ": "true",
        }
        # What may be said otherwise only if the user's file says something at all.
        values |= {"SPLITFI": "false"} if setup.split_files else {}
        values |= {"SKPFRMS": "0"} if setup.skip_frames else {}
        values |= {"USENEIG": "true"} if setup.neighbours == "none" else {}
        return with_values(text, values, setup.path)

    def trajectory_text(self) -> str:
        """All frames, in the units of the program, with the labels that it is to fit."""
        return format_xyzf([self._xyzf(rows) for rows in self.frames])

    def _stress_words(self) -> str:
        stressed = [rows.stress for rows in self.frames if rows.stress != "none"]
        if not stressed:
            return "false"
        if len(stressed) == len(self.frames):
            return "ALL" if stressed[0] == "full" else "true"
        return f"{'FIRSTALL' if stressed[0] == 'full' else 'FIRST'} {len(stressed)}"

    def _layers(self) -> int:
        """Periodic copies that the smallest cell needs, at least 1: with fewer, interactions are lost."""
        inverse = [np.linalg.inv(self._cell(rows)) for rows in self.frames]
        height = min(1.0 / float(np.linalg.norm(i, axis=0).max()) for i in inverse)
        return max(math.ceil(self.setup.basis.max_rmax / height), 1)

    def _cell(self, rows: FrameRows) -> Floats:
        from ald_chimes_lsq.design_rows import fitted_cell  # noqa: PLC0415 (it loads compiled code)

        return fitted_cell(self.setup.basis, rows.frame.atoms)

    def _xyzf(self, rows: FrameRows) -> XyzfFrame:
        labels, atoms = rows.labels, rows.frame.atoms
        if labels is None or labels.forces is None:
            raise InputError(f"frame {rows.frame.id} has no forces")
        stress = () if labels.stress is None else labels.stress[_VOIGT[rows.stress]] / STRESS
        energy = labels.energy if rows.energy else None
        return XyzfFrame(
            elements=tuple(atoms.get_chemical_symbols()),
            cell=self._cell(rows),
            positions=atoms.positions,
            forces=labels.forces / FORCE,
            stress=tuple(float(component) for component in stress) or None,
            energy=None if energy is None else energy / KCAL_PER_MOL,
        )


def _targets(rows: FrameRows) -> Targets:
    if rows.labels is None:
        raise InputError(f"frame {rows.frame.id} has no labels")
    return Targets(
        right_sides(rows.labels, rows.stress, rows.energy),
        row_weights(rows),
        np.repeat(np.arange(3, dtype=np.int8), rows.counts()),
    )


def with_values(text: str, values: Mapping[str, str], path: Path | str | None = None) -> str:
    """The text of an `fm_setup.in` with other values, everything else as the user wrote it.

    A key that it does not have is added behind the first value, which is that of TRJFILE in the files of most users.
    """
    rows = significant_rows(text, path)
    places = {row.key: value.line for row, value in pairwise(rows) if row.key and not value.key}
    lines = text.split("\n")
    for key, value in values.items():
        if key in places:
            lines[places[key] - 1] = f"\t{value}"
    missing = [
        line for key in values if key not in places for line in (f"# {key} #", f"\t{values[key]}")
    ]
    first = min(places.values(), default=0)
    return "\n".join([*lines[:first], *missing, *lines[first:]]).rstrip("\n") + "\n"
