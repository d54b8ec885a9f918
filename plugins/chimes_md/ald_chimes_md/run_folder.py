"""What a run may not write over, what it clears away before it begins, and what it needs to be resumed."""

from collections.abc import Iterator
from pathlib import Path

from ald_chimes_md.checkpoint import CHECKPOINT
from ald_chimes_md.comparison import subtracted_name
from ald_chimes_md.control import Control
from ald_chimes_md.files import (
    CONTACT_FILES,
    CONTACT_INDEX,
    DFTB,
    FINAL,
    RESULT,
    STATISTICS,
    TIMING,
)
from ald_chimes_md.outputs import (
    FORCE_FRAMES,
    FORCES,
    LABELED_FORCES,
    TRAJECTORIES,
    VELOCITIES,
    output_names,
)
from ald_chimes_md.replacement import NEW, replace_file
from ald_chimes_md.restart import BACKUP, RESTART

START = "md_start.xyz"
"""A copy of the coordinate file, for a run that replaces it while it goes on."""
CONTINUED = (RESTART, BACKUP, FINAL)
"""Outputs that a run may begin from, although it replaces them."""
_REPLACED = (*CONTINUED, CHECKPOINT, START, DFTB, RESULT, TIMING)
_GROWING = (
    STATISTICS,
    *TRAJECTORIES.values(),
    *CONTACT_FILES,
    CONTACT_INDEX,
    FORCES,
    LABELED_FORCES,
    FORCE_FRAMES,
    VELOCITIES,
)


def check_inputs(control: Control, folder: Path) -> None:
    """Refuse to write over the files of the user.

    Raises InputError, with the line of the control file, if the parameter file, the coordinate file or the
    file to compare with is an output.
    """
    inputs = {"PRMFILE": control.parameter_file, "CRDFILE": control.coordinate_file}
    if control.comparison is not None:
        inputs[control.comparison.key] = control.comparison.file
    outputs = _outputs(control)
    for key, name in inputs.items():
        for output in outputs:
            allowed = key == "CRDFILE" and output in CONTINUED
            if not allowed and _is_same(folder / name, folder / output):
                fault = f"is a file that this run writes, {output}"
                raise control.error(key, fault, cure="give the input another name")


def clear(control: Control, folder: Path) -> None:
    """Remove what an earlier run has left, but what this one reads, or opens and so empties."""
    inputs = [folder / control.parameter_file, folder / control.coordinate_file]
    removed = [*_with_new(_REPLACED), *(n for n in _GROWING if n not in output_names(control))]
    for path in (folder / name for name in removed):
        if not any(_is_same(path, own) for own in inputs) and (path.is_symlink() or path.is_file()):
            path.unlink()


def keep_start(control: Control, folder: Path) -> None:
    """Copy the coordinate file if the run will replace it, so that it can be resumed."""
    own = folder / control.coordinate_file
    if any(_is_same(own, folder / name) for name in CONTINUED):
        replace_file(folder / START, own.read_bytes())


def start_of(control: Control, folder: Path, *, resume: bool) -> Path:
    """The file with the coordinates at which the run began."""
    kept = folder / START
    return kept if resume and kept.is_file() else folder / control.coordinate_file


def forget(folder: Path) -> None:
    """Remove what only a run that goes on needs."""
    for name in (CHECKPOINT, START):
        (folder / name).unlink(missing_ok=True)


def _outputs(control: Control) -> list[str]:
    """All names that a run with these settings writes to."""
    if control.comparison is not None:
        names = [RESULT, TIMING]
        names += [subtracted_name(control)] if control.comparison.subtract else []
        return list(_with_new(names))
    replaced = [name for name in _REPLACED if name != DFTB or control.dftb_file]
    return [*output_names(control), *_with_new(replaced)]


def _with_new(names: tuple[str, ...] | list[str]) -> Iterator[str]:
    for name in names:
        yield from (name, name + NEW)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
