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
    """SHA-256 of a file's bytes, or of the names and bytes of all files in a folder, as hex."""
    if not path.is_dir():
        return file_digest(path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return digest(*((str(p.relative_to(path)), file_digest(p)) for p in files))
