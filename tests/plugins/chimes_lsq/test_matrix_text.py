"""Matrices in text files, read in pieces."""

import pytest

from ald_chimes_lsq.formats.matrix_text import read_matrix
from ald_core.errors import InputError


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("7 8\n", "7 x8\n", "line 3: a word of this file must be a finite number, found 'x8'"),
        ("7 8\n", "7 nan\n", "line 3: a word of this file must be a finite number, found 'nan'"),
        ("7 8\n", "7 8 9\n", "line 3: 3 numbers in this line, 2 in the lines before"),
        ("7 8\n", "7\n", "line 3: 1 numbers in this line, 2 in the lines before"),
        ("1 2\n\n7 8\n3 4", "\n", "there are no numbers in this file"),
        ("7 8\n", "7 8é\n", "line 3: a word of this file must be a finite number, found '8é'"),
    ],
)
def test_mistakes_in_a_matrix_are_named_with_their_line(tmp_path, monkeypatch, old, new, words):
    monkeypatch.setattr("ald_chimes_lsq.formats.matrix_text._PIECE", 3)
    path = tmp_path / "A.txt"
    text = "1 2\n\n7 8\n3 4"
    path.write_text(text)
    assert read_matrix(path, tmp_path / "A.bin")[0:3].tolist() == [[1, 2], [7, 8], [3, 4]]
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=words):
        read_matrix(path, tmp_path / "A.bin")
