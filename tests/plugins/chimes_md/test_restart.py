"""Restart files: a run that goes on from one is the run that never stopped, bit for bit."""

import json
import re

import attrs
import numpy as np
import pytest

from ald_chimes_md import preparation
from ald_chimes_md.control import read_control
from ald_chimes_md.preparation import prepare
from ald_chimes_md.restart import NUMBERS, OWN_NUMBERS, SUMS, read_restart
from ald_core.errors import InputError

ENSEMBLES = [
    "NVE",
    "NVE FREEZE 2 20",
    "NVT-SCALE 8",
    "NVT-SCALE 4",
    "NVT-BEREND 5",
    "NVT-MTK HOOVER 5",
    "NPT-BEREND 5 50",
    "NPT-BEREND-ANISO 5 50",
    "NPT-MTK HOOVER 5 20",
]
VALUES = {"PRESSUR": 2.0, "FRQRSTR": 20, "TEMPERA": 900, "TIMESTP": 0.4, "ATMENER": "true"}


def lines_after(path, step):
    return [line for line in path.read_text().splitlines()[2:] if int(line.split()[0]) > step]


def untimed(result):
    return attrs.evolve(result, seconds_per_step=0.0)


@pytest.fixture
def restarted(fluid, tmp_path):
    """Run on from the restart file of an earlier run, in the folder `second`."""

    def start(folder="first", files=None, text=None, **values):
        left = (tmp_path / folder / "restart.xyzv").read_text()
        values = {"VELINIT": "RESTART", "CRDFILE": "restart.xyzv", **VALUES, **values}
        return fluid(
            {"restart.xyzv": text or left, **(files or {})}, folder="second", N_MDSTP=50, **values
        )

    return start


@pytest.mark.parametrize("model", ["neutral", "charged"])
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_a_restarted_run_is_the_undisturbed_one_bit_for_bit(
    fluid, fluid_text, restarted, tmp_path, ensemble, model
):
    files = {"params.txt": getattr(fluid_text, model)}
    whole = fluid(files, folder="whole", N_MDSTP=50, CONSRNT=ensemble, **VALUES)
    fluid(files, folder="first", N_MDSTP=23, CONSRNT=ensemble, **VALUES)
    second = restarted(files=files, CONSRNT=ensemble)
    a, b = tmp_path / "whole", tmp_path / "second"
    assert (b / "output.xyz").read_bytes() == (a / "output.xyz").read_bytes()
    assert (b / "restart.xyzv").read_bytes() == (a / "restart.xyzv").read_bytes()
    assert (b / "restart.bak").read_bytes() == (a / "restart.bak").read_bytes()
    assert lines_after(b / "md_statistics.out", 0) == lines_after(a / "md_statistics.out", 20)
    gen = (a / "traj.gen").read_text().splitlines()
    assert (b / "traj.gen").read_text().splitlines() == gen[20 * 30 :]
    assert untimed(second) == untimed(whole)
    assert sum(second.contact_counts) == second.steps_done == 50


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


def test_a_second_restart_remembers_the_first_cell(fluid, fluid_text, restarted, tmp_path):
    files, values = {"params.txt": fluid_text.charged}, {"CONSRNT": "NPT-MTK HOOVER 5 20", **VALUES}
    whole = fluid(files, folder="whole", N_MDSTP=50, **values)
    fluid(files, folder="first", N_MDSTP=23, **values)
    left = (tmp_path / "first" / "restart.xyzv").read_text()
    between = {"restart.xyzv": left, **files}
    start = {"VELINIT": "RESTART", "CRDFILE": "restart.xyzv"}
    fluid(between, folder="between", N_MDSTP=40, **start, **values)
    assert untimed(restarted("between", files, **values)) == untimed(whole)
    last = [(tmp_path / f / "output.xyz").read_bytes() for f in ("whole", "second")]
    assert last[0] == last[1]


@pytest.mark.parametrize("other", [{"CONSRNT": "NVE"}, {"TEMPERA": 600}, {"files": None}])
def test_energies_of_another_model_or_ensemble_are_not_compared(
    fluid, fluid_text, restarted, tmp_path, other
):
    values = {"CONSRNT": "NVT-MTK HOOVER 5", **VALUES}
    first = fluid(folder="first", N_MDSTP=20, **values)
    if "files" in other:
        other = {"files": {"params.txt": fluid_text.neutral.replace("0 0.5", "0 0.6")}}
    second = restarted(**{"CONSRNT": "NVT-MTK HOOVER 5", **other})
    assert second.stable
    assert second.conserved.first != first.conserved.first
    assert second.conserved.max_deviation < abs(second.conserved.first - first.conserved.first)
    assert sum(second.contact_counts) == 50


def test_limits_are_those_of_the_first_configuration(fluid, restarted, tmp_path):
    fluid(folder="first", N_MDSTP=20, CONSRNT="NPT-BEREND 5 50", **VALUES)
    lines = (tmp_path / "first" / "restart.xyzv").read_text().splitlines()
    for name, value in (("first temperature", "5000.0"), ("first length along z", "76.0")):
        lines[26 + (NUMBERS + OWN_NUMBERS).index(name)] = value
    restarted(text="\n".join([*lines, ""]), CONSRNT="NPT-BEREND 5 50")
    folder = tmp_path / "second"
    settings = prepare(read_control(folder / "run_md.in"), folder).settings
    assert settings.temperature_limit == preparation.HOT * 5000.0 + preparation.MARGIN
    volume = preparation.MAX_EXPANSION * 5.4 * 6.6 * 76.0
    assert settings.greatest_volume == pytest.approx(volume)


@pytest.mark.parametrize("ensemble", ["NVT-MTK HOOVER 5", "NPT-MTK HOOVER 5 20"])
def test_a_restart_without_thermostat_has_no_friction(fluid, restarted, ensemble):
    fluid(folder="first", N_MDSTP=20, CONSRNT=ensemble, **VALUES)
    second = restarted(CONSRNT="NVE")
    assert second.conserved.max_deviation < 0.02


@pytest.mark.parametrize("size", [len(NUMBERS), len(NUMBERS + SUMS)])
def test_files_with_fewer_numbers_go_on(fluid, restarted, tmp_path, size):
    fluid(folder="first", N_MDSTP=20, CONSRNT="NPT-BEREND 5 50", **VALUES)
    lines = (tmp_path / "first" / "restart.xyzv").read_text().splitlines()
    text = "\n".join([*lines[: 26 + size], ""])
    second = restarted(text=text, CONSRNT="NPT-BEREND 5 50")
    assert second.steps_done == 50
    assert sum(second.contact_counts) == 30
    # What the first file did not say is not in the next one either.
    again = (tmp_path / "second" / "restart.xyzv").read_text().splitlines()
    values = dict(zip(NUMBERS + OWN_NUMBERS, map(float, again[26:]), strict=True))
    assert values["first length along x"] == float(lines[1].split()[0])
    known = size > len(NUMBERS)
    assert values["step after which shear stresses are summed"] == (0 if known else 20)
    assert values["clear steps"] <= 20


def test_a_file_of_chimes_md_with_fifteen_digits_and_fewer_numbers_goes_on(fluid, tmp_path):
    fluid(folder="first", N_MDSTP=20, CONSRNT="NVT-MTK HOOVER 5", **VALUES)
    lines = (tmp_path / "first" / "restart.xyzv").read_text().splitlines()[: 26 + len(NUMBERS)]
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


@pytest.mark.parametrize("steps", [20, 5])
def test_a_restart_that_has_nothing_to_do_is_refused(fluid, tmp_path, steps):
    fluid(N_MDSTP=20, **VALUES)
    folder = tmp_path / "run"
    left = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run_md.in"}
    said = f"N_MDSTP is {steps}, but the restart file is at step 20 already; set it to more"
    with pytest.raises(InputError, match=re.escape(said)):
        fluid(N_MDSTP=steps, VELINIT="RESTART", CRDFILE="restart.xyzv", **VALUES)
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "run_md.in"} == left


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
        ("\n69\n", "\n", "found 54 lines"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(InputError, match=said):
            read_restart(path)
    lines = text.splitlines()
    for name, new, said in (
        ("clear steps", "21", "whole number of the steps done"),
        ("clear steps", "1.5", "whole number of the steps done"),
        ("clear steps", "-1", "whole number of the steps done"),
        ("first length along y", "0.0", "nothing to do with that of line 2"),
        ("first length along y", "-6.6", "nothing to do with that of line 2"),
        ("first length along y", "1e9", "nothing to do with that of line 2"),
    ):
        at = 26 + (NUMBERS + OWN_NUMBERS).index(name)
        path.write_text("\n".join([*lines[:at], new, *lines[at + 1 :], ""]))
        with pytest.raises(InputError, match=said):
            read_restart(path)
    with pytest.raises(InputError, match="positions, velocities and accelerations"):
        fluid(N_MDSTP=30, VELINIT="RESTART", **VALUES)


def test_the_result_is_plain_json(fluid, tmp_path):
    result = fluid(CONSRNT="NPT-MTK HOOVER 5 20", **VALUES)
    assert json.loads(json.dumps(attrs.asdict(result), allow_nan=False))["stable"]
