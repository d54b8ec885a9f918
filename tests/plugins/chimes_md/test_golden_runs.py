"""Whole runs against the stored results of ChIMES MD."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ald_chimes_md.run import main

DATA = Path(__file__).parents[2] / "data" / "chimes_md"


@pytest.fixture(params=["carbon-penalty", "special3b", "ti-ortho", "ti-nonortho"])
def finished(request, tmp_path):
    shutil.copytree(DATA / request.param, tmp_path, dirs_exist_ok=True)
    if request.param == "ti-ortho":
        shutil.copy(DATA / "ti-nonortho" / "validated_params.TiO2.2+3b.Tersoff.txt", tmp_path)
    assert main([str(tmp_path / "run_md.in")]) == 0
    return tmp_path


def numbers(path):
    words = path.read_text().split()
    return np.array([float(w) for w in words if not w[0].isalpha()])


def test_statistics_are_identical_and_states_agree(finished):
    expected = finished / "expected"
    statistics = (finished / "md_statistics.out").read_bytes()
    assert statistics == (expected / "md_statistics.out").read_bytes()
    forces = numbers(finished / "forceout.txt")
    if finished.joinpath("input.xyzf").exists():  # the stored forces are those of two steps
        forces = np.concatenate([forces[:192], forces[-192:]])
    reference = numbers(expected / "forceout.txt")
    np.testing.assert_allclose(forces, reference, rtol=1e-9, atol=1e-9)
    final = numbers(finished / "output.xyz")
    np.testing.assert_allclose(final, numbers(expected / "output.xyz"), rtol=0, atol=1e-11)


def test_the_result_file_tells_how_the_run_went(finished):
    result = json.loads((finished / "md.json").read_text())
    rows = np.loadtxt(finished / "md_statistics.out", ndmin=2)
    assert result["steps_done"] == result["steps_planned"] == len(rows)
    assert result["stable"]
    assert result["reason"] is None
    assert sum(result["contact_counts"]) == len(rows)
    assert result["averages"]["temperature"] == pytest.approx(rows[:, 5].mean(), rel=1e-6)
    assert result["averages"]["pressure"] == pytest.approx(rows[:, 6].mean(), rel=1e-6)
    stress = result["averages"]["stress"]
    assert sum(stress[:3]) / 3 == pytest.approx(result["averages"]["pressure"], rel=1e-9)
    if rows.shape[1] == 9:
        conserved = rows[:, 7]
        assert result["conserved"]["first"] == pytest.approx(conserved[0], rel=1e-7)
        assert result["conserved"]["last"] == pytest.approx(conserved[-1], rel=1e-7)
        deviation = abs(conserved - conserved[0]).max()
        assert result["conserved"]["max_deviation"] == pytest.approx(deviation, abs=2e-5)


def test_close_contacts_of_the_penalty_case():
    rows = (DATA / "carbon-penalty" / "liqC-penalty_#000.xyz").read_text().splitlines()[2:13]
    positions = np.array([[float(x) for x in row.split()[1:4]] for row in rows])
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    assert distances[distances > 0].min() < 1.0  # so that the case exercises what its name says


def run_case(name, tmp_path):
    shutil.copytree(DATA / name, tmp_path, dirs_exist_ok=True)
    assert main([str(tmp_path / "run_md.in")]) == 0
    return tmp_path / "expected"


def test_a_thousand_steps_of_a_lennard_jones_fluid(tmp_path):
    expected = run_case("generic-lj", tmp_path)
    rows = np.loadtxt(tmp_path / "md_statistics.out")
    reference = np.loadtxt(expected / "md_statistics.out")
    assert rows.shape == reference.shape == (100, 9)
    # One unit of the last of eight digits: roundings differ, and grow with time.
    assert (abs(rows - reference) <= 1.5e-9 * abs(reference).max(axis=0)).all()
    final = numbers(tmp_path / "output.xyz")
    np.testing.assert_allclose(final, numbers(expected / "output.xyz"), rtol=0, atol=1e-7)


def test_ten_steps_with_quadruplets_penalty_and_offsets(tmp_path):
    name = "published_params.HN3.2+3+4b.Tersoff.special.offsets.txt"
    shutil.copy(DATA.parent / "chimes_calculator" / name, tmp_path)
    expected = run_case("hn3-published", tmp_path)
    statistics = (tmp_path / "md_statistics.out").read_bytes()
    assert statistics == (expected / "md_statistics.out").read_bytes()
    last = numbers(tmp_path / "forceout.txt")[-1536:]
    reference = numbers(expected / "forceout.txt")
    assert abs(reference).max() > 100.0
    np.testing.assert_allclose(last, reference, rtol=1e-8, atol=1e-8)
