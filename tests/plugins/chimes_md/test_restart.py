"""Restart files: a run that goes on from one is the run that never stopped, bit for bit."""

import json
import re

import attrs
import numpy as np
import pytest

from ald_chimes_md.restart import NUMBERS, read_restart
from ald_core.errors import InputError

ENSEMBLES = [
    "NVE",
    "NVE FREEZE 2 20",
    "NVT-SCALE 8",
    "NVT-BEREND 5",
    "NVT-MTK HOOVER 5",
    "NPT-BEREND 5 50",
    "NPT-BEREND-ANISO 5 50",
    "NPT-MTK HOOVER 5 20",
]
VALUES = {"PRESSUR": 2.0, "FRQRSTR": 20, "TEMPERA": 900, "TIMESTP": 0.4, "ATMENER": "true"}


def lines_after(path, step):
    return [line for line in path.read_text().splitlines()[2:] if int(line.split()[0]) > step]


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_a_restarted_run_is_the_undisturbed_one_bit_for_bit(fluid, tmp_path, ensemble):
    whole = fluid(folder="whole", N_MDSTP=50, CONSRNT=ensemble, **VALUES)
    fluid(folder="first", N_MDSTP=23, CONSRNT=ensemble, **VALUES)
    text = (tmp_path / "first" / "restart.xyzv").read_text()
    files = {"restart.xyzv": text}
    second = fluid(
        files,
        folder="second",
        N_MDSTP=50,
        CONSRNT=ensemble,
        VELINIT="RESTART",
        CRDFILE="restart.xyzv",
        **VALUES,
    )
    a, b = tmp_path / "whole", tmp_path / "second"
    assert (b / "output.xyz").read_bytes() == (a / "output.xyz").read_bytes()
    assert (b / "restart.xyzv").read_bytes() == (a / "restart.xyzv").read_bytes()
    assert (b / "restart.bak").read_bytes() == (a / "restart.bak").read_bytes()
    assert lines_after(b / "md_statistics.out", 0) == lines_after(a / "md_statistics.out", 20)
    gen = (a / "traj.gen").read_text().splitlines()
    assert (b / "traj.gen").read_text().splitlines() == gen[20 * 30 :]
    assert second.averages == whole.averages
    assert second.steps_done == 50


def test_the_layout_of_the_file(fluid, tmp_path):
    fluid(N_MDSTP=40, CONSRNT="NPT-MTK HOOVER 5 20", **VALUES)
    lines = (tmp_path / "run" / "restart.xyzv").read_text().splitlines()
    assert lines[0].split() == ["24"]
    assert [len(line.split()) for line in lines[1:26]] == [3] + [10] * 24
    values = dict(zip(NUMBERS, map(float, lines[26:]), strict=False))
    assert len(NUMBERS) == 38
    assert (values["next step"], values["degrees of freedom"]) == (41, 69)
    assert values["time in fs"] == pytest.approx(40 * 0.4)
    assert values["thermostat time"] == pytest.approx(5 / 48.888)
    cell = np.array(lines[1].split(), dtype=float)
    assert values["volume"] == pytest.approx(cell.prod(), rel=1e-14)
    assert values["old volume"] == pytest.approx(cell.prod() / values["scale factor"] ** 3)
    rows = np.loadtxt(tmp_path / "run" / "md_statistics.out")
    assert values["sum of temperatures"] == pytest.approx(rows[:, 5].sum(), rel=1e-6)
    assert values["sum of pressures"] * 6.9476955 == pytest.approx(rows[:, 6].sum(), rel=1e-6)
    assert values["sum of volumes"] == pytest.approx(rows[:, 9].sum(), rel=1e-6)
    assert values["kinetic energy"] == pytest.approx(24 * rows[-1, 2], rel=1e-6)
    backup = (tmp_path / "run" / "restart.bak").read_text().splitlines()
    assert float(backup[26]) == 21


def test_a_file_of_chimes_md_with_fifteen_digits_and_fewer_numbers_goes_on(fluid, tmp_path):
    fluid(folder="first", N_MDSTP=20, CONSRNT="NVT-MTK HOOVER 5", **VALUES)
    lines = (tmp_path / "first" / "restart.xyzv").read_text().splitlines()[:-4]
    short = [
        " ".join([line.split()[0], *(f"{float(x):21.14e}" for x in line.split()[1:])])
        if len(line.split()) == 10
        else line
        for line in lines
    ]
    result = fluid(
        {"r.xyzv": "\n".join(short) + "\n"},
        N_MDSTP=25,
        CONSRNT="NVT-MTK HOOVER 5",
        VELINIT="RESTART",
        CRDFILE="r.xyzv",
        **VALUES,
    )
    assert result.stable
    whole = fluid(folder="whole", N_MDSTP=25, CONSRNT="NVT-MTK HOOVER 5", **VALUES)
    assert result.averages.temperature == pytest.approx(whole.averages.temperature, rel=1e-10)
    # Shear stresses are averaged over what is known of them: the last five steps.
    assert np.isfinite(result.averages.stress).all()


def test_a_restart_beyond_the_last_step_does_nothing(fluid, tmp_path):
    fluid(folder="first", N_MDSTP=20, **VALUES)
    text = (tmp_path / "first" / "restart.xyzv").read_text()
    files = {"r.xyzv": text}
    result = fluid(files, N_MDSTP=20, VELINIT="RESTART", CRDFILE="r.xyzv", **VALUES)
    assert (result.steps_done, result.stable) == (20, True)
    assert len((tmp_path / "run" / "md_statistics.out").read_text().splitlines()) == 2


def test_checkpoints_and_restart_files_do_not_disturb_each_other(fluid, tmp_path):
    values = {"N_MDSTP": 70, "CONSRNT": "NPT-MTK HOOVER 5 20", **VALUES}
    whole = fluid(folder="whole", **values)
    fluid(folder="parts", last_step=47, **values)
    parts = fluid(folder="parts", resume=True, **values)
    assert attrs.evolve(parts, seconds_per_step=0) == attrs.evolve(whole, seconds_per_step=0)
    for name in ("restart.xyzv", "restart.bak", "md_statistics.out", "output.xyz"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_incomplete_and_strange_restart_files_are_refused(fluid, tmp_path):
    fluid(folder="first", N_MDSTP=20, **VALUES)
    path = tmp_path / "first" / "restart.xyzv"
    text = path.read_text()
    for size in range(0, len(text), 97):
        path.write_text(text[:size])
        with pytest.raises(InputError, match=re.escape(str(path))):
            read_restart(path)
    for old, new, said in (
        ("\n21\n", "\n1\n", "whole number from 2"),
        ("\n21\n", "\n2.5\n", "more lines follow"),
        ("\n21\n", "\n21 3\n", "more lines follow"),
        ("\n69\n", "\nnan\n", "degrees of freedom must be a finite number"),
        ("\n69\n", "\n6 9\n", "degrees of freedom must be a finite number"),
        ("\n69\n", "\n", "found 41 lines"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=said):
            read_restart(path)
    with pytest.raises(InputError, match="positions, velocities and accelerations"):
        fluid(N_MDSTP=30, VELINIT="RESTART", **VALUES)


def test_the_result_is_plain_json(fluid, tmp_path):
    result = fluid(CONSRNT="NPT-MTK HOOVER 5 20", **VALUES)
    assert json.loads(json.dumps(attrs.asdict(result), allow_nan=False))["stable"]
