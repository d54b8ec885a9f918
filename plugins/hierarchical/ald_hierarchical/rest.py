"""Labels less what is known already: the data that the wrapped fitter gets, and the comparison of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
import numpy as np

from ald_chimes_lsq.constants import KCAL_PER_MOL
from ald_core.types import FloatArray, LabeledFrame, Labels, TrainingSet

FITTED = "fitted"
"""Folder in `GEN_FF` with what the wrapped fitter leaves there"""
COMPARE = "compare.txt"
T = TypeVar("T", float, FloatArray)


def rest_of(labeled: Sequence[LabeledFrame], known: Sequence[Labels]) -> TrainingSet:
    """The frames with labels less what is known of each; they are those that a fit uses."""
    pairs = zip(labeled, known, strict=True)
    return TrainingSet(
        tuple(attrs.evolve(f, labels=subtracted(f.labels, part)) for f, part in pairs)
    )


def subtracted(labels: Labels, part: Labels) -> Labels:
    """Labels less a part of them; what either does not give is not given."""
    return Labels(
        _both(labels.energy, part.energy, lambda a, b: a - b),
        _both(labels.forces, part.forces, np.subtract),
        _both(labels.stress, part.stress, np.subtract),
    )


def added(first: Labels, second: Labels) -> Labels:
    """The sum of two contributions; what either does not give is not given."""
    return Labels(
        _both(first.energy, second.energy, lambda a, b: a + b),
        _both(first.forces, second.forces, np.add),
        _both(first.stress, second.stress, np.add),
    )


def write_comparison(
    folder: Path, labeled: Sequence[LabeledFrame], whole: Iterable[Labels]
) -> None:
    """`compare.txt` of the whole: reference and model in each line, all force components, kcal/mol/Å."""
    with (folder / COMPARE).open("w") as stream:
        for frame, said in zip(labeled, whole, strict=True):
            if frame.labels.forces is None or said.forces is None:
                continue
            both = np.column_stack((frame.labels.forces.ravel(), said.forces.ravel()))
            stream.writelines(f"{a:13.6e} {b:13.6e}\n" for a, b in both / KCAL_PER_MOL)


def _both(first: T | None, second: T | None, operation: Callable[[T, T], T]) -> T | None:
    return None if first is None or second is None else operation(first, second)
