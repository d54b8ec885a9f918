"""Inputs of the labeler `dftb`, and what a stand-in for DFTB+ makes of them."""

import attrs
import numpy as np
import pytest
from ase.io import read
from fakes.reference import reference

from ald_core.errors import InputError
from ald_core.testing import compressed_cell, frame_of, label, mixed_cell, water
from ald_core.types import Failure, Labels
from ald_dftb.hsd import parse
from ald_dftb.labeler import DftbLabeler


@pytest.fixture
def labeler(folder, program):
    return DftbLabeler(inputs=folder, program=program)


def written(labeler, frame, workdir, rung=0):
    workdir.mkdir(exist_ok=True)
    labeler.prepare(frame, workdir, rung)
    return (workdir / "dftb_in.hsd").read_text()


# ---------------------------------------------------------------- inputs


def test_each_temperature_has_its_own_input(folder, tmp_path, labeler):
    text = (folder / "dftb_in.hsd").read_text()
    (folder / "300.dftb_in.hsd").write_text("# cold\n" + text)
    cold = written(labeler, frame_of(compressed_cell(), temperature=300.0), tmp_path / "a")
    warm = written(labeler, frame_of(compressed_cell(), temperature=5000.0), tmp_path / "b")
    fixed = written(attrs.evolve(labeler, temperature=0.0), frame_of(compressed_cell()), tmp_path)
    temperatures = [
        parse(text).find("Hamiltonian", "Filling", "Temperature") for text in (cold, warm, fixed)
    ]
    assert ["# cold" in text for text in (cold, warm, fixed)] == [True, False, False]
    assert [(node.unit, node.value) for node in temperatures] == [
        ("Kelvin", "300"),
        ("Kelvin", "5000"),
        ("Kelvin", "0"),
    ]


def test_temperature_matters_and_free_energies_are_given(labeler, tmp_path):
    cold = label(labeler, frame_of(compressed_cell(), temperature=300.0), tmp_path / "a")
    warm = label(labeler, frame_of(compressed_cell(), temperature=20000.0), tmp_path / "b")
    assert isinstance(cold, Labels)
    assert isinstance(warm, Labels)
    assert warm.energy < cold.energy - 0.1


def test_a_compressed_cell_pushes_outwards(labeler, tmp_path):
    atoms = compressed_cell()
    atoms.set_cell(0.9 * atoms.cell[:], scale_atoms=True)
    found = label(labeler, frame_of(atoms), tmp_path)
    assert isinstance(found, Labels)
    assert (found.stress[:3] < 0.0).all()


def test_files_that_the_input_names_are_taken_along(with_files, program, tmp_path):
    labeler = DftbLabeler(inputs=with_files, program=program)
    assert labeler.check(("Al", "O")) == []
    assert labeler.check_temperature(6000.0, ("Al", "O")) == []
    found = label(labeler, frame_of(mixed_cell(), temperature=6000.0), tmp_path)
    assert isinstance(found, Labels), found
    names = {p.name for p in (tmp_path / "skf").iterdir()}
    assert names == {"Al-Al.skf", "Al-O.skf", "O-Al.skf", "O-O.skf"}
    text = (tmp_path / "dftb_in.hsd").read_text()
    assert "tmp.gen" not in text
    assert '<<< "dftbjob.gen"' in text
    assert "WriteDetailedOut = Yes" in text


@pytest.mark.parametrize(
    "names",
    [
        "{C-C = skf/C-C.skf}",
        "{\n  C-C = {\n 'skf/C-C.skf'\n}\n}",
        "Type2FileNames { Prefix = {skf/} Separator = - \n Suffix = .skf }",
    ],
)
def test_slater_koster_files_may_be_named_in_other_ways(names, with_files, tmp_path):
    path = with_files / "6000.dftb_in.hsd"
    text = path.read_text()
    start, end = text.index("Type2FileNames"), text.index("  MaxAngular")
    path.write_text(f"{text[:start]}{names}\n{text[end:]}")
    labeler = DftbLabeler(inputs=with_files)
    labeler.prepare(frame_of(compressed_cell(), temperature=6000.0), tmp_path, 0)
    assert [p.name for p in (tmp_path / "skf").iterdir()] == ["C-C.skf"]


@pytest.mark.parametrize("symbols", ["OAlOAl", "SiSSiS", "ClCClC"])
def test_atoms_of_any_order_keep_their_elements(symbols, labeler, tmp_path):
    frame = frame_of(mixed_cell(symbols), temperature=1000.0)
    found = label(labeler, frame, tmp_path)
    assert isinstance(found, Labels)
    geometry = read(tmp_path / "dftbjob.gen")
    assert list(geometry.symbols) == list(frame.atoms.symbols)
    assert np.allclose(geometry.positions, frame.atoms.positions, atol=1e-14)
    energy, forces, stress = reference(frame.atoms.copy(), 1000.0)
    assert found.energy == pytest.approx(energy, rel=1e-9)
    assert np.allclose(found.forces, forces, atol=1e-9)
    assert np.allclose(found.stress, stress, atol=1e-12)


def test_a_molecule_has_no_stress_and_no_k_points(labeler, tmp_path):
    found = label(labeler, frame_of(water(), "gas", 300.0), tmp_path)
    assert isinstance(found, Labels)
    assert found.stress is None
    assert "KPoints" not in (tmp_path / "dftb_in.hsd").read_text()
    assert (tmp_path / "dftbjob.gen").read_text().split()[:2] == ["3", "C"]


def test_included_files_are_put_in_place(folder, labeler, tmp_path):
    text = (folder / "dftb_in.hsd").read_text()
    (folder / "dftb_in.hsd").write_text('<<+ "method.hsd"\nOptions {}\n')
    (folder / "method.hsd").write_text(text)
    assert labeler.check_temperature(300.0, ("C",)) == []
    assert isinstance(label(labeler, frame_of(compressed_cell()), tmp_path), Labels)


def test_a_slab_is_refused(labeler, tmp_path):
    atoms = compressed_cell()
    atoms.pbc = (True, True, False)
    with pytest.raises(InputError, match="periodic in all directions, or in none"):
        labeler.prepare(frame_of(atoms), tmp_path, 0)


# ---------------------------------------------------------------- other ways to the same answer


def test_rungs_change_the_mixer_and_nothing_else(with_files, program, tmp_path):
    labeler = DftbLabeler(inputs=with_files, program=program)
    frame = frame_of(mixed_cell(), temperature=6000.0)
    texts = [written(labeler, frame, tmp_path / str(rung), rung) for rung in range(4)]
    mixers = [parse(text).find("Hamiltonian", "Mixer") for text in texts]
    iterations = [parse(text).find("Hamiltonian", "MaxSCCIterations").value for text in texts]
    assert mixers[0] is None
    assert [mixer.method for mixer in mixers[1:]] == ["Broyden", "Anderson", "Anderson"]
    assert [child.name for child in mixers[2].children] == ["MixingParameter", "Generations"]
    assert iterations == ["600", "600", "1000", "1000"]
    method = [
        n for n in parse(texts[0]).find("Hamiltonian").children if n.name != "MaxSCCIterations"
    ]
    others = [
        n
        for n in parse(texts[2]).find("Hamiltonian").children
        if n.name in {m.name for m in method}
    ]
    assert [n.name for n in others if n.name != "MaxSCCIterations"] == [n.name for n in method]


def test_charges_that_do_not_converge_converge_with_another_mixer(labeler, tmp_path, monkeypatch):
    frame = frame_of(compressed_cell())
    right = label(labeler, frame, tmp_path / "right")
    monkeypatch.setenv("FAKE_DFTB", "unconverged")
    found = [label(labeler, frame, tmp_path / str(rung), rung) for rung in range(3)]
    assert [getattr(f, "kind", None) for f in found] == ["numerical", "numerical", None]
    assert found[2].energy == right.energy


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ("stubborn", "numerical", "SCC is NOT converged"),
        ("warned", "numerical", "SCC is NOT converged"),
        ("truncated", "invalid", "results.tag is cut off"),
        ("killed", "invalid", "detailed.out is cut off or damaged"),
        ("silent", "invalid", "results.tag has no forces, stress"),
        ("overflow", "invalid", "forces has "),
        ("stale", "invalid", "their energies differ"),
        ("tension", "invalid", "is not that of the pressure"),
        ("too_close", "invalid", "DFTB+ stopped: Failure in diagonalisation"),
    ],
)
def test_a_run_that_went_wrong_gives_no_labels(fault, kind, reason, labeler, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_DFTB", fault)
    found = label(labeler, frame_of(compressed_cell()), tmp_path)
    assert isinstance(found, Failure)
    assert (found.kind, reason in found.reason) == (kind, True), found


def test_exchanged_elements_are_noticed(labeler, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_DFTB", "swapped")
    found = label(labeler, frame_of(mixed_cell()), tmp_path)
    assert isinstance(found, Failure)
    assert found.reason == "the output is of another configuration: it has Al as atom 1, not O"


def test_an_input_that_dftb_refuses_is_for_the_user(folder, labeler, tmp_path):
    path = folder / "dftb_in.hsd"
    path.write_text(path.read_text().replace("KPointsAndWeights", "KPoints"))
    found = label(labeler, frame_of(compressed_cell()), tmp_path)
    assert isinstance(found, Failure)
    assert found.kind == "input"
    assert "KPointsAndWeights" in found.reason


def test_another_electronic_temperature_is_not_believed(labeler, tmp_path):
    frame = frame_of(compressed_cell(), temperature=300.0)
    assert isinstance(label(labeler, frame, tmp_path), Labels)
    found = labeler.collect(attrs.evolve(frame, temperature=600.0), tmp_path)
    assert isinstance(found, Failure)
    assert found.reason == "the electronic temperature was 300 K, not 600 K"


# ---------------------------------------------------------------- bad inputs


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("CalculateForces = Yes", "", "forces are not asked for; add Analysis { CalculateForces = Yes }"),
        ("= 6000 }", "= 300 }", "line 13: the filling temperature is 300 K, but these frames are at 6000 K; remove it"),
        ("[Kelvin] = 6000", "[eV] = 0.3", "line 13: the filling temperature is 3481.36 K"),
        ("[Kelvin] = 6000", "= hot", "line 13: Temperature [] = hot; give a number of [Kelvin]"),
        ("Options {", "Driver = VelocityVerlet {}\nOptions {", "line 16: Driver = VelocityVerlet would move the atoms"),
        ("SCC = Yes", "ConvergentSccOnly = No", "line 5: ConvergentSccOnly = No; remove it"),
        ("SCC = Yes", "ReadInitialCharges = Yes", "line 5: ReadInitialCharges = Yes; remove it"),
        ('"skf/"', '"../skf/"', "there is no Slater-Koster file ../skf/Al-Al.skf; add it"),
        ('Al = "d" ', "", "line 12: Al is missing; add it"),
        ("DFTB {", "Other {", "line 4: Hamiltonian = Other; use DFTB or xTB"),
        ("Fermi {", "Fixed {", "line 13: Filling = Fixed; use fermi, methfesselpaxton, gaussian"),
        ("Hamiltonian", "Method", "there is no block Hamiltonian, which says the method; add it"),
        ("ParserOptions {", "ParserOptions {{", "a block without a name; give it one"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_told_with_a_cure(old, new, message, with_files):
    path = with_files / "6000.dftb_in.hsd"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    problems = DftbLabeler(inputs=with_files).check_temperature(6000.0, ("Al", "O"))
    assert len(problems) == 1
    assert problems[0].startswith(str(path))
    assert message in problems[0]


def test_inputs_that_are_missing_are_told(with_files, tmp_path):
    labeler = DftbLabeler(inputs=with_files)
    assert labeler.check(("C",)) == []
    (problem,) = labeler.check_temperature(300.0, ("C",))
    assert "there is no 300.dftb_in.hsd or dftb_in.hsd; add it" in problem
    (problem,) = labeler.check_temperature(6000.0, ("C", "Si"))
    assert "there is no Slater-Koster file skf/C-Si.skf" in problem
    (problem,) = DftbLabeler(inputs=tmp_path).check(("C",))
    assert problem.startswith(f"{tmp_path}: there is no dftb_in.hsd")
    (problem,) = DftbLabeler(inputs=with_files, temperature=300.0).check(("C",))
    assert "300.dftb_in.hsd" in problem
