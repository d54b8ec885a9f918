"""A study on disk: training sets, cycle records, and the folders and files that users read.

`.ald/training/N.jsonl` is immutable: all labelled frames after cycle N (0: the starting set), one per line, numbers
exact. What users read (`GEN_FF`, `CASE-*`, `training_set.extxyz`) is derived from it and from accepted jobs, and is
published whole.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import cattrs
import numpy as np
from ase import Atoms
from cattrs.gen import make_dict_unstructure_fn, override

from ald_core.durable import discard, make_folder, publish_file, publish_folder, stage, sweep
from ald_core.errors import InputError, PluginError
from ald_core.types import (
    Cell,
    Frame,
    LabeledFrame,
    Labels,
    Origin,
    ResultTable,
    TrainingSet,
)

LINKED = 1_000_000
"""Bytes above which a file of a job is linked, not copied, to where users see it."""
Quarantine = tuple[tuple[str, str], ...]
"""Frame id and reason of labels that were not accepted."""


@attrs.frozen
class ForceError:
    """Root mean square error of force components, eV/Å, over some frames."""

    rmse: float | None
    """None: it was not finite"""
    frames: int


@attrs.frozen
class MDRecord:
    """One MD run in a cycle."""

    case: str
    steps: int
    planned: int
    stable: bool
    reason: str
    drift: float | None
    """eV/atom"""
    counts: tuple[int, int, int]
    tables: tuple[ResultTable, ...] = ()


@attrs.frozen
class CycleRecord:
    """What is known of a finished cycle; the last one has a model and MD, but no new labels."""

    cycle: int
    model: str
    """Path of the parameter file, from the study folder"""
    model_format: str
    added: int = 0
    added_held_out: int = 0
    quarantined: Quarantine = ()
    fitted: ForceError | None = None
    held_out: ForceError | None = None
    """Over the held-out frames that were known in this cycle"""
    md: tuple[MDRecord, ...] = ()
    curve: tuple[tuple[int, float | None], ...] = ()
    """After the final fit: force error (eV/Å) of each earlier cycle's model on the held-out frames of this one"""
    report: Mapping[str, Any] = attrs.field(factory=dict)
    seconds: Mapping[str, float] = attrs.field(factory=dict)
    """Wall time of each step in the process that finished the cycle"""


_converter = cattrs.Converter()
_converter.register_structure_hook(Any, lambda value, _: value)
_converter.register_structure_hook(Cell, lambda value, _: value)
_converter.register_unstructure_hook(
    MDRecord, make_dict_unstructure_fn(MDRecord, _converter, tables=override(omit_if_default=True))
)


def record_to_json(record: CycleRecord) -> dict[str, Any]:
    """Plain values for the journal; JSON has no numbers that are not finite, None stands for them."""
    plain: dict[str, Any] = finite(_converter.unstructure(record))
    return plain


def record_from_json(values: Mapping[str, Any]) -> CycleRecord:
    """The record again."""
    return _converter.structure(values, CycleRecord)


def finite(values: Any) -> Any:
    """The same with None for every number that is not finite, in mappings and sequences too."""
    if isinstance(values, Mapping):
        return {key: finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


class Store:
    """Reads and publishes what a study keeps."""

    def __init__(self, folder: Path):
        self.folder = folder

    # ------------------------------------------------------------ training sets

    def training_path(self, cycle: int) -> Path:
        """File of the training set after `cycle`."""
        return self.folder / ".ald" / "training" / f"{cycle}.jsonl"

    def publish_training(self, cycle: int, training: TrainingSet) -> None:
        """Write the training set after `cycle`, whole."""
        lines = [json.dumps(_frame_to_json(f), separators=(",", ":")) for f in training.frames]
        make_folder(self.training_path(cycle).parent)
        publish_file(self.training_path(cycle), "".join(line + "\n" for line in lines).encode())

    def training(self, cycle: int) -> TrainingSet:
        """Read it back, exactly."""
        path = self.training_path(cycle)
        frames = []
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            try:
                frames.append(_frame_from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"is damaged ({error}); restore it from a backup", path=path, line=number
                ) from error
        return TrainingSet(tuple(frames))

    def sweep(self) -> None:
        """Remove what writers that were killed have left."""
        training = self.training_path(0).parent
        for folder in (
            self.folder,
            training,
            *self.folder.glob("ALC-*"),
            *self.folder.glob("ALC-*/*"),
        ):
            if folder.is_dir():
                sweep(folder)

    # ------------------------------------------------------------ what users read

    def cycle_folder(self, cycle: int) -> Path:
        """`ALC-n`."""
        return self.folder / f"ALC-{cycle}"

    @contextmanager
    def building(self, cycle: int, name: str) -> Iterator[Path]:
        """A folder to fill, which becomes `ALC-n/name` at the end, replacing an older one whole."""
        target = self.cycle_folder(cycle) / name
        make_folder(target.parent)
        new = stage(target)
        try:
            yield new
        except BaseException:
            discard(new)
            raise
        discard(target)
        publish_folder(new, target)

    def show_files(self, cycle: int, name: str, source: Path, patterns: Sequence[str]) -> None:
        """Make files of a finished job visible as `ALC-n/name`."""
        with self.building(cycle, name) as folder:
            for path in sorted({p for pattern in patterns for p in source.glob(pattern)}):
                if path.is_file():
                    show_file(path, folder / path.name)

    def show_labels(self, cycle: int, name: str, frames: Sequence[LabeledFrame]) -> None:
        """Labels as extended XYZ in `ALC-n/name/labels.extxyz`."""
        with self.building(cycle, name) as folder:
            (folder / "labels.extxyz").write_text(extxyz(frames))

    def show_tables(self, record: CycleRecord) -> None:
        """Tables of MD runs as `ALC-n/NAME.csv`, with a column for the case in front."""
        for table in joined_tables(record):
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(table.columns)
            writer.writerows(table.rows)
            path = self.cycle_folder(record.cycle) / f"{table.name}.csv"
            publish_file(path, text.getvalue().encode())

    def show_training(self, training: TrainingSet) -> None:
        """`training_set.extxyz`: every labelled frame with its provenance, but for those that are set aside."""
        used = [labeled for labeled in training.frames if not labeled.set_aside]
        publish_file(self.folder / "training_set.extxyz", extxyz(used).encode())


def joined_tables(record: CycleRecord) -> list[ResultTable]:
    """The tables of all MD runs of a cycle by name, with the case in the first column."""
    columns: dict[str, tuple[str, ...]] = {}
    rows: dict[str, list[tuple[Cell, ...]]] = {}
    for run in record.md:
        for table in run.tables:
            known = columns.setdefault(table.name, table.columns)
            if known != table.columns:
                raise PluginError(
                    f"the MD engine's tables '{table.name}' have different columns: {', '.join(known)} and "
                    f"{', '.join(table.columns)}"
                )
            rows.setdefault(table.name, []).extend((run.case, *row) for row in table.rows)
    return [ResultTable(n, ("case", *columns[n]), tuple(rows[n])) for n in columns]


def show_file(source: Path, target: Path) -> None:
    """A copy of an accepted file; of a large one a link, which nobody may write to."""
    if source.stat().st_size > LINKED:
        try:
            os.link(source, target)
        except OSError:
            pass  # no links on this file system
        else:
            source.chmod(0o444)
            return
    shutil.copyfile(source, target)


def extxyz(frames: Iterable[LabeledFrame]) -> str:
    """Extended XYZ with `ref_energy` (eV), `ref_forces` (eV/Å), `ref_stress` (eV/Å³, Voigt) and provenance."""
    import ase.io  # noqa: PLC0415  takes half a second, which jobs need not wait for

    images = []
    for labeled in frames:
        frame, labels = labeled.frame, labeled.labels
        atoms = frame.atoms.copy()
        origin = frame.origin
        atoms.info = {
            "id": frame.id,
            "cycle": origin.cycle,
            "source": origin.source,
            "step": origin.step,
            "kind": frame.kind,
            "contact_class": frame.contact_class,
            "labeler": labeled.labeler,
            "held_out": labeled.held_out,
        }
        if frame.temperature is not None:
            atoms.info["temperature"] = frame.temperature
        if labels.energy is not None:
            atoms.info["ref_energy"] = labels.energy
        if labels.stress is not None:
            atoms.info["ref_stress"] = labels.stress
        if labels.forces is not None:
            atoms.arrays["ref_forces"] = labels.forces
        images.append(atoms)
    stream = io.StringIO()
    if images:
        ase.io.write(stream, images, format="extxyz")
    return stream.getvalue()


def frame_to_json(frame: Frame) -> dict[str, Any]:
    """Plain values of a frame; floats survive exactly."""
    atoms = frame.atoms
    return {
        "origin": attrs.asdict(frame.origin),
        "temperature": frame.temperature,
        "kind": frame.kind,
        "contact_class": frame.contact_class,
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell[:].tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def frame_from_json(values: Mapping[str, Any]) -> Frame:
    """The frame again."""
    atoms = Atoms(
        numbers=values["numbers"],
        positions=values["positions"],
        cell=values["cell"],
        pbc=values["pbc"],
    )
    return Frame(
        atoms,
        Origin(**values["origin"]),
        values["temperature"],
        values["kind"],
        values["contact_class"],
    )


def labels_to_json(labels: Labels) -> dict[str, Any]:
    """Plain values of labels; floats survive exactly."""
    return {
        "energy": labels.energy,
        "forces": None if labels.forces is None else labels.forces.tolist(),
        "stress": None if labels.stress is None else labels.stress.tolist(),
    }


def labels_from_json(values: Mapping[str, Any]) -> Labels:
    """The labels again."""
    return Labels(
        values["energy"],
        None if values["forces"] is None else np.array(values["forces"]),
        None if values["stress"] is None else np.array(values["stress"]),
    )


def _frame_to_json(labeled: LabeledFrame) -> dict[str, Any]:
    return {
        "frame": frame_to_json(labeled.frame),
        "labels": labels_to_json(labeled.labels),
        "labeler": labeled.labeler,
        "first_fit": labeled.first_fit,
        "held_out": labeled.held_out,
        **({"set_aside": labeled.set_aside} if labeled.set_aside else {}),
    }


def _frame_from_json(values: Mapping[str, Any]) -> LabeledFrame:
    return LabeledFrame(
        frame_from_json(values["frame"]),
        labels_from_json(values["labels"]),
        values["labeler"],
        values["first_fit"],
        values["held_out"],
        values.get("set_aside", ""),
    )
