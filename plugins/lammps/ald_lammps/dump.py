"""Reads dump files of the style `custom`, snapshot by snapshot, and believes only whole ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import attrs
import numpy as np

from ald_core.types import FloatArray


class Incomplete(ValueError):
    """A snapshot that ends too early, or makes no sense."""


@attrs.frozen(eq=False)
class Snapshot:
    """One step of a dump file."""

    step: int
    origin: FloatArray
    cell: FloatArray
    """(3, 3), vectors as rows, in the units of the file"""
    periodic: bool
    """In all directions"""
    columns: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    """Of each atom, as they are written"""

    def values(self, *names: str) -> FloatArray:
        """(n, len(names)) numbers.

        Raises:
            Incomplete: there is no such column, or a word in it that is no number.
        """
        try:
            places = [self.columns.index(name) for name in names]
            return np.array([[float(row[k]) for k in places] for row in self.words])
        except ValueError as error:
            raise Incomplete(f"columns {' '.join(names)}: {error}") from None


def read_snapshot(stream: IO[bytes]) -> Snapshot | None:
    """The snapshot that begins here; None at the end of the file.

    Raises:
        Incomplete: what is here is no whole snapshot.
    """
    first = stream.readline()
    if not first:
        return None
    try:
        _expect(first, "ITEM: TIMESTEP")
        step = int(_line(stream))
        item = _line(stream)
        while not item.startswith("ITEM: NUMBER OF ATOMS"):  # units, time
            if not item.startswith(("ITEM: UNITS", "ITEM: TIME")):
                raise Incomplete(f"'{item[:40]}' is not expected")
            _line(stream)
            item = _line(stream)
        n_atoms = int(_line(stream))
        header = _line(stream).split()
        bounds = [[float(word) for word in _line(stream).split()] for _ in range(3)]
        origin, cell = _box(header, bounds)
        columns = _line(stream).split()
        if header[:3] != ["ITEM:", "BOX", "BOUNDS"] or columns[:2] != ["ITEM:", "ATOMS"]:
            raise Incomplete("there is no box, or no list of columns")
        words = [tuple(_line(stream).split()) for _ in range(n_atoms)]
    except Incomplete:
        raise
    except (ValueError, IndexError) as error:
        raise Incomplete(str(error)) from None
    if any(len(row) != len(columns) - 2 for row in words):
        raise Incomplete("a line has too few words")
    periodic = header[-3:] == ["pp"] * 3
    return Snapshot(step, origin, cell, periodic, tuple(columns[2:]), tuple(words))


def snapshots(path: Path) -> Iterator[tuple[int, Snapshot]]:
    """All whole snapshots of a file, each with its first byte; what is cut off at the end is left out."""
    with path.open("rb") as stream:
        while True:
            offset = stream.tell()
            try:
                snapshot = read_snapshot(stream)
            except Incomplete:
                if stream.read(1):
                    raise
                return
            if snapshot is None:
                return
            yield offset, snapshot


def _box(header: list[str], bounds: list[list[float]]) -> tuple[FloatArray, FloatArray]:
    """Origin and cell; the bounds of a tilted box are those of what surrounds it."""
    if "abc" in header:
        rows = np.array(bounds)
        return rows[:, 3], rows[:, :3]
    low, high = np.array([row[0] for row in bounds]), np.array([row[1] for row in bounds])
    xy, xz, yz = (row[2] for row in bounds) if "xy" in header else (0.0, 0.0, 0.0)
    low -= (min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0)
    high -= (max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0)
    length = high - low
    cell = np.array([[length[0], 0.0, 0.0], [xy, length[1], 0.0], [xz, yz, length[2]]])
    return low, cell


def _line(stream: IO[bytes]) -> str:
    """One line that has an end."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise Incomplete("it is cut off")
    return line.decode("ascii", "replace").strip()


def _expect(line: bytes, text: str) -> None:
    if not line.endswith(b"\n") or line.decode("ascii", "replace").strip() != text:
        raise Incomplete(f"'{line[:40]!r}' instead of {text}")
