"""The script of a job, and the small files by which it reports.

The script needs a POSIX sh and coreutils. It takes the one-shot claim of its folder before anything else, so that a job
that is started twice, by whatever mistake, works once. Each task reports in its own `task.exit`, the job in `job.exit`;
both name the holder of the claim, appear by rename, and only after what they speak of is on disk. These rules are the
same as in `durable.py`, in another language.

Exit status of the script: 0 all tasks ran (each has its own status), 76 the claim was taken already, 77 the folder, the
claim or a set-up line failed, 143 it was ended by SIGTERM, which it passes on to the tasks; then it reports nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from shlex import quote

import attrs

from ald_core.digests import file_digest
from ald_core.errors import PluginError
from ald_core.resources import Resources, megabytes
from ald_core.types import JobSpec

CLAIM = "claim"
JOB_EXIT = "job.exit"
TASK_EXIT = "task.exit"
STDOUT = "stdout"
STDERR = "stderr"
SETUP_FAILED = 77
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

_HEAD = """\
#!/bin/sh
{extra}# {name}
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

_FIND_MODULE = """\
command -v module >/dev/null 2>&1 || for ald_file in "${LMOD_PKG:-/nowhere}/init/sh" \\
  "${MODULESHOME:-/nowhere}/init/sh" /etc/profile.d/modules.sh /etc/profile.d/lmod.sh; do
  [ -r "$ald_file" ] && . "$ald_file" && break
done || :"""

_TASK = """\

ald_task_{number}() {{
  (
    cd -- "$ald_folder"/{folder} || exit 77
{environment}    exec {command} >stdout 2>stderr </dev/null
  ) &
  ald_wait
  cd -- "$ald_folder"/{folder} && ald_record "$ald_status"{outputs}
}}
"""

_TAIL = """\

ald_wait() {{ # for the program under way; a stop request goes on to it
  ald_child=$!
  wait "$ald_child"
  ald_status=$?
}}

ald_lane() {{ # each lane takes the next task that no other has taken
  trap 'trap "" TERM; kill "$ald_child" 2>/dev/null; wait; exit 143' TERM
  for ald_task in {numbers}; do
    mkdir "$ald_folder/.begun-$ald_task" 2>/dev/null && "ald_task_$ald_task"
  done
}}

ald_lanes=
trap 'trap "" TERM; kill $ald_lanes 2>/dev/null; wait; exit 143' TERM
{lanes}wait
rmdir -- "$ald_folder"/.begun-* 2>/dev/null
ald_end 0
"""

_LANE = """\
ald_offset={offset}
ald_lane &
ald_lanes="$ald_lanes $!"
"""


def job_script(
    name: str, folder: Path, tasks: Sequence[tuple[str, JobSpec]], resources: Resources
) -> bytes:
    """The script of job `name` in the absolute path `folder`; `tasks` are sub-folders and what runs in them.

    Raises `PluginError` for a `JobSpec` that cannot be run.
    """
    for _, spec in tasks:
        _check(spec)
    extra = "".join(line + "\n" for line in resources.extra)
    threads = "export " + " ".join(f"{v}={resources.cores}" for v in _THREADS)
    parts = [_HEAD.format(name=name, folder=quote(str(folder)), threads=threads, extra=extra)]
    setup = (*_load_modules(resources.modules), *resources.setup)
    if setup:
        lines = "".join(_SETUP_LINE.format(line=line) for line in setup)
        parts.append(_SETUP.format(lines=lines.removesuffix("\n")))
    for number, (subfolder, spec) in enumerate(tasks):
        environment = "".join(f"    export {k}={quote(v)}\n" for k, v in spec.environment.items())
        launcher = [] if spec.serial else _launcher(resources)
        parts.append(
            _TASK.format(
                number=number,
                folder=quote(subfolder),
                environment=environment,
                command=" ".join([*launcher, *map(quote, spec.command)]),
                outputs="".join(" " + quote(output) for output in spec.outputs),
            )
        )
    numbers = " ".join(str(number) for number, _ in enumerate(tasks))
    count = min(resources.concurrent, len(tasks))
    lanes = "".join(_LANE.format(offset=i * resources.processes) for i in range(count))
    parts.append(_TAIL.format(numbers=numbers, lanes=lanes))
    return "".join(parts).encode("utf-8", "surrogateescape")


def _load_modules(modules: Sequence[str]) -> list[str]:
    """Shell lines; where `module` is no function yet, it is looked for at the usual places."""
    loads = [f"module load {quote(module)}" for module in modules]
    return [_FIND_MODULE, *loads] if loads else []


def _launcher(resources: Resources) -> list[str]:
    """Words of the shell before the command of a task: what starts its processes, and how many of them."""
    nodes, ppn, processes = resources.nodes, resources.ppn, resources.processes
    shared = resources.concurrent > 1
    words = {
        "none": [],
        "srun": ["srun", f"--nodes={nodes}", f"--ntasks={processes}", f"--ntasks-per-node={ppn}"],
        "mpirun": ["mpirun", "-np", f"{processes}"],
        "ibrun": ["ibrun", "-n", f"{processes}", "-o", '"$ald_offset"'],
    }[resources.launcher]
    if resources.launcher == "srun":
        words.append(f"--cpus-per-task={resources.cores}")
        if shared:  # several steps at once, each with its share
            words.append("--exact")
            if resources.memory:
                words.append(
                    f"--mem={max(megabytes(resources.memory) // resources.concurrent, 1)}M"
                )
    return words + [quote(word) for word in resources.launcher_options if words]


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
