"""The scheduler `local`: jobs are processes of this machine, several at once as far as its cores go."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Sequence
from typing import ClassVar

import attrs
import psutil
from attrs.validators import ge, optional

from ald_core.errors import SubmitRefused
from ald_core.options import option
from ald_core.roles import Scheduler
from ald_core.types import Job, JobStatus

_NAME = "ALD_JOB_NAME"
_CORES = "ALD_JOB_CORES"
_Running = dict[str, tuple[int, int]]
"""Process id and cores of running jobs, by name."""
_DEFAULT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


@attrs.define(kw_only=True, slots=False)
class LocalScheduler(Scheduler):
    """Run jobs on this machine, first come first served.

    A job gets the environment of `ald run` but for secrets. Running jobs are recognised by a variable in theirs, so
    that they are found again by another process. Jobs that wait for cores exist in this object only and vanish with it.
    Everything happens inside the three methods. Of the resources it knows the cores alone: those of a process, times
    processes, times tasks at the same time.
    """

    name: ClassVar[str] = "local"
    patience: ClassVar[float] = 0.0
    poll: ClassVar[float] = 0.1

    cores: int | None = option(
        None,
        help="cores that jobs may fill; default: all of this machine",
        validator=optional(ge(1)),
        identity=False,
    )

    def __attrs_post_init__(self) -> None:
        # No fields: what is queued or running is no setting.
        self._queue: list[Job] = []
        self._running: _Running = {}

    @property
    def capacity(self) -> int:
        """Cores that jobs may fill."""
        return self.cores or os.cpu_count() or 1

    def submit(self, job: Job) -> str:
        """Queue a job and start what fits; the id is the job's name."""
        needed = job.resources.cores_in_use
        if needed > self.capacity:
            raise SubmitRefused(
                f"{needed} cores are asked for and the local scheduler has {self.capacity}; "
                "lower those of this step in [resources] or raise those of the scheduler"
            )
        self._queue.append(job)
        self._advance()
        return job.name

    def find(self, prefix: str) -> dict[str, list[JobStatus]]:
        """Waiting jobs of this object, and running jobs of this machine whoever started them."""
        running = self._advance()
        states = {
            name: [JobStatus(name, "running", f"process {pid}")]
            for name, (pid, _) in running.items()
        }
        states |= {job.name: [JobStatus(job.name, "waiting")] for job in self._queue}
        return {name: state for name, state in states.items() if name.startswith(prefix)}

    def cancel(self, ids: Sequence[str]) -> None:
        """Forget waiting jobs and ask the processes of running ones to end.

        Whole process groups are asked: a process that forks in the meantime does not escape.
        """
        self._queue = [job for job in self._queue if job.name not in ids]
        # Own jobs lead their groups; just after its start, the environment of a process cannot be read yet.
        groups = {pid for name, (pid, _) in self._running.items() if name in ids}
        for process, environment in _job_processes():
            if environment[_NAME] in ids:
                with contextlib.suppress(ProcessLookupError):
                    groups.add(os.getpgid(process.pid))
        for group in sorted(groups - {os.getpgrp()}):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGTERM)

    def _advance(self) -> _Running:
        """Reap what has ended, start from the head of the queue while there are cores; what runs now.

        Jobs of the same run that an earlier process started occupy their cores too.
        """
        self._running = {n: entry for n, entry in self._running.items() if not _has_ended(entry[0])}
        running = {**_running_jobs(), **self._running}
        while self._queue:
            job = self._queue[0]
            occupied = sum(c for name, (_, c) in running.items() if _run(name) == _run(job.name))
            if job.resources.cores_in_use > self.capacity - occupied:
                break
            try:
                pid = _start(job)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ENOMEM):
                    break
                del self._queue[0]  # it will be found absent
                continue
            del self._queue[0]
            self._running[job.name] = running[job.name] = (pid, job.resources.cores_in_use)
        return running


def _run(name: str) -> list[str]:
    """The part of a job's name that all jobs of a run share."""
    return name.split("-", 2)[:2]


def _start(job: Job) -> int:
    """Start the script in its own session, out of reach of the terminal; give the process id."""
    environment = {k: v for k, v in os.environ.items() if k not in job.withhold}
    environment |= {_NAME: job.name, _CORES: str(job.resources.cores_in_use)}
    log = str(job.folder / "job.out")
    return os.posix_spawn(
        "/bin/sh",
        ["sh", str(job.script)],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=_DEFAULT_SIGNALS,
    )


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _job_processes() -> list[tuple[psutil.Process, dict[str, str]]]:
    """Live processes of this machine that belong to a job, with their environments."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if _NAME in environment and process.status() != psutil.STATUS_ZOMBIE:
                found.append((process, environment))
        except psutil.Error:
            continue
    return found


def _running_jobs() -> _Running:
    """Every running job of this machine."""
    jobs: _Running = {}
    for process, environment in _job_processes():
        cores = environment.get(_CORES, "1")
        entry = (process.pid, int(cores) if cores.isdecimal() else 1)
        jobs.setdefault(environment[_NAME], entry)
    return jobs
