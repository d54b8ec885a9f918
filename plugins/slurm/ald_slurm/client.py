"""Runs the programs of Slurm: own session, no terminal, an environment of which it is known what is in it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

NAMES = frozenset({
    "BASH_ENV", "CONDA_DEFAULT_ENV", "CONDA_PREFIX", "ENV", "HOME", "KRB5CCNAME", "LANG", "LANGUAGE",
    "LD_LIBRARY_PATH", "LOADEDMODULES", "LOGNAME", "MANPATH", "MODULEPATH", "MODULESHOME", "MODULES_CMD",
    "PATH", "PYTHONHOME", "PYTHONPATH", "SHELL", "SLURM_CONF", "TMPDIR", "TZ", "USER",
    "VIRTUAL_ENV", "XDG_CACHE_HOME", "_LMFILES_",
})  # fmt: skip
"""Variables that programs and jobs get; no SLURM_* and SBATCH_*, which would change what is asked for."""
PREFIXES = (
    "BASH_FUNC_ml", "BASH_FUNC_module", "BLIS_", "LC_", "LMOD_", "MKL_", "NUMBA_", "OMP_", "OPENBLAS_",
)  # fmt: skip
"""Those of numerical libraries, too: which kernels they choose shows in the last digits of results."""
AFTER_KILL = 5.0
"""Seconds for what a killed program has still said"""


@attrs.frozen
class Answer:
    """What a program said."""

    status: int | None
    """Exit status, negative if a signal ended it; None if it did not end in time and was killed"""
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """Its last words, for a message."""
        if self.status is None:
            return "no answer in time"
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.status}"


def environment(more: Iterable[str], withhold: Collection[str] = ()) -> Mapping[str, str]:
    """That of this process, as far as it is on the list or in `more`, and not in `withhold`."""
    wanted = NAMES | set(more)
    return {
        k: v
        for k, v in os.environ.items()
        if (k in wanted or k.startswith(PREFIXES)) and k not in withhold
    }


def ask(command: Sequence[str], variables: Mapping[str, str], timeout: float) -> Answer:
    """Run a program to its end or for `timeout` seconds. Raises OSError if it cannot be started."""
    process = subprocess.Popen(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is not for it
        text=True,
        errors="replace",
    )
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            out, err = _kill(process)
            return Answer(None, out, err)
    return Answer(process.returncode, out, err)


def _kill(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End a program with all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=AFTER_KILL)
    except subprocess.TimeoutExpired:  # somebody in another session holds its pipes
        return "", ""
