"""Restart files, `restart.xyzv`: a coordinate file with all that a run needs to go on.

    natoms
    cell
    El x y z vx vy vz ax ay az                    per atom; Å, Å per internal time, Å per time squared
    one number per line, in the order of `NUMBERS`

Numbers have 17 digits instead of the 15 of ChIMES MD, so that a run goes on with the same bits. The
last four are not in the files of ChIMES MD, which need not have them.
"""

from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_chimes_lsq.formats.tokens import Place, parse_number, read_text
from ald_chimes_md.coordinates import System, read_coordinates
from ald_chimes_md.dynamics import (
    KINETIC,
    MAX_SKIN,
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
from ald_core.errors import InputError

Floats = NDArray[np.float64]

RESTART = "restart.xyzv"
BACKUP = "restart.bak"
LAYOUT = "%24.16e"

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
OWN_NUMBERS = ("sum of xy", "sum of xz", "sum of yz", "sum of temperatures since the last scaling")


@attrs.frozen
class Restart:
    """The numbers at the end of a restart file."""

    values: dict[str, float]

    def __getitem__(self, name: str) -> float:
        """One of `NUMBERS` or `OWN_NUMBERS`; 0 for one of the latter that is not there."""
        return self.values.get(name, 0.0)


def read_restart(path: Path) -> tuple[System, Restart]:
    """Read a restart file; the atoms stay where they are, in the cell or not.

    Raises InputError if it is no such file, or an incomplete one.
    """
    system = read_coordinates(path, wrapped=False)
    text = read_text(path)
    if not text.endswith("\n"):
        raise InputError("the last line is cut short: the file is incomplete", path=path)
    lines = text.splitlines()
    if len(lines[2].split()) != 10:
        message = (
            "a restart needs positions, velocities and accelerations, as restart.xyzv has them"
        )
        raise Place(path, 3).error(message)
    start = len(system.elements) + 2
    rest = [
        (n, line.split()) for n, line in enumerate(lines[start:], start=start + 1) if line.strip()
    ]
    names = NUMBERS + OWN_NUMBERS
    if len(rest) not in {len(NUMBERS), len(names)}:
        message = (
            f"a restart file has {len(NUMBERS)} or {len(names)} numbers after its atoms, "
            f"found {len(rest)} lines"
        )
        raise Place(path, len(lines)).error(message)
    values = {}
    for name, (number, words) in zip(names, rest, strict=False):
        values[name] = parse_number(" ".join(words), f"the {name}", Place(path, number))
    step = values["next step"]
    if step != int(step) or not 2 <= step < 1e9 or values["neighbour padding"] < 0.0:
        message = "the next step must be a whole number from 2 on, and the padding not negative"
        raise Place(path, start + 1).error(message)
    return system, Restart(values)


def restarted_state(restart: Restart, positions: Floats, velocities: Floats, cell: Floats) -> State:
    """The state from which the next step follows once its forces are found."""
    skin = min(restart["neighbour padding"], MAX_SKIN)
    state = initial_state(positions, velocities, cell, skin)
    step = int(restart["next step"]) - 1
    state.counters[[STEP, REBUILT_AT, RESTARTED]] = step, step, 1
    state.thermostat[:] = restart["ξ"], restart["ξ velocity"], restart["ξ force"]
    state.barostat[:3] = restart["ε"], restart["ε velocity"], restart["ε force"]
    state.numbers[WINDOW] = restart[OWN_NUMBERS[3]]
    state.sums[TEMPERATURE_SUM] = restart["sum of temperatures"]
    state.sums[PRESSURE_SUM] = restart["sum of pressures"]
    for place, name in enumerate(("xx", "yy", "zz", "xy", "xz", "yz")):
        state.sums[STRESS_SUM + place] = restart[f"sum of {name}"]
    state.sums[VOLUME_SUM] = restart["sum of volumes"]
    state.sums[WORK_SUM] = restart["sum of pressure times volume"]
    if OWN_NUMBERS[0] not in restart.values:
        state.counters[SHEAR_FROM] = step
    return state


def write_restart(
    folder: Path, system: System, state: State, settings: Settings, *, timestep: float
) -> None:
    """Replace the restart file of a folder and keep the previous one as a backup.

    A file of the same or a later step, which a run that was killed may have left, is no backup.
    """
    target, temporary = folder / RESTART, folder / (RESTART + ".new")
    temporary.write_bytes(_text(system, state, settings, timestep))
    if target.is_file() and _step_of(target, len(system.elements)) <= state.counters[STEP]:
        target.replace(folder / BACKUP)
    temporary.replace(target)


def _step_of(path: Path, n_atoms: int) -> float:
    """The next step that a restart file names; endless if it is none."""
    lines = path.read_bytes().split(b"\n")
    try:
        return float(lines[n_atoms + 2])
    except (IndexError, ValueError):
        return np.inf


def _text(system: System, state: State, settings: Settings, timestep: float) -> bytes:
    accelerations = state.forces / settings.masses[:, None]
    rows = np.hstack([state.positions, state.velocities, accelerations]).tolist()
    line = "%2s " + " ".join([LAYOUT] * 9)
    atoms = [line % (name, *row) for name, row in zip(system.elements, rows, strict=True)]
    cell = cell_text(state.cell, LAYOUT, orthorhombic=system.orthorhombic)
    numbers = _numbers(state, settings, timestep)
    whole = {"next step", "degrees of freedom"}
    rest = [f"{v:.0f}" if name in whole else LAYOUT % v for name, v in numbers.items()]
    return "\n".join([f"{len(rows):5d}", cell, *atoms, *rest, ""]).encode()


def _numbers(state: State, settings: Settings, timestep: float) -> dict[str, float]:
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
        *stress[3:], state.numbers[WINDOW],
    )  # fmt: skip
    return dict(zip(NUMBERS + OWN_NUMBERS, map(float, values), strict=True))
