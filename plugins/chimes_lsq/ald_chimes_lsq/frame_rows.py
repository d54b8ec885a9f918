"""Which rows a labelled frame has in a fit, and their right-hand sides and weights, in native units."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_chimes_lsq.formats.setup import StressRows
from ald_core.store import frame_from_json, frame_to_json, labels_from_json, labels_to_json
from ald_core.types import Frame, FrameWeights, Labels

Floats = NDArray[np.float64]

VOIGT = {"none": [], "diagonal": [0, 1, 2], "full": [0, 5, 4, 5, 1, 3, 4, 3, 2]}
"""Voigt component of each stress row: xx yy zz, or xx xy xz yx yy yz zx zy zz."""
ENERGY_ROWS = 3
"""The row of an energy is there so many times."""
KINDS = ("force", "stress", "energy", "constraint")


@attrs.frozen(eq=False)
class FrameRows:
    """A frame with the rows that it has in a fit."""

    frame: Frame
    stress: StressRows
    energy: bool
    labels: Labels | None = None
    weights: FrameWeights | None = None
    """None: all are 1."""

    def counts(self) -> tuple[int, int, int]:
        """Numbers of force, stress and energy rows."""
        return _counts(len(self.frame.atoms), self.stress, self.energy)

    def line(self, *, geometry: bool = True, values: bool = True) -> str:
        """A line of JSON: atoms, labels with weights, or both."""
        counts = {"atoms": len(self.frame.atoms), "stress": self.stress, "energy": self.energy}
        content: dict[str, Any] = dict(counts)
        if geometry:
            content["frame"] = frame_to_json(self.frame)
        if values and self.labels is not None:
            content["labels"] = labels_to_json(self.labels)
        if values and self.weights is not None:
            own = self.weights
            content["weights"] = {
                "forces": own.forces.tolist(),
                "energy": own.energy,
                "stress": own.stress.tolist(),
            }
        return json.dumps(content)


@attrs.frozen(eq=False)
class Targets:
    """Right-hand sides of many rows, with weights and kinds."""

    right: Floats
    """(n,) kcal/mol/Å, kcal/mol/Å³, kcal/mol"""
    weights: Floats | None
    """(n,); None if all are 1"""
    kinds: NDArray[np.int8]
    """(n,) positions in `KINDS`"""


def read_frame_rows(values: dict[str, Any]) -> FrameRows:
    """From a line of JSON with atoms."""
    return FrameRows(frame_from_json(values["frame"]), values["stress"], values["energy"])


def count_columns(basis: Basis, *, offsets: bool) -> int:
    """Number of columns, with or without those of energy offsets."""
    charges = len(basis.pairs) if basis.fit_charges else 0
    kept = len(basis.types) - len(basis.excluded_types)
    return basis.n_short_range + charges + (kept if offsets else 0)


def count_rows(values: dict[str, Any]) -> int:
    """Number of rows of a frame from its line of JSON."""
    return sum(_counts(values["atoms"], values["stress"], values["energy"]))


def read_targets(lines: Iterable[dict[str, Any]], constraints: Sequence[float] = ()) -> Targets:
    """Right-hand sides of frames, from lines with labels, and then those of constraints on charges."""
    return join_targets((_targets(values) for values in lines), constraints)


def join_targets(frames: Iterable[Targets], constraints: Sequence[float] = ()) -> Targets:
    """Right-hand sides of frames one after another, and then those of constraints on charges."""
    found = list(frames)
    n = len(constraints)
    end = Targets(
        np.array(constraints, dtype=np.float64), np.ones(n), np.full(n, len(KINDS) - 1, np.int8)
    )
    found.append(end)
    factors = np.concatenate(
        [np.ones(len(f.right)) if f.weights is None else f.weights for f in found]
    )
    return Targets(
        np.concatenate([f.right for f in found]),
        None if np.all(factors == 1.0) else factors,
        np.concatenate([f.kinds for f in found]),
    )


def _targets(values: dict[str, Any]) -> Targets:
    counts = _counts(values["atoms"], values["stress"], values["energy"])
    own = values.get("weights")
    return Targets(
        right_sides(labels_from_json(values["labels"]), values["stress"], values["energy"]),
        None
        if own is None
        else _weights(
            own["forces"], own["stress"], own["energy"], values["stress"], values["energy"]
        ),
        np.repeat(np.arange(3, dtype=np.int8), counts),
    )


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a file of JSON lines, one at a time."""
    with path.open() as stream:
        for line in stream:
            yield json.loads(line)


def _counts(n_atoms: int, stress: str, energy: bool) -> tuple[int, int, int]:
    return 3 * n_atoms, len(VOIGT[stress]), ENERGY_ROWS if energy else 0


def right_sides(labels: Labels, stress: str, energy: bool) -> Floats:
    """Right-hand sides of the rows of a frame, in native units; its forces must be there, and the others if wanted."""
    parts = [np.ravel(np.asarray(labels.forces, dtype=np.float64))]
    if VOIGT[stress] and labels.stress is not None:
        # ASE counts tension as positive.
        parts.append(-labels.stress[VOIGT[stress]])
    if energy and labels.energy is not None:
        parts.append(np.full(ENERGY_ROWS, labels.energy))
    return np.concatenate(parts) / KCAL_PER_MOL


def row_weights(rows: FrameRows) -> Floats:
    """Weights of the rows of a frame, (n_rows,)."""
    own = rows.weights
    if own is None:
        return np.ones(sum(rows.counts()))
    return _weights(own.forces, own.stress, own.energy, rows.stress, rows.energy)


def _weights(
    forces: ArrayLike, stress: ArrayLike, energy: float, rows: str, wanted: bool
) -> Floats:
    parts = [np.ravel(np.asarray(forces, dtype=np.float64))]
    parts.append(np.asarray(stress, dtype=np.float64)[VOIGT[rows]])
    return np.concatenate([*parts, np.full(ENERGY_ROWS if wanted else 0, energy)])
