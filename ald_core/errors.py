"""What can go wrong, as exceptions.

AldError                      anything that ald reports in one sentence
├── InputError                the user can put it right               exit status 2
│   └── PluginError           a plugin is missing, broken or ambiguous
├── Stopped                   stopped safely, run again               exit status 3
├── FuseBlown                 something looks wrong, look first       exit status 4
└── SchedulerError            what a scheduler tells `jobs.py`
    ├── SubmitRefused         the job was not accepted
    ├── SubmitUncertain       it cannot be told whether it was accepted
    └── SchedulerUnavailable  the query failed; nothing is known

Everything else is a bug and leaves a traceback (exit status 1).
"""

import re
from collections.abc import Sequence
from pathlib import Path

_LONG = re.compile(r"\S{300,}")
"""Words of a damaged file; the longest paths are not much shorter."""


class AldError(Exception):
    """Base of everything that ald reports in one sentence."""

    exit_status = 1


class InputError(AldError):
    """A mistake in what the user gave; the message names place, value and cure, long and unprintable words in short.

    Args:
        message: the mistake; it may tell the cure too.
        path: the file where it is.
        line: of that file, from 1.
        cure: what to do about it; it ends the sentence.
    """

    exit_status = 2

    def __init__(
        self,
        message: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        cure: str = "",
    ):
        self.fault = _shown(message)
        self.cure = _shown(cure)
        self.reason = f"{self.fault}; {self.cure}" if cure else self.fault
        self.path = path
        self.line = line
        place = "" if path is None else f"{path}: " if line is None else f"{path}, line {line}: "
        super().__init__(place + self.reason)

    def at(self, path: Path | str | None, line: int | None = None) -> "InputError":
        """The same mistake, at a place that only the caller knows."""
        return InputError(self.fault, path=path, line=line, cure=self.cure)


def _shown(text: str) -> str:
    """What a message says, with long and unprintable words in short."""
    printable = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    return _LONG.sub(lambda found: f"{found[0][:40]}…", printable)


class InputErrors(InputError):
    """Several mistakes found in one reading, reported together."""

    def __init__(self, problems: Sequence[str], *, path: Path | str | None = None):
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems), path=None)
        self.path = path


class PluginError(InputError):
    """A capability that cannot be used: not installed, misspelt, broken, ambiguous."""


class Stopped(AldError):
    """The run stopped safely; the next `ald run` goes on."""

    exit_status = 3


class FuseBlown(AldError):
    """A limit was passed that a person has to look at before the run goes on."""

    exit_status = 4


class SchedulerError(AldError):
    """What a scheduler tells about a submission or a query."""


class SubmitRefused(SchedulerError):
    """The scheduler said no. `retry_later`: it may say yes when there is room."""

    def __init__(self, reason: str, *, retry_later: bool = False):
        self.retry_later = retry_later
        super().__init__(reason)


class SubmitUncertain(SchedulerError):
    """The answer was lost; the job may or may not exist."""


class SchedulerUnavailable(SchedulerError):
    """The query failed, which says nothing about the jobs."""
