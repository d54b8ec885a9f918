"""Energies, forces and stresses of DFTB+ during an MD run: a run for each step, or one program behind a socket."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from ase import Atoms
from ase.calculators.socketio import SocketServer
from ase.stress import full_3x3_to_voigt_6_stress

from ald_core.script import STDOUT
from ald_core.types import Failure, Frame, Labels, Origin
from ald_dftb.acceptance import accept, why_stopped
from ald_dftb.inputs import GEOMETRY, INPUT, write_geometry
from ald_dftb.md_files import RUNGS, SOCKET_NAME, input_name
from ald_dftb.outputs import DETAILS, RESULTS, UNDERSTOOD, read_stdout

SECONDS_TO_END = 20.0


class NoForces(Exception):
    """DFTB+ gave none."""

    def __init__(self, failure: Failure):
        self.failure = failure
        super().__init__(failure.reason)


class Baseline(Protocol):
    """Labels of one configuration after the other."""

    def __enter__(self) -> Self:
        """Start."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""

    def labels(self, atoms: Atoms) -> Labels:
        """Of these atoms; raises NoForces."""


class RunPerStep:
    """Starts DFTB+ for each configuration, and believes it as little as a labeler does."""

    def __init__(self, program: str, folder: Path, temperature: float):
        self.program, self.folder, self.temperature = program, folder, temperature
        shutil.copyfile(folder / INPUT, folder / f"0.{INPUT}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def labels(self, atoms: Atoms) -> Labels:
        """Of these atoms, by another mixer if the charges do not converge."""
        rung = 0
        while isinstance(found := self._run(atoms, rung), Failure):
            rung += 1
            if found.kind != "numerical" or rung == RUNGS:
                raise NoForces(found)
        return found

    def _run(self, atoms: Atoms, rung: int) -> Labels | Failure:
        for name in (RESULTS, DETAILS, UNDERSTOOD, STDOUT):
            (self.folder / name).unlink(missing_ok=True)
        name = f"0.{INPUT}" if rung == 0 else input_name(rung)
        shutil.copyfile(self.folder / name, self.folder / INPUT)
        write_geometry(atoms, self.folder / GEOMETRY)
        with (self.folder / STDOUT).open("wb") as out:
            try:
                done = subprocess.run(
                    [self.program],
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            except OSError as error:
                return Failure(f"{self.program} cannot be started: {error.strerror}", "input")
        if done.returncode < 0 or done.returncode > 128:
            return Failure(f"{self.program} was killed", "infrastructure")
        texts = {name: _text(self.folder / name) for name in (STDOUT, UNDERSTOOD, RESULTS, DETAILS)}
        return accept(Frame(atoms, Origin(0, "md", 0)), texts, self.temperature)


class OverSocket:
    """Starts DFTB+ once; positions, energies, forces and stresses pass through a Unix socket (i-PI protocol)."""

    def __init__(self, program: str, folder: Path):
        self.program, self.folder = program, folder
        self.name = f"ald_{secrets.token_hex(8)}"
        path = folder / INPUT
        path.write_text(path.read_text().replace(SOCKET_NAME, self.name))
        self._process: subprocess.Popen[bytes] | None = None
        self._server: SocketServer | None = None

    def __enter__(self) -> Self:
        self._server = SocketServer(unixsocket=self.name)
        return self

    def __exit__(self, *_: object) -> None:
        server, process = self._server, self._process
        self._server = self._process = None
        if server is not None:
            server.proc = None  # it would wait for it without end, and warn
            if server.protocol is not None and process is not None and process.poll() is None:
                try:
                    server.protocol.end()
                except OSError:
                    process.terminate()
            elif process is not None:
                process.terminate()
            server.close()
        if process is not None:
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def labels(self, atoms: Atoms) -> Labels:
        """Of these atoms; DFTB+ ends by itself if charges do not converge."""
        server = self._server
        if server is None:
            raise RuntimeError("used outside its context")
        try:
            if self._process is None:
                self._process = self._start(atoms)
                server.proc = self._process
            found = server.calculate(atoms)
        except OSError as error:
            raise NoForces(self._why(error)) from error
        virial = np.asarray(found["virial"])
        stress = -full_3x3_to_voigt_6_stress(virial) / atoms.get_volume()
        return Labels(float(found["energy"]), np.asarray(found["forces"]), stress)

    def _start(self, atoms: Atoms) -> subprocess.Popen[bytes]:
        write_geometry(atoms, self.folder / GEOMETRY)
        with (self.folder / STDOUT).open("wb") as out:
            return subprocess.Popen(
                [self.program],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def _why(self, error: OSError) -> Failure:
        if self._process is None:
            return Failure(f"{self.program} cannot be started: {error.strerror}", "input")
        try:
            status = self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return Failure(f"{self.program} does not answer", "infrastructure")
        stopped = why_stopped(read_stdout(_text(self.folder / STDOUT)))
        if status < 0 or status > 128:
            return Failure(f"{self.program} was killed", "infrastructure")
        return stopped or Failure(f"{self.program} ended, and did not say why")


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace") if path.is_file() else ""
