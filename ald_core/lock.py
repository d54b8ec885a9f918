"""The lock of a study: a courtesy, so that a second `ald run` gets a clear answer. Safety rests on claims."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from pathlib import Path
from typing import Any

import psutil

from ald_core import durable
from ald_core.errors import InputError, Stopped


class Lock:
    """An flock on `.ald/lock`, with the name of its holder inside. Jobs do not inherit it."""

    def __init__(self, path: Path):
        """Take the lock, over a dead holder silently.

        Raises `InputError` naming host and process if a living one has it, or one on another machine that cannot be
        seen from here.
        """
        durable.make_folder(path.parent)
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise Stopped(f"{path}: {error.strerror}; put this right and run again") from error
        try:
            self._take()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _take(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"another {_name(self._holder())} works in this study already"
            ) from None
        holder, here = self._holder(), _identity()
        if holder and holder["boot"] != here["boot"] and holder["host"] != here["host"]:
            raise InputError(
                f"another {_name(holder)} may still work in this study; look there, and if it does not, "
                f"delete {self.path}"
            )
        if holder and holder["pid"] != here["pid"] and _is_alive(holder, here):
            raise InputError(f"another {_name(holder)} works in this study already")
        self._write(json.dumps(here).encode() + b"\n")

    def release(self) -> None:
        """Give the lock back; it may be called again."""
        if self._descriptor >= 0:
            self._write(b"")
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, data: bytes) -> None:
        # In place, for the flock belongs to this inode; what is lost in a crash is read as "nobody".
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)

    def _holder(self) -> dict[str, Any]:
        return _parse(os.pread(self._descriptor, 4096, 0))


def read_holder(path: Path) -> str:
    """Who works in the study of this lock, as far as can be told without touching it; empty: nobody."""
    holder = _parse(path.read_bytes()) if path.exists() else {}
    here = _identity()
    if not holder or holder["host"] == here["host"]:
        return f"{_name(holder)} is at work" if holder and _is_alive(holder, here) else ""
    return f"{_name(holder)} is at work, unless it died there"


def _parse(content: bytes) -> dict[str, Any]:
    try:
        holder = json.loads(content)
        return {key: holder[key] for key in ("host", "pid", "started", "boot")}
    except (ValueError, KeyError, TypeError):
        return {}


def _identity() -> dict[str, Any]:
    boot = Path("/proc/sys/kernel/random/boot_id")
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "boot": boot.read_text().strip() if boot.exists() else str(int(psutil.boot_time())),
    }


def _is_alive(holder: dict[str, Any], here: dict[str, Any]) -> bool:
    """Whether the holder is a living process of this machine (for file systems without flock)."""
    if holder["host"] != here["host"] or holder["boot"] != here["boot"]:
        return False
    try:
        return abs(psutil.Process(holder["pid"]).create_time() - float(holder["started"])) < 2.0
    except (psutil.Error, TypeError, ValueError):
        return False


def _name(holder: dict[str, Any]) -> str:
    if not holder:
        return "`ald run`"
    return f"`ald run` (process {holder['pid']} on host {holder['host']})"
