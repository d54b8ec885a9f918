"""Inputs for single points from the user's own ones, which may be of any run with any atoms.

Kept is what the method is: namelists, ATOMIC_SPECIES, K_POINTS, other cards. Replaced are the atoms, the cell, and what
to calculate and to write.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.units import Rydberg, kB

from ald_core.errors import InputError
from ald_core.labeling import find_input, missing_input

INPUT = "pw.in"
NAMELISTS = ("control", "system", "electrons")
"""Those that a single point has"""
CARDS = ("ATOMIC_SPECIES", "ATOMIC_POSITIONS", "K_POINTS", "CELL_PARAMETERS")
OTHER_CARDS = ("OCCUPATIONS", "HUBBARD", "ADDITIONAL_K_POINTS", "SOLVENTS")
DROPPED_CARDS = ("CONSTRAINTS", "ATOMIC_VELOCITIES", "ATOMIC_FORCES")
LATTICE = ("ibrav", "a", "b", "c", "cosab", "cosac", "cosbc", "nat", "celldm(1)", "celldm(2)",
           "celldm(3)", "celldm(4)", "celldm(5)", "celldm(6)")  # fmt: skip
"""Keys of the system that tell of the user's own cell"""
FERMI_DIRAC = {"fermi-dirac", "f-d", "fd"}
DEGAUSS_PER_KELVIN = kB / Rydberg
_STRING = re.compile(r"'[^']*'|\"[^\"]*\"|![^\n]*")
_KEY = re.compile(r"[a-z]\w*(\([\d\s,:]+\))?", re.IGNORECASE)

Values = dict[str, Any]


@attrs.frozen
class Species:
    """A line of ATOMIC_SPECIES."""

    label: str
    mass: str
    pseudopotential: str


@attrs.frozen
class UserInput:
    """What the user wants to be calculated."""

    path: Path
    namelists: Mapping[str, Values]
    cards: Mapping[str, tuple[str, ...]]
    """By name: the lines, the first without the name"""

    @property
    def species(self) -> tuple[Species, ...]:
        """Elements and their pseudopotentials; `starting_magnetization(2)` is of the second."""
        found = []
        for line in self.cards.get("ATOMIC_SPECIES", ("",))[1:]:
            words = line.split()
            if len(words) < 3 or words[0].capitalize() not in chemical_symbols:
                raise self.fault(
                    f"'{line}' of ATOMIC_SPECIES is no element with mass and pseudopotential",
                    "write for example: C 12.011 C.pbe-rrkjus.UPF",
                )
            found.append(Species(words[0].capitalize(), words[1], words[2]))
        return tuple(found)

    @property
    def fermi_dirac(self) -> bool:
        """Whether the occupations are those of an electronic temperature."""
        system = self.namelists["system"]
        occupations = str(system.get("occupations", "")).lower()
        return occupations == "smearing" and str(system.get("smearing", "")).lower() in FERMI_DIRAC

    @property
    def temperature(self) -> float | None:
        """Electronic temperature that the input itself gives, K."""
        degauss = self.namelists["system"].get("degauss")
        return None if degauss is None or not self.fermi_dirac else degauss / DEGAUSS_PER_KELVIN

    def fault(self, message: str, cure: str) -> InputError:
        """An error in this file."""
        return InputError(message, path=self.path, cure=cure)


def read_input(folder: Path, temperature: float | None) -> UserInput:
    """The input for a temperature (K). Raises InputError."""
    path = find_input(folder, INPUT, temperature)
    if path is None:
        raise InputError(missing_input(folder, INPUT, temperature))
    return read_file(path)


def read_file(path: Path) -> UserInput:
    """An input of pw.x. Raises InputError for what cannot be understood for sure."""
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", path=path, cure="correct it") from None
    data, lines = _read_namelists(text, path)
    cards: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        word, _, rest = line.partition(" ")
        name = word.strip("{}()").upper()
        if name in (*CARDS, *OTHER_CARDS, *DROPPED_CARDS):
            current = cards.setdefault(name, [rest.strip(" {}()").lower()])
        elif current is None:
            raise InputError(f"'{line}' belongs to no card", path=path, cure="correct it")
        else:
            current.append(line)
    found = UserInput(path, data, {name: tuple(card) for name, card in cards.items()})
    for name in ("ATOMIC_SPECIES", "K_POINTS"):
        if name not in cards:
            raise found.fault(f"there is no card {name}", "add it")
    if (grid := found.cards["K_POINTS"][0]) not in {"gamma", "automatic", "crystal"}:
        raise found.fault(
            f"K_POINTS {grid or 'tpiba'} depend on the cell of a frame",
            "give them as gamma, automatic or crystal",
        )
    return found


def _read_namelists(text: str, path: Path) -> tuple[dict[str, Values], list[str]]:
    """Namelists and the other lines, with ASE's reader, which knows single quotes alone."""
    from ase.io.espresso import read_fortran_namelist  # noqa: PLC0415  takes long

    def single(found: re.Match[str]) -> str:
        piece = found[0]
        if piece.startswith("!"):
            return ""
        if "'" in piece[1:-1]:
            raise InputError(f"{piece} has both kinds of quotes", path=path, cure="use one")
        return f"'{piece[1:-1]}'"

    plain = _STRING.sub(single, text.replace("\t", " "))
    try:
        data, lines = read_fortran_namelist(io.StringIO(plain))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"its namelists cannot be read ({error})", path=path, cure="correct them"
        ) from None
    namelists = {name: dict(data.get(name, {})) for name in NAMELISTS}
    for name, values in namelists.items():
        for key, value in values.items():
            if not _KEY.fullmatch(key) or (isinstance(value, str) and "=" in value):
                raise InputError(
                    f"'{key} = {value}' in &{name} cannot be understood",
                    path=path,
                    cure="give each key a line of its own",
                )
    return namelists, lines


# ---------------------------------------------------------------- what is calculated


def input_text(user: UserInput, atoms: Atoms, kelvin: float | None, stress: bool, rung: int) -> str:
    """What pw.x reads, with all species in the order of the user's, and the atoms in theirs. Raises InputError."""
    from ase.io.espresso_namelist.namelist import Namelist  # noqa: PLC0415  takes long

    if problem := disagreement(user, kelvin):
        raise InputError(problem)
    system = {k: v for k, v in user.namelists["system"].items() if k not in LATTICE}
    system |= {"ibrav": 0, "nat": len(atoms), "ntyp": len(user.species)}
    if user.fermi_dirac and "degauss" not in system and kelvin is not None:
        system["degauss"] = kelvin * DEGAUSS_PER_KELVIN
    control = {"disk_io": "none"} | dict(user.namelists["control"])
    control |= {
        "calculation": "scf", "restart_mode": "from_scratch", "prefix": "pw", "outdir": "./out",
        "tprnfor": True, "tstress": stress,
    }  # fmt: skip
    if local_pseudopotentials(user):
        control["pseudo_dir"] = "./"
    electrons = dict(user.namelists["electrons"]) | remedy(user.namelists["electrons"], rung)
    namelists = Namelist({"control": control, "system": system, "electrons": electrons})
    text: str = namelists.to_string()
    kept = {name: lines for name, lines in user.cards.items() if name in OTHER_CARDS}
    cards = {
        "ATOMIC_SPECIES": ("", *(f"{s.label} {s.mass} {s.pseudopotential}" for s in user.species)),
        "CELL_PARAMETERS": ("angstrom", *(_numbers(vector) for vector in atoms.cell[:])),
        "ATOMIC_POSITIONS": (
            "angstrom",
            *(
                f"{symbol} {_numbers(position)}"
                for symbol, position in zip(
                    atoms.get_chemical_symbols(), atoms.positions, strict=True
                )
            ),
        ),
        "K_POINTS": user.cards["K_POINTS"],
        **kept,
    }
    for name, (argument, *lines) in cards.items():
        text += "\n".join([f"{name} {argument}".rstrip(), *lines]) + "\n"
    return text


def _numbers(vector: Sequence[float]) -> str:
    return " ".join(f"{x:.12f}" for x in vector)


def remedy(electrons: Values, rung: int) -> Values:
    """Another way to solve the same equations to the same precision, for the 2nd, 3rd … try."""
    if rung == 0:
        return {}
    steps = int(electrons.get("electron_maxstep", 100))
    beta = float(electrons.get("mixing_beta", 0.7))
    found: Values = {
        "electron_maxstep": max(2 * rung * steps, 200 * rung),
        "mixing_beta": round(beta * (0.4 if rung == 1 else 0.15), 6),
    }
    if rung > 1:
        found["diagonalization"] = "cg"
    return found


# ---------------------------------------------------------------- pseudopotentials


def local_pseudopotentials(user: UserInput) -> list[Path]:
    """Pseudopotentials that lie beside the input, or in a folder that it names relative to itself."""
    place = user.path.parent / str(user.namelists["control"].get("pseudo_dir", ""))
    inside = place.resolve().is_relative_to(user.path.parent.resolve())
    paths = [place / s.pseudopotential for s in user.species]
    return paths if inside and any(path.is_file() for path in paths) else []


def problems(user: UserInput, elements: Sequence[str]) -> list[str]:
    """What would give no labels, or wrong ones; one sentence each."""
    found = []
    species = user.species
    labels = [s.label for s in species]
    found += [
        f"there is no {element} in ATOMIC_SPECIES; add its mass and pseudopotential"
        for element in elements
        if element not in labels
    ]
    if len(set(labels)) < len(labels):
        found.append("an element is twice in ATOMIC_SPECIES; leave one")
    given = user.namelists["control"].get("pseudo_dir")
    local = local_pseudopotentials(user)
    known = [Path(str(given)) / s.pseudopotential for s in species] if given else []
    if given and not local and not Path(str(given)).is_absolute():
        found.append(f"pseudo_dir = '{given}' leads elsewhere from a job; give a full path")
    else:
        found += [
            f"there is no file {path}; correct ATOMIC_SPECIES or pseudo_dir"
            for path in local or known
            if not path.is_file()
        ]
    if user.namelists["electrons"].get("scf_must_converge", True) is not True:
        found.append(
            "scf_must_converge = .false. would let numbers pass that are none; take it out"
        )
    system = user.namelists["system"]
    if str(system.get("occupations", "")).lower() == "from_input":
        found.append("occupations from input are those of other atoms; choose another kind")
    return [f"{user.path}: {problem}" for problem in found]


def disagreement(user: UserInput, kelvin: float | None) -> str:
    """Why the electronic temperature is not clear; empty if it is."""
    if not user.fermi_dirac:
        return ""
    given = user.temperature
    if given is None and kelvin is None:
        return (
            f"{user.path}: occupations are smeared, but a frame has no temperature; give degauss there, a temperature "
            "to the frames, or the labeler the option temperature"
        )
    if given is None or kelvin is None or bool(np.isclose(given, kelvin, rtol=2e-3)):
        return ""
    return (
        f"{user.path}: degauss is the electronic temperature {given:.6g} K, but labels are made at {kelvin:g} K; take "
        f"degauss out, or give the labeler temperature = {given:.6g}"
    )
