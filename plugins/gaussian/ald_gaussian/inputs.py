"""The text that Gaussian reads, and words of its route that users may choose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs
from ase import Atoms

RUNGS: tuple[tuple[str, ...], ...] = ((), ("XQC",), ("QC",), ("QC", "MaxCycle=1000"))
"""How the SCF is converged, by the number of attempts in which it did not: another way to the same solution.

`XQC` turns to the quadratically convergent SCF, `QC`, where the usual one fails.
"""
LAST_RUNG = len(RUNGS) - 1
BEYOND_SCF = r"(?i)(?:ro|r|u)?(?:mp\d|cc|qci|ci[sd]|bd|g[1-4]|cbs|w1|eom|sac|casscf|b2|mpw2|dsd|pbeqi|pbe0d).*"
"""Methods whose forces are not those of the SCF energy: correlated wave functions, double hybrids, composites"""
TAKEN = r"(?i)(?:scf|force|opt|freq|nosymm|symmetry|tda?|cis|eom|empiricaldispersion|counterpoise|guess=read|geom)\b.*"
"""Keywords that have an option of their own, or change what is calculated"""


def calculation_name(multiplicity: int) -> str:
    """`R.1` for the restricted singlet, `U.2`, `U.3` … for unrestricted higher states."""
    return f"{_letter(multiplicity)}.{multiplicity}"


def route(
    method: str,
    basis: str,
    dispersion: str,
    multiplicity: int,
    scf: Sequence[str],
    keywords: Sequence[str],
) -> str:
    """The route: forces at one geometry, in the orientation of the input."""
    words = ["#P Force", f"{_letter(multiplicity)}{method}/{basis}"]
    words += [f"EmpiricalDispersion={dispersion}"] * bool(dispersion)
    words += ["NoSymm"]
    words += [f"SCF=({','.join(scf)})"] * bool(scf)
    return " ".join([*words, *keywords])


def input_text(
    atoms: Atoms, route_line: str, title: str, charge: int, multiplicity: int, memory: str
) -> str:
    """A whole input; the job puts number of processors and checkpoint file before it."""
    rows = [
        f"{symbol:<2} {x:20.10f} {y:20.10f} {z:20.10f}"
        for symbol, (x, y, z) in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)
    ]
    head = [f"%mem={memory}", route_line, "", title, "", f"{charge} {multiplicity}"]
    return "\n".join([*head, *rows, "", ""])


def _letter(multiplicity: int) -> str:
    return "R" if multiplicity == 1 else "U"


# ---------------------------------------------------------------- words that users choose


def is_word(_: object, field: attrs.Attribute[Any], value: str) -> None:
    """Something that can stand in a route; ValueError if it cannot, as below."""
    if not re.fullmatch(r"(?a)[!-~]+", value) or re.search(r"[%#!]", value):
        raise ValueError(f"{value!r} is no word for a route of Gaussian ({field.name})")


def is_word_or_nothing(_: object, field: attrs.Attribute[Any], value: str) -> None:
    """The same, or empty."""
    if value:
        is_word(_, field, value)


def is_scf_method(_: object, field: attrs.Attribute[Any], value: str) -> None:
    """Hartree-Fock or a density functional, as far as names tell."""
    is_word(_, field, value)
    if re.fullmatch(BEYOND_SCF, value) or "/" in value:
        raise ValueError(
            f"{value!r} cannot be the {field.name}: Hartree-Fock or a density functional is needed"
        )


def is_free_keyword(_: object, field: attrs.Attribute[Any], value: str) -> None:
    """A keyword that nothing else here writes."""
    is_word(_, field, value)
    if re.fullmatch(TAKEN, value):
        raise ValueError(
            f"{value!r} cannot be one of the {field.name}: remove it, or use the option for it"
        )


def is_memory(_: object, field: attrs.Attribute[Any], value: str) -> None:
    """An amount as `%mem` takes it."""
    if not re.fullmatch(r"(?ai)[1-9]\d*([KMGT][BW])?", value):
        raise ValueError(f"{value!r} is no amount for %{field.name}; write 24GB or 2000MB")
