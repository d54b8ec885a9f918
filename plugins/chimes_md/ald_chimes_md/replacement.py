"""Files that are replaced whole: readers see the old or the new bytes, whatever was killed between."""

import contextlib
import os
from pathlib import Path

from ald_core.durable import named, sync_folder

NEW = ".new"
"""Suffix of what is being written."""


def replace_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file under another name beside it, and give it its name.

    Args:
        path: of the file, which need not exist.
        content: all of it.
        durable: survives a power cut from the return on; without, only the end of the process, but it is fast.

    Raises:
        OSError: it could not be written, with the name; the old file is as it was.
    """
    new = path.with_name(path.name + NEW)
    try:
        with new.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        new.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise named(error, path) from error


def reason(error: OSError) -> str:
    """The error as the user wants to read it: the file, and what is wrong with it."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}"
