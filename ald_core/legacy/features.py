"""What the modes of the existing driver (hierarchical, correction, clusters) need, and what does not fit together.

The sentences are about base files alone, so that they can be told whether or not a plugin is there for the mode.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import attrs

from ald_core.errors import InputError
from ald_core.legacy.base_files import read_keys, read_lines
from ald_core.legacy.config import BASE_FILES, Config

HEADER_BYTES = 200_000
"""Of a parameter file, in which everything about its interactions stands before its coefficients"""
METHODS = ("DFTB", "DFTB+")


@attrs.frozen
class ModelHeader:
    """What the head of a parameter file says."""

    orders: tuple[int, ...]
    elements: tuple[str, ...]
    cutoff: str
    """`TERSOFF 0.75`, for example"""


def read_header(path: Path) -> ModelHeader:
    """Read the head of a ChIMES parameter file.

    Raises:
        InputError: there is none, or it names no orders or no atom types.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(HEADER_BYTES).decode(errors="replace")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot be read ({reason})", path=path) from None
    orders = re.search(r"^PAIRTYP: CHEBYSHEV((?: +\d{1,3}){1,3})", text, re.MULTILINE)
    cutoff = re.search(r"^FCUT TYPE: *(.+?) *$", text, re.MULTILINE)
    table = text.partition("# TYPEIDX #")[2].partition("ATOM PAIRS")[0].splitlines()[1:]
    elements = tuple(words[1] for line in table if len(words := line.split()) == 4)
    if orders is None or not elements:
        raise InputError("is no ChIMES parameter file (no PAIRTYP, or no TYPEIDX)", path=path)
    numbers = tuple(int(n) for n in orders[1].split())
    return ModelHeader((*numbers, 0, 0)[:3], elements, cutoff[1] if cutoff else "")


def hierarchical_problems(config: Config, setup: Path) -> list[str]:
    """Whether the parameter files are there, and go with `fm_setup.in`."""
    names = config.texts("HIERARCH_PARAM_FILES")
    if not names:
        return [config.about("HIERARCH_PARAM_FILES", "is required with DO_HIERARCH: file names")]
    keys = read_keys(setup)
    problems = []
    hierarchical = keys.get("HIERARC")
    if hierarchical is None or hierarchical.words[:1] not in (("true",), ("True",), ("TRUE",)):
        problems.append(f"{setup}: HIERARC must be true with DO_HIERARCH")
    seen: dict[tuple[str, ...], str] = {}
    for name in names:
        path = config.folder / BASE_FILES / "HIERARCH_PARAMS" / name
        try:
            header = read_header(path)
        except InputError as error:
            problems.append(str(error))
            continue
        problems += _compare(config, setup, path, header)
        elements = tuple(sorted(header.elements))
        if elements in seen:
            both = f"{seen[elements]} and {name}"
            message = f"{both} both describe {', '.join(elements)}, which would be subtracted twice"
            problems.append(config.about("HIERARCH_PARAM_FILES", message))
        seen[elements] = name
    return problems


def _compare(config: Config, setup: Path, path: Path, header: ModelHeader) -> list[str]:
    keys = read_keys(setup)
    problems = []
    pairs = keys.get("PAIRTYP")
    words = pairs.words[1:4] if pairs else ()
    own = (*(int(w) for w in words if w.isdecimal() and len(w) < 4), 0, 0, 0)[:3]
    if pairs and any(mine < theirs for mine, theirs in zip(own, header.orders, strict=True)):
        problems.append(
            f"{setup}, line {pairs.line}: the orders {' '.join(map(str, own))} (PAIRTYP) are lower than those of "
            f"{path.name}, {' '.join(map(str, header.orders))}"
        )
    cutoff = keys.get("FCUTTYP")
    if cutoff and header.cutoff and " ".join(cutoff.words) != " ".join(header.cutoff.split()):
        problems.append(
            f"{setup}, line {cutoff.line}: FCUTTYP is '{' '.join(cutoff.words)}', but that of {path.name} is "
            f"'{header.cutoff}'"
        )
    strange = sorted(set(header.elements) - set(config.texts("ATOM_TYPES")))
    if strange:
        problems.append(f"{path}: describes {', '.join(strange)}, not among ATOM_TYPES")
    return problems


def correction_problems(
    config: Config, temperatures: Sequence[float], *, checked: bool
) -> list[str]:
    """Whether the baseline method is known, and has its program and files, unless these are `checked` elsewhere."""
    problems = []
    method = config.text("CORRECTED_TYPE")
    if method not in METHODS:
        message = f"{method!r} is none of {', '.join(METHODS)}" if method else "is required"
        problems.append(config.about("CORRECTED_TYPE", f"{message} with FIT_CORRECTION"))
    if not config.is_given("CORRECTED_TEMPS_BY_FILE"):
        message = "is required with FIT_CORRECTION: True for .temps files, False for traj_list.dat"
        problems.append(config.about("CORRECTED_TEMPS_BY_FILE", message))
    program = config.text("CORRECTED_TYPE_EXE")
    if not program and not checked:
        problems.append(config.about("CORRECTED_TYPE_EXE", "is required with FIT_CORRECTION"))
    elif not checked and shutil.which(program) is None:
        problems.append(config.about("CORRECTED_TYPE_EXE", "there is no such program here"))
    if not config.is_given("CORRECTED_TYPE_FILES"):
        problems.append(config.about("CORRECTED_TYPE_FILES", "is required with FIT_CORRECTION"))
        return problems
    if checked:
        return problems
    elements = config.texts("ATOM_TYPES")
    for text in config.texts("CORRECTED_TYPE_FILES"):
        folder = config.find(text)
        wanted = [f"{t:.0f}.dftb_in.hsd" for t in dict.fromkeys(temperatures)]
        wanted += [f"{a}-{b}.skf" for a, b in product(elements, elements)]
        missing = [name for name in wanted if not (folder / name).is_file()]
        if missing:
            problems.append(f"{folder}: there is no {', '.join(missing)} (CORRECTED_TYPE_FILES)")
    return problems


def cluster_problems(config: Config) -> list[str]:
    """Whether the files with bond criteria are there, and have a line for each pair of elements."""
    problems = []
    for name in ("TIGHT_CRIT", "LOOSE_CRIT"):
        path = config.file(name)
        if not path.is_file():
            if name == "TIGHT_CRIT":
                problems.append(config.about(name, f"there is no file {path}"))
            continue
        try:
            rows = [line.split() for line in read_lines(path) if line.strip()]
        except InputError as error:
            problems.append(str(error))
            continue
        elements = rows[0] if rows else []
        missing = sorted(set(config.texts("ATOM_TYPES")) - set(elements))
        pairs = len(elements) * (len(elements) + 1) // 2
        if missing:
            problems.append(f"{path}: its first line lacks {', '.join(missing)}")
        if len(rows) < 2 or rows[1] != [str(pairs)] or len(rows) - 2 != pairs:
            problems.append(
                f"{path}: {len(elements)} elements need '{pairs}' in its second line, and as many lines behind it"
            )
    return problems
