"""How a run moves the atoms: by the run file, or by the driver in the input."""

import pytest
from ase import units

from ald_core.errors import InputError
from ald_dftb.dynamics import Dynamics, Wishes, read_dynamics
from ald_dftb.inputs import read_input

DRIVER = """Driver = VelocityVerlet {
  Steps = 5000
  TimeStep [Femtosecond] = 0.2
  MDRestartFrequency = 25
  Thermostat = NoseHoover { Temperature [Kelvin] = 300; CouplingStrength [cm^-1] = 2000 }
}
"""
NOTHING = {
    "steps": None,
    "timestep": None,
    "ensemble": None,
    "thermostat_time": None,
    "frame_interval": None,
}


def read(tmp_path, text, **wishes):
    path = tmp_path / "dftb_in.hsd"
    path.write_text(text)
    return read_dynamics(read_input(path), Wishes(**NOTHING | wishes))


def test_the_driver_of_the_input(tmp_path):
    found = read(tmp_path, DRIVER)
    assert (found.steps, found.ensemble, found.frame_interval) == (5000, "NVT", 25)
    assert found.timestep == pytest.approx(0.2)
    period = 1e15 / (2000 * units._c * 100)
    assert found.thermostat_time == pytest.approx(period / 6.283185307179586)


def test_time_steps_without_a_unit_are_atomic(tmp_path):
    found = read(tmp_path, DRIVER.replace("[Femtosecond] = 0.2", "= 10"))
    assert found.timestep == pytest.approx(0.2418884326)


def test_without_a_thermostat_energy_is_constant(tmp_path):
    text = DRIVER.replace("NoseHoover {", "None {")
    assert read(tmp_path, text).ensemble == "NVE"


def test_the_run_file_wins(tmp_path):
    wishes = {
        "steps": 7,
        "timestep": 0.5,
        "ensemble": "NVE",
        "thermostat_time": 3.0,
        "frame_interval": 2,
    }
    assert read(tmp_path, DRIVER, **wishes) == Dynamics(**wishes)
    text = DRIVER.replace("NoseHoover", "Berendsen")
    assert read(tmp_path, text, ensemble="NVT").thermostat_time == 100.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Steps", "Stops", "does not know steps; give it in the run file, or write Driver ="),
        ("TimeStep", "Time", "does not know timestep; give it"),
        ("VelocityVerlet", "SteepestDescent", "does not know steps; give it"),
        ("= 5000", "= many", "line 2: Steps = many; give a whole number above 0"),
        ("Femtosecond", "hour", "line 3: TimeStep [hour] = 0.2; give a number of [Femtosecond]"),
        ("NoseHoover", "Andersen", "line 5: Thermostat = Andersen; use NoseHoover or None"),
        ("= 2000 }", "= 0 }", "line 5: CouplingStrength [cm^-1] = 0; give a number of [cm^-1]"),
    ],
)
def test_what_is_wrong_is_told(old, new, message, tmp_path):
    assert old in DRIVER
    with pytest.raises(InputError) as error:
        read(tmp_path, DRIVER.replace(old, new))
    assert str(error.value).startswith(str(tmp_path / "dftb_in.hsd"))
    assert message in str(error.value)
