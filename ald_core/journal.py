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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
_CURE = "`ald repair` shows what can be saved"
_FILE = re.compile(r"[0-9]{6}\.jsonl")
_OWN = ("GENERATION", "SEAL")
_TYPE = b'{"type":"'
_PASSED_OVER: Record = {"type": ""}


@attrs.frozen
class _Generation:
    number: int
    records: list[Record]
    length: int
    """Bytes that count"""
    sha256: str
    """Of these bytes"""


@attrs.frozen
class Salvage:
    """What can be read of a damaged journal."""

    records: tuple[Record, ...]
    damage: tuple[str, ...]
    """In sentences; none: it is whole"""


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
    def open(cls, study: Path, *, take_over: bool = False) -> Journal:
        """Take the lock of the study, begin a generation, read what the older ones say, and seal them.

        Raises `InputError` if another `ald run` works in the study (`take_over`: see `Lock`) or the journal is damaged.
        """
        lock = Lock(study / ".ald" / "lock", take_over=take_over)
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
        # First the new file, then the reading: the other order loses what is appended in between.
        if not durable.claim(_file(folder, number), _line(1, _header(number))):
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

    @classmethod
    def replace(cls, study: Path, content: Callable[[Salvage], Sequence[Record]]) -> None:
        """Begin a generation with `content`, made of all that can be read; the older ones are kept and not read again.

        Raises `InputError` if an `ald run` works in the study.
        """
        lock = Lock(study / ".ald" / "lock")
        folder = study / ".ald" / "journal"
        try:
            number = max(_numbers(folder), default=0) + 1
            # As in `_begin`: the new file first, so that nobody appends to the older ones any longer.
            begun = durable.claim(_file(folder, number), _line(1, _header(number)))
            seals = [_seal(n, b"") for n in range(1, number + 1)]
            records = [_header(number + 1), {"type": "SEAL", "generations": seals}]
            records += content(salvage(study))
            lines = b"".join(_line(i, record) for i, record in enumerate(records, start=1))
            if not begun or not durable.claim(_file(folder, number + 1), lines):
                raise InputError("another `ald run` began in this study at the same moment")
        finally:
            lock.release()

    @property
    def generation(self) -> int:
        """Number of this start of `ald run`."""
        return self._number

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


def read_journal(study: Path, kinds: Collection[str] = ()) -> list[Record]:
    """All records of a study, or those of some kinds, oldest first; [] before the first run.

    Reads only, also while an `ald run` appends.
    """
    wanted = frozenset(kind.encode() for kind in (*_OWN, *kinds)) if kinds else None
    return [record for g in _read(study / ".ald" / "journal", wanted) for record in g.records]


def newest_generation(study: Path) -> int:
    """Number of the latest start of `ald run`; 0 before the first."""
    return max(_numbers(study / ".ald" / "journal"), default=0)


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(p.stem) for p in folder.iterdir() if _FILE.fullmatch(p.name))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.jsonl"


def _line(sequence: int, record: Mapping[str, Any]) -> bytes:
    body = f"{sequence} {json.dumps(record, separators=(',', ':'), allow_nan=False)}".encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _header(number: int) -> Record:
    about = {"format": FORMAT, "number": number, "host": platform.node(), "pid": os.getpid()}
    return {"type": "GENERATION", **about}


def _seal(number: int, part: bytes) -> Record:
    return {"number": number, "length": len(part), "sha256": hashlib.sha256(part).hexdigest()}


def _read(folder: Path, kinds: Collection[bytes] | None = None) -> list[_Generation]:
    """All generations in order. The newest seal is the authority for all that it names."""
    generations: list[_Generation] = []
    seals: dict[int, Mapping[str, Any]] | None = None
    # Newest first, so that an older file can only have grown past its seal when it is read.
    for number in range(max(_numbers(folder), default=0), 0, -1):
        path = _file(folder, number)
        seal = None if seals is None else seals.get(number, {})
        data = b"" if seal == _seal(number, b"") else _read_file(path)
        if seal is not None:
            data = _sealed_part(path, data, seal)
        records, length = _parse(path, data, kinds)
        if seal is not None and length != len(data):
            raise _damaged("the last line cannot be read", path)
        for record in records:
            if record["type"] == "SEAL" and seals is None:
                seals = {seal["number"]: seal for seal in record["generations"]}
        content = [r for r in records if r["type"] not in _OWN and r is not _PASSED_OVER]
        sha256 = hashlib.sha256(data[:length]).hexdigest()
        generations.append(_Generation(number, content, length, sha256))
    return generations[::-1]


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"this part of the journal is missing; {_CURE}", path=path) from None


def _damaged(what: str, path: Path, line: int | None = None) -> InputError:
    return InputError(f"damaged: {what}; {_CURE}", path=path, line=line)


def _sealed_part(path: Path, data: bytes, seal: Mapping[str, Any]) -> bytes:
    part = data[: seal.get("length", 0)]
    if len(part) != seal.get("length") or hashlib.sha256(part).hexdigest() != seal.get("sha256"):
        _parse(path, part)  # names the line, when one can be named
        raise _damaged("it is not what was sealed by a later run", path)
    return part


def _parse(
    path: Path, data: bytes, kinds: Collection[bytes] | None = None
) -> tuple[list[Record], int]:
    """The records of one file and the number of bytes they fill; a torn tail is left out."""
    records: list[Record] = []
    length = 0
    bad: int | None = None
    for number, line in enumerate(BytesIO(data), start=1):
        sequence, record = _parse_line(line, kinds)
        if record is None:
            bad = number if bad is None else bad
        elif bad is not None or sequence != b"%d" % number:
            # Good lines behind it: no torn tail, but damage in what had been written.
            raise _damaged("this line cannot be read", path, bad or number)
        else:
            records.append(record)
            length += len(line)
    _check_format(path, records[:1])
    return records, length


def _check_format(path: Path, records: Iterable[Record]) -> None:
    if any(r.get("format", FORMAT) != FORMAT for r in records if r["type"] == "GENERATION"):
        raise InputError("written by a newer version of ald; install that version", path=path)


def _parse_line(line: bytes, kinds: Collection[bytes] | None = None) -> tuple[bytes, Record | None]:
    """Its number as written, and the record, or None if the line is not as it was written.

    With `kinds`, what is seen to be of another kind is checked, and not read.
    """
    checksum, _, body = line.removesuffix(b"\n").partition(b" ")
    sequence, _, text = body.partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body):
        return sequence, None
    if kinds is not None and text.startswith(_TYPE):
        kind = text[len(_TYPE) : text.find(b'"', len(_TYPE))]
        if kind not in kinds:
            return sequence, _PASSED_OVER
    try:
        record = json.loads(text)
    except ValueError:
        return sequence, None
    return sequence, record if isinstance(record, dict) and "type" in record else None


# ---------------------------------------------------------------- what a damaged journal still says


def salvage(study: Path) -> Salvage:
    """Every good record, and where some are missing. Raises InputError if it cannot be told what is good."""
    folder = study / ".ald" / "journal"
    records: list[Record] = []
    damage: list[str] = []
    seals: dict[int, Mapping[str, Any]] | None = None
    for number in range(max(_numbers(folder), default=0), 0, -1):
        seal = None if seals is None else seals.get(number)
        path = _file(folder, number)
        if seals is not None and seal is None:
            raise InputError("no later run has sealed it; restore it from a backup", path=path)
        if seal == _seal(number, b""):
            continue
        found, faults = _salvage_file(path, seal)
        for record in found:
            if record["type"] == "SEAL" and seals is None:
                seals = {seal["number"]: seal for seal in record["generations"]}
        records[:0] = [record for record in found if record["type"] not in _OWN]
        damage[:0] = [f"{path}: {fault}" for fault in faults]
    return Salvage(tuple(records), tuple(damage))


def _salvage_file(path: Path, seal: Mapping[str, Any] | None) -> tuple[list[Record], list[str]]:
    """Good records of one file in the order of their numbers, and what is wrong with it."""
    if not path.is_file():
        return [], ["is missing, with all its records"]
    data = path.read_bytes()
    part = data if seal is None else data[: seal["length"]]
    good: dict[int, tuple[bytes, Record]] = {}
    bad: list[int] = []
    last = 0
    for number, line in enumerate(BytesIO(part), start=1):
        sequence, record = _parse_line(line)
        if record is None or not sequence.isdigit():
            bad.append(number)
            continue
        last = number
        if good.setdefault(int(sequence), (line, record))[0] != line:
            raise InputError("two lines have one number; restore it from a backup", path=path)
    _check_format(path, (record for _, record in good.values()))
    # Behind the last good line of a file that nobody has sealed: an append that never ended.
    faults = [f"line {n} cannot be read" for n in bad if n < last or seal is not None]
    lacking = 0 if seal is None else seal["length"] - len(part)
    if lacking:
        faults.append(f"{lacking} bytes are missing at its end")
    elif seal and not faults and _seal(0, part)["sha256"] != seal["sha256"] and _is_whole(good):
        raise InputError(
            "can be read, but is not what was sealed by a later run; restore it from a backup",
            path=path,
        )
    missing = sorted(set(range(1, max(good, default=0) + 1)) - set(good))
    if missing and not faults:
        faults.append(f"records {', '.join(map(str, missing))} are missing")
    if not good and not faults:
        faults.append("line 1 cannot be read")
    if list(good) != sorted(good):
        faults.append("its lines were in another order")
    return [good[n][1] for n in sorted(good)], faults


def _is_whole(good: Mapping[int, object]) -> bool:
    return list(good) == list(range(1, len(good) + 1))
