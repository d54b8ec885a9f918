"""The options of those sections of the run file that belong to no plugin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs.validators import ge, gt, le, lt, min_len

from ald_core.options import option


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
    positive_energy: bool = option(False, help="accept total energies above zero")
    max_quarantined: float = option(
        0.2,
        help="stop when a larger fraction of a cycle's labels fails",
        validator=[ge(0.0), le(1.0)],
        identity=False,
    )
