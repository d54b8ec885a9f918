"""Makes an ASE calculator from its name and its options."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from ase.calculators.calculator import Calculator, get_calculator_class

ELSEWHERE = {"tblite": "tblite.ase:TBLite"}
"""Calculators that live outside ASE, by the name that users type."""


def calculator_class(name: str) -> type[Calculator]:
    """The class for a name that ASE knows (`emt`, `espresso`, `cp2k`), `tblite`, or `module:Class`.

    Raises ValueError for a name that nobody knows, ImportError for a package that is not installed.
    """
    place = ELSEWHERE.get(name.lower(), name)
    if ":" in place:
        module, _, attribute = place.partition(":")
        cls: type[Calculator] = getattr(importlib.import_module(module), attribute)
        return cls
    try:
        found: type[Calculator] = get_calculator_class(name)
    except ImportError as error:
        raise ValueError(f"ASE knows no calculator '{name}'") from error
    return found


def make_calculator(name: str, options: Mapping[str, Any]) -> Calculator:
    """The calculator, with its options; a table `profile` becomes the class's profile object (command, paths)."""
    cls = calculator_class(name)
    arguments = dict(options)
    if isinstance(arguments.get("profile"), Mapping):
        module = importlib.import_module(cls.__module__)
        profile = getattr(module, f"{cls.__name__}Profile")
        arguments["profile"] = profile(**arguments["profile"])
    calculator: Calculator = cls(**arguments)
    return calculator
