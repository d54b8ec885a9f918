"""Labels that do not go with the training set, by statistics that a few wrong labels cannot spoil.

Three questions, each to frames of one kind: is the largest force on an atom of an element larger than elsewhere; is the
energy per atom another one than those of its composition; is the pressure another one than those of its density?
Distances are in robust standard deviations: 1.4826 times the median of the absolute deviations. These count as at
least what heat, melting and reactions make of labels that are right (`SPREAD`), because active learning asks for frames
that are unlike the known ones: what is found is wrong by units, signs, atoms or methods, not by convergence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from ase.data import chemical_symbols

from ald_core.types import FloatArray, LabeledFrame
from ald_core.units import GPA

SPREAD: Mapping[str, float] = {"force": 0.25, "energy": 0.5, "pressure": 0.1}
"""Smallest standard deviations: of the logarithm of a force, of eV per atom, of eV/Å³. So ten of them are more than
what lies between cold crystals, hot liquids and clusters, or between a lattice under tension and its melt."""
COMMON_FORCE = 3.0
"""eV/Å; largest forces below count as so large: MD that starts from relaxed structures is no outlier"""
_NORMAL = 1.4826
"""Standard deviation of a normal distribution over the median of its absolute deviations"""
_PASSES = 30
_EXACT = 0.01
"""Of the spread; smaller residuals count as so large, so that no point pins the line down"""
_ALIKE = 1e-4
"""Relative; what two compositions or densities may differ by and still count as the same"""

Key = tuple[str, ...]


def find_outliers(
    known: Sequence[LabeledFrame],
    new: Sequence[LabeledFrame],
    threshold: float,
    at_least: int,
) -> dict[str, str]:
    """Which of `new` do not go with `known` (of which they may be a part), and why, by frame id.

    Args:
        known: labels that count as right for the most part; those that are set aside are passed over.
        new: labels to judge.
        threshold: robust standard deviations; 0: none is an outlier.
        at_least: frames with which one is compared; with fewer it is not judged.
    """
    if threshold <= 0:
        return {}
    used = sorted((f for f in known if not f.set_aside), key=lambda f: f.frame.id)
    found: dict[str, str] = {}
    for judge in (_forces, _energies, _pressures):
        for frame_id, reason in judge(used, new, threshold, at_least).items():
            found.setdefault(frame_id, reason)
    return {f.frame.id: found[f.frame.id] for f in new if f.frame.id in found}


def _forces(
    known: Sequence[LabeledFrame], new: Iterable[LabeledFrame], threshold: float, at_least: int
) -> dict[str, str]:
    """One side only: forces may be as small as they like. Their logarithms, for they grow with temperature."""
    groups: dict[Key, list[float]] = {}
    for labeled in known:
        for element, force in _largest_forces(labeled).items():
            groups.setdefault((labeled.frame.kind, element), []).append(force)
    usual = {key: _usual(values) for key, values in groups.items() if len(values) >= at_least}
    found: dict[str, str] = {}
    for labeled in new:
        for element, force in _largest_forces(labeled).items():
            if (labeled.frame.kind, element) not in usual:
                continue
            middle, spread = usual[labeled.frame.kind, element]
            off = (np.log(max(force, COMMON_FORCE)) - middle) / spread
            if off > threshold:
                said = f"a force of {force:.4g} eV/Å on an atom of {element}, where the largest is {np.exp(middle):.3g}"
                found.setdefault(labeled.frame.id, _reason(said, off, threshold))
    return found


def _usual(forces: Sequence[float]) -> tuple[float, float]:
    """Median and spread of the logarithms."""
    logs = np.log(np.maximum(forces, COMMON_FORCE))
    middle = float(np.median(logs))
    return middle, _spread(logs - middle, "force")


def _energies(
    known: Sequence[LabeledFrame], new: Iterable[LabeledFrame], threshold: float, at_least: int
) -> dict[str, str]:
    """Energies of one labeler are compared only: those of two have different zeros."""
    elements = sorted({int(z) for f in known for z in np.unique(f.frame.atoms.numbers)})
    groups: dict[Key, list[LabeledFrame]] = {}
    for labeled in known:
        if labeled.labels.energy is not None:
            groups.setdefault((labeled.frame.kind, labeled.labeler), []).append(labeled)
    lines = {
        key: _Line(
            [_composition(f, elements) for f in group], [_per_atom(f) for f in group], "energy"
        )
        for key, group in groups.items()
        if len(group) >= at_least
    }
    found = {}
    for labeled in new:
        line = lines.get((labeled.frame.kind, labeled.labeler))
        unknown = set(labeled.frame.atoms.numbers.tolist()) - set(elements)
        if line is None or unknown or labeled.labels.energy is None:
            continue
        expected = line.at(_composition(labeled, elements))
        energy = _per_atom(labeled)
        off = 0.0 if expected is None else (energy - expected) / _spread(line.rest, "energy")
        if abs(off) > threshold:
            said = (
                f"an energy of {energy:.6g} eV per atom, where its composition has {expected:.6g}"
            )
            found[labeled.frame.id] = _reason(said, off, threshold)
    return found


def _pressures(
    known: Sequence[LabeledFrame], new: Iterable[LabeledFrame], threshold: float, at_least: int
) -> dict[str, str]:
    crystals = [f for f in known if _has_pressure(f)]
    if len(crystals) < at_least:
        return {}
    line = _Line([_density(f) for f in crystals], [_pressure(f) for f in crystals], "pressure")
    found = {}
    for labeled in new:
        expected = line.at(_density(labeled)) if _has_pressure(labeled) else None
        if expected is None:
            continue
        pressure = _pressure(labeled)
        off = (pressure - expected) / _spread(line.rest, "pressure")
        if abs(off) > threshold:
            said = f"a pressure of {pressure / GPA:.4g} GPa, where its density has {expected / GPA:.4g}"
            found[labeled.frame.id] = _reason(said, off, threshold)
    return found


def _reason(said: str, off: float, threshold: float) -> str:
    return f"outlier: {said} ({abs(off):.3g} robust standard deviations; quality.outliers = {threshold:g})"


def _spread(rest: FloatArray, what: str) -> float:
    return max(_NORMAL * float(np.median(np.abs(rest))), SPREAD[what])


# ---------------------------------------------------------------- a line through most points


class _Line:
    """The linear dependence with the smallest sum of absolute residuals, which half of the points cannot bend.

    By least squares with weights 1/|residual|, again and again. Sums are numpy's and in the order of the frames, so
    that the digits depend on nothing else.
    """

    def __init__(self, columns: Sequence[FloatArray], values: Sequence[float], what: str):
        self._x = np.array(columns)
        y = np.array(values)
        self._gram = _times(self._x, self._x, np.ones(len(y)))
        self._inverse = _inverse(self._gram)
        weights = np.ones(len(y))
        for _ in range(_PASSES):
            right = (weights[:, None] * self._x * y[:, None]).sum(axis=0)
            inverse = _inverse(_times(self._x, self._x, weights))
            self._slopes = (inverse * right).sum(axis=1)
            self.rest = y - (self._x * self._slopes).sum(axis=1)
            """What the line leaves of each point"""
            weights = 1.0 / np.maximum(np.abs(self.rest), _EXACT * SPREAD[what])

    def at(self, x: FloatArray) -> float | None:
        """What is expected; None where no point is near enough to tell."""
        inverse = self._inverse
        inside = ((inverse @ self._gram) * x).sum(axis=1)
        if np.abs(inside - x).max() > _ALIKE * np.abs(x).max():
            return None  # a direction in which the points do not differ
        leverage = float((x * (inverse * x).sum(axis=1)).sum())
        return float((x * self._slopes).sum()) if leverage <= 1.0 else None


def _times(a: FloatArray, b: FloatArray, weights: FloatArray) -> FloatArray:
    return np.asarray((weights[:, None, None] * a[:, :, None] * b[:, None, :]).sum(axis=0))


def _inverse(matrix: FloatArray) -> FloatArray:
    """Of what the points span; they need not differ in every direction."""
    return np.asarray(np.linalg.pinv(matrix, rcond=_ALIKE**2, hermitian=True), dtype=np.float64)


# ---------------------------------------------------------------- what is compared


def _largest_forces(labeled: LabeledFrame) -> dict[str, float]:
    """eV/Å, by element."""
    if labeled.labels.forces is None:
        return {}
    numbers = labeled.frame.atoms.numbers
    sizes = np.linalg.norm(labeled.labels.forces, axis=1)
    return {chemical_symbols[z]: float(sizes[numbers == z].max()) for z in np.unique(numbers)}


def _composition(labeled: LabeledFrame, elements: Sequence[int]) -> FloatArray:
    numbers = labeled.frame.atoms.numbers
    return np.array([np.count_nonzero(numbers == z) / len(numbers) for z in elements])


def _per_atom(labeled: LabeledFrame) -> float:
    return float(labeled.labels.energy or 0.0) / len(labeled.frame.atoms)


def _has_pressure(labeled: LabeledFrame) -> bool:
    frame = labeled.frame
    return (
        frame.kind == "bulk" and labeled.labels.stress is not None and bool(frame.atoms.pbc.all())
    )


def _density(labeled: LabeledFrame) -> FloatArray:
    """1 and amu/Å³."""
    atoms = labeled.frame.atoms
    return np.array([1.0, float(atoms.get_masses().sum()) / atoms.get_volume()])


def _pressure(labeled: LabeledFrame) -> float:
    """eV/Å³, positive if compressed."""
    stress = labeled.labels.stress
    return 0.0 if stress is None else -float(stress[:3].sum()) / 3.0
