"""Rows of a least-squares problem, read a chunk at a time, so that the matrix may be larger than the memory.

Everything is summed in the order of the rows, in chunks that depend on nothing but the size of the whole: equal rows
give equal bits however they are cut into parts and for any number of threads, as long as BLAS chooses the same kernels.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import attrs
import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from ald_chimes_lsq.kernels.gradient import add_gradient
from ald_chimes_lsq.solvers.normal import NormalEquations
from ald_chimes_lsq.threads import results_in_order
from ald_core.errors import InputError

Floats = NDArray[np.float64]

_CHUNK = 32_000_000
"""Bytes of a chunk."""
_PANEL = 32
"""Columns that the QR factorisation treats at a time."""
_CONSTANT = 1e-13
"""Length of a centred column, relative to that of its mean, up to which it counts as constant."""
_GRAM_PANEL = 128
"""Columns of AᵀA that a thread treats at a time."""


_ANEW = "compute the rows again"


class Matrix(Protocol):
    """Part of a design matrix: an array, or a file of numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __getitem__(self, rows: slice, /) -> Floats:
        """Some rows."""


class Gradient(Protocol):
    """Tells Aᵀ(b − Ax)."""

    def __call__(self, x: Floats, rest: Floats | None = None, /) -> Floats:
        """At x + rest, where `rest` is below the last digits of x."""


@attrs.frozen
class RowFile:
    """A matrix in a file; only the rows that are asked for are mapped into memory, and only while they are used."""

    path: Path
    shape: tuple[int, int]
    offset: int = 0
    """Bytes before the first number."""

    @classmethod
    def open(cls, path: Path) -> "RowFile":
        """A file in NumPy's format, `.npy`.

        Raises:
            InputError: the file is missing, or is not a matrix of doubles in the order of rows.
        """
        try:
            mapped = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"cannot be read as rows of a matrix ({error})", path=path, cure=_ANEW
            ) from None
        if not isinstance(mapped, np.memmap) or mapped.ndim != 2 or mapped.dtype != np.float64:
            raise InputError("is not a matrix of doubles", path=path, cure=_ANEW)
        if not mapped.flags.c_contiguous:
            raise InputError("is not stored in the order of rows", path=path, cure=_ANEW)
        return cls(path, (mapped.shape[0], mapped.shape[1]), mapped.offset)

    def __getitem__(self, rows: slice) -> Floats:
        start, stop, _ = rows.indices(self.shape[0])
        if stop <= start or self.shape[1] == 0:
            return np.zeros((max(stop - start, 0), self.shape[1]))
        offset = self.offset + 8 * start * self.shape[1]
        return np.memmap(
            self.path, np.float64, "r", offset=offset, shape=(stop - start, self.shape[1])
        )


@attrs.frozen(eq=False)
class _Section:
    """Some consecutive rows of a matrix."""

    whole: Matrix
    first: int
    last: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.last - self.first, self.whole.shape[1]

    def __getitem__(self, rows: slice) -> Floats:
        start, stop, _ = rows.indices(self.shape[0])
        return self.whole[self.first + start : self.first + stop]


@attrs.frozen(eq=False)
class Rows:
    """A design matrix in parts, with right-hand sides and weights.

    Raises:
        InputError: the parts do not have equal numbers of columns, or not as many rows as there are right-hand sides.
    """

    parts: Sequence[Matrix]
    right: Floats
    """(n,)"""
    weights: Floats | None = None
    """(n,) factors of A and b, so that squared errors are weighted by their squares"""

    def __attrs_post_init__(self) -> None:
        n_rows, columns = sum(p.shape[0] for p in self.parts), {p.shape[1] for p in self.parts}
        if n_rows != len(self.right) or len(columns) != 1:
            widths = " or ".join(map(str, sorted(columns)))
            raise InputError(
                f"{n_rows} rows of {widths} numbers do not fit {len(self.right)} right-hand sides",
                cure=_ANEW,
            )

    @property
    def n_columns(self) -> int:
        """Number of unknowns."""
        return self.parts[0].shape[1]

    def chunks(self) -> Iterator[tuple[Floats, slice]]:
        """Rows of A without weights, and which rows they are; a chunk may come from several parts."""
        height = max(_CHUNK // (8 * max(self.n_columns, 1)), 64)
        for start in range(0, len(self.right), height):
            own = slice(start, min(start + height, len(self.right)))
            pieces = [piece[:] for piece in self._pieces(own)]
            yield pieces[0] if len(pieces) == 1 else np.concatenate(pieces), own

    def section(self, own: slice) -> "Rows":
        """Only some consecutive rows."""
        weights = None if self.weights is None else self.weights[own]
        return Rows(self._pieces(own), self.right[own], weights)

    def _pieces(self, own: slice) -> list["_Section"]:
        """What each part has of some consecutive rows; parts with none of them are left out."""
        pieces, position = [], 0
        for part in self.parts:
            n = part.shape[0]
            first, last = max(own.start - position, 0), min(own.stop - position, n)
            if first < last:
                pieces.append(_Section(part, first, last))
            position += n
        return pieces

    def _weighted(self) -> Iterator[tuple[Floats, Floats]]:
        for matrix, own in self.chunks():
            if self.weights is None:
                yield np.ascontiguousarray(matrix), self.right[own]
            else:
                factors = self.weights[own]
                yield matrix * factors[:, None], self.right[own] * factors

    @np.errstate(over="ignore", invalid="ignore")
    def normal_equations(self) -> NormalEquations:
        """Sums over the weighted rows.

        Raises:
            InputError: some number is not finite.
        """
        p = self.n_columns
        upper, moment, square = np.zeros((p, p), order="F"), np.zeros(p), 0.0
        panels = [slice(i, min(i + _GRAM_PANEL, p)) for i in range(0, p, _GRAM_PANEL)]
        for a, b in self._weighted():
            for _ in results_in_order(partial(_add_products, a, upper), panels):
                pass
            moment += b @ a
            square += float(b @ b)
        if not (np.isfinite(np.diag(upper)).all() and np.isfinite(square)):
            raise not_finite()
        # In place: the matrix can be the largest thing in memory.
        for i in range(1, p):
            upper[i, :i] = upper[:i, i]
        return NormalEquations(upper, moment, square, len(self.right))

    def triangle(self, *, centred: bool = False) -> Floats:
        """R of the QR factorisation of the weighted (A, b), (p + 1, p + 1), found chunk after chunk.

        Args:
            centred: of columns from which their means are subtracted; those of constant columns are zero.

        Raises:
            InputError: some number is not finite.
        """
        extra = 1 if centred else 0
        width = self.n_columns + 1 + extra
        triangle = np.zeros((width, width), order="F")
        for a, b in self._weighted():
            rows = np.ones((len(b), width), order="F")
            rows[:, extra:-1] = a
            rows[:, -1] = b
            if not np.isfinite(rows).all():
                raise not_finite()
            triangle = add_rows(triangle, rows)
        if centred:
            # Of a constant column only rounding errors are left.
            spread = np.linalg.norm(triangle[1:, 1:-1], axis=0)
            constant = spread <= _CONSTANT * np.abs(triangle[0, 1:-1])
            triangle[1:, 1:-1][:, constant] = 0.0
        # What is left of the others when the column of ones is eliminated is centred.
        return np.asarray(triangle[extra:, extra:])

    def gradient(self, x: Floats, rest: Floats | None = None, /) -> Floats:
        """Aᵀ(b − Ax) of the weighted rows, (p,), to the last digit; A, b, x and weights are taken as exact.

        Args:
            x: (p,).
            rest: (p,) further digits of x.
        """
        little = np.zeros(self.n_columns) if rest is None else rest
        high, low = np.zeros(self.n_columns), np.zeros(self.n_columns)
        for matrix, own in self.chunks():
            factors = np.ones(len(matrix)) if self.weights is None else self.weights[own]
            # A writable array, because compiled code tells it from others.
            rows = np.require(matrix, np.float64, ["C", "W", "E"])
            add_gradient(rows, self.right[own], factors, x, little, high, low)
        return high + low

    def product(self, x: Floats) -> Floats:
        """Ax without weights, (n,)."""
        said = np.empty(len(self.right))
        for matrix, own in self.chunks():
            said[own] = matrix @ x
        return said


@np.errstate(over="ignore", invalid="ignore")
def _add_products(a: Floats, upper: Floats, panel: slice) -> None:
    """Add aᵀa to some columns of the upper triangle, in column order, in place."""
    upper[: panel.stop, panel] += a[:, : panel.stop].T @ a[:, panel]


def add_rows(triangle: Floats, rows: Floats) -> Floats:
    """R of the QR factorisation of R and more rows below it.

    Args:
        triangle: (p, p) upper triangular, in column order; overwritten.
        rows: (m, p), in column order; overwritten.
    """
    nb = min(_PANEL, triangle.shape[1])
    result, _, _, info = scipy.linalg.lapack.dtpqrt(
        0, nb, triangle, rows, overwrite_a=1, overwrite_b=1
    )
    if info != 0:
        raise ValueError(f"dtpqrt: argument {-info}")
    return np.asarray(result, dtype=np.float64)


def checked_weights(weights: ArrayLike, n_rows: int) -> Floats:
    """Weights as an array.

    Raises:
        InputError: there is not one for each row, or some are negative or not finite.
    """
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (n_rows,):
        raise InputError(
            f"{given.size} weights do not fit {n_rows} rows", cure="give one for each row"
        )
    wrong = np.flatnonzero(~np.isfinite(given) | (given < 0.0))
    if wrong.size:
        raise InputError(
            f"weight {wrong[0] + 1} is {given[wrong[0]]:g}; weights must be finite and not negative",
            cure="give 0 for a row that does not count",
        )
    if not given.any():
        raise InputError("all weights are zero", cure="give more than 0 for rows that count")
    return given


def not_finite() -> InputError:
    """What to say when sums over rows are not finite."""
    return InputError(
        "the design matrix or the right-hand side holds a number that is not finite, or too large to be squared",
        cure="look for atoms that are too close, and for wrong labels",
    )
