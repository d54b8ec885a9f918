"""What a translation of an old study gives."""

from __future__ import annotations

from typing import Any

import attrs

from ald_core.legacy.config import Config

Table = dict[str, Any]


@attrs.frozen
class Problem:
    """What is wrong, and in which section of the run file."""

    section: str
    text: str


@attrs.define(eq=False)
class Translation:
    """Tables as a run file has them."""

    config: Config
    tables: Table
    origins: dict[str, str] = attrs.field(factory=dict)
    """Where a value comes from, by its name with dots (`fitter.alpha`, `case[0].input`)"""
    problems: list[Problem] = attrs.field(factory=list)
    warnings: list[str] = attrs.field(factory=list)
    used: set[str] = attrs.field(factory=set)
    """Options of the old study that became something"""
    unavailable: set[str] = attrs.field(factory=set)
    """Sections whose plugin is not installed"""
    elsewhere: Table = attrs.field(factory=dict)
    """Sections for a machine with Slurm, if this is none"""
