"""Compiled code: neighbour search, energies and forces, rows of the design matrix, Ewald sums.

Numba renews a cached function when its own file changes, but not when a function that it calls changes in another
file, and would then go on with old machine code after an upgrade. So the cache of this process lives in a folder that
bears the digest of these sources: below `NUMBA_CACHE_DIR` if that is set, else below the user's cache folder.
"""

import hashlib
import os
from pathlib import Path

from numba import config


def _cache_folder() -> Path:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "ald"
    return Path(config.CACHE_DIR or home) / f"chimes-{digest.hexdigest()[:16]}"


config.CACHE_DIR = str(_cache_folder())
