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
    ROW_VOLUME,
)
from ald_chimes_md.ensembles import Ensemble
from ald_chimes_md.text_kernels import MAX_MAGNITUDE, write_table

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
        lammps_rows = [f"{i} {numbers[name]} {name}" for i, name in enumerate(names, start=1)]
        self._xyz_prefixes = _byte_rows(names)
        self._gen_prefixes = _byte_rows(gen_rows)
        self._lammps_prefixes = _byte_rows(lammps_rows)
        self._gen_elements = " ".join(type_names)
        self._orthorhombic = system.orthorhombic
        self._timestep = timestep
        self._wrapped = wrapped
        prefix = max(self._xyz_prefixes.shape[1], self._gen_prefixes.shape[1])
        prefix = max(prefix, self._lammps_prefixes.shape[1])
        self._text = np.zeros(len(names) * (prefix + 6 * 20 + 1), dtype=np.uint8)

    def xyz(
        self, positions: Floats, cell: Floats, forces: Floats | None = None, remark: str = ""
    ) -> bytes:
        """One frame in XYZ format, with forces (kcal/mol/Å) in Hartree/bohr if they are given."""
        numbers = self._placed(positions, cell)
        if forces is not None:
            numbers = np.hstack([numbers, forces / ATOMIC_FORCE])
        lengths = cell_text(cell, "%.5f", orthorhombic=self._orthorhombic)
        header = f"{len(positions)}\n{lengths}{remark}\n".encode()
        return header + self._table(self._xyz_prefixes, numbers)

    def gen(self, positions: Floats, cell: Floats, step: int, temperature: float) -> bytes:
        """One frame in the GEN format of DFTB+."""
        time = f"{step * self._timestep:.10g}"
        head = f"{len(positions)} S #Step {step} Time {time} (fs) Temp {temperature:.6g} (k)"
        table = self._table(self._gen_prefixes, self._placed(positions, cell))
        rows = [" ".join(f"{x:10.5f}" for x in row) for row in ([0.0] * 3, *cell)]
        lattice = ("\n".join(rows) + "\n").encode()
        return f"{head}\n{self._gen_elements}\n".encode() + table + lattice

    def lammps(self, positions: Floats, velocities: Floats, cell: Floats, step: int) -> bytes:
        """One frame as LAMMPS dumps it: never wrapped, velocities in Å per internal time unit."""
        tilts = cell[1, 0], cell[2, 0], cell[2, 1]
        along_x = (0.0, tilts[0], tilts[1], tilts[0] + tilts[1])
        bounds = (
            (min(along_x), cell[0, 0] + max(along_x)),
            (min(0.0, tilts[2]), cell[1, 1] + max(0.0, tilts[2])),
            (0.0, cell[2, 2]),
        )
        lines = [
            "ITEM: TIMESTEP",
            f"{step * self._timestep:.10g}",
            "ITEM: NUMBER OF ATOMS",
            f"{len(positions)}",
            "ITEM: BOX BOUNDS xy xz yz pp pp pp",
            *(
                f"{low:.5f} {high:.5f} {t:.5f}"
                for (low, high), t in zip(bounds, tilts, strict=True)
            ),
            "ITEM: ATOMS id type element xu yu zu vx vy vz",
            "",
        ]
        numbers = np.hstack([positions, velocities])
        return "\n".join(lines).encode() + self._table(self._lammps_prefixes, numbers)

    def _placed(self, positions: Floats, cell: Floats) -> Floats:
        return wrap(positions, cell) if self._wrapped else positions

    def _table(self, prefixes: NDArray[np.uint8], numbers: Floats) -> bytes:
        if not (np.abs(numbers) < MAX_MAGNITUDE).all():
            # Forces of atoms far inside each other; the compiled writer has no room for them.
            rows = zip(prefixes, numbers.tolist(), strict=True)
            lines = (p.tobytes() + "".join(f" {x:10.5f}" for x in row).encode() for p, row in rows)
            return b"".join(line + b"\n" for line in lines)
        size = write_table(prefixes, np.ascontiguousarray(numbers), self._text)
        return self._text[:size].tobytes()


def cell_text(cell: Floats, layout: str, *, orthorhombic: bool) -> str:
    """The second line of a frame: three lengths, or `NON_ORTHO` and nine numbers."""
    if orthorhombic:
        return " ".join(layout % x for x in np.diag(cell))
    return " ".join(["NON_ORTHO", *(layout % x for x in cell.ravel())])


def stress_and_energy(virial: Floats, cell: Floats, energy: float) -> str:
    """The end of a header: stress xx yy zz xy xz yz in GPa without its kinetic part, kcal/mol."""
    stress = virial / abs(np.linalg.det(cell)) * GPA
    six = [stress[0, 0], stress[1, 1], stress[2, 2], stress[0, 1], stress[0, 2], stress[1, 2]]
    return " " + " ".join(_EXACT.replace(" ", "") % x for x in (*six, energy))


def dftb_text(energy: float, virial: Floats, cell: Floats, forces: Floats) -> bytes:
    """`dftbplus_data.dat`: energy, stress xx yy zz xy xz yz, forces; kcal/mol and Å."""
    stress = virial / abs(np.linalg.det(cell))
    six = [stress[0, 0], stress[1, 1], stress[2, 2], stress[0, 1], stress[0, 2], stress[1, 2]]
    return exact_lines(np.array([energy, *six, *forces.ravel()]))


def final_frame(system: System, positions: Floats, velocities: Floats, cell: Floats) -> bytes:
    """`output.xyz`: positions (Å) and velocities (Å per internal time unit)."""
    line = "%2s " + " ".join([_EXACT] * 3) + "    " + " ".join([_EXACT] * 3) + " "
    rows = np.hstack([positions, velocities]).tolist()
    atoms = [line % (name, *row) for name, row in zip(system.elements, rows, strict=True)]
    lengths = cell_text(cell, _EXACT, orthorhombic=system.orthorhombic)
    return "\n".join([f"{len(rows):5d}", lengths, *atoms, ""]).encode()


def statistics_heading(ensemble: Ensemble) -> bytes:
    """The two heading lines of `md_statistics.out`."""
    columns = [("Time", "(fs)"), *((name, "(kcal/mol)") for name in ("Ktot/N", "Vtot/N", "Etot/N"))]
    columns += [("T", "(K)"), ("P", "(GPa)")]
    columns += [("Econs/N", "(kcal/mol)")] if ensemble.is_extended else []
    columns += [("P_conf", "(GPa)")]
    columns += [("V", "(A^3)")] if ensemble.has_barostat else []
    first = " ".join(["  # Step", *(f"{name:>14}" for name, _ in columns)])
    second = " ".join(["      # ", *(f"{unit:>14}" for _, unit in columns)])
    return f"{first}\n{second}\n".encode()


def statistics(rows: Floats, n_atoms: int, timestep: float, ensemble: Ensemble) -> Floats:
    """Columns of `md_statistics.out`, in its units, for rows of the integration loop."""
    energies = rows[:, [ROW_KINETIC, ROW_POTENTIAL]] / n_atoms
    columns = [
        rows[:, ROW_STEP],
        rows[:, ROW_STEP] * timestep,
        energies[:, 0],
        energies[:, 1],
        energies.sum(axis=1),
        rows[:, ROW_TEMPERATURE],
        rows[:, ROW_PRESSURE] * GPA,
        *([rows[:, ROW_CONSERVED] / n_atoms] if ensemble.is_extended else []),
        rows[:, ROW_CONFIGURATIONAL] * GPA,
        *([rows[:, ROW_VOLUME]] if ensemble.has_barostat else []),
    ]
    return np.column_stack(columns)


def statistics_lines(rows: Floats, n_atoms: int, timestep: float, ensemble: Ensemble) -> bytes:
    """Lines of `md_statistics.out` for rows of the integration loop."""
    numbers = statistics(rows, n_atoms, timestep, ensemble)
    line = "%8d " + "%14.7e " * (numbers.shape[1] - 1) + "\n"
    text: str = line * len(rows) % tuple(numbers.ravel().tolist())
    return text.encode()


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
