"""Lists of trajectories (`TRJFILE` with `MULTI`), and the frames that a fit uses."""

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import attrs

from ald_chimes_lsq.formats.setup import FitSetup
from ald_chimes_lsq.formats.tokens import Place, parse_integer, parse_number, read_text
from ald_chimes_lsq.formats.xyzf import XyzfFrame, stream_xyzf
from ald_core.errors import InputError

_WORDS = frozenset({2, 3, 5, 6})
"""How many a line has."""


@attrs.frozen
class TrajectoryEntry:
    """One line of a list of trajectories."""

    n_frames: int
    path: Path
    """Names are those of files in the folder of the control file, or else beside the list."""
    temperature: float | None = None
    """K"""
    force_flag: str = ""
    """Put before the labels of force rows; likewise the others."""
    stress_flag: str = ""
    energy_flag: str = ""
    line: int | None = None
    """Of the list, for messages"""


def read_traj_list(path: Path | str, base: Path | None = None) -> list[TrajectoryEntry]:
    """Read a list of trajectories; those with 0 frames are left out.

    Args:
        path: the list.
        base: folder of the control file; names are those of files there, or else beside the list.

    Raises:
        InputError: the number of lines or of words is not what it should be, there are no frames at all, or a file
            is neither in `base` nor beside the list.
    """
    path = Path(path)
    lines = read_text(path).split("\n")
    rows = [(n, line.split()) for n, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise Place(path).error(
            "the list is empty", cure="write the number of trajectories, and a line for each"
        )
    line, words = rows[0]
    place = Place(path, line)
    if len(words) != 1:
        raise place.error(
            f"the first line must be the number of trajectories, found '{' '.join(words)}'",
            cure=f"write {len(rows)} there" if len(words) in _WORDS else "write it",
        )
    number = parse_integer(words[0], "the number of trajectories", place, minimum=1)
    if len(rows) - 1 != number:
        raise place.error(
            f"{number} trajectories are announced, but {len(rows) - 1} lines follow",
            cure="correct the number or the list",
        )
    folders = [path.parent] if base is None else [base, path.parent]
    entries = [_read_entry(words, Place(path, line), folders) for line, words in rows[1:]]
    used = [entry for entry in entries if entry.n_frames > 0]
    if not used:
        raise place.error(
            "all trajectories of this list have 0 frames", cure="write how many to use of each"
        )
    return used


def iterate_trajectories(setup: FitSetup) -> Iterator[tuple[TrajectoryEntry, XyzfFrame]]:
    """Read the frames of a fit one after another, `NFRAMES` of them altogether.

    Raises:
        InputError: there are fewer frames than `NFRAMES`, or a trajectory has fewer than its list says.
    """
    _check_presence(setup.trajectory, Place(setup.path, setup.trajectory_line))
    wanted = Place(setup.path, setup.n_frames_line)
    if not setup.multi:
        alone = TrajectoryEntry(setup.n_frames, setup.trajectory)
        n = yield from _iterate_entry(alone, setup.n_frames)
        if n < setup.n_frames:
            raise _too_few("NFRAMES is", setup.n_frames, setup.trajectory, n, wanted)
        return
    entries = read_traj_list(setup.trajectory, setup.path.parent)
    total = sum(entry.n_frames for entry in entries)
    if total < setup.n_frames:
        raise wanted.error(
            f"NFRAMES is {setup.n_frames}, but the trajectories of {setup.trajectory.name} have {total} frames",
            cure=f"write at most {total}",
        )
    yield from iterate_list(setup.trajectory, entries, setup.n_frames)


def iterate_list(
    path: Path, entries: Sequence[TrajectoryEntry], n_frames: int
) -> Iterator[tuple[TrajectoryEntry, XyzfFrame]]:
    """Read the first frames of the trajectories of a list, one after another.

    Args:
        path: of the list, for messages.
        entries: of the list.
        n_frames: how many altogether, at most those of all entries.

    Raises:
        InputError: a trajectory is missing or malformed, or has fewer frames than the list says.
    """
    left = n_frames
    for entry in entries:
        place = Place(path, entry.line)
        _check_presence(entry.path, place)
        n = yield from _iterate_entry(entry, min(left, entry.n_frames))
        if n < min(left, entry.n_frames):
            raise _too_few("the list says", entry.n_frames, entry.path, n, place)
        left -= n
        if left == 0:
            return


def _iterate_entry(
    entry: TrajectoryEntry, n_frames: int
) -> Generator[tuple[TrajectoryEntry, XyzfFrame], None, int]:
    """Frames of a trajectory; how many there were."""
    n = 0
    for frame in stream_xyzf(entry.path, n_frames):
        n += 1
        yield entry, frame
    return n


def _too_few(what: str, wanted: int, path: Path, found: int, place: Place) -> InputError:
    return place.error(
        f"{what} {wanted}, but {path.name} has {found} frames", cure=f"write at most {found}"
    )


def _check_presence(path: Path, place: Place) -> None:
    """Complain about a name that is in a file, where it stands."""
    if not _is_present(path):
        raise place.error(f"there is no file '{path}'", cure="correct the name")


def _is_present(path: Path) -> bool:
    possible = "\0" not in str(path) and len(path.name) < 256
    return possible and (path.exists() or path.is_symlink())


def _find(name: str, folders: Sequence[Path], place: Place) -> Path:
    """The first file of a name that there is; a single folder is not searched."""
    paths = list(dict.fromkeys(folder / name for folder in folders))
    if len(paths) == 1:
        return paths[0]
    found = [path for path in paths if _is_present(path)]
    if not found:
        raise place.error(f"there is neither {paths[0]} nor {paths[1]}", cure="correct the name")
    return found[0]


def _read_entry(words: list[str], place: Place, folders: Sequence[Path]) -> TrajectoryEntry:
    if len(words) not in _WORDS:
        raise place.error(
            f"'{' '.join(words)[:80]}' is no line of a list",
            cure="write 'frames file', 'frames file temperature', 'frames file F S E' or "
            "'frames file temperature F S E' (F, S, E flags of labels)",
        )
    n_frames = parse_integer(words[0], "the number of frames", place, minimum=0)
    temperature = None
    if len(words) in {3, 6}:
        temperature = parse_number(words[2], "the temperature", place)
        if temperature < 0.0:
            raise place.error(
                f"the temperature must not be negative, found {words[2]}", cure="write it in K"
            )
    flags = ["" if word == "None" else word for word in words[-3:]] if len(words) > 3 else [""] * 3
    force, stress, energy = flags
    path = folders[0] / words[1] if n_frames == 0 else _find(words[1], folders, place)
    return TrajectoryEntry(n_frames, path, temperature, force, stress, energy, place.line)
