"""Reads the frames that a study starts from: any format that ASE reads, and those that plugins add to ASE.

Labels are energy, forces, or both, with the stress if all six components are given. A file that knows its diagonal only
(some `.xyzf`) gives frames without stress; a fitter that needs one says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import full_3x3_to_voigt_6_stress
from attrs.validators import ge, optional

from ald_core.errors import InputError
from ald_core.options import option
from ald_core.types import FloatArray, Frame, Kind, Labels, Origin

FLAT = 1e-6
"""Volume (area) of the cell over the product of its vectors' lengths, below which it counts as none"""
MAX_SHOWN = 60
"""Characters of a wrong value in a message"""


@attrs.frozen(kw_only=True)
class FrameFile:
    """One file of starting frames (`[[training.frames]]`)."""

    file: Path = option(help="trajectory in any format of ASE or of a plugin (.xyzf, .extxyz, …)")
    temperature: float | None = option(
        None, help="K, of all its frames", validator=optional(ge(0.0))
    )
    temperatures: Path | None = option(
        None,
        help="file with the temperature of each frame in a line of its own, K (.temps)",
        added=True,
    )
    first: int | None = option(
        None, help="use only so many frames, from the start", validator=optional(ge(1)), added=True
    )
    relabel: bool = option(False, help="ignore the labels in the file and label anew")
    kind: Kind = option("bulk", help="bulk frames or gas-phase molecules")


def read_frames(
    files: Sequence[FrameFile], elements: Sequence[str]
) -> list[tuple[Frame, Labels | None]]:
    """All starting frames, with the labels their files hold (None: to be labelled).

    Raises InputError for a file that cannot be read, holds no frame, an element that the study does not know, a cell
    without volume, a label of the wrong type or shape, or a number that is not finite.
    """
    found: list[tuple[Frame, Labels | None]] = []
    for file in files:
        sources: dict[str, int] = {}
        listed = None if file.temperatures is None else _listed(file.temperatures)
        for number, atoms in enumerate(_first(file), start=1):
            _check(atoms, number, file.file, elements)
            source = _source(atoms, file.file)
            step = sources[source] = sources.get(source, 0) + 1
            temperature = _temperature(atoms, number, file, listed)
            frame = Frame(_bare(atoms), Origin(0, source, step), temperature, file.kind)
            found.append((frame, None if file.relabel else _labels(atoms, number, file.file)))
    name, times = Counter(frame.id for frame, _ in found).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"two files give a frame {name}; rename one of them, since frames are named after their file"
        )
    return found


def _first(file: FrameFile) -> list[Atoms]:
    frames = _read(file.file)
    if file.first is not None and len(frames) < file.first:
        raise InputError(
            f"{file.first} frames are announced, but it holds {len(frames)}; correct the number",
            path=file.file,
        )
    return frames[: file.first]


def _read(path: Path) -> list[Atoms]:
    import ase.io  # noqa: PLC0415  takes half a second, which jobs and `ald --version` need not wait for

    try:
        frames = ase.io.read(path, index=":", format=_own_format(path))
    except InputError:
        raise
    except Exception as error:  # readers of ASE fail in every possible way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot be read as a trajectory ({reason})", path=path) from error
    frames = frames if isinstance(frames, list) else [frames]
    if not frames:
        raise InputError("holds no frames; give a trajectory with at least one", path=path)
    return frames


def _own_format(path: Path) -> str | None:
    """The format of a plugin that a name stands for: ASE would take `OUTCAR300.xyzf` for VASP's (`*OUTCAR*`)."""
    from ase.io.formats import ioformats  # noqa: PLC0415

    for name, known in ioformats.items():
        named = path.suffix[1:] in known.extensions or known.match_name(path.name)
        if named and not known.module_name.startswith("ase."):
            return str(name)
    return None


def _check(atoms: Atoms, number: int, path: Path, elements: Sequence[str]) -> None:
    if len(atoms) == 0:
        raise InputError(f"frame {number} has no atoms; remove it", path=path)
    strange = sorted(set(atoms.get_chemical_symbols()) - set(elements))
    if strange:
        raise InputError(
            f"frame {number} holds {', '.join(strange)}, which is not among the study's elements "
            f"({', '.join(elements)}); add it to study.elements or remove the frame",
            path=path,
        )
    if not np.all(np.isfinite(atoms.positions)) or not np.all(np.isfinite(atoms.cell[:])):
        raise InputError(f"frame {number} has a position or cell that is not finite", path=path)
    if not _has_volume(atoms):
        raise InputError(
            f"frame {number} is periodic, but its cell {_shown(atoms.cell[:])} spans no volume; "
            "give independent cell vectors, or set pbc to false",
            path=path,
        )


def _has_volume(atoms: Atoms) -> bool:
    """Whether the vectors of the periodic directions are independent; the others need none."""
    vectors = atoms.cell[:][atoms.pbc]
    lengths = np.linalg.norm(vectors, axis=1)
    if not lengths.all():
        return False
    directions = vectors / lengths[:, None]
    return bool(np.linalg.det(directions @ directions.T) > FLAT**2)


def _source(atoms: Atoms, path: Path) -> str:
    """What the file says, or its name; in letters that a folder may have."""
    return re.sub(r"[^\w.+-]", "_", str(atoms.info.get("source") or path.stem)).lstrip(".") or "_"


def _listed(path: Path) -> list[float]:
    """The temperatures in a file, K."""
    try:
        found = [float(line) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read as temperatures, one per line ({error})", path=path
        ) from None
    if not all(0 <= temperature < np.inf for temperature in found):
        raise InputError("holds a temperature that is no number of K ≥ 0", path=path)
    return found


def _temperature(
    atoms: Atoms, number: int, file: FrameFile, listed: Sequence[float] | None
) -> float | None:
    if file.temperature is not None:
        return file.temperature
    if listed is not None:
        if number > len(listed):
            message = f"holds {len(listed)} temperatures, but {file.file.name} has more frames"
            raise InputError(message, path=file.temperatures)
        return listed[number - 1]
    given = atoms.info.get("temperature")
    if given is None:
        return None
    temperature = _numbers(given, ())
    if temperature is None or not 0 <= temperature < np.inf:
        raise InputError(
            f"frame {number} has the temperature {_shown(given)}; it must be a number of K ≥ 0",
            path=file.file,
        )
    return float(temperature)


def _bare(atoms: Atoms) -> Atoms:
    return Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _labels(atoms: Atoms, number: int, path: Path) -> Labels | None:
    """Labels from `ref_energy`, `ref_forces`, `ref_stress`, or from the attached calculator; None without any."""
    n = len(atoms)
    wanted: dict[str, tuple[str, tuple[tuple[int, ...], ...]]] = {
        "energy": ("one number (eV)", ((),)),
        "forces": (f"{n} × 3 numbers (eV/Å)", ((n, 3),)),
        "stress": ("six numbers in Voigt order or 3 × 3 (eV/Å³)", ((6,), (3, 3), (9,))),
    }
    labels: dict[str, Any] = {}
    for name, (meaning, shapes) in wanted.items():
        given = _given(atoms, name)
        value = labels[name] = None if given is None else _numbers(given, *shapes)
        if given is not None and value is None:
            raise InputError(
                f"frame {number} has the {name} {_shown(given)}; give {meaning}, remove "
                "this label, or set relabel = true",
                path=path,
            )
        if value is not None and not np.all(np.isfinite(value)):
            raise InputError(
                f"frame {number} has a {'force' if name == 'forces' else name} that is not finite; "
                "remove it",
                path=path,
            )
    energy, forces, stress = labels.values()
    if energy is None and forces is None:
        return None
    return Labels(
        None if energy is None else float(energy),
        forces,
        None if stress is None else _voigt(stress),
    )


def _numbers(given: object, *shapes: tuple[int, ...]) -> FloatArray | None:
    """The numbers in one of these shapes; None for text, truth values, and other shapes."""
    try:
        array = np.asarray(given)
    except ValueError:  # rows of different lengths
        return None
    return array.astype(float) if array.dtype.kind in "iuf" and array.shape in shapes else None


def _shown(value: object) -> str:
    """The value on one line of a message."""
    text = " ".join(str(value.tolist() if isinstance(value, np.ndarray) else value).split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _voigt(stress: FloatArray) -> FloatArray:
    return stress if stress.shape == (6,) else full_3x3_to_voigt_6_stress(stress.reshape(3, 3))


def _given(atoms: Atoms, name: str) -> Any:
    reference = (atoms.arrays if name == "forces" else atoms.info).get(f"ref_{name}")
    if reference is not None or atoms.calc is None:
        return reference
    try:
        return atoms.calc.get_property(name, atoms, allow_calculation=False)
    except PropertyNotImplementedError:
        return None
