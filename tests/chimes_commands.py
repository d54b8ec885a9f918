"""The commands `ald chimes ...` in tests: how to call them, and cases for which the reference programs have answers."""

import gzip
import json
from pathlib import Path

from typer.testing import CliRunner

from ald_chimes_lsq.commands import app
from ald_chimes_lsq.formats.setup import read_setup
from ald_core.errors import InputError

DATA = Path(__file__).parent / "data"
CASES = DATA / "chimes_lsq"
RUNS = DATA / "chimes_programs"
GOLDEN = json.loads((RUNS / "golden.json").read_text())


def case(name, folder, frames=None):
    """Control file and trajectory of a case in a folder of their own; the set-up."""
    folder.mkdir(exist_ok=True)
    text = (CASES / name / "fm_setup.in").read_text()
    setup = read_setup(CASES / name / "fm_setup.in")
    if frames is not None:
        lines = text.split("\n")
        at = next(i for i, line in enumerate(lines) if line.startswith("# NFRAMES"))
        lines[at + 1] = str(frames)
        text = "\n".join(lines)
    (folder / "fm_setup.in").write_text(text)
    trajectory = gzip.decompress((RUNS / f"{name}.xyzf.gz").read_bytes())
    (folder / setup.trajectory.name).write_bytes(trajectory)
    return read_setup(folder / "fm_setup.in")


def ald(*arguments):
    """Run a command; exit status, standard output, and the sentence of an InputError."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, InputError):
        return 2, result.stdout, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def files(folder):
    """Options of `solve` for what `lsq` has written into a folder."""
    names = {"A": "A.txt", "b": "b.txt", "header": "params.header", "map": "ff_groups.map"}
    return [word for key, name in names.items() for word in (f"--{key}", folder / name)]
