"""The format `traj_list` for `ase.io.read`: all frames that a `traj_list.dat` names.

Each frame knows its file (`info["source"]`) and its temperature (`info["temperature"]`, K), where the list gives one.
"""

from collections.abc import Iterator
from pathlib import Path

from ase import Atoms
from ase.utils.plugins import ExternalIOFormat

from ald_chimes_lsq.formats import traj_list
from ald_chimes_lsq.formats.ase_xyzf import to_atoms

traj_list_format = ExternalIOFormat(
    desc="List of ChIMES training trajectories",
    code="+S",
    module="ald_chimes_lsq.formats.ase_traj_list",
    glob="*traj_list*.dat",
)


def read_traj_list(path: str, index: int | slice = -1) -> Iterator[Atoms]:
    """The frames of all trajectories of a list, in order.

    Raises:
        InputError: the list or a trajectory is malformed, or a trajectory has fewer frames than the list says.
    """
    found = []
    entries = traj_list.read_traj_list(path)
    n_frames = sum(entry.n_frames for entry in entries)
    for entry, frame in traj_list.iterate_list(Path(path), entries, n_frames):
        atoms = to_atoms(frame)
        atoms.info["source"] = entry.path.stem
        if entry.temperature is not None:
            atoms.info["temperature"] = entry.temperature
        found.append(atoms)
    yield from found[index] if isinstance(index, slice) else [found[index]]
