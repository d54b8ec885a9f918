"""How the atoms are moved: what the run file says, else the `Driver = VelocityVerlet` of `dftb_in.hsd`."""

from __future__ import annotations

import math
from typing import Literal

import attrs
from ase import units

from ald_core.errors import InputError
from ald_dftb.hsd import Node
from ald_dftb.inputs import Inputs, about

EnsembleName = Literal["NVE", "NVT"]
TIME_UNITS = {
    "": units.AUT / units.fs,
    "au": units.AUT / units.fs,
    "fs": 1.0,
    "femtosecond": 1.0,
    "ps": 1000.0,
    "picosecond": 1000.0,
    "s": units.second / units.fs,
    "second": units.second / units.fs,
}
"""fs per unit"""
FREQUENCY_UNITS = {"": 1.0, "au": 1.0, "cm^-1": units.invcm / units.Hartree}
"""Angular frequencies in atomic units, per unit"""
THERMOSTAT_TIME = 100.0
"""fs, where nothing is said"""
FRAME_INTERVAL = 10


@attrs.frozen(kw_only=True)
class Dynamics:
    """Of a run."""

    steps: int
    """Configurations, the first one among them"""
    timestep: float
    ensemble: EnsembleName
    thermostat_time: float
    """fs, 1 / ω of the thermostat; its mass is 3 N kT of that, squared"""
    frame_interval: int


@attrs.frozen(kw_only=True)
class Wishes:
    """What the run file says; None: nothing."""

    steps: int | None
    timestep: float | None
    ensemble: EnsembleName | None
    thermostat_time: float | None
    frame_interval: int | None


def read_dynamics(inputs: Inputs, wishes: Wishes) -> Dynamics:
    """The settings of a run.

    Raises:
        InputError: neither says the number or length of steps, or the driver is another one.
    """
    driver = inputs.root.find("Driver")
    if driver is not None and driver.method.lower() != "velocityverlet":
        driver = None
    own = _Driver(inputs, driver)
    steps = wishes.steps if wishes.steps is not None else own.whole("Steps")
    timestep = wishes.timestep if wishes.timestep is not None else own.time("TimeStep")
    for name, value, key in (("steps", steps, "Steps"), ("timestep", timestep, "TimeStep")):
        if value is None:
            raise InputError(
                f"the MD engine does not know {name}; give it in the run file, or write "
                f"Driver = VelocityVerlet {{ {key} = … }}",
                path=inputs.path,
            )
    ensemble, time = wishes.ensemble, wishes.thermostat_time
    if ensemble is None or (time is None and ensemble == "NVT"):
        said, said_time = own.thermostat(ensemble)
        ensemble, time = ensemble or said, said_time if time is None else time
    interval = wishes.frame_interval or own.whole("MDRestartFrequency")
    return Dynamics(
        steps=int(steps or 0),
        timestep=float(timestep or 0.0),
        ensemble=ensemble,
        thermostat_time=time or THERMOSTAT_TIME,
        frame_interval=interval or FRAME_INTERVAL,
    )


@attrs.frozen(eq=False)
class _Driver:
    """The block `Driver = VelocityVerlet`, if there is one."""

    inputs: Inputs
    block: Node | None

    def whole(self, name: str) -> int | None:
        node = None if self.block is None else self.block.find(name)
        if node is None:
            return None
        if not (node.value.isascii() and node.value.isdecimal()) or not 0 < int(node.value) < 1e9:
            cure = "give a whole number above 0"
            raise InputError(about(self.inputs, node, f"{name} = {node.value}", cure))
        return int(node.value)

    def time(self, name: str) -> float | None:
        node = None if self.block is None else self.block.find(name)
        return None if node is None else self._number(node, TIME_UNITS, "[Femtosecond]")

    def thermostat(self, wished: EnsembleName | None) -> tuple[EnsembleName, float | None]:
        """The ensemble, and the time of the thermostat, if it is said."""
        node = None if self.block is None else self.block.find("Thermostat")
        if node is None:
            return "NVT", None
        kind = node.method.lower()
        if kind in {"", "none"}:
            return "NVE", None
        if kind != "nosehoover":
            if wished is not None:
                return wished, None
            cure = "use NoseHoover or None, or say ensemble in the run file"
            raise InputError(about(self.inputs, node, f"Thermostat = {node.method}", cure))
        strength = node.find("CouplingStrength")
        if strength is None:
            return "NVT", None
        frequency = self._number(strength, FREQUENCY_UNITS, "[cm^-1]")
        return "NVT", units.AUT / units.fs / frequency

    def _number(self, node: Node, known: dict[str, float], usual: str) -> float:
        try:
            number = float(node.value.lower().replace("d", "e"))
        except ValueError:
            number = math.nan
        unit = known.get(node.unit.lower())
        if unit is None or not 0.0 < number < 1e9:
            fault = f"{node.name} [{node.unit}] = {node.value}"
            raise InputError(about(self.inputs, node, fault, f"give a number of {usual}"))
        return number * unit
