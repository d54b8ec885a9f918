"""The options of those sections of the run file that belong to no plugin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs.validators import ge, gt, le, lt, min_len

from ald_core.options import option


def _is_a_range(_: object, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
    if value and (len(value) != 2 or value[0] >= value[1]):
        raise ValueError(f"{attribute.name} must be the lower and the higher of two numbers")


@attrs.frozen(kw_only=True)
class StudyOptions:
    """Section `[study]`."""

    elements: tuple[str, ...] = option(help="chemical symbols", validator=min_len(1))
    cycles: int = option(3, help="active-learning cycles to run", validator=ge(0), identity=False)
    seed: int = option(1, help="of every random choice", validator=ge(0))
    folder: str = option(
        ".", help="where results go, from the folder of the run file", identity=False
    )
    final_md: bool = option(
        True, help="run MD once more with the final model, to judge it", identity=False
    )


@attrs.frozen(kw_only=True)
class TrainingOptions:
    """Section `[training]`."""

    held_out: float = option(
        0.2,
        help="fraction of each trajectory's labelled frames that is never fitted, only judged",
        validator=[ge(0.0), lt(1.0)],
    )


def _plain(_: object, field: attrs.Attribute[str], value: str) -> None:
    del field
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", value):
        raise ValueError(
            f"files and jobs cannot be called after {value!r}; use letters and digits, and then . _ + - too"
        )


@attrs.frozen(kw_only=True)
class CaseOptions:
    """Section `[[case]]`."""

    name: str = option(help="of the state point", validator=_plain)
    temperature: float = option(help="K", validator=gt(0.0))
    structure: Path = option(help="starting configuration")
    input: Path | None = option(None, help="the MD engine's own input file (run_md.in)")
    resources: Mapping[str, Any] = option(
        factory=dict, help="of its MD, where they are not those of [resources.md]", identity=False
    )


@attrs.frozen(kw_only=True)
class QualityOptions:
    """`[quality]`: when a label is not believed, and when too many are not."""

    max_force: float = option(51.4, help="largest force component, eV/Å", validator=gt(0.0))
    max_stress: float = option(
        10.0, help="largest stress component, eV/Å³ (10: 1.6 TPa)", validator=gt(0.0), added=True
    )
    positive_energy: bool = option(False, help="accept total energies above zero")
    energy_per_atom: tuple[float, ...] = option(
        (),
        help="lowest and highest energy per atom, eV; nothing: any",
        validator=_is_a_range,
        added=True,
    )
    outliers: float = option(
        10.0,
        help="set new labels aside that are farther off the training set, in robust standard deviations; 0: none",
        validator=ge(0.0),
        added=True,
    )
    outliers_from: int = option(
        20,
        help="labelled frames with which labels are compared, at least; with fewer none is an outlier",
        validator=ge(3),
        added=True,
    )
    max_quarantined: float = option(
        0.2,
        help="stop when a larger fraction of a cycle's labels fails",
        validator=[ge(0.0), le(1.0)],
        identity=False,
    )
