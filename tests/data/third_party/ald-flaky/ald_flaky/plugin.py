"""The labeler `flaky`: Lennard-Jones, but chosen frames do not converge, once or ever."""

import re
from typing import ClassVar

import attrs

from ald_core.hookspecs import hookimpl
from ald_core.options import option
from ald_core.reference import ReferenceLabeler
from ald_core.types import Failure, JobSpec


@attrs.frozen(kw_only=True)
class FlakyLabeler(ReferenceLabeler):
    """Label with Lennard-Jones, if it works."""

    name: ClassVar[str] = "flaky"
    never: str = option("^$", help="pattern of frames that never converge")
    first: str = option("^$", help="pattern of frames that do not converge at the first try")
    silent: str = option("^$", help="pattern of frames whose program ends well without an answer")

    def prepare(self, frame, workdir, rung):
        """As the reference, or a program that fails."""
        job = super().prepare(frame, workdir, rung)
        if re.search(self.never, frame.id) or (re.search(self.first, frame.id) and rung == 0):
            return JobSpec(("sh", "-c", "echo SCF did not converge >&2; exit 3"), job.outputs)
        return JobSpec(("true",), job.outputs) if re.search(self.silent, frame.id) else job

    def collect(self, frame, workdir):
        """As the reference; what the program complained about is the reason."""
        words = (workdir / "stderr").read_text().strip()
        return Failure(words, "numerical") if words else super().collect(frame, workdir)


@hookimpl
def ald_labelers():
    """Offer the labeler `flaky`."""
    return [FlakyLabeler]
