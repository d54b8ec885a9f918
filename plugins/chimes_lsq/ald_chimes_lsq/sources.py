"""Identity of the compiled code."""

import hashlib
from functools import cache
from pathlib import Path


@cache
def kernels_digest() -> str:
    """SHA-256 of the sources of all kernels."""
    digest = hashlib.sha256()
    for source in sorted((Path(__file__).parent / "kernels").glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
