"""Messages to users."""

import pytest

from ald_core.errors import InputError, InputErrors


def test_words_of_a_damaged_file_are_shown_in_short():
    error = InputError("'" + 9000 * "9" + "' is no element", cure=f"write \0{'x' * 500}")
    assert str(error) == f"'{39 * '9'}… is no element; write \\x00{36 * 'x'}…"


@pytest.mark.parametrize("name", ["a/" * 120 + "params.txt", "Köln/Übung.xyzf"])
def test_names_of_files_are_shown_in_full(name):
    assert name in str(InputError(f"there is no file '{name}'"))


def test_the_place_is_added_once():
    error = InputError("no such element", cure="write C").at("a.xyz", 3)
    assert str(error.at("b.xyz", 4)) == "b.xyz, line 4: no such element; write C"


def test_several_mistakes_keep_their_lines():
    assert str(InputErrors(["first", "second"])) == "first\nsecond"
