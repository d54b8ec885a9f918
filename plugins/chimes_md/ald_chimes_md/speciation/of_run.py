"""Speciation of a finished run, beside its trajectory: `speciation.json`, the table, the files of named species."""

import json
from collections.abc import Sequence
from pathlib import Path

import attrs

from ald_chimes_md.replacement import replace_file
from ald_chimes_md.speciation.criteria import BondCriteria
from ald_chimes_md.speciation.names import parse_name
from ald_chimes_md.speciation.species import (
    Species,
    SpeciesTally,
    printed,
    share_of,
    species_text,
    table_text,
)
from ald_core.types import ResultTable

SPECIATION = "speciation.json"
"""All species that are not too rare; equal bytes for equal inputs."""
TABLE = "traj.gen-find_molecs.out"
"""The table of findmolecules, under the name that it has in studies of the existing driver."""
NOTEWORTHY = 0.01
"""Mole fraction of a species that is shown without being asked for"""
LARGEST = 24
"""Atoms of what has a row of its own without being asked for; findmolecules calls more a polymer"""


def species_file(number: int) -> str:
    """The file of the species with this number, from 0."""
    return f"speciation.species-{number}"


def speciate(
    trajectory: Path, criteria: BondCriteria, names: Sequence[str], *, has_frames: bool = True
) -> None:
    """Write all files beside the trajectory; they exist, too, if there are not enough frames for any bond.

    Raises InputError for a trajectory that cannot be read, OSError with the name of a file that cannot be written.

    Args:
        trajectory: in a format that `analyse` reads.
        criteria: when atoms are bonded.
        names: species that have a file of their own.
        has_frames: whether the run came to its first frame.
    """
    # What only reads results need not wait for what this loads.
    from ald_chimes_md.speciation.molecules import analyse  # noqa: PLC0415

    tally, frames = SpeciesTally(criteria.frame_time), 0
    for found in analyse(trajectory, criteria) if has_frames else ():
        tally.add(found.molecules)
        frames += 1
    rows = tally.species() if frames else []
    folder = trajectory.parent
    content = {
        "frames": frames,
        "species": [attrs.asdict(one) for one in printed(rows)],
        "large": sum(one.mole_fraction for one in rows if _size(one) > LARGEST),
    }
    texts = {SPECIATION: json.dumps(content, indent=1) + "\n", TABLE: table_text(rows)}
    texts |= {species_file(number): species_text(name, rows) for number, name in enumerate(names)}
    for file, text in texts.items():
        replace_file(folder / file, text.encode())


def result_table(folder: Path, names: Sequence[str]) -> ResultTable:
    """What is shown of a run for each cycle: the named species, or those that are frequent.

    Raises what reading JSON that is not as it should be raises.
    """
    content = json.loads((folder / SPECIATION).read_text())
    species = [Species(**one) for one in content["species"]]
    rows: list[tuple[str, float | None, float | None]] = []
    for name in names:
        share = share_of(name, species)
        absent = None if content["frames"] == 0 else 0.0
        rows.append((name, share.mole_fraction, share.lifetime) if share else (name, absent, None))
    if not names:
        shown = [s for s in species if s.mole_fraction >= NOTEWORTHY and _size(s) <= LARGEST]
        rows += [(one.name, one.mole_fraction, one.lifetime) for one in shown]
        rows += [(f"more than {LARGEST} atoms", content["large"], None)] if content["large"] else []
    shown_rows = tuple((name, _short(mole), _short(life)) for name, mole, life in rows)
    return ResultTable("molecules", ("molecule", "mole fraction", "lifetime (ps)"), shown_rows)


def _short(number: float | None) -> float | None:
    """Six digits, which is more than such statistics are worth."""
    return None if number is None else float(f"{number:.6g}")


def _size(species: Species) -> int:
    """Atoms of a molecule."""
    return sum(number for _, number in parse_name(species.name).atoms)
