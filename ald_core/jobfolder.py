"""Job folders: prepared and published whole, and read again when their job has worked.

`ALC-n/jobs/<job name>/` holds `job.sh`, `job.json` (what was planned), `claim`, `job.exit`, and one folder per task
with its inputs, outputs, `stdout`, `stderr` and `task.exit`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from ald_core import durable
from ald_core.digests import digest, file_digest
from ald_core.errors import InputError, PluginError
from ald_core.ledger import Accepted, Attempt, JobState
from ald_core.script import (
    STDERR,
    TaskExit,
    job_script,
    outputs_agree,
    read_claim,
    read_task_exit,
)
from ald_core.types import Failure, Job, JobSpec, Resources, T, Task

SCRIPT = "job.sh"
PLAN = "job.json"

KILLED = {129, 130, 137, 143, 152}
"""128 + SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGXCPU: somebody else ended the program."""
_NO_PROGRAM = (126, 127)


class NoProgram(Exception):
    """The program of a task could not be started, which is for the user to put right."""


def attempts_of(tasks: Sequence[tuple[Task[Any], int]]) -> tuple[Attempt, ...]:
    """The attempts of a job with these tasks and rungs; folders have an order and a name that a shell can take."""
    return tuple(
        Attempt(task.identity, task.name, f"{i:03d}-{_plain(task.name)}", rung)
        for i, (task, rung) in enumerate(tasks)
    )


def publish_job(
    study: Path, job: JobState, tasks: Sequence[Task[Any]], resources: Resources
) -> bool:
    """Prepare the tasks and publish the folder of `job`.

    A whole folder left by a killed process is kept. False if the name is taken by other work or by work that began.
    """
    target = study / job.folder
    if target.exists():
        return _can_adopt(target, job, resources)
    staged = durable.stage(target)
    try:
        with durable.writing(staged):
            specs = []
            for task, attempt in zip(tasks, job.attempts, strict=True):
                workdir = staged / attempt.folder
                workdir.mkdir()
                specs.append(_moved(task.prepare(workdir, attempt.rung), staged, target))
            named = [(a.folder, spec) for a, spec in zip(job.attempts, specs, strict=True)]
            (staged / SCRIPT).write_bytes(job_script(job.name, target, named, resources))
            plan = json.dumps(_plan(job, target, specs, resources), indent=1)
            (staged / PLAN).write_text(plan + "\n")
    except BaseException:
        durable.discard(staged)
        raise
    durable.publish_folder(staged, target)
    return True


def as_job(
    study: Path,
    job: JobState,
    resources: Resources,
    avoid: tuple[str, ...] = (),
    withhold: frozenset[str] = frozenset(),
) -> Job:
    """What a scheduler is given."""
    folder = study / job.folder
    return Job(job.name, folder, folder / SCRIPT, resources, avoid, withhold)


def planned_outputs(folder: Path) -> dict[str, tuple[str, ...]]:
    """Declared outputs of the attempts of a job, by their folders."""
    try:
        plan = json.loads((folder / PLAN).read_text())
        return {a["folder"]: tuple(a["outputs"]) for a in plan["attempts"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"cannot be read ({error}); delete the folder to do its work again", path=folder / PLAN
        ) from error


def collect(task: Task[T], folder: Path, outputs: Sequence[str], report: TaskExit) -> T | Failure:
    """The result of an attempt that has ended, or why there is none. Raises `NoProgram`.

    The task itself decides, whatever the exit status; but it is not asked if the program was killed, and not believed
    if a success left an output missing.
    """
    if report.status in KILLED:
        signal = report.status - 128
        reason = f"the program was killed (signal {signal}){_last_words(folder)}"
        return Failure(one_line(reason), "infrastructure")
    if report.status in _NO_PROGRAM:
        what = f"{task.role} '{task.name}' could not be started"
        raise NoProgram(one_line(what + _last_words(folder)))
    result = task.collect(folder)
    missing = [name for name, seen in zip(outputs, report.outputs, strict=True) if seen is None]
    if isinstance(result, Failure):
        return attrs.evolve(result, reason=_with_cause(result.reason, report.status, folder))
    if missing and report.status == 0:
        return Failure(f"the program ended without writing {', '.join(missing)}", "invalid")
    return task.judge(result)


def is_finished(study: Path, job: JobState, attempt: Attempt) -> bool:
    """Whether the program of an attempt has come to its own end, and the job has reported it."""
    folder = study / job.folder
    holder = read_claim(folder)
    report = read_task_exit(folder / attempt.folder, holder) if holder is not None else None
    return report is not None and report.status not in KILLED


def is_deleted(study: Path, accepted: Accepted) -> bool:
    """Whether the user has deleted the job folder of an accepted result."""
    return not (study / accepted.folder).parent.exists()


def collect_accepted(task: Task[T], study: Path, accepted: Accepted) -> T | Failure:
    """The result of an accepted task once more, or why it is not believed any longer.

    Raises `InputError` if its files are not those that were accepted.
    """
    folder = study / accepted.folder
    cure = f"restore it, or delete {folder.parent} to do the work again"
    for name, expected in accepted.outputs.items():
        path = folder / name
        if expected is None:
            continue
        if not path.is_file():
            raise InputError(f"is missing, though its result was accepted; {cure}", path=path)
        if file_digest(path) != expected:
            raise InputError(f"was changed after its result was accepted; {cure}", path=path)
    result = task.collect(folder)
    if isinstance(result, Failure):
        raise InputError(
            f"{task.role} '{task.name}' was accepted and is rejected now ({result.reason}); the "
            f"plugin has changed: go back to the old one, or delete {folder.parent}",
            path=folder,
        )
    return task.judge(result)


def collect_again(
    task: Task[Any], study: Path, job: JobState
) -> tuple[Attempt, dict[str, str | None]] | Failure | None:
    """An attempt that was rejected and passes today, with the digests of its outputs, or why it does not.

    None: nothing of it is left.
    """
    folder = study / job.folder
    holder = read_claim(folder)
    attempt = next(a for a in job.attempts if a.identity == task.identity)
    place = folder / attempt.folder
    report = read_task_exit(place, holder) if holder is not None else None
    if report is None:
        return None
    try:
        names = planned_outputs(folder)[attempt.folder]
        if not outputs_agree(place, names, report):
            return None
        result = collect(task, place, names, report)
    except (NoProgram, InputError):
        return None
    if isinstance(result, Failure):
        return result
    seen = zip(names, report.outputs, strict=True)
    return attempt, {name: found and found[0] for name, found in seen}


def one_line(text: str, length: int = 300) -> str:
    """A reason as records and tables keep it."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def last_output(folder: Path) -> str:
    """The last line that a job printed, for messages."""
    return _last_line(folder / "job.out") or _last_line(folder / "slurm.out")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+=@-]", "_", name)[:80] or "task"


def _plan(
    job: JobState, folder: Path, specs: Sequence[JobSpec], resources: Resources
) -> dict[str, Any]:
    return {
        "job": job.name,
        "path": str(folder),
        "resources": digest(resources),
        "attempts": [
            {
                **attrs.asdict(attempt),
                "command": list(spec.command),
                "outputs": list(spec.outputs),
            }
            for attempt, spec in zip(job.attempts, specs, strict=True)
        ],
    }


def _can_adopt(folder: Path, job: JobState, resources: Resources) -> bool:
    try:
        plan = json.loads((folder / PLAN).read_text())
        found = [(a["identity"], a["folder"], a["rung"]) for a in plan["attempts"]]
        if plan["path"] != str(folder):  # its script leads to where the study was
            return False
        if plan["resources"] != digest(resources):  # its script is not what is asked for now
            return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    wanted = [(a.identity, a.folder, a.rung) for a in job.attempts]
    return found == wanted and not (folder / "claim").exists()


def _moved(spec: JobSpec, staged: Path, target: Path) -> JobSpec:
    """The same command after the folder has got its name; input files have to use relative paths anyway."""
    old, new = str(staged), str(target)
    if not isinstance(spec, JobSpec):
        raise PluginError(f"prepare gave {type(spec).__name__}, not JobSpec")
    return attrs.evolve(
        spec,
        command=tuple(word.replace(old, new) for word in spec.command),
        environment={k: v.replace(old, new) for k, v in spec.environment.items()},
    )


def _with_cause(reason: str, status: int, folder: Path) -> str:
    """A reason with what the program said when it failed, unless that is in it."""
    if not status:
        return one_line(reason)
    words = _last_line(folder / STDERR)
    said = "" if words in reason else f": {one_line(words, 150)}"
    cause = f" (exit status {status}){said}"
    return one_line(reason, 300 - len(cause)) + cause


def _last_words(folder: Path) -> str:
    words = _last_line(folder / STDERR)
    return f": {words}" if words else ""


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(path.stat().st_size - 2000, 0))
            lines = stream.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
