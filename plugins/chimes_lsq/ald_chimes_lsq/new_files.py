"""Files that take the place of old ones only when they are complete and on the disk."""

import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ald_core.durable import sync_folder
from ald_core.errors import InputError

_SUFFIX = ".new"


class NewFile:
    """A text file that is written under a temporary name beside its own. Every OSError names the file."""

    def __init__(self, path: Path):
        self.path = path
        with _naming(path):
            self._in_place = _is_special(path)
            # A link stays a link; a device or a pipe has no other name.
            self._target = path if self._in_place else Path(os.path.realpath(path))
            name = f".{self._target.name[:120]}.{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
            self._written = self._target if self._in_place else self._target.with_name(name)
            self._stream: TextIO = self._written.open("w", encoding="utf-8")

    @property
    def folder(self) -> Path | None:
        """Where its name is given; links are followed, and a device or a pipe has its name already."""
        return None if self._in_place else self._target.parent

    def write(self, text: str) -> None:
        """Write a piece."""
        with _naming(self.path):
            self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write pieces, each with its newline."""
        with _naming(self.path):
            self._stream.writelines(lines)

    def complete(self) -> None:
        """Bring everything to the disk."""
        if self._stream.closed:
            return
        with _naming(self.path):
            self._stream.flush()
            if not self._in_place:
                os.fsync(self._stream.fileno())
            self._stream.close()

    def publish(self) -> None:
        """Give a complete file its name."""
        if not self._in_place:
            with _naming(self.path):
                self._written.replace(self._target)

    def discard(self) -> None:
        """Forget a file that has no name yet; after `publish` nothing happens."""
        # What could not be written is not wanted anyway.
        with suppress(OSError):
            self._stream.close()
        if not self._in_place:
            self._written.unlink(missing_ok=True)


class NewFiles:
    """Files that get their names together, in the order of `open`; after an error none does, and old ones stay."""

    def __init__(self) -> None:
        self._files: list[NewFile] = []

    def __enter__(self) -> "NewFiles":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.discard()

    def open(self, path: Path) -> NewFile:
        """Begin a file."""
        file = NewFile(path)
        self._files.append(file)
        return file

    def write(self, path: Path, pieces: str | Iterable[str]) -> None:
        """Write a whole file."""
        self.open(path).writelines([pieces] if isinstance(pieces, str) else pieces)

    def drop(self, file: NewFile) -> None:
        """Do without a file."""
        self._files.remove(file)
        file.discard()

    def publish(self, obsolete: Iterable[Path] = ()) -> None:
        """Give all files their names, after obsolete ones are removed."""
        for file in self._files:
            file.complete()
        for path in obsolete:
            with _naming(path):
                path.unlink(missing_ok=True)
        for file in self._files:
            file.publish()
        for folder in dict.fromkeys(file.folder for file in self._files):
            if folder is not None:
                with _naming(folder):
                    sync_folder(folder)


def write_file(path: Path, pieces: str | Iterable[str]) -> None:
    """Write one file.

    Raises:
        OSError: naming the file, which is then what it was before.
    """
    with NewFiles() as files:
        files.write(path, pieces)
        files.publish()


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A folder for large files that nobody keeps; it is removed at the end, also after an error.

    Raises:
        InputError: it cannot be made.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=".ald-chimes-", dir=parent)
    except OSError as error:
        raise InputError(
            f"no scratch folder can be made here ({error.strerror})",
            path=parent,
            cure="name another one",
        ) from None
    with made as name:
        yield Path(name)


def _is_special(path: Path) -> bool:
    """Whether this is a device or a pipe; a folder is an error."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return not stat.S_ISREG(mode)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file that was asked for, not the temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
