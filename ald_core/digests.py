"""Digests: the identity of bytes and of values."""

import hashlib
from pathlib import Path


def digest(*parts: object) -> str:
    """SHA-256 over the given parts (str, bytes, numbers, None), each with its length, as hex."""
    h = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        h.update(f"{len(data)}:".encode())
        h.update(data)
    return h.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def path_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, or of the names and bytes of all files in a folder, as hex.

    Hidden files and backups (`.INCAR.swp`, `INCAR~`) are left out: editors make them while somebody only looks.
    """
    if not path.is_dir():
        return file_digest(path)
    names = {p.relative_to(path): p for p in path.rglob("*") if p.is_file()}
    kept = sorted(name for name in names if not any(map(_is_passing, name.parts)))
    return digest(*((name.as_posix(), file_digest(names[name])) for name in kept))


def _is_passing(name: str) -> bool:
    return name.startswith(".") or name.endswith("~")
