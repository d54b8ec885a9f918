"""Restart files, `restart.xyzv`: a coordinate file with all that a run needs to go on.

    natoms
    cell
    El x y z vx vy vz ax ay az                    per atom; Å, Å per internal time, Å per time squared
    one number per line, in the order of `NUMBERS`

Numbers have 17 digits instead of the 15 of ChIMES MD, so that a run goes on with the same bits. Those
of `OWN_NUMBERS` are not in the files of ChIMES MD, which need not have them.
"""

import time
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.formats.tokens import Place, parse_number, read_text
from ald_chimes_md.coordinates import System, is_diagonal, read_coordinates
from ald_chimes_md.dynamics import (
    CLEAR,
    DEVIATION,
    FIRST_CONSERVED,
    FIRST_POTENTIAL,
    INSIDE,
    KINETIC,
    LAST_CONSERVED,
    MAX_SKIN,
    NPT_MTK,
    NVT_MTK,
    PRESSURE_SUM,
    REBUILT_AT,
    RESTARTED,
    SHEAR_FROM,
    SKIN,
    STEP,
    STRESS_SUM,
    TEMPERATURE_SUM,
    VOLUME,
    VOLUME_SUM,
    WINDOW,
    WORK_SUM,
    Settings,
    State,
    initial_state,
)
from ald_chimes_md.frame_text import cell_text
from ald_chimes_md.replacement import replace_file

Floats = NDArray[np.float64]

RESTART = "restart.xyzv"
BACKUP = "restart.bak"
LAYOUT = "%24.16e"
_ANOTHER = f"go on from {BACKUP}, or take velocities and positions alone with VELINIT READ"

NUMBERS = (
    "next step", "neighbour padding",
    "ξ", "ξ velocity", "ξ force", "Q", "old ξ", "old ξ force", "old ξ velocity",
    "ε", "ε velocity", "ε force", "W", "old ε", "old ε force", "old ε velocity",
    "scale factor", "old volume", "volume",
    "μ", "μx", "μy", "μz", "barostat time", "thermostat factor", "thermostat time",
    "time in fs", "barostat time in fs", "degrees of freedom", "velocity scale", "kinetic energy",
    "sum of temperatures", "sum of pressures", "sum of xx", "sum of yy", "sum of zz",
    "sum of volumes", "sum of pressure times volume",
)  # fmt: skip
"""What the lines after the atoms say."""
SUMS = ("sum of xy", "sum of xz", "sum of yz", "sum of temperatures since the last scaling")
LENGTHS = ("first length along x", "first length along y", "first length along z")
FIRST_NUMBERS = (
    "first potential energy", "first conserved quantity", "last conserved quantity",
    "largest deviation from the first",
)  # fmt: skip
COUNTS = (
    "clear steps", "steps in the penalty zone", "steps inside the inner cutoff",
    "step after which shear stresses are summed",
)  # fmt: skip
OWN_NUMBERS = (
    *SUMS, *LENGTHS, "first temperature", *FIRST_NUMBERS, *COUNTS,
    "digest of model and ensemble",
)  # fmt: skip
"""What an undisturbed run knows besides. Files may have the sums only."""
MAX_CHANGE = 1e3
"""The first lengths of a cell may be that many times the present ones, or as many times less."""
SECONDS_PER_RESTART = 1.0
"""Time between two writings of restart files. Those that are left at the end do not depend on it."""


@attrs.frozen(eq=False)
class Beginning:
    """What a run keeps of its first configuration, however often it is restarted."""

    cell: Floats
    """(3, 3) Å"""
    temperature: float
    """K"""
    digest: int
    """Of model and ensemble; energies of a run with another one cannot be compared."""


@attrs.frozen
class Restart:
    """The numbers at the end of a restart file."""

    values: dict[str, float]

    def __getitem__(self, name: str) -> float:
        """One of `NUMBERS` or `OWN_NUMBERS`; 0 for one of the latter that is not there."""
        return self.values.get(name, 0.0)

    def beginning(self, present: Beginning) -> Beginning:
        """That of the run which left the file, or the present one if it does not say."""
        if LENGTHS[0] not in self.values:
            return present
        cell = present.cell.copy()
        if is_diagonal(cell):  # No other cell ever changes.
            np.fill_diagonal(cell, [self[name] for name in LENGTHS])
        return attrs.evolve(present, cell=cell, temperature=self["first temperature"])


def read_restart(path: Path) -> tuple[System, Restart]:
    """Read a restart file; the atoms stay where they are, in the cell or not.

    Raises InputError if it is no such file, or an incomplete one.
    """
    system = read_coordinates(path, wrapped=False)
    text = read_text(path)
    lines = text.splitlines()
    if not text.endswith("\n"):
        raise Place(path, len(lines)).error("this last line is cut short", cure=_ANOTHER)
    if len(lines[2].split()) != 10:
        fault = "a restart needs positions, velocities and accelerations"
        cure = f"set CRDFILE to a {RESTART}, or VELINIT to READ or GEN"
        raise Place(path, 3).error(fault, cure=cure)
    start = len(system.elements) + 2
    rest = [
        (n, line.split()) for n, line in enumerate(lines[start:], start=start + 1) if line.strip()
    ]
    names = NUMBERS + OWN_NUMBERS
    sizes = (len(NUMBERS), len(NUMBERS + SUMS), len(names))
    if len(rest) not in sizes:
        wanted = "{}, {} or {}".format(*sizes)
        fault = f"a restart file has {wanted} numbers after its atoms, found {len(rest)} lines"
        raise Place(path, len(lines)).error(fault, cure=_ANOTHER)
    values = {}
    for name, (number, words) in zip(names, rest, strict=False):
        values[name] = parse_number(" ".join(words), f"the {name}", Place(path, number))
    step = values["next step"]
    if step != int(step) or not 2 <= step < 1e9 or values["neighbour padding"] < 0.0:
        fault = "the next step must be a whole number from 2 on, and the padding not negative"
        raise Place(path, start + 1).error(fault, cure=_ANOTHER)
    for name, (number, _) in zip(names, rest, strict=False):
        _check_own(name, values, system.cell, Place(path, number))
    return system, Restart(values)


def _check_own(name: str, values: dict[str, float], cell: Floats, place: Place) -> None:
    value = values[name]
    if name in COUNTS and not (value == int(value) and 0 <= value < values["next step"]):
        fault = f"'{name}' must be a whole number of the steps done"
        raise place.error(fault, cure=_ANOTHER)
    if name in LENGTHS and is_diagonal(cell):
        axis = LENGTHS.index(name)
        if not 1.0 / MAX_CHANGE <= value / cell[axis, axis] <= MAX_CHANGE:
            fault = f"the {name} has nothing to do with that of line 2"
            raise place.error(fault, cure=_ANOTHER)


def restarted_state(
    restart: Restart,
    beginning: Beginning,
    settings: Settings,
    positions: Floats,
    velocities: Floats,
    cell: Floats,
) -> State:
    """The state from which the next step follows once its forces are found.

    First energies are not numbers if the file does not say them, or has those of another model or ensemble. An
    ensemble without thermostat or barostat leaves those of the file behind.
    """
    skin = min(restart["neighbour padding"], MAX_SKIN)
    state = initial_state(positions, velocities, cell, skin)
    step = int(restart["next step"]) - 1
    state.counters[[STEP, REBUILT_AT, RESTARTED]] = step, step, 1
    if settings.ensemble in (NVT_MTK, NPT_MTK):
        state.thermostat[:] = restart["ξ"], restart["ξ velocity"], restart["ξ force"]
    if settings.ensemble == NPT_MTK:
        state.barostat[:3] = restart["ε"], restart["ε velocity"], restart["ε force"]
    state.numbers[WINDOW] = restart[SUMS[3]]
    state.numbers[[FIRST_POTENTIAL, FIRST_CONSERVED, LAST_CONSERVED]] = np.nan
    if restart["digest of model and ensemble"] == beginning.digest:
        state.numbers[FIRST_POTENTIAL] = restart["first potential energy"]
        state.numbers[FIRST_CONSERVED] = restart["first conserved quantity"]
        state.numbers[LAST_CONSERVED] = restart["last conserved quantity"]
        state.numbers[DEVIATION] = restart["largest deviation from the first"]
    state.counters[[*range(CLEAR, INSIDE + 1), SHEAR_FROM]] = [int(restart[n]) for n in COUNTS]
    state.sums[TEMPERATURE_SUM] = restart["sum of temperatures"]
    state.sums[PRESSURE_SUM] = restart["sum of pressures"]
    for place, name in enumerate(("xx", "yy", "zz", "xy", "xz", "yz")):
        state.sums[STRESS_SUM + place] = restart[f"sum of {name}"]
    state.sums[VOLUME_SUM] = restart["sum of volumes"]
    state.sums[WORK_SUM] = restart["sum of pressure times volume"]
    if SUMS[0] not in restart.values:
        state.counters[SHEAR_FROM] = step
    return state


@attrs.define
class RestartFiles:
    """Keeps `restart.xyzv` and the one before it, `restart.bak`, in a folder.

    Short runs are over before a disk is ready, so that what was kept is written once a second.
    """

    folder: Path
    _kept: list[tuple[int, bytes]] = attrs.field(factory=list, init=False)
    """Step and text of the last two that are not yet written."""
    _written: float = attrs.field(default=-np.inf, init=False)

    def keep(self, step: int, text: bytes) -> None:
        """Take the restart file of a step; write it if the last writing was some time ago."""
        self._kept = [*self._kept[-1:], (step, text)]
        if time.monotonic() - self._written >= SECONDS_PER_RESTART:
            self.write()

    def write(self) -> None:
        """Put on the disk what was kept.

        A file of the same or a later step, which a run that was killed may have left, is no backup.
        """
        if not self._kept:
            return
        target = self.folder / RESTART
        step, latest = self._kept[-1]
        if len(self._kept) > 1:
            replace_file(self.folder / BACKUP, self._kept[0][1])
        elif target.is_file() and _next_step(earlier := target.read_bytes()) <= step:
            replace_file(self.folder / BACKUP, earlier)
        replace_file(target, latest)
        self._kept, self._written = [], time.monotonic()


def _next_step(text: bytes) -> float:
    """The next step that a restart file names; endless if it is none."""
    lines = text.split(b"\n")
    try:
        return float(lines[int(lines[0]) + 2])
    except (IndexError, ValueError):
        return np.inf


def restart_text(
    system: System, state: State, settings: Settings, beginning: Beginning, *, timestep: float
) -> bytes:
    """A restart file."""
    accelerations = state.forces / settings.masses[:, None]
    rows = np.hstack([state.positions, state.velocities, accelerations]).tolist()
    line = "%2s " + " ".join([LAYOUT] * 9)
    atoms = [line % (name, *row) for name, row in zip(system.elements, rows, strict=True)]
    cell = cell_text(state.cell, LAYOUT, orthorhombic=system.orthorhombic)
    numbers = _numbers(state, settings, beginning, timestep)
    whole = {"next step", "degrees of freedom", "digest of model and ensemble", *COUNTS}
    rest = [f"{v:.0f}" if name in whole else LAYOUT % v for name, v in numbers.items()]
    return "\n".join([f"{len(rows):5d}", cell, *atoms, *rest, ""]).encode()


def _numbers(
    state: State, settings: Settings, beginning: Beginning, timestep: float
) -> dict[str, float]:
    """The numbers after the atoms; what is called old is not needed here, and is the present one."""
    step, sums = int(state.counters[STEP]), state.sums
    xi, xi_velocity, xi_force = state.thermostat.tolist()
    eps, eps_velocity, eps_force, *factors = state.barostat.tolist()
    volume = float(state.numbers[VOLUME])
    stress = sums[STRESS_SUM : STRESS_SUM + 6].tolist()
    values = (
        step + 1, state.numbers[SKIN],
        xi, xi_velocity, xi_force, settings.thermostat_mass, xi, xi_force, xi_velocity,
        eps, eps_velocity, eps_force, settings.barostat_mass, eps, eps_force, eps_velocity,
        factors[0], volume / float(np.prod(factors)), volume,
        float(np.cbrt(np.prod(factors))), *factors, settings.barostat_time,
        1.0, settings.thermostat_time, step * timestep, step * timestep,
        3 * len(settings.masses) - 3, 1.0, state.numbers[KINETIC],
        sums[TEMPERATURE_SUM], sums[PRESSURE_SUM], *stress[:3], sums[VOLUME_SUM], sums[WORK_SUM],
        *stress[3:], state.numbers[WINDOW], *np.diag(beginning.cell), beginning.temperature,
        *state.numbers[[FIRST_POTENTIAL, FIRST_CONSERVED, LAST_CONSERVED, DEVIATION]],
        *state.counters[CLEAR : INSIDE + 1], state.counters[SHEAR_FROM], beginning.digest,
    )  # fmt: skip
    return dict(zip(NUMBERS + OWN_NUMBERS, map(float, values), strict=True))
