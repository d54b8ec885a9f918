"""The frames in the contact-class files of a run, as candidates for labelling."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ald_chimes_md.files import CONTACT_FILES, CONTACT_INDEX
from ald_core.types import Candidate, Case, Origin


def read_candidates(
    case: Case, cycle: int, workdir: Path, cell: NDArray[np.float64]
) -> tuple[Candidate, ...]:
    """All of them, in the order of steps.

    Args:
        case: of the run.
        cycle: of the run.
        workdir: where the files are.
        cell: exact, unless the index has that of each frame.

    Raises:
        OSError: there is no index.
        ValueError: it is damaged.
    """
    found = []
    for line in (workdir / CONTACT_INDEX).read_text().splitlines():
        words = line.split()
        step, contact, offset = (int(word) for word in words[:3])
        own = np.diag([float(word) for word in words[3:]]) if len(words) > 3 else cell
        load = partial(_load, workdir / CONTACT_FILES[contact], offset, own)
        origin = Origin(cycle, case.name, step)
        found.append(Candidate(origin, case.temperature, contact, load))  # type: ignore[arg-type]
    return tuple(found)


def _load(path: Path, offset: int, cell: NDArray[np.float64]) -> Atoms:
    """One frame of a contact file, which begins at byte `offset`."""
    with path.open("rb") as stream:
        stream.seek(offset)
        n_atoms = int(stream.readline())
        stream.readline()
        lines = [stream.readline().split() for _ in range(n_atoms)]
    symbols = [line[0].decode() for line in lines]
    positions = [[float(x) for x in line[1:4]] for line in lines]
    return Atoms(symbols, positions, cell=cell, pbc=True)
