import json
import os
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from ald_core.errors import InputError, Stopped
from ald_core.journal import Journal, read_journal


def write(study: Path, *values: object) -> Path:
    """One generation with a record per value; its file."""
    with Journal.open(study) as journal:
        for value in values:
            journal.append({"type": "X", "value": value})
    return max((study / ".ald" / "journal").iterdir())


def values(study: Path) -> list[object]:
    return [record["value"] for record in read_journal(study)]


def test_nothing_yet(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_lines_are_as_documented(tmp_path: Path) -> None:
    path = write(tmp_path, "å\n", {"a": [1.5, None]})
    assert path.name == "000001.jsonl"
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        checksum, rest = line.split(b" ", 1)
        assert checksum == b"%08x" % zlib.crc32(rest)
        sequence, text = rest.split(b" ", 1)
        assert int(sequence) == number
        assert isinstance(json.loads(text), dict)
    assert values(tmp_path) == ["å\n", {"a": [1.5, None]}]


def test_generations_add_up(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    write(tmp_path)
    path = write(tmp_path, 3)
    assert path.name == "000003.jsonl"
    with Journal.open(tmp_path) as journal:
        assert [r["value"] for r in journal.records] == [1, 2, 3]
        journal.append({"type": "X", "value": 4})
        assert [r["value"] for r in journal.records] == [1, 2, 3, 4]
        assert values(tmp_path) == [1, 2, 3, 4]


def test_some_kinds_only(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        for kind in ("A", "B", "AB", "A"):
            journal.append({"type": kind, "value": kind})
        journal.append({"value": "last", "type": "B"})  # not as we write it, but right
    write(tmp_path, 7)
    found = read_journal(tmp_path, ("B", "X"))
    assert [record["value"] for record in found] == ["B", "last", 7]
    path = tmp_path / ".ald" / "journal" / "000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"AB"', b'"AC"', 1))
    with pytest.raises(InputError, match=r"000001\.jsonl, line 5: damaged"):
        read_journal(tmp_path, ("B",))


def test_torn_at_every_byte(tmp_path: Path) -> None:
    write(tmp_path, "old")
    path = write(tmp_path, "a", "b", "c")
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        complete = sum(end <= cut for end in ends)
        assert values(tmp_path) == ["old", "a", "b", "c"][: max(complete - 1, 1)]
    for tail in (b"\0" * 50, b"garbage\n", b"\n\n", whole[ends[0] : ends[1] - 3]):
        path.write_bytes(whole + tail)
        assert values(tmp_path) == ["old", "a", "b", "c"]
        path.write_bytes(whole[: ends[-2]] + tail)
        assert values(tmp_path) == ["old", "a", "b"]
    # The next generation seals what was good, and the torn tail stays where it is.
    path.write_bytes(whole[:-5])
    write(tmp_path, "d")
    assert values(tmp_path) == ["old", "a", "b", "d"]


def test_flipped_bytes_are_never_read_as_records(tmp_path: Path) -> None:
    path = write(tmp_path, *range(5))
    whole = path.read_bytes()
    last_line = whole.rindex(b"\n", 0, -1) + 1
    rng = random.Random(1)
    flips = [(i, whole[i] ^ (1 << rng.randrange(8))) for i in range(len(whole))]
    flips += [(i, byte) for i in range(8) for byte in b" +-_\t\nA0"]
    for position, byte in flips:
        damaged = bytearray(whole)
        damaged[position] = byte
        if damaged == whole:
            continue
        path.write_bytes(damaged)
        if position >= last_line - 1:
            # Indistinguishable from an append that never ended: what cannot be read is dropped.
            assert values(tmp_path) in ([0, 1, 2, 3], [0, 1, 2])
        else:
            line = whole.count(b"\n", 0, position) + 1
            with pytest.raises(InputError, match=rf"000001\.jsonl, line {line}: damaged"):
                read_journal(tmp_path)


def test_damage_behind_a_seal_is_refused_even_in_the_last_line(tmp_path: Path) -> None:
    path = write(tmp_path, 1, 2)
    write(tmp_path, 3)
    whole = path.read_bytes()
    for position in (5, len(whole) // 2, len(whole) - 3, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"000001\.jsonl"):
            read_journal(tmp_path)
        with pytest.raises(InputError, match=r"000001\.jsonl"):
            Journal.open(tmp_path)
    path.write_bytes(whole[:-10])
    with pytest.raises(InputError, match=r"000001\.jsonl"):
        read_journal(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"000001\.jsonl: this part of the journal is missing"):
        read_journal(tmp_path)


def test_lines_may_not_be_removed_swapped_or_repeated(tmp_path: Path) -> None:
    path = write(tmp_path, 1, 2, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    for wrong in (
        [*lines[:2], *lines[3:]],
        [*lines[:2], lines[3], lines[2], lines[4]],
        [*lines, lines[-1]],
    ):
        path.write_bytes(b"".join(wrong))
        with pytest.raises(InputError, match="damaged"):
            read_journal(tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    body = b'1 {"type":"GENERATION","format":2,"number":1}'
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(body), body))
    with pytest.raises(InputError, match="newer version"):
        read_journal(tmp_path)


def test_a_second_run_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with Journal.open(tmp_path):
        code = (
            "import sys; from pathlib import Path; from ald_core.journal import Journal\n"
            f"Journal.open(Path({str(tmp_path)!r}))"
        )
        second = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        message = second.stderr.strip().splitlines()[-1]
        assert "InputError" in message
        assert f"process {os.getpid()} on host {os.uname().nodename}" in message
        assert len(list((tmp_path / ".ald" / "journal").iterdir())) == 1
    write(tmp_path, 1)


def test_jobs_do_not_inherit_the_lock(tmp_path: Path) -> None:
    with Journal.open(tmp_path), subprocess.Popen(["sleep", "60"], close_fds=False) as job:
        try:
            held = [str(p.readlink()) for p in Path(f"/proc/{job.pid}/fd").iterdir()]
        finally:
            job.kill()
    assert not [path for path in held if ".ald" in path]


def test_a_superseded_process_stops_and_what_it_appends_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.flock", lambda *_: None)  # locks lie
    old = Journal.open(tmp_path)
    old.append({"type": "X", "value": "good"})
    with Journal.open(tmp_path) as new:
        new.append({"type": "X", "value": "new"})
        with pytest.raises(Stopped, match="taken over"):
            old.verify()
        with pytest.raises(Stopped, match="taken over"):
            old.append({"type": "X", "value": "late"})
        with pytest.raises(Stopped):
            old.append({"type": "X", "value": "later"})
        assert values(tmp_path) == ["good", "new"]
    old.close()


def test_a_generation_without_seal_changes_nothing(tmp_path: Path) -> None:
    """Its process died between the new file and the seal; the one before may append meanwhile."""
    write(tmp_path, 1)
    path = write(tmp_path)
    header = path.read_bytes().splitlines(keepends=True)[0]
    for cut in range(len(header) + 1):
        path.write_bytes(header[:cut])
        assert values(tmp_path) == [1]
    write(tmp_path, 2)
    assert values(tmp_path) == [1, 2]


def test_after_a_failed_append_nothing_is_appended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal.open(tmp_path) as journal:
        journal.append({"type": "X", "value": 1})
        write_ = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write_(fd, data[:7]))
        with pytest.raises(Stopped, match=r"000001\.jsonl"):
            journal.append({"type": "X", "value": 2})
        monkeypatch.undo()
        with pytest.raises(Stopped):
            journal.append({"type": "X", "value": 3})
    assert values(tmp_path) == [1]
    write(tmp_path, 4)
    assert values(tmp_path) == [1, 4]
