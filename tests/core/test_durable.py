import errno
import os
import threading
from pathlib import Path

import pytest

from ald_core import durable
from ald_core.errors import Stopped


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_publish_file_replaces_whole_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "file"
    durable.publish_file(path, b"one")
    durable.publish_file(path, b"")
    assert path.read_bytes() == b""
    durable.publish_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == {"file"}


def test_publish_file_keeps_the_old_bytes_when_it_dies_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    durable.publish_file(path, b"old")
    monkeypatch.setattr(Path, "rename", _die)
    with pytest.raises(Dead):
        durable.publish_file(path, b"new")
    assert path.read_bytes() == b"old"
    durable.sweep(tmp_path)
    assert names(tmp_path) == {"file"}


def test_data_is_synced_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def spy_fsync(descriptor: int) -> None:
        events.append("fsync " + str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def spy_rename(self: Path, target: Path) -> Path:
        events.append(f"rename {target}")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "rename", spy_rename)
    target = tmp_path / "job"
    staged = durable.stage(target)
    (staged / "sub").mkdir()
    (staged / "sub" / "a").write_text("a")
    durable.publish_folder(staged, target)
    expected = [f"{staged}/sub/a", f"{staged}/sub", f"{staged}"]
    assert events == [f"fsync {p}" for p in expected] + [f"rename {target}", f"fsync {tmp_path}"]
    events.clear()
    durable.publish_file(tmp_path / "f", b"x")
    assert events[0].startswith(f"fsync {tmp_path}/.f.")
    assert events[1:] == [f"rename {tmp_path / 'f'}", f"fsync {tmp_path}"]


def test_publish_folder_never_mixes_with_what_is_there(tmp_path: Path) -> None:
    target = tmp_path / "job"
    target.mkdir()
    (target / "old").touch()
    staged = durable.stage(target)
    (staged / "new").touch()
    with pytest.raises(Stopped, match="job"):
        durable.publish_folder(staged, target)
    assert names(target) == {"old"}


def test_claim_has_one_winner_among_many(tmp_path: Path) -> None:
    for round_ in range(20):
        path = tmp_path / f"claim-{round_}"
        barrier = threading.Barrier(8)
        won: list[int] = []

        def run(i: int, path: Path = path, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            if durable.claim(path, b"%d" % i):
                won.append(i)  # noqa: B023

        threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert path.read_bytes() == b"%d" % won[0]
    assert len(names(tmp_path)) == 20


def test_claim_believes_the_link_count_not_the_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def link_with_lost_reply(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "retransmitted")

    monkeypatch.setattr(os, "link", link_with_lost_reply)
    assert durable.claim(tmp_path / "claim", b"me")
    assert not durable.claim(tmp_path / "claim", b"you")
    assert (tmp_path / "claim").read_bytes() == b"me"


def test_claim_on_a_file_system_without_links_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(Stopped, match="claim: this file system has no hard links"):
        durable.claim(tmp_path / "claim", b"me")


def test_what_is_still_in_use_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over NFS, where a folder cannot go while a process has a file in it open."""

    def busy(path: Path) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty", str(path))

    (tmp_path / "folder").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", busy)
        durable.discard(tmp_path / "folder")
        durable.sweep(tmp_path)
    assert not (tmp_path / "folder").exists()
    assert len(list(tmp_path.iterdir())) == 1
    durable.sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_names_of_any_length_and_alphabet(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)
    durable.publish_file(path, b"x")
    assert path.read_bytes() == b"x"
    assert len(list(tmp_path.iterdir())) == 1


def test_discard_takes_the_name_away_before_the_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()
    durable.discard(tmp_path / "nothing")
    monkeypatch.setattr(durable, "_remove", _die)
    with pytest.raises(Dead):
        durable.discard(folder)
    assert not folder.exists()
    monkeypatch.undo()
    assert len(names(tmp_path)) == 1
    durable.sweep(tmp_path)
    assert names(tmp_path) == set()


def test_a_full_disk_or_a_failed_fsync_stops_with_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))
    with pytest.raises(Stopped, match="file: only 2 of 4 bytes"):
        durable.publish_file(tmp_path / "file", b"data")
    monkeypatch.undo()

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with (tmp_path / "log").open("ab", buffering=0) as log, pytest.raises(Stopped, match="log"):
        durable.append(log, b"line\n")
    assert not (tmp_path / "file").exists()


class Dead(BaseException):
    """The process is gone."""


def _die(*_: object) -> None:
    raise Dead
