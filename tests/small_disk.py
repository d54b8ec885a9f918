"""A small file system of its own, which gets full.

    with SmallDisk() as disk:
        disk.leave(pages=3)  # of 4 KiB, until
        disk.clear()

A tmpfs where mounting is allowed (as root, or with sudo). Elsewhere files may not grow beyond what is left, which is
told with another number of error, but at the same places.
"""

import os
import resource
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

PAGE = 4096


class SmallDisk:
    """A folder on a disk of some megabytes."""

    def __init__(self, megabytes: int = 8, files: int = 4000):
        self.path = Path(tempfile.mkdtemp(prefix="ald-disk-"))
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        options = f"size={megabytes}m,nr_inodes={files},mode=777"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)]
        self.root: list[str] = []
        self.mounted = _succeeds(mount)
        if not self.mounted and _succeeds(["sudo", "-n", *mount]):
            self.mounted, self.root = True, ["sudo", "-n"]

    def __enter__(self) -> "SmallDisk":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        if self.mounted:
            subprocess.run([*self.root, "umount", "-l", str(self.path)], check=True)
        shutil.rmtree(self.path)

    @property
    def _filling(self) -> Path:
        return self.path / "filling"

    def leave(self, pages: int) -> None:
        """Fill it but for so many pages."""
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (pages * PAGE // 4, self.limits[1]))
            return
        self._filling.touch()
        free = os.statvfs(self.path).f_bavail
        with (
            suppress(OSError),
            self._filling.open("ab", buffering=0) as stream,
        ):  # others write, too
            stream.write(bytes(max(free - pages, 0) * PAGE))

    def leave_files(self, number: int) -> None:
        """Make files until so many more can be made."""
        if not self.mounted:
            self.leave(number // 2)
            return
        self._filling.mkdir()
        for i in range(max(os.statvfs(self.path).f_favail - number, 0)):
            (self._filling / str(i)).touch()

    def clear(self) -> None:
        """Give the room back."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)
        if self._filling.is_dir():
            shutil.rmtree(self._filling)
        self._filling.unlink(missing_ok=True)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
