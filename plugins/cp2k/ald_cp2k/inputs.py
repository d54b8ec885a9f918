"""Inputs for single points from the user's own ones, which may be of any run with any atoms.

Kept is what the method is: everything in DFT, basis sets and potentials of KIND. Replaced are the atoms, the cell, and
what to calculate and to print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
from ase import Atoms
from ase.units import Hartree, kB

from ald_core.errors import InputError
from ald_core.labeling import find_input, missing_input
from ald_cp2k.sections import TRUE, Section, parse, preprocess

INPUT = "cp2k.inp"
OUTPUT = "cp2k.out"
KINDS = "cp2k.qm_basis-block.inp"
"""KIND sections of all elements; put together from `<El>.cp2k.qm_basis-block.inp` where there are such files"""
WRITTEN = ("incfg.cell", "incfg.xyz", "cp2k.md_int-block.inp", "cp2k.md_io-block.inp")
"""Files that inputs of the existing driver include, and that it wrote for each frame; what they held is replaced"""
DIGITS = 12
"""Of forces, Hartree/Bohr"""
TEMPERATURE = ("ELECTRONIC_TEMPERATURE", "ELEC_TEMP", "TELEC")
SEMIEMPIRICAL = {"XTB", "DFTB"}
"""Methods that need no KIND for an element"""
_KELVIN = {"": 1.0, "[K]": 1.0, "[EV]": 1.0 / kB, "[HARTREE]": Hartree / kB}
DATA_FILES = ("BASIS_SET_FILE_NAME", "POTENTIAL_FILE_NAME", "PARAMETER_FILE_NAME")


@attrs.frozen
class UserInput:
    """What the user wants to be calculated."""

    path: Path
    root: Section

    @property
    def dft(self) -> Section:
        """The method."""
        return self.root.make("FORCE_EVAL", "DFT")

    @property
    def smearing(self) -> Section | None:
        """The occupation of orbitals at an electronic temperature, if it is asked for."""
        smear = self.root.find("FORCE_EVAL", "DFT", "SCF", "SMEAR")
        fermi = smear and smear.value("METHOD", default="ENERGY_WINDOW").upper() == "FERMI_DIRAC"
        return smear if smear is not None and smear.active and fermi else None

    @property
    def temperature(self) -> float | None:
        """Electronic temperature that the input itself gives, K; InputError if it cannot be read."""
        if self.smearing is None or not (text := self.smearing.value(*TEMPERATURE)):
            return None
        unit, _, number = text.rpartition(" ")
        try:
            return float(number.upper().replace("D", "E")) * _KELVIN[unit.strip().upper()]
        except (KeyError, ValueError):
            raise InputError(
                f"the electronic temperature '{text}' cannot be read",
                path=self.path,
                cure="give a number in K",
            ) from None


def read_input(folder: Path, temperature: float | None, elements: Sequence[str]) -> UserInput:
    """The input for a temperature (K) with everything that it includes. Raises InputError."""
    path = find_input(folder, INPUT, temperature)
    if path is None:
        raise InputError(missing_input(folder, INPUT, temperature))
    return read_file(path, elements)


def read_file(path: Path, elements: Sequence[str]) -> UserInput:
    """An input with everything that it includes."""

    def include(name: str) -> tuple[str, str]:
        return _included(path.parent, name, elements)

    root = parse(preprocess(path.name, include))
    if len([s for s in root.sections if s.name == "FORCE_EVAL"]) != 1:
        raise InputError("there must be one section FORCE_EVAL", path=path, cure="leave one")
    return UserInput(path, root)


def _included(folder: Path, name: str, elements: Sequence[str]) -> tuple[str, str]:
    plain = str(Path(name))
    if plain in WRITTEN:
        return "", plain
    if plain == KINDS and any(folder.glob(f"*.{KINDS}")):
        blocks = [_read(folder / f"{element}.{KINDS}") for element in sorted(set(elements))]
        return "\n".join(blocks), plain
    return _read(folder / name), str(folder / name)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror})", cure="add it, or correct its name"
        ) from None
    except ValueError:
        raise InputError(f"{path} is no text", cure="correct its name") from None


def named_files(user: UserInput) -> list[str]:
    """Files of the folder that the input names for CP2K to read: basis sets, potentials, parameters."""
    words = {
        word.strip("'\"").removeprefix("./")
        for section in user.root.walk()
        for line in section.lines
        for word in line.split()[1:]
    }
    folder = user.path.parent
    return sorted(w for w in words if not Path(w).is_absolute() and (folder / w).is_file())


# ---------------------------------------------------------------- what is calculated


def put_frame(user: UserInput, atoms: Atoms, stress: bool) -> None:
    """Make the input that of one point, with these atoms in their cell."""
    root = user.root
    root.drop("MOTION", "EXT_RESTART")
    start = root.make("GLOBAL")
    start.put("ENERGY_FORCE", "RUN_TYPE")
    start.put("MEDIUM", "PRINT_LEVEL", "IOLEVEL")
    start.put("cp2k", "PROJECT", "PROJECT_NAME")
    evaluation = root.make("FORCE_EVAL")
    _put_outputs(evaluation, stress)
    subsystem = evaluation.make("SUBSYS")
    _put_cell(subsystem, atoms)
    subsystem.drop("COORD", "TOPOLOGY", "VELOCITY", "PRINT")
    positions = [
        f"{symbol} {x:.12f} {y:.12f} {z:.12f}"
        for symbol, (x, y, z) in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)
    ]
    subsystem.sections.append(Section("COORD", lines=positions))


def _put_outputs(evaluation: Section, stress: bool) -> None:
    asked = evaluation.value("STRESS_TENSOR", default="ANALYTICAL").upper()
    how = "NUMERICAL" if "NUMERICAL" in asked else "ANALYTICAL"
    evaluation.put(how if stress else "NONE", "STRESS_TENSOR")
    printed = evaluation.make("PRINT")
    printed.drop("FORCES", "STRESS_TENSOR")
    printed.sections.append(Section("FORCES", "ON", [f"NDIGITS {DIGITS}"]))
    if stress:
        printed.sections.append(Section("STRESS_TENSOR", "ON"))
    saved = evaluation.make("DFT", "SCF", "PRINT")
    saved.drop("RESTART", "RESTART_HISTORY")
    saved.sections += [Section("RESTART", "OFF"), Section("RESTART_HISTORY", "OFF")]


def _put_cell(subsystem: Section, atoms: Atoms) -> None:
    given = subsystem.make("CELL")
    cell = Section("CELL", sections=[s for s in given.sections if s.name == "CELL_REF"])
    for name, vector in zip("ABC", atoms.cell[:], strict=True):
        cell.lines.append(" ".join([name, *(f"{x:.12f}" for x in vector)]))
    if periodic := given.value("PERIODIC"):
        cell.lines.append(f"PERIODIC {periodic}")
    subsystem.drop("CELL")
    subsystem.sections.append(cell)


def put_temperature(user: UserInput, temperature: float | None) -> None:
    """Fill in the electronic temperature (K), where orbitals are smeared and none is given. Raises InputError."""
    if user.smearing is None:
        return
    if problem := disagreement(user, temperature):
        raise InputError(problem)
    if user.temperature is None:
        user.smearing.put(f"[K] {temperature:.10g}", *TEMPERATURE)


def disagreement(user: UserInput, temperature: float | None) -> str:
    """Why the electronic temperature is not clear; empty if it is."""
    if user.smearing is None:
        return ""
    given = user.temperature
    if given is None and temperature is None:
        return (
            f"{user.path}: orbitals are smeared, but a frame has no temperature; give ELECTRONIC_TEMPERATURE there, "
            "a temperature to the frames, or the labeler the option temperature"
        )
    if given is None or temperature is None or bool(np.isclose(given, temperature, rtol=1e-4)):
        return ""
    return (
        f"{user.path}: the electronic temperature is {given:g} K, but labels are made at {temperature:g} K; take "
        f"ELECTRONIC_TEMPERATURE out, or give the labeler temperature = {given:g}"
    )


# ---------------------------------------------------------------- another path to the same answer


def put_remedy(user: UserInput, rung: int) -> None:
    """Another way to solve the same equations to the same precision, for the 2nd, 3rd … try."""
    if rung == 0:
        return
    scf = user.dft.make("SCF")
    steps = _number(scf, "MAX_SCF", 50)
    orbitals = scf.find("OT")
    if orbitals is None or not orbitals.active:
        scf.put(max(3 * rung * int(steps), 150 * rung), "MAX_SCF")
        _put_mixing(user, scf, rung)
        return
    scf.put(max(int(steps), 50), "MAX_SCF")
    orbitals.put("CG", "MINIMIZER", "MINIMISER")
    orbitals.put("3PNT", "LINESEARCH", "LINE_SEARCH")
    if rung > 1:
        orbitals.put("FULL_ALL", "PRECONDITIONER")
        orbitals.put("0.001", "ENERGY_GAP")
    outer = scf.make("OUTER_SCF")
    outer.parameter = "ON"
    outer.put(scf.value("EPS_SCF", default="1.0E-5"), "EPS_SCF")
    outer.put(max(2 * int(_number(outer, "MAX_SCF", 50)), 20), "MAX_SCF")


def _put_mixing(user: UserInput, scf: Section, rung: int) -> None:
    mixing = scf.make("MIXING")
    semiempirical = _method(user.dft) in SEMIEMPIRICAL
    if mixing.value("METHOD", default="DIRECT_P_MIXING").upper() == "DIRECT_P_MIXING":
        mixing.put("DIRECT_P_MIXING" if semiempirical else "BROYDEN_MIXING", "METHOD")
    alpha = _number(mixing, "ALPHA", 0.4)
    mixing.put(f"{alpha * (0.4 if rung == 1 else 0.15):.6g}", "ALPHA")
    solver = scf.find("DIAGONALIZATION")
    if solver is not None:
        solver.put("STANDARD", "ALGORITHM")


def _number(section: Section, keyword: str, default: float) -> float:
    """CP2K's own complaint about what is no number has come before, on the first try."""
    try:
        return float(section.value(keyword).upper().replace("D", "E"))
    except ValueError:
        return default


# ---------------------------------------------------------------- what is wrong


def problems(user: UserInput, elements: Sequence[str], data: str = "") -> list[str]:
    """What would give no labels, or wrong ones; one sentence each. `data` is CP2K's folder, if it is known."""
    found = []
    method = user.root.make("FORCE_EVAL").value("METHOD", default="Quickstep").upper()
    if method not in {"QUICKSTEP", "QS"}:
        found.append(f"METHOD is {method}, but labels come from QUICKSTEP alone; correct it")
    for section in user.root.walk():
        ignoring = section.value("IGNORE_CONVERGENCE_FAILURE", default="F") or "T"
        if ignoring.upper() in TRUE:
            found.append(
                "IGNORE_CONVERGENCE_FAILURE would let numbers pass that are none; take it out"
            )
    found += _missing_data(user, data)
    smear = user.root.find("FORCE_EVAL", "DFT", "SCF", "SMEAR")
    if smear is not None and smear.active and _method(user.dft) in SEMIEMPIRICAL:
        # CP2K 2023.1, compressed C8, 10000 K: a force of 7.5 eV/Å where the energy has a slope of 11.0 eV/Å.
        found.append(
            f"energies of {_method(user.dft)} with &SMEAR lack the entropy of electrons, so that forces are not their "
            "slopes; take &SMEAR out, or choose DFT"
        )
    kinds = _kinds(user.root)
    if _method(user.dft) not in SEMIEMPIRICAL and "DEFAULT" not in kinds:
        missing = [element for element in elements if element.upper() not in kinds]
        found += [f"there is no &KIND {element}; add it" for element in missing]
    return [f"{user.path}: {problem}" for problem in found]


def _missing_data(user: UserInput, data: str) -> list[str]:
    found = []
    for line in (line for section in user.root.walk() for line in section.lines):
        words = [word.strip("'\"") for word in line.split()]
        place = user.path.parent / words[-1]
        if words[0].upper() not in DATA_FILES or place.is_file():
            continue
        if not Path(words[-1]).is_absolute():
            if not data:
                continue  # CP2K knows where
            place = Path(data) / words[-1]
        if not place.is_file():
            found.append(f"there is no file {place} ({words[0]}); correct its place")
    return found


def _method(dft: Section) -> str:
    return dft.make("QS").value("METHOD", default="GPW").upper()


def _kinds(root: Section) -> Mapping[str, Section]:
    return {s.parameter.upper(): s for s in root.walk() if s.name == "KIND"}
