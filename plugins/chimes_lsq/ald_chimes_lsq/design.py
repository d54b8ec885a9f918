"""The design matrix of a fit: rows of frames one after another, then those that tie charges together.

Native units: kcal/mol, Å. The order of rows and columns, and the meaning of the numbers, are those of `design_rows`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from ald_chimes_lsq.basis import Basis
from ald_chimes_lsq.constants import GPA, HARTREE_FORCE
from ald_chimes_lsq.design_rows import configuration_rows, constraint_rows, fitted_cell
from ald_chimes_lsq.formats.setup import FitSetup, StressRows, read_setup
from ald_chimes_lsq.formats.tokens import Place
from ald_chimes_lsq.formats.xyzf import XyzfFrame
from ald_chimes_lsq.frame_rows import ENERGY_ROWS, KINDS, VOIGT, count_columns, right_sides
from ald_chimes_lsq.structure import AtomError, check_apart, check_configuration
from ald_chimes_lsq.threads import results_in_order
from ald_core.errors import InputError
from ald_core.types import Labels

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STRESS_NAMES: dict[StressRows, tuple[str, ...]] = {
    "none": (),
    "diagonal": ("xx", "yy", "zz"),
    "full": ("xx", "xy", "xz", "yx", "yy", "yz", "zx", "zy", "zz"),
}
_NINE = [0, 3, 4, 3, 1, 5, 4, 5, 2]
"""xx yy zz xy xz yz of a trajectory as xx xy xz yx yy yz zx zy zz."""
_MEANINGS = {
    "energy": "one number",
    "forces": "three numbers for each atom",
    "stress": "six numbers in Voigt's order, or 3 × 3",
}


@attrs.frozen(eq=False)
class DesignMatrix:
    """The linear equations of a fit, `matrix` times parameters = `right`, without weights."""

    matrix: Floats
    """(n_rows, n_columns)"""
    right: Floats
    """(n_rows,) kcal/mol/Å, kcal/mol/Å³ (positive in compression), kcal/mol; nan without labels"""
    kinds: NDArray[np.str_]
    """(n_rows,) force, stress, energy or constraint"""
    labels: tuple[str, ...]
    """(n_rows,) as in `b-labeled.txt`: the element of a force, s_xx …, +1 for an energy; of a constraint, nothing"""
    frames: Ints
    """(n_rows,) positions of the frames in what was given; -1 for constraints"""
    n_atoms: Ints
    """(n_rows,) numbers of atoms of the frames, as in `natoms.txt`; 0 for constraints"""


@attrs.frozen(eq=False)
class FittedFrame:
    """A frame with the rows that it has in a fit, whatever it came as."""

    index: int
    elements: tuple[str, ...]
    positions: Floats
    """(n, 3) Å"""
    cell: Floats
    """(3, 3) Å, vectors as rows; the frame is periodic in it"""
    stress: StressRows
    energy: bool
    right: Floats
    """(n_rows,) native units; nan without labels"""
    place: Place | None = None
    """Where the frame was read"""

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of force, stress and energy rows."""
        return _counts(len(self.elements), self.stress, self.energy)

    @property
    def kinds(self) -> NDArray[np.int8]:
        """(n_rows,) positions in `KINDS`."""
        return np.repeat(np.arange(3, dtype=np.int8), self.counts)

    @property
    def labels(self) -> list[str]:
        """Names of the rows as in `b-labeled.txt`, without flags."""
        forces = [element for element in self.elements for _ in range(3)]
        stress = [f"s_{name}" for name in STRESS_NAMES[self.stress]]
        return forces + stress + ["+1"] * (ENERGY_ROWS * self.energy)

    def rows(self, basis: Basis, *, offsets: bool) -> Floats:
        """Rows of the design matrix; errors name the frame."""
        with self._placed():
            return configuration_rows(
                basis,
                self.elements,
                self.positions,
                self.cell,
                stress=self.stress,
                energy=self.energy,
                offsets=offsets,
            )

    def check(self, basis: Basis) -> None:
        """Refuse what can have no rows, as `rows` would, and any atoms in one place; errors name the frame."""
        with self._placed():
            _, positions, cell = check_configuration(
                basis, self.elements, self.positions, self.cell
            )
            check_apart(positions, cell)

    @contextmanager
    def _placed(self) -> Iterator[None]:
        """Name the frame, or the line of an atom, in a complaint."""
        try:
            yield
        except InputError as error:
            place = self.place
            if isinstance(error, AtomError) and place is not None and place.line is not None:
                place = Place(place.path, place.line + 1 + error.atom)
            raise _error(self.index, place, error.fault, error.cure) from None


def design_matrix(
    setup: FitSetup | Path | str,
    frames: Sequence[XyzfFrame | Atoms],
    *,
    labelled: bool = True,
) -> DesignMatrix:
    """The design matrix of frames, in memory.

    Args:
        setup: `fm_setup.in`, read or not; its trajectories are not looked at. It says which rows there are: `FIRST n`
            counts the frames that are given.
        frames: of `read_xyzf`, or of ASE in ASE's units. Labels of the latter are `ref_forces` in `arrays`, and
            `ref_energy` and `ref_stress` in `info`, or else results of the calculator. Frames of ASE that are not
            periodic in all directions have no stress rows.
        labelled: whether there have to be labels; without, `right` is nan.

    Raises:
        InputError: a label or an element is missing, or a frame is impossible.
    """
    known = setup if isinstance(setup, FitSetup) else read_setup(setup)
    fitted = [fitted_frame(known, frame, i, labelled=labelled) for i, frame in enumerate(frames)]
    offsets = known.has_offsets
    tied, values = constraint_rows(known.basis, known.charge_constraints, offsets=offsets)
    counts = [len(frame.right) for frame in fitted]
    ends = np.cumsum([0, *counts])
    matrix = np.empty((ends[-1] + len(tied), count_columns(known.basis, offsets=offsets)))
    rows = results_in_order(lambda frame: frame.rows(known.basis, offsets=offsets), fitted)
    for own, begin, end in zip(rows, ends, ends[1:], strict=False):
        matrix[begin:end] = own
    matrix[ends[-1] :] = tied
    last = np.full(len(tied), len(KINDS) - 1, dtype=np.int8)
    sizes = [len(frame.elements) for frame in fitted]
    return DesignMatrix(
        matrix=matrix,
        right=np.concatenate([*(frame.right for frame in fitted), values]),
        kinds=np.array(KINDS)[np.concatenate([*(frame.kinds for frame in fitted), last])],
        labels=(*(label for frame in fitted for label in frame.labels), *[""] * len(tied)),
        frames=np.repeat([*range(len(fitted)), -1], [*counts, len(tied)]),
        n_atoms=np.repeat([*sizes, 0], [*counts, len(tied)]),
    )


def fitted_frame(
    setup: FitSetup, frame: XyzfFrame | Atoms, index: int, *, labelled: bool = True
) -> FittedFrame:
    """The rows of a frame, by its number over all frames.

    Raises:
        InputError: a label is missing or impossible, or the cell is.
    """
    stress, energy = setup.fit_stress.of(index), setup.fit_energy.of(index)
    if isinstance(frame, XyzfFrame):
        place = Place(frame.path, frame.line) if frame.path or frame.line else None
        right = _xyzf_right(frame, stress, energy) if labelled else None
        elements, positions, cell = frame.elements, frame.positions, frame.cell
    elif not isinstance(frame, Atoms):
        kind = type(frame).__name__
        raise _error(index, None, f"{kind} is no frame", "give Atoms of ASE or an XyzfFrame")
    else:
        place = None
        stress = stress if frame.pbc.all() else "none"
        try:
            right = _ase_right(frame, stress, energy) if labelled else None
            cell = fitted_cell(setup.basis, frame)
        except InputError as error:
            raise _error(index, None, error.fault, error.cure) from None
        elements, positions = tuple(frame.get_chemical_symbols()), frame.positions
    n_rows = sum(_counts(len(elements), stress, energy))
    if right is None:
        right = np.full(n_rows, np.nan)
    if len(right) != n_rows:
        raise _error(index, place, f"its forces must be {_MEANINGS['forces']}", "give them so")
    return FittedFrame(index, tuple(elements), positions, cell, stress, energy, right, place)


def _counts(n_atoms: int, stress: StressRows, energy: bool) -> tuple[int, int, int]:
    return 3 * n_atoms, len(STRESS_NAMES[stress]), ENERGY_ROWS * energy


def _error(index: int, place: Place | None, fault: str, cure: str) -> InputError:
    if place is None:
        return InputError(f"frames[{index}]: {fault}", cure=cure)
    return place.error(fault, cure=cure)


def _xyzf_right(frame: XyzfFrame, rows: StressRows, energy: bool) -> Floats:
    """Right-hand sides from Hartree/bohr, GPa and kcal/mol, with the constants of the ChIMES LSQ program."""
    stress, said = frame.fitted_labels(rows, energy)
    parts = [np.ravel(np.asarray(frame.forces, dtype=np.float64)) * HARTREE_FORCE]
    if stress is not None:
        parts.append(np.array(stress)[_NINE if rows == "full" else [0, 1, 2]] / GPA)
    if said is not None:
        parts.append(np.full(ENERGY_ROWS, float(said)))
    return np.concatenate(parts)


def _ase_right(atoms: Atoms, rows: StressRows, energy: bool) -> Floats:
    """Right-hand sides from labels in ASE's units."""
    forces = _label(atoms, "forces")
    said = _label(atoms, "energy") if energy else None
    stress = _label(atoms, "stress") if VOIGT[rows] else None
    if stress is not None and stress.shape != (6,):
        stress = full_3x3_to_voigt_6_stress(stress.reshape(3, 3))
    return right_sides(Labels(None if said is None else float(said), forces, stress), rows, energy)


def _label(atoms: Atoms, name: str) -> Floats:
    given = (atoms.arrays if name == "forces" else atoms.info).get(f"ref_{name}")
    if given is None and atoms.calc is not None:
        try:
            given = atoms.calc.get_property(name, atoms, allow_calculation=False)
        except PropertyNotImplementedError:
            given = None
    if given is None:
        raise InputError(
            f"it has no {name}, which is to be fitted", cure=f"label it, or do not fit {name}"
        )
    shapes: dict[str, list[tuple[int, ...]]] = {
        "energy": [()],
        "forces": [(len(atoms), 3)],
        "stress": [(6,), (3, 3), (9,)],
    }
    try:
        value = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        value = np.full(1, np.nan)
    if value.shape not in shapes[name]:
        raise InputError(f"its {name} must be {_MEANINGS[name]}", cure="give it so")
    if not np.isfinite(value).all():
        raise InputError(
            f"its {name} has a number that is not finite", cure="label it again, or leave it out"
        )
    return value
