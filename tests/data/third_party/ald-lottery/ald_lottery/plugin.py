"""The scheduler `lottery`: every job waits for a while that nobody can foresee, then runs."""

import os
import random
import subprocess
from typing import ClassVar

import attrs
import psutil

from ald_core.hookspecs import hookimpl
from ald_core.options import option
from ald_core.roles import Scheduler
from ald_core.types import JobStatus

MARK = "ALD_LOTTERY_JOB"


@attrs.frozen(kw_only=True)
class LotteryScheduler(Scheduler):
    """Start every job at once, after a random wait."""

    name: ClassVar[str] = "lottery"
    patience: ClassVar[float] = 0.0
    poll: ClassVar[float] = 0.1
    longest: float = option(0.5, help="seconds that a job waits at most", identity=False)

    def submit(self, job):
        """Start a shell that waits and then becomes the job."""
        wait = random.uniform(0, self.longest)
        script = ["sh", "-c", 'sleep "$1"; exec sh "$2"', "lottery", f"{wait:.3f}", job.script]
        environment = os.environ | {MARK: job.name}
        subprocess.Popen(script, env=environment, start_new_session=True, stdin=subprocess.DEVNULL)
        return job.name

    def find(self, prefix):
        """All living processes that carry the mark."""
        found = {}
        for process in psutil.process_iter():
            try:
                name = process.environ().get(MARK, "")
                alive = process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if alive and name.startswith(prefix):
                found[name] = [JobStatus(name, "running")]
        return found

    def cancel(self, ids):
        """Nobody leaves the lottery."""


@hookimpl
def ald_schedulers():
    """Offer the scheduler `lottery`."""
    return [LotteryScheduler]
