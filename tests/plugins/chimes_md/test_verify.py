"""The checks that need no stored numbers, through the commands: fits against runs, and invariances."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ald_chimes_lsq.commands import app as fit_app
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_md.commands import app as md_app
from ald_chimes_md.keywords import with_values

DATA = Path(__file__).parents[2] / "data"
CASES = DATA / "chimes_lsq"


def call(app, *words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.exception
    return result.stdout


def fit(folder, *options):
    """`params.txt` and `force.txt` from the `fm_setup.in` of a folder."""
    call(fit_app, "lsq", folder / "fm_setup.in")
    names = {"A": "A.txt", "b": "b.txt", "header": "params.header", "map": "ff_groups.map"}
    files = [word for key, name in names.items() for word in (f"--{key}", folder / name)]
    call(fit_app, "solve", *files, "--folder", folder, "--output", folder / "params.txt", *options)


def md(folder, control, **values):
    """Standard output of a run in a folder."""
    (folder / "run_md.in").write_text(with_values(control, {"N_MDSTP": 1, "TIMESTP": 0, **values}))
    return call(md_app, "md", folder / "run_md.in")


@pytest.mark.parametrize(
    ("name", "frames", "values"),
    [
        ("special4b", 1, {}),
        ("fitstrs3b", 2, {"FITSTRS": "true"}),
        ("stress-and-ener-2b1", 2, {"FITSTRS": "ALL", "FITENER": "FIRST 5"}),
    ],
)
def test_forces_of_a_run_are_those_of_the_fit(name, frames, values, fluid_text, tmp_path):
    text = (CASES / name / "fm_setup.in").read_text()
    setup = read_setup(CASES / name / "fm_setup.in")
    lines = text.split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("# NFRAMES"))
    lines[at + 1] = str(frames)
    (tmp_path / "fm_setup.in").write_text("\n".join(lines))
    trajectory = tmp_path / setup.trajectory.name
    if name == "stress-and-ener-2b1":
        packed = DATA / "chimes_programs" / f"{name}.xyzf.gz"
        trajectory.write_bytes(gzip.decompress(packed.read_bytes()))
    else:
        shutil.copy(DATA / "chimes_design" / f"{name}.xyzf", trajectory)
    fit(tmp_path)
    shown = md(
        tmp_path,
        fluid_text.control,
        CRDFILE=trajectory.name,
        CMPRFRC="true force.txt",
        **values,
    ).splitlines()
    said = np.loadtxt(tmp_path / "force.txt")
    n_atoms = int(trajectory.read_text().split()[0])
    forces = said[: 3 * n_atoms]
    # force.txt has seven digits.
    errors = {line.split(" = ")[0]: float(line.split()[-2]) for line in shown if " = " in line}
    assert errors["RMS force error"] < 5e-7 * np.abs(forces).max()
    assert np.abs(forces).max() > 10.0
    assert ("RMS stress error" in errors) == ("FITSTRS" in values)
    assert errors.get("RMS stress error", 0.0) < 1e-5
    if "FITENER" in values:
        assert errors["Absolute energy error"] < 5e-7 * abs(said[3 * n_atoms + 9])
    further = [line for line in shown if "further numbers" in line]
    assert (frames > 1) == bool(further)


@pytest.fixture
def water(fluid_text, tmp_path):
    """Forces and potential energy of 96 atoms of water, as a run writes them."""
    frame = np.load(DATA / "chimes_md" / "h2o-3bcheby-charges.npz")
    shutil.copy(CASES / "h2o-4bcheby" / "expected" / "params.txt", tmp_path)

    def start(change):
        names, positions = change(frame["elements"], frame["positions"])
        rows = zip(names.tolist(), positions.tolist(), strict=True)
        atoms = [" ".join([name, *map(repr, place)]) for name, place in rows]
        cell = " ".join(map(repr, frame["cell"].tolist()))
        (tmp_path / "box.xyz").write_text("\n".join(["96", cell, *atoms, ""]))
        md(tmp_path, fluid_text.control, PRNTFRC="true 1")
        forces = np.loadtxt(tmp_path / "forceout.txt").reshape(-1, 3)
        return forces, np.loadtxt(tmp_path / "md_statistics.out")[[3, 7]]

    return start


def test_translated_scrambled_and_inverted_water(water):
    forces, numbers = water(lambda names, positions: (names, positions))
    order = np.random.default_rng(1).permutation(96)
    changes = {
        "translate": (lambda n, p: (n, p + np.array([1.7, -23.4, 5.0])), forces),
        "scramble": (lambda n, p: (n[order], p[order]), forces[order]),
        "invert": (lambda n, p: (n, -p), -forces),
    }
    scale = np.abs(forces).max()
    assert scale > 50.0
    for change, wanted in changes.values():
        found, others = water(change)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * scale)
        np.testing.assert_array_equal(others, numbers)


SETUP = """# TRJFILE #
 frames.xyzf
# WRAPTRJ #
 true
# NFRAMES #
 3
# NLAYERS #
 1
# FITSTRS #
 ALL
# FITENER #
 true
# PAIRTYP #
 CHEBYSHEV 6 3 2
# CHBTYPE #
 MORSE
# NATMTYP #
 2
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
1 {0} 0 12.0
2 {1} 0 1.0
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA #
1 {0} {0} 1.2 3.6 0.01 1.4
2 {1} {1} 0.7 3.1 0.01 0.8
3 {0} {1} 0.9 3.4 0.01 1.1
SPECIAL 3B S_MAXIM: SPECIFIC 1
{0}{0}{0}{1}{0}{1} {0}{0} {0}{1} {0}{1} 3.2 3.3 3.3
# FCUTTYP #
 TERSOFF 0.5
# ENDFILE #
"""


@pytest.fixture
def labelled(fluid_text, tmp_path):
    """Forces of a run with the model that is fitted to frames whose two kinds of atoms have these names."""
    rng = np.random.default_rng(5)
    cell = np.array([[6.0, 0, 0], [1.1, 5.4, 0], [-0.8, 0.9, 5.7]])
    grid = np.stack(np.meshgrid(*[np.arange(3) / 3.0] * 3, indexing="ij"), -1).reshape(-1, 3)[::2]
    frames = [
        (grid @ cell + rng.normal(scale=0.25, size=grid.shape), rng.normal(size=grid.shape) / 50)
        for _ in range(3)
    ]

    def start(*names):
        folder = tmp_path / "".join(names)
        folder.mkdir()
        text = ""
        for positions, forces in frames:
            rows = np.hstack([positions, forces]).tolist()
            atoms = [" ".join([names[i % 3 > 0], *map(repr, row)]) for i, row in enumerate(rows)]
            header = " ".join(["NON_ORTHO", *map(repr, cell.ravel().tolist()), "1 2 3 4 5 6 -90.0"])
            text += "\n".join([str(len(atoms)), header, *atoms, ""])
        (folder / "frames.xyzf").write_text(text)
        (folder / "fm_setup.in").write_text(SETUP.format(*names))
        fit(folder, "--algorithm=ridge", "--alpha=1e-3")
        md(folder, fluid_text.control, CRDFILE="frames.xyzf", PRNTFRC="true 1")
        return np.loadtxt(folder / "forceout.txt"), (folder / "params.txt").read_text()

    return start


def test_relabelled_atoms(labelled):
    wanted, text = labelled("C", "H")
    assert np.abs(wanted).max() > 5.0
    assert "ATOMS: C C H H" in text
    # Names whose alphabetical order is another, and names that are no elements.
    for names in (("H", "C"), ("Zz", "A1")):
        found, other = labelled(*names)
        assert other != text
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())
