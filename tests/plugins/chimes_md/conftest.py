"""Small runs for all tests of this folder."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ald_chimes_md.control import parse_control
from ald_chimes_md.keywords import with_values
from ald_chimes_md.run import run

DATA = Path(__file__).parents[2] / "data" / "chimes_md"
FLUID = """USECOUL: false
FITCOUL: false
USE3BCH: false

PAIRTYP: LJ

ATOM TYPES: 2

# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
0 O -0.8 15.999
1 H  0.4 1.008

ATOM PAIRS: 3

# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM #
 0 O O 0.75 4.0
 1 H H 0.75 3.5
 2 O H 0.75 4.5

ATOM PAIR TRIPLETS: 0

PAIR LJ PARAMS

PAIRTYPE PARAMS: 0 O O

0 0.5
1 2.2

PAIRTYPE PARAMS: 1 H H

0 0.3
1 1.6

PAIRTYPE PARAMS: 2 O H

0 0.4
1 1.9

PAIRMAPS: 4
0 OO
2 OH
2 HO
1 HH

ENDFILE
"""
CHARGED = FLUID.replace("USECOUL: false", "USECOUL: true")
CONTROL = """# RNDSEED #
 7
# TEMPERA #
 300
# TIMESTP #
 0.2
# N_MDSTP #
 20
# PRMFILE #
 params.txt
# CRDFILE #
 box.xyz
# VELINIT #
 GEN
# CONSRNT #
 NVE
# FRQDFTB #
 1
# FRQENER #
 1
# ENDFILE #
"""


def box_text():
    """24 atoms on a distorted grid in a box of three lengths."""
    rows = []
    for n in range(24):
        i, j, k = n % 2, n // 2 % 3, n // 6
        x, y, z = 2.7 * i + 0.3 * (j % 2), 2.2 * j + 0.1 * k, 1.9 * k + 0.2 * i
        rows.append(f"{'O' if n % 3 == 0 else 'H'} {x:.6f} {y:.6f} {z:.6f}")
    return "\n".join(["24", "5.4 6.6 7.6", *rows, ""])


@pytest.fixture
def fluid(tmp_path):
    """Run the Lennard-Jones box, with other files and values if wanted; all in one folder."""

    def start(files=None, *, folder="run", last_step=None, resume=False, report=None, **values):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for name, text in {"params.txt": FLUID, "box.xyz": box_text(), **(files or {})}.items():
            (place / name).write_text(text)
        text = with_values(CONTROL, values)
        (place / "run_md.in").write_text(text)
        control = parse_control(text, place / "run_md.in")
        return run(control, place, last_step=last_step, resume=resume, report=report)

    return start


@pytest.fixture
def fluid_text():
    """The texts behind `fluid`."""
    return SimpleNamespace(neutral=FLUID, charged=CHARGED, control=CONTROL, box=box_text())


@pytest.fixture
def water(tmp_path):
    """Run 96 atoms of water with fitted charges, in a folder of their own."""
    frame = np.load(DATA / "h2o-3bcheby-charges.npz")
    parameters = DATA.parent / "chimes_lsq" / "h2o-3bcheby" / "expected" / "params.txt"

    def start(folder="run", **values):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / "params.txt").write_text(parameters.read_text())
        rows = zip(frame["elements"].tolist(), frame["positions"].tolist(), strict=True)
        atoms = [" ".join([name, *map(repr, position)]) for name, position in rows]
        cell = " ".join(map(repr, frame["cell"].tolist()))
        (place / "box.xyz").write_text("\n".join(["96", cell, *atoms, ""]))
        return run(parse_control(with_values(CONTROL, values)), place)

    return start
