"""Checkpoints: the state of a run on the disk, without a loss of bits."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ald_chimes_md.dynamics import State
from ald_chimes_md.replacement import replace_file
from ald_chimes_md.restart import RESTART
from ald_core.errors import InputError

CHECKPOINT = "md_checkpoint.npz"


def save_checkpoint(folder: Path, state: State, sizes: Mapping[str, int], inputs: str) -> None:
    """Replace the checkpoint of a folder.

    Args:
        folder: of the run.
        state: to continue from.
        sizes: bytes of each output file that belong to the steps done.
        inputs: digest of what the run was started with.
    """
    notes = json.dumps({"inputs": inputs, "sizes": dict(sizes)}, sort_keys=True)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, notes=np.array(notes), **state._asdict())
    replace_file(folder / CHECKPOINT, content.getvalue())


def load_checkpoint(folder: Path, inputs: str) -> tuple[State, dict[str, int]]:
    """The state and the sizes of the output files.

    Raises InputError if there is no checkpoint, if it is damaged, if it belongs to other inputs, or
    if an output file is shorter than it says.
    """
    path = folder / CHECKPOINT
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            state = State(**{name: archive[name] for name in State._fields})
            notes = json.loads(str(archive["notes"]))
            sizes = {str(name): int(size) for name, size in notes["sizes"].items()}
    except FileNotFoundError as error:
        cure = "start the run anew"
        if (folder / RESTART).is_file():
            cure += f", or from {RESTART} with VELINIT RESTART and CRDFILE {RESTART}"
        raise InputError("there is no checkpoint to resume from", path=path, cure=cure) from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        fault = "the checkpoint is damaged"
        raise InputError(fault, path=path, cure="start the run anew") from error
    if notes["inputs"] != inputs:
        fault = "the checkpoint belongs to other inputs"
        raise InputError(fault, path=path, cure="start the run anew, or give it those inputs again")
    for name, size in sizes.items():
        output = folder / name
        if not output.is_file() or output.stat().st_size < size:
            fault = f"shorter than the {size} bytes of the checkpoint"
            raise InputError(fault, path=output, cure="start the run anew")
    return state, sizes
