"""Frames and tables as the text that ChIMES MD writes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.constants import BOHR_PER_ANGSTROM, GPA, HARTREE
from ald_chimes_md.coordinates import System, wrap
from ald_chimes_md.dynamics import (
    ROW_CONFIGURATIONAL,
    ROW_CONSERVED,
    ROW_KINETIC,
    ROW_POTENTIAL,
    ROW_PRESSURE,
    ROW_STEP,
    ROW_TEMPERATURE,
)
from ald_chimes_md.text_kernels import write_table

ATOMIC_FORCE = HARTREE * BOHR_PER_ANGSTROM
"""kcal/mol/Å per Hartree/bohr in the files that ChIMES MD writes."""

Floats = NDArray[np.float64]
_EXACT = "%21.14e"


class FrameText:
    """Frames of one system with five decimals; coordinates are wrapped into the cell if wanted."""

    def __init__(
        self, system: System, type_names: Sequence[str], timestep: float, *, wrapped: bool
    ):
        names = system.elements
        numbers = {name: i for i, name in enumerate(type_names, start=1)}
        gen_rows = [f"{i:5d} {numbers[name]:3d}" for i, name in enumerate(names, start=1)]
        self._xyz_prefixes = _byte_rows(names)
        self._gen_prefixes = _byte_rows(gen_rows)
        self._gen_elements = " ".join(type_names)
        rows = [" ".join(f"{x:10.5f}" for x in row) for row in ([0.0] * 3, *system.cell)]
        self._gen_cell = ("\n".join(rows) + "\n").encode()
        self._xyz_header = f"{len(names)}\n{cell_text(system, '%.5f')}\n".encode()
        self._timestep = timestep
        self._cell = system.cell if wrapped else None
        prefix = max(self._xyz_prefixes.shape[1], self._gen_prefixes.shape[1])
        self._text = np.zeros(len(names) * (prefix + 6 * 20 + 1), dtype=np.uint8)

    def xyz(self, positions: Floats, forces: Floats | None = None) -> bytes:
        """One frame in XYZ format, with forces (kcal/mol/Å) in Hartree/bohr if they are given."""
        numbers = self._placed(positions)
        if forces is not None:
            numbers = np.hstack([numbers, forces / ATOMIC_FORCE])
        return self._xyz_header + self._table(self._xyz_prefixes, numbers)

    def gen(self, positions: Floats, step: int, temperature: float) -> bytes:
        """One frame in the GEN format of DFTB+."""
        time = f"{step * self._timestep:.10g}"
        head = f"{len(positions)} S #Step {step} Time {time} (fs) Temp {temperature:.6g} (k)"
        table = self._table(self._gen_prefixes, self._placed(positions))
        return f"{head}\n{self._gen_elements}\n".encode() + table + self._gen_cell

    def _placed(self, positions: Floats) -> Floats:
        return positions if self._cell is None else wrap(positions, self._cell)

    def _table(self, prefixes: NDArray[np.uint8], numbers: Floats) -> bytes:
        size = write_table(prefixes, np.ascontiguousarray(numbers), self._text)
        return self._text[:size].tobytes()


def cell_text(system: System, layout: str) -> str:
    """The second line of a frame: three lengths, or `NON_ORTHO` and nine numbers."""
    if system.orthorhombic:
        return " ".join(layout % x for x in np.diag(system.cell))
    return " ".join(["NON_ORTHO", *(layout % x for x in system.cell.ravel())])


def final_frame(system: System, positions: Floats, velocities: Floats) -> bytes:
    """`output.xyz`: positions (Å) and velocities (Å per internal time unit)."""
    line = "%2s " + " ".join([_EXACT] * 3) + "    " + " ".join([_EXACT] * 3) + " "
    rows = np.hstack([positions, velocities]).tolist()
    atoms = [line % (name, *row) for name, row in zip(system.elements, rows, strict=True)]
    return "\n".join([f"{len(rows):5d}", cell_text(system, _EXACT), *atoms, ""]).encode()


def statistics_heading(*, conserved: bool) -> bytes:
    """The two heading lines of `md_statistics.out`."""
    columns = [("Time", "(fs)"), *((name, "(kcal/mol)") for name in ("Ktot/N", "Vtot/N", "Etot/N"))]
    columns += [("T", "(K)"), ("P", "(GPa)")]
    columns += [("Econs/N", "(kcal/mol)")] if conserved else []
    columns += [("P_conf", "(GPa)")]
    first = " ".join(["  # Step", *(f"{name:>14}" for name, _ in columns)])
    second = " ".join(["      # ", *(f"{unit:>14}" for _, unit in columns)])
    return f"{first}\n{second}\n".encode()


def statistics_lines(rows: Floats, n_atoms: int, timestep: float, *, conserved: bool) -> bytes:
    """Lines of `md_statistics.out` for rows of the integration loop."""
    energies = rows[:, [ROW_KINETIC, ROW_POTENTIAL]] / n_atoms
    columns = [
        rows[:, ROW_STEP] * timestep,
        energies[:, 0],
        energies[:, 1],
        energies.sum(axis=1),
        rows[:, ROW_TEMPERATURE],
        rows[:, ROW_PRESSURE] * GPA,
        *([rows[:, ROW_CONSERVED] / n_atoms] if conserved else []),
        rows[:, ROW_CONFIGURATIONAL] * GPA,
    ]
    line = "%8d " + "%14.7e " * len(columns) + "\n"
    numbers = np.column_stack([rows[:, ROW_STEP], *columns])
    return (line * len(rows) % tuple(numbers.ravel().tolist())).encode()


def exact_lines(numbers: Floats) -> bytes:
    """One number per line with all digits, as in `forceout.txt`."""
    flat = numbers.ravel().tolist()
    return ((_EXACT + "\n") * len(flat) % tuple(flat)).encode()


def labeled_lines(elements: Sequence[str], forces: Floats) -> bytes:
    """One number per line with the element in front, as in `forceout-labeled.txt`."""
    pairs = zip(np.repeat(elements, 3).tolist(), forces.ravel().tolist(), strict=True)
    return "".join(f"{name} {_EXACT % value}\n" for name, value in pairs).encode()


def short_lines(numbers: Floats) -> bytes:
    """One number per line with seven digits, as in `velocout.txt`."""
    flat = numbers.ravel().tolist()
    return ("%13.6e\n" * len(flat) % tuple(flat)).encode()


def _byte_rows(words: Sequence[str]) -> NDArray[np.uint8]:
    """Equally long rows of bytes, (n, length)."""
    encoded = [word.encode() for word in words]
    length = max(map(len, encoded))
    return np.frombuffer(b"".join(word.ljust(length) for word in encoded), np.uint8).reshape(
        -1, length
    )
