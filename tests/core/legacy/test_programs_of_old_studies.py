"""Old studies whose own programs do the work, because an `ald.toml` beside the `config.py` says so."""

from pathlib import Path

import pytest
from chimes_stand_ins import install
from old_studies import is_about, lines

from ald_core.registry import Registry
from ald_core.runfile import read_old, read_run_file

ASE = '[labelers.bulk]\nuse = "ase"\n'
EXTERNAL = (
    f'config = "config.py"\n[fitter]\nuse = "chimes-external"\n[md]\nuse = "chimes_md"\n{ASE}'
)


@pytest.fixture
def study(old, tmp_path):
    """A study with programs where their options point to."""
    source = '"/usr/WS2/rlindsey/test_cp2k/chimes_lsq/src/"'
    study = old("molten_carbon", (source, f'"{tmp_path}/chimes/src/"'))
    (tmp_path / "chimes" / "src").mkdir(parents=True)
    build = install(tmp_path / "chimes" / "build")
    (build / "chimes_md").rename(build / "chimes_md-mpi")
    (study / "ald.toml").write_text(EXTERNAL)
    return study


def test_the_programs_are_those_of_the_old_study(study, tmp_path):
    crew = read_run_file(study / "ald.toml", Registry()).crew
    build = tmp_path / "chimes" / "build"
    assert crew.fitter.name == "chimes-external"
    assert crew.fitter.program.resolve() == build / "chimes_lsq"
    assert crew.fitter.solver.resolve() == build / "chimes_lsq.py"
    assert crew.fitter.python == "python3"
    assert (crew.fitter.algorithm, crew.fitter.alpha, crew.fitter.normalize) == ("dlasso", 1e-5, True)  # fmt: skip
    assert crew.fitter.solver_arguments == ("--nodes=2", "--cores=72", "--mpistyle=srun")
    assert (crew.fitter.new_stress, crew.fitter.new_stress_from) == ("full", 1)
    assert crew.md.name == "chimes_md"
    assert crew.md.program.resolve() == build / "chimes_md-mpi"
    assert crew.md.penalty_distance == 0.02


def test_what_is_said_of_them(study, tmp_path):
    said, _, found = lines(study / "ald.toml")
    assert not [line for line in said if "embedded engine" in line]
    assert is_about(found, "fitter", "chimes-external")
    (study / "ald.toml").write_text(f'config = "config.py"\n{ASE}')
    said, _, found = lines(study / "ald.toml")
    why = "the embedded engine does the work; the fitter chimes-external would use it"
    assert is_about(said, "not needed", "CHIMES_BUILD_NODES", why)


def test_options_may_be_said_otherwise(study, tmp_path):
    program = Path(tmp_path / "chimes" / "build" / "chimes_lsq")
    other = program.with_name("other")
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    text = EXTERNAL.replace(
        '"chimes-external"\n', f'"chimes-external"\nprogram = "{other}"\nalpha = 1e-3\n'
    )
    (study / "ald.toml").write_text(text)
    fitter = read_run_file(study / "ald.toml", Registry()).crew.fitter
    assert fitter.program == other
    assert fitter.alpha == 1e-3
    assert fitter.solver.name == "chimes_lsq.py"


def test_programs_that_are_missing_are_named_with_their_options(study, tmp_path):
    build = tmp_path / "chimes" / "build"
    (build / "chimes_lsq.py").unlink()
    (build / "chimes_md-mpi").unlink()
    _, _, problems = lines(study / "ald.toml")
    assert is_about(problems, "fitter.solver: there is no file", "default of CHIMES_SOLVER")
    assert is_about(problems, "md.program: there is no file", "chimes_md-mpi", "MD_MPI")
    assert len(problems) == 2


def test_what_their_jobs_ask_for(study, tmp_path, slurm):
    resources = read_old(study / "ald.toml", Registry()).tables["resources"]
    assert resources["fit"] == {
        "nodes": 2, "ppn": 36, "launcher": "srun", "queue": "pdebug", "time": "01:00:00",
    }  # fmt: skip
    assert resources["predict"]["cores"] == 36
    md = resources["md"]
    assert (md["nodes"], md["ppn"], md["launcher"]) == (2, 36, "srun")
    # A serial program is not started many times.
    build = tmp_path / "chimes" / "build"
    (build / "chimes_md-mpi").rename(build / "chimes_md-serial")
    resources = read_old(study / "ald.toml", Registry()).tables["resources"]
    assert not {"nodes", "ppn", "launcher"} & set(resources["md"])
