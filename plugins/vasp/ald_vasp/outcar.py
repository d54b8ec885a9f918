"""Reads OUTCAR files: what VASP did, whether it came to its end, and what it found.

Nothing is judged here, and what cannot be read is None. Texts are those of VASP 5.3 to 6.3, whatever NWRITE is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import attrs
import numpy as np

from ald_core.types import FloatArray

# All begin with letters that are rare, which makes them fast: files have up to a million lines.
VERSION = re.compile(r"\s*(vasp\.\S+)")
ATOM_ENERGY = re.compile(r"\n energy of atom\s+\d+\s+EATOM")
"""Behind the title of each potential, whatever NWRITE is"""
TITEL = re.compile(r"TITEL +=(.*)")
N_IONS = re.compile(r"number of ions\s+NIONS\s*=\s*(\d{1,9})\b")
PER_TYPE = re.compile(r"ions per type =(.*)")
NELM = re.compile(r"NELM +=\s*(\d{1,9});")
SMEARING = re.compile(r"ISMEAR =\s*(-?\d{1,9});\s*SIGMA +=\s*(\d*\.\d+)")
ITERATION = re.compile(r"- Iteration\s*(\d+|\*+)\(\s*(?:\d+|\*+)\)")
REACHED = re.compile(r"aborting loop because EDIFF is reached")
NOT_REACHED = re.compile(r"aborting loop EDIFF was not reached")
CELL = re.compile(r"direct lattice vectors .*\n(.*\n.*\n.*)\n")
LENGTH = re.compile(r"-?\d+\.\d{9}")
FORCES = re.compile(r"POSITION +TOTAL-FORCE.*\n *-+\n((?: .*\n)*?) *-{20,}\n")
ENERGY = re.compile(r"free  energy   TOTEN +=\s*(\S+) eV")
STRESS = re.compile(r" in kB(.*)\n +external pressure")
BANDS = re.compile(r"TOO[\s|]+FEW[\s|]+BANDS")
END = "General timing and accounting informations for this job"
ELEMENT = re.compile(r"[A-Z][a-z]?")


@attrs.frozen(eq=False)
class Outcar:
    """What an OUTCAR says; of several ionic steps, numbers are those of the last."""

    version: str | None
    elements: tuple[str, ...]
    """Of each POTCAR, in their order"""
    counts: tuple[int, ...]
    """Atoms of each of them"""
    n_ions: int | None
    nelm: int | None
    ismear: int | None
    sigma: float | None
    """eV, to two decimals"""
    steps: tuple[int, ...]
    """Electronic steps of each ionic one"""
    reached: int
    """How often EDIFF was reached, as VASP says; VASP 5 says so after NELM steps, too"""
    not_reached: int
    cell: FloatArray | None
    """(3, 3) Å, vectors as rows"""
    positions: FloatArray | None
    """(n, 3) Å"""
    forces: FloatArray | None
    """(n, 3) eV/Å"""
    energy: float | None
    """eV, the free energy F = E - TS, of which forces are derivatives"""
    stress: FloatArray | None
    """(6,) kB, xx yy zz xy yz zx, positive in compression"""
    overflow: frozenset[str]
    """Which of energy, forces and stress VASP printed as stars"""
    too_few_bands: bool
    """The highest band is occupied, as VASP says in a box"""
    complete: bool

    @property
    def symbols(self) -> list[str] | None:
        """Element of each atom; None if it is not told."""
        if not self.elements or len(self.elements) != len(self.counts):
            return None
        return [e for e, n in zip(self.elements, self.counts, strict=True) for _ in range(n)]


def parse_outcar(text: str) -> Outcar:
    """Everything that an OUTCAR tells, however short it is."""
    version = VERSION.match(text)
    n_ions = _last_int(N_IONS, text)
    smearing = SMEARING.search(text)
    table = _last(FORCES, text)
    energy = _last(ENERGY, text)
    stress = _last(STRESS, text)
    told = {"energy": energy, "forces": table, "stress": stress}
    rows = None if table is None else _rows(table.splitlines(), 6)
    counts = _counts(_last(PER_TYPE, text), n_ions)
    return Outcar(
        version=version[1] if version else None,
        elements=tuple(map(_element, _titles(text))),
        counts=counts,
        n_ions=n_ions,
        nelm=_last_int(NELM, text),
        ismear=int(smearing[1]) if smearing else None,
        sigma=float(smearing[2]) if smearing else None,
        steps=tuple(Counter(ITERATION.findall(text)).values()),
        reached=len(REACHED.findall(text)),
        not_reached=len(NOT_REACHED.findall(text)),
        cell=_cell(_last(CELL, text)),
        positions=None if rows is None else rows[:, :3],
        forces=None if rows is None else rows[:, 3:],
        energy=None if energy is None else _float(energy),
        stress=None if stress is None else _row(_rows([stress], 6)),
        overflow=frozenset(name for name, part in told.items() if part and "*" in part),
        too_few_bands=BANDS.search(text) is not None,
        complete=END in text,
    )


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = None
    for match in pattern.finditer(text):
        found = match[1]
    return found


def _last_int(pattern: re.Pattern[str], text: str) -> int | None:
    found = _last(pattern, text)
    return None if found is None else int(found)


def _titles(text: str) -> list[str]:
    """Of the potentials: `PAW_PBE Ca_pv 06Sep2000`."""
    ends = [found.start() for found in ATOM_ENERGY.finditer(text)]
    lines = [text[text.rfind("\n", 0, end) + 1 : end] for end in ends]
    return lines or TITEL.findall(text)


def _element(title: str) -> str:
    """`PAW_PBE Ca_pv 06Sep2000` → Ca; empty if it names none."""
    found = ELEMENT.match([*title.split(), "", ""][1])
    return found[0] if found else ""


def _counts(line: str | None, n_ions: int | None) -> tuple[int, ...]:
    """Numbers after 12 blanks in columns of four, which touch each other when there are thousands of atoms."""
    if line is None:
        return ()
    columns = [line[i : i + 4] for i in range(12, len(line.rstrip()), 4)]
    for words in (line.split(), columns):
        if all(re.fullmatch(r" *[0-9]{1,9}", w) for w in words) and sum(map(int, words)) == n_ions:
            return tuple(map(int, words))
    return ()


def _cell(block: str | None) -> FloatArray | None:
    """The first three of six numbers in each line, which touch each other in large cells."""
    if block is None:
        return None
    rows = [LENGTH.findall(line) for line in block.splitlines()]
    if any(len(row) != 6 for row in rows):
        return None
    return np.array([[float(word) for word in row[:3]] for row in rows])


def _rows(lines: Sequence[str], width: int) -> FloatArray | None:
    """Lines of numbers as an array; None if one has something else, or not as many."""
    values = [[_float(word) for word in line.split()] for line in lines]
    if not values or any(len(row) != width or None in row for row in values):
        return None
    return np.array(values, dtype=np.float64)


def _row(rows: FloatArray | None) -> FloatArray | None:
    return None if rows is None else rows[0]


def _float(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
