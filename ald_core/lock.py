"""The lock of a study: a courtesy, so that a second `ald run` gets a clear answer. Safety rests on claims.

`.ald/lock` names its holder: host, process, its start, boot and process namespace of the machine. While it works, the
holder counts up a beat in it every few seconds. Who finds a holder on this machine looks at the process; who finds one
elsewhere looks for a beat, by counting and never by a clock, and asks if there is none. An flock says more where the
file system has any: of a holder that this kernel runs, or ran, it knows whether it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import threading
import time
from pathlib import Path
from typing import Any

import attrs
import psutil

from ald_core import durable
from ald_core.errors import InputError, Stopped

BEAT = 5.0
"""Seconds between two beats of a holder."""
PATIENCE = 20.0
"""Seconds for which a holder elsewhere may show no beat; file systems of networks show changes late."""
_LOOKS = 40
_SLACK = 2.0
"""Seconds by which the same start of a process may differ, where it is counted from a boot time that is corrected."""
_STARTED = 19
"""Position of the start of a process in `/proc/<pid>/stat`, behind its name (proc(5): field 22)"""
_SIZE = 1024
"""Bytes of the file: one write replaces all of them, so that no reader sees a mixture or nothing."""


@attrs.frozen
class Holder:
    """A process that works in a study, or did."""

    host: str
    pid: int
    started: float
    """Seconds since the boot, on Linux; elsewhere as the clock was"""
    boot: str
    machine: str = ""
    namespace: str = ""
    """Of process ids: containers have their own"""
    beat: int = 0

    @classmethod
    def me(cls) -> Holder:
        """This process."""
        boot = _first_line(Path("/proc/sys/kernel/random/boot_id"))
        namespace = ""
        with contextlib.suppress(OSError):
            namespace = str(Path("/proc/self/ns/pid").readlink())
        return cls(
            platform.node(),
            os.getpid(),
            _started(os.getpid()),
            boot or str(int(psutil.boot_time())),
            _first_line(Path("/etc/machine-id")),
            namespace,
        )

    def __str__(self) -> str:
        return f"`ald run` (process {self.pid} on host {self.host})"

    def is_same(self, other: Holder | None) -> bool:
        """Whether both are one process."""
        if other is None or abs(other.started - self.started) >= _SLACK:
            return False
        return attrs.evolve(self, started=other.started, beat=other.beat) == other

    def is_alive(self) -> bool | None:
        """Whether it lives; None: it works, or worked, where this process cannot look."""
        here = Holder.me()
        if (self.boot, self.namespace) == (here.boot, here.namespace):
            try:
                return abs(_started(self.pid) - self.started) < _SLACK
            except psutil.Error:
                return False
        if (self.host, self.machine) == (here.host, here.machine) and self.boot != here.boot:
            return False  # this machine has been started again since
        return None

    def is_suspended(self) -> bool:
        """Whether it lives here and was stopped, as by Ctrl-Z."""
        try:
            return self.is_alive() is True and psutil.Process(self.pid).status() == "stopped"
        except psutil.Error:
            return False


class Lock:
    """An flock on `.ald/lock`, if there are any, with the name of its holder inside. Jobs do not inherit it."""

    def __init__(self, path: Path, *, take_over: bool = False):
        """Take the lock, over a dead holder silently.

        Raises `InputError` naming host and process if a living one has it. One that cannot be seen from here and gives
        no sign of life keeps it too, unless the user says `take_over`.
        """
        durable.make_folder(path.parent)
        self.path = path
        self._me = Holder.me()
        self._ended = threading.Event()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._take(take_over)
                self._write(self._me)
            except BaseException:
                os.close(self._descriptor)
                raise
        except OSError as error:
            raise Stopped(f"{path}: {error.strerror}; put this right and run again") from error
        self._beating = threading.Thread(target=self._beat, name="ald-lock", daemon=True)
        self._beating.start()

    def _take(self, take_over: bool) -> None:
        locked = self._is_locked()
        holder = read_holder(self.path)
        alive = locked if holder is None or self._me.is_same(holder) else holder.is_alive()
        if holder is not None and alive is None:
            if _shows_life(self.path, holder):
                alive = True
            elif take_over:
                return  # an flock that a machine which is gone has left behind is worth nothing
            elif locked is False and holder.boot == self._me.boot:
                return  # it was in another container of this machine, which has its flock no more
            else:
                raise InputError(
                    f"another {holder} has this study and has given no sign of life for {PATIENCE:g} seconds; look "
                    "there, and if it is dead, go on with `ald run --take-over`"
                )
        if locked or alive:
            if holder and holder.is_suspended():
                raise InputError(
                    f"another {holder} has this study and is suspended; continue it (`fg` in its shell), or end it "
                    f"with `kill -9 {holder.pid}`, which loses nothing"
                )
            name = holder if holder and alive else "`ald run`"
            raise InputError(f"another {name} works in this study already; `ald stop` stops it")

    def _is_locked(self) -> bool | None:
        """Whether another process has the flock, which this one gets if nobody has; None: there are no locks here."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return True
        except OSError:
            return None
        return False

    def release(self) -> None:
        """Give the lock back; it may be called again."""
        if self._descriptor < 0:
            return
        self._ended.set()
        self._beating.join()
        with contextlib.suppress(OSError):
            if self._me.is_same(read_holder(self.path)):
                self._write(None)
        os.close(self._descriptor)
        self._descriptor = -1

    def _beat(self) -> None:
        """Show life until the end, or until somebody else has taken over."""
        beat = 0
        while not self._ended.wait(BEAT):
            beat += 1
            with contextlib.suppress(OSError):
                if not self._me.is_same(read_holder(self.path)):
                    return
                self._write(attrs.evolve(self._me, beat=beat))

    def _write(self, holder: Holder | None) -> None:
        # In place, for the flock belongs to this inode; what is lost in a crash is read as "nobody".
        text = "" if holder is None else json.dumps(attrs.asdict(holder))
        os.pwrite(self._descriptor, text.ljust(_SIZE - 1).encode() + b"\n", 0)
        os.fsync(self._descriptor)


def read_holder(path: Path) -> Holder | None:
    """Who a lock names, dead or alive; None: nobody, or the file makes no sense."""
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        holder = Holder(**content)
        return attrs.evolve(holder, pid=int(holder.pid), started=float(holder.started))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return None


def who_works(path: Path) -> Holder | None:
    """Who works in the study of this lock, or may do so where this process cannot look; None: nobody."""
    holder = read_holder(path)
    return None if holder is None or holder.is_alive() is False else holder


def _shows_life(path: Path, holder: Holder) -> bool:
    """Whether the lock changes while this process waits: its holder beats, or goes."""
    for _ in range(_LOOKS):
        time.sleep(PATIENCE / _LOOKS)
        if read_holder(path) != holder:
            return True
    return False


def _started(pid: int) -> float:
    """When a process was started; psutil.Error if there is none. Where it can be, independent of the clock."""
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(words[_STARTED]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return psutil.Process(pid).create_time()


def _first_line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
