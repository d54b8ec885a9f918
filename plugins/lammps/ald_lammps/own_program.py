"""What a LAMMPS with the pair style `chimesFF` leaves: a dump, a log, and how close the atoms are.

Each process writes `rank-N.badness.log` with lines `step class`; the largest of all processes is the class of a step.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms

from ald_core.types import Candidate, Case, Failure, Origin, Trajectory
from ald_lammps.data_file import Template, element_of
from ald_lammps.dump import Incomplete, Snapshot, read_snapshot, snapshots
from ald_lammps.md_files import BADNESS, LOG, TRAJECTORY
from ald_lammps.md_script import MdScript
from ald_lammps.messages import RUNTIME, failure
from ald_lammps.units import UNITS

_ERROR = re.compile(r"^ERROR\b.*", re.MULTILINE)


def read_run(
    case: Case, cycle: int, workdir: Path, md: MdScript, data: Template, types: Sequence[str]
) -> Trajectory | Failure:
    """The frames of the dump, by step, and how the run went.

    Raises:
        OSError, ValueError: a file is missing or malformed.
    """
    log = (workdir / LOG).read_text(errors="replace")
    error = _ERROR.search(log)
    if "Total wall time" not in log and error is None:
        return failure(workdir, f"{LOG} does not come to its end")
    if error is not None and not any(words in error[0].lower() for words in RUNTIME):
        return failure(workdir, error[0])
    classes = contact_classes(workdir)
    known: dict[int, str | None] = dict(enumerate(types, start=1))
    if not types:
        known = {kind: element_of(mass) for kind, mass in data.masses.items()}
    elements = {kind: name for kind, name in known.items() if name is not None}
    candidates, counts, last = [], [0, 0, 0], 0
    for offset, snapshot in snapshots(workdir / TRAJECTORY):
        if len(snapshot.words) != len(data.ids):
            return Failure(f"{TRAJECTORY} has {len(snapshot.words)} atoms at step {snapshot.step}")
        last = max(last, snapshot.step)
        if snapshot.step == 0:
            continue  # the structure of the case
        contact = classes.get(snapshot.step)
        if contact is None:
            return Failure(f"no {BADNESS} tells of step {snapshot.step}")
        _atoms(snapshot, elements)
        load = partial(_load, workdir / TRAJECTORY, offset, elements)
        origin = Origin(cycle, case.name, snapshot.step)
        candidates.append(Candidate(origin, case.temperature, contact, load))  # type: ignore[arg-type]
        counts[contact] += 1
    if last == 0:
        return failure(workdir, f"{TRAJECTORY} has no frame")
    return Trajectory(
        case,
        tuple(candidates),
        steps=last,
        planned=max(md.steps or last, last),
        stable=error is None,
        reason="" if error is None else error[0],
        drift=_drift(log, md, len(data.ids)),
        counts=(counts[0], counts[1], counts[2]),
    )


def contact_classes(workdir: Path) -> dict[int, int]:
    """Class of each step, the largest of all processes.

    Raises:
        ValueError: there is no file, or a line that is none of these; the last line of a file may be cut off.
    """
    paths = sorted(workdir.glob(BADNESS))
    if not paths:
        raise Incomplete(f"there is no {BADNESS}")
    found: dict[int, int] = {}
    for path in paths:
        for line in path.read_text().split("\n")[:-1]:
            words = line.split()
            if len(words) != 2 or words[1] not in ("0", "1", "2"):
                raise Incomplete(f"{path.name} has the line '{line[:40]}'")
            step, contact = int(words[0]), int(words[1])
            found[step] = max(found.get(step, 0), contact)
    return found


def _load(path: Path, offset: int, elements: dict[int, str]) -> Atoms:
    with path.open("rb") as stream:
        stream.seek(offset)
        snapshot = read_snapshot(stream)
    if snapshot is None:
        raise Incomplete(f"{path.name} ends at byte {offset}")
    return _atoms(snapshot, elements)


def _atoms(snapshot: Snapshot, elements: dict[int, str]) -> Atoms:
    """The atoms of a frame, by their numbers if it has them."""
    columns = snapshot.columns
    if "element" in columns and "type" not in columns:
        place = columns.index("element")
        symbols = [row[place] for row in snapshot.words]
    else:
        types = snapshot.values("type").astype(int).ravel().tolist()
        if strange := sorted(set(types) - set(elements)):
            raise Incomplete(f"atom type {strange[0]} is of no known element; name it in 'types'")
        symbols = [elements[kind] for kind in types]
    names = next((n for n in (("xu", "yu", "zu"), ("x", "y", "z")) if set(n) <= set(columns)), None)
    if names is None:
        raise Incomplete(f"{TRAJECTORY} has no columns xu yu zu")
    positions = snapshot.values(*names) - snapshot.origin
    if not np.all(np.isfinite(positions)):
        raise Incomplete(f"a position of step {snapshot.step} is not finite")
    try:
        atoms = Atoms(symbols, positions, cell=snapshot.cell, pbc=True)
    except KeyError as error:
        raise Incomplete(f"{error} is no element; dump the column type") from None
    if "id" in columns:
        atoms = atoms[np.argsort(snapshot.values("id").ravel())]
    return atoms


def _drift(log: str, md: MdScript, n_atoms: int) -> float | None:
    """Largest deviation of the conserved quantity, eV/atom; None if the log has none."""
    whole = any(c.words[2:] == ("energy", "yes") for c in md.script.named("fix_modify"))
    whole = whole or all(c.words[3] in ("nve", "print", "ave/time") for c in md.script.named("fix"))
    wanted = "Econserve" if re.search(r"^\s*Step\b.*\bEconserve\b", log, re.MULTILINE) else "TotEng"
    if wanted == "TotEng" and not whole:
        return None
    values: list[float] = []
    column = None
    for line in log.splitlines():
        words = line.split()
        if words[:1] == ["Step"]:
            column = words.index(wanted) if wanted in words else None
            width = len(words)
        elif line.startswith("Loop time"):
            column = None
        elif column is not None and len(words) == width and words[0].isdecimal():
            values.append(float(words[column]))
    if not values:
        return None
    return max(abs(x - values[0]) for x in values) * UNITS[md.units].energy / n_atoms
