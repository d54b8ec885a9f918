"""Whatever is done to an input file, its reader succeeds or raises InputError."""

import contextlib
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.params_write import reduced_text, with_penalty
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.formats.tokens import read_text
from ald_chimes_lsq.formats.traj_list import read_traj_list
from ald_chimes_lsq.formats.xyzf import read_xyzf
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq"
JUNK = [
    "nan",
    "-1",
    "0",
    "1",
    "999999999",
    "1e400",
    "-3.5",
    "abc",
    "#",
    "!",
    "##",
    "true",
    "\x00",
    "é",
    "1_0",
    "C",
    ":",
]


def text_of(name):
    return (DATA / name).read_text()


def rewritten(path):
    text = reduced_text(read_text(path), name=str(path))
    path.write_text(with_penalty(text, 0.1, 1.0, name=str(path)))
    return read_params(path)


READERS = {
    "fm_setup.in with charges": (read_setup, text_of("h2o-4bcheby/fm_setup.in")),
    "fm_setup.in with special cutoffs": (read_setup, text_of("special4b/fm_setup.in")),
    "fm_setup.in with exclusions": (read_setup, text_of("setups/hierarchical_CN.fm_setup.in")),
    "params.txt": (read_params, text_of("parameters/example.params.txt")),
    "params.txt with charges": (read_params, text_of("h2o-3bcheby/expected/params.txt")),
    "older params.txt": (read_params, text_of("parameters/published_params.liqC.2+3b.cubic.txt")),
    "params.txt to be reduced": (rewritten, text_of("h2o-3bcheby/expected/params.txt")),
    "xyzf": (read_xyzf, text_of("trajectories/four_atoms.xyzf")),
    "traj_list.dat": (read_traj_list, "3\n9 a.xyzf\n5 c.xyzf 300\n2 e.xyzf 6000 G_ S_ None\n"),
}


def damage(text, seed):
    """One to three random edits."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 3)):
        lines = text.split("\n")
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        kind = rng.randrange(8)
        words = lines[i].split()
        k = rng.randrange(len(words)) if words else 0
        if kind == 0:
            del lines[i]
        elif kind == 1:
            lines.insert(j, lines[i])
        elif kind == 2:
            lines[i], lines[j] = lines[j], lines[i]
        elif kind == 3 and words:
            words[k] = rng.choice(JUNK)
            lines[i] = " ".join(words)
        elif kind == 4 and words:
            del words[k]
            lines[i] = " ".join(words)
        elif kind == 5:
            lines.insert(i, " ".join(rng.choices(JUNK, k=rng.randint(1, 4))))
        elif kind == 6:
            at = rng.randrange(len(lines[i]) + 1)
            lines[i] = lines[i][:at] + rng.choice(JUNK) + lines[i][at + 1 :]
        else:
            lines = lines[: i + 1]
        text = "\n".join(lines)
    return text


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=250, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_nothing_but_an_input_error(name, seed, tmp_path_factory):
    reader, text = READERS[name]
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_text(damage(text, seed))
    # No other exception gets out.
    with contextlib.suppress(InputError):
        reader(path)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(junk=st.binary(max_size=300))
def test_files_that_are_something_else(name, junk, tmp_path_factory):
    reader, _ = READERS[name]
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(junk)
    with pytest.raises(InputError):
        reader(path)


@pytest.mark.parametrize("reader", [read_setup, read_params, read_xyzf, read_traj_list])
def test_a_folder_is_no_file(reader, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        reader(tmp_path)
