"""Reads the frames that a study starts from: any format that ASE reads, and those that plugins add to ASE."""

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


@attrs.frozen(kw_only=True)
class FrameFile:
    """One file of starting frames (`[[training.frames]]`)."""

    file: Path = option(help="trajectory in any format of ASE or of a plugin (.xyzf, .extxyz, …)")
    temperature: float | None = option(
        None, help="K, of all its frames", validator=optional(ge(0.0))
    )
    relabel: bool = option(False, help="ignore the labels in the file and label anew")
    kind: Kind = option("bulk", help="bulk frames or gas-phase molecules")


def read_frames(
    files: Sequence[FrameFile], elements: Sequence[str]
) -> list[tuple[Frame, Labels | None]]:
    """All starting frames, with the labels their files hold (None: to be labelled).

    Raises InputError for a file that cannot be read, holds no frame, an element that the study does not know, or a
    number that is not finite.
    """
    found: list[tuple[Frame, Labels | None]] = []
    for file in files:
        sources: dict[str, int] = {}
        for number, atoms in enumerate(_read(file.file), start=1):
            _check(atoms, number, file.file, elements)
            source = _source(atoms, file.file)
            step = sources[source] = sources.get(source, 0) + 1
            temperature = _temperature(atoms, number, file)
            frame = Frame(_bare(atoms), Origin(0, source, step), temperature, file.kind)
            found.append((frame, None if file.relabel else _labels(atoms, number, file.file)))
    name, times = Counter(frame.id for frame, _ in found).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"two files give a frame {name}; rename one of them, since frames are named after their file"
        )
    return found


def _read(path: Path) -> list[Atoms]:
    import ase.io  # noqa: PLC0415  takes half a second, which jobs and `ald --version` need not wait for

    try:
        frames = ase.io.read(path, index=":")
    except InputError:
        raise
    except Exception as error:  # readers of ASE fail in every possible way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot be read as a trajectory ({reason})", path=path) from error
    frames = frames if isinstance(frames, list) else [frames]
    if not frames:
        raise InputError("holds no frames; give a trajectory with at least one", path=path)
    return frames


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


def _source(atoms: Atoms, path: Path) -> str:
    """What the file says, or its name; in letters that a folder may have."""
    return re.sub(r"[^\w.+-]", "_", str(atoms.info.get("source") or path.stem)).lstrip(".") or "_"


def _temperature(atoms: Atoms, number: int, file: FrameFile) -> float | None:
    if file.temperature is not None:
        return file.temperature
    given = atoms.info.get("temperature")
    try:
        temperature = None if given is None else float(given)
    except (TypeError, ValueError):
        temperature = -1.0
    if temperature is not None and not 0 <= temperature < np.inf:
        raise InputError(
            f"frame {number} has the temperature {given!r}; it must be a number of K ≥ 0",
            path=file.file,
        )
    return temperature


def _bare(atoms: Atoms) -> Atoms:
    return Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _labels(atoms: Atoms, number: int, path: Path) -> Labels | None:
    """Labels from the attached calculator, or from `ref_energy`, `ref_forces`, `ref_stress`."""
    energy = atoms.info.get("ref_energy")
    forces = atoms.arrays.get("ref_forces")
    stress = atoms.info.get("ref_stress")
    if atoms.calc is not None:
        energy = _given(atoms, "energy") if energy is None else energy
        forces = _given(atoms, "forces") if forces is None else forces
        stress = _given(atoms, "stress") if stress is None else stress
    labels = Labels(
        None if energy is None else float(energy),
        None if forces is None else np.array(forces, dtype=float),
        None if stress is None else _voigt(np.array(stress, dtype=float)),
    )
    for name, value in (
        ("energy", labels.energy),
        ("force", labels.forces),
        ("stress", labels.stress),
    ):
        if value is not None and not np.all(np.isfinite(value)):
            raise InputError(
                f"frame {number} has a {name} that is not finite; remove it", path=path
            )
    return None if labels.energy is None and labels.forces is None else labels


def _voigt(stress: FloatArray) -> FloatArray:
    return stress if stress.shape == (6,) else full_3x3_to_voigt_6_stress(stress.reshape(3, 3))


def _given(atoms: Atoms, name: str) -> Any:
    try:
        return atoms.calc.get_property(name, atoms, allow_calculation=False)
    except PropertyNotImplementedError:
        return None
