"""The example studies of the existing driver, made whole with trajectories of two atoms."""

import os
import shutil
from pathlib import Path
from typing import ClassVar

import attrs

from ald_core.errors import InputErrors
from ald_core.inspection import account, plan
from ald_core.options import option
from ald_core.registry import Registry
from ald_core.roles import Labeler

DATA = Path(__file__).parent / "data" / "legacy"
STUDIES = sorted(path.name for path in (DATA / "studies").iterdir())
DOCUMENT = Path(__file__).parents[1] / "docs" / "legacy-options.md"
FULL = "NON_ORTHO 8.0 0 0 0 8.0 0 0 0 8.0 1 2 3 0.1 0.2 0.3 -100.5"
PLAIN = "8.0 8.0 8.0"

TRAJECTORIES = {
    "molten_carbon": {"liquid_6000K_2.0gcc.xyzf": (25, "CC", FULL)},
    "hydrogen_two_cases": {"OUTCAR300.xyzf": (54, "HH", FULL), "OUTCAR2000.xyzf": (50, "HH", FULL)},
    "silica_cp2k": {"temp_300K-compr_0perc-shear_0deg.train.xyzf": (50, ("Si", "O"), f"{PLAIN} -7.5")},
    "hierarchical_CN": {"20.3percN_3.5gcc.xyzf": (20, "CN", FULL)},
    "cluster_water": {},
    "turbo_propane": {},
}  # fmt: skip
"""Frames, elements and header of made-up trajectories; those of the last two are missing in their examples, too"""
STRUCTURES = {
    "molten_carbon": "CC", "hydrogen_two_cases": "HH", "silica_cp2k": ("Si", "O"), "hierarchical_CN": "CN",
    "cluster_water": "HO",
}  # fmt: skip


HEADER = """\
USE3BCH: true

PAIRTYP: CHEBYSHEV  {orders} -1 1

ATOM TYPES: 1

# TYPEIDX #\t# ATM_TYP #\t# ATMCHRG #\t# ATMMASS #
0\t\t{element}\t\t0\t\t12.0107

ATOM PAIRS: 1

FCUT TYPE: {cutoff}
"""
"""Of a parameter file"""


def xyzf(frames, elements, header, columns=6):
    numbers = " 0.1" * (columns - 3)
    atoms = "".join(f"{e} {1.7 * i} 0.0 0.0{numbers}\n" for i, e in enumerate(elements))
    return f"{len(elements)}\n{header}\n{atoms}" * frames


def make_old(where, name, *changes):
    """Make an example study in a folder, with changes of its `config.py`."""
    folder = where / name
    shutil.copytree(DATA / "studies" / name, folder, copy_function=shutil.copyfile)
    (folder / "config.txt").rename(folder / "config.py")
    base = folder / "ALL_BASE_FILES"
    for file, content in TRAJECTORIES[name].items():
        (base / "ALC-0_BASEFILES" / file).write_text(xyzf(*content))
    if name == "hierarchical_CN":
        (base / "HIERARCH_PARAMS").mkdir()
        for e in "CN":
            text = HEADER.format(orders="20 10 4", element=e, cutoff="TERSOFF 0.75")
            (base / "HIERARCH_PARAMS" / f"{e}.params.txt.reduced").write_text(text)
    if name in STRUCTURES:
        for i in range(2 if name == "hydrogen_two_cases" else 1):
            path = base / "CHIMESMD_BASEFILES" / f"case-{i}.indep-0.input.xyz"
            path.write_text(xyzf(1, STRUCTURES[name], PLAIN, 3))
    for before, after in changes:
        text = (folder / "config.py").read_text()
        assert text.count(before) == 1, before
        (folder / "config.py").write_text(text.replace(before, after))
    return folder


def path_without_slurm():
    """PATH without the folders in which Slurm is."""
    places = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(p for p in places if not (Path(p) / "sbatch").exists())


LABELERS = ("cp2k", "dftb", "espresso", "gaussian", "hierarchical", "lammps", "vasp")


def without_labelers():
    """What is installed, but for the labelers of programs and the like."""
    registry = Registry()
    sources = tuple(f"ald-{name} " for name in LABELERS)
    registry.offers = [o for o in registry.offers if not o.source.startswith(sources)]
    return registry


def lines(path, registry=None):
    """What `ald check` says where no labelers are installed: account, warnings, problems."""
    registry = registry or without_labelers()
    said = account(path, registry)
    try:
        found = plan(path, registry).lines
    except InputErrors as error:
        found = error.problems
    return list(said.lines), list(said.warnings), list(found)


def is_about(texts, *words):
    return sum(all(word in text for word in words) for text in texts) == 1


@attrs.frozen(kw_only=True)
class FakeVasp(Labeler):
    """A labeler that takes options of old studies."""

    name: ClassVar[str] = "vasp"
    command: str = option(help="program", legacy="VASP_EXE")
    files: Path = option(help="its input files", legacy="QM_FILES")
    processes: int = option(1, help="what no single option says", identity=False)

    @classmethod
    def from_legacy(cls, config):
        return {"processes": 2 * config.whole("VASP_PPN")}

    def prepare(self, frame, workdir, rung):
        raise NotImplementedError

    def collect(self, frame, workdir):
        raise NotImplementedError
