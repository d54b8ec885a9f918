"""Frames of a run, sorted by how close the atoms are: the three files of ChIMES MD, and their index.

A frame is the number of atoms, the cell (three lengths, or NON_ORTHO and nine numbers), and element and position of
each atom. The index has a line for each frame: step, class, and the first byte in the file of its class.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
from ase import Atoms

from ald_core.types import Candidate, Case, FloatArray, Origin

FILES = (
    "traj_bad_r.ge.rin+dp_dftbfrq.xyz",
    "traj_bad_r.lt.rin+dp.xyz",
    "traj_bad_r.lt.rin.xyz",
)
"""By contact class: clear, inside the penalty zone, inside the inner cutoff"""
INDEX = "traj_bad.index"


class ContactFiles:
    """Open files of a run under way; for a `with`."""

    def __init__(self, folder: Path, symbols: list[str]):
        self._symbols = symbols
        self._files: list[IO[bytes]] = [(folder / name).open("wb") for name in FILES]
        self._index = (folder / INDEX).open("w")

    def write(self, step: int, contact: int, positions: FloatArray, cell: FloatArray) -> None:
        """Add a frame."""
        stream = self._files[contact]
        offset = stream.tell()
        numbers = np.diag(cell) if np.array_equal(cell, np.diag(np.diag(cell))) else cell.ravel()
        words = [] if len(numbers) == 3 else ["NON_ORTHO"]
        lines = [str(len(positions)), " ".join([*words, *(repr(float(x)) for x in numbers)])]
        lines += [
            f"{symbol:>4} {x:.10f} {y:.10f} {z:.10f}"
            for symbol, (x, y, z) in zip(self._symbols, positions.tolist(), strict=True)
        ]
        stream.write(("\n".join(lines) + "\n").encode())
        self._index.write(f"{step} {contact} {offset}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in self._files:
            stream.close()
        self._index.close()


def candidates(case: Case, cycle: int, folder: Path) -> tuple[Candidate, ...]:
    """What the files hold, in the order of steps.

    Raises:
        OSError, ValueError: the index is missing or malformed.
    """
    found = []
    for line in (folder / INDEX).read_text().splitlines():
        step, contact, offset = (int(word) for word in line.split())
        load = partial(_load, folder / FILES[contact], offset)
        origin = Origin(cycle, case.name, step)
        found.append(Candidate(origin, case.temperature, contact, load))  # type: ignore[arg-type]
    return tuple(found)


def _load(path: Path, offset: int) -> Atoms:
    with path.open("rb") as stream:
        stream.seek(offset)
        n_atoms = int(stream.readline())
        words = stream.readline().split()
        numbers = [float(word) for word in words if word != b"NON_ORTHO"]
        rows = [stream.readline().split() for _ in range(n_atoms)]
    cell = np.diag(numbers) if len(numbers) == 3 else np.reshape(numbers, (3, 3))
    positions = [[float(x) for x in row[1:4]] for row in rows]
    return Atoms([row[0].decode() for row in rows], positions, cell=cell, pbc=True)
