"""What frozen models say about frames: evaluated by jobs, once for each frame and model.

A model is given the atoms that it knows; the others feel nothing of it. A job takes frames of one cycle only, so that
those of later cycles change no job, and a cycle evaluates its new frames alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.fitter import CODE, predict_task, read_predicted
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.sources import kernels_digest
from ald_core.digests import digest
from ald_core.types import Frame, Labels, RunJobs, Task
from ald_hierarchical.rest import added


@attrs.frozen(eq=False)
class _Block:
    """Frames for one job, each without the atoms that the model does not know."""

    task: Task[Path]
    frames: tuple[int, ...]
    """Positions among those that were asked for"""
    atoms: tuple[NDArray[np.intp], ...]
    """Of each frame, those that the model knows"""


def evaluate_tiles(
    tiles: Sequence[Path], frames: Sequence[Frame], per_job: int, run_jobs: RunJobs
) -> list[Labels]:
    """The sum of what all models say about each frame, without penalties; all jobs are asked for at once."""
    blocks = [_blocks(tile, frames, per_job) for tile in tiles]
    folders = iter(run_jobs([block.task for of_tile in blocks for block in of_tile]))
    contributions = []
    for of_tile in blocks:
        said = [nothing(frame) for frame in frames]
        for block in of_tile:
            labels = read_predicted(next(folders))
            for i, atoms, own in zip(block.frames, block.atoms, labels, strict=True):
                said[i] = _in_frame(frames[i], atoms, own)
        contributions.append(said)
    return [reduce(added, parts) for parts in zip(*contributions, strict=True)]


def nothing(frame: Frame) -> Labels:
    """What a model says that knows no atom of a frame."""
    return Labels(0.0, np.zeros((len(frame.atoms), 3)), np.zeros(6))


def _blocks(tile: Path, frames: Sequence[Frame], per_job: int) -> list[_Block]:
    elements = [kind.name for kind in read_params(tile).basis.types]
    known = [np.flatnonzero(np.isin(f.atoms.get_chemical_symbols(), elements)) for f in frames]
    blocks = []
    for _, group in itertools.groupby(range(len(frames)), key=lambda i: frames[i].origin.cycle):
        own = [i for i in group if len(known[i])]
        blocks += [
            _block(tile, own[k : k + per_job], frames, known) for k in range(0, len(own), per_job)
        ]
    return blocks


def _block(
    tile: Path, chosen: Sequence[int], frames: Sequence[Frame], known: Sequence[NDArray[np.intp]]
) -> _Block:
    cut = [attrs.evolve(frames[i], atoms=frames[i].atoms[known[i]]) for i in chosen]
    task = predict_task(tile, cut)
    identity = digest("tile", CODE, kernels_digest(), task.identity)
    named = attrs.evolve(task, identity=identity, name=f"{len(cut)} frames with {tile.name}")
    return _Block(named, tuple(chosen), tuple(known[i] for i in chosen))


def _in_frame(frame: Frame, atoms: NDArray[np.intp], said: Labels) -> Labels:
    """What is said of some atoms, for the whole frame."""
    forces = np.zeros((len(frame.atoms), 3))
    forces[atoms] = said.forces
    return Labels(said.energy, forces, said.stress)
