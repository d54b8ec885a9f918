"""Genuine outputs: what is in them, which of them are labels, and why the others are none."""

import gzip
import random
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms, units

from ald_core.testing import frame_of
from ald_core.types import Failure, Labels
from ald_vasp.failures import failure_of_run
from ald_vasp.labeler import VaspLabeler
from ald_vasp.outcar import parse_outcar

DATA = Path(__file__).parents[2] / "data" / "qm" / "vasp"
NAMES = sorted(p.stem for p in DATA.glob("*.gz") if not p.name.endswith("stdout.gz"))
WHY = {
    "aiida-elec-unconverged": ("numerical", "8 electronic steps of NELM = 8"),
    "aiida-unfinished": ("invalid", "did not come to its end"),
    "aiida-not-converged": ("input", "2 ionic steps were made instead of one; set NSW = 0"),
    "aiida-nelm-breach": ("numerical", "6 electronic steps of NELM = 6 in ionic step 1"),
    "custodian-died-before-first-scf": ("invalid", "did not come to its end"),
    "dpdata-6362": ("invalid", "did not come to its end"),
    "dpdata-ch4-unconverged": ("numerical", "15 electronic steps of NELM = 15 in ionic step 1"),
    "dpdata-h2o-md": ("input", "10 ionic steps were made instead of one"),
}
GOOD = ("aiida-converged", "custodian-auto-nbands", "dpdata-ti-o-ti-v6")
FACE_CENTERED = 2.734364 * (1 - np.eye(3))
PLACES = [[0.78, 0.77, 0.73], [0.6, 0.3, 0.4]]
SILICON = Atoms("Si2", scaled_positions=PLACES, cell=FACE_CENTERED, pbc=True)


def text_of(name):
    return gzip.decompress((DATA / f"{name}.gz").read_bytes()).decode()


@pytest.fixture
def any_smearing(folder):
    """A labeler for outputs of others."""
    return VaspLabeler(inputs=folder, smearing="any")


def collect(labeler, atoms, folder, outcar, said=""):
    (folder / "OUTCAR").write_text(outcar)
    (folder / "stdout").write_text(said)
    return labeler.collect(frame_of(atoms), folder)


def test_all_are_looked_at():
    assert set(NAMES) == {*WHY, *GOOD}


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_that_ase_reads(name, tmp_path):
    found = parse_outcar(text_of(name))
    if found.forces is None:
        assert name in ("aiida-unfinished", "custodian-died-before-first-scf")
        return
    (tmp_path / "OUTCAR").write_text(text_of(name))
    read = ase.io.read(tmp_path / "OUTCAR")
    assert found.energy == read.calc.results["free_energy"]
    assert np.array_equal(found.forces, read.get_forces())
    assert np.array_equal(found.positions, read.positions)
    assert np.array_equal(found.cell, read.cell[:])
    assert found.symbols == read.get_chemical_symbols()
    stress = -found.stress[[0, 1, 2, 4, 5, 3]] * 0.1 * units.GPa
    assert stress == pytest.approx(read.get_stress(), rel=1e-12)


def test_a_label_has_the_numbers_of_the_file(any_smearing, tmp_path):
    found = collect(any_smearing, SILICON, tmp_path, text_of("aiida-converged"))
    assert isinstance(found, Labels)
    assert found.energy == -6.50214658  # free  energy   TOTEN
    assert found.forces[0].tolist() == [-6.096355, 11.337138, -7.021623]
    kilobars = [13.37991, 544.49046, 255.28119, -417.05080, 161.62424, -198.81087]
    assert found.stress == pytest.approx([-0.1 * units.GPa * kB for kB in kilobars], rel=1e-12)


def test_of_vasp_6(any_smearing, tmp_path):
    found = parse_outcar(text_of("custodian-auto-nbands"))
    assert found.version == "vasp.6.2.1"
    assert (found.energy, found.nelm, found.steps) == (-14.78895187, 60, (15,))
    assert found.forces[0].tolist() == [0.0, 0.0, -0.498868]
    box = Atoms("OC", found.positions, cell=found.cell, pbc=True)
    said = collect(any_smearing, box, tmp_path, text_of("custodian-auto-nbands"))
    assert said == Failure("the output is of another configuration: it has O as atom 1, not C")


def test_elements_that_come_twice_without_their_potentials_being_printed():
    found = parse_outcar(text_of("dpdata-ti-o-ti-v6"))
    assert found.symbols == ["Ti"] * 3 + ["O"] * 2 + ["Ti"] * 3
    assert found.energy == -57.48343729
    assert found.stress.tolist() == [-199.00014, -181.85530, -374.19175, -0.00312, 0.00325, -0.00151]  # fmt: skip


def test_numbers_of_atoms_in_columns_that_touch():
    text = "   number of dos      NEDOS =    301   number of ions     NIONS =   3072\n"
    counts = "   ions per type =            10242048\n"
    assert parse_outcar(text + counts).counts == (1024, 2048)
    assert parse_outcar(text + counts.replace("10242048", "1024****")).counts == ()


def test_elements_from_the_potentials_themselves():
    text = text_of("custodian-auto-nbands").replace("EATOM=", "")
    assert parse_outcar(text).symbols == ["O", "C"]


def test_lengths_that_touch():
    cell = "      direct lattice vectors                 reciprocal lattice vectors\n"
    row = "   120.000000000-100.500000000  0.000000000     0.170300244  0.000000000  0.000000000\n"
    assert parse_outcar(cell + 3 * row).cell[0].tolist() == [120.0, -100.5, 0.0]


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("name", WHY)
def test_why_there_is_no_label(any_smearing, tmp_path, name):
    said = text_of(f"{name}.stdout") if (DATA / f"{name}.stdout.gz").exists() else ""
    kind, words = WHY[name]
    found = collect(any_smearing, SILICON, tmp_path, text_of(name), said)
    assert isinstance(found, Failure)
    assert found.kind == kind
    assert words in found.reason


@pytest.mark.parametrize(
    ("pattern", "by", "words"),
    [
        (r"(?<=free  energy   TOTEN  =) +-6.50214658", "*" * 18, "stars for the energy"),
        (r"-6.096355", "*" * 13, "stars for the forces"),
        (r"(?<=in kB) +13.37991", "*" * 12, "stars for the stress"),
        (r"-6.096355", "NaN", "forces: not finite"),
        (r"(?<=free  energy   TOTEN  =) +-6.50214658", " NaN", "energy: not finite"),
        (r"(?<=in kB) .*", "", "no stress"),
        (r" free  energy   TOTEN.*", "", "no energy"),
        (r"NELM   = ", "NELM   ? ", "does not tell NELM"),
        (r"aborting loop because EDIFF is reached", "", "does not say that EDIFF is reached"),
        (r"EATOM= .*|TITEL .*", "", "does not tell its elements"),
        (r" vasp\.5\.4\.4", "", "no OUTCAR of VASP"),
    ],
)
def test_what_makes_a_good_output_useless(any_smearing, tmp_path, pattern, by, words):
    text = text_of("aiida-converged")
    changed = re.sub(pattern, by, text)
    assert changed != text
    found = collect(any_smearing, SILICON, tmp_path, changed)
    assert isinstance(found, Failure)
    assert words in found.reason


def test_vasp_6_says_that_it_did_not_converge(any_smearing, tmp_path):
    text = text_of("aiida-converged")
    line = "aborting loop EDIFF was not reached (unconverged)"
    changed = text.replace("aborting loop because EDIFF is reached", line)
    found = collect(any_smearing, SILICON, tmp_path, changed)
    assert found == Failure("not converged: EDIFF was not reached", "numerical")


def test_of_another_frame(any_smearing, tmp_path):
    larger, moved, fewer = SILICON.copy(), SILICON.copy(), SILICON[:1]
    larger.set_cell(1.001 * SILICON.cell[:])
    moved.positions[1, 2] += 0.0005
    for atoms, words in (
        (larger, "its cell differs by 0.00273 Å"),
        (moved, "atom 2 (Si) is 0.000498 Å from where it was put"),
        (fewer, "it has 2 atoms, not 1"),
    ):
        found = collect(any_smearing, atoms, tmp_path, text_of("aiida-converged"))
        assert found == Failure(f"the output is of another configuration: {words}")
    image = SILICON.copy()
    image.positions[0] += 2 * SILICON.cell[1] - SILICON.cell[2]
    found = collect(any_smearing, image, tmp_path, text_of("aiida-converged"))
    assert isinstance(found, Labels)


def test_no_stress_is_no_fault_if_none_was_asked_for(folder, tmp_path):
    text = re.sub(r"(?<=in kB) .*", "*" * 20, text_of("aiida-converged"))
    labeler = VaspLabeler(inputs=folder, smearing="any", stress=False)
    found = collect(labeler, SILICON, tmp_path, text)
    assert isinstance(found, Labels)
    assert found.stress is None


@pytest.mark.parametrize("name", GOOD)
def test_cut_off_anywhere(name):
    text = text_of(name)
    end = text.index("General timing and accounting informations for this job")
    for cut in range(0, end + 55, max(1, end // 60)):
        part = text[:cut]
        assert failure_of_run(parse_outcar(part), part, "") is not None, cut
    assert failure_of_run(parse_outcar(text), text, "") is None


JUNK = [
    "***",
    "nan",
    "-inf",
    "1e999",
    "9" * 5000,
    "²",
    ".",
    "-",
    "=",
    "",
    "\0",
    "1.5.6",
    "in kB",
    "12(1)",
]


@pytest.mark.parametrize("seed", range(60))
def test_damaged_outputs_give_labels_or_reasons(any_smearing, tmp_path, seed):
    """Whatever is in OUTCAR, there is no error, and numbers are finite."""
    rng = random.Random(seed)
    whole = text_of("aiida-converged")
    head, tail = whole[:22_000], whole[whole.index("--- aborting loop") - 30 :]
    iteration = f"{'-' * 39} Iteration      1(   1)  {'-' * 39}\n"
    words = re.split(r"(\s+)", head + "\n" + iteration + tail)
    places = [i for i, word in enumerate(words) if word in KEYS] or [0]
    for _ in range(rng.randint(1, 3)):
        near = rng.choice(places) + rng.randrange(-4, 12)
        words[near % len(words)] = rng.choice(JUNK)
    found = collect(any_smearing, SILICON, tmp_path, "".join(words))
    if isinstance(found, Labels):
        assert np.isfinite([found.energy, *found.forces.ravel(), *found.stress]).all()
    else:
        assert found.reason


KEYS = {
    "NELM",
    "NIONS",
    "type",
    "ISMEAR",
    "SIGMA",
    "TOTEN",
    "kB",
    "direct",
    "TOTAL-FORCE",
    "atom",
    "Iteration",
}


def test_of_another_temperature(folder, tmp_path):
    found = collect(VaspLabeler(inputs=folder), SILICON, tmp_path, text_of("aiida-converged"))
    assert found == Failure("OUTCAR says ISMEAR = 0, not -1")
    text = text_of("aiida-converged").replace("ISMEAR =     0;", "ISMEAR =    -1;")
    found = collect(VaspLabeler(inputs=folder), SILICON, tmp_path, text)
    assert found == Failure("OUTCAR says SIGMA = 0.05, which is not 3000 K")
    found = collect(VaspLabeler(inputs=folder, temperature=580.0), SILICON, tmp_path, text)
    assert isinstance(found, Labels)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("", "invalid", "there is no OUTCAR"),
        ("Error EDDDAV: Call to ZHEGV failed. Returncode = 7 2 8", "numerical", "EDDDAV"),
        ("ERROR in EDDIAG: call to ZHEEVX failed! error code is    3", "numerical", "EDDIAG"),
        (" BRMIX: very serious problems the old and the new charge density differ", "numerical", "BRMIX"),
        ("LAPACK: Routine ZPOTRF failed!", "invalid", "ZPOTRF"),
        ("forrtl: severe (41): insufficient virtual memory", "memory", "memory"),
        ("slurmstepd: error: Detected 1 oom-kill event(s)", "memory", "oom-kill"),
        ("Error reading item 'ENCUT' from file INCAR.", "input", "ENCUT"),
        (" scaLAPACK will be used\n Therefore set LREAL=.FALSE. in the  INCAR file", "invalid", "no OUTCAR"),
    ],
)  # fmt: skip
def test_what_standard_output_tells(any_smearing, tmp_path, said, kind, words):
    (tmp_path / "stdout").write_text(said + "\n")
    found = any_smearing.collect(frame_of(SILICON), tmp_path)
    assert isinstance(found, Failure)
    assert found.kind == kind
    assert words in found.reason


SICK = """
 -----------------------------------------------------------------------------
|                                                                             |
|     EEEEEEE  RRRRRR   RRRRRR   OOOOOOO  RRRRRR      ###     ###     ###     |
|     E        R     R  R     R  O     O  R     R     ###     ###     ###     |
|     EEEEE    RRRRRR   RRRRRR   O     O  RRRRRR       #       #       #      |
|                                                                             |
|     {}     |
|       ---->  I REFUSE TO CONTINUE WITH THIS SICK JOB ... BYE!!! <----       |
|                                                                             |
 -----------------------------------------------------------------------------
"""


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("LAPACK: Routine ZPOTRF failed! 3", "invalid"),
        ("Error EDDDAV: Call to ZHEGV failed. Returncode = 7", "numerical"),
        ("Tetrahedron method fails (number of k-points < 4)", "input"),
        ("The linear tetrahedron", "invalid"),
    ],
)
@pytest.mark.parametrize("where", ["OUTCAR", "stdout"])
def test_a_sick_job(any_smearing, tmp_path, words, kind, where):
    begin = text_of("aiida-converged")[:20_000]
    (tmp_path / "OUTCAR").write_text(begin)
    with (tmp_path / where).open("a") as stream:
        stream.write(SICK.format(words))
    found = any_smearing.collect(frame_of(SILICON), tmp_path)
    assert found == Failure(f"VASP refused to go on: {words}", kind)
