"""The files of `ALL_BASE_FILES`, as far as a run file speaks of them or something can be wrong before any job.

What programs read (fm_setup.in, run_md.in, .xyzf, INCAR) is read by their plugins; here it is looked at only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from ald_core.errors import InputError

MAX_BYTES = 2_000_000
"""Of a list or control file"""


@attrs.frozen
class Entry:
    """One line of `traj_list.dat`."""

    frames: int
    file: str
    temperature: float | None
    flags: tuple[str, ...]
    """Put before the labels of force, stress and energy rows"""
    line: int

    @property
    def is_gas(self) -> bool:
        """Whether its frames are molecules: their weights are those of gas frames."""
        return any("G_" in flag for flag in self.flags)


@attrs.frozen
class Value:
    """Value of a key of a control file (`# KEY #`, value in the next line)."""

    words: tuple[str, ...]
    line: int


def read_traj_list(path: Path) -> list[Entry]:
    """The files of a list: `frames file [temperature] [F S E]` in each line.

    Raises:
        InputError: numbers of lines or words that do not fit, or words that are no numbers.
    """
    rows = [
        (n, line.split())
        for n, line in enumerate(read_lines(path), start=1)
        if line.strip()
    ]  # fmt: skip
    if not rows or len(rows[0][1]) != 1:
        raise InputError("its first line must be the number of files", path=path, line=1)
    line, words = rows[0]
    number = _whole(words[0], "the number of files", path, line)
    if number != len(rows) - 1:
        raise InputError(
            f"{number} files are announced, but {len(rows) - 1} lines follow; correct the number or the list",
            path=path,
            line=line,
        )
    return [_entry(words, path, n) for n, words in rows[1:]]


def _entry(words: list[str], path: Path, line: int) -> Entry:
    if len(words) not in (2, 3, 5, 6):
        raise InputError(
            "a line is 'frames file [temperature]', with three flags behind it or none; found "
            f"{len(words)} words: {' '.join(words)[:80]}",
            path=path,
            line=line,
        )
    frames = _whole(words[0], "the number of frames", path, line)
    temperature = None
    if len(words) in (3, 6):
        try:
            temperature = float(words[2])
        except ValueError:
            temperature = -1.0
        if not 0.0 <= temperature < 1e9:
            raise InputError(f"the temperature is {words[2]}, no number of K", path=path, line=line)
    flags = tuple("" if w == "None" else w for w in words[-3:]) if len(words) > 3 else ()
    return Entry(frames, words[1], temperature, flags, line)


def read_keys(path: Path) -> dict[str, Value]:
    """The keys of a control file with the words of the line after each; the last one wins.

    Raises:
        InputError: the file cannot be read.
    """
    rows = [
        (n, line.partition("!")[0].split())
        for n, line in enumerate(read_lines(path), start=1)
        if line.partition("!")[0].strip()
    ]  # fmt: skip
    found: dict[str, Value] = {}
    for (_, words), (n, value) in zip(rows, [*rows[1:], (0, [])], strict=True):
        if len(words) == 3 and words[0] == words[2] == "#" and n:
            found[words[1]] = Value(tuple(value), n)
    return found


def read_temperatures(path: Path) -> list[float]:
    """The lines of a `.temps` file, K.

    Raises:
        InputError: a line that is no number ≥ 0.
    """
    found = []
    for n, line in enumerate(read_lines(path), start=1):
        if line.strip():
            try:
                found.append(float(line))
            except ValueError:
                found.append(-1.0)
            if not 0.0 <= found[-1] < 1e9:
                text = line.strip()[:40]
                raise InputError(f"'{text}' is no temperature in K", path=path, line=n)
    return found


def skips_frames(path: Path) -> bool:
    """Whether a `skip.dat` (`skip1 skip2 block offset`) makes molanal leave frames out; no file, no.

    Raises:
        InputError: the file cannot be read.
    """
    if not path.is_file():
        return False
    words = " ".join(read_lines(path)).split()
    return words[:2] != ["1", "1"]


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that is not large; InputError if it cannot be read."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise InputError(f"is larger than {MAX_BYTES} bytes; is it the right file?", path=path)
        return raw.decode().splitlines()
    except FileNotFoundError:
        raise InputError("there is no such file", path=path) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", path=path) from None


def _whole(word: str, what: str, path: Path, line: int) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < 10):
        raise InputError(f"{what} is {word[:40]}, no whole number", path=path, line=line)
    return int(word)


LICENSED = "is licensed, so that no example has it; copy yours"


def missing_inputs(
    method: str, folder: Path, elements: Sequence[str], temperatures: Sequence[float]
) -> list[str]:
    """What a reference method finds no file for in `QM_BASEFILES`, one sentence each.

    Source: the conventions of the existing driver, one input per temperature and element.
    """
    if not folder.is_dir():
        return [f"{folder}: there is no such folder (QM_FILES)"]
    kelvins = [f"{t:.0f}" for t in dict.fromkeys(temperatures)]
    wanted: list[tuple[tuple[str, ...], str]] = []
    if method == "VASP":
        wanted = [((f"{t}.INCAR",), f"for {t} K") for t in kelvins]
        wanted += [((f"{t}.KPOINTS", "KPOINTS"), f"for {t} K") for t in kelvins]
        wanted += [((f"{e}.POTCAR",), f"of {e}; it {LICENSED}") for e in elements]
    elif method == "DFTB+":
        wanted = [((f"{t}.dftb_in.hsd",), f"for {t} K") for t in kelvins]
    elif method == "CP2K":
        wanted = [((f"{t}.cp2k.inp",), f"for {t} K") for t in kelvins]
        wanted += [((f"{e}.cp2k.qm_basis-block.inp",), f"of {e}") for e in elements]
        wanted += [(("cp2k.qm_psuedo-block.inp",), "for all")]
    elif method == "LMP":
        wanted = [((f"{t}.in.lammps",), f"for the index {t}") for t in kelvins]
        wanted += [((f"{t}.data.in",), f"for the index {t}") for t in kelvins]
    return [
        f"{folder}: there is no {' or '.join(names)} {why}"
        for names, why in wanted
        if not any((folder / name).is_file() for name in names)
    ]
