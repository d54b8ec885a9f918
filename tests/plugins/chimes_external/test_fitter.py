"""The fitter `chimes-external` gives, with the embedded engine under the old names, what the embedded fitter gives."""

import json
import os

import attrs
import numpy as np
import pytest
from ase import Atoms
from chimes_stand_ins import install, script
from local_jobs import Failed, Jobs

from ald_chimes_external.fitter import ExternalFitter
from ald_chimes_external.programs import last_words
from ald_chimes_external.training_files import TrainingFiles, with_values
from ald_chimes_lsq.fitter import ChimesFitter
from ald_chimes_lsq.formats.setup import read_setup
from ald_chimes_lsq.formats.xyzf import read_xyzf
from ald_chimes_lsq.model import ChimesModel
from ald_chimes_lsq.row_choice import RowChoice
from ald_core.errors import InputError
from ald_core.types import Frame, FrameWeights, LabeledFrame, Labels, Origin, TrainingSet, Weights

SETUP = """\
####### CONTROL #######
# TRJFILE #
    MULTI elsewhere.dat  ! the study says which
# SPLITFI #
    true
# SKPFRMS #
    3
# PAIRTYP #
    CHEBYSHEV 5 3 0
# CHBTYPE #
    MORSE
# FITENER #
    true
# FITSTRS #
    {stress}
# NATMTYP #
    2
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
1 C 0.0 12.0
2 O 0.0 16.0
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA #
1 C C 1.0 4.0 0.01 1.4
2 O O 1.0 4.0 0.01 1.4
3 C O 0.9 4.0 0.01 1.2
# ENDFILE #
"""
FILES = {
    *("params.txt", "params.txt.reduced", "compare.txt", "force.txt", "x.txt", "report.json"),
    *("fm_setup.in", "traj_list.dat", "b-labeled.txt", "natoms.txt"),
}


def labeled(n=4, kind="bulk", cycle=0):
    """Random small boxes, or molecules without a cell, with random labels."""
    rng = np.random.default_rng([n, cycle])
    frames = []
    for i in range(n):
        cell = 5.0 * np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3))
        grid = np.stack(np.meshgrid(*[range(2)] * 3), axis=-1).reshape(-1, 3) / 2
        atoms = Atoms("C3O5", scaled_positions=grid + rng.uniform(-0.1, 0.1, (8, 3)), cell=cell, pbc=True)  # fmt: skip
        stress = 0.01 * rng.normal(size=6)
        if kind == "gas":
            atoms = Atoms("COC", [[0, 0, 0], [1.3, 0.1, 0], [1.9, 1.5, 0.1 * i]])
            stress = None
        labels = Labels(float(rng.normal()) - 40.0, rng.normal(size=(len(atoms), 3)), stress)
        frame = Frame(atoms, Origin(cycle, kind, i), kind=kind)
        frames.append(LabeledFrame(frame, labels, "random", cycle + 1))
    return frames


def weights(frames, *, equal=False):
    def of(atoms, force, energy, stress):
        return FrameWeights(np.full((len(atoms), 3), force), energy, np.full(6, stress))

    rows = [(1.0, 1.0, 1.0) if equal else (1 + i / 10, 0.1 + i / 100, 50 + i) for i in range(9)]
    return Weights({f.frame.id: of(f.frame.atoms, *rows[i]) for i, f in enumerate(frames)})


@pytest.fixture
def setup(tmp_path):
    path = tmp_path / "fm_setup.in"
    path.write_text(SETUP.format(stress="ALL"))
    return path


def fitter_of(programs, setup, **options):
    return ExternalFitter(
        program=programs / "chimes_lsq", solver=programs / "chimes_lsq.py", setup=setup, **options
    )


def fit(fitter, frames, folder, jobs, own=None):
    folder.mkdir()
    return fitter.fit(TrainingSet().grow(frames), own or weights(frames), folder, jobs)


@pytest.mark.parametrize(
    ("stress", "inside", "outside"),
    [("full", "lasso", "lassolars"), ("diagonal", "svd", "svd"), ("none", "lasso", "dlasso")],
)
def test_it_gives_what_the_embedded_fitter_gives(
    programs, setup, tmp_path, jobs, stress, inside, outside
):
    frames = [*labeled(4), *labeled(2, "gas")]
    strength = 1e-6 if inside == "svd" else 1e-2
    common = {"setup": setup, "stress": stress, "alpha": strength}
    fit(ChimesFitter(algorithm=inside, **common), frames, tmp_path / "inside", jobs)
    external = fitter_of(programs, algorithm=outside, **common)
    model = fit(external, frames, tmp_path / "outside", jobs)

    assert {path.name for path in (tmp_path / "outside").iterdir()} == FILES | {"weights.dat"}
    x, wanted = (np.loadtxt(tmp_path / name / "x.txt") for name in ("outside", "inside"))
    np.testing.assert_allclose(x, wanted, rtol=1e-6, atol=1e-7)
    assert np.abs(wanted).max() > 1.0
    report = json.loads((tmp_path / "outside/report.json").read_text())
    expected = json.loads((tmp_path / "inside/report.json").read_text())
    assert report == model.report
    for name in ("force_rmse_kcal_per_mol_per_angstrom", "stress_rmse_gpa", "energy_rmse_kcal_per_mol"):  # fmt: skip
        assert report[name] == (expected[name] and pytest.approx(expected[name], rel=1e-5))
    for name in ("params.txt", "params.txt.reduced"):
        said, want = (
            ChimesModel.read(tmp_path / folder / name).evaluate(frames[0].frame.atoms)
            for folder in ("outside", "inside")
        )
        np.testing.assert_allclose(said.forces, want.forces, rtol=1e-6, atol=1e-7)
    # Frames have no stress where they are not periodic; those that have come first.
    words = {"full": "FIRSTALL 4", "diagonal": "FIRST 4", "none": "false"}[stress]
    assert f"# FITSTRS #\n\t{words}\n" in (tmp_path / "outside/fm_setup.in").read_text()


def test_finished_work_is_found_again(programs, setup, tmp_path, jobs):
    frames = labeled()
    external = fitter_of(programs, setup, alpha=1e-2)
    fit(external, frames, tmp_path / "1", jobs)
    first = [spec.command for spec in jobs.specs]
    assert len(first) == 2
    fit(external, frames, tmp_path / "2", jobs)
    assert len(jobs.specs) == 2
    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert "Date" not in (tmp_path / "1" / "params.txt").read_text()
    # The matrix does not depend on weights or on the strength of regularisation.
    fit(attrs.evolve(external, alpha=1e-3), frames, tmp_path / "3", jobs)
    fit(external, frames, tmp_path / "4", jobs, weights(frames, equal=True))
    assert [spec.serial for spec in jobs.specs] == [False, True, True, True]
    assert not (tmp_path / "4" / "weights.dat").exists()


def test_the_solver_gets_its_arguments_and_its_interpreter(programs, setup, tmp_path, jobs):
    other = install(tmp_path / "other programs")
    (other / "chimes_lsq.py").chmod(0o644)
    external = fitter_of(
        other, setup, algorithm="dlasso", normalize=True, alpha=1e-2, python="python3",
        solver_arguments=("--nodes=2", "--cores=8"),
    )  # fmt: skip
    assert external.check(["C", "O"]) == []
    command = ["python3", str(other / "chimes_lsq.py")]
    (other / "chimes_lsq.py").write_text("import sys\nsys.exit('Error: ' + ' '.join(sys.argv))\n")
    with pytest.raises(Failed, match="the solver printed no parameter file; the program said"):
        fit(external, labeled(), tmp_path / "fit", jobs)
    found = list(jobs.specs[-1].command)
    assert found[:2] == command
    assert found[3:] == [
        "--b=b.txt", "--header=params.header", "--map=ff_groups.map", "--algorithm=dlasso", "--alpha=0.01",
        "--weights=weights.dat", "--normalize=True", "--active=True", "--nodes=2", "--cores=8",
    ]  # fmt: skip


@pytest.mark.parametrize("algorithm", ["lasso", "ridge", "ridgecv"])
def test_weights_are_never_ignored(programs, setup, tmp_path, jobs, algorithm):
    frames = labeled()
    external = fitter_of(programs, setup, algorithm=algorithm, alpha=1e-2)
    with pytest.raises(InputError, match=f"ignores weights with {algorithm}"):
        fit(external, frames, tmp_path / "fit", jobs)
    assert jobs.specs == []
    if algorithm == "ridge":
        fit(external, frames, tmp_path / "equal", jobs, weights(frames, equal=True))


def test_impossible_rows_are_refused_before_any_job(programs, setup, tmp_path, jobs):
    frames = [*labeled(3), *labeled(2, cycle=1)]
    external = fitter_of(programs, setup, new_stress="diagonal")
    with pytest.raises(InputError, match=r"diagonal.*fitter\.new_stress"):
        fit(external, frames, tmp_path / "fit", jobs)
    assert jobs.specs == []


def test_the_set_up_is_that_of_these_frames(setup):
    frames = labeled(2)
    choice = RowChoice(setup=setup, energy=False, stress="full", new_stress=None, new_stress_from=1)
    read = read_setup(setup)
    files = TrainingFiles.of(read, choice.rows(read, frames, weights(frames)), offsets=False)
    text = files.setup_text(setup.read_text())
    for key, value in {
        "TRJFILE": "MULTI traj_list.dat", "NFRAMES": "2", "FITSTRS": "ALL", "FITENER": "false", "NLAYERS": "1",
        "WRAPTRJ": "true", "SPLITFI": "false", "SKPFRMS": "0",
    }.items():  # fmt: skip
        assert text.count(f"# {key} #\n\t{value}\n") == 1, key
    assert text.count("S_MINIM") == 1
    small = frames[0].frame.atoms.copy()
    small.set_cell(0.3 * small.cell[:], scale_atoms=True)
    shrunk = attrs.evolve(frames[0], frame=attrs.evolve(frames[0].frame, atoms=small))
    rows = choice.rows(read, [shrunk], weights([shrunk]))
    files = TrainingFiles.of(read, rows, offsets=False)
    assert "# NLAYERS #\n\t3\n" in files.setup_text(setup.read_text())


def test_labels_survive_the_units_of_the_program(setup, tmp_path):
    frames = labeled(2)
    choice = RowChoice(setup=setup, energy=True, stress="full", new_stress=None, new_stress_from=1)
    read = read_setup(setup)
    files = TrainingFiles.of(read, choice.rows(read, frames, weights(frames)), offsets=True)
    (path := tmp_path / "training.xyzf").write_text(files.trajectory_text())
    found = read_xyzf(path)
    hartree_per_bohr = 51.42206747
    np.testing.assert_allclose(found[0].forces * hartree_per_bohr, frames[0].labels.forces, rtol=1e-6)  # fmt: skip
    gpa = -160.21766208
    xx, yy, zz, yz, xz, xy = frames[0].labels.stress
    np.testing.assert_allclose(found[0].stress, np.array([xx, yy, zz, xy, xz, yz]) * gpa, rtol=1e-6)
    assert found[1].energy == pytest.approx(frames[1].labels.energy * 23.06054783, rel=1e-8)


def test_new_values_go_behind_the_first_one_if_the_key_is_not_there():
    text = "# TRJFILE #\n a.xyzf ! mine\n# NFRAMES #\n 3\n# ENDFILE #\n"
    assert with_values(text, {"NFRAMES": "5", "WRAPTRJ": "true"}) == (
        "# TRJFILE #\n a.xyzf ! mine\n# WRAPTRJ #\n\ttrue\n# NFRAMES #\n\t5\n# ENDFILE #\n"
    )


# ---------------------------------------------------------------- before any job


def test_programs_are_looked_at_before_any_job(programs, setup, tmp_path):
    assert fitter_of(programs, setup).check(["C", "O"]) == []
    (dull := tmp_path / "chimes_lsq").write_text("#!/bin/sh\n")
    [problem] = attrs.evolve(fitter_of(programs, setup), program=dull).check(["C"])
    assert problem == f"fitter.program: {dull} is not executable; run `chmod +x` on it, or name another"  # fmt: skip
    [problem] = attrs.evolve(fitter_of(programs, setup), solver=tmp_path).check(["C"])
    assert problem == f"fitter.solver: {tmp_path} is no program; name an executable file"
    [problem] = fitter_of(programs, setup, python="nosuchpython").check(["C"])
    assert "there is no program 'nosuchpython' here" in problem
    problems = fitter_of(programs, setup, normalize=True, algorithm="svd", alpha=2.0).check(["N"])
    assert len(problems) == 3
    (bad := tmp_path / "bad.in").write_text(SETUP.format(stress="SOME"))
    [problem] = fitter_of(programs, bad).check(["C"])
    assert problem.startswith(f"{bad}, line ")


# ---------------------------------------------------------------- programs that fail


@pytest.fixture(scope="module")
def finished(programs, tmp_path_factory):
    """Folders of a design matrix and of its solution; only copy from them."""
    folder = tmp_path_factory.mktemp("finished")
    (setup := folder / "fm_setup.in").write_text(SETUP.format(stress="ALL"))
    jobs = Jobs(folder / "jobs")
    fit(fitter_of(programs, setup, alpha=1e-2), labeled(), folder / "fit", jobs)
    return list(jobs.done.values())


@pytest.fixture
def lsq(finished):
    """Shell line that does what chimes_lsq did."""
    names = "A.txt b.txt b-labeled.txt natoms.txt dim.txt params.header ff_groups.map"
    return "; ".join(f"cp {finished[0]}/{name} ." for name in names.split())


@pytest.fixture
def solve(finished):
    """Shell line that does what the solver did."""
    return f"cp {finished[1]}/force.txt .; cat {finished[1]}/stdout"


MATRIX_FAULTS = {
    "nothing at all": ("true", "wrote no A.txt, b.txt"),
    "a message and status 0": ("echo 'ERROR: unknown atom type'", "the program said: ERROR: unknown"),
    "no matrix": ("{lsq}; rm A.txt", "chimes_lsq wrote no A.txt"),
    "half a matrix": ("{lsq}; head -c 3000 A.txt > B; mv B A.txt", "wrong A.txt: its last line is cut short"),
    "no numbers": ("{lsq}; sed -i '1s/^[^ ]*/nan/' A.txt", "wrong A.txt: holds numbers that are not finite"),
    "other columns": ("{lsq}; sed -i '$s/$/ 1.0/' A.txt", "A.txt: not all of its rows have"),
    "fewer rows": ("{lsq}; sed -i 1d b.txt", "wrong b.txt: 143 rows, not 144"),
    "other frames": ("{lsq}; tac b.txt > c; mv c b.txt", "wrong b.txt: row 1 is"),
    "other sizes": ("{lsq}; echo '7 144' > dim.txt", "wrong dim.txt: .7, 144. columns and rows"),
    "half of the atoms": ("{lsq}; sed -i 's/8/4/' natoms.txt", "wrong natoms.txt"),
}  # fmt: skip


@pytest.mark.parametrize("name", MATRIX_FAULTS)
def test_a_matrix_that_is_not_whole_is_refused(programs, setup, tmp_path, jobs, lsq, name):
    body, message = MATRIX_FAULTS[name]
    program = script(tmp_path / "lsq", body.format(lsq=lsq))
    external = attrs.evolve(fitter_of(programs, setup), program=program)
    with pytest.raises(Failed, match=message):
        fit(external, labeled(), tmp_path / "fit", jobs)
    assert len(jobs.specs) == 1


SOLVER_FAULTS = {
    "nothing at all": ("true", "the solver printed no parameter file"),
    "a complaint": ("echo 'Traceback' >&2; echo 'MemoryError: too large' >&2", "program said: Traceback|MemoryError"),
    "cut parameters": ("{solve} > p; head -c 1500 p", "printed a wrong parameter file: stdout, line"),
    "no end": ("{solve} | grep -v ENDFILE", "printed a wrong parameter file: stdout"),
    "not a number": ("{solve} | sed 's/^  0  .*/  0  nan/'", "printed a wrong parameter file: stdout, line .*nan"),
    "no predictions": ("{solve}; rm force.txt", "the solver wrote no force.txt"),
    "fewer predictions": ("{solve}; sed -i 1d force.txt", "wrong force.txt: 143 numbers, not 144"),
    "other predictions": ("{solve}; sed -i '3s/.*/1.0e1/' force.txt", "not what the parameters give"),
    "worse than nothing": ("{solve}; sed -i 's/^ *-\\?/-/; s/e.../e+05/' force.txt", "worse than no model at all"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOLVER_FAULTS)
def test_a_solution_that_is_not_whole_is_refused(programs, setup, tmp_path, jobs, lsq, solve, name):
    body, message = SOLVER_FAULTS[name]
    solver = script(tmp_path / "solve", body.format(solve=f"{{ {solve}; }}"))
    program = script(tmp_path / "lsq", lsq)
    external = ExternalFitter(program=program, solver=solver, setup=setup, alpha=1e-2)
    with pytest.raises(Failed, match=message):
        fit(external, labeled(), tmp_path / "fit", jobs)
    assert len(jobs.specs) == 2


def test_parameters_of_another_set_up_are_refused(setup, tmp_path, jobs, lsq, solve):
    (other := tmp_path / "other.in").write_text(
        setup.read_text().replace("1 C C 1.0 4.0", "1 C C 1.0 3.5")
    )
    external = ExternalFitter(
        program=script(tmp_path / "lsq", lsq),
        solver=script(tmp_path / "solve", solve),
        setup=other,
        alpha=1e-2,
    )
    with pytest.raises(Failed, match="it is not of this set-up: ranges of CC"):
        fit(external, labeled(), tmp_path / "fit", jobs)


def test_the_words_that_explain_most(tmp_path):
    assert last_words(tmp_path) == ""
    (tmp_path / "stdout").write_text("reading\nERROR:  no such\ttype\nbye\n")
    assert last_words(tmp_path) == "ERROR: no such type"
    (tmp_path / "stderr").write_text("done\n")
    assert last_words(tmp_path) == "ERROR: no such type"
    (tmp_path / "stdout").write_text("reading\nbye\n")
    assert last_words(tmp_path) == "done"
    (tmp_path / "stderr").write_text("x" * 10000 + os.linesep)
    assert len(last_words(tmp_path)) == 150
