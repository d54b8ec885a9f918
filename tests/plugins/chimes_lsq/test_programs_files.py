"""What `ald chimes lsq`, `solve` and `reduce` leave in a folder: nothing old, nothing cut, no scratch."""

import errno
import os
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ald_chimes_lsq import fit, read_setup, read_xyzf
from ald_chimes_lsq.commands import app
from ald_chimes_lsq.fitting import write_rows
from ald_chimes_lsq.formats.params_read import read_params
from ald_chimes_lsq.formats.xyzf import stream_xyzf
from ald_chimes_lsq.new_files import NewFiles, write_file
from ald_core.errors import InputError

N = 4
ATOMS = "".join(f"C {1.4 * i} {0.3 * i} 0.1 0.{i} 0.01 0.02\n" for i in range(3))
CONTROL = f"""# TRJFILE #
a.xyzf
# NFRAMES #
{N}
# FITSTRS #
true
# FITENER #
true
# HIERARC #
true
# PAIRTYP #
CHEBYSHEV 3 0
# NATMTYP #
1
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
1 C 0.0 12.0
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA #
1 C C 1.0 3.15 0.1 1.3
# ENDFILE #
"""
ROWS = N * (9 + 3 + 3)


def trajectory(n=N, header="9.0 9.0 9.0 1 1 1 -5.0"):
    return "".join(f"3\n{header}\n{ATOMS.replace('1.4', f'1.4{i}')}" for i in range(n))


@pytest.fixture
def folder(tmp_path):
    """A fit with one column per order and an offset."""
    (tmp_path / "fm_setup.in").write_text(CONTROL)
    (tmp_path / "a.xyzf").write_text(trajectory())
    return tmp_path


def ald(*arguments):
    """Exit status and the sentence of an InputError."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, InputError):
        return 2, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stderr


def lsq(folder, *options, old="", new=""):
    """Change the control file, and run."""
    control = folder / "fm_setup.in"
    control.write_text(control.read_text().replace(old, new, 1))
    return ald("lsq", control, *options)


def solve(folder, *options):
    names = {"A": "A.txt", "b": "b.txt", "header": "params.header", "map": "ff_groups.map"}
    given = [word for key, name in names.items() for word in (f"--{key}", folder / name)]
    return ald("solve", *given, "--folder", folder, *options)


def names(folder):
    return {path.name for path in folder.iterdir()}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@contextmanager
def full_disk(n_bytes):
    """No file can become larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ---------------------------------------------------------------- old files


LEFT = {"dim.txt", "natoms.txt", "b-labeled.txt", "frames.0000.log"}


def test_no_matrix_stays_that_belongs_to_another_run(folder):
    assert lsq(folder)[0] == 0
    assert LEFT | {"A.txt"} <= names(folder)
    assert lsq(folder, "--no-matrix", old="CHEBYSHEV 3", new="CHEBYSHEV 4")[0] == 0
    assert "A.txt" not in names(folder)
    assert "A.txt: no such file" in solve(folder)[1]
    assert lsq(folder)[0] == 0
    assert lsq(folder, old="# NFRAMES", new="# SPLITFI #\ntrue\n# NFRAMES")[0] == 0
    assert {"A.0000.txt", "dim.0000.txt"} <= names(folder)
    assert "A.txt" not in names(folder)
    assert "A.txt: no such file, but there is A.0000.txt; add --split_files" in solve(folder)[1]
    assert solve(folder, "--split_files=true")[0] == 0
    assert lsq(folder, old=f"\n{N}\n", new="\n0\n")[0] == 0
    assert not names(folder) & (LEFT | {"A.0000.txt", "dim.0000.txt"})
    assert (folder / "b.txt").read_text() == "1\n" * 5


def test_dimensions_are_compared(folder):
    assert lsq(folder)[0] == 0
    assert solve(folder)[0] == 0
    (folder / "dim.txt").write_text(f"5 {ROWS}\n")
    status, sentence = solve(folder)
    assert status == 2
    assert f"A.txt: {ROWS} rows of 4 columns, but dim.txt says {ROWS} of 5" in sentence
    (folder / "dim.txt").write_text("four\n")
    assert "dim.txt, line 1: a dimension must be an integer, found 'four'" in solve(folder)[1]
    (folder / "dim.txt").unlink()
    assert solve(folder)[0] == 0


def test_a_missing_piece_is_named(folder):
    split = {"old": "# NFRAMES", "new": "# SPLITFI #\ntrue\n# NFRAMES"}
    assert lsq(folder, "--ranks", 3, **split)[0] == 0
    assert solve(folder, "--split_files=true")[0] == 0
    piece = folder / "A.0001.txt"
    text = piece.read_text()
    piece.unlink()
    status, sentence = solve(folder, "--split_files=true")
    assert status == 2
    assert "A.0001.txt: no such file, but dim.0001.txt says that it has rows 30 to 44" in sentence
    piece.write_text(text[: text.rindex("\n", 0, -1) + 1])
    sentence = solve(folder, "--split_files=true")[1]
    assert "A.0001.txt: 14 rows of 4 columns, but dim.0001.txt says 15 of 4" in sentence
    for path in folder.glob("dim*"):
        path.unlink()
    sentence = solve(folder, "--split_files=true")[1]
    assert f"A.0000.txt … A.0002.txt have {ROWS - 1} rows together" in sentence


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("header", ["9 9 9 1 2 3 4 5 6", "9 9 9 1 2 3"])
def test_a_stress_is_no_energy(folder, header):
    (folder / "a.xyzf").write_text(trajectory(N - 1) + f"3\n{header}\n{ATOMS}")
    status, sentence = lsq(folder)
    assert status == 2
    assert f"a.xyzf, line {5 * (N - 1) + 2}: the fit asks for 3 stresses and an energy" in sentence
    assert "no energy" in sentence


def test_names_of_a_list_are_those_of_the_folder_of_the_control_file(folder):
    (folder / "lists").mkdir()
    (folder / "lists" / "list.dat").write_text(f"1\n{N} a.xyzf\n")
    assert lsq(folder, old="a.xyzf", new="MULTI lists/list.dat")[0] == 0
    right = (folder / "b.txt").read_bytes()
    # Files of both folders: that of the control file counts.
    (folder / "lists" / "a.xyzf").write_text("nothing\n")
    assert lsq(folder)[0] == 0
    shutil.move(folder / "a.xyzf", folder / "lists" / "a.xyzf")
    assert lsq(folder)[0] == 0
    assert (folder / "b.txt").read_bytes() == right
    (folder / "lists" / "a.xyzf").unlink()
    status, sentence = lsq(folder)
    assert status == 2
    both = f"there is neither {folder / 'a.xyzf'} nor {folder / 'lists' / 'a.xyzf'}"
    assert f"list.dat, line 2: {both}" in sentence


def test_offsets_that_are_all_excluded_are_zero(folder):
    exclude = "EXCLUDE 1B INTERACTION: 1\nC\n# ENDFILE"
    assert lsq(folder, old="# ENDFILE", new=exclude)[0] == 0
    assert solve(folder)[0] == 0
    text = (folder / "params.txt").read_text()
    assert f"NO ENERGY OFFSETS:  1\nENERGY OFFSET 1 {0.0:21.13e}\nENDFILE" in text
    assert read_params(folder / "params.txt").coefficients.offsets.tolist() == [0.0]


def test_a_number_after_all_that_means_something_else_is_refused(folder):
    assert lsq(folder, old="# FITSTRS #\ntrue", new=f"# FITSTRS #\nALL {N}")[0] != 1
    assert read_setup(folder / "fm_setup.in").fit_stress.rows == "full"
    status, sentence = lsq(folder, old=f"ALL {N}", new="all 3")
    assert status == 2
    assert "fm_setup.in, line 6: FITSTRS: 'all 3'" in sentence
    assert "'FIRSTALL 3'" in sentence


def test_too_many_frames_are_named_with_their_line(folder):
    status, sentence = lsq(folder, old=f"\n{N}\n", new="\n9\n")
    assert status == 2
    assert f"fm_setup.in, line 4: NFRAMES is 9, but a.xyzf has {N} frames;" in sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--eps", "0"], "eps must be above 0 and below 1, found 0.0"),
        (["--algorithm", "ridge", "--alpha", "0"], "alpha must be positive and finite, found 0.0"),
        (
            ["--algorithm", "lasso", "--alpha", "inf"],
            "alpha must be positive and finite, found inf",
        ),
        (["--algorithm", "ridgecv", "--folds", "1"], "folds must be 2 or more, found 1; give"),
        (["--algorithm", "ridgecv", "--folds", "999"], "999 folds of "),
        (["--weights", "zeros.txt"], "zeros.txt: all weights are zero; give more than 0"),
        (["--weights", "dim.txt"], "dim.txt: 2 weights, but b.txt has "),
        (["--output", "nowhere/params.txt"], "nowhere/params.txt: --output cannot be written here"),
        (["--read_output", "y", "--normalize", "y"], "for dlars and dlasso only, not svd; leave"),
        (["--algorithm", "ridge", "--stop-like-dlars"], "leave --stop-like-dlars out"),
    ],
)
def test_options_are_checked_before_the_matrix_is_read(folder, options, words):
    assert lsq(folder)[0] == 0
    n_rows = len((folder / "b.txt").read_text().split())
    (folder / "zeros.txt").write_text("0\n" * n_rows)
    (folder / "A.txt").write_text("no matrix\n")
    files = {word: folder / word for word in ("zeros.txt", "dim.txt", "nowhere/params.txt")}
    status, sentence = solve(folder, *(files.get(word, word) for word in options))
    assert (status, words in sentence) == (2, True)


# ---------------------------------------------------------------- full disks


def test_a_full_disk_leaves_everything_as_it_was(folder, monkeypatch):
    assert lsq(folder)[0] == 0
    assert solve(folder, "--algorithm=dlars")[0] == 0
    assert ald("reduce", folder / "params.txt")[0] == 0
    before = contents(folder)
    with full_disk(1900):
        status, sentence = lsq(folder)
        assert status == 2
        assert f"{folder / 'A.txt'}: cannot be written (File too large)" in sentence
        status, sentence = solve(folder, "--algorithm=dlars")
        assert status == 2
        assert sentence.startswith(f"{folder}: the binary copy of A.txt cannot be written here")
    with full_disk(512):
        status, sentence = ald("reduce", folder / "params.txt")
        assert status == 2
        assert f"{folder / 'params.txt.reduced'}: cannot be written" in sentence
    assert contents(folder) == before
    # There is room for the matrix and the small files, but not for the parameter file.
    monkeypatch.setattr("ald_chimes_lsq.solve_files.params_text", lambda *_: "x" * 10_000)
    with full_disk(8_000):
        status, sentence = solve(folder, "--algorithm=dlars", "--test_suite=true")
    assert status == 2
    assert f"{folder / 'params.txt'}: cannot be written" in sentence
    assert contents(folder) == before
    assert "/nowhere: no scratch folder can" in solve(folder, "--scratch", "/nowhere")[1]


def test_files_of_a_fit_are_replaced_together(folder):
    setup = read_setup(folder / "fm_setup.in")
    found = fit(setup, read_xyzf(folder / "a.xyzf"), algorithm="ridge", alpha=1e-2)
    found.write(folder)
    before = contents(folder)
    assert len(before["params.txt"]) > 700 > len(before["x.txt"])
    with full_disk(700), pytest.raises(OSError, match=r"params\.txt") as caught:
        found.write(folder)
    assert caught.value.errno == errno.EFBIG
    assert contents(folder) == before


def test_new_files_keep_links_and_devices(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_file(tmp_path / "link.txt", ["n", "ew"])
    assert (tmp_path / "real.txt").read_text() == "new"
    assert (tmp_path / "link.txt").is_symlink()
    write_file(Path(os.devnull), "nothing")
    assert not Path(os.devnull).is_file()
    read, write = os.pipe()
    write_file(Path(f"/dev/fd/{write}"), "into a pipe")
    os.close(write)
    assert os.read(read, 100) == b"into a pipe"
    os.close(read)
    with NewFiles() as files:
        files.write(tmp_path / "never.txt", "never published")
    (tmp_path / "folder").mkdir()
    with NewFiles() as files:
        files.write(tmp_path / "never.txt", "not published either")
        with pytest.raises(IsADirectoryError, match="folder"):
            files.write(tmp_path / "folder", "a folder")
    (tmp_path / "folder").rmdir()
    assert names(tmp_path) == {"real.txt", "link.txt"}


# ---------------------------------------------------------------- scratch folders and memory


def test_scratch_is_beside_the_output_and_goes(folder, monkeypatch, tmp_path_factory):
    assert lsq(folder)[0] == 0
    seen = []

    def record(path, *_):
        seen.append(path)
        raise InputError("enough")

    monkeypatch.setattr("ald_chimes_lsq.solve_files.read_matrix", lambda _, copy: record(copy))
    assert solve(folder) == (2, "enough")
    other = tmp_path_factory.mktemp("scratch")
    assert solve(folder, "--scratch", other) == (2, "enough")
    assert [path.parent.parent for path in seen] == [folder, other]
    assert not list(other.iterdir())
    assert not list(folder.glob(".ald*"))


def test_a_fit_uses_the_scratch_folder_that_is_named(folder, monkeypatch, tmp_path):
    seen = []

    def record(path, *arguments):
        seen.append(path)
        write_rows(path, *arguments)

    monkeypatch.setattr("ald_chimes_lsq.fitting.write_rows", record)
    monkeypatch.chdir(folder)
    frames = read_xyzf("a.xyzf")
    (tmp_path / "scratch").mkdir(exist_ok=True)
    for scratch in (None, tmp_path / "scratch"):
        fit("fm_setup.in", frames, algorithm="ridge", alpha=1e-2, scratch=scratch)
    assert [path.parent.parent for path in seen] == [Path(), tmp_path / "scratch"]
    assert not list((tmp_path / "scratch").iterdir())
    assert not list(folder.glob(".ald*"))
    with full_disk(512), pytest.raises(InputError, match=r"scratch: the matrix cannot be written"):
        fit("fm_setup.in", frames, algorithm="ridge", alpha=1e-2, scratch=tmp_path / "scratch")


def test_frames_are_read_one_at_a_time(folder, monkeypatch):
    """A frame with a wrong number of atoms in front of a long file, too."""
    frames = stream_xyzf(folder / "a.xyzf")
    first = next(frames)
    assert (first.line, first.offset) == (2, 0)
    second = next(frames)
    assert second.line == 7
    text = (folder / "a.xyzf").read_bytes()
    assert text[second.offset :].startswith(b"3\n9.0")
    frames.close()
    monkeypatch.setattr("ald_chimes_lsq.formats.xyzf._PIECE", 2)
    assert len(read_xyzf(folder / "a.xyzf")) == N
    (folder / "a.xyzf").write_bytes(text.replace(b"3\n", b"300\n", 1) + b"\xff")
    # The last byte, which is no text, is never read.
    with pytest.raises(InputError, match=r"line 6: an atom has 7 columns .* found 1: '3'"):
        list(stream_xyzf(folder / "a.xyzf"))


def test_no_work_begins_before_all_frames_are_checked(folder, monkeypatch):
    (folder / "a.xyzf").write_text(trajectory(N - 1) + trajectory(1).replace("C 0.0", "X 0.0"))
    monkeypatch.setattr("ald_chimes_lsq.design.configuration_rows", None)
    assert "line 18: element X is not among the atom types C" in lsq(folder)[1]


def test_skipped_frames_in_processes(folder):
    assert lsq(folder)[0] == 0
    right = np.loadtxt(folder / "b.txt").reshape(N, -1)
    assert lsq(folder, "--ranks", 2, old="# NFRAMES", new="# SKPFRMS #\n1\n# NFRAMES")[0] == 0
    again = np.loadtxt(folder / "b.txt").reshape(N, -1)
    np.testing.assert_array_equal(again, right[[0, 2, 1, 3]])
