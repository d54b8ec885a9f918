"""What a study asks of speciation, `bonds` and `species`: what is wrong with it, and its files in a run's folder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ald_chimes_md.speciation.bond_table import FS_PER_PS, BondTable, read_table
from ald_chimes_md.speciation.criteria import BONDS, BondCriteria, read_bonds, write_bonds
from ald_chimes_md.speciation.names import parse_name
from ald_core.errors import InputError

Request = Path | Mapping[str, Any]
"""A `bonds.dat`, or a table of the run file"""
OldOption = Callable[[str], Any]


def check_bonds(_: object, field: object, bonds: Request | None) -> None:
    """Validate the option `bonds`; raises ValueError with file and line, or key, of what is wrong."""
    del field
    try:
        if bonds is not None:
            _read(bonds)
    except InputError as error:
        raise ValueError(str(error)) from None


def check_species(_: object, field: object, species: Sequence[str]) -> None:
    """Validate the option `species`; raises ValueError for what is no molecule."""
    del field
    for name in species:
        parse_name(name)


def request_warnings(
    bonds: Request, elements: Sequence[str], frame_time: float, n_frames: int
) -> list[str]:
    """What may not be meant so, in a run that writes so many frames, so many fs apart."""
    criteria = _criteria(bonds, frame_time)
    own_time = criteria.frame_time * FS_PER_PS
    warnings = []
    missing = criteria.unlisted(elements)
    pairs = len(elements) * (len(elements) + 1) // 2
    if missing and (isinstance(bonds, Path) or len(missing) == pairs):
        names = ", ".join(f"{a}-{b}" for a, b in missing)
        warnings.append(f"bonds: has no length for {names}: these atoms never count as bonded")
    if abs(own_time - frame_time) > 1e-6 * frame_time:
        warnings.append(
            f"bonds: {bonds} says {own_time:g} fs between frames, by which lifetimes are reckoned, but the run writes "
            f"a frame every {frame_time:g} fs"
        )
    if criteria.longest_lifetime >= n_frames:
        warnings.append(
            f"bonds: the longest lifetime is {criteria.longest_lifetime} frames, but the run writes {n_frames}: "
            "no molecules will be found"
        )
    return warnings


def write_request(bonds: Request, frame_time: float, folder: Path) -> tuple[str, ...]:
    """Write `bonds.dat` for a run with so many fs between frames; the names of the files."""
    if isinstance(bonds, Path):
        (folder / BONDS).write_bytes(bonds.read_bytes())
        return (BONDS,)
    return write_bonds(_criteria(bonds, frame_time), folder)


def _criteria(bonds: Request, frame_time: float) -> BondCriteria:
    read = _read(bonds)
    return read.criteria(frame_time) if isinstance(read, BondTable) else read


def _read(bonds: Request) -> BondTable | BondCriteria:
    if not isinstance(bonds, Path):
        return read_table(bonds)
    return read_bonds(bonds, other_files=False)


# ---------------------------------------------------------------- studies of the existing driver


def old_bonds(value: object, old: OldOption) -> str | None:
    """The `bonds.dat` of an old study that has molanal run: MOLANAL tells where that is."""
    return f"{old('MD_FILES')}/{BONDS}" if value and old("RUN_MOLANAL") else None


def old_species(value: object, old: OldOption) -> list[str] | None:
    """MOLANAL_SPECIES, if molanal is run; raises ValueError for what is no list of names."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"a list of names is needed, not {str(value)[:60]!r}")
    wanted = [name.strip() for name in names if name.strip()]
    return (wanted or None) if old_bonds(old("MOLANAL"), old) else None
