"""The five durable operations: append, publish a file, publish a folder, claim, discard.

After an operation returns, its effect survives a power cut; before that, nobody sees a part of it. Nothing else in the
core calls fsync or rename. A disk that fails (full, unreadable, gone) gives `Stopped`: the process ends, and since
nothing was half believed, the next one goes on. A failed fsync is never repeated: the kernel may have dropped pages.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from ald_core.errors import Stopped

_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
_OF_THE_DISK = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE, errno.EROFS, errno.EREMOTEIO,
)  # fmt: skip
_IN_USE = (errno.ENOTEMPTY, errno.EBUSY)
"""NFS keeps files, and so their folder, that a process still has open."""
FLOOR = 20_000_000
"""Bytes of a file system that stay free"""
FLOOR_FILES = 200
"""The same for its files, where it tells their number"""
_NEW = ".ald-new"
_OLD = ".ald-old"


def append(stream: FileIO, data: bytes) -> None:
    """Append `data` to an unbuffered file opened for appending, in one write."""
    with _stop_on_error(Path(os.fsdecode(stream.name))):
        _write_whole(stream.fileno(), data)


def publish_file(path: Path, data: bytes) -> None:
    """Write `path`, replacing what was there; readers see the old or the new bytes, never a mixture."""
    with _stop_on_error(path):
        make_folder(path.parent)
        new = _beside(path, _NEW)
        _write_new(new, data)
        new.rename(path)
        sync_folder(path.parent)


def show_file(path: Path, data: bytes) -> None:
    """Replace `path` whole with what may be lost, and is not worth stopping for: no sync, and errors are ignored."""
    new = path.with_name(f".{path.name}.{os.getpid()}{_NEW}")
    try:
        new.write_bytes(data)
        new.rename(path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)


def stage(target: Path) -> Path:
    """An empty folder beside `target`, to be filled and given to `publish_folder`."""
    with _stop_on_error(target):
        make_folder(target.parent)
        staged = _beside(target, _NEW)
        staged.mkdir()
        return staged


def publish_folder(staged: Path, target: Path) -> None:
    """Make a folder from `stage` and all in it durable, and give it its name, which must be free."""
    with _stop_on_error(target):
        _sync_tree(staged)
        staged.rename(target)
        sync_folder(target.parent)


def claim(path: Path, content: bytes) -> bool:
    """Create `path` with `content` if it does not exist; True for exactly one of any number of claimants.

    A private file is linked to `path`, and its number of links is the answer: over NFS the reply to link can be lost.
    """
    with _stop_on_error(path):
        private = _beside(path, _NEW)
        _write_new(private, content)
        try:
            os.link(private, path)
        except OSError as error:
            if error.errno in _NO_LINKS:
                error.strerror = "this file system has no hard links, which ald needs"
            if _links(private) != 2 and not path.exists():
                raise
        won = _links(private) == 2
        private.unlink()
        sync_folder(path.parent)
        return won


def discard(path: Path) -> None:
    """Remove a file or folder; it leaves its name at once, before its contents go. Nothing there is no error."""
    with _stop_on_error(path):
        old = _beside(path, _OLD)
        try:
            path.rename(old)
        except FileNotFoundError:
            return
        sync_folder(path.parent)
        _remove(old)


def sweep(folder: Path) -> None:
    """Remove what operations that were killed have left in `folder`."""
    with _stop_on_error(folder):
        if folder.is_dir():
            for entry in sorted(folder.iterdir()):
                if entry.name.startswith(".") and entry.name.endswith((_NEW, _OLD)):
                    _remove(entry)


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents, durably, where they are missing."""
    with _stop_on_error(folder):
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            new.mkdir(exist_ok=True)
            sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Make names that were given in `folder` durable; an OSError, as plugins that write files of their own want it."""
    _sync_path(folder, os.O_DIRECTORY)


def named(error: OSError, path: Path) -> OSError:
    """The error with the name of a file, which those of writing, syncing and closing lack."""
    if error.filename is not None or error.errno is None:
        return error
    return OSError(error.errno, error.strerror, str(path))


def check_room(folder: Path) -> None:
    """Raise `Stopped` if the disk is as good as full: what is calculated on it then fails, innocently."""
    with _stop_on_error(folder):
        disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < FLOOR or (disk.f_files and disk.f_favail < FLOOR_FILES):
        left = f"{free / 1e6:.0f} MB and {disk.f_favail} files"
        raise Stopped(f"{folder}: the disk is full ({left} left); make room and run again")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around other writing below `path`: a disk that fails gives `Stopped`, other errors are left as they are."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        with _stop_on_error(Path(error.filename or path)):
            raise


@contextmanager
def _stop_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise Stopped(f"{path}: {reason}; put this right and run again, nothing is lost") from error


def _beside(path: Path, suffix: str) -> Path:
    """A name that no other process uses, in the same folder (rename and link need one file system)."""
    name = os.fsdecode(os.fsencode(path.name)[:120])
    return path.with_name(f".{name}.{os.getpid()}-{secrets.token_hex(6)}{suffix}")


def _links(path: Path) -> int:
    """How many names a file has; it is opened, for then NFS asks the server."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.fstat(descriptor).st_nlink
    finally:
        os.close(descriptor)


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _write_whole(descriptor, data)
    finally:
        os.close(descriptor)


def _write_whole(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data) if data else 0
    if written != len(data):
        raise OSError(f"only {written} of {len(data)} bytes could be written")
    os.fsync(descriptor)


def _sync_path(path: Path, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(top: Path) -> None:
    for folder, _, files in os.walk(top, topdown=False):
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                _sync_path(path)
        sync_folder(Path(folder))


def _remove(path: Path) -> None:
    """Remove what nobody knows by name any more; what is still in use is left for a later `sweep`."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in _IN_USE:
            raise
