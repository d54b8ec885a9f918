"""Numbers as text must be those of C's printf, which Python's `%` gives."""

import numpy as np
import pytest

from ald_chimes_md.text_kernels import write_table


def table(numbers, prefixes=None):
    numbers = np.atleast_2d(np.asarray(numbers, dtype=float))
    if prefixes is None:
        prefixes = np.zeros((len(numbers), 0), dtype=np.uint8)
    text = np.zeros(len(numbers) * (prefixes.shape[1] + 20 * numbers.shape[1] + 1), np.uint8)
    size = write_table(prefixes, numbers, text)
    return text[:size].tobytes().decode()


@pytest.mark.parametrize(
    "numbers",
    [
        [0.0, -0.0, 1e-9, -1e-9, 0.000005, 0.999995, 9.999995, -99999.999995],
        [1e10 - 1, -9999999999.5, 123456.789, -12345.678901, 1234567.0],
        (2 * np.arange(-3000, 3000) + 1) / 64.0,  # halves that are exact in binary
        (np.arange(-3000, 3000) + 0.5) * 1e-5,  # halves that are not
        np.random.default_rng(1).normal(size=20000) * 20.0,
        np.random.default_rng(2).normal(size=20000) * 1e8,
    ],
)
def test_numbers_are_rounded_as_printf_does(numbers):
    expected = "".join(f" {x:10.5f}" for x in numbers) + "\n"
    assert table(numbers) == expected


def test_lines_begin_with_their_prefix():
    prefixes = np.frombuffer(b"C O ", np.uint8).reshape(2, 2)
    assert table([[1.0, 2.0], [3.0, 4.0]], prefixes) == (
        "C     1.00000    2.00000\nO     3.00000    4.00000\n"
    )
