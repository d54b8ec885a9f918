"""Jobs without a scheduler, for programs that are told from their files alone."""

import os
import subprocess
from pathlib import Path

from ald_core import script
from ald_core.types import Failure

ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Failed(Exception):
    """A task failed; its failure is the argument."""


class Jobs:
    """Runs tasks in folders of their own, each identity once, as a job would."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.done: dict[str, Path] = {}
        self.specs = []

    def __call__(self, tasks):
        return [self._result(task) for task in tasks]

    def _result(self, task):
        if task.identity not in self.done:
            workdir = self.folder / f"{len(self.done):03d}" / "000-task"
            workdir.mkdir(parents=True)
            spec = task.prepare(workdir, 0)
            self.specs.append(spec)
            run(spec, workdir)
            self.done[task.identity] = workdir
        result = task.collect(self.done[task.identity])
        if isinstance(result, Failure):
            raise Failed(result)
        return result


def run(spec, workdir):
    """The command of a task, whatever status it ends with."""
    with (workdir / script.STDOUT).open("w") as out, (workdir / script.STDERR).open("w") as err:
        subprocess.run(
            spec.command, cwd=workdir, env=ONE_THREAD, stdout=out, stderr=err, check=False
        )
