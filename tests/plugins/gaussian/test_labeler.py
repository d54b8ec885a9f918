"""The labeler `gaussian` with the stand-in: spin states, failures, inputs."""

import json
import re
import sys

import attrs
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from fakes.reference import reference

from ald_core.errors import InputError
from ald_core.ledger import RETRIES
from ald_core.options import build, identity
from ald_core.testing import compressed_cell, frame_of, label, run
from ald_core.types import Failure, Labels
from ald_gaussian.inputs import RUNGS
from ald_gaussian.labeler import GaussianLabeler


def direct(atoms, multiplicity):
    """The same method without Gaussian."""
    bare = Atoms(atoms.get_chemical_symbols(), atoms.positions)
    return reference(bare, multiplicity=multiplicity, spin_polarization=1.0)


# ---------------------------------------------------------------- spin states


@pytest.mark.parametrize(
    ("name", "tried", "wins"),
    [("H2O", ["R.1", "U.3"], 1), ("O2", ["R.1", "U.3"], 3), ("OH", ["U.2"], 2)],
)
def test_the_lowest_energy_wins(make, gas, quick, tmp_path, name, tried, wins):
    frame = gas(name)
    found = quick(make(), frame, tmp_path)
    assert isinstance(found, Labels), found
    assert sorted(p.stem for p in tmp_path.glob("*.com")) == tried
    energy, forces, _ = direct(frame.atoms, wins)
    assert found.energy == pytest.approx(energy, abs=2e-8)
    assert np.allclose(found.forces, forces, atol=1e-7)
    assert found.stress is None


def test_atoms_on_all_sides_of_a_cell(make, gas, quick, tmp_path):
    """Cut out of a periodic frame, in any order."""
    atoms = molecule("CH3OH")
    atoms.rattle(0.04, seed=3)
    order = [3, 0, 5, 1, 4, 2]
    cell = [[6.0, 0.0, 0.0], [1.5, 6.5, 0.0], [-0.5, 1.0, 7.0]]
    frame = gas(
        Atoms(atoms[order].get_chemical_symbols(), atoms[order].positions, cell=cell, pbc=True)
    )
    frame.atoms.wrap()
    assert np.ptp(frame.atoms.positions, axis=0).max() > 5.0
    found = quick(make(multiplicities=(1,)), frame, tmp_path)
    energy, forces, _ = direct(atoms, 1)
    assert found.energy == pytest.approx(energy, abs=2e-8)
    assert np.allclose(found.forces, forces[order], atol=1e-7)


@pytest.mark.parametrize(
    ("symbols", "places"), [("ClCH", [[1.65, 0, 0], [0, 0, 0], [-0.6, 0.9, 0]])]
)
def test_elements_that_share_a_letter(make, gas, quick, tmp_path, symbols, places):
    atoms = Atoms(symbols, places)
    found = quick(make(multiplicities=(1,)), gas(atoms), tmp_path)
    assert np.allclose(found.forces, direct(atoms, 1)[1], atol=1e-7)


def test_charge_and_multiplicities_are_options(make, gas, quick, tmp_path):
    found = quick(make(charge=-1, multiplicities=(5, 1)), gas("OH"), tmp_path)
    assert isinstance(found, Labels)
    assert sorted(p.stem for p in tmp_path.glob("*.com")) == ["R.1", "U.5"]
    assert "\n-1 5\n" in (tmp_path / "U.5.com").read_text()


def test_no_possible_multiplicity(make, gas, quick, tmp_path):
    found = quick(make(multiplicities=(2,)), gas("H2O"), tmp_path)
    assert found == Failure(
        "H2O with charge 0 can have none of the multiplicities 2; add one", "input"
    )


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        ("unconverged", "numerical", "R.1.log: the SCF did not converge"),
        ("nevertheless", "numerical", "did not converge, and went on nevertheless"),
        ("truncated", "invalid", "it was stopped, or is cut off"),
        ("mute", "invalid", "it was stopped, or is cut off"),
        ("overflow", "invalid", "cannot be read"),
        ("memory", "memory", "Use %mem=11MW"),
        ("disk", "infrastructure", "disk full: Erroneous write"),
        ("syntax", "input", "does not understand the route"),
        ("close", "invalid", "atoms are too close"),
        (
            "stale",
            "invalid",
            "R.1: the output is of another configuration: atom 3 (H) is 0.01 Å from where",
        ),
        ("order", "invalid", "another configuration: it has H as atom 1, not O"),
    ],
)
def test_failures(make, gas, wrong, quick, tmp_path, what, kind, words):
    wrong(what)
    found = quick(make(multiplicities=(1,)), gas("H2O"), tmp_path)
    assert isinstance(found, Failure), found
    assert (found.kind, words in found.reason) == (kind, True), found


def test_a_gaussian_that_is_killed(make, gas, wrong, tmp_path):
    wrong("killed:1")
    found = label(make(), gas("O2"), tmp_path)
    assert isinstance(found, Failure)
    assert found.kind == "infrastructure"
    assert found.reason.startswith("R.1.log: the output ends without a normal termination")
    assert found.reason.endswith("(Gaussian was killed, signal 9); 1 of 2 spin states converged")


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("unconverged", "numerical"),
        ("truncated", "invalid"),
        ("memory", "memory"),
        ("syntax", "input"),
    ],
)
def test_all_possible_spin_states_have_to_end(make, gas, wrong, quick, tmp_path, what, kind):
    """The one that did not may be the lowest."""
    wrong(f"{what}:3")
    found = quick(make(), gas("O2"), tmp_path)
    assert isinstance(found, Failure)
    assert found.kind == kind
    assert found.reason.startswith("U.3")
    assert "; 1 of 2 spin states converged" in found.reason


def test_rungs(make, gas, wrong, quick, tmp_path):
    """Another SCF for the same method; on the last rung, what never converges is left out."""
    assert len(RUNGS) == RETRIES["numerical"] + 1
    wrong("unconverged")
    first = quick(make(), gas("O2"), tmp_path / "0", 0)
    assert first.kind == "numerical"
    found = [quick(make(), gas("O2"), tmp_path / str(rung), rung) for rung in (1, 2)]
    assert (
        found[0].energy == found[1].energy == pytest.approx(direct(gas("O2").atoms, 3)[0], abs=2e-8)
    )
    routes = [(tmp_path / str(rung) / "U.3.com").read_text().split("\n")[1] for rung in range(3)]
    common = "#P Force UPBEPBE/6-311+g(2d) EmpiricalDispersion=GD2 NoSymm"
    assert routes == [common, f"{common} SCF=(XQC)", f"{common} SCF=(QC)"]
    wrong("stubborn:3")
    for rung in (1, 2):
        assert quick(make(), gas("O2"), tmp_path / f"s{rung}", rung).kind == "numerical"
    last = quick(make(), gas("O2"), tmp_path / "last", 3)
    assert last.energy == pytest.approx(direct(gas("O2").atoms, 1)[0], abs=2e-8)
    assert "SCF=(QC,MaxCycle=1000)" in (tmp_path / "last" / "R.1.com").read_text()
    wrong("stubborn")
    assert quick(make(), gas("O2"), tmp_path / "none", 3).kind == "numerical"
    wrong("truncated:3")
    assert quick(make(), gas("O2"), tmp_path / "cut", 3).kind == "invalid"


def test_outputs_of_another_method_or_charge_are_not_believed(make, gas, quick, tmp_path):
    frame = gas("H2O")
    labeler = make(multiplicities=(1,), scf=("Conver=9",))
    assert isinstance(quick(labeler, frame, tmp_path), Labels)
    for other in ({"method": "B3LYP"}, {"basis": "6-31g"}, {"dispersion": ""}, {"scf": ()}):
        found = attrs.evolve(labeler, **other).collect(frame, tmp_path)
        assert found.reason == "R.1: the output is of another route or title than those asked for"
    found = attrs.evolve(labeler, charge=2).collect(frame, tmp_path)
    assert found.reason == "R.1: the output has charge 0 and multiplicity 1"
    moved = frame.atoms.copy()
    moved.positions[0] += 2e-5  # less than any table shows
    found = labeler.collect(attrs.evolve(frame, atoms=moved), tmp_path)
    assert "another route or title" in found.reason


# ---------------------------------------------------------------- frames that are no molecules


def test_bulk_frames_are_refused(make, tmp_path):
    with pytest.raises(
        InputError,
        match=r"gaussian labels molecules only: use it for \[labelers.gas\]",
    ):
        make().prepare(frame_of(compressed_cell()), tmp_path, 0)


def test_networks_are_no_molecules(make, gas, quick, tmp_path):
    found = quick(make(), gas(compressed_cell()), tmp_path)
    assert isinstance(found, Failure)
    assert found.kind == "invalid"
    assert "bonded to periodic images" in found.reason


# ---------------------------------------------------------------- inputs


def test_a_whole_input(make, gas, tmp_path):
    frame = gas(Atoms("ClC", [[0.0, 0.0, 1.65], [0.0, 0.125, -0.25]]))
    spec = make(memory="2GB", keywords=("Int=UltraFine",)).prepare(frame, tmp_path, 0)
    assert spec.command == (sys.executable, "-m", "ald_gaussian.job")
    assert spec.outputs == ("U.2.log", "ends.json")
    title = f"CCl frame {frame.digest[:32]}"
    assert (tmp_path / "U.2.com").read_text() == (
        "%mem=2GB\n#P Force UPBEPBE/6-311+g(2d) EmpiricalDispersion=GD2 NoSymm Int=UltraFine\n\n"
        f"{title}\n\n0 2\n"
        "Cl         0.0000000000         0.0000000000         1.6500000000\n"
        "C          0.0000000000         0.1250000000        -0.2500000000\n\n"
    )
    assert json.loads((tmp_path / "job.json").read_text())["calculations"] == ["U.2"]


def test_the_files_can_be_read_by_ase(make, gas, tmp_path):
    import ase.io

    make().prepare(gas("CH3OH"), tmp_path, 0)
    assert np.allclose(
        ase.io.read(tmp_path / "R.1.com").positions, gas("CH3OH").atoms.positions, atol=1e-9
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            {"method": "MP2"},
            "'MP2' cannot be the method: Hartree-Fock or a density functional is needed",
        ),
        ({"method": "B2PLYP"}, "cannot be the method"),
        ({"method": "CCSD(T)"}, "cannot be the method"),
        ({"method": "B3LYP/6-31G"}, "cannot be the method"),
        ({"basis": "6-31G *"}, "'6-31G *' is no word for a route of Gaussian (basis)"),
        ({"basis": "x\n%chk=/etc"}, "is no word for a route"),
        ({"dispersion": "GD3 Opt"}, "is no word for a route of Gaussian (dispersion)"),
        (
            {"keywords": ["Opt"]},
            "'Opt' cannot be one of the keywords: remove it, or use the option for it",
        ),
        ({"keywords": ["SCF=(Fermi)"]}, "cannot be one of the keywords"),
        ({"keywords": ["TD(NStates=3)"]}, "cannot be one of the keywords"),
        ({"memory": "lots"}, "'lots' is no amount for %memory; write 24GB or 2000MB"),
        ({"multiplicities": []}, "multiplicities"),
        ({"multiplicities": [0]}, "multiplicities"),
        ({"time_limit": 0}, "time_limit"),
        ({"processors": 0}, "processors"),
        ({"metod": "HF"}, "no such option; did you mean 'method'?"),
    ],
)
def test_options_that_cannot_be(tmp_path, table, said):
    made, [problem] = build(GaussianLabeler, table, "labelers.gas", tmp_path)
    assert made is None
    assert problem.startswith(f"labelers.gas.{next(iter(table))}: ")
    assert said in problem


@pytest.mark.parametrize(
    "method", ["HF", "PBEPBE", "B3LYP", "wB97XD", "M062X", "revTPSSrevTPSS", "BLYP", "CAM-B3LYP"]
)
def test_methods_that_can_be(tmp_path, method):
    assert build(GaussianLabeler, {"method": method}, "labelers.gas", tmp_path)[1] == []


def test_where_it_runs_is_no_part_of_the_identity(make):
    one = make()
    other = make(processors=4, memory="2GB", scratch="/tmp", time_limit=5.0)
    assert identity(one) == identity(attrs.evolve(other, program="/opt/g16/g16"))
    assert identity(make(dispersion="GD3BJ")) != identity(one)


def test_options_of_old_studies():
    from ald_core.options import describe

    named = {info.legacy.name: info.name for info in describe(GaussianLabeler) if info.legacy}
    assert named == {"GAUS_EXE": "program", "GAUS_SCR": "scratch", "GAUS_REF": "reference_energies"}


def test_the_program_that_is_not_there(gas, tmp_path):
    labeler = GaussianLabeler(program="/nowhere/g16")
    assert labeler.programs() == {"program": "/nowhere/g16"}
    spec = labeler.prepare(gas("H2O"), tmp_path, 0)
    assert run(spec, tmp_path) == 127
    assert re.search("no program '/nowhere/g16'", (tmp_path / "stderr").read_text())
