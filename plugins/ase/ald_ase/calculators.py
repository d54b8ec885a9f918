"""Makes an ASE calculator from its name and its options."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from ase.calculators.calculator import Calculator, get_calculator_class

from ald_core.options import did_you_mean

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
    if f"{cls.__module__}:{cls.__name__}" == ELSEWHERE["tblite"]:
        _check_tblite(cls, arguments)
    if isinstance(arguments.get("profile"), Mapping):
        module = importlib.import_module(cls.__module__)
        profile = getattr(module, f"{cls.__name__}Profile")
        arguments["profile"] = profile(**arguments["profile"])
    calculator: Calculator = cls(**arguments)
    return calculator


def _check_tblite(cls: type[Calculator], options: Mapping[str, Any]) -> None:
    """Refuse unknown names, which tblite takes without a word: a misspelt `method` would be its default one."""
    for option in options:
        if option not in cls.default_parameters and not option.endswith("_solvation"):
            raise TypeError(
                f"tblite has no option '{option}'{did_you_mean(option, cls.default_parameters)}"
            )
