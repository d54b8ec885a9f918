"""Times of ChIMES evaluation and design matrices on one thread.

Run from the repository root: `python benchmarks/engine.py`. The last column is in units of the calibration loop
(`calibrate.py`), so that machines can be compared.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from calibrate import calibration, seconds
from numba import njit
from numpy.typing import NDArray

from ald_chimes_lsq.basis import AtomType, PairType
from ald_chimes_lsq.calculator import ChimesCalculator
from ald_chimes_lsq.design import design_matrix
from ald_chimes_lsq.engine import PackedModel, build_lists, evaluate, pack
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.formats.xyzf import XyzfFrame, read_xyzf
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.params import expand
from ald_chimes_lsq.topology import build_basis

DATA = Path(__file__).parents[1] / "tests" / "data"
Floats = NDArray[np.float64]
STEPS = 400
REBUILD = 20


def main() -> None:
    """Print a table."""
    unit = calibration()
    print(f"calibration loop {1e3 * unit:.3f} ms")
    print(f"{'':58s}{'ms':>9s} {'target':>8s} {'units':>8s}")
    for name, target, function in (*design_cases(), *model_cases()):
        time = seconds(function)
        print(f"{name:58s}{1e3 * time:9.3f} {target:8.2f} {time / unit:8.3f}")
    name, time = molten_carbon_steps()
    print(f"{name:58s}{1e3 * time:9.3f} {0.2:8.2f} {time / unit:8.3f}   {1 / time:.0f} steps/s")


Case = tuple[str, float, Callable[[], Any]]


def design_cases() -> list[Case]:
    """Design matrices of one frame."""
    water = read_xyzf(DATA / "chimes_design" / "fitstrs3b.xyzf")[0]
    limits = {("O", "O"): 1.0, ("H", "H"): 0.8, ("O", "H"): 0.8}
    pairs = [PairType(a, b, rmin, 5.0, 2.0) for (a, b), rmin in limits.items()]
    types = [AtomType("O", 16.0), AtomType("H", 1.0)]
    carbon_oxide = read_xyzf(DATA / "chimes_design" / "special3b.xyzf")[0]
    special = read_setup(DATA / "chimes_lsq" / "special3b" / "fm_setup.in").basis
    plain = build_basis(types, pairs, (10, 6, 0), "MORSE")
    four = build_basis(types, pairs, (10, 6, 2), "MORSE")
    return [
        ("design, water, 96 atoms, 10/6/0, 5 Å", 10.0, design(plain, water)),
        ("  with full stress and energy", 10.0, design(plain, water, stress="full", energy=True)),
        ("design, CO, 64 atoms, 12/5/0 with special cutoffs", 2.0, design(special, carbon_oxide)),
        ("design, water, 96 atoms, 10/6/2, 5 Å", np.nan, design(four, water)),
    ]


def design(basis: Any, frame: XyzfFrame, **options: Any) -> Callable[[], Any]:
    """The design matrix of a frame."""
    return lambda: design_matrix(basis, frame.elements, frame.positions, frame.cell, **options)


def model_cases() -> list[Case]:
    """Energy, forces and stress of one configuration, neighbour search included."""
    folder = DATA / "chimes_calculator"
    parameters = DATA / "chimes_lsq" / "parameters"
    liquid = "published_params.liqC.2+3b.cubic.txt"
    cases = (
        ("liquid C, 200 atoms, 12/5/0", 0.8, folder / liquid, "liqC.2.5gcc_6000K.OUTCAR_#001.xyz"),
        (
            "CO, 128 atoms, 12/5/0",
            4.0,
            parameters / "published_params.liqCO.2+3b.cubic.txt",
            "CO.2.5gcc_6500K.OUTCAR_#000.xyz",
        ),
        (
            "HN3, 512 atoms, 12/8/4",
            np.nan,
            folder / "published_params.HN3.2+3+4b.Tersoff.special.offsets.txt",
            "HN3.2gcc_3000K.OUTCAR_#000.xyz",
        ),
    )
    return [
        (f"energy, forces, stress, {name}", target, evaluation(path, folder / file))
        for name, target, path, file in cases
    ]


def evaluation(parameters: Path, configuration: Path) -> Callable[[], Any]:
    """A fresh calculation through the calculator for ASE."""
    lines = configuration.read_text().splitlines()
    cell = np.array(lines[1].split(), float).reshape(3, 3)
    rows = [line.split() for line in lines[2 : 2 + int(lines[0])]]
    atoms = Atoms(
        [row[0] for row in rows],
        [[float(v) for v in row[1:4]] for row in rows],
        cell=cell,
        pbc=True,
    )
    calculator = ChimesCalculator(parameters)
    return lambda: calculator.calculate(atoms)


@njit(cache=True)  # type: ignore[untyped-decorator]
def walk(
    packed: PackedModel, types: NDArray[np.int64], start: Floats, cell: Floats, moves: Floats
) -> float:
    """Evaluations along a path of small moves, with new lists (skin 0.5 Å) every 20 steps."""
    positions = start.copy()
    forces, virial = np.empty_like(start), np.empty((3, 3))
    lists = build_lists(packed, types, positions, cell, 0.5)
    total = 0.0
    for step in range(STEPS):
        if step % REBUILD == 0:
            lists = build_lists(packed, types, positions, cell, 0.5)
        for i in range(len(types)):
            for a in range(3):
                positions[i, a] += moves[step % moves.shape[0], i, a]
        total += evaluate(packed, lists, types, positions, cell, forces, virial)[0]
    return total


def molten_carbon_steps() -> tuple[str, float]:
    """Seconds of an evaluation inside a compiled loop, as in molecular dynamics."""
    basis = read_setup(DATA / "chimes_lsq" / "setups" / "molten_carbon.fm_setup.in").basis
    frame = read_xyzf(DATA / "chimes_lsq" / "trajectories" / "molten_carbon.xyzf")[0]
    rng = np.random.default_rng(0)
    packed = pack(ChimesModel(basis, expand(basis, rng.normal(size=basis.n_short_range))))
    n = len(frame.elements)
    moves = rng.normal(0.0, 0.01, (8, n, 3))
    moves -= moves.mean(0)
    types = np.zeros(n, np.int64)
    time = seconds(lambda: walk(packed, types, frame.positions, frame.cell, moves))
    return f"molten C, {n} atoms, 12/5/0, one step of a compiled loop", time / STEPS


if __name__ == "__main__":
    main()
