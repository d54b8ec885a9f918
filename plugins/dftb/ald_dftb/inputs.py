"""The input of one calculation: from the user's `dftb_in.hsd` to that of a frame.

The geometry, the filling temperature and what has to be written are ours; the method is the user's and stays as it is.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import attrs
from ase import Atoms, units

from ald_core.errors import InputError
from ald_core.labeling import find_input, missing_input
from ald_dftb.hsd import Node, parse, with_statement, without

INPUT = "dftb_in.hsd"
GEOMETRY = "dftbjob.gen"
ENERGY_UNITS = {
    "": units.Hartree,
    "hartree": units.Hartree,
    "ha": units.Hartree,
    "au": units.Hartree,
    "kelvin": units.kB,
    "k": units.kB,
    "electronvolt": 1.0,
    "ev": 1.0,
    "rydberg": units.Ry,
    "ry": units.Ry,
}
"""eV per unit, of temperatures in DFTB+; without a unit they are in Hartree"""
MIXERS = (
    (500, "Mixer = Broyden { MixingParameter = 0.05 }"),
    (
        1000,
        "Mixer = Anderson { MixingParameter = 0.03 Generations = 8 }".replace(" Gen", "\n    Gen"),
    ),
)
"""Iterations at least, and the mixer, of the 2nd and of further tries after charges did not converge"""
SMEARED = ("fermi", "methfesselpaxton", "gaussian")
MAX_BYTES = 5_000_000
INCLUDE = re.compile(r"^[ \t]*<<\+[ \t]*[\"']?([^\"'\s]+)[\"']?[ \t]*$", re.MULTILINE)


@attrs.frozen(eq=False)
class Inputs:
    """The user's input for one temperature."""

    path: Path
    text: str
    """With the files that it includes by `<<+`"""
    root: Node

    @property
    def hamiltonian(self) -> Node:
        """The block with the method."""
        found = self.root.find("Hamiltonian")
        if found is None or found.body is None:
            raise InputError(
                "there is no block Hamiltonian, which says the method; add it", path=self.path
            )
        return found


def read_inputs(folder: Path, temperature: float | None) -> Inputs:
    """The input for a temperature (K), `6000.dftb_in.hsd` before `dftb_in.hsd`.

    Raises:
        InputError: there is none, or it makes no sense.
    """
    path = find_input(folder, INPUT, temperature)
    if path is None:
        raise InputError(missing_input(folder, INPUT, temperature))
    return read_input(path)


def read_input(path: Path) -> Inputs:
    """An input; InputError if it makes no sense."""
    text = _with_included(_read(path), path, 0)
    return Inputs(path, text, parse(text, path))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise InputError("is no input of DFTB+: it is too large", path=path)
        return raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}; correct it", path=path) from None


def _with_included(text: str, path: Path, depth: int) -> str:
    if depth > 5:
        raise InputError("files include each other without an end; correct it", path=path)

    def replace(found: re.Match[str]) -> str:
        other = path.parent / found[1]
        return _with_included(_read(other), other, depth + 1)

    return INCLUDE.sub(replace, text)


# ---------------------------------------------------------------- what can be wrong


def check_inputs(
    inputs: Inputs, elements: Sequence[str], temperature: float | None, *, driver: bool = False
) -> list[str]:
    """What would keep these inputs from giving forces, one sentence each.

    With `driver` there may be one, as it is replaced: the atoms are moved by others.
    """
    try:
        problems = [*_method_problems(inputs, elements), *_task_problems(inputs, driver)]
        problems += _temperature_problems(inputs, temperature)
        list(needed_files(inputs, elements))
    except InputError as error:
        return [str(error)]
    return problems


def _method_problems(inputs: Inputs, elements: Sequence[str]) -> Iterator[str]:
    hamiltonian = inputs.hamiltonian
    if hamiltonian.method.lower() not in {"dftb", "xtb"}:
        yield about(inputs, hamiltonian, f"Hamiltonian = {hamiltonian.method}", "use DFTB or xTB")
    converged = hamiltonian.find("ConvergentSccOnly")
    if converged is not None and not converged.is_true:
        cure = "remove it: labels of charges that did not converge are none"
        yield about(inputs, converged, "ConvergentSccOnly = No", cure)
    charges = hamiltonian.find("ReadInitialCharges")
    if charges is not None and charges.is_true:
        cure = "remove it: each frame begins anew"
        yield about(inputs, charges, "ReadInitialCharges = Yes", cure)
    momenta = hamiltonian.find("MaxAngularMomentum")
    if momenta is not None:
        known = {child.name for child in momenta.children}
        for element in elements:
            if element not in known and known:
                yield about(inputs, momenta, f"{element} is missing", "add it")


def _task_problems(inputs: Inputs, driver: bool) -> Iterator[str]:
    own = inputs.root.find("Driver")
    if not driver and own is not None and own.method.lower() not in {"", "none"}:
        fault = f"Driver = {own.method} would move the atoms"
        yield about(inputs, own, fault, "remove it; a label is of the frame as it is")
    analysis = inputs.root.find("Analysis")
    asked = [analysis.find(n) for n in FORCE_KEYWORDS] if analysis is not None else []
    if not any(node is not None and node.is_true for node in asked):
        yield (
            f"{inputs.path}: forces are not asked for; add Analysis {{ CalculateForces = Yes }} "
            "(PrintForces = Yes in new releases of DFTB+)"
        )


FORCE_KEYWORDS = ("CalculateForces", "PrintForces")
"""The name changed with a release of DFTB+; which one is right, only the user's program knows."""


def _temperature_problems(inputs: Inputs, temperature: float | None) -> Iterator[str]:
    filling = inputs.hamiltonian.find("Filling")
    if filling is None or temperature is None:
        return
    if filling.method.lower() not in SMEARED:
        yield about(inputs, filling, f"Filling = {filling.method}", f"use {', '.join(SMEARED)}")
        return
    given = filling.find("Temperature")
    if given is None:
        return
    kelvin = _kelvin(inputs, given)
    if abs(kelvin - temperature) > max(1.0, 1e-3 * temperature):
        fault = (
            f"the filling temperature is {kelvin:g} K, but these frames are at {temperature:g} K"
        )
        cure = f"remove it, to have it filled in, or set temperature = {kelvin:g} in the run file"
        yield about(inputs, given, fault, cure)


def _kelvin(inputs: Inputs, node: Node) -> float:
    unit = ENERGY_UNITS.get(node.unit.lower())
    try:
        value = float(node.value.lower().replace("d", "e"))
    except ValueError:
        value = math.nan
    if unit is None or not 0.0 <= value < 1e9:
        fault = f"Temperature [{node.unit}] = {node.value}"
        raise InputError(about(inputs, node, fault, "give a number of [Kelvin]"))
    return value * unit / units.kB


def about(inputs: Inputs, node: Node, fault: str, cure: str) -> str:
    """A sentence with the line, unless files were included before it."""
    place = "" if INCLUDE.search(_read(inputs.path)) else f", line {node.line}"
    return f"{inputs.path}{place}: {fault}; {cure}"


# ---------------------------------------------------------------- files that an input names


def needed_files(inputs: Inputs, elements: Sequence[str]) -> Iterator[tuple[Path, PurePosixPath]]:
    """Files beside the input that it names relatively, and where they have to be in the folder of the calculation.

    Raises:
        InputError: a Slater-Koster file of two of the elements is not there, or a file is outside the folder.
    """
    seen = set()
    slater_koster = inputs.hamiltonian.find("SlaterKosterFiles")
    names = [] if slater_koster is None else _slater_koster_names(slater_koster, elements)
    for name in names:
        if not _is_file(inputs.path.parent / name):
            raise InputError(
                f"there is no Slater-Koster file {name}; add it to {inputs.path.parent}, or "
                "correct SlaterKosterFiles",
                path=inputs.path,
            )
    geometry = inputs.root.find("Geometry")
    inside = [] if geometry is None else list(geometry.walk())
    for node in inputs.root.walk():
        if node in inside or (slater_koster is not None and node in slater_koster.children):
            continue
        words = node.words[1:] if node.words[:1] == ["<<<"] else node.words
        names += [w for w in words if _is_file(inputs.path.parent / w)]
    for name in names:
        place = PurePosixPath(name)
        if place.is_absolute() or name in seen:
            continue
        if ".." in place.parts:
            cure = "put the file into the folder of the input, or give its absolute name"
            raise InputError(f"{name} is outside the folder", path=inputs.path, cure=cure)
        seen.add(name)
        yield inputs.path.parent / name, place


def _content(node: Node) -> str:
    """Of `name = content`, or of the older `name = {content}`."""
    return " ".join([node.value, *(child.value for child in node.children)]).strip()


def _is_file(path: Path) -> bool:
    """Also for words that can be no name."""
    return os.path.isfile(path)  # noqa: PTH113 -- that of pathlib raises for names that are too long


def _slater_koster_names(block: Node, elements: Sequence[str]) -> list[str]:
    pairs = [(a, b) for a in elements for b in elements]
    if block.method.lower() != "type2filenames":
        named = {child.name.lower(): _content(child) for child in block.children}
        lists = [named.get(f"{a}-{b}".lower(), f"{a}-{b}").split() for a, b in pairs]
        return [name.strip("\"'") for names in lists for name in names]
    parts = {child.name.lower(): _content(child).strip("\"'") for child in block.children}
    lower = block.find("LowerCaseTypeName")
    names = []
    for pair in pairs:
        a, b = (x.lower() for x in pair) if lower is not None and lower.is_true else pair
        middle = f"{a}{parts.get('separator', '')}{b}"
        names.append(f"{parts.get('prefix', '')}{middle}{parts.get('suffix', '')}")
    return names


# ---------------------------------------------------------------- the input of a frame


def write_inputs(
    inputs: Inputs, atoms: Atoms, temperature: float | None, rung: int, workdir: Path
) -> None:
    """Write input, geometry and the files that the input names into a folder."""
    (workdir / INPUT).write_text(adapted(inputs, atoms, temperature, rung))
    write_geometry(atoms, workdir / GEOMETRY)
    copy_needed_files(inputs, atoms, workdir)


def copy_needed_files(inputs: Inputs, atoms: Atoms, workdir: Path) -> None:
    """Those that the input names relatively, for the elements of these atoms."""
    elements = sorted(set(atoms.get_chemical_symbols()))
    for source, place in needed_files(inputs, elements):
        target = workdir / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def write_geometry(atoms: Atoms, path: Path) -> None:
    """All digits that matter; a molecule as a cluster, whatever its cell."""
    from ase.io.gen import write_gen  # noqa: PLC0415  takes a second, which `ald --version` need not wait for

    with path.open("w") as stream:
        write_gen(stream, atoms)


def adapted(
    inputs: Inputs, atoms: Atoms, temperature: float | None, rung: int, driver: str = ""
) -> str:
    """The text of the input for these atoms, with a driver of ours or none.

    Raises:
        InputError: the atoms are periodic in some directions only.
    """
    if atoms.pbc.any() != atoms.pbc.all():
        raise InputError("DFTB+ knows atoms that are periodic in all directions, or in none")
    text = without(without(inputs.text, "Geometry"), "Driver")
    text = f'Geometry = GenFormat {{\n  <<< "{GEOMETRY}"\n}}\n{text.lstrip()}'
    if not atoms.pbc.any():
        text = without(text, "Hamiltonian", "KPointsAndWeights")
    if temperature is not None:
        text = _with_temperature(text, inputs, temperature)
    if rung:
        text = _with_mixer(text, inputs, rung)
    text = with_statement(text, ("Options",), "WriteResultsTag", "WriteResultsTag = Yes")
    text = with_statement(text, ("Options",), "WriteDetailedOut", "WriteDetailedOut = Yes")
    text = with_statement(text, ("ParserOptions",), "WriteHSDInput", "WriteHSDInput = Yes")
    return f"{text.rstrip()}\n{driver}"


def _with_temperature(text: str, inputs: Inputs, temperature: float) -> str:
    filling = inputs.hamiltonian.find("Filling")
    line = f"Temperature [Kelvin] = {temperature:.12g}"
    if filling is None:
        statement = f"Filling = Fermi {{\n    {line}\n  }}"
        return with_statement(text, ("Hamiltonian",), "Filling", statement)
    if filling.find("Temperature") is None:
        return with_statement(text, ("Hamiltonian", "Filling"), "Temperature", line)
    return text


def _with_mixer(text: str, inputs: Inputs, rung: int) -> str:
    iterations, mixer = MIXERS[min(rung, len(MIXERS)) - 1]
    own = inputs.hamiltonian.find("MaxSCCIterations")
    if own is not None and own.value.isdecimal():
        iterations = max(iterations, int(own.value))
    line = f"MaxSCCIterations = {iterations}"
    text = with_statement(text, ("Hamiltonian",), "MaxSCCIterations", line)
    return with_statement(text, ("Hamiltonian",), "Mixer", mixer)
