"""The script of a job, and the small files by which it reports.

The script needs a POSIX sh and coreutils. It takes the one-shot claim of its folder before anything else, so that a job
that is started twice, by whatever mistake, works once. Each task reports in its own `task.exit`, the job in `job.exit`;
both name the holder of the claim, appear by rename, and only after what they speak of is on disk. These rules are the
same as in `durable.py`, in another language.

Exit status of the script: 0 all tasks ran (each has its own status), 76 the claim was taken already, 77 the folder, the
claim or a set-up line failed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from shlex import quote

import attrs

from ald_core.digests import file_digest
from ald_core.errors import PluginError
from ald_core.types import JobSpec, Resources

CLAIM = "claim"
JOB_EXIT = "job.exit"
TASK_EXIT = "task.exit"
STDOUT = "stdout"
STDERR = "stderr"
SETUP_FAILED = 77
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

_HEAD = """\
#!/bin/sh
# {name}
umask 022
ald_folder={folder}
cd -- "$ald_folder" || exit 77

# The claim: a private file is linked to its name; two links say that this job has it.
ald_private=$(mktemp claim.XXXXXXXXXX) || exit 77
ald_holder="$ald_private $(uname -n) $$"
{{ printf '%s\\n' "$ald_holder" >"$ald_private" && sync -- "$ald_private"; }} || exit 77
ln -- "$ald_private" claim 2>/dev/null
ald_links=$(stat -c %h -- "$ald_private")
rm -f -- "$ald_private"
if [ "$ald_links" != 2 ]; then
  [ -e claim ] && exit 76
  exit 77
fi
sync -- . || exit 77

ald_publish() {{ # FILE: FILE.new becomes FILE, durably
  sync -- "$1.new" && mv -f -- "$1.new" "$1" && sync -- .
}}

ald_end() {{ # STATUS: the job is over
  cd -- "$ald_folder" || return 1
  printf '%s\\n' 'ald-job 1' "name {name}" "holder $ald_holder" "exit $1" end >job.exit.new &&
    ald_publish job.exit
}}

ald_record() {{ # STATUS OUTPUT...: a task is over
  {{
    printf '%s\\n' 'ald-task 1' "holder $ald_holder" "exit $1" || return 1
    shift
    ald_declared=$#
    for ald_file do
      if [ -f "$ald_file" ]; then
        ald_sum=$(sha256sum <"$ald_file") || return 1
        ald_size=$(wc -c <"$ald_file") || return 1
        printf 'output %s %d\\n' "${{ald_sum%% *}}" "$ald_size" || return 1
        set -- "$@" "$ald_file" # behind the declared ones, those that exist, for sync
        case $ald_file in */*) set -- "$@" "${{ald_file%/*}}" ;; esac
      else
        printf 'output - -\\n' || return 1
      fi
    done
    printf 'end\\n' || return 1
  }} >task.exit.new
  shift "$ald_declared"
  sync -- stdout stderr "$@" . && ald_publish task.exit
}}

export SLURM_EXPORT_ENV=ALL
{threads}
"""

_SETUP = """\

# set-up lines of the user
trap 'ald_end 77; exit 77' EXIT
{lines}
trap - EXIT
set +eu
unset IFS
umask 022
"""

_SETUP_LINE = """\
{line}
[ $? -eq 0 ] || exit 77
"""

_TASK = """\

(
  cd -- "$ald_folder"/{folder} || exit 77
{environment}  exec {command} >stdout 2>stderr </dev/null
)
ald_status=$?
cd -- "$ald_folder"/{folder} && ald_record "$ald_status"{outputs}
"""

_TAIL = """\

ald_end 0
"""


def job_script(
    name: str, folder: Path, tasks: Sequence[tuple[str, JobSpec]], resources: Resources
) -> bytes:
    """The script of job `name` in the absolute path `folder`; `tasks` are sub-folders and what runs in them.

    Raises `PluginError` for a `JobSpec` that cannot be run.
    """
    for _, spec in tasks:
        _check(spec)
    threads = "export " + " ".join(f"{v}={resources.cores}" for v in _THREADS)
    parts = [_HEAD.format(name=name, folder=quote(str(folder)), threads=threads)]
    if resources.setup:
        lines = "".join(_SETUP_LINE.format(line=line) for line in resources.setup)
        parts.append(_SETUP.format(lines=lines.removesuffix("\n")))
    for subfolder, spec in tasks:
        environment = "".join(f"  export {k}={quote(v)}\n" for k, v in spec.environment.items())
        outputs = "".join(" " + quote(output) for output in spec.outputs)
        command = " ".join(quote(word) for word in spec.command)
        parts.append(
            _TASK.format(
                folder=quote(subfolder), environment=environment, command=command, outputs=outputs
            )
        )
    return "".join([*parts, _TAIL]).encode("utf-8", "surrogateescape")


def _check(spec: JobSpec) -> None:
    words = (*spec.command, *spec.outputs, *spec.environment.values())
    if not spec.command or not spec.command[0] or spec.command[0].startswith("-"):
        raise PluginError(f"cannot run the command {spec.command!r}")
    if any("\0" in word for word in words):
        raise PluginError(f"a zero byte in the command {spec.command!r} or what belongs to it")
    for variable in spec.environment:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
            raise PluginError(f"{variable!r} cannot be the name of an environment variable")
    for output in spec.outputs:
        path = PurePosixPath(output)
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise PluginError(f"the output {output!r} is not inside the folder of its task")
        if output.startswith("-"):
            raise PluginError(f"the output {output!r} begins with a dash")


# ---------------------------------------------------------------- what the job reports


@attrs.frozen
class TaskExit:
    """Contents of a `task.exit`."""

    status: int
    """128 + n if signal n ended the program"""
    outputs: tuple[tuple[str, int] | None, ...]
    """SHA-256 and size of each declared output, in their order; None: it is missing"""


def read_claim(folder: Path) -> str | None:
    """Who holds the claim of a job folder; None: nobody."""
    try:
        return (folder / CLAIM).read_text(errors="replace").removesuffix("\n")
    except FileNotFoundError:
        return None


def read_job_exit(folder: Path, name: str, holder: str) -> int | None:
    """Status of the job if the holder of the claim has reported its end; None otherwise."""
    lines = _read_report(folder / JOB_EXIT)
    if len(lines) != 5 or lines[:3] != ["ald-job 1", f"name {name}", f"holder {holder}"]:
        return None
    return _status(lines[3])


def read_task_exit(folder: Path, holder: str) -> TaskExit | None:
    """What the holder of the claim reported about the task in `folder`; None: nothing yet."""
    lines = _read_report(folder / TASK_EXIT)
    if len(lines) < 4 or lines[:2] != ["ald-task 1", f"holder {holder}"]:
        return None
    status = _status(lines[2])
    if status is None:
        return None
    outputs: list[tuple[str, int] | None] = []
    for line in lines[3:-1]:
        if line == "output - -":
            outputs.append(None)
        elif match := re.fullmatch(r"output ([0-9a-f]{64}) ([0-9]+)", line):
            outputs.append((match[1], int(match[2])))
        else:
            return None
    return TaskExit(status, tuple(outputs))


def outputs_agree(folder: Path, names: Sequence[str], report: TaskExit) -> bool:
    """Whether the outputs in `folder` are, to the last bit, those that the job reported."""
    if len(names) != len(report.outputs):
        return False
    for name, reported in zip(names, report.outputs, strict=True):
        path = folder / name
        if reported is None:
            continue
        if not path.is_file() or path.stat().st_size != reported[1]:
            return False
        if file_digest(path) != reported[0]:
            return False
    return True


def _read_report(path: Path) -> list[str]:
    """Lines of a whole report; [] if it is missing or cut."""
    try:
        lines = path.read_text(errors="replace").split("\n")
    except FileNotFoundError:
        return []
    return lines[:-1] if lines[-2:] == ["end", ""] else []


def _status(line: str) -> int | None:
    match = re.fullmatch(r"exit ([0-9]{1,3})", line)
    return int(match[1]) if match else None
