r"""The journal of a study: what has been decided, one record per line, never changed.

`.ald/journal/000001.jsonl`, one file per start of `ald run` (a generation), to which only its creator appends. A line:
`CRC32 SEQ JSON\n`: the checksum (8 lower-case hexadecimal digits) of the rest of the line, the line's number in its
file, the record. The first record of a file says who wrote it; the second seals all older files: their valid lengths
and SHA-256. What a process that was overtaken appends to its file afterwards lies behind the seal and is not read.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO, FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs

from ald_core import durable
from ald_core.errors import InputError, Stopped
from ald_core.lock import Lock

Record = dict[str, Any]
"""A JSON object with a `type`; `at` is the time of day, for people only."""

FORMAT = 1
_FILE = re.compile(r"[0-9]{6}\.jsonl")
_OWN = ("GENERATION", "SEAL")


@attrs.frozen
class _Generation:
    number: int
    records: list[Record]
    length: int
    """Bytes that count"""
    sha256: str
    """Of these bytes"""


class Journal:
    """The journal, open for writing by the one `ald run` that holds the lock."""

    def __init__(self, folder: Path, number: int, records: list[Record], lock: Lock):
        self._folder = folder
        self._number = number
        self._records = records
        self._lock = lock
        self._path = _file(folder, number)
        self._stream = FileIO(self._path, "a")
        self._sequence = 1
        self._broken = False

    @classmethod
    def open(cls, study: Path) -> Journal:
        """Take the lock of the study, begin a generation, read what the older ones say, and seal them.

        Raises `InputError` if another `ald run` works in the study or the journal is damaged.
        """
        lock = Lock(study / ".ald" / "lock")
        try:
            return cls._begin(study / ".ald" / "journal", lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _begin(cls, folder: Path, lock: Lock) -> Journal:
        durable.make_folder(folder)
        durable.sweep(folder)
        number = max(_numbers(folder), default=0) + 1
        header = {
            "type": "GENERATION",
            "format": FORMAT,
            "number": number,
            "host": platform.node(),
            "pid": os.getpid(),
        }
        # First the new file, then the reading: the other order loses what is appended in between.
        if not durable.claim(_file(folder, number), _line(1, header)):
            raise InputError("another `ald run` began in this study at the same moment; run again")
        older = [g for g in _read(folder) if g.number < number]
        journal = cls(folder, number, [r for g in older for r in g.records], lock)
        seals = [{"number": g.number, "length": g.length, "sha256": g.sha256} for g in older]
        try:
            journal._write({"type": "SEAL", "generations": seals})
        except BaseException:
            journal._stream.close()
            raise
        return journal

    @property
    def records(self) -> Sequence[Record]:
        """All records so far, oldest first, without the journal's own."""
        return self._records

    def append(self, record: Mapping[str, Any]) -> Record:
        """Add a record and return it as stored; when this returns it is on disk.

        Raises `Stopped` if it cannot be written, or if a newer `ald run` has taken over.
        """
        stored = {**record, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        self._write(stored)
        self._records.append(stored)
        return stored

    def _write(self, record: Record) -> None:
        if self._broken:
            raise Stopped(f"{self._path}: an earlier write failed; run again")
        self._broken = True
        durable.append(self._stream, _line(self._sequence + 1, record))
        self._broken = False
        self._sequence += 1
        self.verify()

    def verify(self) -> None:
        """Raise `Stopped` if a newer `ald run` has taken over this study; asked before any act outside."""
        if max(_numbers(self._folder), default=0) > self._number:
            raise Stopped("a newer `ald run` has taken over this study; this one stops")

    def close(self) -> None:
        """Release the lock."""
        self._stream.close()
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read_journal(study: Path) -> list[Record]:
    """All records of a study, oldest first; reads only, also while an `ald run` appends. [] before the first run."""
    return [record for g in _read(study / ".ald" / "journal") for record in g.records]


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(p.stem) for p in folder.iterdir() if _FILE.fullmatch(p.name))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.jsonl"


def _line(sequence: int, record: Mapping[str, Any]) -> bytes:
    body = f"{sequence} {json.dumps(record, separators=(',', ':'), allow_nan=False)}".encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _read(folder: Path) -> list[_Generation]:
    """All generations in order. The newest seal is the authority for all that it names."""
    numbers = _numbers(folder)
    for expected, number in enumerate(numbers, start=1):
        if number != expected:
            raise InputError("this part of the journal is missing", path=_file(folder, expected))
    generations: list[_Generation] = []
    seals: dict[int, Mapping[str, Any]] | None = None
    # Newest first, so that an older file can only have grown past its seal when it is read.
    for number in reversed(numbers):
        path = _file(folder, number)
        data = path.read_bytes()
        if seals is not None:
            data = _sealed_part(path, data, seals.get(number, {}))
        records, length = _parse(path, data)
        if seals is not None and length != len(data):
            raise InputError("damaged: the last line cannot be read", path=path)
        for record in records:
            if record["type"] == "SEAL" and seals is None:
                seals = {seal["number"]: seal for seal in record["generations"]}
        content = [record for record in records if record["type"] not in _OWN]
        sha256 = hashlib.sha256(data[:length]).hexdigest()
        generations.append(_Generation(number, content, length, sha256))
    return generations[::-1]


def _sealed_part(path: Path, data: bytes, seal: Mapping[str, Any]) -> bytes:
    part = data[: seal.get("length", 0)]
    if len(part) != seal.get("length") or hashlib.sha256(part).hexdigest() != seal.get("sha256"):
        _parse(path, part)  # names the line, when one can be named
        raise InputError("damaged: it is not what was sealed by a later run", path=path)
    return part


def _parse(path: Path, data: bytes) -> tuple[list[Record], int]:
    """The records of one file and the number of bytes they fill; a torn tail is left out."""
    records: list[Record] = []
    length = 0
    bad: int | None = None
    for number, line in enumerate(BytesIO(data), start=1):
        sequence, record = _parse_line(line)
        if record is None:
            bad = number if bad is None else bad
        elif bad is not None or sequence != b"%d" % number:
            # Good lines behind it: no torn tail, but damage in what had been written.
            raise InputError("damaged: this line cannot be read", path=path, line=bad or number)
        else:
            records.append(record)
            length += len(line)
    if records and records[0].get("format", FORMAT) != FORMAT:
        raise InputError("written by a newer version of ald; install that version", path=path)
    return records, length


def _parse_line(line: bytes) -> tuple[bytes, Record | None]:
    """Its number as written, and the record, or None if the line is not as it was written."""
    checksum, _, body = line.removesuffix(b"\n").partition(b" ")
    sequence, _, text = body.partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
        return sequence, None
    try:
        record = json.loads(text)
    except ValueError:
        return sequence, None
    return sequence, record if isinstance(record, dict) and "type" in record else None
