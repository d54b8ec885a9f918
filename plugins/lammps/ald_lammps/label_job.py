"""What a label job runs after the user's script, and what it leaves behind.

The user's script sets up units, atoms and the potential. Then the log is changed, energy and virial are asked for with
all digits, forces and positions are dumped, and a run of 0 steps evaluates once.
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import numpy as np

from ald_core.types import FloatArray
from ald_lammps.dump import Incomplete, Snapshot, snapshots

SCRIPT = "label.in"
LOG = "label.log"
DUMP = "label.lammpstrj"
USER_SCRIPT = "in.lammps"
END = "ald end"
_VIRIAL = tuple(f"c_ald_virial[{i}]" for i in range(1, 7))
_THERMO = ("pe", *_VIRIAL)
_COLUMNS = ("id", "type", "xu", "yu", "zu", "fx", "fy", "fz")
_UNITS = re.compile(r"^Units\s+=\s+(\w+)", re.MULTILINE)


def script_text(digest: str) -> str:
    """The script of a job; `digest` is that of the frame, which the log repeats."""
    return "\n".join(
        [
            f"include {USER_SCRIPT}",
            f"log {LOG}",
            "info system out log",
            "compute ald_virial all pressure NULL virial",
            f"dump ald all custom 1 {DUMP} {' '.join(_COLUMNS)}",
            "dump_modify ald sort id format float %.17g",
            f"thermo_style custom step {' '.join(_THERMO)}",
            "thermo_modify line one norm no lost error format float %.17g",
            "run 0",
            f'print "ald frame {digest}"',
            f'print "{END}"',
            "",
        ]
    )


@attrs.frozen(eq=False)
class Evaluated:
    """What the program said, in its own units and its own directions, atoms by their numbers."""

    units: str
    energy: float
    pressure: FloatArray
    """(3, 3), of the virial alone; positive in compression"""
    periodic: bool
    cell: FloatArray
    ids: tuple[int, ...]
    types: tuple[int, ...]
    positions: FloatArray
    forces: FloatArray


def read_evaluated(folder: Path, digest: str) -> Evaluated:
    """What a job left.

    Raises:
        ValueError: it is not complete, or of another frame.
    """
    log = (folder / LOG).read_text(errors="replace")
    lines = log.split("\n")
    if END not in lines:
        raise Incomplete(f"{LOG} does not come to its end")
    if f"ald frame {digest}" not in lines:
        raise Incomplete(f"{LOG} is of another frame")
    units = _UNITS.search(log)
    if units is None:
        raise Incomplete(f"{LOG} does not tell its units")
    energy, *virial = _thermo(lines)
    xx, yy, zz, xy, xz, yz = virial
    snapshot = _snapshot(folder / DUMP)
    ids, types = snapshot.values("id", "type").astype(int).T
    return Evaluated(
        units=units[1],
        energy=energy,
        pressure=np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]),
        periodic=snapshot.periodic,
        cell=snapshot.cell,
        ids=tuple(ids.tolist()),
        types=tuple(types.tolist()),
        positions=snapshot.values("xu", "yu", "zu") - snapshot.origin,
        forces=snapshot.values("fx", "fy", "fz"),
    )


def _thermo(lines: list[str]) -> list[float]:
    """The numbers of the one line of thermodynamic output."""
    heads = [i for i, line in enumerate(lines) if line.split()[2:] == list(_VIRIAL)]
    if len(heads) != 1 or len(lines) < heads[0] + 3:
        raise Incomplete(f"{LOG} has {len(heads)} tables of energy and virial instead of one")
    words = lines[heads[0] + 1].split()
    if len(words) != 2 + len(_VIRIAL) or not lines[heads[0] + 2].startswith("Loop time"):
        raise Incomplete(f"{LOG} has no line of energy and virial")
    return [float(word) for word in words[1:]]


def _snapshot(path: Path) -> Snapshot:
    found = [snapshot for _, snapshot in snapshots(path)]
    if len(found) != 1:
        raise Incomplete(f"{path.name} has {len(found)} whole snapshots instead of one")
    return found[0]
