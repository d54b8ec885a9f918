"""Compiled code: neighbour search, energies and forces, rows of the design matrix, Ewald sums.

Numba renews a cached function when its own file changes, but not when a function that it calls changes in another
file, and would then go on with old machine code after an upgrade. So the cache of this process lives in a folder that
bears the digest of these sources: below `NUMBA_CACHE_DIR` if that is set, else below the user's cache folder.
"""

import os
from pathlib import Path

from numba import config

from ald_chimes_lsq.sources import kernels_digest


def _cache_folder() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "ald"
    return Path(config.CACHE_DIR or home) / f"chimes-{kernels_digest()[:16]}"


config.CACHE_DIR = str(_cache_folder())
