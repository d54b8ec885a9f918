"""Lists of trajectories (`TRJFILE` with `MULTI`), and the frames that a fit uses."""

from pathlib import Path

import attrs

from ald_chimes_lsq.formats.setup import FitSetup
from ald_chimes_lsq.formats.tokens import Place, parse_integer, parse_number, read_text
from ald_chimes_lsq.formats.xyzf import XyzfFrame, read_xyzf


@attrs.frozen
class TrajectoryEntry:
    """One line of a list of trajectories."""

    n_frames: int
    path: Path
    """Relative names are taken from the folder of the list."""
    temperature: float | None = None
    """K"""
    force_flag: str = ""
    """Put before the labels of force rows; likewise the others."""
    stress_flag: str = ""
    energy_flag: str = ""
    line: int | None = None
    """Of the list, for messages"""


def read_traj_list(path: Path | str) -> list[TrajectoryEntry]:
    """Read a list of trajectories; those with 0 frames are left out.

    Raises:
        InputError: the number of lines or of words is not what it should be, or there are no frames at all.
    """
    path = Path(path)
    lines = read_text(path).split("\n")
    rows = [(n, line.split()) for n, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise Place(path).error("the list is empty; its first line is the number of trajectories")
    line, words = rows[0]
    place = Place(path, line)
    if len(words) != 1:
        raise place.error(
            f"the first line must be the number of trajectories, found '{' '.join(words)}'"
        )
    number = parse_integer(words[0], "the number of trajectories", place, minimum=1)
    if len(rows) - 1 != number:
        raise place.error(
            f"{number} trajectories are announced, but {len(rows) - 1} lines follow; "
            "correct the number or the list"
        )
    entries = [_read_entry(words, Place(path, line), path.parent) for line, words in rows[1:]]
    used = [entry for entry in entries if entry.n_frames > 0]
    if not used:
        raise place.error("all trajectories of this list have 0 frames")
    return used


def read_trajectories(setup: FitSetup) -> list[tuple[TrajectoryEntry, list[XyzfFrame]]]:
    """Read the frames of a fit, trajectory by trajectory, in order; `NFRAMES` of them altogether.

    Raises:
        InputError: there are fewer frames than `NFRAMES`, or a trajectory has fewer than its list says.
    """
    _check_presence(setup.trajectory, Place(setup.path, setup.trajectory_line))
    if not setup.multi:
        frames = read_xyzf(setup.trajectory, setup.n_frames)
        return [(TrajectoryEntry(setup.n_frames, setup.trajectory), frames)]
    left = setup.n_frames
    found = []
    for entry in read_traj_list(setup.trajectory):
        _check_presence(entry.path, Place(setup.trajectory, entry.line))
        frames = read_xyzf(entry.path, min(left, entry.n_frames))
        left -= len(frames)
        if frames:
            found.append((entry, frames))
    if left > 0:
        raise Place(setup.path).error(
            f"NFRAMES is {setup.n_frames}, but the trajectories of {setup.trajectory.name} have "
            f"{setup.n_frames - left} frames; set NFRAMES to that number"
        )
    return found


def _check_presence(path: Path, place: Place) -> None:
    """Complain about a name that is in a file, where it stands."""
    impossible = "\0" in str(path) or len(path.name) > 255
    if impossible or not (path.exists() or path.is_symlink()):
        raise place.error(f"there is no file '{path}'; correct the name")


def _read_entry(words: list[str], place: Place, folder: Path) -> TrajectoryEntry:
    if len(words) not in {2, 3, 5, 6}:
        raise place.error(
            "a line is 'frames file', 'frames file temperature', 'frames file F S E' or "
            f"'frames file temperature F S E' (F, S, E flags of labels); found {len(words)} words: "
            f"'{' '.join(words)[:80]}'"
        )
    n_frames = parse_integer(words[0], "the number of frames", place, minimum=0)
    temperature = None
    if len(words) in {3, 6}:
        temperature = parse_number(words[2], "the temperature", place)
        if temperature < 0.0:
            raise place.error(f"the temperature must not be negative, found {words[2]}")
    flags = ["" if word == "None" else word for word in words[-3:]] if len(words) > 3 else [""] * 3
    force, stress, energy = flags
    path = folder / words[1]
    return TrajectoryEntry(n_frames, path, temperature, force, stress, energy, place.line)
