"""What an INCAR must say to ask for a label, and what is changed in it.

The atoms stay where they are, the electrons converge, their temperature is that of the frame, and nothing depends on
which elements a frame happens to have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from ase.units import kB

from ald_vasp.incar import Incar

Smearing = Literal["check", "set", "any"]

NEAR = 0.01
"""Relative difference between SIGMA and k_B T that is a matter of rounding; users write 0.086 for 1000 K"""
ONCE = ("ALGO", "IALGO", "IBRION", "ENCUT", "ISIF", "ISMEAR", "NELM", "NSW", "SIGMA")
PER_ELEMENT = ("LDAUJ", "LDAUL", "LDAUU", "LMAXPAW", "POMASS", "ROPT", "RWIGS", "VCA", "VDW_ALPHA",
               "VDW_C6", "VDW_R0", "ZVAL")  # fmt: skip
"""Tags with a value for each element of POSCAR"""
ALGORITHMS = {"Normal": 38, "VeryFast": 48, "Fast": 68, "All": 58, "Conjugate": 58, "Damped": 53}
"""Those that converge the electrons, with their IALGO"""
NELM = 60
"""What VASP takes where an INCAR does not tell"""
NO_FILES = {"LWAVE": ".FALSE.", "LCHARG": ".FALSE."}
"""Large files that nobody reads, unless the user asks for them"""


# ---------------------------------------------------------------- INCAR


def incar_problems(
    incar: Incar, path: Path, temperature: float | None, smearing: Smearing, *, stress: bool
) -> list[str]:
    """What keeps an INCAR from asking for labels at a temperature (K), one sentence each."""
    found = incar.contradictions(ONCE)
    try:
        found += _about_ions(incar, stress=stress)
        found += _about_electrons(incar)
        found += smearing_problems(incar, temperature, smearing, own=path.name != "INCAR")
    except ValueError as error:
        found.append(f"{error}; correct it")
    return [f"{path}: {problem}" for problem in found]


def _about_ions(incar: Incar, *, stress: bool) -> list[str]:
    found = []
    moves = incar.get("NSW")
    if moves is not None and moves.number > 0:
        found.append(f"NSW = {moves.word} moves the atoms; set NSW = 0")
    if stress:
        isif, ibrion = incar.get("ISIF"), incar.get("IBRION")
        if isif is not None and isif.number < 2:
            found.append(f"ISIF = {isif.word} gives no stress; set ISIF = 2, or say stress = false")
        hybrid = incar.get("LHFCALC")
        if isif is None and ((ibrion and ibrion.number == 0) or (hybrid and _true(hybrid.word))):
            found.append("ISIF is missing, and there will be no stress; set ISIF = 2")
    return found


def _about_electrons(incar: Incar) -> list[str]:
    found = []
    algorithm = algorithm_of(incar)
    if algorithm is None:
        said = incar.get("ALGO") or incar.get("IALGO")
        assert said is not None  # noqa: S101  the default is known
        known = ", ".join(ALGORITHMS)
        found.append(
            f"{said.tag} = {said.word} does not converge the electrons; choose one of {known}"
        )
    for tag, least in (("NELM", 1.0), ("ENCUT", 1.0), ("ISMEAR", -5.0), ("SIGMA", 0.0)):
        found += [
            f"{tag} = {s.word} is too small; correct it" for s in incar.all(tag) if s.number < least
        ]
    return found + [
        f"ICHARG = {charge.word} keeps the charge density; set ICHARG = 2"
        for charge in incar.all("ICHARG")
        if charge.number >= 10
    ]


def elements_problems(incar: Incar, path: Path, elements: Sequence[str]) -> list[str]:
    """What would make labels depend on which elements a frame has."""
    if len(elements) > 1 and incar.get("ENCUT") is None:
        missing = "ENCUT is missing, so that it would be another for frames with other elements"
        return [f"{path}: {missing}; set ENCUT"]
    return []


def per_element_problems(incar: Incar, path: Path, elements: Sequence[str]) -> list[str]:
    """Tags with as many values as a study has elements, for a frame that does not have all of them."""
    return [
        f"{path}: {s.tag} has {s.count} values, but a frame has the elements {' '.join(elements)}, in this order; "
        "give frames with other elements a labeler with an INCAR of their own"
        for tag in PER_ELEMENT
        for s in incar.all(tag)
        if s.count > 1 and s.count != len(elements)
    ]


def algorithm_of(incar: Incar) -> str | None:
    """Name of the algorithm; None if it is one that does not converge the electrons."""
    algo, ialgo = incar.get("ALGO"), incar.get("IALGO")
    if algo is not None:
        word = algo.word.lower().replace("_", "")
        return next((n for n in ALGORITHMS if word in (n.lower(), n[0].lower())), None)
    if ialgo is not None:
        return next((n for n, i in ALGORITHMS.items() if i == ialgo.number), None)
    return "Normal"


def _true(word: str) -> bool:
    return word.strip(".").upper().startswith("T")


def rung_settings(incar: Incar, algorithms: Sequence[str], rung: int) -> dict[str, str]:
    """ALGO and NELM of a try after `rung` that did not converge; that of the INCAR is not tried again."""
    if not rung:
        return {}
    current = algorithm_of(incar)
    other = [name for name in algorithms if name != current]
    nelm = incar.get("NELM")
    steps = {"NELM": str(2 * int(nelm.number if nelm else NELM))}
    return steps | ({"ALGO": other[min(rung, len(other)) - 1]} if other else {})


# ---------------------------------------------------------------- temperature of the electrons


def smearing_settings(
    incar: Incar, temperature: float | None, smearing: Smearing
) -> dict[str, str]:
    """What an INCAR is told about the temperature (K), where it says nothing itself."""
    if smearing != "set" or temperature is None or incar.get("SIGMA"):
        return {}
    return {"ISMEAR": "-1", "SIGMA": f"{temperature * kB:.10f}"}


def smearing_problems(
    incar: Incar, temperature: float | None, smearing: Smearing, *, own: bool
) -> list[str]:
    """Where an INCAR contradicts the temperature of the electrons (K); `own`: it is for this temperature alone."""
    if smearing == "any":
        return []
    if temperature is None or temperature <= 0:
        shown = "is not known" if temperature is None else f"is {temperature:g} K"
        cure = "give frames a temperature, or set `temperature` of the labeler"
        return [f'the electronic temperature {shown}; {cure}, or say smearing = "any"']
    asked = temperature * kB
    fermi = f"set ISMEAR = -1 and SIGMA = {asked:.10f} for {temperature:g} K"
    other = 'or say smearing = "any" if labels are not meant to have a temperature'
    ismear, sigma = incar.get("ISMEAR"), incar.get("SIGMA")
    found = []
    if ismear is not None and ismear.number != -1:
        found.append(f"ISMEAR = {ismear.word} gives the electrons no temperature; {fermi}, {other}")
    elif sigma is None and smearing == "set":
        pass
    elif sigma is None or ismear is None:
        found.append(f"{'ISMEAR' if sigma else 'SIGMA'} is missing; {fermi}, {other}")
    elif not abs(sigma.number - asked) <= NEAR * asked:
        where = "" if own else f" in a file {temperature:g}.INCAR"
        means = f"SIGMA = {sigma.word} is {sigma.number / kB:.6g} K"
        found.append(
            f"{means}, but labels are made at {temperature:g} K; set SIGMA = {asked:.10f}{where}"
        )
    return found


# ---------------------------------------------------------------- the INCAR of a task


def changed_incar(incar: Incar, settings: Mapping[str, str]) -> str:
    """The INCAR of a task."""
    quiet = {tag: value for tag, value in NO_FILES.items() if incar.get(tag) is None}
    remove = ("IALGO",) if "ALGO" in settings else ()
    return incar.changed({**settings, **quiet}, remove)
