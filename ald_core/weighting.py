"""The weighting `formula`: weights from the values to be fitted, styles A to G, singly or multiplied.

With X the reference value of a row (kcal/mol for energies of whole frames, kcal/mol/Å for force components,
kcal/mol/Å³ and positive in compression for stress components), N the atoms of the frame and k the cycle whose fit first
used it (at least 1):

A a0 · B a0·k^a1 · C a0·exp(a1·|X|/a2) · D a0·exp(a1·(X−a2)/a3) · E N^a0 ·
F a0·exp(a1·(X/N−a2)/a3) · G a0·exp(a1·(|X|−a2)/a3)

A weight multiplies both sides of an equation, so squared residuals carry its square.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs
import numpy as np

from ald_core.errors import InputError
from ald_core.options import Legacy, option
from ald_core.roles import Weighting
from ald_core.types import FloatArray, FrameWeights, LabeledFrame, TrainingSet, Weights
from ald_core.units import KCAL_PER_MOL

PARAMETERS = {"A": 1, "B": 2, "C": 3, "D": 4, "E": 1, "F": 4, "G": 4}
"""How many parameters each style has."""


@attrs.frozen
class Term:
    """One factor of a weight: a style letter with its parameters."""

    style: str
    parameters: tuple[float, ...]

    def __call__(self, x: FloatArray, n_atoms: int, k: int) -> FloatArray:
        """Weights for the values `x` of any shape."""
        a = self.parameters
        match self.style:
            case "A":
                value = np.full_like(x, a[0])
            case "B":
                value = np.full_like(x, a[0] * k ** a[1])
            case "C":
                value = a[0] * np.exp(a[1] * np.abs(x) / a[2])
            case "D":
                value = a[0] * np.exp(a[1] * (x - a[2]) / a[3])
            case "E":
                value = np.full_like(x, float(n_atoms) ** a[0])
            case "F":
                value = a[0] * np.exp(a[1] * (x / n_atoms - a[2]) / a[3])
            case _:
                value = a[0] * np.exp(a[1] * (np.abs(x) - a[2]) / a[3])
        return value


Formula = tuple[Term, ...]


def formula(raw: Any) -> Formula:
    """A weight as users write it: a number, `{styles, parameters}`, or the two lists of old studies.

    `1.0`, `"1.0"`, `{ styles = ["A", "B"], parameters = [[100.0], [1.0, -1.0]] }`,
    `[["A", "B"], [[100.0], [1.0, -1.0]]]`, and for a single style also `[["B"], [1.0, -1.0]]`.
    """
    if isinstance(raw, tuple) and all(isinstance(t, Term) for t in raw):
        return raw
    if isinstance(raw, (int, float, str)) and not isinstance(raw, bool):
        return (_term("A", [raw]),)
    if isinstance(raw, Mapping) and set(raw) == {"styles", "parameters"}:
        styles, parameters = raw["styles"], raw["parameters"]
    elif isinstance(raw, Sequence) and len(raw) == 2:
        styles, parameters = raw
    else:
        raise TypeError(f"a number or {{styles, parameters}} is needed, not {raw!r}")
    styles = [styles] if isinstance(styles, str) else styles
    if not isinstance(styles, (list, tuple)) or not isinstance(parameters, (list, tuple)):
        raise TypeError(f"a number or {{styles, parameters}} is needed, not {raw!r}")
    if len(styles) == 1 and parameters and not isinstance(parameters[0], (list, tuple)):
        parameters = [parameters]
    if not styles or len(styles) != len(parameters):
        raise TypeError(f"{len(styles)} styles need as many parameter lists, not {len(parameters)}")
    return tuple(_term(s, p) for s, p in zip(styles, parameters, strict=True))


def _term(style: Any, parameters: Any) -> Term:
    if not isinstance(style, str) or style not in PARAMETERS:
        raise TypeError(f"{style!r} is no style (known: {', '.join(PARAMETERS)})")
    try:
        numbers = tuple(float(p) for p in parameters)
    except (TypeError, ValueError):
        raise TypeError(f"style {style} needs numbers, not {parameters!r}") from None
    if len(numbers) != PARAMETERS[style]:
        raise TypeError(f"style {style} takes {PARAMETERS[style]} parameters, not {len(numbers)}")
    if not np.all(np.isfinite(numbers)):
        raise TypeError(f"style {style} needs finite parameters, not {parameters!r}")
    divisors = {"C": numbers[2:3], "D": numbers[3:4], "F": numbers[3:4], "G": numbers[3:4]}
    if 0.0 in divisors.get(style, ()):
        raise TypeError(f"style {style} divides by its last parameter, which is 0")
    return Term(style, numbers)


def _old(name: str) -> Legacy:
    """A weight of old studies, as a number or a table of styles and parameters."""

    def read(raw: Any, _: object) -> Any:
        try:
            terms = formula(raw)
        except TypeError as error:
            raise ValueError(str(error)) from None
        if [term.style for term in terms] == ["A"]:
            return terms[0].parameters[0]
        return {
            "styles": [term.style for term in terms],
            "parameters": [list(term.parameters) for term in terms],
        }

    return Legacy(name, read)


@attrs.frozen(kw_only=True)
class FormulaWeighting(Weighting):
    """Weights by formula, separately for forces, energies and stress, bulk and gas frames."""

    name: ClassVar[str] = "formula"
    force: Formula = option(
        (Term("A", (1.0,)),),
        help="forces of bulk frames",
        converter=formula,
        legacy=_old("WEIGHTS_FORCE"),
    )
    gas_force: Formula = option(
        (Term("A", (5.0,)),),
        help="forces of gas frames",
        converter=formula,
        legacy=_old("WEIGHTS_FGAS"),
    )
    energy: Formula = option(
        (Term("A", (0.1,)),),
        help="energies of bulk frames",
        converter=formula,
        legacy=_old("WEIGHTS_ENER"),
    )
    gas_energy: Formula = option(
        (Term("A", (0.1,)),),
        help="energies of gas frames",
        converter=formula,
        legacy=_old("WEIGHTS_EGAS"),
    )
    stress: Formula = option(
        (Term("A", (250.0,)),),
        help="stress components",
        converter=formula,
        legacy=_old("WEIGHTS_STRES"),
    )
    starting_set: bool = option(
        True,
        help="false: weight frames of later cycles only, and those of the starting set by 1",
        added=True,
    )

    def weights(self, training: TrainingSet, cycle: int) -> Weights:
        """Weights of the fitted frames; InputError if one is not finite, or negative."""
        del cycle  # every frame keeps the weight of the cycle that first fitted it
        return Weights({f.frame.id: self._of_frame(f) for f in training.fitted})

    def _of_frame(self, labeled: LabeledFrame) -> FrameWeights:
        gas = labeled.frame.kind == "gas"
        labels = labeled.labels
        n = len(labeled.frame.atoms)
        forces = np.zeros((n, 3)) if labels.forces is None else labels.forces
        energy = np.array(0.0 if labels.energy is None else labels.energy)
        stress = np.zeros(6) if labels.stress is None else -labels.stress
        rows = {
            "gas_force" if gas else "force": forces,
            "gas_energy" if gas else "energy": energy,
            "stress": stress,
        }
        weights: list[FloatArray] = []
        if labeled.frame.origin.cycle == 0 and not self.starting_set:
            return FrameWeights(np.ones_like(forces), 1.0, np.ones(6))
        for option_name, values in rows.items():
            weight = np.ones_like(values)
            with np.errstate(over="ignore", invalid="ignore"):
                for term in getattr(self, option_name):
                    weight = weight * term(values / KCAL_PER_MOL, n, max(labeled.first_fit, 1))
            wrong = weight[~np.isfinite(weight) | (weight < 0)]
            if wrong.size:
                raise InputError(
                    f"weighting.{option_name} gives the weight {wrong.flat[0]:g} for frame "
                    f"{labeled.frame.id}; choose parameters that give finite weights ≥ 0"
                )
            weights.append(weight)
        return FrameWeights(weights[0], float(weights[1]), weights[2])
